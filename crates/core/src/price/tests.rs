use proptest::prelude::*;

use super::*;
use crate::money::Currency;

fn usd(text: &str) -> Money {
    Money::parse(text, Currency::USD).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn rule(granularity: Granularity, minimum: u64, stopped_is_billed: bool) -> BillingRule {
    BillingRule {
        granularity,
        minimum: Duration::from_secs(minimum),
        minimum_each_start: false,
        minimum_charge: None,
        stopped_is_billed,
        from_running: false,
        until_asked: false,
        source: "test".into(),
        as_of: Date::constant(2026, 1, 1),
    }
}

fn hourly(amount: &str, cap: Option<&str>, rule: BillingRule) -> Price {
    Price {
        amount: usd(amount),
        per: BillingUnit::Hour,
        monthly_cap: cap.map(usd),
        setup: None,
        extras: Vec::new(),
        rule,
    }
}

fn by_second() -> Price {
    let rule = BillingRule { minimum_charge: Some(usd("0.01")), ..rule(Granularity::Second, 60, true) };
    hourly("0.00744", Some("5"), rule)
}

fn by_hour() -> Price {
    hourly("0.0075", Some("5"), rule(Granularity::Hour, 3600, true))
}

/// The kinds of rule that the vendors have, beside what they come to for a server of that many seconds.
#[test]
fn a_duration_costs_what_the_rule_says() {
    let each_start =
        hourly("0.0416", None, BillingRule { minimum_each_start: true, ..rule(Granularity::Second, 60, false) });
    let monthly = Price {
        amount: usd("240"),
        per: BillingUnit::Month,
        monthly_cap: None,
        setup: Some(usd("10")),
        extras: Vec::new(),
        rule: rule(Granularity::Month, 0, true),
    };
    let month = 730 * 3600;
    for (price, seconds, cost) in [
        // By the second with a least amount, and a cap at 672 hours.
        (by_second(), 1, "0.01"),
        (by_second(), 3600 * 10, "0.0744"),
        (by_second(), 672 * 3600, "4.99968"),
        (by_second(), 673 * 3600, "5"),
        (by_second(), month, "5"),
        (by_second(), month + 3600, "5.00744"),
        // By the started hour.
        (by_hour(), 1, "0.0075"),
        (by_hour(), 3601, "0.015"),
        (by_hour(), 667 * 3600, "5"),
        (by_hour(), 2 * month, "10"),
        // By the second with a least time and no cap.
        (each_start.clone(), 3, "0.000693333333333333333333333333"),
        (each_start, month, "30.368"),
        // By the started month, with a set-up fee.
        (monthly.clone(), 60, "250"),
        (monthly.clone(), month, "250"),
        (monthly, month + 1, "490"),
    ] {
        let duration = Duration::from_secs(seconds);
        assert_eq!(price.for_duration(duration).unwrap().round(27), usd(cost).round(27), "{seconds} s of {price:?}");
    }
}

#[test]
fn a_month_never_costs_more_than_its_cap() {
    assert_eq!(by_second().monthly().unwrap(), usd("5"));
    assert_eq!(Price { monthly_cap: None, ..by_second() }.monthly().unwrap(), usd("5.4312"));
    let life = Life::new(at("2026-01-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
    assert_eq!(by_second().total(&life).unwrap(), usd("9.99968"), "a capped January, and 672 hours of February");
}

#[test]
fn a_started_hour_is_charged_to_the_day_it_began_in() {
    let life = Life::new(at("2026-01-01T22:30:00Z"), at("2026-01-02T00:31:00Z"));
    let days = by_hour().days(&life).unwrap();
    let expected = [(Date::constant(2026, 1, 1), "0.015"), (Date::constant(2026, 1, 2), "0.0075")];
    assert_eq!(days.iter().map(|day| (day.day, day.amount)).collect::<Vec<_>>(), expected.map(|(d, m)| (d, usd(m))));
}

#[test]
fn a_stopped_server_costs_by_its_rule_and_its_disk_always() {
    let disk = Extra {
        what: ExtraKind::RootDisk,
        amount: usd("0.31"),
        per: BillingUnit::Month,
        count: 10,
        unit: DiskUnit::Gib,
        while_stopped: true,
        minimum: Duration::ZERO,
    };
    let address = Extra {
        what: ExtraKind::PublicIpv4,
        amount: usd("0.005"),
        per: BillingUnit::Hour,
        count: 1,
        unit: DiskUnit::Gib,
        while_stopped: false,
        minimum: Duration::ZERO,
    };
    let (from, off) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T10:00:00Z"));
    let (on, to) = (at("2026-01-01T20:00:00Z"), at("2026-01-02T00:00:00Z"));
    let life = Life { from, to, off: vec![(off, on)] };
    let plain = hourly("0.1", None, rule(Granularity::Second, 60, false));
    let price = Price { extras: vec![disk, address], ..plain.clone() };
    // 14 hours of plan and address, a day of January of ten GiB.
    assert_eq!(price.total(&life).unwrap(), usd("1.57"));
    let billed = Price { rule: rule(Granularity::Second, 60, true), ..plain };
    assert_eq!(billed.total(&life).unwrap(), usd("2.4"));
    assert_eq!(price.root_disk_gib(), Some(10));
    let larger = price.with_disk(20);
    assert_eq!((larger.hourly().unwrap().round(6), larger.root_disk_gib()), (usd("0.113493"), Some(20)));
    // Whoever sells by 10^9 bytes sells 22 of them for 20 GiB.
    let mut decimal = larger;
    decimal.extras[0].unit = DiskUnit::Gb;
    let decimal = decimal.with_disk(20);
    assert_eq!((decimal.extras[0].count, decimal.root_disk_gib()), (22, None));
}

#[test]
fn parts_cost_what_the_whole_does() {
    let extra = |what, amount, per, while_stopped| Extra {
        what,
        amount: usd(amount),
        per,
        count: 8,
        unit: DiskUnit::Gib,
        while_stopped,
        minimum: Duration::ZERO,
    };
    let price = Price {
        setup: Some(usd("3")),
        extras: vec![
            extra(ExtraKind::RootDisk, "0.08", BillingUnit::Month, true),
            extra(ExtraKind::PublicIpv4, "0.005", BillingUnit::Hour, false),
        ],
        ..by_second()
    };
    let life = Life {
        from: at("2026-01-31T22:00:00Z"),
        to: at("2026-02-02T00:00:00Z"),
        off: vec![(at("2026-02-01T01:00:00Z"), at("2026-02-01T02:00:00Z"))],
    };
    let parts = price.parts();
    assert_eq!(parts.iter().map(|part| part.what).collect::<Vec<_>>(), ["plan", "root disk", "public IPv4", "set-up"]);
    let mut sum = usd("0");
    for part in &parts {
        sum = sum.checked_add(part.price.total(&life).unwrap()).unwrap();
    }
    assert_eq!(sum.round(20), price.total(&life).unwrap().round(20));
}

#[test]
fn off_from_birth_to_death_is_no_time_on() {
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:10:00Z"));
    let by_second = hourly("3.6", None, rule(Granularity::Second, 60, false));
    let never = Life { from, to, off: vec![(from, to)] };
    assert_eq!(by_second.total(&never).unwrap(), usd("0"));
    assert_eq!(by_second.total(&Life::new(from, from)).unwrap(), usd("0.06"), "the least time of what did run");
}

#[test]
fn the_least_time_holds_once_or_for_each_start() {
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:20Z"));
    let off = vec![(at("2026-01-01T00:00:05Z"), at("2026-01-01T00:00:15Z"))];
    let life = Life { from, to, off };
    let once = hourly("3600", None, rule(Granularity::Second, 60, false));
    assert_eq!(once.total(&life).unwrap(), usd("65"));
    let each = BillingRule { minimum_each_start: true, ..once.rule.clone() };
    assert_eq!(Price { rule: each, ..once }.total(&life).unwrap(), usd("120"));
}

#[test]
fn months_in_advance_begin_on_the_day_of_the_order() {
    let price = Price {
        amount: usd("100"),
        per: BillingUnit::Month,
        monthly_cap: None,
        setup: Some(usd("7")),
        extras: Vec::new(),
        rule: rule(Granularity::Month, 0, true),
    };
    let life = Life::new(at("2026-01-31T12:00:00Z"), at("2026-03-31T12:00:00Z"));
    let days = price.days(&life).unwrap();
    let expected = [(Date::constant(2026, 1, 31), "107"), (Date::constant(2026, 2, 28), "100")];
    assert_eq!(days.iter().map(|day| (day.day, day.amount)).collect::<Vec<_>>(), expected.map(|(d, m)| (d, usd(m))));
}

#[test]
fn an_older_price_is_read() {
    let json = r#"{"amount":{"amount":"0.00744","currency":"USD"},"per":"hour","monthly_cap":null,
        "rule":{"granularity":"second","minimum":{"secs":60,"nanos":0},"stopped_is_billed":true,"source":"x","as_of":"2026-01-01"}}"#;
    let price: Price = serde_json::from_str(json).unwrap();
    assert_eq!((price.setup, price.extras.len(), price.rule.minimum_charge), (None, 0, None));
}

proptest! {
    /// Whatever the life, its days add up to what seconds counted one by one come to.
    #[test]
    fn days_add_up(start in 0i64..40_000_000, length in 1u64..400_000, step in 0usize..3) {
        let granularity = [Granularity::Second, Granularity::Minute, Granularity::Hour][step];
        let from = Timestamp::from_second(1_767_225_600 + start).unwrap();
        let to = from + SignedDuration::from_secs(i64::try_from(length).unwrap());
        let price = hourly("0.036", None, rule(granularity, 60, true));
        let pieces = length.max(60).div_ceil(granularity.seconds());
        let expected = usd("0.00001").checked_mul(pieces * granularity.seconds()).unwrap();
        prop_assert_eq!(price.total(&Life::new(from, to)).unwrap().round(20), expected.round(20));
    }
}

/// "A 60 second minimum": <https://aws.amazon.com/ebs/pricing/>.
#[test]
fn a_part_beside_the_plan_may_have_a_least_time_of_its_own() {
    let disk = Extra {
        what: ExtraKind::RootDisk,
        amount: usd("0.0744"),
        per: BillingUnit::Month,
        count: 3600,
        unit: DiskUnit::Gib,
        while_stopped: true,
        minimum: Duration::from_secs(60),
    };
    let price =
        Price { amount: usd("0"), extras: vec![disk], rule: rule(Granularity::Second, 60, false), ..by_second() };
    let (from, short) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:07Z"));
    // 0.0744 USD times 3600 is 0.0001 USD a second of a month of 31 days.
    assert_eq!(price.total(&Life::new(from, short)).unwrap(), usd("0.006"));
    assert_eq!(price.total(&Life::new(from, at("2026-01-01T00:01:40Z"))).unwrap(), usd("0.01"));
    let (least, most) =
        (price.for_duration(Duration::from_secs(7)).unwrap(), price.for_duration(Duration::from_secs(60)).unwrap());
    assert!(least == most && !least.amount().is_zero(), "{least} and {most}");
    let written = serde_json::to_value(&price).unwrap();
    assert_eq!(serde_json::from_value::<Price>(written).unwrap(), price);
}
