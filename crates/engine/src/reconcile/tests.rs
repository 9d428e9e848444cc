use capsule_core::{Currency, StatementLine};

use super::*;
use crate::ledger::tests::{account, at, money, price, record};

const NOW: &str = "2026-03-02T00:00:00Z";

fn statement(charged: Option<&str>, since: Option<&str>) -> Statement {
    let charged = charged.map(|text| money(text, Currency::USD));
    Statement {
        asked_at: at(NOW),
        since: since.map(|day| day.parse().unwrap()),
        charged,
        balance: None,
        lines: charged.map(|amount| StatementLine { what: "servers".to_owned(), amount }).into_iter().collect(),
        notes: Vec::new(),
    }
}

/// A server of 0.10 USD an hour since then.
fn server(name: &str, from: &str, gone: Option<&str>) -> Account {
    account(record(name, "x", from, gone, Some(price("0.10", Currency::USD, true))))
}

fn against(accounts: &[Account], charged: Option<&str>, listed: Option<&[InstanceId]>) -> Comparison {
    compare(&ProviderId::new("x"), accounts, statement(charged, Some("2026-03-01")), listed).unwrap()
}

fn said(comparison: &Comparison) -> (String, String) {
    let text = |money: Option<Money>| money.map_or("-".to_owned(), |money| money.to_string());
    (text(comparison.ours), text(comparison.difference))
}

fn id(name: &str) -> InstanceId {
    record(name, "x", NOW, None, None).id
}

#[test]
fn only_the_vendors_own_period_and_servers_count() {
    let elsewhere = account(record("d", "y", "2026-03-01T00:00:00Z", None, Some(price("9", Currency::EUR, true))));
    let accounts = [
        // 24 of its hours are of this month.
        server("a", "2026-02-27T00:00:00Z", None),
        server("b", "2026-03-01T12:00:00Z", Some("2026-03-01T14:00:00Z")),
        server("c", "2026-02-01T00:00:00Z", Some("2026-02-02T00:00:00Z")),
        elsewhere,
    ];
    let same = against(&accounts, Some("2.60"), Some(&[id("a")]));
    assert_eq!(said(&same), ("2.6 USD".to_owned(), "0 USD".to_owned()));
    assert_eq!(same.causes, [], "there is nothing to explain");
}

#[test]
fn a_difference_has_its_likely_causes_the_surest_first() {
    let unpriced = account(record("u", "x", "2026-03-01T00:00:00Z", None, None));
    let accounts = [server("a", "2026-02-27T00:00:00Z", None), unpriced];
    let listed = [id("a"), id("u"), id("stranger"), id("other")];
    let more = against(&accounts, Some("12.40"), Some(&listed));
    assert_eq!(said(&more), ("2.4 USD".to_owned(), "10 USD".to_owned()));
    let others = Cause::Others { servers: 2 };
    let expected = [Cause::Unpriced { servers: 1 }, others, Cause::Boundary { servers: 2 }, Cause::Beside];
    assert_eq!(more.causes, expected);
    assert!(against(&accounts, Some("12.40"), None).causes.contains(&Cause::OthersUnknown));
}

#[test]
fn a_cent_for_each_server_is_rounding() {
    let accounts = [server("a", "2026-03-01T00:00:00Z", None), server("b", "2026-03-01T00:00:00Z", None)];
    let listed = [id("a"), id("b")];
    assert_eq!(against(&accounts, Some("4.82"), Some(&listed)).causes, [Cause::Rounding]);
    let beyond = against(&accounts, Some("4.83"), Some(&listed)).causes;
    assert_eq!(beyond, [Cause::Boundary { servers: 2 }, Cause::Beside]);
    let stranger = [id("a"), id("b"), id("c")];
    assert_eq!(against(&accounts, Some("4.82"), Some(&stranger)).causes[0], Cause::Others { servers: 1 });
}

#[test]
fn what_the_vendor_does_not_tell_is_not_compared() {
    let accounts = [server("a", "2026-03-01T00:00:00Z", None)];
    let untold = compare(&ProviderId::new("x"), &accounts, statement(None, None), Some(&[id("a")])).unwrap();
    assert_eq!(said(&untold), ("2.4 USD".to_owned(), "-".to_owned()));
    assert_eq!((untold.since.to_string().as_str(), untold.causes.as_slice()), ("2026-03-01", &[][..]));
}

#[test]
fn money_of_two_currencies_is_never_mixed() {
    let accounts = [account(record("a", "x", NOW, None, Some(price("1", Currency::EUR, true))))];
    let told = Statement { asked_at: at("2026-03-03T00:00:00Z"), ..statement(Some("1"), Some("2026-03-01")) };
    assert!(compare(&ProviderId::new("x"), &accounts, told, None).is_err());
}
