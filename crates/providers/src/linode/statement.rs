//! What the vendor says that it charges.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Money, Result, Statement, Statements};
use jiff::Timestamp;

use super::{Linode, api, billing};

#[async_trait]
impl Statements for Linode {
    fn needs(&self) -> &'static str {
        "the scope `account:read_only`"
    }

    fn fee(&self) -> Option<Money> {
        None
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.clock.now();
        Ok(statement(asked_at, &self.api.account().await?))
    }
}

fn statement(asked_at: Timestamp, account: &api::Account) -> Statement {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    Statement {
        asked_at,
        since: Some(asked_at.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month()),
        charged: account.balance_uninvoiced.map(dollars),
        balance: account.balance.map(dollars),
        lines: Vec::new(),
        notes: vec![
            "The vendor's estimate of this month's invoice for the whole account, without transfer.".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_own_example_is_read() {
        let account = serde_json::from_str(r#"{"balance": 200, "balance_uninvoiced": 145.5}"#).unwrap();
        let read = statement(Timestamp::UNIX_EPOCH, &account);
        assert_eq!(read.charged.unwrap().to_string(), "145.5 USD");
        assert_eq!(read.balance.unwrap().to_string(), "200 USD");
    }
}
