use std::time::Duration;

use capsule_core::{Addresses, BillingRule, BillingUnit, Extra, ExtraKind, Granularity, InstanceStatus, Tags};
use serde_json::json;

use super::*;
use crate::operation::OperationId;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn money(text: &str, currency: Currency) -> Money {
    Money::parse(text, currency).unwrap()
}

pub(crate) fn price(hourly: &str, currency: Currency, stopped_is_billed: bool) -> Price {
    Price {
        amount: money(hourly, currency),
        per: BillingUnit::Hour,
        monthly_cap: None,
        setup: None,
        extras: Vec::new(),
        rule: BillingRule {
            granularity: Granularity::Hour,
            minimum: Duration::from_secs(3600),
            minimum_each_start: false,
            minimum_charge: None,
            stopped_is_billed,
            from_running: false,
            until_asked: false,
            source: "test".into(),
            as_of: Date::constant(2026, 1, 1),
        },
    }
}

pub(crate) fn record(
    name: &str,
    provider: &'static str,
    from: &str,
    gone: Option<&str>,
    price: Option<Price>,
) -> Record {
    Record {
        id: InstanceId::new(provider, "r1", name),
        name: name.to_owned(),
        status: InstanceStatus::Running,
        addresses: Addresses::default(),
        plan: "p".to_owned(),
        kind: None,
        image: None,
        tags: Tags::default(),
        price,
        token: None,
        operation: OperationId::random(),
        foreign: false,
        rebuilt: false,
        goal: Some(json!({"owner": "eth:00"})),
        created_at: at(from),
        known_since: None,
        not_running_at: None,
        gone_at: gone.map(at),
    }
}

pub(crate) fn account(record: Record) -> Account {
    Account { record, off: Vec::new() }
}

fn usd(text: &str) -> Money {
    money(text, Currency::USD)
}

#[test]
fn history_survives_deletion_and_currencies_stay_apart() {
    let accounts = [
        account(record(
            "a",
            "x",
            "2026-01-01T00:00:00Z",
            Some("2026-01-02T00:00:00Z"),
            Some(price("1", Currency::USD, true)),
        )),
        account(record("b", "x", "2026-01-10T00:00:00Z", None, Some(price("2", Currency::EUR, true)))),
        account(record("c", "x", "2026-01-10T00:00:00Z", None, None)),
    ];
    let now = at("2026-01-10T12:00:00Z");
    let groups = summary(&accounts, &By::Provider, None, now).unwrap();
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((group.servers, group.living, group.unpriced), (3, 2, 1));
    assert_eq!(
        (group.actual.of(Currency::USD), group.actual.of(Currency::EUR)),
        (usd("24"), money("24", Currency::EUR))
    );
    // Until the month ends: 21.5 days and a half more of the second one.
    assert_eq!(group.forecast.of(Currency::EUR), money("1056", Currency::EUR));
    assert_eq!(serde_json::to_value(&group.actual).unwrap(), json!({"USD": "24", "EUR": "24"}));
}

#[test]
fn a_period_leaves_out_what_was_before_it() {
    let accounts = [
        account(record(
            "old",
            "x",
            "2025-12-01T00:00:00Z",
            Some("2025-12-02T00:00:00Z"),
            Some(price("1", Currency::USD, true)),
        )),
        account(record(
            "new",
            "x",
            "2025-12-31T00:00:00Z",
            Some("2026-01-01T06:00:00Z"),
            Some(price("1", Currency::USD, true)),
        )),
    ];
    let now = at("2026-01-03T00:00:00Z");
    let since = Some(Date::constant(2026, 1, 1));
    let groups = summary(&accounts, &By::Server, since, now).unwrap();
    assert_eq!(
        groups.iter().map(|g| (g.key.as_str(), g.actual.of(Currency::USD))).collect::<Vec<_>>(),
        [("new", usd("6"))]
    );
    let months = summary(&accounts, &By::Month, None, now).unwrap();
    let months: Vec<_> = months.iter().map(|g| (g.key.as_str(), g.servers, g.actual.of(Currency::USD))).collect();
    assert_eq!(months, [("2025-12", 2, usd("48")), ("2026-01", 1, usd("6"))]);
}

#[test]
fn what_is_off_costs_by_its_rule_and_ends_when_the_start_is_asked_for() {
    let id = InstanceId::new("x", "r1", "a");
    let switch = |off, asked, done| Switched {
        id: id.clone(),
        off,
        asked: at(asked),
        accepted: None,
        not_yet: None,
        done: at(done),
    };
    let switched = [
        switch(true, "2026-01-01T09:30:00Z", "2026-01-01T10:00:00Z"),
        switch(false, "2026-01-01T20:00:00Z", "2026-01-01T20:10:00Z"),
        switch(true, "2026-01-01T22:00:00Z", "2026-01-01T22:00:00Z"),
    ];
    let free = record("a", "x", "2026-01-01T00:00:00Z", None, Some(price("1", Currency::USD, false)));
    let billed = record("a", "x", "2026-01-01T00:00:00Z", None, Some(price("1", Currency::USD, true)));
    let now = at("2026-01-02T00:00:00Z");
    let cost = |record| {
        let accounts = accounts(vec![record], &switched);
        summary(&accounts, &By::Server, None, now).unwrap()[0].actual.of(Currency::USD)
    };
    assert_eq!((cost(free), cost(billed)), (usd("12"), usd("24")));
}

/// On the way from one state to another a vendor's rule says what counts, as far as the moments are known.
#[test]
fn what_lies_between_a_word_and_the_deed_counts_by_the_rule() {
    let id = InstanceId::new("x", "r1", "a");
    let moment = |hour: &str| at(&format!("2026-01-01T{hour}:00Z"));
    let switch = |off, [asked, accepted, not_yet, done]: [&str; 4]| Switched {
        id: id.clone(),
        off,
        asked: moment(asked),
        accepted: (!accepted.is_empty()).then(|| moment(accepted)),
        not_yet: (!not_yet.is_empty()).then(|| moment(not_yet)),
        done: moment(done),
    };
    // Ordered at 00:00 and not running at 01:00; off and on; its end asked for at 20:00, gone at 22:00.
    let known = [
        switch(true, ["04:00", "05:00", "", "06:00"]),
        switch(false, ["08:00", "08:00", "09:00", "10:00"]),
        switch(true, ["19:00", "20:00", "", "22:00"]),
    ];
    let unknown = [
        switch(true, ["04:00", "", "", "06:00"]),
        switch(false, ["08:00", "", "", "10:00"]),
        switch(true, ["19:00", "", "", "22:00"]),
    ];
    let cost = |from_running, until_asked, stopped_is_billed, not_running_at: Option<&str>, switched: &[Switched]| {
        let mut price = price("1", Currency::USD, stopped_is_billed);
        (price.rule.from_running, price.rule.until_asked) = (from_running, until_asked);
        let record = record("a", "x", "2026-01-01T00:00:00Z", Some("2026-01-01T22:00:00Z"), Some(price));
        let record = Record { not_running_at: not_running_at.map(moment), ..record };
        let accounts = accounts(vec![record], switched);
        summary(&accounts, &By::Server, None, at("2026-01-02T00:00:00Z")).unwrap()[0].actual.of(Currency::USD)
    };
    let first = Some("01:00");
    // 01 to 05 and 09 to 20.
    assert_eq!(cost(true, true, false, first, &known), usd("15"));
    // 00 to 06 and 08 to 22: what is not known counts as on.
    assert_eq!(cost(true, true, false, None, &unknown), usd("20"));
    assert_eq!(cost(false, false, false, first, &known), usd("20"));
    // Off or not, from when it first ran.
    assert_eq!(cost(true, false, true, first, &known), usd("21"));
    assert_eq!(cost(true, false, true, None, &known), usd("22"));
}

#[test]
fn the_parts_of_a_price_are_told_apart_and_sum_up() {
    let address = Extra {
        what: ExtraKind::PublicIpv4,
        amount: usd("0.5"),
        per: BillingUnit::Hour,
        count: 1,
        unit: Default::default(),
        while_stopped: true,
        minimum: Default::default(),
    };
    let price = Price { extras: vec![address], ..price("1", Currency::USD, true) };
    let accounts = [
        account(record("a", "x", "2026-01-01T00:00:00Z", None, Some(price))),
        account(record("b", "x", "2026-01-01T00:00:00Z", None, None)),
    ];
    let groups = summary(&accounts, &By::Part, None, at("2026-01-01T10:00:00Z")).unwrap();
    let told: Vec<_> = groups.iter().map(|g| (g.key.as_str(), g.servers, g.actual.of(Currency::USD))).collect();
    assert_eq!(told, [("(unknown)", 1, usd("0")), ("plan", 1, usd("10")), ("public IPv4", 1, usd("5"))]);
    let whole = summary(&accounts, &By::Provider, None, at("2026-01-01T10:00:00Z")).unwrap();
    assert_eq!(whole[0].actual.of(Currency::USD), usd("15"));
}

#[test]
fn owners_are_read_from_the_goal() {
    let accounts = [account(record("a", "x", "2026-01-01T00:00:00Z", None, None))];
    let groups = summary(&accounts, &By::Owner, None, at("2026-01-02T00:00:00Z")).unwrap();
    assert_eq!(groups[0].key, "eth:00");
    let groups = summary(&accounts, &By::Tag("team".to_owned()), None, at("2026-01-02T00:00:00Z")).unwrap();
    assert_eq!(groups[0].key, "(none)");
}

#[test]
fn a_month_ends_with_the_next_one() {
    assert_eq!(month_end(at("2026-12-31T23:59:59Z")), at("2027-01-01T00:00:00Z"));
    assert_eq!(month_end(at("2026-02-01T00:00:00Z")), at("2026-03-01T00:00:00Z"));
}
