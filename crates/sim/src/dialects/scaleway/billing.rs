//! Billing v2beta1: what a project consumed, and the invoices of the months that have ended.

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use super::answer::{Answer, bad_argument, counted_page, time, uuid_of};
use super::project;
use crate::invoice::{Charge, What, begins};
use crate::wire::Request;
use crate::world::{Account, View};

pub(super) fn consumptions(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let running = view.now().strftime("%Y-%m").to_string();
    let period = request.query("billing_period").unwrap_or(&running);
    let bad = || bad_argument("billing_period", "format", "a month such as 2026-11");
    let first = (period.len() == 7).then(|| format!("{period}-01").parse::<Date>().ok()).flatten().ok_or_else(bad)?;
    let own = request.query("project_id").is_none_or(|id| id == project(account));
    let charges = match own {
        true => view.charges_in(&account.name, (first.year(), first.month()), view.now()),
        false => Vec::new(),
    };
    counted_page(request, "consumptions", charges.into_iter(), |charge| body(&charge, account))
}

fn body(charge: &Charge, account: &Account) -> Value {
    let type_ = charge.plan.to_lowercase().replace('-', "_");
    let (product, sku, category) = match charge.what {
        What::Server => (charge.plan.as_str(), format!("/compute/{type_}/run_{}", charge.region), "Compute"),
        What::RootDisk => ("Block Storage", format!("/storage/block/sbs_5k/{}", charge.region), "Storage"),
        What::PublicIpv4 => ("Flexible IPv4", format!("/network/ipv4/{}", charge.region), "Network"),
    };
    json!({
        "product_name": product,
        "resource_name": charge.name,
        "sku": sku,
        "project_id": project(account),
        "category_name": category,
        "unit": "hour",
        "billed_quantity": charge.hours().to_string(),
        "consumer_id": project(account),
        "project_name": account.name,
        "organization_name": account.name,
        "value": money(charge.amount),
    })
}

/// In an order of the sim's own: the newest first.
pub(super) fn invoices(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    counted_page(request, "invoices", view.invoices(&account.name).into_iter(), |invoice| {
        let total: Decimal = invoice.charges.iter().map(|charge| charge.amount.round_dp(9)).sum();
        let start = begins(invoice.month);
        json!({
            "id": uuid_of(&["invoice", &account.name, &invoice.period()]),
            "organization_id": project(account),
            "organization_name": account.name,
            "start_date": time(start),
            "stop_date": time(invoice.at()),
            "billing_period": time(start),
            "issued_date": time(invoice.at()),
            "due_date": time(invoice.at()),
            "total_untaxed": money(total),
            "total_taxed": money(total),
            "total_tax": money(Decimal::ZERO),
            "total_discount": money(Decimal::ZERO),
            "total_undiscount": money(total),
            "type": "periodic",
            "state": "issued",
            "number": invoice.number(),
            "seller_name": "SCALEWAY",
        })
    })
}

fn money(amount: Decimal) -> Value {
    let amount = amount.round_dp(9);
    let nanos = amount.fract() * Decimal::from(1_000_000_000);
    json!({ "currency_code": "EUR", "units": amount.trunc().to_i64(), "nanos": nanos.to_i64() })
}
