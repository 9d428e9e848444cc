//! What each vendor would write on its invoice, counted from what its servers did.
//!
//! Written from the vendors' descriptions and nothing else: it knows neither Capsule's prices nor its rules, and goes
//! through time step by step where Capsule multiplies. Without tax, traffic, and what nobody here can order. What no
//! description states for sure says so; root disks of AWS have no known price and are on no invoice.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use capsule_core::ProviderId;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::dialect::Dialect;
use crate::machine::{Machine, State};
use crate::world::{Cloud, World};

/// One server's lines of an invoice, summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// Where.
    pub provider: ProviderId,
    /// The vendor's id of the server.
    pub id: String,
    /// The server's name.
    pub name: String,
    /// What it is in: `USD` or `EUR`.
    pub currency: &'static str,
    /// How much, not rounded.
    pub total: Decimal,
}

/// From one moment to another.
type Stretch = (Timestamp, Timestamp);

/// Seconds by calendar month.
type Months = BTreeMap<(i16, i8), u64>;

const HOUR: u64 = 3600;

/// A bill for every server that there ever was, until `now`.
pub(crate) fn bills(world: &World, dialects: &[Arc<dyn Dialect>], now: Timestamp) -> Vec<Bill> {
    let clouds = dialects.iter().filter_map(|dialect| Some((dialect, world.clouds.get(dialect.provider().as_str())?)));
    let bills = clouds.flat_map(|(dialect, cloud)| {
        cloud.machines.iter().filter_map(move |machine| bill(dialect.as_ref(), cloud, machine, now))
    });
    bills.collect()
}

fn bill(dialect: &dyn Dialect, cloud: &Cloud, machine: &Machine, now: Timestamp) -> Option<Bill> {
    let plan = dialect.catalog().plan(&machine.plan)?;
    let (hourly, monthly) = dialect.price(plan, &machine.region);
    let (hourly, monthly) = (decimal(&hourly), decimal(&monthly));
    let there = stretches(machine, now, |state| !state.is_over());
    let (currency, total) = match machine.provider.as_str() {
        // By the second, a minute or a cent at least, and never more in a month than the month's price. (unsure) The
        // month's price was said to be a cap when there were hours only.
        "digitalocean" => {
            let months = there.iter().map(|stretch| seconds(*stretch, 60)).collect::<Vec<_>>();
            // What is written with the noise of a float has five places.
            ("USD", capped(&months, hourly.round_dp(5), monthly).max(decimal("0.01")))
        }
        "vultr" if hourly.is_zero() => ("USD", monthly * Decimal::from(months_begun(*there.first()?))),
        // By the hour that began, off or not, to the month's price. (unsure) That a part of an hour is a whole one.
        "vultr" | "linode" => {
            let months = there.iter().map(|stretch| hours(*stretch)).collect::<Vec<_>>();
            ("USD", capped(&months, hourly, monthly))
        }
        // (unsure) The same, and no month's price caps what was ordered by the hour.
        "hivelocity" => ("USD", hourly * hours_in(&there)),
        // By the hour that began, from the moment that it was there to use.
        "equinix" => {
            let made = machine.timeline.first(State::Running).unwrap_or(Timestamp::MAX);
            let used: Vec<_> = there.iter().map(|(from, to)| ((*from).max(made), *to)).collect();
            ("USD", hourly * hours_in(&used))
        }
        // By the hour that began, from each start until it is off; the volume for as long as it exists, and the dynamic
        // address, which goes when it is off, for as long as there is one. (unsure) Both shared out by the second.
        "scaleway" => {
            let on = stretches(machine, now, |state| !state.is_over() && state != State::Stopped);
            let plan = hourly * hours_in(&on);
            let address = decimal("0.004") * hours_exact(&on);
            let disks = volumes(cloud, machine, now).map(|(size, stretch)| {
                decimal("0.00004") * Decimal::from(size / 1_000_000_000) * hours_exact(&[stretch])
            });
            ("EUR", plan + address + disks.sum::<Decimal>())
        }
        // By the second from each start until it is told to stop, a minute at least each time; the address with it.
        "aws" => {
            let off = [State::Stopped, State::Stopping];
            let on = stretches(machine, now, |state| !state.is_over() && !off.contains(&state));
            let charged: u64 = on.iter().flat_map(|stretch| seconds(*stretch, 60).into_values()).sum();
            let plan = hourly * Decimal::from(charged) / Decimal::from(HOUR);
            ("USD", plan + decimal("0.005") * hours_exact(&on))
        }
        _ => return None,
    };
    Some(Bill {
        provider: machine.provider.clone(),
        id: machine.id.clone(),
        name: machine.name.clone(),
        currency,
        total,
    })
}

/// When a server was in one of the states that count, until `now`; what follows on each other is one.
fn stretches(machine: &Machine, now: Timestamp, counts: impl Fn(State) -> bool) -> Vec<Stretch> {
    let moments = machine.timeline.moments();
    let mut found: Vec<Stretch> = Vec::new();
    for (index, (from, state)) in moments.iter().enumerate().filter(|(_, (from, _))| *from <= now) {
        let to = moments.get(index + 1).map_or(now, |(next, _)| (*next).min(now));
        match found.last_mut() {
            _ if !counts(*state) => {}
            Some((_, end)) if *end == *from => *end = to,
            _ => found.push((*from, to)),
        }
    }
    found
}

/// The volumes that were made with a server: bytes, and from when to when.
fn volumes<'a>(cloud: &'a Cloud, machine: &'a Machine, now: Timestamp) -> impl Iterator<Item = (u64, Stretch)> + 'a {
    let all = cloud.resources.get("volume").into_iter().flat_map(|volumes| volumes.iter());
    let own = all.filter(|volume| volume.data.get("server").and_then(Value::as_str) == Some(machine.id.as_str()));
    own.map(move |volume| {
        let size = volume.data.get("size").and_then(Value::as_u64).unwrap_or(0);
        (size, (volume.born_at, volume.gone_at.unwrap_or(now).min(now)))
    })
}

/// Every second that began, `least` of them at the least, by the month in which it did.
fn seconds((from, to): Stretch, least: u64) -> Months {
    let (mut at, mut left, mut months) = (from, length((from, to)).max(least), Months::new());
    while left > 0 {
        // In steps of an hour where all of it lies in one month.
        let whole = left >= HOUR && month(at) == month(after(at, HOUR - 1));
        let step = if whole { HOUR } else { 1 };
        *months.entry(month(at)).or_default() += step;
        (at, left) = (after(at, step), left - step);
    }
    months
}

/// Every hour that began, one at the least, in seconds, by the month in which it did.
fn hours((from, to): Stretch) -> Months {
    let (mut at, mut months) = (from, Months::new());
    loop {
        *months.entry(month(at)).or_default() += HOUR;
        at = after(at, HOUR);
        if at >= to {
            return months;
        }
    }
}

/// How many hours began in all of them.
fn hours_in(stretches: &[Stretch]) -> Decimal {
    let seconds: u64 = stretches.iter().flat_map(|stretch| hours(*stretch).into_values()).sum();
    Decimal::from(seconds / HOUR)
}

/// How many hours all of them are, to the second.
fn hours_exact(stretches: &[Stretch]) -> Decimal {
    Decimal::from(stretches.iter().map(|stretch| length(*stretch)).sum::<u64>()) / Decimal::from(HOUR)
}

/// How many months began, counted from the first moment on: each is paid for when it begins.
fn months_begun((from, to): Stretch) -> u64 {
    let start = TimeZone::UTC.to_datetime(from);
    let mut months = 1;
    loop {
        let next = start.checked_add(Span::new().months(months)).ok();
        match next.and_then(|next| TimeZone::UTC.to_timestamp(next).ok()) {
            Some(next) if next < to => months += 1,
            _ => return u64::try_from(months).unwrap_or(0),
        }
    }
}

/// What the seconds of each month cost, no month more than the cap.
fn capped(stretches: &[Months], hourly: Decimal, cap: Decimal) -> Decimal {
    let mut all = Months::new();
    for (month, seconds) in stretches.iter().flatten() {
        *all.entry(*month).or_default() += seconds;
    }
    all.into_values().map(|seconds| (hourly * Decimal::from(seconds) / Decimal::from(HOUR)).min(cap)).sum()
}

/// Seconds, and one more for a part of one.
fn length((from, to): Stretch) -> u64 {
    let ms = u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
    ms.div_ceil(1000)
}

fn after(at: Timestamp, seconds: u64) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    at.saturating_add(seconds).unwrap_or(Timestamp::MAX)
}

fn month(at: Timestamp) -> (i16, i8) {
    let date = TimeZone::UTC.to_datetime(at);
    (date.year(), date.month())
}

/// A price as the catalogue writes it; nothing is written where there is none.
fn decimal(text: &str) -> Decimal {
    Decimal::from_str(text).unwrap_or_default()
}
