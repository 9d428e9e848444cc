//! What the vendor says that it charges.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Invoiced, Money, Result, Statement, Statements};
use futures_util::future::try_join;
use jiff::Timestamp;
use jiff::civil::Date;

use super::{DigitalOcean, api, billing};

#[async_trait]
impl Statements for DigitalOcean {
    fn needs(&self) -> &'static str {
        "the scope `billing:read`"
    }

    fn fee(&self) -> Option<Money> {
        None
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.clock.now();
        let (balance, preview) = try_join(self.api.balance(), self.api.invoice_preview()).await?;
        Ok(statement(asked_at, balance, preview))
    }

    async fn invoiced(&self, month: Date) -> Result<Invoiced> {
        self.api.invoiced(self.clock.now(), month).await
    }
}

fn statement(asked_at: Timestamp, balance: api::Balance, preview: Option<api::InvoicePreview>) -> Statement {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    let mut notes = vec!["The whole team's usage, with everything that it uses beside servers.".to_owned()];
    if let Some(at) = balance.generated_at {
        notes.push(format!("Reckoned by the vendor at {at}."));
    }
    let since = preview.as_ref().and_then(|preview| format!("{}-01", preview.invoice_period.as_deref()?).parse().ok());
    Statement {
        asked_at,
        since: since.or_else(|| month_of(asked_at)),
        charged: balance.month_to_date_usage.or(preview.and_then(|preview| preview.amount)).map(dollars),
        balance: balance.account_balance.map(dollars),
        lines: Vec::new(),
        notes,
    }
}

/// "The current billing period" is the calendar month.
fn month_of(at: Timestamp) -> Option<Date> {
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendors_own_example_is_read() {
        let balance = r#"{"month_to_date_balance": "23.44", "account_balance": "12.23", "month_to_date_usage": "11.21",
            "generated_at": "2019-07-09T15:01:12Z"}"#;
        let preview = r#"{"invoice_uuid": "1afe95e6-0958-4eb0-8d9a-9c5060d3ef03", "amount": "34.56",
            "invoice_period": "2020-02", "updated_at": "2020-02-23T06:31:50Z"}"#;
        let (balance, preview) = (serde_json::from_str(balance).unwrap(), serde_json::from_str(preview).unwrap());
        let read = statement(Timestamp::UNIX_EPOCH, balance, Some(preview));
        assert_eq!(read.since, Some(jiff::civil::date(2020, 2, 1)));
        assert_eq!(read.charged.unwrap().to_string(), "11.21 USD");
        assert_eq!(read.balance.unwrap().to_string(), "12.23 USD");
    }
}
