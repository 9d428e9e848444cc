//! Ctrl-C and impatience: what was begun stays resumable, and the program says how.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fleet::{age, lose_journal, meanwhile};
use crate::program::Program;

const DEPLOY: [&str; 6] = ["--sandbox", "deploy", "web", "--min-cpu", "1", "--provider=digitalocean"];
/// No answer to the first look at the server, for longer than any machine takes to send a signal.
const NO_LOOK: [&str; 3] = ["sandbox", "fault", "digitalocean:droplets.get:hang"];

/// Runs it until it says so, then presses Ctrl-C; all that it said. It ends as what is to be resumed.
fn interrupted(mut command: Command, when: &str) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    // Each line is a step, so this ends with the command at the latest.
    while !said.contains(when) {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "it ended by itself: {said}");
    }
    // The shell's own `kill` is there on every machine.
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
    said
}

#[test]
fn ctrl_c_leaves_a_deploy_resumable_and_says_how() {
    let program = Program::new();
    program.run(&NO_LOOK).exits(0);
    let said = interrupted(program.command(&DEPLOY), "created digitalocean/");

    let open = program.sandbox(&["-o", "json", "ops", "--open"]).exits(0).json();
    let operation = open["operations"][0]["id"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("capsule resume {operation}")), "it says how to go on: {said}");
    assert_eq!(open["operations"][0]["worker"], serde_json::Value::Null, "it was given back");
    // It may have been interrupted before it looked.
    meanwhile(&program, |world| world.faults.clear());
    program.sandbox(&["resume", &operation]).exits(0);
    let machines = program.machines();
    assert_eq!((machines.born, machines.living), (1, 1));
}

#[test]
fn impatience_leaves_a_deploy_resumable_and_says_how() {
    let program = Program::new();
    program.run(&NO_LOOK).exits(0);
    let run = program.run(&[&DEPLOY[..], &["--timeout", "1s"]].concat()).exits(3);
    assert!(run.stderr.contains("Not over in the time given") && run.stderr.contains("capsule resume"), "{run:?}");
    program.sandbox(&["resume"]).exits(0);
    let machines = program.machines();
    assert_eq!((machines.born, machines.living), (1, 1));
}

#[test]
fn ops_say_what_is_in_doubt_and_why() {
    let program = Program::new();
    let faults = ["digitalocean:droplets.create:lose-reply", "digitalocean:droplets.create:list-lag=1h"];
    program.run(&[&["sandbox", "fault"], &faults[..]].concat()).exits(0);
    let mut command = program.command(&DEPLOY);
    // In natural time it looks for minutes.
    command.env("CAPSULE_SANDBOX_SPEED", "1");
    interrupted(command, "in doubt");
    let listed = program.sandbox(&["ops"]).exits(0).stdout;
    assert!(listed.contains("looking") && listed.contains("whether it took effect is not known"), "{listed}");
    let open = program.sandbox(&["-o", "json", "ops", "--open"]).exits(0).json();
    let operation = &open["operations"][0];
    assert!(operation["doubt"].as_str().unwrap().contains("droplets.create"), "the reason is told: {operation}");
}

/// The orphans were looked for before, and whoever listens for Ctrl-C once is not ended by it any more.
#[test]
fn ctrl_c_at_a_question_means_no() {
    let program = Program::new();
    program.run(&DEPLOY).exits(0);
    lose_journal(&program);
    age(&program, 90);
    let mut child = program.on_a_terminal("--sandbox orphans --delete").spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = Vec::new();
    let mut read = [0; 1024];
    while !String::from_utf8_lossy(&said).contains("[y/N]") {
        let n = screen.read(&mut read).unwrap();
        assert!(n > 0, "it ended by itself: {}", String::from_utf8_lossy(&said));
        said.extend(&read[..n]);
    }
    keys.write_all(b"\x03").unwrap();
    let mut looks = 0;
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(ended) => break ended,
            None if looks < 3000 => looks += 1,
            None => {
                drop(keys);
                child.wait().unwrap();
                panic!("it still waits for an answer");
            }
        }
        std::thread::park_timeout(Duration::from_millis(10));
    };
    screen.read_to_end(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(ended.code() == Some(1) && said.contains("Nothing was deleted"), "{ended}: {said}");
    assert_eq!(program.machines().living, 1);
}
