//! Block volumes. Those that came with a server stay when it goes, and cost until they are deleted.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, bad_argument, counted_page, not_found, ok, precondition};
use super::project;
use crate::machine::later;
use crate::wire::{Request, Response};
use crate::world::{Account, Resource, View};

const VOLUME: &str = "volume";
/// So long a volume counts as in use after the end of its server.
const DETACHING_MS: u64 = 2_000;

/// Makes the volume of a server that is just being made; its id.
pub(super) fn born(view: &mut View<'_>, account: &Account, zone: &str, server: &str, name: &str, size: u64) -> String {
    let id = view.uuid();
    let data = json!({ "size": size, "server": server });
    let mut volume = Resource::new(&account.name, id.clone(), name, view.now(), data);
    volume.region = Some(zone.to_owned());
    volume.billed = true;
    view.put_resource(VOLUME, volume);
    id
}

/// Whether it hangs on a server that is there, or was a moment ago.
fn is_used(volume: &Resource, view: &View<'_>) -> bool {
    let server = volume.data["server"].as_str().and_then(|id| view.machine_born(id));
    server.is_some_and(|server| server.gone_at().is_none_or(|gone| view.now() < later(gone, DETACHING_MS)))
}

fn body(volume: &Resource, used: bool, project: &str) -> Value {
    let time = |at: Timestamp| at.to_string();
    let reference = json!({
        "id": volume.id, "product_resource_type": "instance_server", "product_resource_id": volume.data["server"],
        "created_at": time(volume.born_at), "type": "exclusive", "status": "attached",
    });
    json!({
        "id": volume.id,
        "name": volume.name,
        "type": "sbs_5k",
        "size": volume.data["size"],
        "project_id": project,
        "created_at": time(volume.born_at),
        "updated_at": time(volume.born_at),
        "references": if used { vec![reference] } else { vec![] },
        "status": if used { "in_use" } else { "available" },
        "tags": volume.tags.keys().collect::<Vec<_>>(),
        "zone": volume.region,
        "specs": { "perf_iops": 5000, "class": "sbs" },
    })
}

/// A filter by several tags finds what carries all of them.
pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let view = &*view;
    let project = project(account);
    let zone = Some(request.path[3].as_str());
    let tags: Vec<_> = request.query.iter().filter(|(key, _)| key == "tags").map(|(_, tag)| tag).collect();
    let wanted = view.resources(&account.name, VOLUME).filter(|volume| {
        volume.region.as_deref() == zone
            && tags.iter().all(|tag| volume.tags.contains_key(*tag))
            && request.query("project_id").is_none_or(|asked| asked == project)
            && request.query("name").is_none_or(|name| volume.name.contains(name))
            && request
                .query("product_resource_id")
                .is_none_or(|id| volume.data["server"] == id && is_used(volume, view))
    });
    counted_page(request, "volumes", wanted, |volume| body(volume, is_used(volume, view), project))
}

fn find<'v>(request: &Request, account: &Account, view: &'v View<'_>) -> Result<&'v Resource, Response> {
    let (zone, id) = (&request.path[3], &request.path[5]);
    let found = view.resource(&account.name, VOLUME, id).filter(|volume| volume.region.as_ref() == Some(zone));
    found.ok_or_else(|| not_found("volume", id))
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let volume = find(request, account, view)?;
    ok(200, &body(volume, is_used(volume, view), project(account)))
}

pub(super) fn update(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Patch {
        name: Option<String>,
        tags: Option<Vec<String>>,
    }
    let patch: Patch = request.json().map_err(|_| bad_argument("body", "format", "not the JSON that is wanted"))?;
    let id = find(request, account, view)?.id.clone();
    if let Some(volume) = view.resource_mut(&account.name, VOLUME, &id) {
        volume.name = patch.name.unwrap_or_else(|| volume.name.clone());
        if let Some(tags) = patch.tags {
            volume.tags = tags.into_iter().map(|tag| (tag, String::new())).collect();
        }
    }
    get(request, account, view)
}

pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let volume = find(request, account, view)?;
    if is_used(volume, view) {
        return Err(precondition("resource_still_in_use", "detach the volume first"));
    }
    let (id, now) = (volume.id.clone(), view.now());
    if let Some(volume) = view.resource_mut(&account.name, VOLUME, &id) {
        volume.gone_at = Some(now);
    }
    Ok(Response::empty(204))
}
