//! Droplets.

use std::collections::BTreeMap;

use jiff::{Timestamp, Unit};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::account::find_key;
use super::answer::{Answer, Envelope, bad_request, found, invalid, ok, page};
use super::catalog::{self, CATALOG};
use super::{actions, tags};
use crate::catalog::{Plan, Region};
use crate::machine::{Change, Machine, MachineKind, State};
use crate::wire::{Request, Response};
use crate::world::{Account, Draft, View};

/// The vendor's text for a name that is no host name.
pub(super) const BAD_NAME: &str = "Name Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)";

const USER_DATA_LIMIT: usize = 64 * 1024;

/// RFC 3339 with whole seconds, as all times of this API.
pub(super) fn time(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}

/// `^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$`, at most 255 characters.
pub(super) fn is_hostname(name: &str) -> bool {
    name.len() <= 255
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        && name.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// A droplet that can still be read: what is being removed can, for some seconds.
pub(super) fn find<'v>(view: &'v View<'_>, account: &Account, id: &str) -> Option<&'v Machine> {
    view.machine(&account.name, id).filter(|droplet| !droplet.status_at(view.now()).is_over())
}

fn living<'v>(view: &'v View<'_>, account: &'v Account) -> impl Iterator<Item = &'v Machine> {
    let now = view.now();
    view.machines(&account.name).filter(move |droplet| !droplet.status_at(now).is_over())
}

fn has_tag(droplet: &Machine, tag: &str) -> bool {
    droplet.tags.keys().any(|own| own.eq_ignore_ascii_case(tag))
}

/// `ssh_keys` and `image` may be numbers or text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(u64),
    Text(String),
}

impl From<Word> for String {
    fn from(word: Word) -> String {
        match word {
            Word::Number(number) => number.to_string(),
            Word::Text(text) => text,
        }
    }
}

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    names: Option<Vec<String>>,
    size: Option<String>,
    image: Option<Word>,
    region: Option<String>,
    #[serde(default)]
    ssh_keys: Option<Vec<Word>>,
    tags: Option<Vec<String>>,
    user_data: Option<String>,
    vpc_uuid: Option<String>,
    #[serde(default)]
    ipv6: Option<bool>,
    #[serde(default)]
    monitoring: Option<bool>,
}

pub(super) fn create(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let body: Create = request.json().map_err(|_| bad_request("The request body could not be parsed."))?;
    let single = body.name.is_some();
    let names = match (body.name, body.names) {
        (Some(name), None) => vec![name],
        (None, Some(names)) if !names.is_empty() => names,
        (Some(_), Some(_)) => return Err(invalid("Only one of name and names may be given.")),
        _ => return Err(invalid("Name can't be blank")),
    };
    if names.len() > 10 {
        return Err(invalid("You can only create up to 10 droplets at a time."));
    }
    if !names.iter().all(|name| is_hostname(name)) {
        return Err(invalid(BAD_NAME));
    }
    let plan = body.size.as_deref().and_then(|size| CATALOG.plan(size));
    let plan = plan.ok_or_else(|| invalid("You specified an invalid size for Droplet creation."))?;
    let image = body.image.map(String::from).and_then(|word| CATALOG.image(&word));
    let image = image.ok_or_else(|| invalid("You specified an invalid image for Droplet creation."))?;
    let region = place(body.region.as_deref().unwrap_or_default(), plan)?;
    let mut keys = Vec::new();
    for word in body.ssh_keys.unwrap_or_default().into_iter().map(String::from) {
        match find_key(view, account, &word) {
            Some(key) => keys.push(key.id.clone()),
            None => return Err(invalid(format!("{word} are invalid key identifiers for Droplet creation."))),
        }
    }
    let words = body.tags.unwrap_or_default();
    if let Some(bad) = words.iter().find(|tag| !tags::is_tag(tag)) {
        return Err(invalid(format!("Tag name {bad} contains invalid characters or is too long.")));
    }
    if body.user_data.as_ref().is_some_and(|data| data.len() > USER_DATA_LIMIT) {
        return Err(invalid("User data is too long (maximum is 65536 bytes)."));
    }
    // Counting is only worth it where the limit can have been reached.
    let limit = account.machine_limit as usize;
    if view.machines_born() + names.len() > limit && living(view, account).count() + names.len() > limit {
        return Err(invalid("creating this/these droplet(s) will exceed your droplet limit"));
    }

    for word in &words {
        tags::keep(view, account, word);
    }
    let (mut droplets, mut links) = (Vec::new(), Vec::new());
    for name in names {
        let id = (500_000_000 + view.number()).to_string();
        let draft = Draft {
            id: id.clone(),
            name,
            plan: plan.id.to_owned(),
            region: region.id.to_owned(),
            image: image.slug.to_owned(),
            kind: MachineKind::Virtual,
            tags: words.iter().map(|tag| (tag.clone(), String::new())).collect::<BTreeMap<_, _>>(),
            user_data: body.user_data.clone(),
            ssh_keys: keys.clone(),
            extra: json!({
                "ipv6": body.ipv6.unwrap_or(false),
                "monitoring": body.monitoring.unwrap_or(false),
                "vpc_uuid": body.vpc_uuid,
            }),
        };
        let now = view.now();
        let droplet = render(view.create(&account.name, draft), now);
        droplets.push(to_raw_value(&droplet).expect("a droplet has string keys and can be written"));
        let action = actions::record(view, account, "create", &id, region.id);
        let href = format!("{}/v2/actions/{action}", request.base);
        links.push(json!({ "id": action.parse::<u64>().unwrap_or_default(), "rel": "create", "href": href }));
    }
    let links = json!({ "actions": links });
    let (droplet, droplets) = if single { (droplets.pop(), None) } else { (None, Some(droplets)) };
    ok(202, &Created { droplet, droplets, links })
}

#[derive(Serialize)]
struct Created {
    #[serde(skip_serializing_if = "Option::is_none")]
    droplet: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    droplets: Option<Vec<Box<RawValue>>>,
    links: Value,
}

/// The region of that slug, or the first that begins so and sells the size; any, if nothing is asked.
fn place(asked: &str, plan: &Plan) -> Result<&'static Region, Response> {
    let open = |region: &&Region| region.available && plan.sold_in(region.id);
    if let Some(region) = CATALOG.region(asked) {
        return Some(region).filter(open).ok_or_else(|| invalid("Size is not available in this region."));
    }
    let begins = |region: &&Region| region.id.trim_end_matches(|c: char| c.is_ascii_digit()) == asked;
    let mut fitting = CATALOG.regions.iter().filter(|region| asked.is_empty() || begins(region)).peekable();
    if fitting.peek().is_none() {
        return Err(invalid("You specified an invalid region for Droplet creation."));
    }
    fitting.find(open).ok_or_else(|| invalid("Size is not available in this region."))
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (tag, name, kind) = (request.query("tag_name"), request.query("name"), request.query("type"));
    if tag.is_some() && (name.is_some() || kind.is_some()) {
        return Err(bad_request("tag_name cannot be combined with name or type"));
    }
    let now = view.now();
    let wanted = living(view, account).filter(|droplet| {
        kind != Some("gpus")
            && tag.is_none_or(|tag| has_tag(droplet, tag))
            && name.is_none_or(|name| droplet.name.eq_ignore_ascii_case(name))
    });
    page(request, "droplets", wanted, |droplet| render(droplet, now))
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let droplet = found(find(view, account, &request.path[2]))?;
    ok(200, &Envelope("droplet", render(droplet, view.now())))
}

pub(super) fn delete(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let id = found(find(view, account, &request.path[2]))?.id.clone();
    view.change(&account.name, &id, Change::Delete);
    Ok(Response::empty(204))
}

pub(super) fn delete_by_tag(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let tag = request.query("tag_name").filter(|tag| !tag.is_empty());
    let tag = tag.ok_or_else(|| bad_request("tag_name is required"))?;
    let ids: Vec<String> =
        living(view, account).filter(|droplet| has_tag(droplet, tag)).map(|droplet| droplet.id.clone()).collect();
    for id in ids {
        view.change(&account.name, &id, Change::Delete);
    }
    Ok(Response::empty(204))
}

/// Status and lock. (unsure) What a droplet under removal shows is not documented; it can be read, so it shows this.
fn status(state: State) -> (&'static str, bool) {
    match state {
        State::Queued | State::Building | State::Booting => ("new", false),
        State::Running => ("active", false),
        State::Stopping | State::Rebooting | State::Deleting => ("active", true),
        State::Stopped => ("off", false),
        State::Starting => ("off", true),
        State::Gone | State::Failed => ("archive", true),
    }
}

#[derive(Serialize)]
struct Droplet<'a> {
    id: u64,
    name: &'a str,
    memory: u64,
    vcpus: u32,
    disk: u64,
    disk_info: Option<&'static RawValue>,
    locked: bool,
    status: &'static str,
    kernel: (),
    created_at: String,
    features: Vec<&'static str>,
    backup_ids: [u64; 0],
    next_backup_window: (),
    snapshot_ids: [u64; 0],
    image: Option<&'static RawValue>,
    volume_ids: [&'static str; 0],
    size: Option<&'static RawValue>,
    size_slug: &'a str,
    networks: Value,
    region: Option<&'static RawValue>,
    tags: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_uuid: Option<&'a str>,
}

fn render(droplet: &Machine, now: Timestamp) -> Droplet<'_> {
    let state = droplet.status_at(now);
    let (status, locked) = status(state);
    let plan = CATALOG.plan(&droplet.plan);
    let ipv6 = droplet.extra["ipv6"] == true;
    let mut features = vec!["private_networking"];
    features.extend(ipv6.then_some("ipv6"));
    features.extend((droplet.extra["monitoring"] == true).then_some("monitoring"));
    Droplet {
        id: droplet.id.parse().unwrap_or_default(),
        name: &droplet.name,
        memory: plan.map_or(0, |plan| plan.memory_mib),
        vcpus: plan.map_or(0, |plan| plan.vcpus),
        disk: plan.map_or(0, |plan| plan.disk_gib),
        disk_info: catalog::disks_of(&droplet.plan),
        locked,
        status,
        kernel: (),
        created_at: time(droplet.born_at),
        features,
        backup_ids: [],
        next_backup_window: (),
        snapshot_ids: [],
        image: catalog::image_body(&droplet.image),
        volume_ids: [],
        size: catalog::size(&droplet.plan),
        size_slug: &droplet.plan,
        networks: networks(droplet, state, ipv6),
        region: catalog::region_body(&droplet.region),
        tags: droplet.tags.keys().map(String::as_str).collect(),
        vpc_uuid: droplet.extra["vpc_uuid"].as_str(),
    }
}

/// Empty at first, then the private address alone, then both: whoever takes the first one takes the wrong one.
fn networks(droplet: &Machine, state: State, ipv6: bool) -> Value {
    let (private, public) = match state {
        State::Queued => (false, false),
        State::Building => (true, false),
        _ => (true, true),
    };
    let mut v4 = Vec::new();
    if private {
        // A private network has no gateway. Clients have seen null; the description wants text, and its example is this.
        v4.push(json!({
            "ip_address": droplet.private_ipv4, "netmask": "255.255.0.0", "gateway": "nil", "type": "private",
        }));
    }
    if public {
        let [a, b, c, _] = droplet.ipv4.octets();
        v4.push(json!({
            "ip_address": droplet.ipv4, "netmask": "255.255.240.0", "gateway": format!("{a}.{b}.{c}.1"),
            "type": "public",
        }));
    }
    let mut v6 = Vec::new();
    if public && ipv6 {
        v6.push(json!({
            "ip_address": droplet.ipv6, "netmask": 64, "gateway": "2001:db8::1", "type": "public",
        }));
    }
    json!({ "v4": v4, "v6": v6 })
}
