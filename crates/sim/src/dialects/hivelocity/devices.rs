//! Devices in their three views: virtual servers, bare metal, and the state of all of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::answer::{Answer, bad_field, described, error, found, malformed, ok};
use super::catalog::{self, CATALOG};
use super::{account, orders};
use crate::catalog::Plan;
use crate::machine::{Change, Machine, MachineKind, State};
use crate::wire::{Request, Response};
use crate::world::{Account, Draft, View};

const PERIODS: [&str; 7] = ["hourly", "monthly", "quarterly", "semi-annually", "annually", "biennial", "triennial"];

/// The collection that the path names.
fn kind(request: &Request) -> MachineKind {
    if request.path[2] == "compute" { MachineKind::Virtual } else { MachineKind::BareMetal }
}

/// A device is in no answer before its order is done, and in none after its end.
fn is_shown(device: &Machine, now: Timestamp) -> bool {
    use State::*;
    matches!(device.status_at(now), Booting | Running | Stopping | Stopped | Starting | Rebooting | Deleting)
}

fn find<'v>(view: &'v View<'_>, account: &Account, id: &str) -> Option<&'v Machine> {
    view.machine(&account.name, id).filter(|device| is_shown(device, view.now()))
}

/// A device of the collection: what is somebody else's is "not allowed", what is nobody's is missing.
fn find_in<'v>(view: &'v View<'_>, account: &Account, request: &Request) -> Result<&'v Machine, Response> {
    let id = &request.path[3];
    if view.machine_born(id).is_some_and(|device| device.account != account.name) {
        return Err(error(401, "Access to Deployment not Allowed"));
    }
    found(find(view, account, id).filter(|device| device.kind == kind(request)), "Deployment")
}

// ---- Views

/// What was ordered, without what the device got since.
pub(super) fn as_ordered(device: &Machine) -> Value {
    let mut body = json!({
        "deviceId": device.id.parse::<u64>().unwrap_or_default(),
        "orderId": device.extra["orderId"],
        "serviceId": device.extra["serviceId"],
        "hostname": device.name,
        "locationName": device.region,
        "osName": device.image,
        "period": device.extra["period"],
        "productId": device.plan.parse::<u64>().unwrap_or_default(),
        "productName": CATALOG.plan(&device.plan).map(|plan| plan.name),
        "tags": tags(device),
    });
    // What is not set is left out: the description allows no null.
    if let Some(script) = &device.user_data {
        body["script"] = script.as_str().into();
    }
    if let Some(key) = device.ssh_keys.first().and_then(|key| key.parse::<u64>().ok()) {
        body["publicSshKeyId"] = key.into();
    }
    body
}

/// `BareMetalDevice`, which virtual servers are as well.
fn body(device: &Machine, now: Timestamp) -> Value {
    let mut body = as_ordered(device);
    body["primaryIp"] = device.ipv4.to_string().into();
    body["powerStatus"] = power(device.status_at(now)).into();
    body
}

fn tags(device: &Machine) -> Vec<&str> {
    device.tags.keys().map(String::as_str).collect()
}

/// ON and OFF are described; PENDING is what clients have seen while it changes.
fn power(state: State) -> &'static str {
    match state {
        State::Stopping | State::Starting | State::Rebooting => "PENDING",
        State::Stopped => "OFF",
        _ => "ON",
    }
}

/// `Device-dump`.
fn dump(device: &Machine, now: Timestamp) -> Value {
    let state = device.status_at(now);
    let ends = state == State::Deleting;
    let (sps, other_spelling) =
        if state == State::Booting { ("WAIT_FOR_HARDWARE_SCAN", "WaitForHardwareScan") } else { ("IN_USE", "InUse") };
    let mut body = json!({
        "deviceId": device.id.parse::<u64>().unwrap_or_default(),
        "name": device.name,
        "hostname": device.name,
        "status": "active",
        "deviceType": if device.kind == MachineKind::Virtual { "VPS" } else { "1U Server" },
        "deviceTypeGroup": "Servers",
        "powerStatus": power(state),
        "hasCancellation": ends,
        "billingStatus": "active",
        "isManaged": false,
        "isReload": false,
        "ipmiEnabled": device.kind == MachineKind::BareMetal,
        "selfProvisioning": true,
        "spsStatus": sps,
        "metadata": { "sps_status": other_spelling },
        "location": { "facility": device.region },
        "primaryIp": device.ipv4.to_string(),
        "tags": tags(device),
        "displayedTags": [],
        "ports": [],
        "serviceMonitors": [],
        "monitorsUp": 0,
        "monitorsTotal": 0,
        "managedAlertsTotal": 0,
        "servicePlan": device.extra["serviceId"],
        "clientId": device.account.len(),
    });
    if let (true, Some(end)) = (ends, device.gone_at()) {
        body["billingCancelDate"] = end.as_second().into();
    }
    body
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (now, kind) = (view.now(), kind(request));
    let mine = view.machines(&account.name).filter(|device| device.kind == kind && is_shown(device, now));
    ok(200, &mine.map(|device| body(device, now)).collect::<Vec<_>>())
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &body(find_in(view, account, request)?, view.now()))
}

pub(super) fn list_dumps(_: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    let mine = view.machines(&account.name).filter(|device| is_shown(device, now));
    ok(200, &mine.map(|device| dump(device, now)).collect::<Vec<_>>())
}

/// (unsure) How a missing device is answered here is not described.
pub(super) fn get_dump(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &dump(found(find(view, account, &request.path[3]), "Device")?, view.now()))
}

// ---- Orders

/// An order of one device that is in order.
struct Wanted {
    plan: &'static Plan,
    region: &'static str,
    image: &'static str,
    hostname: String,
    period: String,
    tags: Vec<String>,
    script: Option<String>,
    key: Option<u64>,
}

fn check(asked: &Value, kind: MachineKind, account: &Account, view: &View<'_>) -> Result<Wanted, Response> {
    let Value::Object(asked) = asked else { return Err(error(400, "Invalid device parameters.")) };
    let mut complaints: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (field, is_number) in [("productId", true), ("locationName", false), ("osName", false), ("hostname", false)] {
        match asked.get(field) {
            None | Some(Value::Null) => complaints.entry(field).or_default().push("Missing data for required field."),
            Some(value) if is_number && !value.is_u64() => {
                complaints.entry(field).or_default().push("Not a valid integer.");
            }
            Some(value) if !is_number && !value.is_string() => {
                complaints.entry(field).or_default().push("Not a valid string.");
            }
            Some(_) => {}
        }
    }
    if !complaints.is_empty() {
        return Err(malformed(complaints));
    }
    let text = |field: &str| asked.get(field).and_then(Value::as_str).unwrap_or_default();
    let plan = asked["productId"].as_u64().and_then(|id| CATALOG.plan(&id.to_string()));
    let plan = plan.filter(|plan| plan.kind == kind).ok_or_else(|| error(400, "Invalid product."))?;
    let region = CATALOG.region(text("locationName")).filter(|region| catalog::is_listed(plan, region.id));
    let region = region.ok_or_else(|| bad_field("locationName", "Product is not sold in this location."))?;
    if !plan.available {
        return Err(error(400, "Invalid device parameters."));
    }
    let fits = |image: &&crate::catalog::Image| image.name == text("osName") && catalog::is_image_of(image, kind);
    let image = CATALOG.images.iter().find(fits);
    let image = image.ok_or_else(|| described(400, "Operating system is not an option of this product."))?;
    if !is_full_name(text("hostname")) {
        return Err(bad_field("hostname", "Not a valid FQDN."));
    }
    let period = asked.get("period").and_then(Value::as_str).unwrap_or("hourly");
    if !PERIODS.contains(&period) || catalog::disabled_periods(plan).contains(&period) {
        return Err(bad_field("period", "Billing period is not available for this product."));
    }
    let key = asked.get("publicSshKeyId").and_then(Value::as_u64);
    if key.is_some_and(|key| !account::has_key(view, account, key)) {
        return Err(bad_field("publicSshKeyId", "Public ssh key not found."));
    }
    let words = asked.get("tags").and_then(Value::as_array).into_iter().flatten();
    Ok(Wanted {
        plan,
        region: region.id,
        image: image.name,
        hostname: text("hostname").to_owned(),
        period: period.to_owned(),
        tags: words.filter_map(Value::as_str).map(str::to_owned).collect(),
        script: asked.get("script").and_then(Value::as_str).map(str::to_owned),
        key,
    })
}

/// At least two labels of at most 63 letters, digits and inner dashes, 253 in all.
fn is_full_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(label)
}

/// Takes an order; its devices are born with it but shown only when it is done.
fn place(view: &mut View<'_>, account: &Account, wanted: Vec<Wanted>) -> Vec<Value> {
    let order = orders::next(view);
    let (mut ids, mut bodies) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let id = (41_000_000 + view.number()).to_string();
        let service = 70_000_000 + view.number();
        let draft = Draft {
            id: id.clone(),
            name: wanted.hostname,
            plan: wanted.plan.id.to_owned(),
            region: wanted.region.to_owned(),
            image: wanted.image.to_owned(),
            kind: wanted.plan.kind,
            tags: wanted.tags.into_iter().map(|tag| (tag, String::new())).collect(),
            user_data: wanted.script,
            ssh_keys: wanted.key.iter().map(u64::to_string).collect(),
            extra: json!({ "orderId": order, "serviceId": service, "period": wanted.period }),
        };
        bodies.push(as_ordered(view.create(&account.name, draft)));
        ids.push(id);
    }
    orders::record(view, account, order, &ids);
    bodies
}

pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let asked: Value = request.json().map_err(|_| error(400, "Invalid device parameters."))?;
    let wanted = check(&asked, kind(request), account, view)?;
    ok(200, &place(view, account, vec![wanted])[0])
}

pub(super) fn create_batch(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let asked: Value = request.json().map_err(|_| error(400, "Invalid device parameters."))?;
    let devices = asked["devices"].as_array().filter(|devices| !devices.is_empty());
    let devices = devices.ok_or_else(|| error(400, "Invalid device parameters."))?;
    let wanted = devices.iter().map(|device| check(device, kind(request), account, view));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let group = asked["orderGroupId"].as_u64().unwrap_or_else(|| 300 + view.number());
    ok(200, &json!({ "orderGroupId": group, "devices": place(view, account, wanted) }))
}

/// A cancellation: it ends a virtual server at once, and takes its time with a whole machine.
pub(super) fn cancel(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (id, now) = (&request.path[3], view.now());
    if find_in(view, account, request)?.status_at(now) == State::Deleting {
        return Err(error(409, "Device Already Being Cancelled."));
    }
    view.change(&account.name, id, Change::Delete);
    let is_gone = find(view, account, id).is_none();
    Ok(Response::empty(if is_gone { 204 } else { 201 }))
}

// ---- Power and tags

pub(super) fn get_power(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let device = found(find(view, account, &request.path[3]), "Device")?;
    ok(200, &json!({ "powerStatus": power(device.status_at(view.now())) }))
}

pub(super) fn set_power(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let id = &request.path[3];
    let state = found(find(view, account, id), "Device")?.status_at(view.now());
    // (unsure) The sentence is the vendor's; the status is not known.
    let change = match (request.query("action"), state) {
        (Some("boot"), State::Stopped) => Change::Start,
        (Some("reboot"), State::Running) => Change::Reboot,
        (Some("shutdown"), State::Running) => Change::Stop,
        (Some("reboot" | "shutdown"), State::Stopped) => {
            return Err(error(400, "Can't do this while server is powered off."));
        }
        (Some("boot"), State::Running) => return Err(error(400, "Can't do this while server is powered on.")),
        (Some("boot" | "reboot" | "shutdown"), _) => return Err(error(400, "Device is busy.")),
        _ => return Err(bad_field("action", "Must be one of: boot, reboot, shutdown.")),
    };
    view.change(&account.name, id, change);
    ok(202, &json!({ "powerStatus": "PENDING" }))
}

pub(super) fn get_tags(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(200, &json!({ "tags": tags(found(find(view, account, &request.path[3]), "Device")?) }))
}

/// Replaces all tags.
pub(super) fn set_tags(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let asked: Map<String, Value> = request.json().map_err(|_| error(400, "Bad request."))?;
    let words = asked.get("tags").and_then(Value::as_array).ok_or_else(|| error(400, "Bad request."))?;
    found(find(view, account, &request.path[3]), "Device")?;
    let device = found(view.machine_mut(&account.name, &request.path[3]), "Device")?;
    device.tags = words.iter().filter_map(Value::as_str).map(|word| (word.to_owned(), String::new())).collect();
    ok(200, &json!({ "tags": tags(device) }))
}
