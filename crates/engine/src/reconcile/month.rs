//! A month that has ended: what its servers cost by the ledger beside what the vendor's invoices say, line by line.

use std::collections::BTreeMap;
use std::fmt;

use capsule_core::{Currency, InvoiceLine, Invoiced, LineKind, Money, MoneyError, ProviderId};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::ledger::Account;

/// One provider's month, both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthComparison {
    /// Whose.
    pub provider: ProviderId,
    /// What the servers of the ledger cost in the month; `None` where there were none and no invoice names a currency.
    pub ours: Option<Money>,
    /// What the vendor wrote.
    pub invoiced: Invoiced,
    /// The invoices' total less ours; `None` where nothing was written.
    pub difference: Option<Money>,
    /// The ledger's servers of the month by name, with what the lines that name them come to.
    pub servers: Vec<MonthServer>,
    /// What the difference is made of, to the last digit; empty where there is none, or no invoice.
    pub gaps: Vec<Gap>,
}

/// The ledger's servers of one name, which lived one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthServer {
    /// The name.
    pub name: String,
    /// What they cost by the ledger; `None` where the price of one is not known.
    pub ours: Option<Money>,
    /// What the lines that name one of them come to; `None` where there is no such line.
    pub invoiced: Option<Money>,
}

/// A part of the difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Why.
    pub cause: GapCause,
    /// How much of it: above zero where the invoice has more.
    pub amount: Money,
    /// The servers' names or the lines' words that it is about.
    pub about: Vec<String>,
}

/// Why an invoice says something else than the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapCause {
    /// No more than a cent for each line.
    Rounding,
    /// Servers whose lines come to something else.
    Differs,
    /// Servers of the ledger that no line names.
    Missing,
    /// Servers of the ledger whose price is not known.
    Unpriced,
    /// Servers, which ones the vendor does not say, beside those of the ledger that no line names.
    Pooled,
    /// Lines that are of none of the ledger's servers.
    Others,
    /// Tax.
    Tax,
    /// Credits, discounts, corrections.
    Credit,
    /// What the lines leave of the total.
    Unitemized,
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GapCause::Rounding => "rounding, no more than a cent for each line",
            GapCause::Differs => "servers that are charged otherwise: other times, another plan or price",
            GapCause::Missing => "servers of ours that no line names",
            GapCause::Unpriced => "servers of ours whose price is not known",
            GapCause::Pooled => "servers as a whole, as the vendor does not say which",
            GapCause::Others => "other resources, and servers that Capsule did not order or adopt",
            GapCause::Tax => "tax",
            GapCause::Credit => "credits and discounts",
            GapCause::Unitemized => "what the invoice does not itemize",
        })
    }
}

/// What is known of one name.
#[derive(Default)]
struct Named<'a> {
    ours: Option<Money>,
    unpriced: bool,
    lines: Vec<&'a InvoiceLine>,
}

/// Sets a month's invoices against the ledger. A line belongs to the server whose id it tells, or else to the one whose
/// name stands in it as a word by itself.
///
/// # Errors
/// [`MoneyError`].
pub fn compare_month(
    provider: &ProviderId,
    accounts: &[Account],
    invoiced: Invoiced,
) -> Result<MonthComparison, MoneyError> {
    let first = invoiced.month;
    let next = first.saturating_add(1.month());
    let moment = |date: Date| TimeZone::UTC.to_timestamp(date.into()).unwrap_or(invoiced.asked_at);
    let (start, end) = (moment(first), moment(next));
    let lived: Vec<&Account> = accounts
        .iter()
        .filter(|account| {
            let record = &account.record;
            record.id.provider == *provider
                && record.created_at < end
                && record.gone_at.is_none_or(|gone| gone >= start)
        })
        .collect();

    let mut named: BTreeMap<&str, Named<'_>> = BTreeMap::new();
    for account in &lived {
        let entry = named.entry(account.record.name.as_str()).or_default();
        match account.days(invoiced.asked_at)? {
            None => entry.unpriced = true,
            Some(days) => {
                for day in days.iter().filter(|cost| cost.day >= first && cost.day < next) {
                    entry.ours = Some(plus(entry.ours, day.amount)?);
                }
            }
        }
    }
    let currency = invoiced.total.map(|total| total.currency());
    let currency = currency.or_else(|| named.values().find_map(|entry| Some(entry.ours?.currency())));

    let mut rest: Vec<&InvoiceLine> = Vec::new();
    for line in &invoiced.lines {
        let owner = matches!(line.kind, LineKind::Usage).then(|| owner(&lived, line)).flatten();
        match owner.and_then(|name| named.get_mut(name)) {
            Some(entry) => entry.lines.push(line),
            None => rest.push(line),
        }
    }

    let mut servers = Vec::with_capacity(named.len());
    let mut sum = currency.map(Money::zero);
    for (name, entry) in &named {
        sum = match entry.ours {
            Some(ours) => Some(plus(sum, ours)?),
            None => sum,
        };
        let ours = match (entry.unpriced, entry.ours, currency) {
            (true, ..) => None,
            (false, ours, currency) => ours.or(currency.map(Money::zero)),
        };
        servers.push(MonthServer { name: (*name).to_owned(), ours, invoiced: total(&entry.lines)? });
    }
    let difference = match (invoiced.total, sum) {
        (Some(theirs), Some(ours)) => Some(theirs.checked_sub(ours)?),
        (theirs, _) => theirs,
    };
    let gaps = match invoiced.total {
        Some(theirs) => gaps(theirs.currency(), &named, &rest)?,
        None => Vec::new(),
    };
    Ok(MonthComparison { provider: provider.clone(), ours: sum, invoiced, difference, servers, gaps })
}

/// The name of the server that a line is for.
fn owner<'a>(lived: &[&'a Account], line: &InvoiceLine) -> Option<&'a str> {
    if let Some(id) = &line.server {
        let told = lived.iter().find(|account| account.record.id.native == *id);
        if let Some(account) = told {
            return Some(&account.record.name);
        }
    }
    let mut names: Vec<&str> =
        lived.iter().map(|account| account.record.name.as_str()).filter(|name| has_word(&line.what, name)).collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [name] => Some(name),
        _ => None,
    }
}

/// Whether a name stands in a text, with nothing around it that could be part of a longer one.
fn has_word(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            !before.is_some_and(part) && !after.is_some_and(part)
        })
}

/// What makes up the difference, cause by cause.
fn gaps(currency: Currency, named: &BTreeMap<&str, Named<'_>>, rest: &[&InvoiceLine]) -> Result<Vec<Gap>, MoneyError> {
    let mut found: BTreeMap<GapCause, Gap> = BTreeMap::new();
    let mut add = |cause: GapCause, amount: Money, about: &str| -> Result<(), MoneyError> {
        let gap = found.entry(cause).or_insert_with(|| Gap { cause, amount: Money::zero(currency), about: Vec::new() });
        gap.amount = gap.amount.checked_add(amount)?;
        if !gap.about.iter().any(|known| known == about) {
            gap.about.push(about.to_owned());
        }
        Ok(())
    };
    let pooled = rest.iter().any(|line| line.kind == LineKind::Servers);
    for (name, entry) in named {
        let ours = entry.ours.unwrap_or(Money::zero(currency));
        let less = total(&entry.lines)?.unwrap_or(Money::zero(currency)).checked_sub(ours)?;
        let cents = Money::constant(1, 2, currency).checked_mul(entry.lines.len())?;
        let cause = match entry.lines.len() {
            _ if entry.unpriced => GapCause::Unpriced,
            0 if pooled => GapCause::Pooled,
            0 => GapCause::Missing,
            _ if less.amount().abs() <= cents.amount() => GapCause::Rounding,
            _ => GapCause::Differs,
        };
        if !less.amount().is_zero() || entry.unpriced {
            add(cause, less, name)?;
        }
    }
    for line in rest {
        let cause = match line.kind {
            LineKind::Usage => GapCause::Others,
            LineKind::Servers => GapCause::Pooled,
            LineKind::Tax => GapCause::Tax,
            LineKind::Credit => GapCause::Credit,
            LineKind::Unitemized => GapCause::Unitemized,
        };
        add(cause, line.amount, &line.what)?;
    }
    // Servers as a whole that come to what ours do are no difference.
    found.retain(|_, gap| !gap.amount.amount().is_zero() || gap.cause == GapCause::Unpriced);
    Ok(found.into_values().collect())
}

fn total(lines: &[&InvoiceLine]) -> Result<Option<Money>, MoneyError> {
    lines.iter().try_fold(None, |sum, line| plus(sum, line.amount).map(Some))
}

fn plus(sum: Option<Money>, amount: Money) -> Result<Money, MoneyError> {
    sum.map_or(Ok(amount), |sum| sum.checked_add(amount))
}

#[cfg(test)]
mod tests;
