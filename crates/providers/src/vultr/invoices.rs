//! What the vendor wrote on the invoices of a month: its words, its calls, and what they come to.

use capsule_core::http::Call;
use capsule_core::statement::{month_before, month_of};
use capsule_core::{Error, InvoiceLine, Invoiced, LineKind, Money, Result};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::api::{Api, every};
use super::{DESCRIPTOR, billing};

/// An invoice without its items, in US dollars.
#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    pub(super) id: u64,
    /// When it was written.
    pub(super) date: String,
    pub(super) description: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) amount: Decimal,
}

/// One item.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    /// With the label of the server.
    pub(super) description: Option<String>,
    pub(super) product: Option<String>,
    pub(super) start_date: Option<String>,
    pub(super) end_date: Option<String>,
    /// `hours`, `overage`, `discount` ...
    pub(super) unit_type: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) total: Decimal,
}

impl Api {
    /// <https://www.vultr.com/api/#operation/list-invoices>
    async fn invoices(&self) -> Result<Vec<Invoice>> {
        self.list("invoices", Call::get("invoices.list", "/billing/invoices"), every).await
    }

    /// <https://www.vultr.com/api/#operation/get-invoice-items>
    async fn invoice_items(&self, id: u64) -> Result<Vec<Item>> {
        let call = Call::get("invoices.items", format!("/billing/invoices/{id}/items"));
        self.list("items of an invoice", call, every).await
    }

    /// The invoices of a month with all that stands on them: which those are, their items tell. One is written within
    /// the month, when much is owed, or right after it.
    pub(super) async fn invoiced(&self, asked_at: Timestamp, month: Date) -> Result<Invoiced> {
        let mut invoiced = Invoiced::nothing(asked_at, month);
        let last = month.saturating_add(2.months());
        for invoice in self.invoices().await? {
            let written = time(&invoice.date).ok_or_else(|| unreadable("a date is none".to_owned()))?;
            let day = TimeZone::UTC.to_datetime(written).date();
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

/// Items have been seen with an offset, and without a zone: those are in UTC. (unsure)
fn time(text: &str) -> Option<Timestamp> {
    let plain = || TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    text.parse().ok().or_else(plain)
}

/// The month of the time that items are for.
fn month_told(items: &[Item]) -> Option<Date> {
    let from = items.iter().filter_map(|item| time(item.start_date.as_deref()?)).min()?;
    let to = items.iter().filter_map(|item| time(item.end_date.as_deref()?)).max()?;
    Some(month_of(from, to))
}

fn add(invoiced: &mut Invoiced, invoice: Invoice, items: Vec<Item>) -> Result<()> {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    let item = |item: Item| {
        let discount = item.unit_type.as_deref() == Some("discount") || item.total.is_sign_negative();
        InvoiceLine {
            what: [item.product, item.description].into_iter().flatten().collect::<Vec<_>>().join(", "),
            kind: if discount { LineKind::Credit } else { LineKind::Usage },
            server: None,
            amount: dollars(item.total),
        }
    };
    let number = Some(invoice.description.unwrap_or_else(|| invoice.id.to_string()));
    invoiced
        .add(number, dollars(invoice.amount), items.into_iter().map(item))
        .map_err(|error| unreadable(error.to_string()))
}

fn unreadable(why: String) -> Error {
    Invoiced::unreadable(&DESCRIPTOR.id, "invoices.items", &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's own example, whose month ends by the clock of another zone.
    #[test]
    fn items_tell_the_month_and_what_they_leave_is_named() {
        let invoice = r#"{"id": 123456, "date": "2021-10-01T00:00:00+00:00", "description": "Invoice #123456",
            "amount": 32.25, "balance": 10.25}"#;
        let items = r#"[{"description": "Load Balancer (my-loadbalancer)", "product": "Load Balancer",
            "start_date": "2021-08-31T00:00:00+00:00", "end_date": "2021-09-30T00:00:00+00:00", "units": 720,
            "unit_type": "hours", "unit_price": 0.0149, "total": 10},
            {"description": "1.1.1.1 (8192 MB) [my-instance]", "product": "Vultr Cloud Compute",
            "start_date": "2021-09-15 14:54:34", "end_date": "2021-09-30T00:00:00+00:00", "units": 371,
            "unit_type": "hours", "unit_price": 0.0595, "total": 22.09},
            {"description": "Loyalty", "unit_type": "discount", "total": -1}]"#;
        let items: Vec<Item> = serde_json::from_str(items).unwrap();
        assert_eq!(month_told(&items), Some(jiff::civil::date(2021, 9, 1)));
        let mut read = Invoiced::nothing(Timestamp::UNIX_EPOCH, jiff::civil::date(2021, 9, 1));
        add(&mut read, serde_json::from_str(invoice).unwrap(), items).unwrap();
        let lines: Vec<_> =
            read.lines.iter().map(|line| (line.what.as_str(), line.kind, line.amount.to_string())).collect();
        assert_eq!(
            lines,
            [
                ("Load Balancer, Load Balancer (my-loadbalancer)", LineKind::Usage, "10 USD".to_owned()),
                ("Vultr Cloud Compute, 1.1.1.1 (8192 MB) [my-instance]", LineKind::Usage, "22.09 USD".to_owned()),
                ("Loyalty", LineKind::Credit, "-1 USD".to_owned()),
                ("not itemized", LineKind::Unitemized, "1.16 USD".to_owned()),
            ]
        );
    }
}
