//! Billing v2beta1: what a project consumed.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use super::answer::{Answer, bad_argument, counted_page};
use super::project;
use crate::charges::Charge;
use crate::wire::Request;
use crate::world::{Account, View};

pub(super) fn consumptions(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let running = view.now().strftime("%Y-%m").to_string();
    let month = request.query("billing_period").unwrap_or(&running);
    if month.len() != 7 || !month.is_char_boundary(4) || &month[4..5] != "-" {
        return Err(bad_argument("billing_period", "format", "a month such as 2026-11"));
    }
    let own = request.query("project_id").is_none_or(|id| id == project(account));
    // There are no books of other months.
    let charges = if own && month == running { view.charges(&account.name) } else { Vec::new() };
    counted_page(request, "consumptions", charges.into_iter(), |charge| body(&charge, account))
}

fn body(charge: &Charge, account: &Account) -> Value {
    let type_ = charge.plan.to_lowercase().replace('-', "_");
    json!({
        "product_name": charge.plan,
        "resource_name": charge.name,
        "sku": format!("/compute/{type_}/run_{}", charge.region),
        "project_id": project(account),
        "category_name": "Compute",
        "unit": "hour",
        "billed_quantity": charge.hours.to_string(),
        "consumer_id": project(account),
        "project_name": account.name,
        "organization_name": account.name,
        "value": money(charge.amount),
    })
}

fn money(amount: Decimal) -> Value {
    let amount = amount.round_dp(9);
    let nanos = amount.fract() * Decimal::from(1_000_000_000);
    json!({ "currency_code": "EUR", "units": amount.trunc().to_i64(), "nanos": nanos.to_i64() })
}
