//! Invoices of the months that have ended: servers alone, without taxes. (unsure) What an item says of its server beside
//! the service, and that there is one invoice for all that was used by the hour.

use serde_json::{Value, json};

use super::answer::{Answer, found, ok};
use crate::invoice::{Charge, Written, number};
use crate::wire::{Request, Response};
use crate::world::{Account, View};

fn body(invoice: &Written, account: &Account) -> Value {
    let at = invoice.at().as_second();
    json!({
        "id": invoice.number(),
        "amount": number(invoice.total()),
        "amountUnpaid": number(invoice.total()),
        "clientId": account.name.len(),
        "created": at,
        "datePaid": 0,
        "due": at,
        "sent": at,
        "status": "unpaid",
    })
}

pub(super) fn list(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &view.invoices(&account.name).iter().map(|invoice| body(invoice, account)).collect::<Vec<_>>())
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &body(&find(request, account, view)?, account))
}

pub(super) fn details(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let invoice = find(request, account, view)?;
    let item = |charge: &Charge| {
        let service = view.machines_born_of(&account.name).find(|machine| machine.id == charge.id);
        json!({
            "serviceId": service.map(|machine| machine.extra["serviceId"].clone()),
            "description": format!("{} - {}", charge.plan, charge.name),
            "unitPrice": number(charge.cents()),
            "quantity": 1,
            "dateRange": {},
        })
    };
    ok(
        200,
        &json!({
            "accountBalance": number(invoice.total()),
            "clientAddress": "",
            "clientName": account.name,
            "companyName": account.name,
            "invoiceDate": invoice.at().to_string(),
            "invoiceDue": invoice.at().to_string(),
            "invoiceNumber": invoice.number().to_string(),
            "serviceItems": invoice.charges.iter().map(item).collect::<Vec<_>>(),
            "taxesValue": 0,
            "totalDue": number(invoice.total()),
            "priorBalance": 0,
            "paymentsRefunds": 0,
            "paymentHistory": [],
            "refundHistory": [],
            "taxesList": [],
        }),
    )
}

fn find(request: &Request, account: &Account, view: &View<'_>) -> Result<Written, Response> {
    found(view.invoice(&account.name, &request.path[3]), "Invoice")
}
