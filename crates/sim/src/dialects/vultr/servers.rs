//! Instances and bare metal: two resources with the same verbs, each blind to the other.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::Offset;
use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::has_key;
use super::answer::{Answer, bad_request, error, not_found, one, page};
use super::catalog::{CATALOG, cores, disk_each};
use crate::machine::{Change, Machine, MachineKind, State};
use crate::wire::{Request, Response};
use crate::world::{Account, Draft, View};

/// ISO 8601 with a numeric offset and whole seconds, as in `2020-10-10T01:56:20+00:00`.
pub(super) fn time(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).display_with_offset(Offset::UTC).to_string()
}

/// Which of the two resources is asked.
fn kind(request: &Request) -> MachineKind {
    if request.path[1] == "bare-metals" { MachineKind::BareMetal } else { MachineKind::Virtual }
}

/// What one is called in an answer. (The description says `baremetal` for a new one, its example and clients do not.)
fn name(kind: MachineKind) -> &'static str {
    if kind == MachineKind::BareMetal { "bare_metal" } else { "instance" }
}

fn missing(kind: MachineKind) -> Response {
    not_found(if kind == MachineKind::BareMetal { "Invalid bare metal ID." } else { "Invalid instance ID." })
}

/// A server of the kind asked for that can still be read: what is being removed can, for some seconds.
fn find<'v>(request: &Request, id: &str, account: &Account, view: &'v View<'_>) -> Result<&'v Machine, Response> {
    let (kind, now) = (kind(request), view.now());
    let found = view.machine(&account.name, id);
    found.filter(|m| m.kind == kind && !m.status_at(now).is_over()).ok_or_else(|| missing(kind))
}

/// A number; apache-libcloud sends it as text, and nobody ever complained.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct Create {
    region: Option<String>,
    plan: Option<String>,
    os_id: Option<Number>,
    image_id: Option<String>,
    app_id: Option<u64>,
    snapshot_id: Option<String>,
    iso_id: Option<String>,
    label: Option<String>,
    hostname: Option<String>,
    tags: Option<Vec<String>>,
    /// Deprecated: one tag alone.
    tag: Option<String>,
    sshkey_id: Option<Vec<String>>,
    user_data: Option<String>,
    enable_ipv6: Option<bool>,
    /// Checked for their type alone.
    #[serde(rename = "activation_email")]
    _activation_email: Option<bool>,
    #[serde(rename = "backups")]
    _backups: Option<String>,
}

pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let kind = kind(request);
    let body: Create = request.json().map_err(|_| bad_request("Invalid JSON body."))?;
    let region = body.region.as_deref().and_then(|id| CATALOG.region(id));
    let region = region.ok_or_else(|| bad_request("Invalid region."))?;
    let plan = body.plan.as_deref().and_then(|id| CATALOG.plan(id)).filter(|plan| plan.kind == kind);
    let plan = plan.ok_or_else(|| bad_request("Invalid plan."))?;
    if !plan.sold_in(region.id) {
        return Err(bad_request("The selected plan is not available in this region."));
    }
    let others = [body.image_id.is_some(), body.app_id.is_some(), body.snapshot_id.is_some(), body.iso_id.is_some()];
    let system = match (body.os_id, others.contains(&true)) {
        (Some(Number::Number(id)), false) => CATALOG.image(&id.to_string()),
        (Some(Number::Text(id)), false) => CATALOG.image(&id),
        (None, true) => return Err(bad_request("The simulator installs operating systems by os_id alone.")),
        (None, false) => return Err(bad_request("One of os_id, image_id, app_id, snapshot_id or iso_id is needed.")),
        (Some(_), true) => return Err(bad_request("Only one of os_id, image_id, app_id, snapshot_id may be given.")),
    };
    let system = system.filter(|system| !["iso", "snapshot", "application"].contains(&system.distribution));
    let system = system.ok_or_else(|| bad_request("Invalid os_id."))?;
    let keys = body.sshkey_id.unwrap_or_default();
    if !keys.iter().all(|id| has_key(view, account, id)) {
        return Err(bad_request("Invalid sshkey_id."));
    }
    let user_data = match body.user_data.as_deref().filter(|data| !data.is_empty()) {
        None => None,
        Some(data) => {
            let bytes = STANDARD.decode(data).map_err(|_| bad_request("user_data must be base64 encoded."))?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    // Counting is only worth it where the limit can have been reached.
    let (limit, now) = (account.machine_limit as usize, view.now());
    let living = |view: &View<'_>| view.machines(&account.name).filter(|m| m.lives_at(now)).count();
    if view.machines_born() >= limit && living(view) >= limit {
        return Err(bad_request("You have reached the limit of servers for this account."));
    }

    let label = body.label.unwrap_or_default();
    let hostname = body.hostname.filter(|name| !name.is_empty()).unwrap_or_else(|| "vultr.guest".to_owned());
    let draft = Draft {
        id: view.uuid(),
        name: label,
        plan: plan.id.to_owned(),
        region: region.id.to_owned(),
        image: system.id.to_owned(),
        kind,
        tags: words(body.tags.unwrap_or_default().into_iter().chain(body.tag.filter(|tag| !tag.is_empty()))),
        user_data,
        ssh_keys: keys,
        extra: json!({ "hostname": hostname, "ipv6": body.enable_ipv6.unwrap_or(false) }),
    };
    let password = view.hex(16);
    let mut server = render(view.create(&account.name, draft), now);
    server.default_password = Some(password);
    one(202, name(kind), server)
}

fn words(tags: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    tags.into_iter().map(|tag| (tag, String::new())).collect()
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (kind, now) = (kind(request), view.now());
    let is = |key: &str, value: &str| request.query(key).is_none_or(|wanted| wanted == value);
    let wanted = view.machines(&account.name).enumerate().filter(|(_, server)| {
        server.kind == kind
            && !server.status_at(now).is_over()
            && is("label", &server.name)
            && is("region", &server.region)
            && is("hostname", server.extra["hostname"].as_str().unwrap_or_default())
            && request.query("main_ip").is_none_or(|wanted| main_ip(server, server.status_at(now)) == wanted)
            && request.query("tag").is_none_or(|tag| server.tags.contains_key(tag))
    });
    let name = if kind == MachineKind::BareMetal { "bare_metals" } else { "instances" };
    let charges = request.query("show_pending_charges") == Some("true");
    page(request, name, wanted, |server| {
        let mut server = render(server, now);
        server.pending_charges = charges.then_some(0);
        server
    })
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    one(200, name(kind(request)), render(find(request, &request.path[2], account, view)?, view.now()))
}

/// Label and tags; the tags given replace all there were.
pub(super) fn update(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        label: Option<String>,
        tags: Option<Vec<String>>,
    }
    let body: Body = request.json().map_err(|_| bad_request("Invalid JSON body."))?;
    let id = find(request, &request.path[2], account, view)?.id.clone();
    if let Some(server) = view.machine_mut(&account.name, &id) {
        server.name = body.label.unwrap_or_else(|| server.name.clone());
        server.tags = body.tags.map_or_else(|| server.tags.clone(), words);
    }
    one(202, name(kind(request)), render(find(request, &request.path[2], account, view)?, view.now()))
}

pub(super) fn user_data(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let data = find(request, &request.path[2], account, view)?.user_data.as_deref().unwrap_or_default();
    one(200, "user_data", json!({ "data": STANDARD.encode(data) }))
}

/// What is being installed or removed is locked; that is said with a status of 500.
fn unlocked(server: &Machine, now: Timestamp, what: &str) -> Result<State, Response> {
    match server.status_at(now) {
        State::Queued | State::Building | State::Booting => {
            Err(error(500, &format!("Unable to {what} server: Unable to remove VM: Server is currently locked")))
        }
        State::Deleting => Err(error(500, &format!("Unable to {what} server: Server is already pending destruction"))),
        state => Ok(state),
    }
}

pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let server = find(request, &request.path[2], account, view)?;
    unlocked(server, view.now(), "destroy")?;
    let id = server.id.clone();
    view.change(&account.name, &id, Change::Delete);
    Ok(Response::empty(204))
}

/// What a start changes. (unsure) What runs was restarted by it in the first version of the API.
fn on(state: State) -> Option<Change> {
    match state {
        State::Stopped => Some(Change::Start),
        State::Starting => None,
        _ => Some(Change::Reboot),
    }
}

/// What a halt changes.
fn off(state: State) -> Option<Change> {
    (state != State::Stopped).then_some(Change::Stop)
}

/// What a reboot changes. (unsure) What is off comes on.
fn again(state: State) -> Option<Change> {
    Some(if state == State::Stopped { Change::Start } else { Change::Reboot })
}

pub(super) fn start(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    switch(request, account, view, on)
}

pub(super) fn halt(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    switch(request, account, view, off)
}

pub(super) fn reboot(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    switch(request, account, view, again)
}

/// Power calls answer at once, without a body and without a job to follow. One server by its path, or several by a list
/// of ids; one that is missing or locked fails the call before any is switched.
fn switch(request: &Request, account: &Account, view: &mut View<'_>, change: fn(State) -> Option<Change>) -> Answer {
    #[derive(Deserialize)]
    struct Several {
        #[serde(alias = "baremetal_ids")]
        instance_ids: Vec<String>,
    }
    let ids = match request.path.len() {
        3 => request.json::<Several>().map_err(|_| bad_request("Invalid JSON body."))?.instance_ids,
        _ => vec![request.path[2].clone()],
    };
    let mut changes = Vec::new();
    for id in ids {
        let state = unlocked(find(request, &id, account, view)?, view.now(), "change")?;
        changes.extend(change(state).map(|change| (id, change)));
    }
    for (id, change) in changes {
        view.change(&account.name, &id, change);
    }
    Ok(Response::empty(204))
}

/// `status`, `power_status` and `server_status`. A reboot cannot be seen. (unsure) What a server under removal shows.
fn status(state: State) -> (&'static str, &'static str, &'static str) {
    match state {
        State::Queued => ("pending", "running", "none"),
        State::Building => ("pending", "running", "locked"),
        State::Booting => ("active", "running", "installingbooting"),
        State::Running | State::Stopping | State::Rebooting => ("active", "running", "ok"),
        State::Stopped | State::Starting => ("active", "stopped", "ok"),
        State::Deleting | State::Gone | State::Failed => ("active", "stopped", "locked"),
    }
}

/// An instance has no address at first, and says so with zeros; bare metal with nothing.
fn main_ip(server: &Machine, state: State) -> String {
    match (state, server.kind) {
        (State::Queued, MachineKind::Virtual) => "0.0.0.0".to_owned(),
        (State::Queued, MachineKind::BareMetal) => String::new(),
        _ => server.ipv4.to_string(),
    }
}

#[derive(Serialize)]
struct Server<'a> {
    id: &'a str,
    os: &'static str,
    ram: Value,
    disk: Value,
    main_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vcpu_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_count: Option<u32>,
    region: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_password: Option<String>,
    plan: &'a str,
    date_created: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_bandwidth: Option<u64>,
    netmask_v4: &'static str,
    gateway_v4: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_status: Option<&'static str>,
    v6_network: String,
    v6_main_ip: String,
    v6_network_size: u32,
    label: &'a str,
    internal_ip: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac_address: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kvm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    os_id: u64,
    app_id: u64,
    image_id: &'static str,
    snapshot_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    firewall_group_id: Option<&'static str>,
    features: Vec<&'static str>,
    /// Deprecated: the first of the tags.
    tag: &'a str,
    tags: Vec<&'a str>,
    user_scheme: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mdisk_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_charges: Option<u64>,
}

fn render(server: &Machine, now: Timestamp) -> Server<'_> {
    let state = server.status_at(now);
    let (status, power, health) = status(state);
    let metal = server.kind == MachineKind::BareMetal;
    let instance = !metal;
    let plan = CATALOG.plan(&server.plan);
    let placed = state != State::Queued;
    let v6 = server.extra["ipv6"] == true;
    let shows_v6 = v6 && placed;
    let [a, b, c, _] = server.ipv4.octets();
    let network = std::net::Ipv6Addr::from_bits(server.ipv6.to_bits() & !u128::from(u64::MAX));
    let memory = plan.map_or(0, |plan| plan.memory_mib);
    Server {
        id: &server.id,
        os: CATALOG.image(&server.image).map_or("", |system| system.name),
        ram: if metal { format!("{memory} MB").into() } else { memory.into() },
        disk: match plan {
            Some(plan) if metal => format!("2x {}GB SSD", disk_each(plan)).into(),
            // A new one tells of no disk yet.
            Some(plan) if placed => plan.disk_gib.into(),
            _ => 0.into(),
        },
        main_ip: main_ip(server, state),
        vcpu_count: plan.filter(|_| !metal).map(|plan| plan.vcpus),
        cpu_count: plan.filter(|_| metal).map(cores),
        region: &server.region,
        default_password: None,
        plan: &server.plan,
        date_created: time(server.born_at),
        // Bare metal tells nothing but this word, and is not active before it is ready.
        status: if metal && state == State::Booting { "pending" } else { status },
        allowed_bandwidth: plan.filter(|_| !metal).map(|plan| plan.transfer),
        netmask_v4: if placed { "255.255.254.0" } else { "" },
        gateway_v4: match (placed, metal) {
            (true, _) => format!("{a}.{b}.{c}.1"),
            (false, true) => String::new(),
            (false, false) => "0.0.0.0".to_owned(),
        },
        power_status: instance.then_some(power),
        server_status: instance.then_some(health),
        v6_network: if shows_v6 { network.to_string() } else { String::new() },
        v6_main_ip: if shows_v6 { server.ipv6.to_string() } else { String::new() },
        v6_network_size: if shows_v6 { 64 } else { 0 },
        label: &server.name,
        internal_ip: "",
        vpc_only: instance.then_some(false),
        mac_address: metal.then(|| u64::from(server.ipv4.to_bits())),
        kvm: instance.then(|| match placed {
            true => format!("https://my.vultr.com/subs/vps/novnc/api.php?data={}", server.id),
            false => String::new(),
        }),
        hostname: server.extra["hostname"].as_str().filter(|_| !metal),
        os_id: server.image.parse().unwrap_or_default(),
        app_id: 0,
        image_id: "",
        snapshot_id: "",
        firewall_group_id: instance.then_some(""),
        features: if v6 { vec!["ipv6"] } else { Vec::new() },
        tag: server.tags.keys().next().map_or("", String::as_str),
        tags: server.tags.keys().map(String::as_str).collect(),
        user_scheme: "root",
        mdisk_mode: metal.then_some("none"),
        pending_charges: None,
    }
}
