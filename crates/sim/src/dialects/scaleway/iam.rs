//! SSH keys of a project, and what a key says about itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, bad_argument, counted_page, error, not_found, ok, uuid_of};
use super::project;
use crate::SANDBOX_KEY;
use crate::wire::{Request, Response};
use crate::world::{Account, Resource, View};

const KEY: &str = "ssh_key";
/// The access key beside the first account's secret key.
pub(super) const SANDBOX_ACCESS_KEY: &str = "SCWSANDBOX0000000000";
/// The same of the second account.
const OTHER_ACCESS_KEY: &str = "SCWSANDBOXOTHER00000";

fn body(key: &Resource, project: &str) -> Value {
    let made = key.born_at.to_string();
    json!({
        "id": key.id,
        "name": key.name,
        "public_key": key.data["public_key"],
        "fingerprint": key.data["fingerprint"],
        "created_at": made,
        "updated_at": made,
        "organization_id": project,
        "project_id": project,
        "disabled": key.data["disabled"],
    })
}

/// Disabled keys are only listed where they are asked for.
pub(super) fn list_keys(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let project = project(account);
    let asked = |name: &str| request.query(name).is_none_or(|word| word == project);
    let ours = asked("project_id") && asked("organization_id");
    let disabled = request.query("disabled");
    let keys = view.resources(&account.name, KEY).filter(|key| {
        ours && request.query("name").is_none_or(|name| key.name == name)
            && disabled.is_none_or(|word| (word == "true") == (key.data["disabled"] == true))
    });
    counted_page(request, "ssh_keys", keys, |key| body(key, project))
}

fn find<'v>(request: &Request, account: &Account, view: &'v View<'_>) -> Result<&'v Resource, Response> {
    let id = &request.path[3];
    view.resource(&account.name, KEY, id).ok_or_else(|| not_found("ssh_key", id))
}

pub(super) fn get_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &body(find(request, account, view)?, project(account)))
}

pub(super) fn create_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct New {
        name: Option<String>,
        public_key: Option<String>,
        project_id: Option<String>,
    }
    let new: New = request.json().map_err(|_| bad_argument("body", "format", "not the JSON that is wanted"))?;
    let required = |name: &str, value: Option<String>| value.ok_or_else(|| bad_argument(name, "required", ""));
    let (name, line) = (required("name", new.name)?, required("public_key", new.public_key)?);
    if required("project_id", new.project_id)? != project(account) {
        return Err(forbidden("ssh_key"));
    }
    let print = fingerprint(&line).ok_or_else(|| bad_argument("public_key", "format", "not a public key"))?;
    // (unsure) Whether a second key of the same text is refused is in no recording.
    if view.resources(&account.name, KEY).any(|key| key.data["fingerprint"] == print) {
        return Err(error(409, "conflict", "the key already exists", json!({ "resource": "ssh_key" })));
    }
    let data = json!({ "public_key": line, "fingerprint": print, "disabled": false });
    let key = Resource::new(&account.name, view.uuid(), name, view.now(), data);
    let answer = body(&key, project(account));
    view.put_resource(KEY, key);
    ok(200, &answer)
}

pub(super) fn update_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Patch {
        name: Option<String>,
        disabled: Option<bool>,
    }
    let patch: Patch = request.json().map_err(|_| bad_argument("body", "format", "not the JSON that is wanted"))?;
    let id = find(request, account, view)?.id.clone();
    if let Some(key) = view.resource_mut(&account.name, KEY, &id) {
        key.name = patch.name.unwrap_or_else(|| key.name.clone());
        if let Some(disabled) = patch.disabled {
            key.data["disabled"] = disabled.into();
        }
    }
    get_key(request, account, view)
}

pub(super) fn delete_key(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (id, now) = (find(request, account, view)?.id.clone(), view.now());
    if let Some(key) = view.resource_mut(&account.name, KEY, &id) {
        key.gone_at = Some(now);
    }
    Ok(Response::empty(204))
}

pub(super) fn api_key(request: &Request, account: &Account, _: &mut View<'_>) -> Answer {
    let access_key = if account.key == SANDBOX_KEY { SANDBOX_ACCESS_KEY } else { OTHER_ACCESS_KEY };
    if request.path[3] != access_key {
        return Err(not_found("api_key", &request.path[3]));
    }
    let made = "2026-01-01T00:00:00Z";
    ok(
        200,
        &json!({
            "access_key": access_key, "secret_key": null, "user_id": uuid_of(&["user", &account.name]),
            "description": account.name, "created_at": made, "updated_at": made, "expires_at": null,
            "default_project_id": project(account), "editable": true, "deletable": true, "managed": false,
            "creation_ip": "192.0.2.1",
        }),
    )
}

/// What a project that is not the key's own is answered with, whether or not there is one.
pub(super) fn forbidden(resource: &str) -> Response {
    let detail = json!({ "resource": resource, "action": "write" });
    error(403, "permissions_denied", "insufficient permissions", json!({ "details": [detail] }))
}

fn fingerprint(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let kind = words.next().filter(|kind| kind.contains('-'))?;
    let blob = STANDARD.decode(words.next()?).ok().filter(|blob| !blob.is_empty())?;
    let print: Vec<_> = Md5::digest(&blob).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("256 MD5:{} no comment ({kind})", print.join(":")))
}
