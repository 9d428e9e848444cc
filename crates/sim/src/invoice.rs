//! What each vendor writes on its invoice, counted from what its servers did. Balances, previews and pending charges of
//! every dialect are these lines too.
//!
//! Written from the vendors' descriptions and nothing else: it knows neither Capsule's prices nor its rules, and goes
//! through time step by step where Capsule multiplies. Without tax, traffic, and what nobody here can order. What no
//! description states for sure says so.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use capsule_core::ProviderId;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use crate::dialect::Dialect;
use crate::machine::{Machine, State};
use crate::world::{Cloud, View, World};

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

/// A calendar month: year and number.
pub(crate) type Month = (i16, i8);

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The plan.
    Server,
    /// The disk that it boots from.
    RootDisk,
    /// Its address.
    PublicIpv4,
}

/// One line of an invoice: what one thing of one server costs in one month.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) what: What,
    pub(crate) month: Month,
    /// The server's id, name, plan and region.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) plan: String,
    pub(crate) region: String,
    /// From when to when the server was there in the month.
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// Seconds that are charged.
    pub(crate) seconds: u64,
    /// The price of an hour of the plan.
    pub(crate) hourly: Decimal,
    /// Not rounded.
    pub(crate) amount: Decimal,
}

impl Charge {
    /// Hours that began.
    pub(crate) fn hours(&self) -> u64 {
        self.seconds.div_ceil(HOUR)
    }

    /// What it comes to on paper: lines are in cents.
    pub(crate) fn cents(&self) -> Decimal {
        cents(self.amount)
    }
}

/// All of them together, to the cent.
pub(crate) fn sum<'a>(charges: impl IntoIterator<Item = &'a Charge>) -> Decimal {
    cents(charges.into_iter().map(|charge| charge.amount).sum())
}

fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// An amount as a JSON number.
pub(crate) fn number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.to_string()).expect("a decimal is a JSON number")
}

impl View<'_> {
    /// What the account is charged for this month so far, oldest server first.
    pub(crate) fn charges(&self, account: &str) -> Vec<Charge> {
        self.charges_in(account, month(self.now()), self.now())
    }

    /// What it is charged for a month, as far as it is known at a moment.
    pub(crate) fn charges_in(&self, account: &str, wanted: Month, known: Timestamp) -> Vec<Charge> {
        let Some(cloud) = self.cloud() else { return Vec::new() };
        let machines = self.machines_born_of(account).filter(|machine| machine.born_at <= known);
        let lines = machines.filter_map(|machine| lines(self.dialect(), cloud, machine, known)).flat_map(|(_, l)| l);
        lines.filter(|line| line.month == wanted).collect()
    }

    /// An invoice for each month that has ended and in which something was charged, the newest first.
    pub(crate) fn invoices(&self, account: &str) -> Vec<Written> {
        let Some(cloud) = self.cloud() else { return Vec::new() };
        let machines = self.machines_born_of(account);
        let lines = machines.filter_map(|machine| lines(self.dialect(), cloud, machine, self.now()));
        let mut months: BTreeMap<Month, Vec<Charge>> = BTreeMap::new();
        for line in lines.flat_map(|(_, lines)| lines).filter(|line| line.month < month(self.now())) {
            months.entry(line.month).or_default().push(line);
        }
        months.into_iter().rev().map(|(month, charges)| Written { month, charges }).collect()
    }

    /// The invoice with that number.
    pub(crate) fn invoice(&self, account: &str, number: &str) -> Option<Written> {
        self.invoices(account).into_iter().find(|invoice| invoice.number().to_string() == number)
    }
}

/// The invoice of a month that has ended.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) month: Month,
    pub(crate) charges: Vec<Charge>,
}

impl Written {
    /// `202610` for October 2026.
    pub(crate) fn number(&self) -> u64 {
        let (year, month) = self.month;
        u64::from(year.unsigned_abs()) * 100 + u64::from(month.unsigned_abs())
    }

    /// `2026-10`
    pub(crate) fn period(&self) -> String {
        format!("{:04}-{:02}", self.month.0, self.month.1)
    }

    /// When it was written: the moment after its month.
    pub(crate) fn at(&self) -> Timestamp {
        begins(after_month(self.month))
    }

    /// What its lines come to, in cents.
    pub(crate) fn total(&self) -> Decimal {
        self.charges.iter().map(Charge::cents).sum()
    }
}

/// The first moment of a month.
pub(crate) fn begins(month: Month) -> Timestamp {
    let first = jiff::civil::Date::new(month.0, month.1, 1).ok();
    first.and_then(|first| TimeZone::UTC.to_timestamp(first.into()).ok()).unwrap_or(Timestamp::MAX)
}

/// The month of a moment.
pub(crate) fn month(at: Timestamp) -> Month {
    let date = TimeZone::UTC.to_datetime(at);
    (date.year(), date.month())
}

/// From one moment to another.
type Stretch = (Timestamp, Timestamp);

/// Seconds by calendar month.
type Months = BTreeMap<Month, u64>;

const HOUR: u64 = 3600;
const MINUTE: u64 = 60;

/// A bill for every server that there ever was, until `now`.
pub(crate) fn bills(world: &World, dialects: &[Arc<dyn Dialect>], now: Timestamp) -> Vec<Bill> {
    let clouds = dialects.iter().filter_map(|dialect| Some((dialect, world.clouds.get(dialect.provider().as_str())?)));
    let bills = clouds.flat_map(|(dialect, cloud)| {
        cloud.machines.iter().filter_map(move |machine| {
            let (currency, lines) = lines(dialect.as_ref(), cloud, machine, now)?;
            Some(Bill {
                provider: machine.provider.clone(),
                id: machine.id.clone(),
                name: machine.name.clone(),
                currency,
                total: lines.iter().map(|line| line.amount).sum(),
            })
        })
    });
    bills.collect()
}

/// What a thing costs in a month, and for how many seconds.
type Amounts = BTreeMap<Month, (u64, Decimal)>;

/// The lines of one server's invoices, and their currency.
fn lines(
    dialect: &dyn Dialect,
    cloud: &Cloud,
    machine: &Machine,
    now: Timestamp,
) -> Option<(&'static str, Vec<Charge>)> {
    let plan = dialect.catalog().plan(&machine.plan)?;
    let (hourly, monthly) = dialect.price(plan, &machine.region);
    let (hourly, monthly) = (decimal(&hourly), decimal(&monthly));
    let there = stretches(machine, now, |state| !state.is_over());
    let mut parts: Vec<(What, Amounts)> = Vec::new();
    let currency = match machine.provider.as_str() {
        // By the second, a minute or a cent at least, and never more in a month than the month's price. (unsure) The
        // month's price was said to be a cap when there were hours only.
        "digitalocean" => {
            // What is written with the noise of a float has five places.
            let mut plan = capped(each(&there, |stretch| begun(stretch, 1, MINUTE)), hourly.round_dp(5), monthly);
            let missing = decimal("0.01") - plan.values().map(|(_, amount)| amount).sum::<Decimal>();
            if let Some((_, first)) = plan.values_mut().next() {
                *first += missing.max(Decimal::ZERO);
            }
            parts.push((What::Server, plan));
            "USD"
        }
        "vultr" if hourly.is_zero() => {
            let mut plan = Amounts::new();
            for begun in months_begun(*there.first()?) {
                let (seconds, amount) = plan.entry(month(begun)).or_default();
                (*seconds, *amount) = (*seconds + HOUR, *amount + monthly);
            }
            parts.push((What::Server, plan));
            "USD"
        }
        // By the hour that began, off or not, to the month's price. (unsure at Vultr) That a part of an hour is a whole one.
        "vultr" | "linode" => {
            parts.push((What::Server, capped(each(&there, |stretch| begun(stretch, HOUR, 1)), hourly, monthly)));
            "USD"
        }
        // (unsure) The same, and no month's price caps what was ordered by the hour.
        "hivelocity" => {
            parts.push((What::Server, at_rate(each(&there, |stretch| begun(stretch, HOUR, 1)), hourly)));
            "USD"
        }
        // By the hour that began, from the moment that it was there to use.
        "equinix" => {
            let made = machine.timeline.first(State::Running).unwrap_or(Timestamp::MAX);
            let used: Vec<_> =
                there.iter().filter(|(_, to)| *to > made).map(|(from, to)| ((*from).max(made), *to)).collect();
            parts.push((What::Server, at_rate(each(&used, |stretch| begun(stretch, HOUR, 1)), hourly)));
            "USD"
        }
        // By the hour that began, by the minute with graphics processors, from each start until it is off; the volume for
        // as long as it exists, and the dynamic address, which goes when it is off, for as long as there is one. (unsure)
        // Both shared out by the second.
        "scaleway" => {
            let on = stretches(machine, now, |state| !state.is_over() && state != State::Stopped);
            let piece = if machine.plan.starts_with("H100") { MINUTE } else { HOUR };
            parts.push((What::Server, at_rate(each(&on, |stretch| begun(stretch, piece, 1)), hourly)));
            parts.push((What::PublicIpv4, at_rate(each(&on, exactly), decimal("0.004"))));
            let size = |data: &Value| data.get("size").and_then(Value::as_u64).unwrap_or(0) / 1_000_000_000;
            for (gb, stretch) in volumes(cloud, machine, "server", size, now) {
                parts.push((What::RootDisk, at_rate(exactly(stretch), decimal("0.00004") * Decimal::from(gb))));
            }
            "EUR"
        }
        // By the second while it is running, a minute at least from each start: not while it is pending, stopping or
        // shutting down. The address with it; each disk for as long as it exists, a minute at least, by the second of the
        // month.
        "aws" => {
            let on = stretches(machine, now, |state| matches!(state, State::Running | State::Rebooting));
            parts.push((What::Server, at_rate(each(&on, |stretch| begun(stretch, 1, MINUTE)), hourly)));
            parts.push((What::PublicIpv4, at_rate(each(&on, exactly), decimal("0.005"))));
            let size = |data: &Value| data.get("size_gib").and_then(Value::as_u64).unwrap_or(0);
            let gb_month = decimal(dialect.disk_price(&machine.region));
            for (gb, stretch) in volumes(cloud, machine, "instance", size, now) {
                let share = |(month, seconds): (Month, u64)| {
                    let part = Decimal::from(seconds) / Decimal::from(length_of(month));
                    (month, (seconds, gb_month * Decimal::from(gb) * part))
                };
                parts.push((What::RootDisk, begun(stretch, 1, MINUTE).into_iter().map(share).collect()));
            }
            "USD"
        }
        _ => return None,
    };
    let (born, gone) = (machine.born_at, machine.gone_at().map_or(now, |gone| gone.min(now)));
    let line = |what, month: Month, seconds, amount| Charge {
        what,
        month,
        id: machine.id.clone(),
        name: machine.name.clone(),
        plan: machine.plan.clone(),
        region: machine.region.clone(),
        from: born.max(begins(month)),
        to: gone.min(begins(after_month(month))),
        seconds,
        hourly,
        amount,
    };
    let lines = parts.into_iter().flat_map(|(what, months)| {
        months.into_iter().map(move |(month, (seconds, amount))| (what, month, seconds, amount))
    });
    Some((currency, lines.map(|(what, month, seconds, amount)| line(what, month, seconds, amount)).collect()))
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

/// The volumes that were made with a server: their size, and from when to when. `server` is the field that names it.
fn volumes<'a>(
    cloud: &'a Cloud,
    machine: &'a Machine,
    server: &'a str,
    size: impl Fn(&Value) -> u64 + 'a,
    now: Timestamp,
) -> impl Iterator<Item = (u64, Stretch)> + 'a {
    let all = cloud.resources.get("volume").into_iter().flat_map(|volumes| volumes.iter());
    let own = all.filter(move |volume| volume.data.get(server).and_then(Value::as_str) == Some(machine.id.as_str()));
    let own = own.filter(move |volume| volume.born_at <= now);
    own.map(move |volume| (size(&volume.data), (volume.born_at, volume.gone_at.unwrap_or(now).min(now))))
}

/// The seconds of several stretches.
fn each(stretches: &[Stretch], seconds: impl Fn(Stretch) -> Months) -> Months {
    let mut all = Months::new();
    for (month, seconds) in stretches.iter().flat_map(|stretch| seconds(*stretch)) {
        *all.entry(month).or_default() += seconds;
    }
    all
}

/// Every piece of so many seconds that began, `least` seconds at the least, by the month in which it did.
fn begun((from, to): Stretch, piece: u64, least: u64) -> Months {
    let (mut at, mut left, mut months) = (from, length((from, to)).max(least), Months::new());
    while left > 0 {
        // In steps of an hour where all of it lies in one month.
        let whole = left >= HOUR && month(at) == month(after(at, HOUR - 1));
        let step = if whole { HOUR.max(piece) } else { piece };
        *months.entry(month(at)).or_default() += step;
        (at, left) = (after(at, step), left.saturating_sub(step));
    }
    months
}

/// Every second that began.
fn exactly(stretch: Stretch) -> Months {
    begun(stretch, 1, 0)
}

/// When each month begins that is paid for, counted from the first moment on: in advance.
fn months_begun((from, to): Stretch) -> Vec<Timestamp> {
    let start = TimeZone::UTC.to_datetime(from);
    let mut months = vec![from];
    for month in 1.. {
        let next = start.checked_add(Span::new().months(month)).ok();
        match next.and_then(|next| TimeZone::UTC.to_timestamp(next).ok()) {
            Some(next) if next < to => months.push(next),
            _ => break,
        }
    }
    months
}

/// What the seconds of each month cost.
fn at_rate(months: Months, hourly: Decimal) -> Amounts {
    let cost = |seconds| hourly * Decimal::from(seconds) / Decimal::from(HOUR);
    months.into_iter().map(|(month, seconds)| (month, (seconds, cost(seconds)))).collect()
}

/// The same, no month more than the cap.
fn capped(months: Months, hourly: Decimal, cap: Decimal) -> Amounts {
    let all = at_rate(months, hourly).into_iter();
    all.map(|(month, (seconds, amount))| (month, (seconds, amount.min(cap)))).collect()
}

/// Seconds, and one more for a part of one.
fn length((from, to): Stretch) -> u64 {
    let ms = u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0);
    ms.div_ceil(1000)
}

/// The seconds of a month.
fn length_of(month: Month) -> u64 {
    length((begins(month), begins(after_month(month))))
}

fn after_month((year, month): Month) -> Month {
    if month == 12 { (year + 1, 1) } else { (year, month + 1) }
}

fn after(at: Timestamp, seconds: u64) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    at.saturating_add(seconds).unwrap_or(Timestamp::MAX)
}

/// A price as the catalogue writes it; nothing is written where there is none.
fn decimal(text: &str) -> Decimal {
    Decimal::from_str(text).unwrap_or_default()
}
