//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{
    BillingRule, BillingUnit, Currency, DiskUnit, Fact, Granularity, Location, Money, Part, PlanKind, Rate, Tariff,
    Transfer,
};
use jiff::civil::Date;

const PRICING: &str = "https://docs.digitalocean.com/products/droplets/details/pricing/";
const AS_OF: Date = Date::constant(2026, 8, 7);

/// Droplets.
pub(super) static VIRTUAL: Tariff = Tariff {
    kind: PlanKind::Virtual,
    rule: BillingRule {
        granularity: Granularity::Second,
        minimum: Duration::from_secs(60),
        minimum_each_start: false,
        minimum_charge: Some(Money::constant(1, 2, Currency::USD)),
        stopped_is_billed: true,
        from_running: false,
        until_asked: false,
        source: Cow::Borrowed(PRICING),
        as_of: AS_OF,
    },
    currency: Currency::USD,
    root_disk: Part::Included,
    disk_unit: DiskUnit::Gib,
    public_ipv4: Part::Included,
    transfer: Transfer {
        allowance: "Outbound transfer of all droplets is pooled over the team, and counts by the month.",
        overage: Fact::At(Rate {
            amount: Money::constant(1, 2, Currency::USD),
            per: None,
            while_stopped: false,
            source: PRICING,
            as_of: AS_OF,
            sure: true,
        }),
    },
    volume: Fact::Unknown("The vendor's page of prices could not be read; no server made here has one."),
    snapshot: Fact::At(Rate {
        amount: Money::constant(6, 2, Currency::USD),
        per: Some(BillingUnit::Month),
        while_stopped: true,
        source: "https://docs.digitalocean.com/products/images/snapshots/details/pricing/",
        as_of: AS_OF,
        sure: false,
    }),
    setup_fee: Fact::None("There is no fee with the order in the API or on the page of prices."),
    location: Location::Same,
    tax: "Prices are without tax.",
};
