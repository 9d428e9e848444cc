//! What the vendor wrote on the invoices of a month: its words, its calls, and what they come to.

use capsule_core::http::{Call, encode};
use capsule_core::{Error, ErrorKind, InvoiceLine, Invoiced, LineKind, Money, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::api::{Api, every};
use super::{DESCRIPTOR, billing};

/// An invoice without its items. US dollars as text.
#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    pub(super) invoice_uuid: String,
    /// What stands on its face.
    pub(super) invoice_id: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) amount: Decimal,
    /// `2020-01`.
    pub(super) invoice_period: String,
}

/// One item.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    /// `Droplets`, `Kubernetes Clusters` ...
    pub(super) product: Option<String>,
    /// Of a droplet: its number.
    pub(super) resource_id: Option<String>,
    pub(super) description: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) amount: Decimal,
}

/// What stands beside the items.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    pub(super) overages: Option<Charge>,
    pub(super) taxes: Option<Charge>,
    pub(super) credits_and_adjustments: Option<Charge>,
}

/// One sum of a summary.
#[derive(Debug, Deserialize)]
pub(super) struct Charge {
    pub(super) name: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) amount: Option<Decimal>,
}

impl Api {
    /// Every invoice that was written.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/invoices_list>
    async fn invoices(&self) -> Result<Vec<Invoice>> {
        self.list("invoices", Call::get("invoices.list", "/customers/my/invoices"), every).await
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/invoices_get_byUUID>
    async fn invoice_items(&self, uuid: &str) -> Result<Vec<Item>> {
        let call = Call::get("invoices.items", format!("/customers/my/invoices/{}", encode(uuid)));
        self.list("items of an invoice", call, every).await
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/invoices_get_summaryByUUID>
    async fn invoice_summary(&self, uuid: &str) -> Result<Summary> {
        let call = Call::get("invoices.summary", format!("/customers/my/invoices/{}/summary", encode(uuid)));
        self.client.send(call).await?.json()
    }

    /// The invoices of a month with all that stands on them.
    pub(super) async fn invoiced(&self, asked_at: Timestamp, month: Date) -> Result<Invoiced> {
        let mut invoiced = Invoiced::nothing(asked_at, month);
        let period = month.strftime("%Y-%m").to_string();
        for invoice in self.invoices().await?.into_iter().filter(|invoice| invoice.invoice_period == period) {
            let items = self.invoice_items(&invoice.invoice_uuid).await?;
            let summary = self.invoice_summary(&invoice.invoice_uuid).await?;
            add(&mut invoiced, invoice, items, summary)?;
        }
        Ok(invoiced)
    }
}

fn add(invoiced: &mut Invoiced, invoice: Invoice, items: Vec<Item>, summary: Summary) -> Result<()> {
    let dollars = |amount| Money::new(amount, billing::VIRTUAL.currency);
    let item = |item: Item| {
        let droplet = item.product.as_deref() == Some("Droplets");
        let words: Vec<String> = [item.product, item.description].into_iter().flatten().collect();
        InvoiceLine {
            what: words.join(", "),
            kind: LineKind::Usage,
            server: item.resource_id.filter(|_| droplet),
            amount: dollars(item.amount),
        }
    };
    let beside = |charge: Option<Charge>, kind, otherwise: &str| {
        let charge = charge?;
        let what = charge.name.unwrap_or_else(|| otherwise.to_owned());
        Some(InvoiceLine { what, kind, server: None, amount: dollars(charge.amount?) })
    };
    let rest = [
        beside(summary.overages, LineKind::Usage, "overages"),
        beside(summary.taxes, LineKind::Tax, "taxes"),
        beside(summary.credits_and_adjustments, LineKind::Credit, "credits and adjustments"),
    ];
    let lines = items.into_iter().map(item).chain(rest.into_iter().flatten());
    let number = Some(invoice.invoice_id.unwrap_or(invoice.invoice_uuid));
    invoiced.add(number, dollars(invoice.amount), lines).map_err(|error| {
        Error::new(ErrorKind::Protocol, format!("An invoice cannot be summed up: {error}."))
            .with_provider(&DESCRIPTOR.id)
            .with_operation("invoices.items")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vendor's own examples; the summary's amounts are those of its total.
    #[test]
    fn items_taxes_and_credits_are_the_total() {
        let invoice = r#"{"invoice_uuid": "22737513-0ea7-4206-8ceb-98a575af7681", "invoice_id": "123456789",
            "amount": "27.13", "invoice_period": "2020-01"}"#;
        let items = r#"[{"product": "Droplets", "resource_id": "2353624", "description": "web (s-1vcpu-1gb)",
            "amount": "10.00", "duration": "744", "duration_unit": "Hours"},
            {"product": "Spaces Subscription", "resource_id": "1", "description": "Spaces", "amount": "2.00"}]"#;
        let summary = r#"{"product_charges": {"name": "Product usage charges", "amount": "12.34"},
            "overages": {"name": "Overages", "amount": "3.45"}, "taxes": {"name": "Taxes", "amount": "4.56"},
            "credits_and_adjustments": {"name": "Credits & adjustments", "amount": "6.78"}}"#;
        let mut read = Invoiced::nothing(Timestamp::UNIX_EPOCH, jiff::civil::date(2020, 1, 1));
        let read_json = (
            serde_json::from_str(invoice).unwrap(),
            serde_json::from_str(items).unwrap(),
            serde_json::from_str(summary).unwrap(),
        );
        add(&mut read, read_json.0, read_json.1, read_json.2).unwrap();
        assert_eq!((read.total.unwrap().to_string(), &read.invoices[0][..]), ("27.13 USD".to_owned(), "123456789"));
        let lines: Vec<_> = read.lines.iter().map(|line| (line.kind, line.amount.amount().to_string())).collect();
        let lines: Vec<_> = lines.iter().map(|(kind, amount)| (*kind, amount.as_str())).collect();
        assert_eq!(
            lines,
            [
                (LineKind::Usage, "10"),
                (LineKind::Usage, "2"),
                (LineKind::Usage, "3.45"),
                (LineKind::Tax, "4.56"),
                (LineKind::Credit, "6.78"),
                // 12.34 of products, of which the items above are 12.
                (LineKind::Unitemized, "0.34"),
            ]
        );
        let servers: Vec<_> = read.lines.iter().filter_map(|line| line.server.as_deref()).collect();
        assert_eq!(servers, ["2353624"], "what is no droplet has no droplet's id");
    }
}
