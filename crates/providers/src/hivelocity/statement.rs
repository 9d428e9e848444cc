//! What the vendor says that is owed. What the running period comes to is in none of its answers.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Invoiced, Money, Result, Statement, Statements};
use futures_util::future::try_join;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{Hivelocity, api, billing};

#[async_trait]
impl Statements for Hivelocity {
    fn needs(&self) -> &'static str {
        "access to billing"
    }

    fn fee(&self) -> Option<Money> {
        None
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.clock.now();
        let (unpaid, credit) = try_join(self.api.unpaid(), self.api.credit()).await?;
        Ok(statement(asked_at, &unpaid, &credit))
    }

    async fn invoiced(&self, month: Date) -> Result<Invoiced> {
        self.api.invoiced(self.clock.now(), month).await
    }
}

fn statement(asked_at: Timestamp, unpaid: &api::Unpaid, credit: &api::Credit) -> Statement {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    let mut notes = vec!["Only what is on invoices and unpaid is told, not what has been charged since.".to_owned()];
    if let Some(credit) = credit.total.filter(|credit| !credit.is_zero()) {
        notes.push(format!("There is a credit of {}.", dollars(credit)));
    }
    let balance = unpaid.amount.map(dollars);
    Statement { asked_at, since: None, charged: None, balance, lines: Vec::new(), notes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_told_and_not_set_off() {
        let unpaid = serde_json::from_str(r#"{"amountUnpaid": 12.50}"#).unwrap();
        let credit = serde_json::from_str(r#"{"autoApply": true, "totalActive": 3.25}"#).unwrap();
        let read = statement(Timestamp::UNIX_EPOCH, &unpaid, &credit);
        assert_eq!((read.charged, read.balance.unwrap().to_string()), (None, "12.5 USD".to_owned()));
        assert!(read.notes[1].contains("3.25 USD"), "{:?}", read.notes);
    }
}
