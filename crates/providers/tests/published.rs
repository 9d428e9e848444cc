//! What a length of time costs by each tariff, against the vendors' published figures.
//!
//! A vendor's own worked example is named with its page. Where no page has one, which is so of Hivelocity, Equinix Metal and
//! Scaleway's present prices, the figures are those that the stated rule comes to, and the page is that of the rule.

use std::time::Duration;

use capsule_core::{BillingUnit, Currency, DiskUnit, Extra, ExtraKind, Money, PlanKind, Price, Tariff};

const HOUR: u64 = 3600;

fn tariff(provider: &str, kind: PlanKind) -> &'static Tariff {
    let tariffs = capsule_providers::find(provider).unwrap().descriptor.tariffs;
    tariffs.iter().find(|tariff| tariff.kind == kind).unwrap()
}

fn money(text: &str, currency: Currency) -> Money {
    Money::parse(text, currency).unwrap()
}

/// The plan alone, without what comes beside it.
fn plan(provider: &str, kind: PlanKind, hourly: &str, monthly: Option<&str>) -> Price {
    let tariff = tariff(provider, kind);
    let cap = monthly.map(|monthly| money(monthly, tariff.currency));
    let price = tariff.price(money(hourly, tariff.currency), BillingUnit::Hour, cap, 0);
    Price { extras: Vec::new(), ..price }
}

#[test]
fn a_length_of_time_costs_what_the_vendor_publishes() {
    use PlanKind::{BareMetal, Virtual};
    for (provider, kind, hourly, monthly, seconds, expected) in [
        // <https://docs.digitalocean.com/products/droplets/details/pricing/>, 2026-08-07: 5 USD are the cap of 672 hours of
        // 0.00744 USD; a minute or a cent at least.
        ("digitalocean", Virtual, "0.00744", Some("5"), 1, "0.01"),
        ("digitalocean", Virtual, "0.00744", Some("5"), 672 * HOUR, "4.99968"),
        ("digitalocean", Virtual, "0.00744", Some("5"), 673 * HOUR, "5"),
        ("digitalocean", Virtual, "0.00744", Some("5"), 730 * HOUR, "5"),
        // <https://www.linode.com/pricing/>, 2026-09-15: 0.0075 USD reach the 5 USD of a month in the 667th hour.
        ("linode", Virtual, "0.0075", Some("5"), 1, "0.0075"),
        ("linode", Virtual, "0.0075", Some("5"), 666 * HOUR, "4.995"),
        ("linode", Virtual, "0.0075", Some("5"), 666 * HOUR + 1, "5"),
        ("linode", Virtual, "0.0075", Some("5"), 730 * HOUR, "5"),
        // The vendor's example: at 1.30 USD an hour "any amount of time under an hour" is 1.30 USD, and 2.5 hours are 3.90:
        // <https://www.linode.com/community/questions/23981/how-does-billing-work-for-resources-with-usage-less-than-a-hour>.
        ("linode", Virtual, "1.30", Some("864"), 600, "1.3"),
        ("linode", Virtual, "1.30", Some("864"), 5 * HOUR / 2, "3.9"),
        // <https://docs.vultr.com/support/platform/billing/how-am-i-billed-for-my-servers>, 2025-09-15: 672 hours a month at
        // most, 730 with graphics processors. 0.007 USD an hour and 5 USD a month: the 715th hour costs nothing more.
        ("vultr", Virtual, "0.007", Some("5"), 1, "0.007"),
        ("vultr", Virtual, "0.007", Some("5"), 714 * HOUR, "4.998"),
        ("vultr", Virtual, "0.007", Some("5"), 715 * HOUR, "5"),
        // 192 / 0.26 is more than a month of 730 hours has: the hours decide.
        ("vultr", Virtual, "0.26", Some("192"), 730 * HOUR, "189.8"),
        ("vultr", BareMetal, "0.179", Some("120"), 671 * HOUR, "120"),
        // <https://aws.amazon.com/ec2/pricing/on-demand/>, 2026-08-01: by the second, "a minimum of 60 seconds".
        ("aws", Virtual, "0.0416", None, 1, "0.0006933333"),
        ("aws", Virtual, "0.0416", None, 60, "0.0006933333"),
        ("aws", Virtual, "0.0416", None, 61, "0.0007048889"),
        ("aws", Virtual, "0.0416", None, 730 * HOUR, "30.368"),
        ("aws", BareMetal, "4.08", None, HOUR / 2, "2.04"),
        // <https://www.scaleway.com/en/docs/instances/faq/>, 2026-08-01: by the hour of uptime; no price of a month caps it.
        ("scaleway", Virtual, "0.0088", None, 1, "0.0088"),
        ("scaleway", Virtual, "0.0088", None, HOUR + 1, "0.0176"),
        ("scaleway", Virtual, "0.0088", None, 730 * HOUR, "6.424"),
        // <https://developers.hivelocity.net/reference/get_stock_resource>, 2024-02-01: an hour's price. (unsure) Whole hours.
        ("hivelocity", Virtual, "0.03", None, 90 * 60, "0.06"),
        ("hivelocity", BareMetal, "0.25", None, 730 * HOUR, "182.5"),
        // <https://deploy.equinix.com/developers/docs/metal/deploy/on-demand/>, 2025-02-12: "a fixed-rate per hour". (unsure)
        // Whole hours.
        ("equinix", BareMetal, "0.75", None, 1, "0.75"),
        ("equinix", BareMetal, "0.75", None, 24 * HOUR, "18"),
    ] {
        let price = plan(provider, kind, hourly, monthly);
        let cost = price.for_duration(Duration::from_secs(seconds)).unwrap().round(10);
        assert_eq!(cost, money(expected, cost.currency()), "{provider}: {seconds} s at {hourly}");
    }
}

/// The vendor's example of <https://aws.eu/ebs/pricing>: 2,000 GB for 12 hours of a month of 30 days, at EUR 0.09394 a GB and
/// month, are EUR 3.13133.
#[test]
fn a_disk_costs_what_the_vendors_example_says() {
    let disk = Extra {
        what: ExtraKind::RootDisk,
        amount: money("0.09394", Currency::EUR),
        per: BillingUnit::Month,
        count: 2000,
        unit: DiskUnit::Gib,
        while_stopped: true,
        minimum: Duration::from_secs(60),
    };
    let hourly = tariff("aws", PlanKind::Virtual).price(money("0", Currency::EUR), BillingUnit::Hour, None, 0);
    let price = Price { extras: vec![disk], ..hourly };
    let at = |text: &str| text.parse().unwrap();
    let life = capsule_core::Life::new(at("2026-11-10T00:00:00Z"), at("2026-11-10T12:00:00Z"));
    assert_eq!(price.total(&life).unwrap().round(5), money("3.13133", Currency::EUR));
}

/// 0.005 USD an hour for each address since February 2024:
/// <https://aws.amazon.com/blogs/aws/new-aws-public-ipv4-address-charge-public-ip-insights/>; 3.65 USD for 730 hours.
#[test]
fn an_address_costs_what_the_vendor_announced() {
    let price = tariff("aws", PlanKind::Virtual).price(money("0", Currency::USD), BillingUnit::Hour, None, 0);
    assert_eq!(price.monthly().unwrap(), money("3.65", Currency::USD));
}
