//! Kill -9 at each journal event, then resume: one server, one record, no orphan.

use crate::program::Program;

const DEPLOY: [&str; 6] = ["deploy", "web", "--min-cpu", "1", "--provider", "digitalocean"];

/// Whole machines take long, even in a sandbox.
const FAST: (&str, &str) = ("CAPSULE_SANDBOX_SPEED", "1000");

/// Runs `args`, killed right after the n-th event; `false` once there is no n-th event any more.
fn killed_after(program: &Program, event: u32, args: &[&str]) -> bool {
    let nth = event.to_string();
    let run = program.run_with(&[FAST, ("CAPSULE_DIE_AFTER_EVENT", &nth)], &[&["--sandbox"], args].concat());
    assert!(run.code.is_none() || run.code == Some(0), "{run:#?}");
    run.code.is_none()
}

fn a_deploy_killed_at_any_event_resumes_to_one_server(provider: &str) {
    let mut killed = 0;
    for event in 1.. {
        let at = format!("{provider}, after event {event}");
        let program = Program::new();
        let run = |args: &[&str]| program.run_with(&[FAST], &[&["--sandbox"], args].concat());
        if !killed_after(&program, event, &["deploy", "web", "--min-cpu", "1", "--provider", provider]) {
            break;
        }
        killed += 1;
        // After the second the journal says that the call is sent, and nothing is sent yet: only a look can tell.
        assert!(event > 2 || program.machines().born == 0, "{at}");
        run(&["resume"]).exits(0);
        let machines = program.machines();
        assert_eq!((machines.born, machines.living), (1, 1), "{at}");
        let listed = run(&["-o", "json", "list", "--managed", "--provider", provider]).exits(0).json();
        assert_eq!(listed["instances"].as_array().unwrap().len(), 1, "{at}");
        let open = run(&["-o", "json", "ops", "--open"]).exits(0).json();
        assert_eq!(open["operations"], serde_json::json!([]), "{at}");
        run(&["show", "web"]).exits(0);
        // Once at each provider is enough: some take their time.
        if event == 2 {
            run(&["delete", "web", "--yes"]).exits(0);
            assert_eq!(program.ledger().living().len(), 0, "{at}");
        }
    }
    assert!(killed >= 4, "{provider}: a deploy has at least four events, {killed} were tried");
}

#[test]
fn a_deploy_killed_at_any_event_resumes_to_one_server_at_every_provider() {
    std::thread::scope(|scope| {
        for entry in capsule_providers::all() {
            scope.spawn(|| a_deploy_killed_at_any_event_resumes_to_one_server(entry.descriptor.id.as_str()));
        }
    });
}

#[test]
fn a_delete_killed_at_any_event_resumes_to_none() {
    let mut killed = 0;
    for event in 1.. {
        let program = Program::new();
        program.run_with(&[FAST], &[&["--sandbox"], &DEPLOY[..]].concat()).exits(0);
        if !killed_after(&program, event, &["delete", "web", "--yes"]) {
            break;
        }
        killed += 1;
        program.run_with(&[FAST], &["--sandbox", "resume"]).exits(0);
        assert_eq!(program.ledger().living().len(), 0, "after event {event}");
        let again = program.sandbox(&["show", "web"]).exits(1);
        assert!(again.stderr.contains("web"), "{again:?}");
    }
    assert!(killed >= 2, "a delete has at least two events, {killed} were tried");
}
