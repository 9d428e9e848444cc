//! Devices.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, href, includes, not_found, ok, page, refused, time};
use super::catalog::{self, CATALOG};
use super::keys::has_key;
use super::{in_project, project};
use crate::machine::{Change, Machine, MachineKind, State};
use crate::wire::{Request, Response};
use crate::world::{Account, Draft, View};

/// For so long the first password stands in a device's body.
const PASSWORD_HOURS: i64 = 24;

/// A device that can still be read. One that failed can, until it is deleted.
fn shows(device: &Machine, now: Timestamp) -> bool {
    match device.status_at(now) {
        State::Gone => false,
        State::Failed => device.extra["removed"] != true,
        _ => true,
    }
}

fn find<'v>(request: &Request, account: &Account, view: &'v View<'_>) -> Result<&'v Machine, Response> {
    let now = view.now();
    view.machine(&account.name, &request.path[3]).filter(|device| shows(device, now)).ok_or_else(not_found)
}

/// Letters, digits, dots and dashes: a host name, without underscores.
fn is_hostname(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn words(tags: Vec<String>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag, String::new())).collect()
}

#[derive(Deserialize)]
struct New {
    plan: Option<String>,
    operating_system: Option<String>,
    metro: Option<String>,
    hostname: Option<String>,
    tags: Option<Vec<String>>,
    userdata: Option<String>,
    billing_cycle: Option<String>,
    project_ssh_keys: Option<Vec<String>>,
    no_ssh_keys: Option<bool>,
    locked: Option<bool>,
    description: Option<String>,
}

pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    in_project(request, account)?;
    let new: New = request.json().map_err(|_| refused(&["The body is not valid"]))?;
    let plan = new.plan.as_deref().and_then(|slug| CATALOG.plan(slug)).filter(|plan| plan.available);
    let system = new.operating_system.as_deref().and_then(|slug| CATALOG.image(slug));
    let metro = match new.metro.as_deref() {
        Some("any") => CATALOG.regions.iter().find(|region| plan.is_some_and(|plan| plan.sold_in(region.id))),
        word => word.and_then(catalog::metro),
    };
    // Everything that is wrong is told at once.
    let faults: Vec<&str> = [
        (plan.is_none(), "Plan is invalid"),
        (system.is_none(), "Operating system is invalid"),
        (metro.is_none(), "Metro is invalid"),
        (new.hostname.as_deref().is_some_and(|name| !is_hostname(name)), "Hostname is invalid"),
        (
            new.billing_cycle
                .as_deref()
                .is_some_and(|cycle| !["hourly", "daily", "monthly", "yearly"].contains(&cycle)),
            "Billing cycle is invalid",
        ),
    ]
    .into_iter()
    .filter_map(|(wrong, text)| wrong.then_some(text))
    .collect();
    let (Some(plan), Some(system), Some(metro), []) = (plan, system, metro, faults.as_slice()) else {
        return Err(refused(&faults));
    };
    if !plan.sold_in(metro.id) {
        return Err(refused(&[&format!("The plan {} is not available in {}", plan.id, metro.id)]));
    }
    if !catalog::runs_on(system, plan) {
        return Err(refused(&[&format!("{} cannot be provisioned on {}", system.slug, plan.id)]));
    }
    if system.slug == "custom_ipxe" {
        return Err(refused(&["An iPXE script URL is required for this operating system"]));
    }
    let keys = new.project_ssh_keys.unwrap_or_default();
    if !keys.iter().all(|id| has_key(view, account, id)) {
        return Err(refused(&["Project SSH keys are invalid"]));
    }
    // Counting is only worth it where the limit can have been reached.
    let (limit, now) = (account.machine_limit as usize, view.now());
    let living = |view: &View<'_>| view.machines(&account.name).filter(|m| m.lives_at(now)).count();
    if view.machines_born() >= limit && living(view) >= limit {
        return Err(refused(&["The project has reached its quota of devices"]));
    }

    let id = view.uuid();
    let hostname = new.hostname.unwrap_or_else(|| format!("{}-01", plan.id.replace('.', "-")));
    let draft = Draft {
        id: id.clone(),
        name: hostname,
        plan: plan.id.to_owned(),
        region: metro.id.to_owned(),
        image: system.slug.to_owned(),
        kind: MachineKind::BareMetal,
        tags: words(new.tags.unwrap_or_default()),
        user_data: new.userdata.filter(|data| !data.is_empty()),
        ssh_keys: keys,
        extra: json!({
            "locked": new.locked.unwrap_or(false),
            "description": new.description.unwrap_or_default(),
            "billing_cycle": new.billing_cycle.unwrap_or_else(|| "hourly".to_owned()),
            "no_ssh_keys": new.no_ssh_keys.unwrap_or(false),
            "password": view.hex(10),
        }),
    };
    let made = render(request, account, view.create(&account.name, draft), now);
    ok(201, &made)
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    in_project(request, account)?;
    let now = view.now();
    let is = |key: &str, fits: &dyn Fn(&str) -> bool| request.query(key).is_none_or(fits);
    let wanted = view.machines(&account.name).filter(|device| {
        shows(device, now)
            && is("tag", &|tag| device.tags.contains_key(tag))
            && is("hostname", &|part| device.name.contains(part))
            && is("metro", &|metro| device.region == metro)
            && is("type", &|kind| kind == "ondemand")
            && is("search", &|word| device.name.contains(word) || device.tags.contains_key(word) || device.plan == word)
    });
    page(request, "devices", wanted, |device| render(request, account, device, now))
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &render(request, account, find(request, account, view)?, view.now()))
}

pub(super) fn update(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Changes {
        hostname: Option<String>,
        description: Option<String>,
        tags: Option<Vec<String>>,
        userdata: Option<String>,
        locked: Option<bool>,
    }
    let changes: Changes = request.json().map_err(|_| refused(&["The body is not valid"]))?;
    if changes.hostname.as_deref().is_some_and(|name| !is_hostname(name)) {
        return Err(refused(&["Hostname is invalid"]));
    }
    let id = find(request, account, view)?.id.clone();
    if let Some(device) = view.machine_mut(&account.name, &id) {
        device.name = changes.hostname.unwrap_or_else(|| device.name.clone());
        device.tags = changes.tags.map_or_else(|| device.tags.clone(), words);
        device.user_data = changes.userdata.or(device.user_data.take());
        if let Some(description) = changes.description {
            device.extra["description"] = description.into();
        }
        if let Some(locked) = changes.locked {
            device.extra["locked"] = locked.into();
        }
    }
    get(request, account, view)
}

/// (unsure) Nothing is deleted while it is being provisioned, nor while it is locked.
pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let device = find(request, account, view)?;
    let (id, state) = (device.id.clone(), device.status_at(view.now()));
    if device.extra["locked"] == true {
        return Err(refused(&["The device is locked"]));
    }
    match state {
        State::Queued | State::Building | State::Booting => {
            return Err(refused(&["Cannot delete a device while it is provisioning"]));
        }
        State::Failed => {
            if let Some(device) = view.machine_mut(&account.name, &id) {
                device.extra["removed"] = true.into();
            }
        }
        _ => {
            view.change(&account.name, &id, Change::Delete);
        }
    }
    Ok(Response::empty(204))
}

/// (unsure) What makes no sense in a state is refused.
pub(super) fn act(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Action {
        #[serde(rename = "type")]
        what: Option<String>,
    }
    let action: Action = request.json().map_err(|_| refused(&["The body is not valid"]))?;
    let device = find(request, account, view)?;
    let (id, state) = (device.id.clone(), device.status_at(view.now()));
    let change = match (action.what.as_deref(), state) {
        (Some("power_on"), State::Stopped) => Change::Start,
        (Some("power_off"), State::Running) => Change::Stop,
        (Some("reboot"), State::Running) => Change::Reboot,
        (Some("power_on" | "power_off" | "reboot"), _) => {
            return Err(refused(&["The device is not in a state that allows this"]));
        }
        (Some("rescue" | "reinstall"), _) => return Err(refused(&["The simulator can only switch devices"])),
        _ => return Err(refused(&["Type is not a valid action"])),
    };
    view.change(&account.name, &id, change);
    Ok(Response::empty(202))
}

pub(super) fn userdata(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let data = find(request, account, view)?.user_data.clone().unwrap_or_default();
    ok(200, &json!({ "userdata": data }))
}

pub(super) fn events(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    let device = find(request, account, view)?;
    page(request, "events", happened(device, now).into_iter(), |event| event)
}

/// What the vendor's word for a state is. A reboot has none of its own.
fn word(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Building | State::Booting => "provisioning",
        State::Running => "active",
        State::Stopping => "powering_off",
        State::Stopped => "inactive",
        State::Starting | State::Rebooting => "powering_on",
        State::Deleting => "deprovisioning",
        State::Gone => "deleted",
        State::Failed => "failed",
    }
}

/// The states that a device went through, as events.
fn happened(device: &Machine, now: Timestamp) -> Vec<Value> {
    let past = device.timeline.moments().iter().filter(|(at, _)| *at <= now).enumerate();
    past.map(|(number, (at, state))| {
        let what = match state {
            State::Queued => "provisioning.101",
            State::Building => "provisioning.104",
            State::Booting => "provisioning.108",
            State::Running => "provisioning.109",
            _ => "instance.state",
        };
        let text = format!("{} is {}", device.name, word(*state));
        json!({
            "id": format!("{}{number:02x}", &device.id[..device.id.len() - 2]),
            "type": what,
            "body": text,
            "interpolated": text,
            "state": "success",
            "created_at": time(*at),
            "relationships": [href(&format!("/devices/{}", device.id))],
        })
    })
    .collect()
}

/// Public IPv4 and IPv6 and private IPv4, from the moment that it is being worked on.
fn addresses(device: &Machine, state: State) -> Vec<Value> {
    if state == State::Queued {
        return Vec::new();
    }
    let address = |number: u8, family: u8, public: bool, text: String, cidr: u8| {
        let id = format!("{}{number:02x}", &device.id[..device.id.len() - 2]);
        json!({
            "id": id,
            "address": text,
            "address_family": family,
            "public": public,
            "cidr": cidr,
            "management": true,
            "manageable": true,
            "enabled": true,
            "global_ip": false,
            "created_at": time(device.born_at),
            "assigned_to": href(&format!("/devices/{}", device.id)),
            "href": format!("/metal/v1/ips/{id}"),
        })
    };
    vec![
        address(1, 4, true, device.ipv4.to_string(), 31),
        address(2, 6, true, device.ipv6.to_string(), 127),
        address(3, 4, false, device.private_ipv4.to_string(), 31),
    ]
}

/// A device; what it refers to is a link unless it is asked for.
fn render(request: &Request, account: &Account, device: &Machine, now: Timestamp) -> Value {
    let state = device.status_at(now);
    let path = |path: String| href(&path);
    let plan = CATALOG.plan(&device.plan).filter(|_| includes(request, "plan"));
    let system = CATALOG.image(&device.image).filter(|_| includes(request, "operating_system"));
    let metro = CATALOG.region(&device.region).filter(|_| includes(request, "metro"));
    let keys: Vec<Value> = device.ssh_keys.iter().map(|id| path(format!("/ssh-keys/{id}"))).collect();
    let mut body = json!({
        "id": device.id,
        "short_id": &device.id[..8],
        "hostname": device.name,
        "description": device.extra["description"],
        "tags": device.tags.keys().collect::<Vec<_>>(),
        "state": word(state),
        "billing_cycle": device.extra["billing_cycle"],
        "locked": device.extra["locked"],
        "user": "root",
        "iqn": format!("iqn.2026-01.net.packet:device.{}", &device.id[..8]),
        "bonding_mode": 4,
        "always_pxe": false,
        "ipxe_script_url": "",
        "image_url": "",
        "spot_instance": false,
        "customdata": {},
        "created_at": time(device.born_at),
        "updated_at": time(device.timeline.since(now)),
        "plan": plan.map_or_else(|| path(catalog::plan_path(&device.plan)), |plan| catalog::plan_body(plan, false)),
        "operating_system":
            system.map_or_else(|| path(catalog::system_path(&device.image)), catalog::system_body),
        "metro": metro.map_or_else(|| path(catalog::metro_path(&device.region)), catalog::metro_body),
        "project": path(format!("/projects/{}", project(account))),
        "project_lite": path(format!("/projects/{}", project(account))),
        "ssh_keys": keys,
        "ip_addresses": addresses(device, state),
        "provisioning_events": [],
        "href": format!("/metal/v1/devices/{}", device.id),
    });
    if let Some(data) = &device.user_data {
        body["userdata"] = data.as_str().into();
    }
    if matches!(state, State::Queued | State::Building | State::Booting) {
        body["provisioning_percentage"] = if state == State::Queued { 0 } else { 50 }.into();
    } else if now.duration_since(device.born_at).as_hours() < PASSWORD_HOURS {
        body["root_password"] = device.extra["password"].clone();
    }
    body
}
