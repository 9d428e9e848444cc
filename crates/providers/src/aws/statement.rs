//! What the vendor says that it charges. It takes money for saying so, and is late.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{
    Currency, Error, ErrorKind, InvoiceLine, Invoiced, LineKind, Money, Result, Statement, StatementLine, Statements,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::api::{Costs, RecordCost, ServiceCost};
use super::{Aws, billing, convert};

/// Where servers, their disks and their addresses are charged: <https://docs.aws.amazon.com/cost-management/latest/userguide/ce-filtering.html>.
const SERVICES: [&str; 3] = ["Amazon Elastic Compute Cloud - Compute", "EC2 - Other", "Amazon Virtual Private Cloud"];

/// A request: <https://aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing/>.
const FEE: Money = Money::constant(1, 2, Currency::USD);

/// "Up to 24 hours": <https://docs.aws.amazon.com/cost-management/latest/userguide/ce-what-is.html>.
const LAG: Duration = Duration::from_secs(24 * 3600);

#[async_trait]
impl Statements for Aws {
    fn needs(&self) -> &'static str {
        "`ce:GetCostAndUsage`, and Cost Explorer switched on in the console"
    }

    fn fee(&self) -> Option<Money> {
        Some(FEE)
    }

    fn lag(&self) -> Duration {
        LAG
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.api.clock().now();
        let since = asked_at.to_zoned(TimeZone::UTC).date().first_of_month();
        let until = since.checked_add(1.month()).map_err(|error| unreadable(error.to_string()))?;
        let costs = self.api.cost_and_usage(since, until, &SERVICES).await?;
        statement(asked_at, costs)
    }

    async fn invoiced(&self, month: Date) -> Result<Invoiced> {
        let until = month.checked_add(1.month()).map_err(|error| unreadable(error.to_string()))?;
        let costs = self.api.costs_by_record(month, until).await?;
        invoiced(self.api.clock().now(), month, costs)
    }
}

/// Cost Explorer knows no invoices, but all that is on them, server by server not.
fn invoiced(asked_at: Timestamp, month: Date, costs: Costs) -> Result<Invoiced> {
    let mut read = Invoiced::nothing(asked_at, month);
    let (mut lines, mut total) = (Vec::new(), Money::zero(billing::VIRTUAL.currency));
    for RecordCost { service, record, amount, unit } in costs.by_record() {
        let currency = unit.parse().map_err(|_| unreadable(format!("`{unit}` is no currency")))?;
        let amount = Money::new(amount, currency);
        total = total.checked_add(amount).map_err(|error| unreadable(error.to_string()))?;
        let kind = match record.as_str() {
            "Tax" => LineKind::Tax,
            "Credit" | "Refund" => LineKind::Credit,
            _ if amount.amount().is_sign_negative() => LineKind::Credit,
            _ if SERVICES.contains(&service.as_str()) => LineKind::Servers,
            _ => LineKind::Usage,
        };
        lines.push(InvoiceLine { what: format!("{service}, {record}"), kind, server: None, amount });
    }
    if !lines.is_empty() {
        read.add(None, total, lines).map_err(|error| unreadable(error.to_string()))?;
    }
    read.notes = vec![
        "The whole account's costs of the month, as Cost Explorer knows them: the invoice itself is in the console alone."
            .to_owned(),
        format!("This question cost {FEE} for each page of the answer."),
    ];
    let end = month.checked_add(1.month()).ok().and_then(|next| TimeZone::UTC.to_timestamp(next.into()).ok());
    let settled = end.and_then(|end| end.checked_add(LAG).ok());
    if settled.is_some_and(|settled| asked_at < settled) {
        read.notes.push("The month ended less than a day ago: the last of it may be missing.".to_owned());
    }
    Ok(read)
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

    #[test]
    fn services_taxes_and_credits_are_the_month() {
        let sample = r#"{"ResultsByTime": [{"Groups": [
            {"Keys": ["Amazon Elastic Compute Cloud - Compute", "Usage"],
             "Metrics": {"UnblendedCost": {"Amount": "30.5", "Unit": "USD"}}},
            {"Keys": ["Amazon Simple Storage Service", "Usage"],
             "Metrics": {"UnblendedCost": {"Amount": "2", "Unit": "USD"}}},
            {"Keys": ["Tax", "Tax"], "Metrics": {"UnblendedCost": {"Amount": "6.5", "Unit": "USD"}}},
            {"Keys": ["EC2 - Other", "Credit"], "Metrics": {"UnblendedCost": {"Amount": "-4", "Unit": "USD"}}}]}]}"#;
        let month = jiff::civil::date(2026, 10, 1);
        let read = invoiced(Timestamp::UNIX_EPOCH, month, serde_json::from_str(sample).unwrap()).unwrap();
        assert_eq!(read.total.unwrap().to_string(), "35 USD");
        let kinds: Vec<_> = read.lines.iter().map(|line| line.kind).collect();
        assert_eq!(kinds, [LineKind::Servers, LineKind::Usage, LineKind::Tax, LineKind::Credit]);
        let mixed = sample.replacen("USD", "EUR", 1);
        assert!(invoiced(Timestamp::UNIX_EPOCH, month, serde_json::from_str(&mixed).unwrap()).is_err());
        let nothing = invoiced(Timestamp::UNIX_EPOCH, month, Costs::default()).unwrap();
        assert_eq!(nothing.total, None);
        assert!(nothing.notes[1].contains("0.01 USD"), "what was paid for is said all the same");
        assert!(nothing.notes[2].contains("less than a day ago"), "asked long before its end");
        let later = "2026-11-02T00:00:01Z".parse().unwrap();
        assert_eq!(invoiced(later, month, Costs::default()).unwrap().notes.len(), 2);
    }
}
