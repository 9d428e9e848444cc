//! How the vendor bills: the one place for it.

use std::borrow::Cow;
use std::time::Duration;

use capsule_core::{
    BillingRule, BillingUnit, Currency, DiskUnit, Fact, Granularity, Location, Money, Part, PlanKind, Rate, Tariff,
    Transfer,
};
use jiff::civil::Date;

const AS_OF: Date = Date::constant(2026, 8, 1);

/// Disks are charged by the second, and for so long at least: <https://aws.amazon.com/ebs/pricing/>.
pub(super) const DISK_MINIMUM: Duration = Duration::from_secs(60);

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
            // <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html>: pending, stopping and
            // shutting-down are not billed.
            from_running: true,
            until_asked: true,
            source: Cow::Borrowed("https://aws.amazon.com/ec2/pricing/on-demand/"),
            as_of: AS_OF,
        },
        currency: Currency::USD,
        root_disk: Part::Asked,
        disk_unit: DiskUnit::Gib,
        public_ipv4: Part::Apart(Rate {
            amount: Money::constant(5, 3, Currency::USD),
            per: Some(BillingUnit::Hour),
            // An address that was not reserved is given back with the stop.
            while_stopped: false,
            source: "https://aws.amazon.com/blogs/aws/new-aws-public-ipv4-address-charge-public-ip-insights/",
            as_of: AS_OF,
            sure: true,
        }),
        transfer: Transfer {
            allowance: "The account has 100 GB out to the internet a month; the rest is charged by region and step.",
            overage: Fact::Varies("Traffic out to the internet is charged by region, in steps of the month's amount."),
        },
        volume: Fact::Varies(
            "A GiB of gp3 for a month costs what one of the root disk does; others have prices of their own.",
        ),
        snapshot: Fact::Varies("Snapshots are charged by region, for the blocks that they hold."),
        setup_fee: Fact::None("On demand there is no payment in advance."),
        location: Location::OwnPrices,
        tax: "Prices are without taxes and duties, VAT included, except where the vendor says otherwise.",
    }
}
