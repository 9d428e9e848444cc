//! What the vendor wrote on the invoices of a month: its words, its calls, and what they come to. The vendor's own SDK
//! (`scaleway.billing.v2beta1`) is what describes them.

use capsule_core::http::Call;
use capsule_core::{Error, InvoiceLine, Invoiced, LineKind, Money, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use super::api::{Api, Consumption, Value};
use super::statement::{money, words};
use super::{DESCRIPTOR, billing};

/// An invoice of the organization. It has no items: they are what was consumed in its month.
#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    pub(super) id: String,
    pub(super) number: Option<u64>,
    /// `2026-11`, or a day of it.
    pub(super) billing_period: Option<String>,
    pub(super) total_taxed: Option<Value>,
    pub(super) total_tax: Option<Value>,
    pub(super) total_discount: Option<Value>,
}

impl Api {
    /// <https://www.scaleway.com/en/developers/api/billing/#path-invoice-list-invoices>
    async fn invoices(&self) -> Result<Vec<Invoice>> {
        #[derive(Deserialize)]
        struct Body {
            invoices: Vec<Invoice>,
        }
        let call = Call::get("invoices.list", "/billing/v2beta1/invoices");
        self.list("invoices", call, "page_size", |reply| Ok(reply.json::<Body>()?.invoices)).await
    }

    /// The invoices of a month, with what the project consumed in it.
    pub(super) async fn invoiced(&self, project: &str, asked_at: Timestamp, month: Date) -> Result<Invoiced> {
        let period = month.strftime("%Y-%m").to_string();
        let mut invoices = self.invoices().await?;
        invoices.retain(|invoice| invoice.billing_period.as_deref().is_some_and(|told| told.starts_with(&period)));
        let consumed = self.consumptions(project, &period).await?;
        invoiced(asked_at, month, invoices, consumed)
    }
}

fn invoiced(asked_at: Timestamp, month: Date, invoices: Vec<Invoice>, consumed: Vec<Consumption>) -> Result<Invoiced> {
    let amount = |value: &Value| money(value).ok_or_else(|| unreadable("an amount in them is none".to_owned()));
    let mut lines = Vec::with_capacity(consumed.len() + 2);
    let mut sum: Option<Money> = None;
    let plus = |sum: Option<Money>, amount: Money| {
        let added = sum.map_or(Ok(amount), |sum| sum.checked_add(amount));
        added.map(Some).map_err(|error| unreadable(error.to_string()))
    };
    for consumption in consumed {
        let Some(value) = &consumption.value else { continue };
        let amount = amount(value)?;
        sum = plus(sum, amount)?;
        lines.push(InvoiceLine { what: words(consumption), kind: LineKind::Usage, server: None, amount });
    }
    let mut read = Invoiced::nothing(asked_at, month);
    if invoices.is_empty() {
        let note = "No invoice is written; the figure is what the project consumed, without tax and discounts.";
        if let Some(sum) = sum {
            read.add(None, sum, lines).map_err(|error| unreadable(error.to_string()))?;
            read.notes.push(note.to_owned());
        }
        return Ok(read);
    }
    let mut total = None;
    for invoice in &invoices {
        total = plus(total, invoice.total_taxed.as_ref().map_or(Ok(Money::zero(billing::VIRTUAL.currency)), amount)?)?;
        let mut beside = |what: &str, kind, value: &Option<Value>, given_back: bool| -> Result<()> {
            if let Some(value) = value {
                let told = amount(value)?;
                // (unsure) A discount is told as what is taken off, with a sign or without.
                let off = given_back && !told.amount().is_sign_negative();
                let amount = if off { Money::new(-told.amount(), told.currency()) } else { told };
                lines.push(InvoiceLine { what: what.to_owned(), kind, server: None, amount });
            }
            Ok(())
        };
        beside("tax", LineKind::Tax, &invoice.total_tax, false)?;
        beside("discount", LineKind::Credit, &invoice.total_discount, true)?;
    }
    let total = total.unwrap_or(Money::zero(billing::VIRTUAL.currency));
    read.add(None, total, lines).map_err(|error| unreadable(error.to_string()))?;
    let number = |invoice: Invoice| invoice.number.map_or(invoice.id, |number| number.to_string());
    read.invoices.extend(invoices.into_iter().map(number));
    let note =
        "The whole organization's invoice; its lines are what the project consumed, and the rest is not itemized.";
    read.notes.push(note.to_owned());
    Ok(read)
}

fn unreadable(why: String) -> Error {
    Invoiced::unreadable(&DESCRIPTOR.id, "invoices.list", &why)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const CONSUMED: &str = r#"[{"resource_name": "web", "product_name": "DEV1-S",
        "value": {"currency_code": "EUR", "units": 6, "nanos": 500000000}}]"#;

    #[test]
    fn what_the_project_did_not_consume_is_not_itemized() {
        let invoices = r#"[{"id": "an-id", "number": 4242, "type": "periodic", "state": "paid", "billing_period": "2026-10",
            "total_untaxed": {"currency_code": "EUR", "units": 9, "nanos": 0},
            "total_taxed": {"currency_code": "EUR", "units": 10, "nanos": 800000000},
            "total_tax": {"currency_code": "EUR", "units": 1, "nanos": 800000000},
            "total_discount": {"currency_code": "EUR", "units": 1, "nanos": 0}}]"#;
        let (invoices, consumed) = (serde_json::from_str(invoices).unwrap(), serde_json::from_str(CONSUMED).unwrap());
        let read = invoiced(Timestamp::UNIX_EPOCH, date(2026, 10, 1), invoices, consumed).unwrap();
        let lines: Vec<_> = read.lines.iter().map(|line| (line.what.as_str(), line.amount.to_string())).collect();
        assert_eq!(
            lines,
            [
                ("web, DEV1-S", "6.5 EUR".to_owned()),
                ("tax", "1.8 EUR".to_owned()),
                ("discount", "-1 EUR".to_owned()),
                ("not itemized", "3.5 EUR".to_owned()),
            ]
        );
        assert_eq!((read.total.unwrap().to_string(), &read.invoices[0][..]), ("10.8 EUR".to_owned(), "4242"));
    }

    #[test]
    fn without_an_invoice_it_is_what_was_consumed() {
        let consumed = serde_json::from_str(CONSUMED).unwrap();
        let read = invoiced(Timestamp::UNIX_EPOCH, date(2026, 10, 1), Vec::new(), consumed).unwrap();
        assert_eq!((read.total.unwrap().to_string(), read.invoices.len()), ("6.5 EUR".to_owned(), 0));
        assert!(read.notes[0].contains("No invoice"), "{:?}", read.notes);
    }
}
