//! Account and SSH keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, bad_request, not_found, one, page};
use super::servers::time;
use crate::invoice::{Charge, number, sum};
use crate::wire::{Request, Response};
use crate::world::{Account, Resource, View};

const KEY: &str = "ssh_key";

pub(super) fn get(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let acls = [
        "manage_users",
        "subscriptions_view",
        "subscriptions",
        "billing",
        "support",
        "provisioning",
        "dns",
        "abuse",
        "upgrade",
        "firewall",
        "alerts",
        "objstore",
        "loadbalancer",
    ];
    one(
        200,
        "account",
        json!({
            "name": account.name,
            "email": format!("{}@example.com", account.name),
            "acls": acls,
            // Negative is credit.
            "balance": -100,
            "pending_charges": number(sum(&view.charges(&account.name))),
            "last_payment_date": "2025-12-01T01:56:20+00:00",
            "last_payment_amount": -100,
        }),
    )
}

pub(super) fn pending(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let line = |charge: Charge| {
        json!({
            "description": format!("{} ({})", charge.plan, charge.name),
            "start_date": time(charge.from),
            "end_date": time(charge.to),
            "units": charge.hours(),
            "unit_type": "hours",
            "unit_price": number(charge.hourly),
            "total": number(charge.cents()),
            "product": charge.plan,
            "region": charge.region,
        })
    };
    one(200, "pending_charges", view.charges(&account.name).into_iter().map(line).collect::<Vec<_>>())
}

fn key_body(key: &Resource) -> Value {
    json!({ "id": key.id, "date_created": time(key.born_at), "name": key.name, "ssh_key": key.data["ssh_key"] })
}

/// Whether the account has a key of that id.
pub(super) fn has_key(view: &View<'_>, account: &Account, id: &str) -> bool {
    view.resource(&account.name, KEY, id).is_some()
}

pub(super) fn list_keys(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    page(request, "ssh_keys", view.resources(&account.name, KEY).enumerate(), key_body)
}

pub(super) fn get_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let key = view.resource(&account.name, KEY, &request.path[2]);
    one(200, "ssh_key", key_body(key.ok_or_else(|| not_found("Invalid SSH Key ID."))?))
}

/// The same key twice becomes two keys.
pub(super) fn create_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        name: Option<String>,
        ssh_key: Option<String>,
    }
    let body: Body = request.json().map_err(|_| bad_request("Invalid JSON body."))?;
    let name = body.name.filter(|name| !name.is_empty()).ok_or_else(|| bad_request("Invalid name."))?;
    let line = body.ssh_key.filter(|line| is_public_key(line)).ok_or_else(|| bad_request("Invalid SSH key."))?;
    let key = Resource::new(&account.name, view.uuid(), name, view.now(), json!({ "ssh_key": line }));
    let answer = one(201, "ssh_key", key_body(&key));
    view.put_resource(KEY, key);
    answer
}

pub(super) fn delete_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    let key = view.resource_mut(&account.name, KEY, &request.path[2]);
    key.ok_or_else(|| not_found("Invalid SSH Key ID."))?.gone_at = Some(now);
    Ok(Response::empty(204))
}

fn is_public_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let known = kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-");
    known && words.next().is_some_and(|blob| STANDARD.decode(blob).is_ok_and(|bytes| !bytes.is_empty()))
}
