//! Several processes under one key: one budget.

use std::process::{Child, Stdio};

use crate::program::Program;
use crate::served::Served;

/// A catalogue of Vultr's takes fourteen requests, and thirty a second are allowed. The limit is set to a third of that: on a
/// busy machine requests arrive closer together than they were sent, up to those of three seconds in one. Each for itself
/// they would send forty in the first.
#[test]
fn processes_under_one_key_stay_inside_its_limit_together() {
    let program = Program::new();
    let served = Served::start(&program);
    let endpoint = format!("{}/v2", served.url("vultr"));
    let spawn = || {
        let mut command = program.command(&["-o", "json", "plans", "--provider", "vultr", "--refresh"]);
        command.env("CAPSULE_VULTR_ENDPOINT", &endpoint).env("VULTR_API_KEY", "sandbox");
        command.env("CAPSULE_VULTR_LIMIT", "10/s");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut running: Vec<Child> = (0..5).map(|_| spawn()).collect();
    // One that dies keeps nobody waiting.
    running.pop().unwrap().kill().unwrap();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let requests = program.ledger().requests;
    let answered: u64 = requests.values().sum();
    assert!(answered >= 4 * 14, "{requests:?}");
    let refused: Vec<_> = requests.keys().filter(|key| key.ends_with(" 429")).collect();
    assert!(refused.is_empty(), "{requests:?}");
}

#[test]
fn a_limit_of_ones_own_is_kept_to_or_refused_before_any_request() {
    let program = Program::new();
    let served = Served::start(&program);
    let endpoint = format!("{}/v2", served.url("vultr"));
    let key = [("CAPSULE_VULTR_ENDPOINT", endpoint.as_str()), ("VULTR_API_KEY", "sandbox")];
    let plans = ["-o", "json", "plans", "--provider", "vultr", "--refresh"];
    let limited = |limit| program.run_with(&[&key[..], &[("CAPSULE_VULTR_LIMIT", limit)]].concat(), &plans);
    let refused = limited("fast").exits(1);
    assert!(refused.stderr.contains("CAPSULE_VULTR_LIMIT") && refused.stderr.contains("250/min"), "{refused:?}");
    assert!(program.ledger().requests.is_empty());
    // Fourteen requests; the fifteenth is kept for a delete.
    limited("15/h").exits(0);
    let spent = limited("15/h").exits(1);
    assert!(spent.stderr.contains("request limit is used up"), "{spent:?}");
    assert_eq!(program.ledger().requests.values().sum::<u64>(), 14);
}
