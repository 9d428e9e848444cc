//! What the vendor says that it charges.

use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Error, ErrorKind, Invoiced, Money, Result, Statement, StatementLine, Statements};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{DESCRIPTOR, Equinix, api, billing};

#[async_trait]
impl Statements for Equinix {
    fn needs(&self) -> &'static str {
        "to read the project's usage"
    }

    fn fee(&self) -> Option<Money> {
        None
    }

    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn statement(&self) -> Result<Statement> {
        let asked_at = self.clock.now();
        let since = asked_at.to_zoned(TimeZone::UTC).date().first_of_month();
        let start = TimeZone::UTC.to_timestamp(since.into()).unwrap_or(asked_at);
        statement(asked_at, self.api.usages(start).await?)
    }

    async fn invoiced(&self, month: Date) -> Result<Invoiced> {
        self.api.invoiced(self.clock.now(), month).await
    }
}

/// (unsure) Which time a usage counts by is not described, nor is a currency; prices are in dollars everywhere else.
fn statement(asked_at: Timestamp, usages: Vec<api::Usage>) -> Result<Statement> {
    let dollars = |amount| Money::new(amount, billing::BARE_METAL.currency);
    let line = |usage: api::Usage| {
        let words: Vec<String> = [usage.name, usage.plan].into_iter().flatten().collect();
        Some(StatementLine { what: words.join(", "), amount: dollars(usage.total?) })
    };
    let lines: Vec<_> = usages.into_iter().filter_map(line).collect();
    let nothing = Money::zero(billing::BARE_METAL.currency);
    let charged = lines.iter().try_fold(nothing, |sum, line| sum.checked_add(line.amount)).map_err(|error| {
        let message = format!("The usages cannot be summed up: {error}.");
        Error::new(ErrorKind::Protocol, message).with_provider(&DESCRIPTOR.id).with_operation("usages.list")
    })?;
    let since = Some(asked_at.to_zoned(TimeZone::UTC).date().first_of_month());
    let notes = vec!["The project's usage, not the whole organization's.".to_owned()];
    Ok(Statement { asked_at, since, charged: Some(charged), balance: None, lines, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_in_text_are_summed_up() {
        let usages = r#"[{"name": "a", "plan": "c3.small.x86", "quantity": "2.0", "total": "1.50", "unit": "hour"},
            {"name": "b", "plan": "c3.small.x86", "quantity": "1.0", "total": "0.75", "unit": "hour"}]"#;
        let read = statement(Timestamp::UNIX_EPOCH, serde_json::from_str(usages).unwrap()).unwrap();
        assert_eq!(read.charged.unwrap().to_string(), "2.25 USD");
        assert_eq!((read.lines.len(), read.lines[0].what.as_str()), (2, "a, c3.small.x86"));
    }
}
