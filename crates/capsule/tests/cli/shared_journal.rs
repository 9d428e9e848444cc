//! One journal, several programs on it: in a file, and in PostgreSQL.

use std::process::Stdio;

use crate::postgres::Postgres;
use crate::program::Program;

const DEPLOY: [&str; 6] = ["deploy", "web", "--min-cpu", "1", "--provider", "digitalocean"];

/// One key from two runs at once, and then the same name once more: one server.
fn two_at_once(program: &Program, journal: &[&str]) {
    let keyed = [journal, &DEPLOY[..], &["--idempotency-key", "k"]].concat();
    let spawn = || program.command(&keyed).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let runs = [spawn(), spawn()];
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!((program.machines().born, program.machines().living), (1, 1));
    let twice = [journal, &DEPLOY[..]].concat();
    assert!(program.run(&twice).exits(1).stderr.contains("digitalocean/"));
    assert_eq!(program.machines().born, 1);
}

#[test]
fn two_runs_on_one_journal_make_one_server() {
    let program = Program::new();
    two_at_once(&program, &["--sandbox", "--database", &Postgres::shared().database()]);
    assert!(!program.home().join("sandbox/journal.db").exists(), "there is one journal");
}

#[test]
fn two_runs_on_one_home_make_one_server() {
    two_at_once(&Program::new(), &["--sandbox"]);
}

#[test]
fn what_one_run_was_killed_at_another_one_resumes() {
    let program = Program::new();
    let url = Postgres::shared().database();
    let database = ["--sandbox", "--database", &url];
    let killed = program.run_with(&[("CAPSULE_DIE_AFTER_EVENT", "2")], &[&database, &DEPLOY[..]].concat());
    assert_eq!(killed.code, None, "{killed:?}");
    program.run(&[&database[..], &["resume"]].concat()).exits(0);
    assert_eq!((program.machines().born, program.machines().living), (1, 1));
}

#[test]
fn another_home_joins_the_installation() {
    let (first, second) = (Program::new(), Program::new());
    let url = Postgres::shared().database();
    let database = ["--sandbox", "--database", &url];
    first.run(&[&database, &DEPLOY[..]].concat()).exits(0);
    let ops = second.run(&[&database[..], &["-o", "json", "ops"]].concat()).exits(0).json();
    assert_eq!(ops["operations"][0]["names"][0], "web");
}

#[test]
fn a_database_that_cannot_be_had_is_one_clear_error_without_its_password() {
    const SECRET: &str = "canary-db-password-3d1f";
    let program = Program::new();
    let url = format!("postgres://capsule:{SECRET}@localhost/x?host=/nowhere");
    let run = program.run_with(&[("CAPSULE_DATABASE", &url)], &["-vv", "ops"]).exits(1);
    assert!(run.stderr.contains("journal") && run.stderr.contains("hint:"), "{run:?}");
    assert!(!format!("{run:?}").contains(SECRET), "{run:?}");
    let run = program.run(&["--database", &url, "ops"]).exits(1);
    assert!(run.stderr.contains("CAPSULE_DATABASE"), "a password among the arguments is warned of: {run:?}");
    assert!(!format!("{run:?}").contains(SECRET), "{run:?}");
    let run = program.run_with(&[("CAPSULE_DATABASE", "mysql://x:canary-db-password-3d1f@y/z")], &["ops"]).exits(2);
    assert!(run.stderr.contains("$CAPSULE_DATABASE") && run.stderr.contains("postgres://"), "{run:?}");
    assert!(!format!("{run:?}").contains(SECRET), "{run:?}");
}
