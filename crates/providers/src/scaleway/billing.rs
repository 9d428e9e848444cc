//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{
    BillingRule, BillingUnit, Currency, DiskUnit, Fact, Granularity, Location, Money, Part, PlanKind, Rate, Tariff,
    Transfer,
};
use jiff::civil::Date;

const PRICING: &str = "https://www.scaleway.com/en/docs/instances/reference-content/understanding-instance-pricing/";
const AS_OF: Date = Date::constant(2026, 8, 1);

/// A GB of block storage for an hour. (unsure) The vendor's own page, of unknown age.
const STORAGE: Rate = Rate {
    amount: Money::constant(4, 5, Currency::EUR),
    per: Some(BillingUnit::Hour),
    while_stopped: true,
    source: "https://www.scaleway.com/en/faq/how-am-i-billed-for-scaleway-elements-services/",
    as_of: AS_OF,
    sure: false,
};

/// With graphics processors it is by the minute: <https://www.scaleway.com/en/docs/instances/faq/>. `RENDER-S` counts as
/// the others do.
pub(super) static BY_MINUTE: BillingRule =
    BillingRule { granularity: Granularity::Minute, minimum: Duration::from_secs(60), ..RULE };

const RULE: BillingRule = BillingRule {
    granularity: Granularity::Hour,
    minimum: Duration::from_secs(3600),
    minimum_each_start: false,
    minimum_charge: None,
    // `stopped in place` is: the vendor keeps the slot.
    stopped_is_billed: false,
    from_running: false,
    until_asked: false,
    source: Cow::Borrowed(PRICING),
    as_of: AS_OF,
};

/// Instances.
pub(super) static VIRTUAL: Tariff = Tariff {
    kind: PlanKind::Virtual,
    rule: RULE,
    currency: Currency::EUR,
    root_disk: Part::Apart(STORAGE),
    disk_unit: DiskUnit::Gb,
    public_ipv4: Part::Apart(Rate {
        amount: Money::constant(4, 3, Currency::EUR),
        per: Some(BillingUnit::Hour),
        // A dynamic address, which is what servers get, is lost with the stop.
        while_stopped: false,
        source: "https://www.scaleway.com/en/docs/ipam/reference-content/understanding-ip-billing",
        as_of: Date::constant(2025, 6, 26),
        sure: false,
    }),
    transfer: Transfer {
        allowance: "Traffic is not charged; the bandwidth depends on the type.",
        overage: Fact::None("Traffic is not charged."),
    },
    volume: Fact::At(STORAGE),
    snapshot: Fact::At(STORAGE),
    setup_fee: Fact::None("There is no fee with the order in the API or on the page of prices."),
    location: Location::OwnPrices,
    tax: "Prices are in euro, without VAT.",
};
