//! What a price comes to: how vendors count time, cap months, and charge for what a server needs beside its plan.
//!
//! All of it is arithmetic on values: no clock, no rounding before the end. Days and months are those of UTC, in which
//! every vendor here counts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::money::{Money, MoneyError};

/// Hours in a month where a vendor names none: 365 days x 24 / 12.
pub const HOURS_PER_MONTH: u32 = 730;

const HOUR: u64 = 3600;

/// The time that one price amount pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingUnit {
    /// One hour.
    Hour,
    /// One calendar month, whatever its length.
    Month,
}

/// The smallest piece of time that is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// Each second.
    Second,
    /// Each started minute.
    Minute,
    /// Each started hour.
    Hour,
    /// Each started month from the order on, in advance.
    Month,
}

impl Granularity {
    /// Seconds of one piece; a month has [`HOURS_PER_MONTH`].
    fn seconds(self) -> u64 {
        match self {
            Granularity::Second => 1,
            Granularity::Minute => 60,
            Granularity::Hour => HOUR,
            Granularity::Month => u64::from(HOURS_PER_MONTH) * HOUR,
        }
    }
}

/// How a vendor turns a price into a bill. Data, not code: vendors change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillingRule {
    /// The smallest piece of time that is charged.
    pub granularity: Granularity,
    /// The least time that is charged.
    pub minimum: Duration,
    /// Whether that holds for each start, or once for the server's whole life.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub minimum_each_start: bool,
    /// The least amount that is charged for a server's whole life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_charge: Option<Money>,
    /// Whether a powered-off server costs the same.
    pub stopped_is_billed: bool,
    /// Whether it costs nothing before it runs: after the order, and where a stop costs nothing, after each start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_running: bool,
    /// Whether a stop or the end counts from when the vendor was asked for it, not from when it is carried out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub until_asked: bool,
    /// Where this is stated.
    pub source: Cow<'static, str>,
    /// When that was read.
    pub as_of: Date,
}

/// What a vendor means by one unit of disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskUnit {
    /// 2^30 bytes.
    #[default]
    Gib,
    /// 10^9 bytes.
    Gb,
}

impl DiskUnit {
    /// How many of it hold so many GiB.
    fn holding(self, gib: u64) -> u64 {
        self.holding_bytes(u128::from(gib) << 30)
    }

    fn holding_bytes(self, bytes: u128) -> u64 {
        let unit: u128 = match self {
            DiskUnit::Gib => 1 << 30,
            DiskUnit::Gb => 1_000_000_000,
        };
        u64::try_from(bytes.div_ceil(unit)).unwrap_or(u64::MAX)
    }

    fn is_gib(&self) -> bool {
        *self == DiskUnit::Gib
    }
}

/// What a vendor charges for beside the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtraKind {
    /// The disk that it boots from, and of a server that others ordered all that end with it; counted in [`Extra::unit`].
    RootDisk,
    /// A public IPv4 address.
    PublicIpv4,
    /// A licence of its system.
    Licence,
}

impl ExtraKind {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            ExtraKind::RootDisk => "root disk",
            ExtraKind::PublicIpv4 => "public IPv4",
            ExtraKind::Licence => "licence",
        }
    }
}

/// Something that a server needs and that is charged beside its plan for as long as the server exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// What it is.
    pub what: ExtraKind,
    /// What one of it costs.
    pub amount: Money,
    /// For how long. A monthly amount is shared out over the seconds of the calendar month.
    pub per: BillingUnit,
    /// How many: units of a disk, addresses.
    pub count: u64,
    /// What one unit of a disk is.
    #[serde(default, skip_serializing_if = "DiskUnit::is_gib")]
    pub unit: DiskUnit,
    /// Whether it is charged while the server is off.
    pub while_stopped: bool,
    /// The least time that is charged, for each stretch of it.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub minimum: Duration,
}

/// An amount, what comes with it, and the rule by which it is charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// What one unit of the plan costs, without tax, the premium of its location included.
    pub amount: Money,
    /// The unit.
    pub per: BillingUnit,
    /// The most that a calendar month of the plan can cost, or the vendor's published monthly price.
    pub monthly_cap: Option<Money>,
    /// What is charged once, with the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Money>,
    /// What is charged beside the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<Extra>,
    /// How time is counted.
    pub rule: BillingRule,
}

/// What a server was, for its bill: there from one moment to another, and off in between now and then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// When it began.
    pub from: Timestamp,
    /// When it ended, or now.
    pub to: Timestamp,
    /// When it was off: in order, apart from each other.
    pub off: Vec<(Timestamp, Timestamp)>,
}

impl Life {
    /// A life without a stop.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Life { from, to: to.max(from), off: Vec::new() }
    }

    /// The stretches in which it was on.
    fn on(&self) -> Vec<(Timestamp, Timestamp)> {
        let mut on = Vec::with_capacity(self.off.len() + 1);
        let mut since = self.from;
        for (off, again) in &self.off {
            let (off, again) = ((*off).clamp(since, self.to), (*again).clamp(since, self.to));
            if off > since {
                on.push((since, off));
            }
            since = again.max(since);
        }
        // A life without length is one, unless it was off all along.
        if self.to > since || self.off.is_empty() {
            on.push((since, self.to));
        }
        on
    }
}

/// What one day cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCost {
    /// The day, in UTC.
    pub day: Date,
    /// Not rounded.
    pub amount: Money,
}

/// One part of a price, by itself a price: all parts together cost what the whole does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricePart {
    /// What for: `plan`, `set-up`, or the kind of extra.
    pub what: &'static str,
    /// How many, where that says something: units of a disk.
    pub count: Option<u64>,
    /// What it costs.
    pub price: Price,
}

impl Price {
    /// The plan, each extra, and what is charged with the order.
    pub fn parts(&self) -> Vec<PricePart> {
        let nothing = Money::zero(self.amount.currency());
        let plan = Price { setup: None, extras: Vec::new(), ..self.clone() };
        let rule = BillingRule { minimum_charge: None, ..self.rule.clone() };
        let beside = Price { amount: nothing, monthly_cap: None, rule, ..plan.clone() };
        let mut parts = vec![PricePart { what: "plan", count: None, price: plan }];
        parts.extend(self.extras.iter().map(|extra| PricePart {
            what: extra.what.as_str(),
            count: (extra.what == ExtraKind::RootDisk).then_some(extra.count),
            price: Price { extras: vec![extra.clone()], ..beside.clone() },
        }));
        parts.extend(self.setup.map(|setup| PricePart {
            what: "set-up",
            count: None,
            price: Price { setup: Some(setup), ..beside },
        }));
        parts
    }

    /// What an hour costs with all that comes beside the plan; for monthly amounts the month's 730th part.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn hourly(&self) -> Result<Money, MoneyError> {
        let hour = |amount: Money, per| match per {
            BillingUnit::Hour => Ok(amount),
            BillingUnit::Month => amount.checked_div(HOURS_PER_MONTH),
        };
        self.extras.iter().try_fold(hour(self.amount, self.per)?, |sum, extra| {
            sum.checked_add(hour(extra.amount.checked_mul(extra.count)?, extra.per)?)
        })
    }

    /// What a month of 730 hours costs with all that comes beside the plan, the plan never more than its cap.
    ///
    /// # Errors
    /// [`MoneyError`], also for a cap in another currency.
    pub fn monthly(&self) -> Result<Money, MoneyError> {
        let month = self.plan_month(Granularity::Month.seconds())?;
        self.extras.iter().try_fold(month, |sum, extra| sum.checked_add(extra.time(Granularity::Month.seconds())?))
    }

    /// What a server costs that is there and on for so long from now, in months of 730 hours, set-up included.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn for_duration(&self, duration: Duration) -> Result<Money, MoneyError> {
        let month = Granularity::Month.seconds();
        let there = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        let seconds = self.charged(there, true);
        let mut sum = match self.rule.granularity {
            Granularity::Month => self.amount.checked_mul(seconds / month)?,
            _ => {
                let full = self.plan_month(month)?.checked_mul(seconds / month)?;
                full.checked_add(self.plan_month(seconds % month)?)?
            }
        };
        if let Some(least) = self.rule.minimum_charge {
            sum = if sum.checked_cmp(least)?.is_lt() { least } else { sum };
        }
        for extra in &self.extras {
            sum = sum.checked_add(extra.time(there)?)?;
        }
        self.setup.map_or(Ok(sum), |setup| sum.checked_add(setup))
    }

    /// The same price with a root disk of this size, where the disk is charged apart.
    #[must_use]
    pub fn with_disk(mut self, gib: u64) -> Self {
        let disks = self.extras.iter_mut().filter(|extra| extra.what == ExtraKind::RootDisk);
        disks.for_each(|disk| disk.count = disk.unit.holding(gib));
        self
    }

    /// The same price with disks of these sizes in bytes, where disks are charged apart: all that end with the server.
    #[must_use]
    pub fn with_disks(mut self, bytes: impl Iterator<Item = u64> + Clone) -> Self {
        for disk in self.extras.iter_mut().filter(|extra| extra.what == ExtraKind::RootDisk) {
            let units = bytes.clone().map(|bytes| disk.unit.holding_bytes(bytes.into()));
            disk.count = units.fold(0, u64::saturating_add);
        }
        self.extras.retain(|extra| extra.what != ExtraKind::RootDisk || extra.count > 0);
        self
    }

    /// Whether its disks are charged apart from the plan.
    pub fn has_disks_apart(&self) -> bool {
        self.extras.iter().any(|extra| extra.what == ExtraKind::RootDisk)
    }

    /// How large the root disk in this price is, where it is charged apart and counted in GiB.
    pub fn root_disk_gib(&self) -> Option<u64> {
        let disk = self.extras.iter().find(|extra| extra.what == ExtraKind::RootDisk && extra.unit.is_gib())?;
        Some(disk.count)
    }

    /// What each day of a life cost, in order; days that cost nothing are left out.
    ///
    /// A piece of time belongs to the day in which it begins. Nothing is rounded: round what is shown.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn days(&self, life: &Life) -> Result<Vec<DayCost>, MoneyError> {
        let mut days: BTreeMap<Date, Money> = BTreeMap::new();
        let mut charge = |day: Date, amount: Money| -> Result<(), MoneyError> {
            let so_far = days.get(&day).copied().unwrap_or(Money::zero(amount.currency()));
            days.insert(day, so_far.checked_add(amount)?);
            Ok(())
        };
        let on = life.on();
        let there = [(life.from, life.to)];
        let runs = if self.rule.stopped_is_billed { &there[..] } else { &on[..] };

        let mut plan = Money::zero(self.amount.currency());
        if self.rule.granularity == Granularity::Month {
            for start in months_from(life.from, life.to) {
                charge(date(start), self.amount)?;
                plan = plan.checked_add(self.amount)?;
            }
        } else {
            let mut seconds: BTreeMap<Date, u64> = BTreeMap::new();
            for (index, (from, to)) in runs.iter().enumerate() {
                let charged = self.charged(elapsed(*from, *to), index == 0 || self.rule.minimum_each_start);
                pieces(*from, charged, self.rule.granularity.seconds(), &mut seconds);
            }
            let shared = |month: u64, seconds: u64| match self.per {
                BillingUnit::Hour => self.capped(self.amount.checked_mul(seconds)?.checked_div(HOUR)?),
                BillingUnit::Month => self.capped(self.amount.checked_mul(seconds)?.checked_div(month)?),
            };
            for (day, amount) in shared_out(&seconds, shared)? {
                charge(day, amount)?;
                plan = plan.checked_add(amount)?;
            }
        }
        if let Some(least) = self.rule.minimum_charge.filter(|least| least.amount() > plan.amount()) {
            charge(date(life.from), least.checked_sub(plan)?)?;
        }
        for extra in &self.extras {
            let mut seconds: BTreeMap<Date, u64> = BTreeMap::new();
            for (from, to) in if extra.while_stopped { &there[..] } else { &on[..] } {
                pieces(*from, elapsed(*from, *to).max(extra.minimum.as_secs()), 1, &mut seconds);
            }
            let total = extra.amount.checked_mul(extra.count)?;
            let shared = |month: u64, seconds: u64| match extra.per {
                BillingUnit::Hour => total.checked_mul(seconds)?.checked_div(HOUR),
                BillingUnit::Month => total.checked_mul(seconds)?.checked_div(month),
            };
            for (day, amount) in shared_out(&seconds, shared)? {
                charge(day, amount)?;
            }
        }
        if let Some(setup) = self.setup {
            charge(date(life.from), setup)?;
        }
        let costing = days.into_iter().filter(|(_, amount)| !amount.amount().is_zero());
        Ok(costing.map(|(day, amount)| DayCost { day, amount }).collect())
    }

    /// What a life cost. Not rounded.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn total(&self, life: &Life) -> Result<Money, MoneyError> {
        let nothing = Money::zero(self.amount.currency());
        self.days(life)?.iter().try_fold(nothing, |sum, day| sum.checked_add(day.amount))
    }

    /// The seconds that are charged for a stretch of so many.
    fn charged(&self, seconds: u64, minimum_holds: bool) -> u64 {
        let least = if minimum_holds { self.rule.minimum.as_secs() } else { 0 };
        seconds.max(least).next_multiple_of(self.rule.granularity.seconds())
    }

    /// What so many seconds of one month of 730 hours cost, never more than the cap.
    fn plan_month(&self, seconds: u64) -> Result<Money, MoneyError> {
        let unit = match self.per {
            BillingUnit::Hour => HOUR,
            BillingUnit::Month => Granularity::Month.seconds(),
        };
        self.capped(self.amount.checked_mul(seconds)?.checked_div(unit)?)
    }

    fn capped(&self, amount: Money) -> Result<Money, MoneyError> {
        self.monthly_cap.map_or(Ok(amount), |cap| amount.checked_min(cap))
    }
}

impl Extra {
    /// What it costs for so many seconds, in months of 730 hours.
    fn time(&self, seconds: u64) -> Result<Money, MoneyError> {
        let unit = match self.per {
            BillingUnit::Hour => HOUR,
            BillingUnit::Month => Granularity::Month.seconds(),
        };
        let seconds = seconds.max(self.minimum.as_secs());
        self.amount.checked_mul(self.count)?.checked_mul(seconds)?.checked_div(unit)
    }
}

/// Whole seconds from one moment to another; a started one counts.
fn elapsed(from: Timestamp, to: Timestamp) -> u64 {
    let passed = to.duration_since(from);
    let started = i64::from(passed.subsec_nanos() > 0);
    u64::try_from(passed.as_secs() + started).unwrap_or(0)
}

fn utc(at: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(at)
}

fn date(at: Timestamp) -> Date {
    utc(at).date()
}

/// Seconds of the month in which `day` lies.
fn month_seconds(day: Date) -> u64 {
    u64::try_from(day.days_in_month()).expect("a month has days") * 24 * HOUR
}

/// Adds `seconds`, a whole number of pieces that follow on each other from `from`, to the days in which they begin.
fn pieces(from: Timestamp, seconds: u64, piece: u64, days: &mut BTreeMap<Date, u64>) {
    let mut done = 0;
    while done < seconds {
        let at = from.saturating_add(SignedDuration::from_secs(done.try_into().unwrap_or(i64::MAX)));
        let Ok(at) = at else { return };
        let day = date(at);
        // The pieces that begin before midnight.
        let midnight = day.tomorrow().ok().and_then(|day| TimeZone::UTC.to_timestamp(day.into()).ok());
        let left = midnight.map_or(u64::MAX, |midnight| elapsed(at, midnight));
        let here = left.next_multiple_of(piece).min(seconds - done).max(piece.min(seconds - done));
        *days.entry(day).or_default() += here;
        done += here;
    }
}

/// Shares a month's cost, a function of the month's seconds and of those charged so far, out over its days.
fn shared_out(
    days: &BTreeMap<Date, u64>,
    cost: impl Fn(u64, u64) -> Result<Money, MoneyError>,
) -> Result<Vec<(Date, Money)>, MoneyError> {
    let mut shares = Vec::with_capacity(days.len());
    let mut running: Option<((i16, i8), u64, Money)> = None;
    for (day, seconds) in days {
        let month = (day.year(), day.month());
        let (so_far, cost_so_far) = match running {
            Some((running, seconds, cost)) if running == month => (seconds, cost),
            _ => (0, cost(month_seconds(*day), 0)?),
        };
        let now = cost(month_seconds(*day), so_far + seconds)?;
        shares.push((*day, now.checked_sub(cost_so_far)?));
        running = Some((month, so_far + seconds, now));
    }
    Ok(shares)
}

/// When each month of a server begins that is charged in advance: at least one.
fn months_from(from: Timestamp, to: Timestamp) -> impl Iterator<Item = Timestamp> {
    let start = utc(from);
    (0i32..).map_while(move |month| {
        let at = start.checked_add(Span::new().months(month)).ok()?;
        let at = TimeZone::UTC.to_timestamp(at).ok()?;
        (month == 0 || at < to).then_some(at)
    })
}

#[cfg(test)]
mod tests;
