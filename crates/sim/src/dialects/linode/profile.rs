//! Who asks, and the SSH keys of that user.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Complaints, done, found, ok, page_of, unreadable};
use super::instances;
use crate::invoice::{number, sum};
use crate::wire::{Request, Response};
use crate::world::{Account, Resource, View};

const KEY: &str = "ssh_key";

pub(super) fn get(_: &Request, account: &Account, _: &mut View<'_>) -> Answer {
    ok(&json!({
        "uid": 1000 + account.name.len(),
        "username": account.name,
        "email": format!("{}@example.com", account.name),
        "timezone": "US/Eastern",
        "email_notifications": true,
        "ip_whitelist_enabled": false,
        "lish_auth_method": "keys_only",
        "authentication_type": "password",
        "authorized_keys": null,
        "two_factor_auth": true,
        "restricted": false,
        "verified_phone_number": null,
        "referrals": {
            "code": "0000", "url": "https://www.linode.com/?r=0000", "total": 0, "completed": 0, "pending": 0, "credit": 0,
        },
    }))
}

/// An unrestricted user has no grants: it may do everything.
pub(super) fn grants(_: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    Ok(Response::empty(204))
}

pub(super) fn account(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(&json!({
        "euuid": "00000000-0000-4000-A000-000000000001",
        "email": format!("{}@example.com", account.name),
        "company": account.name,
        "first_name": "Sand", "last_name": "Box",
        "address_1": "", "address_2": "", "city": "", "state": "", "zip": "", "country": "US", "phone": "", "tax_id": "",
        "active_since": "2024-01-01T00:01:01",
        "active_promotions": [],
        "balance": 0,
        "balance_uninvoiced": number(sum(&view.charges(&account.name))),
        "billing_source": "akamai",
        "capabilities": ["Linodes"],
        "credit_card": { "expiry": "11/2032", "last_four": "1111" },
    }))
}

fn key_body(key: &Resource) -> Value {
    json!({
        "id": key.id.parse::<u64>().unwrap_or_default(),
        "label": key.name,
        "ssh_key": key.data["ssh_key"],
        "created": instances::time(key.born_at),
    })
}

/// Whether a line is a public key.
pub(super) fn is_key(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let kinds = ["ssh-", "ecdsa-sha2-", "sk-"];
    words.next().is_some_and(|kind| kinds.iter().any(|known| kind.starts_with(known)))
        && words.next().is_some_and(|blob| STANDARD.decode(blob).is_ok_and(|bytes| !bytes.is_empty()))
}

pub(super) fn list_keys(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    page_of(request, &view.resources(&account.name, KEY).map(key_body).collect::<Vec<_>>())
}

pub(super) fn get_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(&key_body(found(view.resource(&account.name, KEY, &request.path[3]))?))
}

pub(super) fn create_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        label: Option<String>,
        ssh_key: Option<String>,
    }
    let body: Body = request.json().map_err(unreadable)?;
    let (label, key) = (body.label.unwrap_or_default(), body.ssh_key.unwrap_or_default());
    let mut complaints = Complaints::default();
    complaints.expect(label.len() <= 64, "label", "Length must be 0-64 characters");
    complaints.expect(
        is_key(&key),
        "ssh_key",
        "SSH Key key-type must be ssh-dss, ssh-rsa, ecdsa-sha2-nistp, ssh-ed25519",
    );
    complaints.refuse()?;
    let id = (700_000 + view.number()).to_string();
    let key = Resource::new(&account.name, id, label, view.now(), json!({ "ssh_key": key }));
    let body = key_body(&key);
    view.put_resource(KEY, key);
    ok(&body)
}

pub(super) fn delete_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    found(view.resource_mut(&account.name, KEY, &request.path[3]))?.gone_at = Some(now);
    done()
}
