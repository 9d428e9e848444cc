//! Invoices of the months that have ended, without taxes, and the traffic of the running one: there is none.

use serde_json::{Value, json};

use super::answer::{Answer, found, ok, page_of};
use super::instances::time;
use crate::invoice::{Charge, Written, number};
use crate::wire::Request;
use crate::world::{Account, View};

pub(super) fn transfer(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let servers = view.machines(&account.name).count();
    ok(&json!({ "billable": 0, "quota": 1000 * servers, "used": 0, "region_transfers": [] }))
}

fn body(invoice: &Written) -> Value {
    json!({
        "id": invoice.number(),
        "date": time(invoice.at()),
        "label": format!("Invoice #{}", invoice.number()),
        "subtotal": number(invoice.total()),
        "tax": 0,
        "tax_summary": [],
        "total": number(invoice.total()),
        "billing_source": "linode",
    })
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    page_of(request, &view.invoices(&account.name).iter().map(body).collect::<Vec<_>>())
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(&body(&found(view.invoice(&account.name, &request.path[3]))?))
}

/// (unsure) How a label is written: the plan, the server's label and its number.
fn item(charge: &Charge) -> Value {
    json!({
        "label": format!("{} - {} ({})", charge.plan, charge.name, charge.id),
        "type": "hourly",
        "from": time(charge.from),
        "to": time(charge.to),
        "quantity": charge.hours(),
        "unit_price": charge.hourly.to_string(),
        "region": charge.region,
        "amount": number(charge.cents()),
        "tax": 0,
        "total": number(charge.cents()),
    })
}

pub(super) fn items(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let invoice = found(view.invoice(&account.name, &request.path[3]))?;
    page_of(request, &invoice.charges.iter().map(item).collect::<Vec<_>>())
}
