//! What the vendor says that it charges. It takes money for saying so, and is late.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Currency, Error, ErrorKind, Money, Result, Statement, StatementLine, Statements};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::api::{Costs, ServiceCost};
use super::{Aws, billing, convert};

/// Where servers, their disks and their addresses are charged: <https://docs.aws.amazon.com/cost-management/latest/userguide/ce-filtering.html>.
const SERVICES: [&str; 3] = ["Amazon Elastic Compute Cloud - Compute", "EC2 - Other", "Amazon Virtual Private Cloud"];

/// A request: <https://aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing/>.
const FEE: Money = Money::constant(1, 2, Currency::USD);

#[async_trait]
impl Statements for Aws {
    fn needs(&self) -> &'static str {
        "`ce:GetCostAndUsage`, and Cost Explorer switched on in the console"
    }

    fn fee(&self) -> Option<Money> {
        Some(FEE)
    }

    fn lag(&self) -> Duration {
        Duration::from_secs(24 * 3600)
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.api.clock().now();
        let since = asked_at.to_zoned(TimeZone::UTC).date().first_of_month();
        let until = since.checked_add(1.month()).map_err(|error| unreadable(error.to_string()))?;
        let costs = self.api.cost_and_usage(since, until, &SERVICES).await?;
        statement(asked_at, costs)
    }
}

fn statement(asked_at: Timestamp, costs: Costs) -> Result<Statement> {
    let mut charged = Money::zero(billing::VIRTUAL.currency);
    let mut lines = Vec::new();
    for ServiceCost { service, amount, unit } in costs.by_service() {
        let currency = unit.parse().map_err(|_| unreadable(format!("`{unit}` is no currency")))?;
        let amount = Money::new(amount, currency);
        charged = charged.checked_add(amount).map_err(|error| unreadable(error.to_string()))?;
        lines.push(StatementLine { what: service, amount });
    }
    let notes = vec![
        "EC2, its disks and networks of the whole account this month, as Cost Explorer knows it: up to a day late."
            .to_owned(),
        format!("This question cost {FEE}."),
    ];
    let since = Some(asked_at.to_zoned(TimeZone::UTC).date().first_of_month());
    Ok(Statement { asked_at, since, charged: Some(charged), balance: None, lines, notes })
}

fn unreadable(why: String) -> Error {
    Error::new(ErrorKind::Protocol, format!("The costs cannot be read: {why}."))
        .with_provider(convert::PROVIDER)
        .with_operation("ce.GetCostAndUsage")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_lines_and_their_sum_is_what_is_charged() {
        let sample = include_str!("samples/get_cost_and_usage.json");
        let read = statement(Timestamp::UNIX_EPOCH, serde_json::from_str(sample).unwrap()).unwrap();
        assert_eq!(read.charged.unwrap().to_string(), "33.6544131507 USD");
        assert_eq!(read.lines.len(), 3);
        assert_eq!(read.lines[1].what, "EC2 - Other");
        assert!(read.notes[1].contains("0.01 USD"), "{:?}", read.notes);
        let mixed = sample.replacen("USD", "EUR", 1);
        assert!(statement(Timestamp::UNIX_EPOCH, serde_json::from_str(&mixed).unwrap()).is_err(), "not to be mixed");
    }
}
