//! Servers and their user-data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, bad_argument, error, ok, page, precondition, time, unknown_resource, uuid_of};
use super::catalog::{self, CATALOG};
use super::{block, iam, power, project};
use crate::machine::{Machine, MachineKind, State, Timeline};
use crate::wire::{Request, Response};
use crate::world::{Account, Draft, View};

/// (unsure) The limit is in no source.
const USER_DATA_LIMIT: usize = 64 << 10;
/// The root volume where none is asked for.
const ROOT: u64 = 10_000_000_000;

/// What the world keeps of a server beside what every server has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) protected: bool,
    /// Whether it was stopped without giving up its slot.
    pub(super) in_place: bool,
    /// Whether it was ever started.
    pub(super) booted: bool,
    /// Whether its start is to fail.
    pub(super) stillborn: bool,
    /// By key.
    pub(super) user_data: BTreeMap<String, String>,
    dynamic_ip: bool,
    /// Block volumes by slot.
    volumes: BTreeMap<String, String>,
}

fn kept(server: &Machine) -> Kept {
    Kept::deserialize(&server.extra).expect("only `create` makes servers")
}

/// Writes down what is kept of a server.
pub(super) fn keep(view: &mut View<'_>, account: &Account, id: &str, kept: &Kept) {
    if let Some(server) = view.machine_mut(&account.name, id) {
        server.extra = serde_json::to_value(kept).expect("it has string keys");
    }
}

fn is_there(server: &Machine, zone: &str, view: &View<'_>) -> bool {
    server.region == zone && !server.status_at(view.now()).is_over()
}

/// The server that a path names.
pub(super) fn find<'v>(
    request: &Request,
    account: &Account,
    view: &'v View<'_>,
) -> Result<(&'v Machine, Kept), Response> {
    let (zone, id) = (&request.path[3], &request.path[5]);
    let server = view.machine(&account.name, id).filter(|server| is_there(server, zone, view));
    server.map(|server| (server, kept(server))).ok_or_else(|| unknown_resource("instance_server", id))
}

#[derive(Deserialize)]
struct New {
    name: Option<String>,
    commercial_type: Option<String>,
    image: Option<String>,
    project: Option<String>,
    organization: Option<String>,
    tags: Option<Vec<String>>,
    dynamic_ip_required: Option<bool>,
    protected: Option<bool>,
    volumes: Option<BTreeMap<String, NewVolume>>,
}

#[derive(Deserialize)]
struct NewVolume {
    name: Option<String>,
    size: Option<u64>,
    volume_type: Option<String>,
}

/// Makes a server that lies there stopped.
pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let new: New = request.json().map_err(|_| bad_argument("body", "format", "not the JSON that is wanted"))?;
    let zone = CATALOG.region(&request.path[3]).ok_or_else(|| unknown_resource("zone", &request.path[3]))?.id;
    let name = new.name.filter(|name| !name.is_empty()).ok_or_else(|| bad_argument("name", "required", ""))?;
    let kind = new.commercial_type.ok_or_else(|| bad_argument("commercial_type", "required", ""))?;
    let plan = CATALOG.plan(&kind).filter(|plan| plan.sold_in(zone));
    let plan = plan.ok_or_else(|| bad_argument("commercial_type", "constraint", "no such type in this zone"))?;
    if new.project.is_some() && new.organization.is_some() {
        return Err(bad_argument("project", "constraint", "only one of project and organization may be given"));
    }
    if new.project.or(new.organization).is_some_and(|asked| asked != project(account)) {
        return Err(iam::forbidden("compute_servers"));
    }
    let image = new.image.ok_or_else(|| bad_argument("image", "required", ""))?;
    let build = catalog::build(&image, zone, catalog::arch(plan))?;
    let volumes = volumes(new.volumes.unwrap_or_default())?;
    let limit = account.machine_limit as usize;
    let now = view.now();
    let count = |view: &View<'_>| view.machines(&account.name).filter(|s| !s.status_at(now).is_over()).count();
    // Counting is only worth it where the limit can have been reached.
    if view.machines_born() >= limit && count(view) >= limit {
        let detail = json!({ "resource": "instance_server", "quota": limit, "current": limit });
        return Err(error(403, "quotas_exceeded", "quota exceeded", json!({ "details": [detail] })));
    }

    let id = view.uuid();
    let mut kept = Kept {
        protected: new.protected.unwrap_or(false),
        dynamic_ip: new.dynamic_ip_required.unwrap_or(true),
        ..Kept::default()
    };
    for (slot, volume) in volumes {
        let label = volume.name.unwrap_or_else(|| build.image.name.to_owned());
        let volume = block::born(view, account, zone, &id, &label, volume.size.unwrap_or(ROOT));
        kept.volumes.insert(slot, volume);
    }
    let keys: Vec<String> = view.resources(&account.name, "ssh_key").map(|key| key.id.clone()).collect();
    let draft = Draft {
        id: id.clone(),
        name,
        plan: plan.id.to_owned(),
        region: zone.to_owned(),
        image: build.image.slug.to_owned(),
        kind: MachineKind::Virtual,
        tags: new.tags.unwrap_or_default().into_iter().map(|tag| (tag, String::new())).collect(),
        user_data: None,
        ssh_keys: keys,
        extra: Value::Null,
    };
    let server = view.create(&account.name, draft);
    kept.stillborn = server.timeline.first(State::Failed).is_some();
    server.timeline = Timeline::new(now, State::Stopped);
    server.extra = serde_json::to_value(&kept).expect("it has string keys");
    let body = json!({ "server": render(server, now, project(account)) });
    Ok(Response::json(201, &body).with_header("location", format!("{}{}/{id}", request.base, request.raw_path)))
}

/// The volumes that are made: what is asked for, and a root if there is none. Local ones are not modelled apart.
fn volumes(asked: BTreeMap<String, NewVolume>) -> Result<BTreeMap<String, NewVolume>, Response> {
    let mut made = BTreeMap::new();
    let has_root = asked.contains_key("0");
    for (slot, volume) in asked {
        if slot.parse::<u8>().is_err() {
            return Err(bad_argument("volumes", "format", "the keys are numbers"));
        }
        if volume.size.is_some_and(|size| size == 0 || size % 512 != 0) {
            return Err(bad_argument("size", "constraint", "must be a multiple of 512"));
        }
        match volume.volume_type.as_deref().unwrap_or("l_ssd") {
            "sbs_volume" => drop(made.insert(slot, volume)),
            "l_ssd" | "scratch" => {}
            "b_ssd" | "unified" => return Err(bad_argument("volume_type", "constraint", "no longer to be had")),
            _ => return Err(bad_argument("volume_type", "constraint", "no such type of volume")),
        }
    }
    if !has_root {
        made.insert("0".to_owned(), NewVolume { name: None, size: None, volume_type: None });
    }
    Ok(made)
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let view = &*view;
    let (zone, now, project) = (&request.path[3], view.now(), project(account));
    let (name, state, kind) = (request.query("name"), request.query("state"), request.query("commercial_type"));
    let tags: Vec<&str> = request.query("tags").map(|tags| tags.split(',').collect()).unwrap_or_default();
    let owners = [request.query("project"), request.query("organization")];
    if owners.iter().flatten().any(|asked| *asked != project) {
        return Err(iam::forbidden("compute_servers"));
    }
    let mut wanted: Vec<&Machine> = view
        .machines(&account.name)
        .filter(|server| is_there(server, zone, view))
        .filter(|server| name.is_none_or(|part| server.name.contains(part)))
        .filter(|server| tags.iter().all(|tag| server.tags.contains_key(*tag)))
        .filter(|server| kind.is_none_or(|kind| server.plan == kind))
        .filter(|server| state.is_none_or(|state| word(server, now) == state))
        .collect();
    match request.query("order") {
        None | Some("creation_date_desc" | "modification_date_desc") => wanted.reverse(),
        Some("creation_date_asc" | "modification_date_asc") => {}
        Some(_) => return Err(bad_argument("order", "constraint", "no such order")),
    }
    page(request, "servers", wanted.into_iter(), |server| render(server, now, project))
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (server, _) = find(request, account, view)?;
    ok(200, &json!({ "server": render(server, view.now(), project(account)) }))
}

pub(super) fn update(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Patch {
        name: Option<String>,
        tags: Option<Vec<String>>,
        protected: Option<bool>,
    }
    let patch: Patch = request.json().map_err(|_| bad_argument("body", "format", "not the JSON that is wanted"))?;
    let (server, mut kept) = find(request, account, view)?;
    let id = server.id.clone();
    kept.protected = patch.protected.unwrap_or(kept.protected);
    keep(view, account, &id, &kept);
    if let Some(server) = view.machine_mut(&account.name, &id) {
        server.name = patch.name.unwrap_or_else(|| server.name.clone());
        if let Some(tags) = patch.tags {
            server.tags = tags.into_iter().map(|tag| (tag, String::new())).collect();
        }
    }
    get(request, account, view)
}

/// Only of a stopped server, protected or not. Its block volumes stay.
pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (server, kept) = find(request, account, view)?;
    if server.status_at(view.now()) != State::Stopped || kept.in_place {
        return Err(precondition("instance_not_stopped", "the server must be stopped"));
    }
    let (id, now) = (server.id.clone(), view.now());
    if let Some(server) = view.machine_mut(&account.name, &id) {
        server.timeline.then(now, State::Gone);
    }
    Ok(Response::empty(204))
}

pub(super) fn list_user_data(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (_, kept) = find(request, account, view)?;
    ok(200, &json!({ "user_data": kept.user_data.keys().collect::<Vec<_>>() }))
}

/// What is not there is a 404 with nothing in it.
pub(super) fn get_user_data(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (_, kept) = find(request, account, view)?;
    match kept.user_data.get(&request.path[7]) {
        Some(text) => Ok(Response::text(200, "text/plain", text.clone())),
        None => Err(Response::text(404, "text/plain", "")),
    }
}

pub(super) fn set_user_data(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (server, mut kept) = find(request, account, view)?;
    let id = server.id.clone();
    if request.body.len() > USER_DATA_LIMIT {
        return Err(bad_argument("content", "constraint", "too long"));
    }
    let text = String::from_utf8(request.body.to_vec()).map_err(|_| bad_argument("content", "format", "not text"))?;
    kept.user_data.insert(request.path[7].clone(), text);
    keep(view, account, &id, &kept);
    Ok(Response::empty(204))
}

pub(super) fn delete_user_data(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (server, mut kept) = find(request, account, view)?;
    let id = server.id.clone();
    if kept.user_data.remove(&request.path[7]).is_none() {
        return Err(Response::text(404, "text/plain", ""));
    }
    keep(view, account, &id, &kept);
    Ok(Response::empty(204))
}

/// State and detail. What has not begun is `stopped`; a reboot looks like a stop.
pub(super) fn words(state: State) -> (&'static str, &'static str) {
    match state {
        State::Stopped | State::Queued | State::Building | State::Booting => ("stopped", ""),
        State::Starting => ("starting", "provisioning node"),
        State::Running => ("running", "booted"),
        State::Stopping => ("stopping", "stopping"),
        State::Rebooting => ("stopping", "booted"),
        State::Deleting => ("stopping", "terminating"),
        State::Gone | State::Failed => ("locked", ""),
    }
}

fn word(server: &Machine, now: jiff::Timestamp) -> &'static str {
    match words(server.status_at(now)).0 {
        "stopped" if kept(server).in_place => "stopped in place",
        word => word,
    }
}

fn render(server: &Machine, now: jiff::Timestamp, project: &str) -> Value {
    let kept = kept(server);
    let state = server.status_at(now);
    let fresh = now.duration_since(server.timeline.since(now)).as_secs() < 5;
    let detail = match (state, fresh) {
        (State::Starting, true) => "allocating node",
        (State::Running, true) => "booting kernel",
        _ => words(state).1,
    };
    let plan = CATALOG.plan(&server.plan);
    let arch = plan.map_or("x86_64", catalog::arch);
    let build = catalog::build(&server.image, &server.region, arch).ok();
    // A dynamic address is there while the server is on, and lost when it is off.
    let has_ip = kept.dynamic_ip && !matches!(state, State::Stopped);
    let ip = has_ip.then(|| {
        json!({
            "id": uuid_of(&["ip", &server.id]), "address": server.ipv4, "gateway": "62.210.0.1", "netmask": "32",
            "family": "inet", "dynamic": true, "provisioning_mode": "dhcp", "tags": [], "state": "attached",
            "ipam_id": uuid_of(&["ipam", &server.id]),
        })
    });
    let volumes: BTreeMap<_, _> = kept.volumes.iter().map(|(slot, id)| (slot, volume(id, &server.region))).collect();
    let mut body = json!({
        "id": server.id,
        "name": server.name,
        "organization": project,
        "project": project,
        "allowed_actions": power::allowed(state, kept.in_place),
        "tags": server.tags.keys().collect::<Vec<_>>(),
        "commercial_type": server.plan,
        "creation_date": time(server.born_at),
        "modification_date": time(server.timeline.since(now)),
        "dynamic_ip_required": kept.dynamic_ip,
        "routed_ip_enabled": true,
        "enable_ipv6": false,
        "hostname": server.name,
        "protected": kept.protected,
        "private_ip": null,
        "public_ips": ip.iter().collect::<Vec<_>>(),
        "mac_address": format!("de:00:00:{:02x}:{:02x}:{:02x}", server.ipv4.octets()[1], server.ipv4.octets()[2], server.ipv4.octets()[3]),
        "state": word(server, now),
        "state_detail": detail,
        "boot_type": "local",
        "volumes": volumes,
        "security_group": { "id": uuid_of(&["security group", project]), "name": "Default security group" },
        "maintenances": [],
        "arch": arch,
        "private_nics": [],
        "zone": server.region,
        "filesystems": [],
        "end_of_service": false,
    });
    if let (Some(build), Value::Object(body)) = (build, &mut body) {
        body.insert("image".to_owned(), image(&build));
    }
    if let (Some(ip), Value::Object(body)) = (ip, &mut body) {
        body.insert("public_ip".to_owned(), ip);
    }
    body
}

/// Of a block volume the older API knows no more than this.
fn volume(id: &str, zone: &str) -> Value {
    json!({ "id": id, "volume_type": "sbs_volume", "state": "available", "boot": false, "zone": zone })
}

fn image(build: &catalog::Build) -> Value {
    let made = "2026-07-03T09:05:37.216142+00:00";
    json!({
        "id": build.id(),
        "name": build.image.name,
        "arch": build.arch,
        "creation_date": made,
        "modification_date": made,
        "extra_volumes": {},
        "from_server": "",
        "organization": uuid_of(&["marketplace"]),
        "project": uuid_of(&["marketplace"]),
        "public": true,
        "root_volume": {
            "id": uuid_of(&["snapshot", &build.id()]), "name": "", "size": 0, "volume_type": "sbs_snapshot",
        },
        "state": "available",
        "tags": [],
        "zone": build.zone,
    })
}
