//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{
    BillingRule, BillingUnit, Currency, DiskUnit, Fact, Granularity, Location, Money, Part, PlanKind, Rate, Tariff,
    Transfer,
};
use jiff::civil::Date;

const AS_OF: Date = Date::constant(2026, 5, 27);

const RULE: BillingRule = BillingRule {
    granularity: Granularity::Hour,
    minimum: Duration::from_secs(3600),
    minimum_each_start: false,
    minimum_charge: None,
    stopped_is_billed: true,
    from_running: false,
    until_asked: false,
    source: Cow::Borrowed("https://docs.vultr.com/support/platform/billing/how-am-i-billed-for-my-servers"),
    as_of: AS_OF,
};

/// Instances.
pub(super) static VIRTUAL: Tariff = tariff(PlanKind::Virtual, RULE);

/// Whole machines.
pub(super) static BARE_METAL: Tariff = tariff(PlanKind::BareMetal, RULE);

/// Plans of either kind that have no hourly price.
pub(super) static MONTHLY: BillingRule =
    BillingRule { granularity: Granularity::Month, minimum: Duration::ZERO, ..RULE };

const fn tariff(kind: PlanKind, rule: BillingRule) -> Tariff {
    Tariff {
        kind,
        rule,
        currency: Currency::USD,
        root_disk: Part::Included,
        disk_unit: DiskUnit::Gib,
        public_ipv4: Part::Included,
        transfer: Transfer {
            allowance: "The larger of inbound and outbound transfer counts, pooled over the account.",
            overage: Fact::At(Rate {
                amount: Money::constant(1, 2, Currency::USD),
                per: None,
                while_stopped: false,
                source: "https://docs.vultr.com/platform/billing",
                as_of: AS_OF,
                sure: true,
            }),
        },
        volume: Fact::Unknown(
            "Each class of block storage has a price of its own, which no page that could be read names.",
        ),
        snapshot: Fact::At(Rate {
            amount: Money::constant(5, 2, Currency::USD),
            per: Some(BillingUnit::Month),
            while_stopped: true,
            source: "https://docs.vultr.com/support/platform/billing/does-vultr-charge-for-stored-snapshots",
            as_of: AS_OF,
            sure: true,
        }),
        setup_fee: Fact::None("There is no fee with the order in the API or on the pages about billing."),
        location: Location::OwnPrices,
        tax: "Prices are without tax, which is added to the invoice.",
    }
}
