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
