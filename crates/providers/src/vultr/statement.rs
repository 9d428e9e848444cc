//! What the vendor says that it charges.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Invoiced, Money, Result, Statement, StatementLine, Statements};
use futures_util::future::try_join;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{Vultr, api, billing};

#[async_trait]
impl Statements for Vultr {
    fn needs(&self) -> &'static str {
        "the access `billing` of its user"
    }

    fn fee(&self) -> Option<Money> {
        None
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.clock.now();
        let (account, pending) = try_join(self.api.account(), self.api.pending_charges()).await?;
        Ok(statement(asked_at, &account, pending))
    }

    async fn invoiced(&self, month: Date) -> Result<Invoiced> {
        self.api.invoiced(self.clock.now(), month).await
    }
}

fn statement(asked_at: Timestamp, account: &api::Account, pending: Vec<api::Pending>) -> Statement {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    let line = |pending: api::Pending| {
        let amount = dollars(pending.total.or(pending.amount)?);
        Some(StatementLine { what: pending.description.unwrap_or_default(), amount })
    };
    Statement {
        asked_at,
        since: Some(asked_at.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month()),
        charged: account.pending_charges.map(dollars),
        balance: account.balance.map(dollars),
        lines: pending.into_iter().filter_map(line).collect(),
        notes: vec!["The whole account's unbilled charges of this month.".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_own_example_is_read() {
        let account = r#"{"name": "Example", "acls": [], "balance": -100.55, "pending_charges": 60.25}"#;
        let pending = r#"[{"description": "Load Balancer (my-loadbalancer)", "units": 720, "unit_type": "hours",
            "unit_price": 0.0149, "total": 10, "product": "Load Balancer"}]"#;
        let (account, pending) = (serde_json::from_str(account).unwrap(), serde_json::from_str(pending).unwrap());
        let read = statement(Timestamp::UNIX_EPOCH, &account, pending);
        assert_eq!(read.charged.unwrap().to_string(), "60.25 USD");
        assert_eq!(read.balance.unwrap().to_string(), "-100.55 USD");
        let line = &read.lines[0];
        assert_eq!(
            (line.what.as_str(), line.amount.to_string().as_str()),
            ("Load Balancer (my-loadbalancer)", "10 USD")
        );
    }
}
