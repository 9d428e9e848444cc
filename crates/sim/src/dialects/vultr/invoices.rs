//! Invoices of the months that have ended: servers alone, without taxes and discounts.

use serde_json::{Value, json};

use super::answer::{Answer, not_found, one, page};
use super::servers::time;
use crate::invoice::{Charge, Written, number};
use crate::wire::{Request, Response};
use crate::world::{Account, View};

fn body(invoice: &Written) -> Value {
    json!({
        "id": invoice.number(),
        "date": time(invoice.at()),
        "description": format!("Invoice #{}", invoice.number()),
        "amount": number(invoice.total()),
        "balance": number(invoice.total()),
    })
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    page(request, "billing_invoices", view.invoices(&account.name).iter().enumerate(), body)
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    one(200, "billing_invoice", body(&find(request, account, view)?))
}

/// As in the vendor's example, which has the address and the memory where the plan stands here.
fn item(charge: &Charge) -> Value {
    json!({
        "description": format!("{} [{}]", charge.plan, charge.name),
        "product": "Vultr Cloud Compute",
        "start_date": time(charge.from),
        "end_date": time(charge.to),
        "units": charge.hours(),
        "unit_type": "hours",
        "unit_price": number(charge.hourly),
        "total": number(charge.cents()),
    })
}

pub(super) fn items(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    page(request, "invoice_items", find(request, account, view)?.charges.iter().enumerate(), item)
}

fn find(request: &Request, account: &Account, view: &View<'_>) -> Result<Written, Response> {
    view.invoice(&account.name, &request.path[3]).ok_or_else(|| not_found("Invalid invoice ID."))
}
