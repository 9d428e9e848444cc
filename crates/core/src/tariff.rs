//! How vendors bill, as data: one [`Tariff`] for each kind of server that a provider sells, in that provider's
//! `billing.rs`. Vendors change these facts, so each says where it was read and when.

use std::time::Duration;

use jiff::civil::Date;
use serde::Serialize;

use crate::catalog::PlanKind;
use crate::money::{Currency, Money};
use crate::price::{BillingRule, BillingUnit, DiskUnit, Extra, ExtraKind, Price};

/// How a vendor bills one kind of server, and what it bills beside the plan.
#[derive(Debug, Serialize)]
pub struct Tariff {
    /// Which kind.
    pub kind: PlanKind,
    /// How time is counted.
    pub rule: BillingRule,
    /// What it bills in.
    pub currency: Currency,
    /// The disk that a server boots from.
    pub root_disk: Part,
    /// What the vendor means by one unit of any disk.
    pub disk_unit: DiskUnit,
    /// A public IPv4 address.
    pub public_ipv4: Part,
    /// Traffic.
    pub transfer: Transfer,
    /// A unit of a further volume.
    pub volume: Fact,
    /// A unit of a snapshot.
    pub snapshot: Fact,
    /// A fee with the order; where plans differ in it, [`Price::setup`] has it.
    pub setup_fee: Fact,
    /// What the place does to the price.
    pub location: Location,
    /// What the prices say of taxes. A whole sentence.
    pub tax: &'static str,
}

/// Something every server needs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It is in the plan's price.
    Included,
    /// It comes on top, at this rate.
    Apart(Rate),
    /// It comes on top, at a rate that differs by place and is asked for with the plans' prices.
    Asked,
}

/// What a vendor charges for something that not every server has. There is always one: what is missing is said.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// This much.
    At(Rate),
    /// It differs by place or step, and is in none of our prices. A whole sentence.
    Varies(&'static str),
    /// Nothing, or there is no such thing. A whole sentence.
    None(&'static str),
    /// No source that could be read says how much. A whole sentence of what was looked at.
    Unknown(&'static str),
}

/// What one unit of something costs.
#[derive(Debug, Serialize)]
pub struct Rate {
    /// How much.
    pub amount: Money,
    /// For how long; `None` for what is used up, such as traffic.
    pub per: Option<BillingUnit>,
    /// Whether it is charged while the server is off.
    pub while_stopped: bool,
    /// Where this is stated.
    pub source: &'static str,
    /// When that was read.
    pub as_of: Date,
    /// Whether the source is the vendor's own and current; if not, what is shown says so.
    pub sure: bool,
}

/// Traffic that leaves a server.
#[derive(Debug, Serialize)]
pub struct Transfer {
    /// How the allowance that plans come with counts. A whole sentence.
    pub allowance: &'static str,
    /// A GB beyond it.
    pub overage: Fact,
}

/// What the place does to the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// Nothing.
    Same,
    /// Some places, or all, have prices of their own.
    OwnPrices,
    /// A premium is added, and is part of [`Price::amount`].
    Premium,
}

impl Tariff {
    /// What a volume of so many GB costs by itself, where that is known.
    pub fn volume_price(&self, gb: u64) -> Option<Price> {
        let Fact::At(rate) = &self.volume else { return None };
        Some(self.volume_price_at(rate.amount.checked_mul(gb).ok()?, rate.per?))
    }

    /// What a volume costs whose price is known from elsewhere.
    pub fn volume_price_at(&self, amount: Money, per: BillingUnit) -> Price {
        // Whether something is off does not matter to a disk, and it is there from its birth on.
        let rule = BillingRule {
            minimum_each_start: false,
            minimum_charge: None,
            stopped_is_billed: true,
            ..self.rule.clone()
        };
        Price { amount, per, monthly_cap: None, setup: None, extras: Vec::new(), rule }
    }

    /// A price under this tariff: what the catalogue states, and what comes beside it at a known rate. The root disk is
    /// what a server gets unless the order says otherwise.
    ///
    /// Of a root disk, `root_disk` units are charged at the tariff's rate.
    pub fn price(&self, amount: Money, per: BillingUnit, monthly_cap: Option<Money>, root_disk: u64) -> Price {
        let beside = |what, part: &Part, count, unit| match part {
            Part::Apart(rate) => {
                let Rate { amount, while_stopped, .. } = *rate;
                rate.per.map(|per| Extra { what, amount, per, count, unit, while_stopped, minimum: Duration::ZERO })
            }
            Part::Included | Part::Asked => None,
        };
        let extras = [
            beside(ExtraKind::RootDisk, &self.root_disk, root_disk, self.disk_unit),
            beside(ExtraKind::PublicIpv4, &self.public_ipv4, 1, DiskUnit::default()),
        ];
        Price {
            amount,
            per,
            monthly_cap,
            setup: None,
            extras: extras.into_iter().flatten().collect(),
            rule: self.rule.clone(),
        }
    }
}
