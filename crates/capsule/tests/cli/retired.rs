//! A provider that was switched off: shown as such, and no order goes there unasked.

use std::sync::Arc;

use capsule_core::SystemClock;
use capsule_sim::{Options, SANDBOX_KEY, SANDBOX_PROJECT, Sim};

use crate::program::Program;

const KEYS: [(&str, &str); 2] = [("METAL_AUTH_TOKEN", SANDBOX_KEY), ("METAL_PROJECT_ID", SANDBOX_PROJECT)];
const ORDER: [&str; 7] = ["deploy", "web", "--provider", "equinix", "--min-cpu", "1", "--bare"];

#[test]
fn providers_tells_since_when_and_what_instead() {
    let program = Program::new();
    let table = program.run(&["providers"]).exits(0).stdout;
    let line = table.lines().find(|line| line.contains("equinix")).unwrap();
    assert!(line.contains("retired since 2026-06-30; instead: vultr or hivelocity (bare metal)"), "{line}");
    let providers = program.run(&["-o", "json", "providers"]).exits(0).json();
    let order: Vec<_> =
        providers["providers"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(order, ["hivelocity", "digitalocean", "vultr", "aws", "equinix", "linode", "scaleway"]);
    let lifecycle = &providers["providers"][4]["lifecycle"];
    assert_eq!((&lifecycle["state"], &lifecycle["on"]), (&"retired".into(), &"2026-06-30".into()));
}

#[test]
fn an_order_is_refused_before_anything_is_sent() {
    let program = Program::new();
    let refused = program.run_with(&KEYS, &ORDER).exits(2);
    for words in ["Equinix Metal was switched off on 2026-06-30", "Use vultr or hivelocity (bare metal)", "--force"] {
        assert!(refused.stderr.contains(words), "`{words}` is missing in {}", refused.stderr);
    }
    // Nobody named it: it is no choice, and there is no other.
    let refused = program.run_with(&KEYS, &["deploy", "web", "--min-cpu", "1"]).exits(2);
    assert!(refused.stderr.contains("No provider that still sells is set up"), "{refused:?}");
    let refused = program.run_with(&KEYS, &["deploy", "web", "--plan", "equinix-c3-small"]).exits(2);
    assert!(refused.stderr.contains("Equinix Metal was switched off on 2026-06-30"), "{refused:?}");
    assert!(!program.home().join("journal.db").exists(), "nothing was intended");
}

#[test]
fn force_sends_the_order_to_where_nobody_is() {
    let program = Program::new();
    // A way out that leads nowhere: no test leaves this machine.
    let env = [KEYS[0], KEYS[1], ("HTTPS_PROXY", "http://127.0.0.1:1")];
    let failed = program.run_with(&env, &[&ORDER[..], &["--force"]].concat()).exits(1);
    assert!(failed.stderr.contains("cannot be reached"), "{failed:?}");
    assert!(!failed.stderr.contains("takes no orders"), "{failed:?}");
    let failed = program.run_with(&env, &["list"]).exits(1);
    assert!(failed.stderr.contains("switched off on 2026-06-30: equinix cannot be reached"), "{failed:?}");
}

#[test]
fn another_endpoint_takes_orders() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sim = Sim::in_memory(Arc::new(SystemClock), Options::default());
        let serving = sim.serve(0).await.unwrap();
        let endpoint = format!("{}/metal/v1", serving.base("equinix").unwrap());
        // Other processes are waited for elsewhere: this thread is the vendor.
        let runs = tokio::task::spawn_blocking(move || {
            let env = [KEYS[0], KEYS[1], ("CAPSULE_EQUINIX_ENDPOINT", endpoint.as_str())];
            let program = Program::new();
            program.run_with(&env, &[&ORDER[..], &["--wait", "none"]].concat()).exits(0);
            let listed = program.run_with(&env, &["-o", "json", "list"]).exits(0).json();
            assert_eq!(listed["instances"][0]["name"], "web");
        });
        runs.await.unwrap();
        assert_eq!(sim.ledger().unwrap().living().len(), 1);
        serving.stop().await;
    });
}

#[test]
fn a_missing_project_says_where_to_find_it() {
    let program = Program::new();
    let run = program.run_with(&KEYS[..1], &["provider", "check", "equinix"]).exits(1);
    for words in ["Equinix Metal has no `project_id`", "METAL_PROJECT_ID", "Project Settings"] {
        assert!(run.stderr.contains(words), "`{words}` is missing in {}", run.stderr);
    }
}
