//! What a vendor itself says that it charges: set beside our own reckoning, never mixed with it.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::error::Result;
use crate::money::Money;

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
    /// As everywhere; [`ErrorKind::Forbidden`](crate::ErrorKind::Forbidden) where the key lacks the right.
    async fn statement(&self) -> Result<Statement>;
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

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementLine {
    /// What for, in the vendor's words.
    pub what: String,
    /// How much.
    pub amount: Money,
}
