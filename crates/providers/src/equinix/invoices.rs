//! What the vendor wrote on the invoices of a month: its words, its calls, and what they come to.

use capsule_core::http::{Call, encode, page};
use capsule_core::statement::{month_before, month_of};
use capsule_core::{Currency, Error, InvoiceLine, Invoiced, LineKind, Money, Result};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::api::Api;
use super::{DESCRIPTOR, billing};

/// Invoices of a page. The description has no word on how many there are.
const PER_PAGE: usize = 100;

/// More pages are no account's.
const MOST_PAGES: u64 = 1000;

/// An invoice of the organization.
#[derive(Debug, Deserialize)]
pub(super) struct Invoice {
    pub(super) id: String,
    pub(super) number: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) amount: Decimal,
    pub(super) currency: Option<String>,
    /// A day, as all of its times are.
    pub(super) created_on: Option<String>,
    pub(super) items: Option<Vec<Item>>,
}

/// One item.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) description: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) start_date: Option<String>,
    pub(super) end_date: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text")]
    pub(super) amount: Decimal,
}

impl Api {
    /// Every invoice of the organization, page by page until one is not full.
    async fn invoices(&self, organization: &str) -> Result<Vec<Invoice>> {
        #[derive(Deserialize)]
        struct Body {
            invoices: Vec<Invoice>,
        }
        let call = Call::get("invoices.list", format!("/organizations/{}/invoices", encode(organization)));
        let mut all: Vec<Invoice> = Vec::new();
        for number in 1..=MOST_PAGES {
            let asked = call.clone().query("page", number).query("per_page", PER_PAGE);
            let reply = self.send(asked).await.map_err(|error| page::page_failed("invoices", number, None, error))?;
            let arrived = reply.json::<Body>()?.invoices;
            let (full, again) = (arrived.len() >= PER_PAGE, arrived.first().map(|invoice| invoice.id.clone()));
            // A server that knows no pages gives the first one again.
            if again.is_some_and(|id| all.iter().any(|invoice| invoice.id == id)) {
                return Ok(all);
            }
            all.extend(arrived);
            if !full {
                return Ok(all);
            }
        }
        Err(unreadable(format!("there are more than {MOST_PAGES} pages of them")))
    }

    /// The invoices of a month with all that stands on them: those of the whole organization that pays for the project.
    pub(super) async fn invoiced(&self, asked_at: Timestamp, month: Date) -> Result<Invoiced> {
        let organization = self.project().await?.organization;
        let id = organization.and_then(|found| {
            found.id.or_else(|| found.href?.trim_end_matches('/').rsplit('/').next().map(str::to_owned))
        });
        let id = id.ok_or_else(|| unreadable("the project does not say who pays for it".to_owned()))?;
        let mut invoiced = Invoiced::nothing(asked_at, month);
        for invoice in self.invoices(&id).await? {
            let told = month_told(&invoice);
            if told.ok_or_else(|| unreadable("one does not say when it was written".to_owned()))? == month {
                add(&mut invoiced, invoice, &self.project)?;
            }
        }
        if invoiced.total.is_some() {
            invoiced.notes.push("The whole organization's invoice, not the project's alone.".to_owned());
        }
        Ok(invoiced)
    }
}

/// The month of the time that its items are for, or else that before it was written.
fn month_told(invoice: &Invoice) -> Option<Date> {
    let at = |text: &Option<String>| {
        let date: Date = text.as_deref()?.get(..10)?.parse().ok()?;
        TimeZone::UTC.to_timestamp(date.into()).ok()
    };
    let items = || invoice.items.iter().flatten();
    let from = items().filter_map(|item| at(&item.start_date)).min();
    let to = items().filter_map(|item| at(&item.end_date)).max();
    let told = from.zip(to).map(|(from, to)| month_of(from, to));
    told.or_else(|| Some(month_before(at(&invoice.created_on)?)))
}

fn add(invoiced: &mut Invoiced, invoice: Invoice, project: &str) -> Result<()> {
    let currency = match invoice.currency.as_deref() {
        Some(code) => code.parse::<Currency>().map_err(|_| unreadable("a currency is none".to_owned()))?,
        None => billing::BARE_METAL.currency,
    };
    let item = |item: Item| {
        // A name in another project is no server of ours.
        let ours = item.project_id.as_deref().is_none_or(|id| id == project);
        let words = [item.hostname.filter(|_| ours), item.description.filter(|_| ours)];
        let words: Vec<String> = words.into_iter().flatten().collect();
        let amount = Money::new(item.amount, currency);
        InvoiceLine {
            what: if ours { words.join(", ") } else { "another project".to_owned() },
            kind: if amount.amount().is_sign_negative() { LineKind::Credit } else { LineKind::Usage },
            server: None,
            amount,
        }
    };
    let number = Some(invoice.number.unwrap_or(invoice.id));
    let lines = invoice.items.unwrap_or_default().into_iter().map(item);
    invoiced.add(number, Money::new(invoice.amount, currency), lines).map_err(|error| unreadable(error.to_string()))
}

fn unreadable(why: String) -> Error {
    Invoiced::unreadable(&DESCRIPTOR.id, "invoices.list", &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoice_of(created_on: &str) -> Invoice {
        let created_on = Some(created_on.to_owned());
        Invoice { id: "1".into(), number: None, amount: Decimal::ONE, currency: None, created_on, items: None }
    }

    #[test]
    fn items_tell_the_month_and_those_of_other_projects_no_name() {
        let invoice = r#"{"id": "497f6eca-6276-4993-bfeb-53cbbbba6f08", "number": "I-1", "amount": 30.5, "balance": 0,
            "currency": "USD", "created_on": "2019-09-01", "items": [
            {"hostname": "web", "description": "c3.small.x86", "project_id": "ours", "amount": 20,
             "start_date": "2019-08-01", "end_date": "2019-08-31"},
            {"hostname": "web", "description": "c3.small.x86", "project_id": "theirs", "amount": 10.5}]}"#;
        let invoice: Invoice = serde_json::from_str(invoice).unwrap();
        assert_eq!(month_told(&invoice), Some(jiff::civil::date(2019, 8, 1)));
        assert_eq!(month_told(&invoice_of("2019-09-01T00:00:00Z")), month_told(&invoice));
        assert_eq!(month_told(&invoice_of("soon")), None);
        let mut read = Invoiced::nothing(Timestamp::UNIX_EPOCH, jiff::civil::date(2019, 8, 1));
        add(&mut read, invoice, "ours").unwrap();
        let lines: Vec<_> = read.lines.iter().map(|line| (line.what.as_str(), line.amount.to_string())).collect();
        assert_eq!(lines, [("web, c3.small.x86", "20 USD".to_owned()), ("another project", "10.5 USD".to_owned())]);
    }
}
