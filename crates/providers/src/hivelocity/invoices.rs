//! What the vendor wrote on the invoices of a month: its words, its calls, and what they come to.

use std::collections::HashMap;

use capsule_core::http::Call;
use capsule_core::statement::month_before;
use capsule_core::{Error, InvoiceLine, Invoiced, LineKind, Money, Result};
use futures_util::future::try_join;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::api::{Api, Family};
use super::{DESCRIPTOR, billing, convert};

/// An invoice without its items, in US dollars.
#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    pub(super) id: u64,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) amount: Decimal,
    /// Seconds since 1970.
    pub(super) created: i64,
}

/// "Same data as the PDF file but serialized."
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    pub(super) invoice_number: Option<String>,
    pub(super) service_items: Option<Vec<Item>>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) taxes_value: Option<Decimal>,
}

/// One item.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) service_id: Option<u64>,
    pub(super) description: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) unit_price: Decimal,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) quantity: Option<Decimal>,
}

impl Api {
    /// Every invoice: there are no pages. `get_invoice_resource`
    async fn invoices(&self) -> Result<Vec<Invoice>> {
        self.client.send(Call::get("invoices.list", "/invoice/")).await?.json()
    }

    /// `get_invoice_id_details`
    async fn invoice_details(&self, id: u64) -> Result<Details> {
        self.client.send(Call::get("invoices.details", format!("/invoice/{id}/details"))).await?.json()
    }

    /// The server of each service that is still there.
    async fn services(&self) -> Result<HashMap<u64, u64>> {
        let of = |family| self.devices(family, |device, _| Some((device.service_id?, device.device_id)));
        let (compute, metal) = try_join(of(Family::Compute), of(Family::Metal)).await?;
        Ok(compute.into_iter().chain(metal).flatten().collect())
    }

    /// The invoices of a month with all that stands on them. (unsure) What was used by the hour is on one that is written
    /// in the next month: the description gives the time that an item is for no shape.
    pub(super) async fn invoiced(&self, asked_at: Timestamp, month: Date) -> Result<Invoiced> {
        let mut invoiced = Invoiced::nothing(asked_at, month);
        let mut services = None;
        for invoice in self.invoices().await? {
            let created = Timestamp::from_second(invoice.created).map_err(|error| unreadable(error.to_string()))?;
            if month_before(created) != month {
                continue;
            }
            let details = self.invoice_details(invoice.id).await?;
            if services.is_none() {
                services = Some(self.services().await?);
            }
            add(&mut invoiced, invoice, details, services.as_ref().unwrap_or(&HashMap::new()))?;
        }
        if invoiced.total.is_some() {
            let note =
                "Invoices that were written in the month after it; for which time one is, the vendor does not say.";
            invoiced.notes.push(note.to_owned());
        }
        Ok(invoiced)
    }
}

fn add(invoiced: &mut Invoiced, invoice: Invoice, details: Details, services: &HashMap<u64, u64>) -> Result<()> {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    let mut lines = Vec::new();
    for item in details.service_items.unwrap_or_default() {
        let amount = item.unit_price.checked_mul(item.quantity.unwrap_or(Decimal::ONE));
        let amount = dollars(amount.ok_or_else(|| unreadable("an amount is too large".to_owned()))?);
        lines.push(InvoiceLine {
            what: named(&item.description.unwrap_or_default()),
            kind: if amount.amount().is_sign_negative() { LineKind::Credit } else { LineKind::Usage },
            server: item.service_id.and_then(|service| services.get(&service)).map(u64::to_string),
            amount,
        });
    }
    lines.extend(details.taxes_value.map(|tax| {
        let what = "taxes".to_owned();
        InvoiceLine { what, kind: LineKind::Tax, server: None, amount: dollars(tax) }
    }));
    let number = Some(details.invoice_number.unwrap_or_else(|| invoice.id.to_string()));
    invoiced.add(number, dollars(invoice.amount), lines).map_err(|error| unreadable(error.to_string()))
}

/// A text with our names of servers in place of their hostnames.
fn named(text: &str) -> String {
    let words = text.split(' ').map(|word| match convert::read_hostname(word) {
        (name, Some(_)) => name,
        (_, None) => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn unreadable(why: String) -> Error {
    Invoiced::unreadable(&DESCRIPTOR.id, "invoices.details", &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostname_is_read_as_the_name_that_it_stands_for() {
        let told = named("2379 - web.0123456789abcdefghjkmnpqrs.capsule.example (VPS)");
        assert_eq!(told, "2379 - web (VPS)");
        assert_eq!(named("Backup of db.example.com"), "Backup of db.example.com");
    }

    #[test]
    fn items_and_taxes_are_the_total() {
        let invoice = r#"{"id": 7, "amount": 23.5, "amountUnpaid": 0, "created": 1704067200, "status": "paid"}"#;
        let details = r#"{"invoiceNumber": "HV-7", "taxesValue": 1.5, "totalDue": 0, "priorBalance": 4,
            "serviceItems": [{"unitPrice": 0.5, "quantity": 40, "serviceId": 11, "description": "VPS"},
                {"unitPrice": 2, "serviceId": 12, "description": "Backup", "dateRange": {"start": 1}}]}"#;
        let (invoice, details) = (serde_json::from_str(invoice).unwrap(), serde_json::from_str(details).unwrap());
        let mut read = Invoiced::nothing(Timestamp::UNIX_EPOCH, jiff::civil::date(2023, 12, 1));
        add(&mut read, invoice, details, &HashMap::from([(11, 4001)])).unwrap();
        let lines: Vec<_> =
            read.lines.iter().map(|line| (line.server.as_deref(), line.kind, line.amount.to_string())).collect();
        assert_eq!(
            lines,
            [
                (Some("4001"), LineKind::Usage, "20 USD".to_owned()),
                (None, LineKind::Usage, "2 USD".to_owned()),
                (None, LineKind::Tax, "1.5 USD".to_owned()),
            ]
        );
        assert_eq!((read.total.unwrap().to_string(), &read.invoices[0][..]), ("23.5 USD".to_owned(), "HV-7"));
    }
}
