//! What the vendor says that it charges.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Currency, Error, ErrorKind, Invoiced, Money, Result, Statement, StatementLine, Statements};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::{DESCRIPTOR, Scaleway, api, billing};

#[async_trait]
impl Statements for Scaleway {
    fn needs(&self) -> &'static str {
        "the permission set `BillingReadOnly` for the whole organization"
    }

    fn fee(&self) -> Option<Money> {
        None
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.clock.now();
        let month = asked_at.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string();
        statement(asked_at, self.api.consumptions(&self.project, &month).await?)
    }

    async fn invoiced(&self, month: Date) -> Result<Invoiced> {
        self.api.invoiced(&self.project, self.clock.now(), month).await
    }
}

fn statement(asked_at: Timestamp, consumptions: Vec<api::Consumption>) -> Result<Statement> {
    let unreadable = |what: String| {
        let message = format!("The consumption cannot be read: {what}.");
        Error::new(ErrorKind::Protocol, message).with_provider(&DESCRIPTOR.id).with_operation("consumptions.list")
    };
    let mut charged = Money::zero(billing::VIRTUAL.currency);
    let mut lines = Vec::with_capacity(consumptions.len());
    for consumption in consumptions {
        let Some(value) = &consumption.value else { continue };
        let amount = money(value).ok_or_else(|| unreadable("an amount in it is none".to_owned()))?;
        charged = charged.checked_add(amount).map_err(|error| unreadable(error.to_string()))?;
        lines.push(StatementLine { what: words(consumption), amount });
    }
    let since = Some(asked_at.to_zoned(TimeZone::UTC).date().first_of_month());
    let notes = vec!["The project's consumption of this month without tax, discounts not taken off.".to_owned()];
    Ok(Statement { asked_at, since, charged: Some(charged), balance: None, lines, notes })
}

/// What it was for: the server's name, and what of it.
pub(super) fn words(consumption: api::Consumption) -> String {
    [consumption.resource_name, consumption.product_name].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn money(value: &api::Value) -> Option<Money> {
    let currency = match &value.currency_code {
        Some(code) => code.parse::<Currency>().ok()?,
        None => billing::VIRTUAL.currency,
    };
    let units = Decimal::from(value.units.unwrap_or(0));
    Some(Money::new(units.checked_add(Decimal::new(value.nanos.unwrap_or(0).into(), 9))?, currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_nanos_are_one_amount() {
        let consumptions = r#"[{"resource_name": "web", "product_name": "DEV1-S", "sku": "/compute/dev1_s/run_par1",
            "value": {"currency_code": "EUR", "units": 3, "nanos": 250000000}},
            {"resource_name": "disk", "product_name": "Block", "value": {"currency_code": "EUR", "units": 0, "nanos": 5}}]"#;
        let read = statement(Timestamp::UNIX_EPOCH, serde_json::from_str(consumptions).unwrap()).unwrap();
        assert_eq!(read.charged.unwrap().to_string(), "3.250000005 EUR");
        assert_eq!(read.lines[0].what, "web, DEV1-S");
        let dollars = r#"[{"value": {"currency_code": "USD", "units": 1, "nanos": 0}}]"#;
        assert!(statement(Timestamp::UNIX_EPOCH, serde_json::from_str(dollars).unwrap()).is_err(), "not to be mixed");
    }
}
