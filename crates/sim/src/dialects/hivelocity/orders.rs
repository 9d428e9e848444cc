//! Orders: kept for ever, and done before their servers are shown.

use serde_json::{Value, json};

use super::answer::{Answer, found, ok};
use super::catalog::CATALOG;
use super::devices;
use crate::machine::State;
use crate::wire::Request;
use crate::world::{Account, Resource, View};

const ORDER: &str = "order";

/// The number of the next order.
pub(super) fn next(view: &mut View<'_>) -> u64 {
    90_000 + view.number()
}

/// Writes an order of these servers down.
pub(super) fn record(view: &mut View<'_>, account: &Account, order: u64, devices: &[String]) {
    let data = json!({ "devices": devices });
    view.put_resource(ORDER, Resource::new(&account.name, order.to_string(), "order", view.now(), data));
}

fn devices_of(order: &Resource) -> impl Iterator<Item = &str> {
    order.data["devices"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// An order is as far as its servers are: looked through by people, worked on, done, or refused.
fn status(view: &View<'_>, order: &Resource) -> &'static str {
    let now = view.now();
    let states: Vec<State> =
        devices_of(order).filter_map(|id| view.machine_born(id)).map(|device| device.status_at(now)).collect();
    if states.contains(&State::Failed) {
        "cancelled"
    } else if states.contains(&State::Queued) {
        "verification"
    } else if states.contains(&State::Building) {
        "provisioning"
    } else {
        "complete"
    }
}

/// (unsure) What `info` holds is not described. Here it names the servers as they were ordered.
fn body(view: &View<'_>, account: &Account, order: &Resource) -> Value {
    let born: Vec<_> = devices_of(order).filter_map(|id| view.machine_born(id)).collect();
    let hourly = |plan: &str| CATALOG.plan(plan).and_then(|plan| serde_json::from_str::<Value>(plan.hourly).ok());
    json!({
        "orderId": order.id.parse::<u64>().unwrap_or_default(),
        "status": status(view, order),
        "owner": format!("{}@example.com", account.name),
        "total": born.first().and_then(|device| hourly(&device.plan)),
        "info": { "devices": born.iter().map(|device| devices::as_ordered(device)).collect::<Vec<_>>() },
    })
}

pub(super) fn list(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let view = &*view;
    ok(200, &view.resources(&account.name, ORDER).map(|order| body(view, account, order)).collect::<Vec<_>>())
}

pub(super) fn in_progress(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let view = &*view;
    let open = |order: &&Resource| !matches!(status(view, order), "complete" | "cancelled");
    let open = view.resources(&account.name, ORDER).filter(open);
    ok(200, &open.map(|order| body(view, account, order)).collect::<Vec<_>>())
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let order = found(view.resource(&account.name, ORDER, &request.path[3]), "Order ID")?;
    ok(200, &body(view, account, order))
}
