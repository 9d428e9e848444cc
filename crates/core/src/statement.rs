//! What a vendor itself says that it charges: set beside our own reckoning, never mixed with it.

use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use crate::ProviderId;
use crate::error::{Error, ErrorKind, Result};
use crate::money::{Money, MoneyError};

/// A vendor that says what is owed, reached by [`Provider::statements`](crate::Provider::statements).
#[async_trait]
pub trait Statements: Send + Sync {
    /// The right that a key needs for it, for people.
    fn needs(&self) -> &'static str;

    /// What each question costs, where it does: whoever asks says so before, and asks only who wants that.
    fn fee(&self) -> Option<Money>;

    /// How old the figures may be.
    fn lag(&self) -> Duration;

    /// What has been charged and what is owed, of the whole account as far as the key sees it.
    ///
    /// # Errors
    /// As everywhere; [`ErrorKind::Forbidden`] where the key lacks the right.
    async fn statement(&self) -> Result<Statement>;

    /// What was written on the invoices of a calendar month in UTC that has ended; `month` is its first day. One that is
    /// not written yet, or never will be, has no number and no total.
    ///
    /// # Errors
    /// As everywhere; [`ErrorKind::Forbidden`] where the key lacks the right. A page that
    /// is missing is an error, never fewer lines.
    async fn invoiced(&self, month: Date) -> Result<Invoiced>;
}

/// The vendor's own figures, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The first day, in UTC, of the time that `charged` is for; `None` where the vendor does not say.
    pub since: Option<Date>,
    /// What was charged since then and is on no invoice yet; `None` where the vendor does not tell.
    pub charged: Option<Money>,
    /// What is owed from before, below zero for credit; `None` where the vendor does not tell.
    pub balance: Option<Money>,
    /// What `charged` is made of, as far as it is told.
    pub lines: Vec<StatementLine>,
    /// What must be known to read the figures. Whole sentences.
    pub notes: Vec<String>,
}

/// What was written for one month: the lines of all its invoices, which together are the total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoiced {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The first day of the month, in UTC.
    pub month: Date,
    /// The numbers or names of the invoices, as the vendor writes them; empty where it writes none that can be asked for.
    pub invoices: Vec<String>,
    /// What they come to, tax and credits included; `None` where nothing was written for the month.
    pub total: Option<Money>,
    /// What the total is made of, to the last digit.
    pub lines: Vec<InvoiceLine>,
    /// What must be known to read the figures. Whole sentences.
    pub notes: Vec<String>,
}

impl Invoiced {
    /// Why the answer to `operation` makes no invoices.
    pub fn unreadable(provider: &ProviderId, operation: &'static str, why: &str) -> Error {
        Error::new(ErrorKind::Protocol, format!("The invoices cannot be read: {why}."))
            .with_provider(provider)
            .with_operation(operation)
    }

    /// A month that nothing was written for.
    pub fn nothing(asked_at: Timestamp, month: Date) -> Self {
        Invoiced { asked_at, month, invoices: Vec::new(), total: None, lines: Vec::new(), notes: Vec::new() }
    }

    /// Adds an invoice or part of one. What its lines leave of the total becomes a line of its own, and lines of nothing
    /// are left out.
    ///
    /// # Errors
    /// [`MoneyError`]: currencies that do not mix.
    pub fn add(
        &mut self,
        number: Option<String>,
        total: Money,
        lines: impl IntoIterator<Item = InvoiceLine>,
    ) -> Result<(), MoneyError> {
        let mut left = total;
        for line in lines {
            left = left.checked_sub(line.amount)?;
            if !line.amount.amount().is_zero() {
                self.lines.push(line);
            }
        }
        if !left.amount().is_zero() {
            let what = "not itemized".to_owned();
            self.lines.push(InvoiceLine { what, kind: LineKind::Unitemized, server: None, amount: left });
        }
        self.total = Some(self.total.map_or(Ok(total), |sum| sum.checked_add(total))?);
        self.invoices.extend(number);
        Ok(())
    }
}

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvoiceLine {
    /// What for, in the vendor's words; a server's name in it is how a line without an id is known to be that server's.
    pub what: String,
    /// What kind of line.
    pub kind: LineKind,
    /// The server's native id, where the line tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How much, below zero for what is given back.
    pub amount: Money,
}

/// What a line of an invoice is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Something that was used: a server, or something else.
    Usage,
    /// Servers, their disks and addresses; which ones is not told.
    Servers,
    /// Tax.
    Tax,
    /// Credits, discounts, corrections.
    Credit,
    /// What the other lines leave of the total.
    Unitemized,
}

/// The month in which most of a stretch of time lies: its first day, in UTC. Vendors end a month at its last second, at
/// the next month's first, or in their own time zone.
pub fn month_of(from: Timestamp, to: Timestamp) -> Date {
    let half = to.duration_since(from) / 2;
    let middle = from.saturating_add(half).unwrap_or(from);
    TimeZone::UTC.to_datetime(middle).date().first_of_month()
}

/// The month before that of a moment: what an invoice that tells no more than when it was written is for.
pub fn month_before(at: Timestamp) -> Date {
    let month = TimeZone::UTC.to_datetime(at).date().first_of_month();
    month.checked_sub(1.month()).unwrap_or(month)
}

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementLine {
    /// What for, in the vendor's words.
    pub what: String,
    /// How much.
    pub amount: Money,
}
