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
    // Another currency than the price, and no rate.
    let set = program.sandbox(&["budget", "set", "team", "--monthly", "20", "EUR", "--block"]);
    assert!(set.code != Some(0) && set.stderr.contains("--rate"), "{set:?}");
    let refused = program.sandbox(&order("two")).exits(1);
    assert!(refused.stderr.contains("EUR") && refused.stderr.contains("rate"), "{refused:?}");
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
        (&["x", "--monthly", "5", "--warn", "120"], "120 %"),
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
