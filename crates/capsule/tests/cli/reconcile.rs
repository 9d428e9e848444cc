//! What the vendors say that they charge, beside our figure.

use std::sync::Arc;

use capsule_core::{Clock, ProviderId, SystemClock};
use capsule_sim::{Fault, Machine, Options, Sim, State, Timeline, What};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::program::{Program, Run};

/// No server takes long.
const FAST: (&str, &str) = ("CAPSULE_SANDBOX_SPEED", "10000");
const ALL: [&str; 7] = ["aws", "digitalocean", "equinix", "hivelocity", "linode", "scaleway", "vultr"];

fn with_a_server_at(providers: &[&str]) -> Program {
    let program = Program::new();
    for provider in providers {
        let deploy = ["--sandbox", "deploy", provider, "--provider", provider, "--min-cpu", "1"];
        program.run_with(&[FAST], &deploy).exits(0);
    }
    program
}

fn reconcile(program: &Program) -> Run {
    program.run_with(&[FAST], &["--sandbox", "-o", "json", "cost", "--reconcile"])
}

fn clouds(program: &Program) -> Sim {
    Sim::open(&program.home().join("sandbox/world.json"), Arc::new(SystemClock), Options::default()).unwrap()
}

fn row<'a>(answer: &'a Value, provider: &str) -> &'a Value {
    let rows = answer["providers"].as_array().unwrap();
    rows.iter().find(|row| row["provider"] == provider).unwrap_or_else(|| panic!("no {provider} in {answer:#}"))
}

fn cents(money: &Value) -> i64 {
    let text = money["amount"].as_str().unwrap_or_else(|| panic!("no money: {money}"));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let sign = if text.starts_with('-') { -1 } else { 1 };
    whole.parse::<i64>().unwrap() * 100 + sign * format!("{part:0<2}")[..2].parse::<i64>().unwrap()
}

#[test]
fn every_provider_is_set_beside_our_figure_or_named() {
    let program = with_a_server_at(&ALL);
    let answer = reconcile(&program).exits(0).json();
    for provider in ALL {
        if provider == "aws" {
            assert_eq!(answer["untold"][0]["provider"], "aws", "{answer:#}");
            continue;
        }
        let row = row(&answer, provider);
        assert!(row["ours"].is_object(), "{row:#}");
        if provider == "hivelocity" {
            assert_eq!((&row["difference"], &row["causes"]), (&Value::Null, &json!([])), "{row:#}");
            assert!(row["statement"]["notes"][0].as_str().unwrap().contains("Only what is on invoices"), "{row:#}");
            continue;
        }
        // Both sides reckon for themselves: an hour that began, to the cent.
        assert!(cents(&row["statement"]["charged"]) >= 0 && cents(&row["difference"]).abs() <= 1, "{row:#}");
        assert_ne!(row["statement"]["charged"]["amount"], "0", "{row:#}");
    }
    assert_eq!(answer["errors"], json!([]));

    let table = program.run_with(&[FAST], &["--sandbox", "cost", "--reconcile"]).exits(0);
    for words in ["THE VENDOR'S", "DIFFERENCE", "linode: The vendor's estimate of this month's invoice"] {
        assert!(table.stdout.contains(words), "`{words}` is missing in {}", table.stdout);
    }
    assert!(table.stderr.contains("aws: an answer costs 0.01 USD"), "{}", table.stderr);
}

/// Whoever takes money for an answer is asked on request alone, and the cost is said before.
#[test]
fn a_paid_question_is_asked_on_request_alone() {
    let program = with_a_server_at(&["aws"]);
    let asked = || clouds(&program).ledger().unwrap().count("aws", "ce.GetCostAndUsage");
    reconcile(&program).exits(0);
    assert_eq!(asked(), 0);
    let arguments = ["--sandbox", "-o", "json", "cost", "--reconcile", "--paid-queries"];
    let paid = program.run_with(&[FAST], &arguments).exits(0);
    assert!(paid.stderr.contains("Asking AWS EC2 what it charges costs 0.01 USD."), "{}", paid.stderr);
    assert_eq!(asked(), 1, "no answer is paid for twice");
    let answer = paid.json();
    let row = row(&answer, "aws");
    // The vendor is hours late: of a server this young it knows nothing.
    assert_eq!(row["statement"]["charged"], json!({ "amount": "0", "currency": "USD" }), "{row:#}");
    assert!(row["statement"]["notes"][1].as_str().unwrap().contains("0.01 USD"), "{row:#}");
    program.run(&["--sandbox", "cost", "--paid-queries"]).exits(2);
}

#[test]
fn a_server_of_somebody_else_explains_the_difference() {
    let program = with_a_server_at(&["linode"]);
    clouds(&program)
        .edit(|world| {
            let machines = &mut world.clouds.get_mut("linode").unwrap().machines;
            let own = machines.iter().next().unwrap().clone();
            for number in ["77", "78"] {
                machines.push(Machine { id: number.into(), name: format!("by-hand-{number}"), ..own.clone() });
            }
        })
        .unwrap();
    let answer = reconcile(&program).exits(0).json();
    let row = row(&answer, "linode");
    // Three servers of 0.0075 USD, to the cent, less our one.
    assert_eq!((&row["ours"]["amount"], &row["difference"]["amount"]), (&json!("0.0075"), &json!("0.0125")), "{row:#}");
    assert_eq!(row["causes"][0], json!({ "cause": "others", "servers": 2 }), "{row:#}");
    let table = program.run_with(&[FAST], &["--sandbox", "cost", "--reconcile"]).exits(0).stdout;
    assert!(
        table.contains("linode: the difference may come from 2 servers on the account that Capsule did not"),
        "{table}"
    );
}

/// The first moment of the last month that has ended, the moment 100 hours later, and the month as it is typed.
fn last_month() -> (Timestamp, Timestamp, String) {
    let today = TimeZone::UTC.to_datetime(SystemClock.now()).date();
    let month = today.first_of_month().checked_sub(1.month()).unwrap();
    let start = TimeZone::UTC.to_timestamp(month.into()).unwrap();
    (start, start + SignedDuration::from_hours(100), month.strftime("%Y-%m").to_string())
}

#[test]
fn a_month_that_ended_is_set_beside_its_invoice_line_by_line() {
    let program = with_a_server_at(&["linode", "digitalocean"]);
    let (start, later, month) = last_month();
    // Two that were there for 100 hours of that month, and are still: one of them is then adopted.
    clouds(&program)
        .edit(|world| {
            let machines = &mut world.clouds.get_mut("linode").unwrap().machines;
            let own = machines.iter().next().unwrap().clone();
            for (number, name) in [("77", "old"), ("78", "by-hand")] {
                let mut timeline = Timeline::new(start, State::Running);
                timeline.then(later, State::Deleting);
                timeline.then(SystemClock.now() + SignedDuration::from_hours(1), State::Gone);
                let born = Machine { id: number.into(), name: name.into(), born_at: start, timeline, ..own.clone() };
                machines.push(Machine { tags: Default::default(), ..born });
            }
        })
        .unwrap();
    program.run_with(&[FAST], &["--sandbox", "adopt", "old", "--foreign"]).exits(0);
    let ask = |json: bool| {
        let format: &[&str] = if json { &["-o", "json"] } else { &[] };
        let arguments = [&["--sandbox"], format, &["cost", "--reconcile", "--month", &month]].concat();
        program.run_with(&[FAST], &arguments).exits(0)
    };
    let answer = ask(true).json();
    assert_eq!((&answer["month"], &answer["errors"]), (&json!(month), &json!([])));
    assert_eq!(answer["untold"][0]["provider"], "aws", "an answer of it costs money");
    let linode = row(&answer, "linode");
    // To the month's price each, since a server that is ending is billed until it is gone.
    let dollars = |amount: &str| json!({ "amount": amount, "currency": "USD" });
    assert_eq!(linode["invoiced"]["total"], dollars("10"), "{linode:#}");
    assert_eq!((&linode["ours"], &linode["difference"]), (&dollars("5"), &dollars("5")), "{linode:#}");
    assert_eq!(linode["servers"], json!([{ "name": "old", "ours": dollars("5"), "invoiced": dollars("5") }]));
    let plan = linode["invoiced"]["lines"][0]["what"].as_str().unwrap().split(' ').next().unwrap();
    let stranger = format!("{plan} - by-hand (78)");
    assert_eq!(linode["gaps"], json!([{ "cause": "others", "amount": dollars("5"), "about": [stranger] }]));
    // Whoever had nothing in the month says so.
    let empty = row(&answer, "digitalocean");
    assert_eq!((&empty["invoiced"]["total"], &empty["gaps"]), (&Value::Null, &json!([])), "{empty:#}");

    let table = ask(false).stdout;
    for words in [
        "INVOICED",
        "linode: 5.00 USD of the difference: other resources, and servers that Capsule did not order or adopt (",
        "digitalocean: Nothing is invoiced for the month, or not yet.",
    ] {
        assert!(table.contains(words), "`{words}` is missing in {table}");
    }
}

#[test]
fn a_month_that_is_none_or_has_not_ended_is_refused() {
    let program = Program::new();
    let now = SystemClock.now().strftime("%Y-%m").to_string();
    let refused = |month: &str| program.run(&["--sandbox", "cost", "--reconcile", "--month", month]).exits(2).stderr;
    assert!(refused(&now).contains("has not ended, so there is no invoice for it"), "{}", refused(&now));
    assert!(refused("2026-13").contains("`2026-13` is not a month such as 2026-10"), "{}", refused("2026-13"));
    assert!(refused("2026-1-1").contains("is not a month"), "{}", refused("2026-1-1"));
    program.run(&["--sandbox", "cost", "--month", "2026-01"]).exits(2);
}

#[test]
fn who_refuses_is_named_and_who_fails_too() {
    let program = with_a_server_at(&["linode"]);
    let sim = clouds(&program);
    let refuse = |provider: &'static str, operation, code| {
        let what = What::Status { code, after_effect: false };
        sim.inject(Fault { times: None, ..Fault::once(ProviderId::new(provider), operation, what) }).unwrap();
    };
    refuse("digitalocean", "balance.get", 403);
    let answer = reconcile(&program).exits(0).json();
    let untold = answer["untold"].as_array().unwrap();
    let why = untold.iter().find(|row| row["provider"] == "digitalocean").unwrap()["why"].as_str().unwrap();
    assert_eq!(why, "the key may not see what is charged; it needs the scope `billing:read`.");
    refuse("vultr", "charges.pending", 404);
    let failed = reconcile(&program).exits(1);
    assert!(failed.json()["errors"][0]["message"].as_str().unwrap().contains("Vultr does not say what it charges"));
    assert!(row(&failed.json(), "linode")["difference"].is_object(), "the others are there all the same");
}
