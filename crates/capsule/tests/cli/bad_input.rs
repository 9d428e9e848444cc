//! Bad input: one clear message each, the listed exit code, nothing sent, nothing lost.

use std::os::unix::fs::PermissionsExt;

use crate::program::{Program, Run};

/// One error, with a way out, and nothing on stdout.
#[track_caller]
fn one_clear_error(run: Run, code: i32, must_say: &[&str]) {
    let run = run.exits(code);
    assert_eq!(run.stdout, "", "{run:?}");
    assert_eq!(run.stderr.matches("error:").count(), 1, "{run:?}");
    for words in must_say {
        assert!(run.stderr.contains(words), "`{words}` is missing in {}", run.stderr);
    }
}

#[test]
fn unknown_names_offer_the_nearest() {
    let program = Program::new();
    let deploy = |args: &[&str]| program.sandbox(&[&["deploy", "web"], args].concat());
    one_clear_error(deploy(&["--provider", "digitalocan"]), 2, &["digitalocan", "`digitalocean`?"]);
    one_clear_error(
        deploy(&["--provider", "digitalocean", "--plan", "s-2vcpu-4g"]),
        2,
        &["s-2vcpu-4g", "`s-2vcpu-4gb`?"],
    );
    one_clear_error(deploy(&["--provider", "digitalocean", "--region", "nyc11"]), 2, &["nyc11", "`nyc1`?"]);
    one_clear_error(
        deploy(&["--provider", "digitalocean", "--image", "ubunto-24.04"]),
        2,
        &["ubunto-24.04", "`ubuntu-24.04`?"],
    );
    assert_eq!(program.machines().born, 0);
}

#[test]
fn absurd_limits_and_lengths_of_time_are_refused_by_name() {
    let program = Program::new();
    for (args, words) in [
        (&["cheapest", "--max-monthly", "-5"][..], &["--max-monthly", "cannot be negative"][..]),
        (&["plans", "--max-hourly", "-0.5"], &["--max-hourly", "cannot be negative"]),
        (&["cheapest", "--max-monthly", "5 XYZ"], &["--max-monthly", "`XYZ` is no currency code"]),
        (&["cheapest", "--for", "0h"], &["--for", "no time at all"]),
        (&["deploy", "web", "--ttl", "0s"], &["--ttl", "no time at all"]),
        (&["cheapest", "--continent", "atlantis"], &["--continent", "atlantis", "europe"]),
    ] {
        one_clear_error(program.sandbox(args), 2, words);
    }
    let nowhere = program.sandbox(&["cost", "--focus", "/nowhere/at/all.csv"]);
    one_clear_error(nowhere, 2, &["/nowhere/at/all.csv", "a directory that is there"]);
}

/// Everything that the simulated clouds were asked, and whether anything was written down.
fn traces(program: &Program) -> (std::collections::BTreeMap<String, u64>, usize) {
    let ops = program.sandbox(&["-o", "json", "ops"]).exits(0).json();
    (program.ledger().requests, ops["operations"].as_array().unwrap().len())
}

#[test]
fn what_a_vendor_would_refuse_is_said_before_anything_is_sent_or_written() {
    let program = Program::new();
    // From here on the catalogues are kept.
    program.sandbox(&["plans"]).exits(0);
    let before = traces(&program);
    let long = program.home().join("long.yml");
    std::fs::write(&long, format!("#cloud-config\n{}", "#".repeat(70_000))).unwrap();
    let long = long.to_str().unwrap();
    for (provider, name, more, words) in [
        ("digitalocean", "under_score", &[][..], &["under_score", "letters, digits, dots and dashes"][..]),
        ("vultr", "under_score", &[], &["under_score", "1 to 63"]),
        ("scaleway", "under_score", &[], &["under_score", "1 to 63"]),
        ("hivelocity", "Upper", &[], &["Upper", "lower-case"]),
        ("linode", "1st", &[], &["1st", "a letter first"]),
        ("aws", "web", &["--tag", "aws:team=a"], &["aws:team", "vendor's own"]),
        ("digitalocean", "web", &["--user-data", long], &["70014 bytes", "65536"]),
        ("vultr", "web", &["--user-data", long], &["70014 bytes", "65536"]),
        ("linode", "web", &["--user-data", long], &["70014 bytes", "65535"]),
        ("scaleway", "web", &["--user-data", long], &["70014 bytes", "65535"]),
        ("hivelocity", "web", &["--user-data", long], &["70014 bytes", "65536"]),
        ("aws", "web", &["--user-data", long], &["70014 bytes", "16384"]),
        ("digitalocean", "web", &["--region", "nyc2"], &["`nyc2` takes no orders", "`nyc3`?"]),
        ("vultr", "web", &["--plan", "vhf-8c-32gb", "--region", "ewr"], &["not sold in `ewr`", "sold in sea"]),
        ("linode", "web", &["--region", "us-eats"], &["us-eats", "`us-east`?"]),
    ] {
        let args = [&["deploy", name, "--provider", provider, "--min-cpu", "1"], more].concat();
        one_clear_error(program.sandbox(&args), 2, words);
    }
    // There is one, but not now: no fault of what was typed.
    let sold_out = program.sandbox(&["deploy", "web", "--provider", "hivelocity", "--plan", "577"]);
    one_clear_error(sold_out, 1, &["out of stock"]);
    assert_eq!(traces(&program), before);
}

#[test]
fn tags_that_no_vendor_takes_as_they_are_come_back_as_they_were() {
    let program = Program::new();
    let tag = "team:a/b=Zoë & co, 100 %";
    for entry in capsule_providers::all() {
        let provider = entry.descriptor.id.as_str();
        let deploy = ["deploy", provider, "--provider", provider, "--min-cpu", "1", "--tag", tag];
        program.sandbox(&deploy).exits(0);
        let shown = program.sandbox(&["-o", "json", "show", provider]).exits(0).json();
        assert_eq!(shown["instance"]["tags"]["team:a/b"], "Zoë & co, 100 %", "{provider}: {shown}");
    }
}

#[test]
fn a_missing_project_is_named_with_the_way_to_find_it() {
    let program = Program::new();
    let key = ("SCW_SECRET_KEY", "11111111-2222-3333-4444-555555555555");
    for args in [&["deploy", "web", "--provider", "scaleway"][..], &["deploy", "web"], &["list"]] {
        let words = ["project_id", "SCW_DEFAULT_PROJECT_ID", "https://console.scaleway.com/project/settings"];
        one_clear_error(program.run_with(&[key], args), 2, &words);
    }
}

#[test]
fn impossible_wishes_say_why() {
    let program = Program::new();
    one_clear_error(program.sandbox(&["deploy", "web", "--min-cpu", "100000"]), 2, &["No offer fits", "hint"]);
    one_clear_error(program.sandbox(&["show", "nothing-like-this"]), 1, &["nothing-like-this"]);
    one_clear_error(program.sandbox(&["resume", "short"]), 2, &["short"]);
}

#[test]
fn endpoints_are_checked_before_anything_is_sent() {
    let program = Program::new();
    let key = ("DIGITALOCEAN_TOKEN", "unused");
    for (endpoint, words) in [
        ("not a url", "not a URL"),
        ("http://api.example.com/v2", "plain http"),
        ("ftp://api.example.com", "neither https nor http"),
        ("https://user:pass@api.example.com", "user name or password"),
    ] {
        let run = program.run_with(&[key, ("CAPSULE_DIGITALOCEAN_ENDPOINT", endpoint)], &["list"]);
        assert!(!run.stderr.contains("user:pass"), "{run:?}");
        one_clear_error(run, 2, &["CAPSULE_DIGITALOCEAN_ENDPOINT", words]);
    }
}

#[test]
fn broken_yaml_names_line_and_column() {
    let program = Program::new();
    std::fs::create_dir_all(program.home()).unwrap();
    std::fs::write(program.home().join("providers.yml"), "digitalocean:\n  api_key: [oops\n").unwrap();
    one_clear_error(program.run(&["list"]), 2, &["providers.yml", "line", "column"]);
}

#[test]
fn no_key_is_refused_for_credentials() {
    let program = Program::new();
    one_clear_error(program.run(&["list"]), 4, &["No provider is set up", "--sandbox"]);
}

#[test]
fn an_unusable_home_is_named() {
    let program = Program::new();
    std::fs::write(program.home(), "a file where the home should be").unwrap();
    one_clear_error(program.sandbox(&["list"]), 2, &["home"]);
}

#[test]
fn a_broken_journal_is_named_and_left_alone() {
    let program = Program::new();
    let journal = program.home().join("sandbox/journal.db");
    program.sandbox(&["deploy", "web", "--min-cpu", "1"]).exits(0);
    let whole = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, "this is no database, and long enough to be looked at as one by the library".repeat(40))
        .unwrap();
    for left in ["journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(program.home().join("sandbox").join(left));
    }
    one_clear_error(program.sandbox(&["ops"]), 1, &["journal"]);
    assert_ne!(std::fs::read(&journal).unwrap(), whole, "the test broke it");
    assert!(
        std::fs::read_to_string(&journal).unwrap().starts_with("this is no database"),
        "it must be left as it was found"
    );
}

#[test]
fn a_key_in_argv_is_not_accepted() {
    let program = Program::new();
    for args in [
        &["provider", "login", "digitalocean", "--api-key", "k"][..],
        &["provider", "login", "digitalocean", "k"],
        &["list", "--api-key", "k"],
    ] {
        program.run(args).exits(2);
    }
}

#[test]
fn files_are_private() {
    let program = Program::new();
    program.sandbox(&["deploy", "web", "--min-cpu", "1"]).exits(0);
    program.run_reading("some-key\n", &[], &["provider", "login", "digitalocean", "--no-check"]).exits(0);
    for dir in [program.home(), program.home().join("sandbox")] {
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700, "{dir:?}");
    }
    for file in program.files() {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
}
