//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{BillingRule, Currency, DiskUnit, Fact, Granularity, Location, Part, PlanKind, Tariff, Transfer};
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
            from_running: false,
            until_asked: false,
            source: Cow::Borrowed("https://developers.hivelocity.net/reference/get_stock_resource"),
            as_of: Date::constant(2024, 2, 1),
        },
        currency: Currency::USD,
        root_disk: Part::Included,
        disk_unit: DiskUnit::Gib,
        public_ipv4: Part::Included,
        transfer: Transfer {
            allowance: "Each product has an allowance; what exceeds it is charged.",
            overage: Fact::Unknown("The API names the allowance and no rate."),
        },
        volume: Fact::Unknown("Volumes of virtual servers are billed by the month; the API names no rate."),
        snapshot: match kind {
            PlanKind::Virtual => Fact::Unknown("The API names no rate."),
            PlanKind::BareMetal => Fact::None("There are none of whole machines."),
        },
        // <https://www.hivelocity.net/kb/hivelocity-faq/>, which says so of virtual servers.
        setup_fee: match kind {
            PlanKind::Virtual => Fact::None("The vendor says that there is none."),
            PlanKind::BareMetal => Fact::Unknown("The stock has no field for one; no page says that there is none."),
        },
        location: Location::Premium,
        tax: "Prices are without tax.",
    }
}
