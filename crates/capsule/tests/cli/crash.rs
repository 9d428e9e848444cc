//! Kill -9 at each journal event, then resume: one server, one record, no orphan.

use crate::program::Program;

const DEPLOY: [&str; 6] = ["deploy", "web", "--min-cpu", "1", "--provider", "digitalocean"];

/// Runs `args`, killed right after the n-th event; `false` once there is no n-th event any more.
fn killed_after(program: &Program, event: u32, args: &[&str]) -> bool {
    let nth = event.to_string();
    let run = program.run_with(&[("CAPSULE_DIE_AFTER_EVENT", &nth)], &[&["--sandbox"], args].concat());
    assert!(run.code.is_none() || run.code == Some(0), "{run:#?}");
    run.code.is_none()
}

#[test]
fn a_deploy_killed_at_any_event_resumes_to_one_server() {
    let mut killed = 0;
    for event in 1.. {
        let program = Program::new();
        if !killed_after(&program, event, &DEPLOY) {
            break;
        }
        killed += 1;
        program.sandbox(&["resume"]).exits(0);
        assert_eq!(program.machines().living, 1, "after event {event}");
        assert_eq!(program.machines().born, 1, "after event {event}: a second server was made");
        let listed = program.sandbox(&["-o", "json", "list", "--managed"]).exits(0).json();
        assert_eq!(listed["instances"].as_array().unwrap().len(), 1, "after event {event}");
        let open = program.sandbox(&["-o", "json", "ops", "--open"]).exits(0).json();
        assert_eq!(open["operations"], serde_json::json!([]), "after event {event}");
        program.sandbox(&["show", "web"]).exits(0);
        program.sandbox(&["delete", "web", "--yes"]).exits(0);
        assert_eq!(program.ledger().living().len(), 0, "after event {event}");
    }
    assert!(killed >= 4, "a deploy has at least four events, {killed} were tried");
}

#[test]
fn a_delete_killed_at_any_event_resumes_to_none() {
    let mut killed = 0;
    for event in 1.. {
        let program = Program::new();
        program.sandbox(&DEPLOY).exits(0);
        if !killed_after(&program, event, &["delete", "web", "--yes"]) {
            break;
        }
        killed += 1;
        program.sandbox(&["resume"]).exits(0);
        assert_eq!(program.ledger().living().len(), 0, "after event {event}");
        let again = program.sandbox(&["show", "web"]).exits(1);
        assert!(again.stderr.contains("web"), "{again:?}");
    }
    assert!(killed >= 2, "a delete has at least two events, {killed} were tried");
}

/// The journal says that the call is sent, and nothing is sent yet: the moment after which only a look can tell.
#[test]
fn a_deploy_killed_before_its_call_resumes_to_one_server_at_every_provider() {
    let one = |provider: &'static str| {
        let program = Program::new();
        assert!(killed_after(&program, 2, &["deploy", "web", "--min-cpu", "1", "--provider", provider]), "{provider}");
        assert_eq!(program.machines().born, 0, "{provider}");
        program.sandbox(&["resume"]).exits(0);
        let machines = program.machines();
        assert_eq!((machines.born, machines.living), (1, 1), "{provider}");
        program.sandbox(&["delete", "web", "--yes"]).exits(0);
        assert_eq!(program.ledger().living().len(), 0, "{provider}");
    };
    std::thread::scope(|scope| {
        for entry in capsule_providers::all() {
            scope.spawn(move || one(entry.descriptor.id.as_str()));
        }
    });
}
