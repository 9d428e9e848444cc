//! Our figure beside the vendor's, and what may lie between them: for the time that runs, and for a month that has ended.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use capsule_core::{InstanceId, Money, MoneyError, ProviderId, Statement};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::ledger::{Account, month_start};

mod month;

pub use month::{Gap, GapCause, MonthComparison, MonthServer, compare_month};

/// One provider's statement set against the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Whose.
    pub provider: ProviderId,
    /// The first day that both figures are for: the statement's, or else that of the month.
    pub since: Date,
    /// What the servers of the ledger cost since then, in the statement's currency; `None` where there are none and the
    /// statement names no currency.
    pub ours: Option<Money>,
    /// What the vendor says.
    pub statement: Statement,
    /// The vendor's figure less ours; `None` where the vendor tells of no such time.
    pub difference: Option<Money>,
    /// What may explain it, the surest first; empty where there is nothing to explain.
    pub causes: Vec<Cause>,
}

/// A reason for a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// It is not more than a cent for each server.
    Rounding,
    /// Servers of the ledger whose price is not known, so that ours lacks them.
    Unpriced {
        /// How many.
        servers: usize,
    },
    /// Servers on the account that are not in the ledger.
    Others {
        /// How many.
        servers: usize,
    },
    /// What is not of the ledger could not be looked for.
    OthersUnknown,
    /// Servers that were there before the period began, or still run: an hour that has begun counts here or there.
    Boundary {
        /// How many.
        servers: usize,
    },
    /// The vendor's figure is older than ours.
    Late {
        /// By up to so many hours.
        hours: u64,
    },
    /// What no reckoning from servers alone has in it.
    Beside,
}

impl Comparison {
    /// The same where the vendor's figure may be so old: what there is to explain may be explained by that.
    #[must_use]
    pub fn late_by(mut self, lag: Duration) -> Self {
        if !lag.is_zero() && !self.causes.is_empty() {
            self.causes.retain(|cause| *cause != Cause::Rounding);
            self.causes.insert(0, Cause::Late { hours: lag.as_secs().div_ceil(3600) });
        }
        self
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count: &usize| if *count == 1 { "1 server".to_owned() } else { format!("{count} servers") };
        match self {
            Cause::Rounding => f.write_str("rounding: no more than a cent for each server"),
            Cause::Unpriced { servers } => {
                write!(f, "{} of ours with no known price, missing in our figure", many(servers))
            }
            Cause::Others { servers } => {
                write!(f, "{} on the account that Capsule did not order or adopt, missing in our figure", many(servers))
            }
            Cause::OthersUnknown => f.write_str("servers of others on the account: they could not be listed"),
            Cause::Boundary { servers } => {
                write!(
                    f,
                    "the edges of the period: {} began before it or still run, and part of an hour counts",
                    many(servers)
                )
            }
            Cause::Late { hours } => write!(f, "time: the vendor's figure may be {hours} hours old"),
            Cause::Beside => f.write_str(
                "tax, traffic beyond the allowance, and what was added by hand: volumes, snapshots, addresses, backups",
            ),
        }
    }
}

/// Sets a statement against the ledger. `listed` is every server that the account shows, ours or not, where known.
///
/// # Errors
/// [`MoneyError`].
pub fn compare(
    provider: &ProviderId,
    accounts: &[Account],
    statement: Statement,
    listed: Option<&[InstanceId]>,
) -> Result<Comparison, MoneyError> {
    let now = statement.asked_at;
    let since = statement.since.unwrap_or_else(|| month_start(now));
    let start = TimeZone::UTC.to_timestamp(since.into()).unwrap_or(now);
    let lived = |account: &&Account| {
        account.record.id.provider == *provider && account.record.gone_at.is_none_or(|gone| gone >= start)
    };
    let ours: Vec<&Account> = accounts.iter().filter(lived).collect();
    let told = statement.charged.or(statement.balance).map(|money| money.currency());
    let mut sum: Option<Money> = told.map(Money::zero);
    let (mut unpriced, mut charged) = (0, 0_usize);
    for account in &ours {
        let Some(days) = account.days(now)? else {
            unpriced += 1;
            continue;
        };
        charged += 1;
        for day in days.iter().filter(|day| day.day >= since) {
            sum = Some(match sum {
                Some(sum) => sum.checked_add(day.amount)?,
                None => day.amount,
            });
        }
    }
    let difference = match (statement.charged, sum) {
        (Some(charged), Some(ours)) => Some(charged.checked_sub(ours)?),
        (difference, _) => difference,
    };
    let mut causes = Vec::new();
    if difference.is_some_and(|difference| !difference.round(2).amount().is_zero()) || unpriced > 0 {
        let known: BTreeSet<String> = ours.iter().map(|account| account.record.id.to_string()).collect();
        let others = listed.map(|ids| ids.iter().filter(|id| !known.contains(&id.to_string())).count());
        let edges = ours.iter().filter(|account| account.record.created_at < start || account.record.gone_at.is_none());
        let edges = edges.count();
        let within = match difference {
            Some(difference) => {
                let cents = Money::constant(1, 2, difference.currency()).checked_mul(charged)?;
                difference.amount().abs() <= cents.amount()
            }
            None => false,
        };
        causes.extend((unpriced > 0).then_some(Cause::Unpriced { servers: unpriced }));
        match others {
            Some(0) => {}
            Some(servers) => causes.push(Cause::Others { servers }),
            None => causes.push(Cause::OthersUnknown),
        }
        if within && causes.is_empty() {
            causes.push(Cause::Rounding);
        } else {
            causes.extend((edges > 0).then_some(Cause::Boundary { servers: edges }));
            causes.push(Cause::Beside);
        }
    }
    Ok(Comparison { provider: provider.clone(), since, ours: sum, statement, difference, causes })
}

#[cfg(test)]
mod tests;
