//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{
    BillingRule, BillingUnit, Currency, Granularity, Location, Money, Part, PlanKind, Rate, Tariff, Transfer,
};
use jiff::civil::Date;

const AS_OF: Date = Date::constant(2026, 8, 1);

/// Linux instances on shared hardware.
pub(super) static VIRTUAL: Tariff = tariff(PlanKind::Virtual);

/// `.metal` instances.
pub(super) static BARE_METAL: Tariff = tariff(PlanKind::BareMetal);

const fn tariff(kind: PlanKind) -> Tariff {
    Tariff {
        kind,
        rule: BillingRule {
            granularity: Granularity::Second,
            minimum: Duration::from_secs(60),
            minimum_each_start: true,
            minimum_charge: None,
            stopped_is_billed: false,
            source: Cow::Borrowed("https://aws.amazon.com/ec2/pricing/on-demand/"),
            as_of: AS_OF,
        },
        currency: Currency::USD,
        root_disk: Part::Asked,
        public_ipv4: Part::Apart(Rate {
            amount: Money::constant(5, 3, Currency::USD),
            per: Some(BillingUnit::Hour),
            // An address that was not reserved is given back with the stop.
            while_stopped: false,
            source: "https://aws.amazon.com/vpc/pricing/",
            as_of: AS_OF,
            sure: false,
        }),
        transfer: Transfer {
            allowance: "The account has 100 GB out to the internet a month; the rest is charged by region and step.",
            overage: None,
        },
        volume: None,
        snapshot: None,
        setup_fee: false,
        location: Location::OwnPrices,
        tax: "Prices are without tax.",
    }
}
