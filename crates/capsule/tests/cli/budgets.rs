//! Limits on what a month may cost, as they are set and as they are met.

use crate::program::Program;

#[test]
fn what_would_pass_a_limit_is_refused_with_what_remains() {
    let program = Program::new();
    let set = program.sandbox(&["budget", "set", "team", "--monthly", "20", "USD", "--warn", "50,80", "--block"]);
    assert!(set.exits(0).stdout.contains("20.00 USD"));
    let order = |name| ["deploy", name, "--provider", "digitalocean", "--plan", "s-1vcpu-2gb"];
    program.sandbox(&order("one")).exits(0);
    let refused = program.sandbox(&order("two")).exits(1);
    for word in ["`team`", "20.00 USD", "remain"] {
        assert!(refused.stderr.contains(word), "`{word}` is missing in {refused:?}");
    }
    assert_eq!(program.machines().born, 1);
    let shown = program.sandbox(&["-o", "json", "budget"]).exits(0).json();
    assert_eq!(shown["budgets"][0]["block"], true);
    // Whether it would be refused is told without ordering as well.
    let dry = program.sandbox(&[&order("two")[..], &["--dry-run"]].concat()).exits(1);
    assert!(dry.stderr.contains("`team`") && dry.stdout.contains("s-1vcpu-2gb"), "{dry:?}");
    let said = program.sandbox(&[&["-o", "json"], &order("two")[..], &["--dry-run"]].concat()).exits(1).json();
    assert_eq!(said["refused"]["kind"], "quota");
    let cheaper = ["deploy", "two", "--provider", "digitalocean", "--plan", "s-1vcpu-1gb", "--dry-run"];
    program.sandbox(&cheaper).exits(0);
}

#[test]
fn a_budget_without_a_rate_is_refused_before_it_is_kept() {
    let program = Program::new();
    program.sandbox(&["deploy", "one", "--provider", "digitalocean", "--plan", "s-1vcpu-1gb"]).exits(0);
    program.sandbox(&["budget", "set", "team", "--monthly", "20", "--block"]).exits(0);
    let before = program.sandbox(&["-o", "json", "budget"]).exits(0).stdout;
    // Another currency than the prices of what is there, or than all prices of its provider.
    for (args, way_out) in [
        (&["team", "--monthly", "20", "EUR", "--block"][..], "--rate \"USD=... EUR\""),
        (&["there", "--monthly", "20", "--scope", "provider:scaleway"], "--rate \"EUR=... USD\""),
        (&["nowhere", "--monthly", "20", "--scope", "provider:digitalacean"], "digitalocean"),
    ] {
        let refused = program.sandbox(&[&["budget", "set"], args].concat()).exits(2);
        assert!(refused.stderr.contains(way_out) && !refused.stderr.contains("is set"), "{refused:?}");
        assert_eq!(program.sandbox(&["-o", "json", "budget"]).exits(0).stdout, before);
    }
    let set = ["budget", "set", "team", "--monthly", "20", "EUR", "--rate", "EUR=1.25 USD", "--rates-of", "2026-11-01"];
    let set = program.sandbox(&[&set[..], &["--block"]].concat()).exits(0);
    assert!(set.stdout.contains("4.00 EUR") && set.stdout.contains("16.00 EUR"), "{set:?}");
}

#[test]
fn a_budget_that_cannot_be_reckoned_is_named_and_hides_nothing() {
    let program = Program::new();
    let euro = program.sandbox(&["budget", "set", "euro", "--monthly", "20", "EUR"]).exits(0);
    assert!(euro.stderr.contains("digitalocean charges in USD"), "{euro:?}");
    program.sandbox(&["budget", "set", "here", "--monthly", "90", "--scope", "provider:digitalocean"]).exits(0);
    let ordered = program.sandbox(&["deploy", "one", "--provider", "digitalocean", "--plan", "s-1vcpu-1gb"]).exits(0);
    assert!(ordered.stderr.contains("warning: Budget `euro`") && ordered.stderr.contains("--rate"), "{ordered:?}");
    let shown = program.sandbox(&["budget"]).exits(1);
    assert!(shown.stdout.contains("5.00 USD") && shown.stdout.contains("a rate is missing"), "{shown:?}");
    assert!(shown.stderr.contains("`euro`"), "{shown:?}");
    // What was asked for is done, whatever another budget lacks; and the page has all that is known.
    program.sandbox(&["budget", "set", "here", "--monthly", "80", "--scope", "provider:digitalocean"]).exits(0);
    let page = program.home().join("page.html");
    program.sandbox(&["cost", "--html", page.to_str().unwrap()]).exits(0);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Budget `euro` is in EUR") && page.contains("80.00 USD"), "{page}");
    // One that blocks lets nothing pass that it cannot reckon.
    program.sandbox(&["budget", "remove", "euro"]).exits(0);
    program.sandbox(&["budget", "set", "tagged", "--monthly", "20", "EUR", "--scope", "tag:a=b", "--block"]).exits(0);
    let order = ["deploy", "two", "--provider", "digitalocean", "--plan", "s-1vcpu-1gb", "--tag", "a=b"];
    let refused = program.sandbox(&order).exits(1);
    assert!(refused.stderr.contains("EUR") && refused.stderr.contains("--rate"), "{refused:?}");
    assert_eq!(program.machines().born, 1);
}

#[test]
fn what_is_no_limit_is_refused_by_name() {
    let program = Program::new();
    program.sandbox(&["budget", "set", "all-of-it", "--monthly", "200"]).exits(0);
    for (args, words) in [
        (&["x", "--monthly", "-5", "USD"][..], "--monthly -5 USD"),
        (&["x", "--monthly", "5", "XYZ"], "--monthly 5 XYZ"),
        (&["x", "--monthly", "many"], "--monthly many"),
        (&["x", "--monthly", "0"], "allows nothing"),
        (&["x", "--monthly", "99999999999"], "is no limit"),
        (&["x", "--monthly", "5", "--scope", "planet:mars"], "planet:mars"),
        (&["x", "--monthly", "5", "--scope", "tag:env"], "tag:KEY=VALUE"),
        (&["x", "--monthly", "5", "--warn", "120"], "120 %"),
        (&["x", "--monthly", "5", "--warn", "50,many"], "--warn 50,80"),
        (&["x", "--monthly", "5", "--warn", "-1"], "-1 %"),
        (&["two words", "--monthly", "5"], "one word"),
        (&["x", "--monthly", "5"], "`all-of-it` is for `all` already"),
    ] {
        let run = program.sandbox(&[&["budget", "set"], args].concat());
        assert!(run.code == Some(2) || run.code == Some(1), "{run:?}");
        assert!(run.stderr.contains(words), "`{words}` is missing in {run:?}");
    }
    let shown = program.sandbox(&["-o", "json", "budget"]).exits(0).json();
    assert_eq!(shown["budgets"].as_array().unwrap().len(), 1);
}
