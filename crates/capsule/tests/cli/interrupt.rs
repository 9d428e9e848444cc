//! Ctrl-C and impatience: what was begun stays resumable, and the program says how.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::program::Program;

const DEPLOY: [&str; 6] = ["--sandbox", "deploy", "web", "--min-cpu", "1", "--provider=digitalocean"];

#[test]
fn ctrl_c_leaves_a_deploy_resumable_and_says_how() {
    let program = Program::new();
    let mut child = program.command(&DEPLOY).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    // Each line is a step, so this ends with the deploy at the latest.
    while !said.contains("created digitalocean/") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended by itself: {said}");
    }
    // The shell's own `kill` is there on every machine.
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");

    let open = program.sandbox(&["-o", "json", "ops", "--open"]).exits(0).json();
    let operation = open["operations"][0]["id"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("capsule resume {operation}")), "it says how to go on: {said}");
    assert_eq!(open["operations"][0]["worker"], serde_json::Value::Null, "it was given back");
    program.sandbox(&["resume", &operation]).exits(0);
    let machines = program.machines();
    assert_eq!((machines.born, machines.living), (1, 1));
}

#[test]
fn ops_say_what_is_in_doubt_and_why() {
    let program = Program::new();
    let faults = ["digitalocean:droplets.create:lose-reply", "digitalocean:droplets.create:list-lag=1h"];
    program.run(&[&["sandbox", "fault"], &faults[..]].concat()).exits(0);
    let run = program.run(&[&DEPLOY[..], &["--timeout", "1s"]].concat()).exits(3);
    assert!(run.stderr.contains("capsule resume"), "{run:?}");
    let listed = program.sandbox(&["ops"]).exits(0).stdout;
    assert!(listed.contains("looking") && listed.contains("whether it took effect is not known"), "{listed}");
    let open = program.sandbox(&["-o", "json", "ops", "--open"]).exits(0).json();
    let operation = &open["operations"][0];
    assert!(operation["doubt"].as_str().unwrap().contains("droplets.create"), "the reason is told: {operation}");
}
