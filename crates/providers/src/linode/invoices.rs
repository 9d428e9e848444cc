//! What the vendor wrote on the invoices of a month: its words, its calls, and what they come to.

use capsule_core::http::Call;
use capsule_core::statement::{month_before, month_of};
use capsule_core::{Error, InvoiceLine, Invoiced, LineKind, Money, Result};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::api::{Api, LISTS, every};
use super::{DESCRIPTOR, billing, convert};

/// An invoice without its items, in US dollars.
#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    pub(super) id: u64,
    /// When it was written.
    pub(super) date: String,
    pub(super) label: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) tax: Option<Decimal>,
    /// After tax.
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) total: Decimal,
}

/// One item, before tax.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    /// What it is for, with the label of the server. (unsure) Its number stands behind that, in brackets.
    pub(super) label: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) amount: Decimal,
}

impl Api {
    /// <https://techdocs.akamai.com/linode-api/reference/get-invoices>
    async fn invoices(&self) -> Result<Vec<Invoice>> {
        self.list("invoices", Call::get("invoices.list", "/account/invoices").bucket(LISTS), every).await
    }

    /// <https://techdocs.akamai.com/linode-api/reference/get-invoice-items>
    async fn invoice_items(&self, id: u64) -> Result<Vec<Item>> {
        let call = Call::get("invoices.items", format!("/account/invoices/{id}/items")).bucket(LISTS);
        self.list("items of an invoice", call, every).await
    }

    /// The invoices of a month with all that stands on them: which those are, their items tell. One is written within
    /// the month, when much is owed, or right after it.
    pub(super) async fn invoiced(&self, asked_at: Timestamp, month: Date) -> Result<Invoiced> {
        let mut invoiced = Invoiced::nothing(asked_at, month);
        let last = month.saturating_add(2.months());
        for invoice in self.invoices().await? {
            let written = convert::time(&invoice.date).ok_or_else(|| unreadable("a date is none".to_owned()))?;
            let day = jiff::tz::TimeZone::UTC.to_datetime(written).date();
            if day < month || day >= last {
                continue;
            }
            let items = self.invoice_items(invoice.id).await?;
            if month_told(&items).unwrap_or_else(|| month_before(written)) == month {
                add(&mut invoiced, invoice, items)?;
            }
        }
        Ok(invoiced)
    }
}

/// The month of the time that items are for.
fn month_told(items: &[Item]) -> Option<Date> {
    let time = |text: &Option<String>| convert::time(text.as_deref()?);
    let from = items.iter().filter_map(|item| time(&item.from)).min()?;
    let to = items.iter().filter_map(|item| time(&item.to)).max()?;
    Some(month_of(from, to))
}

fn add(invoiced: &mut Invoiced, invoice: Invoice, items: Vec<Item>) -> Result<()> {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    let item = |item: Item| {
        let what = item.label.unwrap_or_default();
        let amount = dollars(item.amount);
        let kind = if amount.amount().is_sign_negative() { LineKind::Credit } else { LineKind::Usage };
        InvoiceLine { server: number_in(&what), what, kind, amount }
    };
    let tax = invoice.tax.map(|tax| {
        let what = "tax".to_owned();
        InvoiceLine { what, kind: LineKind::Tax, server: None, amount: dollars(tax) }
    });
    let number = Some(invoice.label.unwrap_or_else(|| invoice.id.to_string()));
    invoiced
        .add(number, dollars(invoice.total), items.into_iter().map(item).chain(tax))
        .map_err(|error| unreadable(error.to_string()))
}

/// The number of a server at the end of a label: `Linode 2GB - web (1234567)`.
fn number_in(label: &str) -> Option<String> {
    let (_, number) = label.strip_suffix(')')?.rsplit_once('(')?;
    number.parse::<u64>().ok().map(|number| number.to_string())
}

fn unreadable(why: String) -> Error {
    Invoiced::unreadable(&DESCRIPTOR.id, "invoices.items", &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_and_tax_are_the_total_and_items_tell_the_month() {
        let invoice = r#"{"id": 123, "date": "2018-02-01T00:01:01", "label": "Invoice", "subtotal": 120.25,
            "tax": 12.25, "total": 132.5, "billing_source": "linode"}"#;
        let items = r#"[{"label": "Linode 2GB - web (1234567)", "amount": 20.2, "quantity": 4, "tax": 1.25,
            "from": "2018-01-01T00:01:01", "to": "2018-01-31T11:59:59", "type": "hourly", "unit_price": "5.05"},
            {"label": "Linode 123", "amount": 105.05, "from": null, "to": null, "type": "misc"},
            {"label": "Promotional credit", "amount": -5, "type": "misc"}]"#;
        let items: Vec<Item> = serde_json::from_str(items).unwrap();
        assert_eq!(month_told(&items), Some(jiff::civil::date(2018, 1, 1)));
        let mut read = Invoiced::nothing(Timestamp::UNIX_EPOCH, jiff::civil::date(2018, 1, 1));
        add(&mut read, serde_json::from_str(invoice).unwrap(), items).unwrap();
        assert_eq!(read.total.unwrap().to_string(), "132.5 USD");
        let lines: Vec<_> = read.lines.iter().map(|line| (line.kind, line.server.as_deref())).collect();
        let usage = LineKind::Usage;
        assert_eq!(
            lines,
            [(usage, Some("1234567")), (usage, None), (LineKind::Credit, None), (LineKind::Tax, None)],
            "{read:?}"
        );
    }
}
