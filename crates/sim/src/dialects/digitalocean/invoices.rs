//! Invoices of the months that have ended, and the preview of the running one. There are no taxes, overages and credits.

use serde_json::{Value, json};

use super::answer::{Answer, found, ok, page, page_with};
use super::droplets::time;
use crate::invoice::{Charge, Written, sum};
use crate::wire::Request;
use crate::world::{Account, View};

/// The end of an invoice's id is its number.
const UUID: &str = "00000000-0000-4000-c000-";

fn body(invoice: &Written) -> Value {
    json!({
        "invoice_uuid": format!("{UUID}{:0>12}", invoice.number()),
        "invoice_id": invoice.number().to_string(),
        "amount": format!("{:.2}", invoice.total()),
        "invoice_period": invoice.period(),
    })
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (now, usage) = (time(view.now()), sum(&view.charges(&account.name)));
    let preview = json!({
        "invoice_uuid": format!("{UUID}000000000001"),
        "invoice_id": "1",
        "amount": format!("{usage:.2}"),
        "invoice_period": &now[..7],
        "updated_at": now,
    });
    let invoices = view.invoices(&account.name);
    page_with(request, "invoices", invoices.iter(), body, &[("invoice_preview", preview)])
}

pub(super) fn items(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let invoice = find(request, account, view)?;
    page(request, "invoice_items", invoice.charges.iter(), item)
}

fn item(charge: &Charge) -> Value {
    json!({
        "product": "Droplets",
        "resource_id": charge.id,
        "resource_uuid": "",
        "group_description": "",
        "description": format!("{} ({})", charge.name, charge.plan),
        "amount": format!("{:.2}", charge.cents()),
        "duration": charge.hours().to_string(),
        "duration_unit": "Hours",
        "start_time": time(charge.from),
        "end_time": time(charge.to),
        "project_name": "",
    })
}

pub(super) fn summary(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let invoice = find(request, account, view)?;
    let total = format!("{:.2}", invoice.total());
    let nothing = |name: &str| json!({ "name": name, "amount": "0.00" });
    let items = json!([{ "name": "Droplets", "amount": total, "count": invoice.charges.len().to_string() }]);
    ok(
        200,
        &json!({
            "invoice_uuid": request.path[4],
            "invoice_id": invoice.number().to_string(),
            "billing_period": invoice.period(),
            "amount": total,
            "user_name": account.name,
            "user_email": format!("{}@example.com", account.name),
            "product_charges": { "name": "Product usage charges", "amount": total, "items": items },
            "overages": nothing("Overages"),
            "taxes": nothing("Taxes"),
            "credits_and_adjustments": nothing("Credits & adjustments"),
        }),
    )
}

fn find(request: &Request, account: &Account, view: &View<'_>) -> Result<Written, crate::wire::Response> {
    let number = request.path[4].strip_prefix(UUID).map(|digits| digits.trim_start_matches('0'));
    found(number.and_then(|number| view.invoice(&account.name, number)))
}
