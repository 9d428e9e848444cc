//! Linodes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, Complaints, done, error, found, invalid, ok, page, unreadable};
use super::catalog::{self, CATALOG};
use super::{configs, profile};
use crate::machine::{Change, Machine, MachineKind, State, Timeline, later};
use crate::wire::{Request, Response};
use crate::world::{Account, Draft, View};

const USER_DATA_LIMIT: usize = 65_535;

/// (unsure) How the vendor says that it has no more of a plan in a region.
pub(super) const UNAVAILABLE: &str = "This plan is currently unavailable in this region.";

/// What instances can be filtered by.
const FIELDS: &[&str] = &["id", "label", "tags", "region", "image", "ipv4", "group"];

/// `2018-01-01T00:01:01`: UTC, without saying so.
pub(super) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A linode that can be read.
pub(super) fn find<'v>(view: &'v View<'_>, account: &Account, id: &str) -> Result<&'v Machine, Response> {
    found(view.machine(&account.name, id).filter(|linode| !linode.status_at(view.now()).is_over()))
}

fn living<'v>(view: &'v View<'_>, account: &'v Account) -> impl Iterator<Item = &'v Machine> {
    let now = view.now();
    view.machines(&account.name).filter(move |linode| !linode.status_at(now).is_over())
}

#[derive(Deserialize)]
struct Create {
    #[serde(rename = "type")]
    kind: Option<String>,
    region: Option<String>,
    image: Option<String>,
    label: Option<String>,
    group: Option<String>,
    root_pass: Option<String>,
    authorized_keys: Option<Vec<String>>,
    authorized_users: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    booted: Option<bool>,
    private_ip: Option<bool>,
    swap_size: Option<u64>,
    metadata: Option<Metadata>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    user_data: Option<String>,
}

/// `^[a-zA-Z]((?!--|__|\.\.)[a-zA-Z0-9-_.])+$`, 3 to 64 characters, ending with a letter or digit.
fn check_label(complaints: &mut Complaints, label: &str) {
    complaints.expect((3..=64).contains(&label.len()), "label", "Length must be 3-64 characters");
    let allowed = label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let starts = label.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let ends = label.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric());
    let doubled = ["--", "__", ".."].iter().any(|pair| label.contains(pair));
    let well = allowed && starts && ends && !doubled;
    complaints.expect(
        well,
        "label",
        "Must begin with a letter, end with a letter or number, and hold no two dashes, underscores or periods in a row",
    );
}

fn check_tags(complaints: &mut Complaints, tags: &[String]) {
    let fit = tags.iter().all(|tag| (3..=50).contains(&tag.chars().count()));
    complaints.expect(fit, "tags", "Tags must be 3-50 characters");
}

/// What the vendor calls weak is not documented: here it is what is short or of one kind of character.
fn is_strong(password: &str) -> bool {
    let kinds: [fn(char) -> bool; 4] = [
        |c| c.is_ascii_lowercase(),
        |c| c.is_ascii_uppercase(),
        |c| c.is_ascii_digit(),
        |c| !c.is_ascii_alphanumeric(),
    ];
    password.len() >= 11 && kinds.iter().filter(|kind| password.chars().any(*kind)).count() >= 2
}

/// The decoded user-data.
fn user_data(complaints: &mut Complaints, encoded: Option<&str>) -> Option<String> {
    let Ok(bytes) = STANDARD.decode(encoded?) else {
        complaints.add("metadata.user_data", "Must be base64 encoded");
        return None;
    };
    complaints.expect(bytes.len() <= USER_DATA_LIMIT, "metadata.user_data", "Decoded data must not exceed 65535 bytes");
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let body: Create = request.json().map_err(unreadable)?;
    let mut complaints = Complaints::default();
    let plan = body.kind.as_deref().and_then(|kind| CATALOG.plan(kind));
    match &body.kind {
        None => complaints.add("type", "type is required"),
        Some(_) => complaints.expect(plan.is_some(), "type", "A valid plan type by that ID was not found"),
    }
    let region = body.region.as_deref().and_then(|region| CATALOG.region(region));
    match &body.region {
        None => complaints.add("region", "region is required"),
        Some(_) => complaints.expect(region.is_some(), "region", "region is not valid"),
    }
    let image = body.image.as_deref().and_then(|image| CATALOG.image(image));
    if body.image.is_some() {
        complaints.expect(image.is_some(), "image", "image is not valid");
        match body.root_pass.as_deref() {
            None => complaints.add("root_pass", "root_pass is required"),
            Some(word) => {
                complaints.expect((7..=128).contains(&word.len()), "root_pass", "Length must be 7-128 characters");
                complaints.expect(is_strong(word), "root_pass", "Password does not meet strength requirement");
            }
        }
    }
    if let Some(label) = &body.label {
        check_label(&mut complaints, label);
    }
    let tags = body.tags.unwrap_or_default();
    check_tags(&mut complaints, &tags);
    let keys = body.authorized_keys.unwrap_or_default();
    complaints.expect(keys.iter().all(|key| profile::is_key(key)), "authorized_keys", "Invalid SSH key");
    // The account's one user is called as the account.
    let users = body.authorized_users.unwrap_or_default();
    complaints.expect(users.iter().all(|user| *user == account.name), "authorized_users", "Username is not valid");
    let swap = body.swap_size.unwrap_or(512);
    complaints.expect(plan.is_none_or(|plan| swap < plan.disk_gib * 1024), "swap_size", "swap_size is too large");
    let user_data = user_data(&mut complaints, body.metadata.unwrap_or_default().user_data.as_deref());
    complaints.refuse()?;
    let (plan, region) = (found(plan)?, found(region)?);
    if let Some(label) = &body.label {
        is_free(view, account, label, None)?;
    }
    if !catalog::in_stock(plan, region) {
        return Err(invalid("type", UNAVAILABLE));
    }
    // Counting is only worth it where the limit can have been reached.
    let limit = account.machine_limit as usize;
    if view.machines_born() >= limit && living(view, account).count() >= limit {
        return Err(error(400, "Account Limit reached. Please open a support ticket."));
    }

    let id = (60_000_000 + view.number()).to_string();
    let host = view.hex(32) + &view.hex(8);
    let draft = Draft {
        name: body.label.unwrap_or_else(|| format!("linode{id}")),
        plan: plan.id.to_owned(),
        region: region.id.to_owned(),
        image: image.map(|image| image.slug.to_owned()).unwrap_or_default(),
        kind: MachineKind::Virtual,
        tags: tags.into_iter().map(|tag| (tag, String::new())).collect::<BTreeMap<_, _>>(),
        extra: json!({
            "group": body.group.unwrap_or_default(),
            "private_ip": body.private_ip.unwrap_or(false),
            "has_user_data": user_data.is_some(),
            "host_uuid": host,
            "swap_size": swap,
            "config": configs::first(&id, image.map(|image| image.name), swap),
        }),
        user_data,
        ssh_keys: keys,
        id: id.clone(),
    };
    view.create(&account.name, draft);
    let (now, pace) = (view.now(), view.pace(MachineKind::Virtual));
    if let Some(linode) = view.machine_mut(&account.name, &id) {
        configs::load(linode, now);
    }
    if !body.booted.unwrap_or(image.is_some())
        && let Some(linode) = view.machine_mut(&account.name, &id)
    {
        let mut stays_off = Timeline::new(now, State::Queued);
        stays_off.then(later(now, pace.queued_ms + pace.building_ms), State::Stopped);
        linode.timeline = stays_off;
    }
    ok(&render(found(view.machine_born(&id))?, now))
}

/// Labels are unique in an account.
fn is_free(view: &View<'_>, account: &Account, label: &str, but: Option<&str>) -> Result<(), Response> {
    let now = view.now();
    let taken = view
        .machines_born_of(&account.name)
        .any(|linode| linode.name == label && Some(linode.id.as_str()) != but && !linode.status_at(now).is_over());
    if taken { Err(invalid("label", "Label must be unique among your linodes")) } else { Ok(()) }
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    page(request, living(view, account), FIELDS, |linode, field| look(linode, field), |linode| render(linode, now))
}

/// What a filter sees of a linode.
fn look(linode: &Machine, field: &str) -> Vec<Value> {
    match field {
        "id" => vec![linode.id.parse::<u64>().unwrap_or_default().into()],
        "label" => vec![linode.name.as_str().into()],
        "tags" => linode.tags.keys().map(|tag| tag.as_str().into()).collect(),
        "region" => vec![linode.region.as_str().into()],
        "image" => vec![linode.image.as_str().into()],
        "ipv4" => addresses(linode).into_iter().map(|ip| ip.to_string().into()).collect(),
        "group" => vec![linode.extra["group"].clone()],
        _ => Vec::new(),
    }
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(&render(find(view, account, &request.path[3])?, view.now()))
}

pub(super) fn update(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        label: Option<String>,
        tags: Option<Vec<String>>,
        group: Option<String>,
    }
    let body: Body = request.json().map_err(unreadable)?;
    let id = find(view, account, &request.path[3])?.id.clone();
    let mut complaints = Complaints::default();
    if let Some(label) = &body.label {
        check_label(&mut complaints, label);
    }
    check_tags(&mut complaints, body.tags.as_deref().unwrap_or_default());
    complaints.refuse()?;
    if let Some(label) = &body.label {
        is_free(view, account, label, Some(&id))?;
    }
    let linode = found(view.machine_mut(&account.name, &id))?;
    if let Some(label) = body.label {
        linode.name = label;
    }
    if let Some(tags) = body.tags {
        linode.tags = tags.into_iter().map(|tag| (tag, String::new())).collect();
    }
    if let Some(group) = body.group {
        linode.extra["group"] = group.into();
    }
    ok(&render(find(view, account, &id)?, view.now()))
}

/// (unsure) Deleting what is being deleted is taken as asked for once more.
pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let id = find(view, account, &request.path[3])?.id.clone();
    view.change(&account.name, &id, Change::Delete);
    done()
}

pub(super) fn boot(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    run(request, account, view, Change::Start)
}

pub(super) fn shutdown(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    run(request, account, view, Change::Stop)
}

pub(super) fn reboot(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    run(request, account, view, Change::Reboot)
}

/// One job at a time. (unsure) What makes no sense for the state is refused, in words of our own.
fn run(request: &Request, account: &Account, view: &mut View<'_>, change: Change) -> Answer {
    let (id, state) = {
        let linode = find(view, account, &request.path[3])?;
        (linode.id.clone(), linode.status_at(view.now()))
    };
    match (state, change) {
        (State::Running, Change::Start) => return Err(error(400, "Linode is already booted.")),
        (State::Stopped, Change::Stop | Change::Reboot) => return Err(error(400, "Linode is not running.")),
        (State::Running | State::Stopped, _) => {}
        _ => return Err(error(400, "Linode busy.")),
    }
    view.change(&account.name, &id, change);
    done()
}

fn status(state: State) -> &'static str {
    match state {
        State::Queued | State::Building => "provisioning",
        State::Booting | State::Starting => "booting",
        State::Running => "running",
        State::Stopping => "shutting_down",
        State::Stopped => "offline",
        State::Rebooting => "rebooting",
        State::Deleting | State::Gone | State::Failed => "deleting",
    }
}

/// The public address, and a private one where it was asked for: they are there from the start.
fn addresses(linode: &Machine) -> Vec<Ipv4Addr> {
    let [_, _, c, d] = linode.private_ipv4.octets();
    let private = (linode.extra["private_ip"] == true).then(|| Ipv4Addr::new(192, 168, c | 0x80, d));
    std::iter::once(linode.ipv4).chain(private).collect()
}

#[derive(Serialize)]
struct Linode<'a> {
    id: u64,
    label: &'a str,
    group: &'a Value,
    status: &'static str,
    created: String,
    updated: String,
    #[serde(rename = "type")]
    kind: &'a str,
    ipv4: Vec<Ipv4Addr>,
    ipv6: String,
    image: Option<&'a str>,
    region: &'a str,
    specs: Specs,
    alerts: Alerts,
    backups: Backups,
    hypervisor: &'static str,
    watchdog_enabled: bool,
    tags: Vec<&'a str>,
    host_uuid: &'a Value,
    has_user_data: &'a Value,
    placement_group: (),
    disk_encryption: &'static str,
    lke_cluster_id: (),
    capabilities: [&'static str; 1],
    interface_generation: &'static str,
}

#[derive(Serialize)]
struct Specs {
    disk: u64,
    memory: u64,
    vcpus: u32,
    gpus: u8,
    transfer: u64,
}

#[derive(Serialize)]
struct Alerts {
    cpu: u32,
    network_in: u32,
    network_out: u32,
    transfer_quota: u32,
    io: u32,
}

#[derive(Serialize)]
struct Backups {
    enabled: bool,
    available: bool,
    schedule: Schedule,
}

#[derive(Serialize)]
struct Schedule {
    day: (),
    window: (),
}

fn render(linode: &Machine, now: Timestamp) -> Linode<'_> {
    let plan = CATALOG.plan(&linode.plan);
    let vcpus = plan.map_or(0, |plan| plan.vcpus);
    Linode {
        id: linode.id.parse().unwrap_or_default(),
        label: &linode.name,
        group: &linode.extra["group"],
        status: status(linode.status_at(now)),
        created: time(linode.born_at),
        updated: time(linode.timeline.since(now)),
        kind: &linode.plan,
        ipv4: addresses(linode),
        ipv6: format!("{}/128", linode.ipv6),
        image: Some(linode.image.as_str()).filter(|image| !image.is_empty()),
        region: &linode.region,
        specs: Specs {
            disk: plan.map_or(0, |plan| plan.disk_gib * 1024),
            memory: plan.map_or(0, |plan| plan.memory_mib),
            vcpus,
            gpus: u8::from(plan.is_some_and(catalog::is_gpu)),
            transfer: plan.map_or(0, |plan| plan.transfer),
        },
        alerts: Alerts { cpu: 90 * vcpus, network_in: 10, network_out: 10, transfer_quota: 80, io: 10_000 },
        backups: Backups { enabled: false, available: false, schedule: Schedule { day: (), window: () } },
        hypervisor: "kvm",
        watchdog_enabled: true,
        tags: linode.tags.keys().map(String::as_str).collect(),
        host_uuid: &linode.extra["host_uuid"],
        has_user_data: &linode.extra["has_user_data"],
        placement_group: (),
        disk_encryption: "enabled",
        lke_cluster_id: (),
        capabilities: ["Block Storage Encryption"],
        interface_generation: "legacy_config",
    }
}
