//! Hivelocity's words into ours and back, without any I/O: the status table, the error table, host names and tags.

use std::net::IpAddr;

use capsule_core::http::{Diagnosis, Reply};
use capsule_core::tags::{FlatTags, TOKEN};
use capsule_core::{
    Account, Addresses, Effect, Error, ErrorKind, Instance, InstanceId, InstanceStatus, Order, Power, RawBody, Result,
    Retry, Tags, Token,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{CAPABILITIES, DESCRIPTOR, api};

/// The vendor names no rule for tags, so they stay within letters, digits and what every system takes.
pub(super) const TAGS: FlatTags = FlatTags { separator: ':', allowed: "-_.", escape: '_', max_length: 255 };

/// The tag that says when a server was ordered, in epoch seconds: no view of the vendor's has that. It is ours alone and
/// not shown as a tag.
const BORN: &str = "capsule-born";

/// What our host names end in: the vendor wants full names, and nobody can own one under `.example`.
const DOMAIN: &str = ".capsule.example";

/// The longest name of ours, so that name, token and domain together are a host name.
const NAME_MAX: usize = 253 - 1 - 26 - DOMAIN.len();

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_provider(&DESCRIPTOR.id)
}

// ---- Servers

/// The status table, first hit wins. Words are compared in lower case and without `_`: the same view spells them in two
/// ways.
pub(super) fn status(sps: Option<&str>, power: Option<&str>, reloads: bool, cancelled: bool) -> InstanceStatus {
    use InstanceStatus::*;
    let flat = |word: Option<&str>| word.unwrap_or_default().to_lowercase().replace('_', "");
    match (flat(sps).as_str(), flat(power).as_str()) {
        _ if cancelled => Deleting,
        // A reinstallation passes through these too.
        (
            "building"
            | "ipmiready"
            | "provisionable"
            | "reserved"
            | "waitforpxe"
            | "provisionstarted"
            | "provisionwaitforaddons"
            | "provisionfinished"
            | "waittocompleteorder"
            | "waittoassignservice"
            | "waitforhardwarescan"
            | "reloading",
            _,
        ) => Provisioning,
        ("failed" | "cleanupmovetofailed", _) => Failed,
        ("inuse" | "", _) if reloads => Provisioning,
        // Pending is a switch under way. From where to where it does not say.
        ("inuse" | "", "on" | "pending") => Running,
        ("inuse" | "", "off") => Stopped,
        _ => Unknown,
    }
}

/// What an order's word says about its servers; `None` where only the servers themselves can tell.
pub(super) fn order_status(word: &str) -> Option<InstanceStatus> {
    match word.to_lowercase().as_str() {
        "complete" => None,
        // Verification is done by people.
        "verification" | "lead" | "provisioning" | "assembling" => Some(InstanceStatus::Provisioning),
        "cancelled" => Some(InstanceStatus::Failed),
        _ => Some(InstanceStatus::Unknown),
    }
}

/// A server from its two views; the second may lag behind the first.
pub(super) fn instance(device: api::Device, raw: RawBody, seen: Option<api::Status>) -> Instance {
    let seen = seen.unwrap_or_default();
    let words = device.tags.or(seen.tags).unwrap_or_default();
    let power = seen.power_status.or(device.power_status);
    let sps = seen.sps_status.or_else(|| text_in(&seen.metadata, &["sps_status", "spsStatus"]));
    let cancelled = seen.has_cancellation.unwrap_or(false);
    let reloads = seen.is_reload.unwrap_or(false);
    let status = status(sps.as_deref(), power.as_deref(), reloads, cancelled);
    let mut native: Vec<&str> = [sps.as_deref(), power.as_deref()].into_iter().flatten().collect();
    native.extend(reloads.then_some("reloading"));
    native.extend(cancelled.then_some("cancelled"));
    let hostname = device.hostname.or(seen.hostname).unwrap_or_default();
    let region = device.location_name.or_else(|| facility(&seen.location));
    let (name, token) = read_hostname(&hostname);
    let (tags, created_at) = read_tags(&words, token);
    Instance {
        id: InstanceId::new(
            &DESCRIPTOR.id,
            region.unwrap_or_else(|| "unknown".to_owned()),
            device.device_id.to_string(),
        ),
        name,
        status,
        fault: (status == InstanceStatus::Failed).then(|| format!("Hivelocity says `{}`", native.join(" "))),
        native_status: native.join(" "),
        plan: device.product_id.map(|id| id.to_string()).unwrap_or_default(),
        image: device.os_name,
        addresses: addresses(device.primary_ip.or(seen.primary_ip).as_deref()),
        tags,
        created_at,
        metadata: raw,
    }
}

/// A server that only the status view has: one that was not ordered as an instant one. `None` for one of the past.
pub(super) fn elsewhere_ordered(seen: api::Status, raw: RawBody) -> Option<Instance> {
    if seen.status.as_deref().is_some_and(|word| word.eq_ignore_ascii_case("inactive")) {
        return None;
    }
    let device = api::Device { device_id: seen.device_id, ..api::Device::default() };
    Some(instance(device, raw, Some(seen)))
}

fn addresses(primary: Option<&str>) -> Addresses {
    let mut found = Addresses::default();
    match primary.and_then(|text| text.parse().ok()) {
        Some(IpAddr::V4(ip)) => found.public_v4.push(ip),
        Some(IpAddr::V6(ip)) => found.public_v6.push(ip),
        None => {}
    }
    found
}

/// The facility code in an untyped location.
fn facility(location: &Value) -> Option<String> {
    text_in(location, &["facilityCode", "facility_code", "facility", "code"])
}

/// The first of these keys that holds text.
pub(super) fn text_in(value: &Value, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| value.get(key)?.as_str()).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The number of a server.
pub(super) fn device_id(id: &InstanceId) -> Result<u64> {
    id.native.parse().map_err(|_| {
        invalid(format!("`{id}` is not the id of a Hivelocity device."))
            .with_hint("Device ids are numbers; `capsule list` shows them.")
    })
}

/// The action that brings a server from a state to the wanted power, if it takes one.
pub(super) fn power_action(id: &InstanceId, now: InstanceStatus, to: Power) -> Result<Option<&'static str>> {
    use InstanceStatus::*;
    let error = |kind, message| Error::new(kind, message).with_provider(&DESCRIPTOR.id);
    Ok(match (to, now) {
        (Power::ForceOff, _) => {
            return Err(error(
                ErrorKind::Unsupported,
                "Hivelocity has one way to switch off, and no forced one.".into(),
            )
            .with_hint(format!("Use `capsule stop {id}`.")));
        }
        (Power::On, Running | Provisioning) | (Power::Off, Stopped) => None,
        (Power::Off | Power::Reboot, Provisioning) => {
            return Err(error(ErrorKind::Conflict, format!("{id} is still being made."))
                .with_retry(Retry::Backoff)
                .with_hint("Try again when it runs."));
        }
        (Power::On, _) => Some("boot"),
        (Power::Off, _) => Some("shutdown"),
        (Power::Reboot, Stopped) => {
            return Err(error(ErrorKind::Conflict, format!("{id} is off and cannot be rebooted."))
                .with_hint(format!("Start it with `capsule start {id}`.")));
        }
        (Power::Reboot, _) => Some("reboot"),
    })
}

/// Why a server that is shown, or to come, cannot be ended by its id.
pub(super) fn cannot_end(id: &InstanceId, now: InstanceStatus) -> Error {
    let error =
        |kind, message| Error::new(kind, message).with_provider(&DESCRIPTOR.id).with_operation("devices.delete");
    if now == InstanceStatus::Provisioning || now == InstanceStatus::Unknown {
        // Only people can end an order.
        error(ErrorKind::Conflict, format!("The order of {id} is not done, and until then it cannot be cancelled."))
            .with_retry(Retry::After(CAPABILITIES.poll_interval))
            .with_hint("Try again when it runs, or ask Hivelocity's support to cancel the order.")
    } else {
        error(
            ErrorKind::Unsupported,
            format!("{id} was not ordered as an instant server; it cannot be cancelled here."),
        )
        .with_hint("Cancel it in Hivelocity's portal.")
    }
}

// ---- Orders

/// Everything about an order that can be wrong before it is sent; gives the plan's number.
pub(super) fn check(order: &Order) -> Result<u64> {
    let spec = &order.spec;
    for (what, text) in [("plan", &spec.plan), ("region", &spec.region), ("image", &spec.image)] {
        if text.trim().is_empty() {
            return Err(
                invalid(format!("The order names no {what}.")).with_hint(format!("`capsule {what}s` lists them."))
            );
        }
    }
    let product = spec.plan.parse().map_err(|_| {
        invalid(format!("There is no Hivelocity plan `{}`.", spec.plan))
            .with_hint("Plans are product numbers such as 2379; `capsule plans --provider hivelocity` lists them.")
    })?;
    if order.names.is_empty() || order.names.len() > CAPABILITIES.batch {
        let message = format!("One call makes 1 to {} servers, not {}.", CAPABILITIES.batch, order.names.len());
        return Err(invalid(message));
    }
    if let Some(name) = order.names.iter().find(|name| !is_name(name)) {
        return Err(invalid(format!("`{name}` cannot be a server's name: {}.", CAPABILITIES.name_rule)));
    }
    let unsupported = |message: &str, hint: &str| {
        Err(Error::new(ErrorKind::Unsupported, message).with_provider(&DESCRIPTOR.id).with_hint(hint))
    };
    if spec.disk_gib.is_some() {
        return unsupported("A server's disks come with its plan.", "Leave the disk size out, or choose another plan.");
    }
    if spec.ssh_keys.len() > 1 {
        return unsupported("Hivelocity puts one ssh key on a server.", "Add the others by user-data.");
    }
    if let Some(text) = &spec.user_data {
        let limit = CAPABILITIES.user_data_max;
        if text.len() > limit {
            let message = format!("The user-data has {} bytes; Capsule sends at most {limit}.", text.len());
            return Err(invalid(message).with_hint("Let it fetch the larger part from elsewhere."));
        }
        if !["#cloud-config", "#!", "#ps1"].iter().any(|start| text.starts_with(start)) {
            return Err(invalid("The user-data starts with none of `#cloud-config`, `#!` and `#ps1`.")
                .with_hint("Hivelocity tells by the first line what to do with it."));
        }
    }
    if spec.tags.get(BORN).is_some() {
        return Err(invalid(format!("The tag `{BORN}` is Capsule's own at Hivelocity.")));
    }
    birth_tags(order, Timestamp::UNIX_EPOCH)?;
    Ok(product)
}

/// Labels of lower-case letters, digits and inner dashes: a vendor that treats it as a host name may change the case.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= NAME_MAX && name.split('.').all(label)
}

/// `web` under a token as a full host name: both can be read back from it.
pub(super) fn hostname(name: &str, token: &Token) -> String {
    format!("{name}.{token}{DOMAIN}")
}

/// The name, and the token if the host name is one of ours; any other host name is a name as it stands.
pub(super) fn read_hostname(hostname: &str) -> (String, Option<Token>) {
    let ours = hostname.strip_suffix(DOMAIN).and_then(|rest| rest.rsplit_once('.'));
    match ours.map(|(name, token)| (name, token.parse())) {
        Some((name, Ok(token))) if !name.is_empty() => (name.to_owned(), Some(token)),
        _ => (hostname.to_owned(), None),
    }
}

/// The tags of a new server as the vendor's words.
pub(super) fn birth_tags(order: &Order, now: Timestamp) -> Result<Vec<String>> {
    let mut tags = order.spec.tags.at_birth(&order.owner, &order.token);
    tags.insert(BORN, now.as_second().to_string());
    tags.iter().map(|(key, value)| TAGS.encode(key, value)).collect()
}

/// Tags and birth. The token is also in the host name: whoever edits tags at the vendor replaces all of them.
fn read_tags(words: &[String], token: Option<Token>) -> (Tags, Option<Timestamp>) {
    let pairs = words.iter().map(|word| TAGS.decode(word));
    let (born, pairs): (Vec<_>, Vec<_>) = pairs.partition(|(key, _)| key == BORN);
    let born = born.first().and_then(|(_, seconds)| Timestamp::from_second(seconds.parse().ok()?).ok());
    let mut tags: Tags = pairs.into_iter().collect();
    if let Some(token) = token.filter(|_| tags.token().is_none()) {
        tags.insert(TOKEN, token.as_str());
    }
    (tags, born)
}

/// The body of each server ordered. The period is always told: longer ones are paid in advance.
pub(super) fn new_devices(
    order: &Order,
    product_id: u64,
    key: Option<u64>,
    now: Timestamp,
) -> Result<Vec<api::NewDevice<'_>>> {
    let tags = birth_tags(order, now)?;
    let one = |name: &String| api::NewDevice {
        product_id,
        location_name: &order.spec.region,
        os_name: &order.spec.image,
        hostname: hostname(name, &order.token),
        period: "hourly",
        tags: tags.clone(),
        script: order.spec.user_data.as_deref(),
        public_ssh_key_id: key,
    };
    Ok(order.names.iter().map(one).collect())
}

/// A server just ordered: it is shown under its own id only when the order is done.
pub(super) fn born(order: &Order, place: usize, device: api::Device, raw: RawBody, now: Timestamp) -> Instance {
    let mut instance = instance(device, raw, None);
    if !order.names.contains(&instance.name) {
        instance.name = order.names.get(place).cloned().unwrap_or_default();
    }
    instance.id.region = order.spec.region.clone();
    instance.plan = order.spec.plan.clone();
    instance.image = Some(order.spec.image.clone());
    instance.status = InstanceStatus::Provisioning;
    instance.native_status = "ordered".to_owned();
    instance.fault = None;
    instance.tags = order.spec.tags.at_birth(&order.owner, &order.token);
    instance.created_at = Timestamp::from_second(now.as_second()).ok();
    instance
}

/// The servers that an order's `info` tells whole. What it holds is not described, so it is searched: whatever has an
/// id, a host name and a place is one.
pub(super) fn told(order: &api::Order) -> Vec<Instance> {
    let mut found = Vec::new();
    for_each_object(&order.info, &mut |object| {
        let device = api::Device::from_value(object);
        if let Some(device) = device.filter(|d| d.hostname.is_some() && d.location_name.is_some()) {
            let raw = RawBody::from_value(object);
            found.push(ordered(instance(device, raw, None), order));
        }
    });
    found
}

/// Whether an order's `info` does not even say what was ordered, so that it may be anything.
pub(super) fn is_opaque(order: &api::Order) -> bool {
    let mut tells = false;
    for_each_object(&order.info, &mut |object| tells |= object.get("hostname").is_some_and(Value::is_string));
    !tells
}

fn for_each_object(value: &Value, visit: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(fields) => {
            visit(value);
            fields.values().for_each(|field| for_each_object(field, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| for_each_object(item, visit)),
        _ => {}
    }
}

/// A server that is not shown yet, in the state that its order gives it.
pub(super) fn ordered(mut instance: Instance, order: &api::Order) -> Instance {
    let word = order.status.as_deref().unwrap_or("without status");
    instance.status = order_status(word).unwrap_or(InstanceStatus::Provisioning);
    instance.native_status = format!("order {word}");
    instance.fault = (instance.status == InstanceStatus::Failed)
        .then(|| format!("Hivelocity cancelled order {}; ask its support for the reason", order.order_id));
    instance
}

/// It cannot be said whether something is missing: an order is under way that does not tell what it is for.
pub(super) fn undecided(what: &str, order: &api::Order) -> Error {
    let word = order.status.as_deref().unwrap_or("without status");
    let message = format!(
        "{what} is not shown, but order {} (`{word}`) is under way and does not tell what it is for.",
        order.order_id
    );
    Error::new(ErrorKind::Conflict, message)
        .with_provider(&DESCRIPTOR.id)
        .with_operation("orders.in_progress")
        .with_retry(Retry::After(CAPABILITIES.poll_interval))
        .with_hint("Look again when that order is complete or cancelled.")
}

// ---- Account

/// The account behind a key.
pub(super) fn account(profile: api::Profile) -> Account {
    let id = profile.email.or(profile.login).or_else(|| profile.id.map(|id| id.to_string())).unwrap_or_default();
    let id = match profile.company {
        Some(company) => format!("{id} ({company})"),
        None => id,
    };
    Account { id, status: None, quotas: Vec::new(), notes: Vec::new() }
}

// ---- Errors

/// The error table: the operations it is about, words of the vendor's own sentence in lower case, and what it means.
const SENTENCES: &[(&str, &str, ErrorKind, &str)] = &[
    ("power", "while server is powered", ErrorKind::Conflict, "Look at its state with `capsule show`."),
    ("create", "out of stock", ErrorKind::NoCapacity, NO_STOCK),
    ("batch", "out of stock", ErrorKind::NoCapacity, NO_STOCK),
];

/// What to do when there is none left.
pub(super) const NO_STOCK: &str = "Take another region or plan, or wait.";

/// What an error body says, in any of its four shapes; a body may also be empty or a page of HTML.
pub(super) fn diagnose(reply: &Reply) -> Diagnosis {
    let body: Value = reply.json().unwrap_or_default();
    let message = said(&body);
    let lower = message.as_deref().unwrap_or_default().to_lowercase();
    let verb = reply.operation.rsplit('.').next().unwrap_or_default();
    let diagnosis = Diagnosis {
        code: body.get("code").filter(|code| code.is_string() || code.is_number()).map(plain),
        message,
        ..Diagnosis::default()
    };
    let known = SENTENCES.iter().find(|(on, words, ..)| *on == verb && lower.contains(words));
    if let Some((_, _, kind, hint)) = known {
        return Diagnosis {
            kind: Some(*kind),
            retry: Some(Retry::Never),
            effect: Some(Effect::None),
            hint: Some((*hint).to_owned()),
            ..diagnosis
        };
    }
    match (verb, reply.status.as_u16()) {
        // The order is wrong, not the server missing.
        ("create" | "batch", 404) => Diagnosis { kind: Some(ErrorKind::Invalid), ..diagnosis },
        // "Device Cancellation Failed" tells of no fault in the request.
        ("delete", 400) => Diagnosis {
            kind: Some(ErrorKind::Conflict),
            retry: Some(Retry::Backoff),
            hint: Some("Try again, or cancel it in Hivelocity's portal.".to_owned()),
            ..diagnosis
        },
        // A device on its way from one state to another takes no orders; the sentence for that is not documented.
        ("power", 400) => Diagnosis { kind: Some(ErrorKind::Conflict), retry: Some(Retry::Backoff), ..diagnosis },
        _ => diagnosis,
    }
}

/// The vendor's sentence: `message`, `description`, or the complaints about single fields.
fn said(body: &Value) -> Option<String> {
    let whole = ["message", "description"].iter().filter_map(|key| body.get(key)).map(plain);
    let fields =
        ["schema_errors", "errors"].iter().filter_map(|key| body.get(key)).flat_map(|complaints| match complaints {
            Value::Object(fields) => fields.iter().map(|(field, why)| format!("{field}: {}", plain(why))).collect(),
            other => vec![plain(other)],
        });
    whole.chain(fields).find(|text| !text.is_empty())
}

/// Text, or a list of texts, as one text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => items.iter().map(plain).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "),
        _ => String::new(),
    }
}
