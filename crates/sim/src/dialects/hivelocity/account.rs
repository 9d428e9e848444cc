//! Profile and SSH keys.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, error, found, malformed, ok};
use crate::invoice::{number, sum};
use crate::wire::Request;
use crate::world::{Account, Resource, View};

const KEY: &str = "ssh_key";

pub(super) fn profile(_: &Request, account: &Account, _: &mut View<'_>) -> Answer {
    ok(
        200,
        &json!({
            "id": account.name.len(),
            "login": account.name,
            "email": format!("{}@example.com", account.name),
            "first": "Sandbox",
            "last": "User",
            "isClient": true,
        }),
    )
}

/// All that was charged in the month: nobody pays here.
pub(super) fn unpaid(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &json!({ "amountUnpaid": number(sum(&view.charges(&account.name))) }))
}

pub(super) fn credit(_: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    ok(200, &json!({ "autoApply": false, "hasCreditPendingOrder": false, "totalActive": 0.0 }))
}

fn body(key: &Resource) -> Value {
    json!({
        "sshKeyId": key.id.parse::<u64>().unwrap_or_default(),
        "name": key.name,
        "publicKey": key.data["publicKey"],
    })
}

/// A key of the account.
pub(super) fn has_key(view: &View<'_>, account: &Account, id: u64) -> bool {
    view.resource(&account.name, KEY, &id.to_string()).is_some()
}

pub(super) fn keys(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &view.resources(&account.name, KEY).map(body).collect::<Vec<_>>())
}

pub(super) fn key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &body(found(view.resource(&account.name, KEY, &request.path[3]), "Public ssh key")?))
}

pub(super) fn create_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        name: Option<String>,
        public_key: Option<String>,
    }
    let asked: Body = request.json().map_err(|_| error(400, "Unable to added public ssh key"))?;
    let (Some(name), Some(public_key)) = (asked.name, asked.public_key) else {
        return Err(malformed(BTreeMap::from([("publicKey", vec!["Missing data for required field."])])));
    };
    if !["ssh-rsa ", "ssh-ed25519 "].iter().any(|kind| public_key.starts_with(kind)) {
        return Err(error(400, "Unable to added public ssh key"));
    }
    let id = (5000 + view.number()).to_string();
    let key = Resource::new(&account.name, id, name, view.now(), json!({ "publicKey": public_key }));
    let answer = body(&key);
    view.put_resource(KEY, key);
    ok(201, &answer)
}

pub(super) fn delete_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    let key = found(view.resource_mut(&account.name, KEY, &request.path[3]), "Public ssh key")?;
    key.gone_at = Some(now);
    ok(200, &json!({}))
}
