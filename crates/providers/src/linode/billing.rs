//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{BillingRule, Currency, Granularity, Location, Money, Part, PlanKind, Rate, Tariff, Transfer};
use jiff::civil::Date;

const PRICING: &str = "https://www.linode.com/pricing/";
const AS_OF: Date = Date::constant(2026, 9, 15);

/// Linodes.
pub(super) static VIRTUAL: Tariff = Tariff {
    kind: PlanKind::Virtual,
    rule: BillingRule {
        // (unsure) Whole hours.
        granularity: Granularity::Hour,
        minimum: Duration::from_secs(3600),
        minimum_each_start: false,
        minimum_charge: None,
        stopped_is_billed: true,
        source: Cow::Borrowed(PRICING),
        as_of: AS_OF,
    },
    currency: Currency::USD,
    root_disk: Part::Included,
    public_ipv4: Part::Included,
    transfer: Transfer {
        allowance: "Outbound transfer is pooled over the account and pro rata to the month; some regions have a pool of their own.",
        overage: Some(Rate {
            amount: Money::constant(5, 3, Currency::USD),
            per: None,
            while_stopped: false,
            source: PRICING,
            as_of: AS_OF,
            sure: false,
        }),
    },
    volume: None,
    snapshot: None,
    setup_fee: false,
    location: Location::OwnPrices,
    tax: "Prices are without tax.",
};
