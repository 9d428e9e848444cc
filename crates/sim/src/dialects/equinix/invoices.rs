//! Invoices of the months that have ended: servers of the one project, without taxes and credits.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::answer::{self, Answer, not_found};
use super::project;
use crate::invoice::{Charge, Written, begins, number};
use crate::wire::Request;
use crate::world::{Account, View};

/// Who pays for an account's project.
pub(super) fn organization(account: &Account) -> String {
    project(account).replacen(|_: char| true, "e", 1)
}

fn day(at: Timestamp) -> String {
    TimeZone::UTC.to_datetime(at).date().to_string()
}

fn body(invoice: &Written, account: &Account) -> Value {
    json!({
        "id": format!("00000000-0000-4000-c000-{:0>12}", invoice.number()),
        "number": format!("I-{}", invoice.number()),
        "amount": number(invoice.total()),
        "balance": number(invoice.total()),
        "credit_amount": 0,
        "credits_applied": 0,
        "currency": "USD",
        "created_on": day(invoice.at()),
        "due_on": day(invoice.at()),
        "target_date": day(begins(invoice.month)),
        "status": "unpaid",
        "reference_number": "",
        "project": { "id": project(account), "name": account.name },
        "items": invoice.charges.iter().map(|charge| item(charge, account)).collect::<Vec<_>>(),
    })
}

fn item(charge: &Charge, account: &Account) -> Value {
    json!({
        "amount": number(charge.cents()),
        "currency": "USD",
        "description": charge.plan,
        "details": format!("{} hours", charge.hours()),
        "unit": "hour",
        "unit_price": number(charge.hourly),
        "hostname": charge.name,
        "location": charge.region,
        "item_type": "Instance",
        "service_id": charge.id,
        "start_date": day(charge.from),
        "end_date": day(charge.to),
        "project_id": project(account),
    })
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    if request.path[3] != organization(account) {
        return Err(not_found());
    }
    let invoices = view.invoices(&account.name);
    answer::page(request, "invoices", invoices.iter(), |invoice| body(invoice, account))
}
