//! Tags: words on droplets, which also exist on their own.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, bad_request, found, invalid, ok, page};
use super::droplets;
use crate::wire::{Request, Response};
use crate::world::{Account, Resource, View};

const TAG: &str = "tag";

/// Letters, digits, `_`, `-` and `:`, at most 255.
pub(super) fn is_tag(tag: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b':');
    !tag.is_empty() && tag.len() <= 255 && tag.bytes().all(fits)
}

/// Makes a tag that is not there yet. It stays when the last droplet that carries it is gone, until it is deleted.
pub(super) fn keep(view: &mut View<'_>, account: &Account, name: &str) {
    let id = id(account, name);
    if view.resource(&account.name, TAG, &id).is_none() {
        view.put_resource(TAG, Resource::new(&account.name, id, name, view.now(), json!({})));
    }
}

/// Upper and lower case make no difference.
fn id(account: &Account, name: &str) -> String {
    format!("{}/{}", account.name, name.to_lowercase())
}

fn all(view: &View<'_>, account: &Account) -> BTreeSet<String> {
    view.resources(&account.name, TAG).map(|tag| tag.name.clone()).collect()
}

fn body(request: &Request, view: &View<'_>, account: &Account, name: &str) -> Value {
    let now = view.now();
    let carriers = view.machines(&account.name).filter(|droplet| {
        !droplet.status_at(now).is_over() && droplet.tags.keys().any(|tag| tag.eq_ignore_ascii_case(name))
    });
    let (count, last) = carriers.fold((0, None), |(count, _), droplet| (count + 1, Some(&droplet.id)));
    let mut droplets = json!({ "count": count });
    if let Some(id) = last {
        droplets["last_tagged_uri"] = format!("{}/v2/droplets/{id}", request.base).into();
    }
    let mut resources = droplets.clone();
    resources["droplets"] = droplets;
    for kind in ["images", "volumes", "volume_snapshots", "databases"] {
        resources[kind] = json!({ "count": 0 });
    }
    json!({ "name": name, "resources": resources })
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let view = &*view;
    page(request, "tags", all(view, account).into_iter(), |name| body(request, view, account, &name))
}

fn existing(request: &Request, account: &Account, view: &View<'_>) -> Result<String, Response> {
    found(all(view, account).into_iter().find(|tag| tag.eq_ignore_ascii_case(&request.path[2])))
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let name = existing(request, account, view)?;
    ok(200, &json!({ "tag": body(request, view, account, &name) }))
}

/// Making one that is there already gives the one that is there.
pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        name: Option<String>,
    }
    let asked: Body = request.json().map_err(|_| bad_request("The request body could not be parsed."))?;
    let name = asked.name.filter(|name| is_tag(name)).ok_or_else(|| invalid("Tag name is invalid."))?;
    keep(view, account, &name);
    ok(201, &json!({ "tag": body(request, view, account, &name) }))
}

pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let name = existing(request, account, view)?;
    let now = view.now();
    let carriers: Vec<String> = view.machines(&account.name).map(|droplet| droplet.id.clone()).collect();
    for id in carriers {
        if view.machine(&account.name, &id).is_some_and(|droplet| droplet.tags.contains_key(&name))
            && let Some(droplet) = view.machine_mut(&account.name, &id)
        {
            droplet.tags.remove(&name);
        }
    }
    if let Some(tag) = view.resource_mut(&account.name, TAG, &id(account, &name)) {
        tag.gone_at = Some(now);
    }
    Ok(Response::empty(204))
}

pub(super) fn attach(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let name = existing(request, account, view)?;
    for id in droplets_named(request, account, view)? {
        if let Some(droplet) = view.machine_mut(&account.name, &id) {
            droplet.tags.insert(name.clone(), String::new());
        }
    }
    Ok(Response::empty(204))
}

pub(super) fn detach(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let name = existing(request, account, view)?;
    for id in droplets_named(request, account, view)? {
        if let Some(droplet) = view.machine_mut(&account.name, &id) {
            droplet.tags.remove(&name);
        }
    }
    Ok(Response::empty(204))
}

/// The droplets that the body names; all of them have to be there, and nothing else has tags here.
fn droplets_named(request: &Request, account: &Account, view: &View<'_>) -> Result<Vec<String>, Response> {
    #[derive(Deserialize)]
    struct Body {
        resources: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        resource_id: String,
        resource_type: String,
    }
    let asked: Body = request.json().map_err(|_| bad_request("The request body could not be parsed."))?;
    let one = |named: Named| {
        let droplet = (named.resource_type == "droplet").then(|| droplets::find(view, account, &named.resource_id));
        found(droplet.flatten()).map(|droplet| droplet.id.clone())
    };
    asked.resources.into_iter().map(one).collect()
}
