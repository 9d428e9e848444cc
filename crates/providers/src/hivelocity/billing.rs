//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{BillingRule, Currency, Granularity, Location, Part, PlanKind, Tariff, Transfer};
use jiff::civil::Date;

/// Virtual servers.
pub(super) static VIRTUAL: Tariff = tariff(PlanKind::Virtual);

/// Whole machines.
pub(super) static BARE_METAL: Tariff = tariff(PlanKind::BareMetal);

const fn tariff(kind: PlanKind) -> Tariff {
    Tariff {
        kind,
        rule: BillingRule {
            // (unsure) Whole hours.
            granularity: Granularity::Hour,
            minimum: Duration::from_secs(3600),
            minimum_each_start: false,
            minimum_charge: None,
            stopped_is_billed: true,
            source: Cow::Borrowed("https://developers.hivelocity.net/reference/get_stock_resource"),
            as_of: Date::constant(2024, 2, 1),
        },
        currency: Currency::USD,
        root_disk: Part::Included,
        public_ipv4: Part::Included,
        transfer: Transfer { allowance: "Each product has an allowance; what exceeds it is charged.", overage: None },
        volume: None,
        snapshot: None,
        setup_fee: false,
        location: Location::Premium,
        tax: "Prices are without tax.",
    }
}
