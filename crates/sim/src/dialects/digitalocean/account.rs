//! Account and SSH keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, bad_request, found, invalid, ok, page};
use super::droplets::time;
use crate::invoice::sum;
use crate::wire::{Request, Response};
use crate::world::{Account, Resource, View};

const KEY: &str = "ssh_key";

pub(super) fn get(_: &Request, account: &Account, _: &mut View<'_>) -> Answer {
    let team = format!("00000000-0000-4000-a000-{:0>12}", account.name.len());
    ok(
        200,
        &json!({ "account": {
            "droplet_limit": account.machine_limit,
            "floating_ip_limit": 3,
            "reserved_ip_limit": 3,
            "volume_limit": 100,
            "email": format!("{}@example.com", account.name),
            "name": account.name,
            "uuid": team.replace("-a000-", "-b000-"),
            "email_verified": true,
            "status": "active",
            "status_message": "",
            "team": { "uuid": team, "name": account.name },
        }}),
    )
}

pub(super) fn balance(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let usage = sum(&view.charges(&account.name));
    ok(
        200,
        &json!({
            "month_to_date_balance": format!("{usage:.2}"),
            "account_balance": "0.00",
            "month_to_date_usage": format!("{usage:.2}"),
            "generated_at": time(view.now()),
        }),
    )
}

fn key_body(key: &Resource) -> Value {
    json!({
        "id": key.id.parse::<u64>().unwrap_or_default(),
        "fingerprint": key.data["fingerprint"],
        "public_key": key.data["public_key"],
        "name": key.name,
    })
}

/// A key by id or fingerprint.
pub(super) fn find_key<'v>(view: &'v View<'_>, account: &Account, word: &str) -> Option<&'v Resource> {
    let by_id = view.resource(&account.name, KEY, word);
    by_id.or_else(|| view.resources(&account.name, KEY).find(|key| key.data["fingerprint"] == word))
}

pub(super) fn list_keys(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    page(request, "ssh_keys", view.resources(&account.name, KEY), key_body)
}

pub(super) fn get_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let key = found(find_key(view, account, &request.path[3]))?;
    ok(200, &json!({ "ssh_key": key_body(key) }))
}

pub(super) fn create_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        name: Option<String>,
        public_key: Option<String>,
    }
    let body: Body = request.json().map_err(|_| bad_request("The request body could not be parsed."))?;
    let name = body.name.filter(|name| !name.is_empty()).ok_or_else(|| invalid("Name can't be blank"))?;
    let public_key = body.public_key.ok_or_else(|| invalid("Key can't be blank"))?;
    let fingerprint = fingerprint(&public_key)
        .ok_or_else(|| invalid("Key invalid, key should be of the format `type key [comment]`"))?;
    if find_key(view, account, &fingerprint).is_some() {
        return Err(invalid("SSH Key is already in use on your account"));
    }
    let id = (40_000_000 + view.number()).to_string();
    let data = json!({ "fingerprint": fingerprint, "public_key": public_key });
    let key = Resource::new(&account.name, id, name, view.now(), data);
    let body = json!({ "ssh_key": key_body(&key) });
    view.put_resource(KEY, key);
    ok(201, &body)
}

pub(super) fn delete_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let id = found(find_key(view, account, &request.path[3]))?.id.clone();
    let now = view.now();
    if let Some(key) = view.resource_mut(&account.name, KEY, &id) {
        key.gone_at = Some(now);
    }
    Ok(Response::empty(204))
}

/// The MD5 of the key's second word, in pairs of digits: what the vendor calls its fingerprint.
fn fingerprint(public_key: &str) -> Option<String> {
    let mut words = public_key.split_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    if !(kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-")) || blob.is_empty() {
        return None;
    }
    Some(Md5::digest(&blob).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}
