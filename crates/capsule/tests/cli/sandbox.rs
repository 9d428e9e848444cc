//! The main job in the sandbox, across separate runs.

use crate::program::Program;

const NEED: [&str; 4] = ["--min-cpu", "2", "--min-memory", "4"];

#[test]
fn a_server_lives_its_whole_life() {
    let program = Program::new();
    let deployed = program.sandbox(&[&["-o", "json", "deploy", "my-xnode"], &NEED[..]].concat()).exits(0).json();
    let id = deployed["outcomes"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(deployed["outcomes"][0]["name"], "my-xnode");

    let listed = program.sandbox(&["-o", "json", "list"]).exits(0).json();
    let instance = &listed["instances"][0];
    assert_eq!(instance["id"], id.as_str());
    assert_eq!(instance["managed"], true);
    assert_eq!(instance["status"], "running");
    for key in ["id", "name", "provider", "status", "ip_address", "region", "created_at", "metadata"] {
        assert!(instance.get(key).is_some(), "{key} is missing in {instance}");
    }

    let status = |program: &Program| {
        program.sandbox(&["-o", "json", "show", "my-xnode"]).exits(0).json()["instance"]["status"].clone()
    };
    program.sandbox(&["stop", "my-xnode"]).exits(0);
    assert_eq!(status(&program), "stopped");
    program.sandbox(&["start", "my"]).exits(0);
    assert_eq!(status(&program), "running");
    program.sandbox(&["reboot", &id]).exits(0);
    assert_eq!(status(&program), "running");

    let unasked = program.sandbox(&["delete", "my-xnode"]).exits(2);
    assert!(unasked.stderr.contains("--yes"), "{unasked:?}");
    program.sandbox(&["delete", "my-xnode", "--yes"]).exits(0);
    assert_eq!(program.sandbox(&["-o", "json", "list"]).exits(0).json()["instances"], serde_json::json!([]));
    assert_eq!(program.ledger().living().len(), 0);
}

#[test]
fn several_servers_are_made_at_once() {
    let program = Program::new();
    program
        .sandbox(&["deploy", "web", "--count", "12", "--provider", "digitalocean", "--plan", "s-1vcpu-1gb"])
        .exits(0);
    let listed = program.sandbox(&["-o", "json", "list", "--managed"]).exits(0).json();
    let mut names: Vec<&str> =
        listed["instances"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 12);
    assert_eq!(program.machines().living, 12);
}

#[test]
fn every_provider_deploys() {
    let deploys = |provider: &str| {
        let program = Program::new();
        program.sandbox(&["deploy", "one", "--provider", provider, "--min-cpu", "1"]).exits(0);
        assert_eq!(program.machines().living, 1, "{provider}");
        program.sandbox(&["delete", "one", "--yes"]).exits(0);
        assert_eq!(program.ledger().living().len(), 0, "{provider}");
    };
    // Whole machines take long, so nobody waits for another.
    std::thread::scope(|scope| {
        for entry in capsule_providers::all() {
            scope.spawn(move || deploys(entry.descriptor.id.as_str()));
        }
    });
}

#[test]
fn a_dry_run_orders_nothing() {
    let program = Program::new();
    let said = program.sandbox(&["-o", "json", "deploy", "web", "--min-cpu", "1", "--dry-run"]).exits(0).json();
    assert!(said["placements"].as_array().is_some_and(|placements| !placements.is_empty()));
    assert_eq!(program.ledger().living().len(), 0);
}

#[test]
fn completions_and_manual_pages_are_written() {
    let program = Program::new();
    assert!(program.run(&["completions", "bash"]).exits(0).stdout.contains("_capsule"));
    assert!(program.run(&["man"]).exits(0).stdout.contains(".TH"));
    assert!(program.files().is_empty(), "neither needs a home");
}

#[test]
fn catalogues_are_shown() {
    let program = Program::new();
    for command in ["plans", "cheapest", "regions", "images", "providers", "ops", "doctor"] {
        let table = program.sandbox(&[command]).exits(0);
        assert!(command == "ops" || table.stdout.contains("digitalocean"), "{table:?}");
        program.sandbox(&["-o", "json", command]).exits(0).json();
    }
    program.sandbox(&["provider", "check"]).exits(0);
}
