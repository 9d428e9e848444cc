//! Lost replies, bad gateways, names and keys: still one server.

use crate::program::Program;

const DEPLOY: [&str; 6] = ["deploy", "web", "--min-cpu", "1", "--provider", "digitalocean"];

fn births_after(fault: &str) -> usize {
    let program = Program::new();
    program.run(&["sandbox", "fault", fault]).exits(0);
    program.sandbox(&DEPLOY).exits(0);
    assert_eq!(program.machines().living, 1, "{fault}");
    program.machines().born
}

#[test]
fn a_lost_reply_is_adopted() {
    assert_eq!(births_after("digitalocean:droplets.create:lose-reply"), 1);
}

#[test]
fn a_truncated_reply_is_adopted() {
    assert_eq!(births_after("digitalocean:droplets.create:truncate"), 1);
}

#[test]
fn a_502_after_the_effect_is_not_sent_twice() {
    assert_eq!(births_after("digitalocean:droplets.create:status-after=502"), 1);
}

#[test]
fn a_502_without_effect_is_sent_again_after_a_look() {
    let program = Program::new();
    program.run(&["sandbox", "fault", "digitalocean:droplets.create:status=502"]).exits(0);
    program.sandbox(&DEPLOY).exits(0);
    assert_eq!(program.machines().born, 1);
    let ops = program.sandbox(&["-o", "json", "ops", "--name", "web"]).exits(0).json();
    let id = ops["operations"][0]["id"].as_str().unwrap();
    let told = program.sandbox(&["ops", "show", id]).exits(0).stdout;
    assert!(told.contains("not there"), "the look must stand in the journal: {told}");
}

#[test]
fn a_name_is_taken_while_its_server_lives() {
    let program = Program::new();
    program.sandbox(&DEPLOY).exits(0);
    let second = program.sandbox(&DEPLOY).exits(1);
    assert!(second.stderr.contains("digitalocean/"), "the id that exists is named: {second:?}");
    assert_eq!(program.machines().born, 1);
    program.sandbox(&["delete", "web", "--yes"]).exits(0);
    program.sandbox(&DEPLOY).exits(0);
}

#[test]
fn the_same_key_means_the_same_deploy() {
    let program = Program::new();
    let keyed = [&["-o", "json"], &DEPLOY[..], &["--idempotency-key", "ci-17"]].concat();
    let first = program.sandbox(&keyed).exits(0).json();
    let second = program.sandbox(&keyed).exits(0).json();
    assert_eq!(first["outcomes"][0]["operation"], second["outcomes"][0]["operation"]);
    assert_eq!(first["outcomes"][0]["id"], second["outcomes"][0]["id"]);
    let other = program
        .sandbox(&["deploy", "web", "--min-cpu", "2", "--provider", "digitalocean", "--idempotency-key", "ci-17"])
        .exits(1);
    assert!(other.stderr.contains("ci-17"), "{other:?}");
    assert_eq!(program.machines().born, 1);
}
