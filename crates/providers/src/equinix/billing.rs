//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{BillingRule, Currency, Granularity, Location, Part, PlanKind, Tariff, Transfer};
use jiff::civil::Date;

/// Whole machines: there are no others.
pub(super) static BARE_METAL: Tariff = Tariff {
    kind: PlanKind::BareMetal,
    rule: BillingRule {
        // (unsure) By the hour, and how a part of one is rounded is not stated.
        granularity: Granularity::Hour,
        minimum: Duration::from_secs(3600),
        minimum_each_start: false,
        minimum_charge: None,
        stopped_is_billed: true,
        source: Cow::Borrowed("https://deploy.equinix.com/developers/docs/metal/billing/"),
        as_of: Date::constant(2025, 2, 12),
    },
    currency: Currency::USD,
    root_disk: Part::Included,
    public_ipv4: Part::Included,
    transfer: Transfer { allowance: "What traffic costs is in none of the vendor's answers.", overage: None },
    volume: None,
    snapshot: None,
    setup_fee: false,
    location: Location::OwnPrices,
    tax: "Prices are without tax.",
};
