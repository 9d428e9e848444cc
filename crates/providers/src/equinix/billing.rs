//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{BillingRule, Currency, DiskUnit, Fact, Granularity, Location, Part, PlanKind, Tariff, Transfer};
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
        // <https://deploy.equinix.com/developers/docs/metal/deploy/on-demand/>: from when it is successfully provisioned.
        from_running: true,
        until_asked: false,
        source: Cow::Borrowed("https://deploy.equinix.com/developers/docs/metal/billing/"),
        as_of: Date::constant(2025, 2, 12),
    },
    currency: Currency::USD,
    root_disk: Part::Included,
    disk_unit: DiskUnit::Gib,
    public_ipv4: Part::Included,
    transfer: Transfer {
        allowance: "What traffic costs is in none of the vendor's answers.",
        overage: Fact::Unknown("The service is switched off, and its pages name no figure."),
    },
    volume: Fact::None("Block storage was retired before the service itself."),
    snapshot: Fact::None("There are none."),
    setup_fee: Fact::None("One-time charges are for interconnection alone, not for servers on demand."),
    location: Location::OwnPrices,
    tax: "Prices are without tax.",
};
