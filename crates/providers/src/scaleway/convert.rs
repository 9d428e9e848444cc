//! Scaleway's words into ours and back, without any I/O: zones, servers, orders, the status table and the error table.
//! What is on offer is in `offers`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use capsule_core::http::{Diagnosis, Reply};
use capsule_core::tags::{FlatTags, OWNER, TOKEN};
use capsule_core::{
    Account, Addresses, Effect, Error, ErrorKind, Instance, InstanceId, InstanceStatus, Order, OwnerId, Power,
    PublicKey, RawBody, Result, Retry, Scope, SshKey, nearest,
};
use serde::Deserialize;
use serde_json::Value;

use super::{CAPABILITIES, DESCRIPTOR, api};

/// Every zone that sells servers: id, name, country. No call lists them.
pub(super) const ZONES: &[(&str, &str, &str)] = &[
    ("fr-par-1", "Paris 1", "FR"),
    ("fr-par-2", "Paris 2", "FR"),
    ("fr-par-3", "Paris 3", "FR"),
    ("nl-ams-1", "Amsterdam 1", "NL"),
    ("nl-ams-2", "Amsterdam 2", "NL"),
    ("nl-ams-3", "Amsterdam 3", "NL"),
    ("pl-waw-1", "Warsaw 1", "PL"),
    ("pl-waw-2", "Warsaw 2", "PL"),
    ("pl-waw-3", "Warsaw 3", "PL"),
    ("it-mil-1", "Milan 1", "IT"),
];

/// Tags are free text, but a filter joins several by commas. What else is refused, and how long one may be, is not
/// documented (unsure): so few characters go unchanged.
pub(super) const TAGS: FlatTags = FlatTags { separator: '=', allowed: "-_.:/@", escape: '%', max_length: 255 };

/// On a server that must not start before its user-data is set.
const AWAITS: (&str, &str) = ("capsule-awaits", "user-data");
/// On a volume that is to go when its server is gone: the server's id.
const VOLUME_OF: &str = "capsule-server";
/// The name under which cloud-init looks for user-data.
pub(super) const CLOUD_INIT: &str = "cloud-init";
/// The root volume, where the order names no size: 20 GB, as the vendor counts.
pub(super) const ROOT_BYTES: u64 = 20_000_000_000;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_provider(&DESCRIPTOR.id)
}

// ---- Places

/// The zones that the settings allow: all, or those named, each by itself or by its region (`fr-par`).
pub(super) fn zones(wanted: &[String]) -> Result<Vec<&'static str>> {
    let known = || ZONES.iter().map(|(id, ..)| *id);
    if wanted.is_empty() {
        return Ok(known().collect());
    }
    let mut zones = BTreeSet::new();
    for word in wanted {
        let named = zones_of(word);
        if named.is_empty() {
            return Err(Error::new(ErrorKind::Config, format!("`{word}` is no zone of Scaleway."))
                .with_provider(&DESCRIPTOR.id)
                .with_hint(nearest::hint(word, known())));
        }
        zones.extend(named);
    }
    Ok(zones.into_iter().collect())
}

/// The zones that a word names, by itself or as their region.
pub(super) fn zones_of(word: &str) -> Vec<&'static str> {
    let known = ZONES.iter().map(|(id, ..)| *id);
    known.filter(|id| *id == word || id.rsplit_once('-').is_some_and(|(region, _)| region == word)).collect()
}

/// Checks that an id can be one of a server: a zone, and letters, digits and dashes.
pub(super) fn check_id(id: &InstanceId) -> Result<()> {
    let is_zone = ZONES.iter().any(|(zone, ..)| *zone == id.region);
    let is_word = id.native.len() <= 64 && id.native.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if is_zone && is_word && !id.native.is_empty() {
        return Ok(());
    }
    Err(invalid(format!("`{id}` is not the id of a server at Scaleway."))
        .with_hint("It looks like scaleway/fr-par-1/UUID; `capsule list` shows them."))
}

// ---- Servers

/// A server, and what the driver needs to know beside.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) instance: Instance,
    /// Its bare state.
    pub(super) state: String,
    /// Whether it must not start before its user-data is set.
    pub(super) awaits_user_data: bool,
    /// The volume that it boots from, if it lies in block storage: the one that create made.
    pub(super) root: Option<String>,
    pub(super) protected: bool,
    allowed: Vec<String>,
}

impl Seen {
    /// Whether it may be one that was made and never given its user-data: only the vendor's list of user-data tells.
    pub(super) fn may_be_half_made(&self) -> bool {
        self.awaits_user_data && self.state == "stopped"
    }
}

/// The status table. In `stopping`, only the detail tells a server that ends from one that stops or reboots.
pub(super) fn status(state: &str, detail: &str) -> InstanceStatus {
    use InstanceStatus::*;
    match (state, detail) {
        ("starting", _) => Provisioning,
        ("running", _) => Running,
        ("stopping", "terminating") => Deleting,
        ("stopping", _) => Running,
        ("stopped" | "stopped in place", _) => Stopped,
        ("locked", _) => Failed,
        _ => Unknown,
    }
}

/// A server of a zone as one of ours.
pub(super) fn seen(zone: &str, server: api::Server<'_>, raw: RawBody) -> Seen {
    let detail = server.state_detail.as_deref().unwrap_or_default();
    let status = status(&server.state, detail);
    let native_status =
        if detail.is_empty() { server.state.to_string() } else { format!("{} ({detail})", server.state) };
    let words = server.tags.unwrap_or_default();
    let (marks, tags): (Vec<_>, Vec<_>) =
        words.iter().map(|word| TAGS.decode(word)).partition(|(key, _)| key == AWAITS.0);
    let ips = match server.public_ips {
        Some(ips) if !ips.is_empty() => ips,
        _ => server.public_ip.into_iter().collect(),
    };
    let root = server.volumes.and_then(|mut volumes| volumes.remove("0"));
    let instance = Instance {
        id: InstanceId::new(&DESCRIPTOR.id, zone, server.id),
        name: server.name.into_owned(),
        status,
        native_status,
        fault: (status == InstanceStatus::Failed)
            .then(|| "Scaleway has locked this server; only its support can tell why".to_owned()),
        plan: server.commercial_type.unwrap_or_default().into_owned(),
        image: server.image.and_then(|image| image.name.or(image.id)),
        addresses: addresses(ips, server.private_ip),
        tags: tags.into_iter().collect(),
        created_at: server.creation_date.and_then(|text| text.parse().ok()),
        metadata: raw,
    };
    Seen {
        instance,
        state: server.state.into_owned(),
        awaits_user_data: !marks.is_empty(),
        root: root.filter(|volume| volume.volume_type.as_deref() == Some("sbs_volume")).and_then(|volume| volume.id),
        protected: server.protected.unwrap_or(false),
        allowed: server.allowed_actions.unwrap_or_default(),
    }
}

/// What is no address is left out: a routed address may still be without one.
fn addresses(ips: Vec<api::Ip>, private: Option<String>) -> Addresses {
    let mut found = Addresses::default();
    for ip in ips.into_iter().filter_map(|ip| ip.address?.parse().ok()) {
        match ip {
            IpAddr::V4(ip) => found.public_v4.push(ip),
            IpAddr::V6(ip) => found.public_v6.push(ip),
        }
    }
    found.private.extend(private.and_then(|ip| ip.parse::<IpAddr>().ok()));
    found
}

/// The action that brings a server to the wanted power, if it takes one.
pub(super) fn power_action(seen: &Seen, to: Power) -> Result<Option<&'static str>> {
    let id = &seen.instance.id;
    let conflict = |message: String| Error::new(ErrorKind::Conflict, message).with_provider(&DESCRIPTOR.id);
    Ok(match (to, seen.state.as_str()) {
        (Power::ForceOff, _) => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "Scaleway cannot cut a server's power, only ask it to stop.",
            )
            .with_provider(&DESCRIPTOR.id)
            .with_hint(format!("Stop it with `capsule stop {id}`, without force.")));
        }
        (Power::On, "running" | "starting") | (Power::Off, "stopped" | "stopping") => None,
        (Power::On, "stopping") => {
            return Err(conflict(format!("{id} is still on its way down."))
                .with_retry(Retry::Backoff)
                .with_hint("Try again when it is stopped."));
        }
        // It is off, but keeps its place and price: where the vendor lets it, it is stopped for good.
        (Power::Off, "stopped in place") if !seen.allowed.iter().any(|action| action == "poweroff") => None,
        (Power::Reboot, "stopped" | "stopped in place") => {
            return Err(conflict(format!("{id} is off and cannot be rebooted."))
                .with_hint(format!("Start it with `capsule start {id}`.")));
        }
        (Power::On, _) => Some("poweron"),
        (Power::Off, _) => Some("poweroff"),
        (Power::Reboot, _) => Some("reboot"),
    })
}

/// The tag that the vendor filters a listing by.
pub(super) fn scope_tag(scope: &Scope) -> Result<Option<String>> {
    match scope {
        Scope::All => Ok(None),
        Scope::Owner(owner) | Scope::OwnerIn(owner, _) => TAGS.encode(OWNER, owner.as_str()).map(Some),
        Scope::Token(token) | Scope::TokenIn(token, _) => TAGS.encode(TOKEN, token.as_str()).map(Some),
    }
}

/// Each server of the scope once, oldest first. Paging is by offset, so one may show up on two pages.
pub(super) fn gather(found: Vec<Seen>, scope: &Scope) -> Vec<Seen> {
    let mut ids = HashSet::new();
    found
        .into_iter()
        .filter(|seen| scope.holds(&seen.instance.tags) && ids.insert(seen.instance.id.native.clone()))
        .collect()
}

/// How the name of a volume begins that create made; the token follows.
pub(super) fn volume_prefix(owner: &OwnerId) -> String {
    format!("capsule-{owner}-")
}

/// The tag that finds the volumes of a server after its end.
pub(super) fn volume_tag(id: &InstanceId) -> Result<String> {
    TAGS.encode(VOLUME_OF, &id.native)
}

// ---- Orders

/// Everything about an order that can be wrong before it is sent; gives its tags as the vendor's words.
pub(super) fn check(order: &Order, zones: &[&str]) -> Result<Vec<String>> {
    let spec = &order.spec;
    for (what, text) in [("plan", &spec.plan), ("region", &spec.region), ("image", &spec.image)] {
        if text.trim().is_empty() {
            return Err(
                invalid(format!("The order names no {what}.")).with_hint(format!("`capsule {what}s` lists them."))
            );
        }
    }
    if !zones.contains(&spec.region.as_str()) {
        let known = ZONES.iter().any(|(id, ..)| *id == spec.region);
        return Err(match known {
            true => {
                invalid(format!("The zone `{}` is not among the `regions` that are set for scaleway.", spec.region))
                    .with_hint("What Capsule makes it must be able to find again: add the zone, or order elsewhere.")
            }
            false => invalid(format!("`{}` is no zone of Scaleway.", spec.region))
                .with_hint(nearest::hint(&spec.region, zones.iter().copied())),
        });
    }
    if order.names.len() != CAPABILITIES.batch {
        return Err(invalid(format!("One call makes one server, not {}.", order.names.len())));
    }
    if let Some(name) = order.names.iter().find(|name| !is_name(name)) {
        return Err(invalid(format!("`{name}` cannot be a server's name: {}.", CAPABILITIES.name_rule)));
    }
    root_bytes(spec.disk_gib)?;
    if let Some(text) = &spec.user_data
        && text.len() > CAPABILITIES.user_data_max
    {
        let limit = CAPABILITIES.user_data_max;
        return Err(invalid(format!("The user-data has {} bytes; Scaleway takes at most {limit}.", text.len()))
            .with_hint("Let it fetch the larger part from elsewhere."));
    }
    if let Some((key, _)) = spec.tags.iter().find(|(key, _)| *key == AWAITS.0) {
        return Err(invalid(format!("The tag `{key}` is Capsule's own.")).with_hint("Take another key."));
    }
    let mut tags = spec.tags.at_birth(&order.owner, &order.token);
    if user_data(order).is_some() {
        tags.insert(AWAITS.0, AWAITS.1);
    }
    tags.iter().map(|(key, value)| TAGS.encode(key, value)).collect()
}

/// The vendor states no rule; the name becomes the host's name, so it has to be one.
fn is_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= 63
        && edge(name.chars().next())
        && edge(name.chars().last())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

/// The user-data of an order; empty is none.
pub(super) fn user_data(order: &Order) -> Option<&str> {
    order.spec.user_data.as_deref().filter(|text| !text.is_empty())
}

/// The size of the root volume. The vendor counts in whole gigabytes of 10^9, so it is rounded up to the next.
fn root_bytes(disk_gib: Option<u64>) -> Result<u64> {
    const GB: u64 = 1_000_000_000;
    let Some(gib) = disk_gib else { return Ok(ROOT_BYTES) };
    let bytes = gib.checked_mul(1 << 30).and_then(|bytes| bytes.div_ceil(GB).checked_mul(GB)).filter(|size| *size > 0);
    bytes.ok_or_else(|| invalid(format!("A disk of {gib} GiB cannot be had.")))
}

/// The body of a create.
pub(super) fn new_server<'a>(order: &'a Order, project: &'a str, tags: &'a [String]) -> Result<api::NewServer<'a>> {
    let root = api::NewVolume {
        // Whoever finds this volume alone can tell whose it was.
        name: format!("{}{}", volume_prefix(&order.owner), order.token),
        size: root_bytes(order.spec.disk_gib)?,
        volume_type: "sbs_volume",
    };
    let name = order.names.first().ok_or_else(|| invalid("The order has no name."))?;
    Ok(api::NewServer {
        name,
        commercial_type: &order.spec.plan,
        image: &order.spec.image,
        project,
        tags,
        dynamic_ip_required: true,
        volumes: BTreeMap::from([("0", root)]),
    })
}

/// A server just told to start for the first time: the answer to its order still says `stopped`.
pub(super) fn born(mut seen: Seen) -> Instance {
    if seen.instance.status == InstanceStatus::Stopped {
        seen.instance.status = InstanceStatus::Provisioning;
    }
    seen.instance
}

/// The key of a project that is meant: a line by its material, a word by id, name or fingerprint.
///
/// # Errors
/// [`ErrorKind::Conflict`] if it is there but switched off: then the vendor puts it on no server.
pub(super) fn find_key<'k>(
    known: &'k [api::SshKey],
    wanted: &SshKey,
    line: Option<&PublicKey>,
) -> Result<Option<&'k api::SshKey>> {
    let is = |key: &&api::SshKey| match (wanted, line) {
        (SshKey::Existing(word), _) => {
            // The vendor's fingerprint may come with its length and kind around it.
            let print = key.fingerprint.as_deref().unwrap_or_default();
            key.id == *word || key.name.as_deref() == Some(word) || print.split_whitespace().any(|part| part == word)
        }
        (SshKey::Public(_), Some(line)) => {
            // A key of a kind that we cannot read is nobody's match.
            key.public_key.parse::<PublicKey>().is_ok_and(|theirs| theirs.material() == line.material())
        }
        (SshKey::Public(_), None) => false,
    };
    let found: Vec<_> = known.iter().filter(is).collect();
    match found.iter().find(|key| key.disabled != Some(true)) {
        Some(key) => Ok(Some(key)),
        None if found.is_empty() => Ok(None),
        None => {
            Err(Error::new(ErrorKind::Conflict, format!("The ssh key {} is disabled in the project.", found[0].id))
                .with_provider(&DESCRIPTOR.id)
                .with_hint("Enable it in Scaleway's console, or take another key."))
        }
    }
}

pub(super) fn no_such_key(key: &SshKey) -> Error {
    let word = match key {
        SshKey::Existing(word) => word.as_str(),
        SshKey::Public(_) => "given",
    };
    invalid(format!("The project has no ssh key `{word}`."))
        .with_hint("Name one by id, name or fingerprint, or give the public key itself.")
}

/// A server that was made and never given its user-data would come up as something else than what was ordered.
pub(super) fn lacks_user_data(id: &InstanceId) -> Error {
    Error::new(ErrorKind::Conflict, format!("{id} was never given its user-data and is not started without it."))
        .with_provider(&DESCRIPTOR.id)
        .with_hint(format!(
            "Delete it with `capsule delete {id}` and deploy again, or set its user-data `{CLOUD_INIT}` in Scaleway's \
             console."
        ))
}

// ---- Account

/// The account behind a key: the project, since servers belong to one. `key` is what the key says about itself, where it
/// is known by name.
pub(super) fn account(project: &str, key: Option<Result<api::ApiKey>>) -> Account {
    let mut notes = Vec::new();
    match key {
        None => notes.push("Set `access_key` as well to see whose key it is and until when.".to_owned()),
        Some(Err(error)) => notes.push(format!("What the key may do cannot be read. {error}")),
        Some(Ok(key)) => {
            let whose = match (key.user_id, key.application_id) {
                (Some(user), _) => format!("user {user}"),
                (None, Some(application)) => format!("application {application}"),
                (None, None) => "somebody that it does not name".to_owned(),
            };
            notes.push(match key.expires_at {
                Some(at) => format!("The key belongs to {whose} and expires at {at}."),
                None => format!("The key belongs to {whose}."),
            });
        }
    }
    Account { id: project.to_owned(), status: None, quotas: Vec::new(), notes }
}

// ---- Errors

#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    /// A list, as far as is known; another shape must not hide the type.
    details: Option<Value>,
    fields: Option<Value>,
    precondition: Option<String>,
    help_message: Option<String>,
    reason: Option<String>,
    resource: Option<String>,
    current_state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Detail {
    argument_name: Option<String>,
    reason: Option<String>,
    help_message: Option<String>,
    resource: Option<String>,
    action: Option<String>,
    quota: Option<u64>,
    current: Option<u64>,
}

/// The error table: the vendor's `type` decides, whatever the status.
///
/// Kind, whether asking again helps, and the way out.
fn by_type(kind: &str) -> Option<(ErrorKind, Retry, &'static str)> {
    Some(match kind {
        "invalid_arguments" | "invalid_request_error" => (ErrorKind::Invalid, Retry::Never, ""),
        "precondition_failed" => (ErrorKind::Conflict, Retry::Never, ""),
        "denied_authentication" => (ErrorKind::Unauthenticated, Retry::Never, ""),
        "permissions_denied" => (
            ErrorKind::Forbidden,
            Retry::Never,
            "The key lacks this right, or there is no such project: check `project_id` and the key's policy in the \
             console.",
        ),
        "quotas_exceeded" => (
            ErrorKind::Quota,
            Retry::Never,
            "Delete what is not needed, or ask Scaleway to raise the quota of the organization.",
        ),
        "not_found" | "unknown_resource" => (ErrorKind::NotFound, Retry::Never, ""),
        "transient_state" => (ErrorKind::Conflict, Retry::Backoff, "Try again when the change under way is over."),
        "locked" => (ErrorKind::Conflict, Retry::Never, "Ask Scaleway's support why it is locked."),
        // (unsure) What expires is not told; it is no word about a server's end.
        "resource_expired" => (ErrorKind::Conflict, Retry::Never, ""),
        "out_of_stock" => (ErrorKind::NoCapacity, Retry::Never, "Take another zone or plan, or wait."),
        _ => return None,
    })
}

/// What an error body says. Bodies that are no JSON, as of a proxy, say nothing.
pub(super) fn diagnose(reply: &Reply) -> Diagnosis {
    let Ok(body) = reply.json::<Option<Refusal>>().map(Option::unwrap_or_default) else {
        return silent(reply);
    };
    if body.kind.is_none() && body.message.is_none() {
        return silent(reply);
    }
    let known = body.kind.as_deref().and_then(by_type);
    let mut kind = known.map(|(kind, ..)| kind);
    // An unknown plan or image may be "not found": the order is wrong, not the server missing.
    if reply.operation == "servers.create" && (kind == Some(ErrorKind::NotFound) || reply.status.as_u16() == 404) {
        kind = Some(ErrorKind::Invalid);
    }
    let hint = match (body.precondition.as_deref(), known) {
        (Some("protected_resource"), _) => Some("Switch its protection off in Scaleway's console first.".to_owned()),
        (Some(_), _) if body.help_message.is_some() => body.help_message.clone(),
        (_, Some((.., hint))) if !hint.is_empty() => Some(hint.to_owned()),
        _ => None,
    };
    Diagnosis {
        kind,
        retry: known.map(|(_, retry, _)| retry),
        // A refusal in the vendor's own words is one, even under a status that is none.
        effect: known.map(|_| Effect::None),
        message: Some(sentence(&body)),
        code: body.kind,
        hint,
        request_id: None,
    }
}

/// A 404 that is not Scaleway's says nothing about a server: the endpoint may be wrong, or something stands in front.
fn silent(reply: &Reply) -> Diagnosis {
    let kind = (reply.status.as_u16() == 404).then_some(ErrorKind::Protocol);
    let hint = kind.map(|_| "Check the endpoint: this answer is not Scaleway's own.".to_owned());
    Diagnosis { kind, hint, ..Diagnosis::default() }
}

/// The vendor's sentence with what it concerns.
fn sentence(body: &Refusal) -> String {
    let mut words = Vec::new();
    let details = body.details.clone().and_then(|details| serde_json::from_value::<Vec<Detail>>(details).ok());
    for detail in &details.unwrap_or_default() {
        let what = detail.argument_name.as_ref().or(detail.resource.as_ref());
        let numbers = detail.quota.map(|quota| format!("{} of {quota} in use", detail.current.unwrap_or_default()));
        let parts =
            [what, detail.reason.as_ref(), detail.action.as_ref(), numbers.as_ref(), detail.help_message.as_ref()];
        words.push(parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" "));
    }
    if let Some(Value::Object(fields)) = &body.fields {
        words.extend(fields.iter().map(|(field, faults)| format!("{field} {faults}")));
    }
    let plain = [&body.precondition, &body.resource, &body.current_state, &body.reason];
    words.extend(plain.into_iter().flatten().cloned());
    let message = body.message.as_deref().or(body.kind.as_deref()).unwrap_or_default().trim_end_matches('.').to_owned();
    if words.is_empty() { message } else { format!("{message} ({})", words.join("; ")) }
}
