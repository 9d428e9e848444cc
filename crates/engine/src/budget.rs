//! Limits on what a month may cost, held where an intent is written down: what would break one is never begun.
//!
//! What counts against a limit: what the month has cost so far, what all that is there costs until its end if it stays
//! on, and the dearest candidate of every order that is under way. And since a server ordered on the last day of a month
//! costs little in it, a whole month of all that is there must be within the limit too.

use std::fmt;
use std::str::FromStr;

use capsule_core::{Error, ErrorKind, Life, Money, MoneyError, Price, ProviderId, Rates, Result, Tags};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::ledger::{Account, month_end, month_start};
use crate::placement::Placement;
use crate::state::State;

/// A limit on what a month may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Its name, unique.
    pub name: String,
    /// The most that a calendar month (UTC) may cost.
    pub monthly: Money,
    /// Which servers count.
    pub scope: Scope,
    /// Percentages of the limit at which to warn, in rising order.
    pub warn: Vec<u8>,
    /// Whether an order that would exceed it is refused.
    pub block: bool,
    /// What prices in other currencies are reckoned with.
    #[serde(default)]
    pub rates: Rates,
}

/// Which servers count against a budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Scope {
    /// All.
    All,
    /// Those at one provider.
    Provider(ProviderId),
    /// Those with this tag of this value.
    Tag(String, String),
}

impl Load {
    fn places_in<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Place> {
        self.places.iter().filter(|place| scope.holds(&place.provider, &self.tags))
    }

    /// The same if it is made where it is tried first.
    fn first_choice(&self) -> Load {
        Load { tags: self.tags.clone(), places: self.places.iter().take(1).cloned().collect() }
    }
}

impl Scope {
    fn holds(&self, provider: &ProviderId, tags: &Tags) -> bool {
        match self {
            Scope::All => true,
            Scope::Provider(only) => only == provider,
            Scope::Tag(key, value) => tags.get(key) == Some(value),
        }
    }
}

/// `all`, `provider:NAME` or `tag:KEY=VALUE`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::All => f.pad("all"),
            Scope::Provider(provider) => f.pad(&format!("provider:{provider}")),
            Scope::Tag(key, value) => f.pad(&format!("tag:{key}={value}")),
        }
    }
}

impl FromStr for Scope {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(ErrorKind::Invalid, format!("`{text}` is not a budget's scope."))
                .with_hint("It is `all`, `provider:NAME` or `tag:KEY=VALUE`.")
        };
        match text.split_once(':') {
            None if text == "all" => Ok(Scope::All),
            Some(("provider", name)) if !name.is_empty() => Ok(Scope::Provider(name.to_owned().into())),
            Some(("tag", pair)) => match pair.split_once('=') {
                Some((key, value)) if !key.is_empty() => Ok(Scope::Tag(key.to_owned(), value.to_owned())),
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// How a budget stands.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The budget.
    #[serde(flatten)]
    pub budget: Budget,
    /// What it comes to, or why that cannot be said: [`ErrorKind::Invalid`] where a rate is missing. In JSON the figures
    /// or nulls, and `error`.
    #[serde(flatten, serialize_with = "told")]
    pub figures: Result<Figures>,
}

/// What counts against a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// What this month costs until its end if nothing changes, orders under way included.
    pub this_month: Money,
    /// What a whole month of all that is there costs.
    pub full_month: Money,
    /// What is left of the limit, below zero where it is exceeded.
    pub remaining: Money,
    /// How many of the servers that count have no known price.
    pub unpriced: usize,
    /// The highest warning that has been reached.
    pub warning: Option<u8>,
}

impl Figures {
    fn is_over(&self) -> bool {
        self.remaining.amount().is_sign_negative()
    }
}

/// The same keys, whether there are figures or not.
fn told<S: Serializer>(figures: &Result<Figures>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Told<'a> {
        this_month: Option<Money>,
        full_month: Option<Money>,
        remaining: Option<Money>,
        unpriced: Option<usize>,
        warning: Option<u8>,
        error: Option<&'a Error>,
    }
    let known = figures.as_ref().ok();
    let told = Told {
        this_month: known.map(|figures| figures.this_month),
        full_month: known.map(|figures| figures.full_month),
        remaining: known.map(|figures| figures.remaining),
        unpriced: known.map(|figures| figures.unpriced),
        warning: known.and_then(|figures| figures.warning),
        error: figures.as_ref().err(),
    };
    told.serialize(serializer)
}

/// What one server costs, there or ordered.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    tags: Tags,
    /// Where it is, or may be made.
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
struct Place {
    provider: ProviderId,
    /// In this month, and in a whole one; `None` where the price is not known.
    cost: Option<(Money, Money)>,
}

/// What is there, and what was there this month.
pub(crate) fn of_accounts(accounts: &[Account], now: Timestamp) -> Result<Vec<Load>, MoneyError> {
    let of_account = |account: &Account| {
        let record = &account.record;
        let cost = match &record.price {
            Some(price) => {
                let mut life = account.life(month_end(now));
                // What is off may be started at any time.
                life.off.iter_mut().for_each(|(off, on)| *on = (*on).min(now).max(*off));
                let full =
                    if record.gone_at.is_none() { price.monthly()? } else { price.monthly()?.checked_mul(0u32)? };
                Some((this_month(price, &life, now)?, full))
            }
            None => None,
        };
        let places = vec![Place { provider: record.id.provider.clone(), cost }];
        Ok(Load { tags: record.tags.clone(), places })
    };
    accounts.iter().map(of_account).collect()
}

/// What an order comes to: a load for each server that is not made yet, at any of its placements.
pub(crate) fn of_order(state: &State, now: Timestamp) -> Result<Vec<Load>, MoneyError> {
    let Some(deploy) = state.deploy() else { return Ok(Vec::new()) };
    let life = Life::new(state.started, month_end(now));
    let place = |placement: &Placement| {
        let cost = placement.price.as_ref().map(|price| Ok((this_month(price, &life, now)?, price.monthly()?)));
        Ok(Place { provider: placement.provider.clone(), cost: cost.transpose()? })
    };
    let places = deploy.placements.iter().map(place).collect::<Result<Vec<_>, MoneyError>>()?;
    let load = || Load { tags: deploy.tags.clone(), places: places.clone() };
    Ok(state.unmade().iter().map(|_| load()).collect())
}

fn this_month(price: &Price, life: &Life, now: Timestamp) -> Result<Money, MoneyError> {
    let start = month_start(now);
    let days = price.days(life)?;
    let mut counted = days.iter().filter(|day| day.day >= start);
    counted.try_fold(Money::zero(price.amount.currency()), |sum, day| sum.checked_add(day.amount))
}

/// What counts against a budget under these loads.
///
/// # Errors
/// [`ErrorKind::Invalid`] where a rate between two currencies is missing.
pub(crate) fn reckon<'a>(budget: &Budget, loads: impl Iterator<Item = &'a Load>) -> Result<Figures> {
    let currency = budget.monthly.currency();
    let (mut this_month, mut full_month, mut unpriced) = (Money::zero(currency), Money::zero(currency), 0);
    for load in loads {
        // Of several places, the dearest counts.
        let (mut this, mut full) = (Money::zero(currency), Money::zero(currency));
        let mut known = true;
        for place in load.places_in(&budget.scope) {
            let Some(cost) = place.cost else {
                known = false;
                continue;
            };
            let convert = |money| budget.rates.convert(money, currency).ok_or_else(|| no_rate(budget, place, money));
            this = this.checked_max(convert(cost.0)?).map_err(too_large)?;
            full = full.checked_max(convert(cost.1)?).map_err(too_large)?;
        }
        unpriced += usize::from(!known);
        this_month = this_month.checked_add(this).map_err(too_large)?;
        full_month = full_month.checked_add(full).map_err(too_large)?;
    }
    let worse = full_month.checked_max(this_month).map_err(too_large)?;
    let remaining = budget.monthly.checked_sub(worse).map_err(too_large)?;
    let warning = budget.warn.iter().copied().filter(|percent| reaches(worse, budget.monthly, *percent)).max();
    Ok(Figures { this_month, full_month, remaining, unpriced, warning })
}

/// Whether the loads, with what is wanted, keep within every budget that blocks.
///
/// # Errors
/// [`ErrorKind::Quota`] that says what remains; [`ErrorKind::Invalid`] where a price or a rate is missing.
pub(crate) fn admit(budgets: &[Budget], there: &[Load], wanted: &[Load]) -> Result<()> {
    for budget in budgets.iter().filter(|budget| budget.block) {
        let places = || wanted.iter().flat_map(|load| load.places_in(&budget.scope));
        if places().next().is_none() {
            continue;
        }
        if let Some(place) = places().find(|place| place.cost.is_none()) {
            let message = format!("Budget `{}` blocks, and the price at {} is not known.", budget.name, place.provider);
            return Err(Error::new(ErrorKind::Invalid, message)
                .with_hint("Choose an offer with a known price, or set the budget so that it only warns."));
        }
        let before = reckon(budget, there.iter())?;
        let after = reckon(budget, there.iter().chain(wanted))?;
        if after.is_over() {
            let more = before.remaining.checked_sub(after.remaining).map_err(too_large)?;
            let left = before.remaining.checked_max(Money::zero(budget.monthly.currency())).map_err(too_large)?;
            // An order counts at its dearest: what would be taken if its first choice cannot be had.
            let firsts: Vec<Load> = wanted.iter().map(Load::first_choice).collect();
            let hint = match firsts.first().and_then(|load| load.places_in(&budget.scope).next()?.cost) {
                Some((_, monthly)) if !reckon(budget, there.iter().chain(&firsts))?.is_over() => format!(
                    "The first choice alone would fit: `--max-monthly \"{monthly}\"` leaves out what is dearer and would \
                     be taken in its place."
                ),
                _ => format!(
                    "Choose something cheaper, delete what is not needed, or raise it: `capsule budget set {} --monthly ...`.",
                    budget.name
                ),
            };
            let message = format!(
                "Budget `{}` allows {:.2} a month for {}: {left:.2} remain, and this may take {more:.2}.",
                budget.name, budget.monthly, budget.scope
            );
            return Err(Error::new(ErrorKind::Quota, message).with_hint(hint));
        }
    }
    Ok(())
}

fn no_rate(budget: &Budget, place: &Place, money: Money) -> Error {
    let (other, currency) = (money.currency(), budget.monthly.currency());
    Error::new(
        ErrorKind::Invalid,
        format!("Budget `{}` is in {currency}, and {} charges in {other}.", budget.name, place.provider),
    )
    .with_hint(format!("Set it with what one {other} is worth: `--rate \"{other}=... {currency}\"`."))
}

fn reaches(cost: Money, limit: Money, percent: u8) -> bool {
    let share = limit.checked_mul(u32::from(percent)).and_then(|share| share.checked_div(100u32));
    share.is_ok_and(|share| cost.amount() >= share.amount())
}

fn too_large(error: MoneyError) -> Error {
    Error::new(ErrorKind::Invalid, format!("The costs cannot be summed up: {error}."))
}

/// What is wrong with a budget beside the others.
///
/// # Errors
/// [`ErrorKind::Invalid`] or, for a scope that has its budget already, [`ErrorKind::Conflict`].
pub(crate) fn check(budget: &Budget, others: &[Budget]) -> Result<()> {
    let invalid = |what: String, hint: &str| Err(Error::new(ErrorKind::Invalid, what).with_hint(hint));
    let amount = budget.monthly.amount();
    if budget.name.is_empty() || budget.name.chars().any(char::is_whitespace) {
        return invalid(format!("`{}` is not a budget's name.", budget.name), "It is one word.");
    }
    if amount.is_sign_negative() || amount.is_zero() {
        return invalid(format!("A limit of {} allows nothing.", budget.monthly), "Give an amount above zero.");
    }
    if amount > MOST.into() {
        return invalid(format!("A limit of {} is no limit.", budget.monthly), "Give at most a thousand million.");
    }
    if let Some(percent) = budget.warn.iter().find(|percent| !(1..=100).contains(*percent)) {
        return invalid(format!("A warning at {percent} % makes no sense."), "Give percentages from 1 to 100.");
    }
    match others.iter().find(|other| other.name != budget.name && other.scope == budget.scope) {
        Some(other) => {
            let message = format!("Budget `{}` is for `{}` already.", other.name, other.scope);
            Err(Error::new(ErrorKind::Conflict, message)
                .with_hint(format!("Change that one, or `capsule budget remove {}` first.", other.name)))
        }
        None => Ok(()),
    }
}

/// Nobody means more than that.
const MOST: u64 = 1_000_000_000;
