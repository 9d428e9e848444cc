//! What a length of time costs by each tariff, against the vendors' published figures.

use std::time::Duration;

use capsule_core::{BillingUnit, Currency, Money, PlanKind};

const HOUR: u64 = 3600;

#[test]
fn a_length_of_time_costs_what_the_vendor_publishes() {
    for (provider, hourly, monthly, seconds, expected) in [
        // 5 USD are the cap of 672 hours of 0.00744 USD; a minute or a cent at least.
        ("digitalocean", "0.00744", "5", 1, "0.01"),
        ("digitalocean", "0.00744", "5", 672 * HOUR, "4.99968"),
        ("digitalocean", "0.00744", "5", 673 * HOUR, "5"),
        ("digitalocean", "0.00744", "5", 730 * HOUR, "5"),
        // 0.0075 USD reach the 5 USD of a month in the 667th hour; an hour that began is whole.
        ("linode", "0.0075", "5", 1, "0.0075"),
        ("linode", "0.0075", "5", 666 * HOUR, "4.995"),
        ("linode", "0.0075", "5", 666 * HOUR + 1, "5"),
        ("linode", "0.0075", "5", 730 * HOUR, "5"),
        // 0.007 USD an hour and 5 USD a month: the 715th hour is the first that costs nothing more.
        ("vultr", "0.007", "5", 714 * HOUR, "4.998"),
        ("vultr", "0.007", "5", 715 * HOUR, "5"),
        // 192 / 0.26 is more than a month of 730 hours has: the hours decide.
        ("vultr", "0.26", "192", 730 * HOUR, "189.8"),
    ] {
        let tariffs = capsule_providers::find(provider).unwrap().descriptor.tariffs;
        let tariff = tariffs.iter().find(|tariff| tariff.kind == PlanKind::Virtual).unwrap();
        let money = |text| Money::parse(text, Currency::USD).unwrap();
        let price = tariff.price(money(hourly), BillingUnit::Hour, Some(money(monthly)), 25);
        let cost = price.for_duration(Duration::from_secs(seconds)).unwrap();
        assert_eq!(cost, money(expected), "{provider}: {seconds} s at {hourly}");
    }
}
