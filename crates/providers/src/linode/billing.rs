//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{
    BillingRule, BillingUnit, Currency, DiskUnit, Fact, Granularity, Location, Money, Part, PlanKind, Rate, Tariff,
    Transfer,
};
use jiff::civil::Date;

const PRICING: &str = "https://www.linode.com/pricing/";
const AS_OF: Date = Date::constant(2026, 9, 15);

/// Linodes.
pub(super) static VIRTUAL: Tariff = Tariff {
    kind: PlanKind::Virtual,
    rule: BillingRule {
        // "Always rounded up to the nearest hour":
        // <https://www.linode.com/community/questions/23981/how-does-billing-work-for-resources-with-usage-less-than-a-hour>.
        granularity: Granularity::Hour,
        minimum: Duration::from_secs(3600),
        minimum_each_start: false,
        minimum_charge: None,
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
        allowance: "Outbound transfer is pooled over the account and pro rata to the month; some regions have a pool of their own.",
        overage: Fact::At(Rate {
            amount: Money::constant(5, 3, Currency::USD),
            per: None,
            while_stopped: false,
            source: PRICING,
            as_of: AS_OF,
            sure: false,
        }),
    },
    volume: Fact::At(Rate {
        amount: Money::constant(10, 2, Currency::USD),
        per: Some(BillingUnit::Month),
        while_stopped: true,
        source: "https://techdocs.akamai.com/cloud-computing/docs/block-storage",
        as_of: AS_OF,
        sure: true,
    }),
    snapshot: Fact::Varies("A snapshot comes with the backup service, which has a price for each plan."),
    setup_fee: Fact::None("There is no fee with the order in the API or on the page of prices."),
    location: Location::OwnPrices,
    tax: "Prices are without tax.",
};
