use std::time::Duration;

use capsule_core::{
    Addresses, BillingRule, BillingUnit, Error, ErrorKind, Granularity, InstanceId, InstanceStatus, Price, Rates, Tags,
};
use capsule_engine::budget::{Budget, Figures};
use capsule_engine::{OperationId, Record};

use super::*;
use crate::commands::cost::{date, days, files, total};

/// What a name must never become.
const HOSTILE: &str = "\"><script>alert('x')</script>&";

fn account(name: &str, provider: &'static str, hourly: &str, currency: Currency, from: &str) -> Account {
    let rule = BillingRule {
        granularity: Granularity::Hour,
        minimum: Duration::from_secs(3600),
        minimum_each_start: false,
        minimum_charge: None,
        stopped_is_billed: false,
        from_running: false,
        until_asked: false,
        source: "test".into(),
        as_of: Date::constant(2026, 1, 1),
    };
    let amount = Money::parse(hourly, currency).unwrap();
    let price = Price { amount, per: BillingUnit::Hour, monthly_cap: None, setup: None, extras: Vec::new(), rule };
    let record = Record {
        id: InstanceId::new(provider, "r1", name),
        name: name.to_owned(),
        status: InstanceStatus::Running,
        addresses: Addresses::default(),
        plan: "p".to_owned(),
        kind: None,
        image: None,
        tags: [("note".to_owned(), HOSTILE.to_owned())].into_iter().collect::<Tags>(),
        price: Some(price),
        token: None,
        operation: OperationId::random(),
        foreign: false,
        rebuilt: false,
        goal: None,
        created_at: from.parse().unwrap(),
        known_since: None,
        not_running_at: None,
        gone_at: None,
    };
    Account { record, off: Vec::new() }
}

fn accounts() -> Vec<Account> {
    vec![
        account("web", "vultr", "0.05", Currency::USD, "2026-10-20T12:00:00Z"),
        account("db", "digitalocean", "0.0625", Currency::USD, "2026-11-03T00:00:00Z"),
        account(HOSTILE, "scaleway", "0.1", Currency::EUR, "2026-11-09T23:00:00Z"),
    ]
}

/// How a budget stands, or why that is not known.
fn standing(known: Result<(), &str>) -> Standing {
    let (monthly, nothing) = (Money::constant(9, 0, Currency::USD), Money::zero(Currency::USD));
    let scope = capsule_engine::budget::Scope::All;
    let budget = Budget { name: "team".to_owned(), monthly, scope, warn: vec![], block: true, rates: Rates::default() };
    let figures = Figures { this_month: nothing, full_month: nothing, remaining: monthly, unpriced: 0, warning: None };
    Standing { budget, figures: known.map(|()| figures).map_err(|why| Error::new(ErrorKind::Invalid, why)) }
}

const NOW: &str = "2026-11-10T06:00:00Z";

#[test]
fn a_page_shows_every_number_and_no_name_is_markup() {
    let (accounts, now): (_, Timestamp) = (accounts(), NOW.parse().unwrap());
    let end = capsule_engine::ledger::month_end(now);
    let by = By::Tag("note".to_owned());
    let groups = summary(&accounts, &by, None, now).unwrap();
    let charged = days(&accounts, now, None, None).unwrap();
    let (days, total) = (days(&accounts, end, None, None).unwrap(), total(&groups).unwrap());
    let budgets = [standing(Ok(())), standing(Err("a rate is missing"))];
    let html = page(&Page {
        accounts: &accounts,
        groups: &groups,
        total: &total,
        charged: &charged,
        days: &days,
        budgets: &budgets,
        title: HOSTILE,
        since: None,
        now,
        today: date(now),
        last: date(end).yesterday().unwrap(),
    })
    .unwrap();
    assert!(!html.contains("<script") && !html.contains(HOSTILE), "a name became markup");
    assert_eq!(html.matches("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;").count(), 5);
    assert!(!html.contains("http://") && !html.contains("https://"), "it loads something");
    // 498 hours at 0.05 and 174 at 0.0625; 7 at 0.1.
    for amount in ["data-usd=\"35.775", "data-eur=\"0.7"] {
        assert!(html.contains(amount), "{amount} is missing");
    }
    let (bars, pale) = (html.matches("<rect x=").count(), html.matches(" due\"").count());
    // Days of 2026-10-20 to 11-30, 11-03 to 11-30, 11-09 to 11-30; 20 of each are to come, and of today a piece of each.
    assert_eq!((bars, pale), (42 + 28 + 22 + 3, 63));
    // Today at six: six hours of each server are charged, and eighteen are to come.
    for piece in [
        "2026-11-10 vultr: 0.30 USD<",
        "2026-11-10 vultr: 0.90 USD (forecast)",
        "2026-11-10 scaleway: 1.80 EUR (forecast)",
    ] {
        assert!(html.contains(piece), "{piece} is missing");
    }
    assert!(html.contains("a rate is missing") && html.matches("<tr data-key=\"team\">").count() == 2, "{html}");
}

#[test]
fn a_focus_row_is_a_day_of_a_server() {
    let (accounts, now): (_, Timestamp) = (accounts(), NOW.parse().unwrap());
    let days = days(&accounts, now, Some(Date::constant(2026, 11, 9)), Some(Date::constant(2026, 11, 9))).unwrap();
    let text = files::focus(&files::focus_rows(&days, now));
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert!(rows[1].contains(",1.5000000000,") && rows[1].contains(",24.000,Hours,"), "{}", rows[1]);
    assert!(rows[2].contains(",0.1000000000,") && rows[2].contains(",1.000,Hours,"), "{}", rows[2]);
    assert!(rows[3].contains("2026-12-01T00:00:00Z,2026-11-01T00:00:00Z,Usage"), "{}", rows[3]);
}
