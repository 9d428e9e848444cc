//! What servers have cost and will cost: their lives, as the journal has them, at the prices they were ordered at.
//!
//! The price in force stands with the operation that ordered, so a vendor's new price changes no past. Sums are exact;
//! whoever shows them rounds. Amounts of different currencies are kept apart.

use std::collections::BTreeMap;

use capsule_core::{Currency, DayCost, InstanceId, Life, Money, MoneyError, Price};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Serialize, Serializer};

use crate::operation::Record;

/// One server's account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The server, gone or not.
    pub record: Record,
    /// When it was off for its bill, as far as this installation switched it. What lies between a word and the deed counts
    /// as its price's rule says; what is not known counts as on.
    pub off: Vec<(Timestamp, Option<Timestamp>)>,
}

impl Account {
    /// Its life until then, or until its end.
    pub fn life(&self, until: Timestamp) -> Life {
        let from = match self.price() {
            // What it costs while it is off is its plan: that is due from its first moment on.
            Some(price) if price.rule.from_running && price.rule.stopped_is_billed => {
                self.record.not_running_at.unwrap_or(self.record.created_at)
            }
            _ => self.record.created_at,
        };
        let to = self.record.gone_at.map_or(until, |gone| gone.min(until)).max(from);
        let off = self.off.iter().map(|(off, on)| (*off, on.unwrap_or(to))).collect();
        Life { from, to, off }
    }

    /// What each day cost until then; `None` where the price was not known at the order.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn days(&self, until: Timestamp) -> Result<Option<Vec<DayCost>>, MoneyError> {
        self.price().map(|price| price.days(&self.life(until))).transpose()
    }

    fn price(&self) -> Option<&Price> {
        self.record.price.as_ref()
    }
}

/// Money of several currencies, which do not mix.
///
/// Its JSON is an object from currency to amount as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purse(BTreeMap<Currency, Money>);

impl Purse {
    /// Adds an amount.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn add(&mut self, amount: Money) -> Result<(), MoneyError> {
        let sum = self.0.get(&amount.currency()).copied().unwrap_or(Money::zero(amount.currency()));
        self.0.insert(amount.currency(), sum.checked_add(amount)?);
        Ok(())
    }

    /// Its amounts by currency.
    pub fn amounts(&self) -> impl Iterator<Item = Money> {
        self.0.values().copied()
    }

    /// How much of one currency is in it.
    pub fn of(&self, currency: Currency) -> Money {
        self.0.get(&currency).copied().unwrap_or(Money::zero(currency))
    }
}

impl Serialize for Purse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(currency, money)| (currency, money.amount().to_string())))
    }
}

/// What to sum up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The cloud.
    Provider,
    /// Cloud and region.
    Region,
    /// The value of this tag; servers without it have a group of their own.
    Tag(String),
    /// The wallet that an xNode was made for, or whatever the goal names as `owner`.
    Owner,
    /// The calendar month in which it was charged.
    Month,
    /// Each server for itself.
    Server,
    /// What is charged for: the plan, its disk, its address, the fee with the order.
    Part,
}

/// One line of a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The provider, region, value or month.
    pub key: String,
    /// How many servers were charged in it, or are there.
    pub servers: usize,
    /// How many of them are still there.
    pub living: usize,
    /// How many have no known price, and so are missing in the sums.
    pub unpriced: usize,
    /// What was charged so far.
    pub actual: Purse,
    /// What will have been charged at the end of this month if nothing changes, `actual` included.
    pub forecast: Purse,
}

/// The first moment of the month after `now`'s, in UTC.
pub fn month_end(now: Timestamp) -> Timestamp {
    let today = TimeZone::UTC.to_datetime(now).date();
    let next = today.first_of_month().checked_add(1.month()).ok();
    next.and_then(|date| TimeZone::UTC.to_timestamp(date.into()).ok()).unwrap_or(now)
}

/// The first day of `now`'s month, in UTC.
pub fn month_start(now: Timestamp) -> Date {
    day_of(now).first_of_month()
}

/// The first moment of `now`'s month, in UTC.
pub(crate) fn month_start_at(now: Timestamp) -> Timestamp {
    TimeZone::UTC.to_timestamp(month_start(now).into()).unwrap_or(now)
}

/// Sums accounts up, from `since` on, by what is asked: groups in the order of their keys.
///
/// # Errors
/// [`MoneyError`].
pub fn summary(accounts: &[Account], by: &By, since: Option<Date>, now: Timestamp) -> Result<Vec<Group>, MoneyError> {
    if *by == By::Part {
        return by_part(accounts, since, now);
    }
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let end = month_end(now);
    for account in accounts {
        let record = &account.record;
        let living = record.gone_at.is_none();
        if !living && since.is_some_and(|since| record.gone_at.is_some_and(|gone| day_of(gone) < since)) {
            continue;
        }
        let counts = |day: &&DayCost| since.is_none_or(|since| day.day >= since);
        let (Some(actual), Some(forecast)) = (account.days(now)?, account.days(end)?) else {
            let group = group(&mut groups, key(record, by, day_of(now)));
            group.servers += 1;
            group.living += usize::from(living);
            group.unpriced += 1;
            continue;
        };
        let mut touched: Vec<String> = Vec::new();
        if !matches!(by, By::Month) {
            touched.push(key(record, by, day_of(now)));
        }
        for (days, into_actual) in [(actual, true), (forecast, false)] {
            for day in days.iter().filter(counts) {
                let key = key(record, by, day.day);
                let group = group(&mut groups, key.clone());
                if into_actual {
                    group.actual.add(day.amount)?
                } else {
                    group.forecast.add(day.amount)?
                }
                if !touched.contains(&key) {
                    touched.push(key);
                }
            }
        }
        for key in touched {
            let group = group(&mut groups, key);
            group.servers += 1;
            group.living += usize::from(living);
        }
    }
    Ok(groups.into_values().collect())
}

/// Each part of a price is a price: the accounts are summed up for each of them.
fn by_part(accounts: &[Account], since: Option<Date>, now: Timestamp) -> Result<Vec<Group>, MoneyError> {
    let mut parts: BTreeMap<&str, Vec<Account>> = BTreeMap::new();
    for account in accounts {
        let of = |price| Account { record: Record { price, ..account.record.clone() }, off: account.off.clone() };
        match account.price() {
            Some(price) => price.parts().into_iter().for_each(|part| {
                parts.entry(part.what).or_default().push(of(Some(part.price)));
            }),
            None => parts.entry("(unknown)").or_default().push(of(None)),
        }
    }
    let mut groups = Vec::new();
    for (part, accounts) in parts {
        // All of them are one group, under whatever name.
        let one = By::Tag(String::new());
        let of_part = summary(&accounts, &one, since, now)?;
        groups.extend(of_part.into_iter().map(|group| Group { key: part.to_owned(), ..group }));
    }
    Ok(groups)
}

fn group(groups: &mut BTreeMap<String, Group>, key: String) -> &mut Group {
    groups.entry(key.clone()).or_insert_with(|| Group {
        key,
        servers: 0,
        living: 0,
        unpriced: 0,
        actual: Purse::default(),
        forecast: Purse::default(),
    })
}

fn key(record: &Record, by: &By, day: Date) -> String {
    let none = || "(none)".to_owned();
    match by {
        By::Provider => record.id.provider.to_string(),
        By::Region => format!("{}/{}", record.id.provider, record.id.region),
        By::Tag(name) => record.tags.get(name).map_or_else(none, str::to_owned),
        By::Owner => {
            let owner = record.goal.as_ref().and_then(|goal| goal.get("owner")).and_then(|owner| owner.as_str());
            owner.map_or_else(none, str::to_owned)
        }
        By::Month => day.strftime("%Y-%m").to_string(),
        By::Server | By::Part => record.name.clone(),
    }
}

fn day_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// A change of power that was carried out, or an end.
#[derive(Debug, Clone)]
pub(crate) struct Switched {
    pub(crate) id: InstanceId,
    pub(crate) off: bool,
    /// When it was wanted.
    pub(crate) asked: Timestamp,
    /// When the provider had accepted it or, of an end, was asked for it; `None` where that is not known.
    pub(crate) accepted: Option<Timestamp>,
    /// When it was last seen to be not so yet.
    pub(crate) not_yet: Option<Timestamp>,
    /// When the provider said that it is so.
    pub(crate) done: Timestamp,
}

/// One account for each record. `switched` in the order of time.
pub(crate) fn accounts(records: Vec<Record>, switched: &[Switched]) -> Vec<Account> {
    let mut changes: BTreeMap<&InstanceId, Vec<&Switched>> = BTreeMap::new();
    for change in switched {
        changes.entry(&change.id).or_default().push(change);
    }
    records
        .into_iter()
        .map(|record| Account { off: off(&record, changes.get(&record.id).map_or(&[], Vec::as_slice)), record })
        .collect()
}

/// When a server was off, for its bill.
fn off(record: &Record, changes: &[&Switched]) -> Vec<(Timestamp, Option<Timestamp>)> {
    let rule = record.price.as_ref().map(|price| &price.rule);
    let from_running = rule.is_some_and(|rule| rule.from_running);
    let until_asked = rule.is_some_and(|rule| rule.until_asked);
    let mut off: Vec<(Timestamp, Option<Timestamp>)> = Vec::new();
    if let Some(at) = record.not_running_at.filter(|at| from_running && *at > record.created_at) {
        off.push((record.created_at, Some(at)));
    }
    for change in changes {
        let stopped = change.accepted.filter(|_| until_asked).unwrap_or(change.done);
        let started = change.not_yet.filter(|_| from_running).unwrap_or(change.asked);
        match off.last_mut() {
            Some((_, on @ None)) if !change.off => *on = Some(started),
            Some((_, None)) => {}
            _ if change.off => off.push((stopped, None)),
            _ => {}
        }
    }
    off
}

#[cfg(test)]
pub(crate) mod tests;
