use proptest::prelude::*;

use super::*;
use crate::ledger::tests::{account, at, money, price, record};

/// A server of 0.10 USD an hour since then.
fn server(name: &str, from: &str, gone: Option<&str>) -> Account {
    account(record(name, "x", from, gone, Some(price("0.10", Currency::USD, true))))
}

fn line(what: &str, kind: LineKind, amount: &str) -> InvoiceLine {
    InvoiceLine { what: what.to_owned(), kind, server: None, amount: money(amount, Currency::USD) }
}

fn month(total: Option<&str>, lines: Vec<InvoiceLine>) -> Invoiced {
    let mut invoiced = Invoiced::nothing(at("2026-04-05T00:00:00Z"), "2026-03-01".parse().unwrap());
    if let Some(total) = total {
        invoiced.add(Some("I-1".to_owned()), money(total, Currency::USD), lines).unwrap();
    }
    invoiced
}

fn against(accounts: &[Account], invoiced: Invoiced) -> MonthComparison {
    compare_month(&ProviderId::new("x"), accounts, invoiced).unwrap()
}

fn said(comparison: &MonthComparison) -> Vec<(GapCause, String, Vec<&str>)> {
    let gaps = comparison.gaps.iter();
    gaps.map(|gap| (gap.cause, gap.amount.to_string(), gap.about.iter().map(String::as_str).collect())).collect()
}

#[test]
fn lines_that_name_our_servers_and_agree_leave_nothing_to_explain() {
    let accounts = [
        // 744 hours of it are of March, by whatever was before and after.
        server("a", "2026-02-27T00:00:00Z", None),
        // Two of one name, one after the other.
        server("b", "2026-03-01T00:00:00Z", Some("2026-03-01T10:00:00Z")),
        server("b", "2026-03-31T20:00:00Z", None),
        server("c", "2026-02-01T00:00:00Z", Some("2026-02-02T00:00:00Z")),
        server("d", "2026-04-01T00:00:00Z", None),
    ];
    let usage = LineKind::Usage;
    let by_id = InvoiceLine { server: Some(accounts[0].record.id.native.clone()), ..line("plan", usage, "74.40") };
    let same = against(&accounts, month(Some("75.80"), vec![by_id, line("small [b]", usage, "1.40")]));
    assert_eq!(
        (same.ours.unwrap().to_string(), same.difference.unwrap().to_string().as_str()),
        ("75.8 USD".to_owned(), "0 USD")
    );
    assert_eq!(said(&same), []);
    let servers: Vec<_> = same.servers.iter().map(|server| (server.name.as_str(), server.invoiced)).collect();
    let dollars = |text| Some(money(text, Currency::USD));
    assert_eq!(servers, [("a", dollars("74.4")), ("b", dollars("1.4"))]);
}

#[test]
fn each_cause_is_named_with_its_part() {
    let unpriced = account(record("u", "x", "2026-03-01T00:00:00Z", None, None));
    let hours = |name| server(name, "2026-03-01T00:00:00Z", Some("2026-03-01T10:00:00Z"));
    let accounts = [hours("round"), hours("other"), hours("unbilled"), unpriced];
    let lines = vec![
        line("round (small)", LineKind::Usage, "1.01"),
        line("other (small)", LineKind::Usage, "3"),
        line("u (small)", LineKind::Usage, "7"),
        line("round-2 (small)", LineKind::Usage, "20"),
        line("VAT", LineKind::Tax, "5"),
        line("coupon", LineKind::Credit, "-2.50"),
    ];
    let compared = against(&accounts, month(Some("34"), lines));
    assert_eq!(compared.difference.unwrap().to_string(), "31 USD");
    assert_eq!(
        said(&compared),
        [
            (GapCause::Rounding, "0.01 USD".to_owned(), vec!["round"]),
            (GapCause::Differs, "2 USD".to_owned(), vec!["other"]),
            (GapCause::Missing, "-1 USD".to_owned(), vec!["unbilled"]),
            (GapCause::Unpriced, "7 USD".to_owned(), vec!["u"]),
            (GapCause::Others, "20 USD".to_owned(), vec!["round-2 (small)"]),
            (GapCause::Tax, "5 USD".to_owned(), vec!["VAT"]),
            (GapCause::Credit, "-2.5 USD".to_owned(), vec!["coupon"]),
            (GapCause::Unitemized, "0.49 USD".to_owned(), vec!["not itemized"]),
        ]
    );
}

#[test]
fn servers_as_a_whole_stand_beside_those_that_no_line_names() {
    let accounts = [
        server("a", "2026-03-01T00:00:00Z", Some("2026-03-01T10:00:00Z")),
        server("b", "2026-03-01T00:00:00Z", Some("2026-03-01T10:00:00Z")),
    ];
    let compute = |amount| vec![line("Compute", LineKind::Servers, amount)];
    assert_eq!(said(&against(&accounts, month(Some("2"), compute("2")))), []);
    let more = against(&accounts, month(Some("3.50"), compute("3.50")));
    assert_eq!(said(&more), [(GapCause::Pooled, "1.5 USD".to_owned(), vec!["a", "b", "Compute"])]);
}

#[test]
fn a_line_that_could_be_two_servers_is_neithers() {
    let hours = |name| server(name, "2026-03-01T00:00:00Z", Some("2026-03-01T10:00:00Z"));
    let accounts = [hours("web"), hours("Compute")];
    let compared = against(&accounts, month(Some("1"), vec![line("Compute, small [web]", LineKind::Usage, "1")]));
    let causes: Vec<_> = compared.gaps.iter().map(|gap| gap.cause).collect();
    assert_eq!(causes, [GapCause::Missing, GapCause::Others]);
}

#[test]
fn what_is_not_written_is_not_compared() {
    let accounts = [server("a", "2026-03-01T00:00:00Z", Some("2026-03-01T10:00:00Z"))];
    let nothing = against(&accounts, month(None, vec![]));
    assert_eq!(
        (nothing.ours.unwrap().to_string(), nothing.difference, nothing.gaps.len()),
        ("1 USD".to_owned(), None, 0)
    );
    let nobody = against(&[], month(Some("4"), vec![line("bucket", LineKind::Usage, "4")]));
    assert_eq!(
        (nobody.ours.unwrap().to_string(), nobody.difference.unwrap().to_string()),
        ("0 USD".to_owned(), "4 USD".to_owned())
    );
}

#[test]
fn money_of_two_currencies_is_never_mixed() {
    let euros = account(record("a", "x", "2026-03-01T00:00:00Z", None, Some(price("1", Currency::EUR, true))));
    assert!(compare_month(&ProviderId::new("x"), &[euros], month(Some("1"), vec![])).is_err());
}

proptest! {
    /// Whatever is on an invoice, the causes come to the difference.
    #[test]
    fn the_causes_come_to_the_difference(
        hours in prop::collection::vec(1_u8..20, 0..4),
        lines in prop::collection::vec((0_usize..6, 0_usize..5, -500_i64..5000), 0..8),
        total in -1000_i64..100_000,
    ) {
        let names = ["a", "b", "c", "d"];
        let accounts: Vec<_> = names.iter().zip(&hours).map(|(name, hours)| {
            server(name, "2026-03-01T00:00:00Z", Some(&format!("2026-03-01T{hours:02}:00:00Z")))
        }).collect();
        let kinds = [LineKind::Usage, LineKind::Servers, LineKind::Tax, LineKind::Credit, LineKind::Unitemized];
        let cents = |cents: i64| money(&format!("{cents}e-2"), Currency::USD);
        let lines = lines.iter().map(|(name, kind, amount)| InvoiceLine {
            what: names.get(*name).map_or("bucket".to_owned(), |name| format!("{name}, small")),
            kind: kinds[*kind],
            server: None,
            amount: cents(*amount),
        });
        let mut invoiced = month(None, vec![]);
        invoiced.add(None, cents(total), lines).unwrap();
        let compared = against(&accounts, invoiced);
        let gaps = compared.gaps.iter().map(|gap| gap.amount);
        let sum = gaps.fold(Money::zero(Currency::USD), |sum, amount| sum.checked_add(amount).unwrap());
        prop_assert_eq!(Some(sum), compared.difference);
    }
}
