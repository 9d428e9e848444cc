//! SSH keys, of a project or of the user.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, href, not_found, ok, refused, time};
use super::{in_project, project};
use crate::wire::{Request, Response};
use crate::world::{Account, Resource, View};

const KEY: &str = "ssh_key";
/// Under this label stands to whom a key belongs: `project` or `user`.
const OF: &str = "of";

fn body(key: &Resource, account: &Account) -> Value {
    let made = time(key.born_at);
    let entity =
        if key.data[OF] == "project" { href(&format!("/projects/{}", project(account))) } else { href("/user") };
    json!({
        "id": key.id,
        "label": key.name,
        "key": key.data["key"],
        "fingerprint": key.data["fingerprint"],
        "created_at": made,
        "updated_at": made,
        "entity": entity,
        "tags": [],
        "href": format!("/metal/v1/ssh-keys/{}", key.id),
    })
}

/// Whether the project has a key of that id.
pub(super) fn has_key(view: &View<'_>, account: &Account, id: &str) -> bool {
    view.resource(&account.name, KEY, id).is_some_and(|key| key.data[OF] == "project")
}

fn all(request: &Request, account: &Account, view: &View<'_>, of: &str, search: &str) -> Answer {
    let wanted = request.query(search).unwrap_or_default();
    let fits = |key: &&Resource| {
        key.data[OF] == of
            && (key.name.contains(wanted)
                || [&key.data["key"], &key.data["fingerprint"]].iter().any(|text| text.to_string().contains(wanted)))
    };
    let keys: Vec<Value> = view.resources(&account.name, KEY).filter(fits).map(|key| body(key, account)).collect();
    ok(200, &json!({ "ssh_keys": keys }))
}

pub(super) fn list_of_project(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    in_project(request, account)?;
    all(request, account, view, "project", "query")
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    all(request, account, view, "user", "search")
}

pub(super) fn create_in_project(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    in_project(request, account)?;
    add(request, account, view, "project")
}

pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    add(request, account, view, "user")
}

/// The same key twice is refused (unsure).
fn add(request: &Request, account: &Account, view: &mut View<'_>, of: &str) -> Answer {
    #[derive(Deserialize)]
    struct New {
        label: Option<String>,
        key: Option<String>,
    }
    let new: New = request.json().map_err(|_| refused(&["The body is not valid JSON"]))?;
    let label = new.label.filter(|label| !label.is_empty()).ok_or_else(|| refused(&["Label can't be blank"]))?;
    let line = new.key.unwrap_or_default();
    let fingerprint = fingerprint(&line).ok_or_else(|| refused(&["Key is not a valid SSH key"]))?;
    let there = |key: &Resource| key.data[OF] == of && key.data["fingerprint"] == fingerprint;
    if view.resources(&account.name, KEY).any(there) {
        return Err(refused(&["Key has already been taken"]));
    }
    let data = json!({ "key": line, "fingerprint": fingerprint, OF: of });
    let key = Resource::new(&account.name, view.uuid(), label, view.now(), data);
    let made = body(&key, account);
    view.put_resource(KEY, key);
    ok(201, &made)
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let key = view.resource(&account.name, KEY, &request.path[3]).ok_or_else(not_found)?;
    ok(200, &body(key, account))
}

pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    view.resource_mut(&account.name, KEY, &request.path[3]).ok_or_else(not_found)?.gone_at = Some(now);
    Ok(Response::empty(204))
}

/// The MD5 of the key's second word, in pairs of digits.
fn fingerprint(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let kind = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    if !(kind.starts_with("ssh-") || kind.starts_with("ecdsa-") || kind.starts_with("sk-")) || blob.is_empty() {
        return None;
    }
    Some(Md5::digest(&blob).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}
