//! Vultr's words into ours and back, without any I/O: the status table, the error table, prices and tags.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capsule_core::http::{Diagnosis, Reply};
use capsule_core::tags::FlatTags;
use capsule_core::{
    Account, Addresses, Architecture, BillingUnit, Catalog, Currency, Effect, Error, ErrorKind, Gpu, Image, Instance,
    InstanceId, InstanceStatus, Money, Offer, Order, Plan, PlanKind, Power, Price, RawBody, Region, Result, Retry,
    Stock,
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::api::{self, ImageRef, Kind};
use super::{CAPABILITIES, DESCRIPTOR, billing};

/// (unsure) No rule for tags is documented; the examples hold letters and spaces. These characters are safe in all.
pub(super) const TAGS: FlatTags = FlatTags { separator: ':', allowed: "-_", escape: '_', max_length: 255 };

/// What stands before the UUID of a bare metal in our ids: the vendor's own tell nothing.
const METAL: &str = "bm-";

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_provider(&DESCRIPTOR.id)
}

// ---- Servers

/// The status table: `status`, `power_status` and `server_status` together. Bare metal has the first alone.
pub(super) fn status(kind: Kind, status: &str, power: &str, server: &str) -> InstanceStatus {
    use InstanceStatus::*;
    match (kind, status, power, server) {
        // "installing" is no documented word here, but the vendor's own tools wait for its end.
        (_, "pending" | "installing" | "resizing", ..) => Provisioning,
        (_, "suspended", ..) => Failed,
        (Kind::Metal, "active", ..) => Running,
        (Kind::Virtual, "active", "running", "ok") => Running,
        (Kind::Virtual, "active", "running", "none" | "locked" | "installing" | "booting" | "installingbooting") => {
            Provisioning
        }
        (Kind::Virtual, "active", "stopped", "locked") => Unknown,
        (Kind::Virtual, "active", "stopped", _) => Stopped,
        _ => Unknown,
    }
}

/// A server of theirs as one of ours.
pub(super) fn instance(kind: Kind, server: api::Server<'_>, raw: RawBody) -> Instance {
    let words = [&server.status, &server.power_status, &server.server_status].map(|word| word.as_deref().unwrap_or(""));
    let status = status(kind, words[0], words[1], words[2]);
    let text = |word: &Option<Cow<'_, str>>| word.as_deref().unwrap_or("").to_owned();
    let region = server.region.as_deref().filter(|region| !region.is_empty()).unwrap_or("unknown");
    Instance {
        id: InstanceId::new(&DESCRIPTOR.id, region, native_id(kind, &server.id)),
        name: text(&server.label),
        status,
        native_status: native_status(words),
        fault: (status == InstanceStatus::Failed).then(|| {
            "Vultr suspended this server, for its bill or for abuse; its support portal tells which".to_owned()
        }),
        plan: text(&server.plan),
        image: image_of(&server),
        addresses: addresses(&server),
        tags: server.tags.iter().flatten().map(|word| TAGS.decode(word)).collect(),
        created_at: server.date_created.and_then(|text| text.parse().ok()),
        metadata: raw,
    }
}

/// The words that there are, with slashes between.
fn native_status(words: [&str; 3]) -> String {
    let mut all = String::new();
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        if !all.is_empty() {
            all.push('/');
        }
        all.push_str(word);
    }
    all
}

/// What it boots. Ids that are not set are 0 or empty.
fn image_of(server: &api::Server<'_>) -> Option<String> {
    let number = |id: Option<u64>| id.filter(|id| *id != 0).map(|id| id.to_string());
    let word = |id: &Option<Cow<'_, str>>| id.as_deref().filter(|id| !id.is_empty()).map(str::to_owned);
    // A server from an application or a snapshot has a number for "Application" or "Snapshot" as its system.
    let made_from = word(&server.image_id).or_else(|| word(&server.snapshot_id)).or_else(|| number(server.app_id));
    made_from.or_else(|| number(server.os_id))
}

/// What is not assigned yet is 0.0.0.0, `::` or empty.
fn addresses(server: &api::Server<'_>) -> Addresses {
    let v6 = server.v6_networks.iter().flatten().filter_map(|network| network.main_ip.as_deref());
    let mut public_v6: Vec<Ipv6Addr> = Vec::new();
    for ip in server.v6_main_ip.as_deref().into_iter().chain(v6).filter_map(|text| text.parse::<Ipv6Addr>().ok()) {
        if !ip.is_unspecified() && !public_v6.contains(&ip) {
            public_v6.push(ip);
        }
    }
    let v4 = server.main_ip.as_deref().and_then(|text| text.parse::<Ipv4Addr>().ok());
    let private = server.internal_ip.as_deref().and_then(|text| text.parse::<IpAddr>().ok());
    Addresses {
        public_v4: v4.into_iter().filter(|ip| !ip.is_unspecified()).collect(),
        public_v6,
        private: private.into_iter().filter(|ip| !ip.is_unspecified()).collect(),
    }
}

fn native_id(kind: Kind, id: &str) -> String {
    match kind {
        Kind::Virtual => id.to_owned(),
        Kind::Metal => format!("{METAL}{id}"),
    }
}

/// Whether our id is that of bare metal.
pub(super) fn is_metal(id: &InstanceId) -> bool {
    id.native.starts_with(METAL)
}

/// The vendor's own id in ours.
pub(super) fn uuid(id: &InstanceId) -> &str {
    id.native.strip_prefix(METAL).unwrap_or(&id.native)
}

/// Kind and UUID of a server: the way back from our id.
pub(super) fn locate(id: &InstanceId) -> Result<(Kind, &str)> {
    let (kind, uuid) = match id.native.strip_prefix(METAL) {
        Some(uuid) => (Kind::Metal, uuid),
        None => (Kind::Virtual, id.native.as_str()),
    };
    if uuid.is_empty() || !uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Err(invalid(format!("`{id}` is not the id of a Vultr server."))
            .with_hint("Their ids are UUIDs, of bare metal with `bm-` before; `capsule list` shows them."));
    }
    Ok((kind, uuid))
}

/// What to ask of a server to get it from a state to the wanted power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Start,
    Halt,
    Reboot,
}

/// The call that brings a server to the wanted power, if it takes one.
///
/// Whether bare metal is on cannot be seen, so a start of it is always asked for.
pub(super) fn power_call(id: &InstanceId, kind: Kind, now: InstanceStatus, to: Power) -> Result<Option<Ask>> {
    use InstanceStatus::*;
    Ok(match (to, now) {
        // Starting what runs may restart it.
        (Power::On, Running | Provisioning) if kind == Kind::Virtual => None,
        (Power::On, _) => Some(Ask::Start),
        (Power::Off | Power::ForceOff, Stopped) => None,
        (Power::Off | Power::ForceOff, _) => Some(Ask::Halt),
        (Power::Reboot, Stopped) => {
            return Err(Error::new(ErrorKind::Conflict, format!("{id} is off and cannot be rebooted."))
                .with_provider(&DESCRIPTOR.id)
                .with_hint(format!("Start it with `capsule start {id}`.")));
        }
        (Power::Reboot, _) => Some(Ask::Reboot),
    })
}

// ---- Orders

/// A server's tags as they stand at the vendor.
pub(super) fn words(server: api::Server<'_>) -> Vec<String> {
    server.tags.into_iter().flatten().map(Cow::into_owned).collect()
}

/// Everything about an order that can be wrong before it is sent; gives its tags as the vendor's words.
pub(super) fn check(order: &Order) -> Result<Vec<String>> {
    let spec = &order.spec;
    for (what, text) in [("plan", &spec.plan), ("region", &spec.region), ("image", &spec.image)] {
        if text.trim().is_empty() {
            return Err(
                invalid(format!("The order names no {what}.")).with_hint(format!("`capsule {what}s` lists them."))
            );
        }
    }
    if order.names.len() != CAPABILITIES.batch {
        return Err(invalid(format!("One call makes 1 server, not {}.", order.names.len())));
    }
    if let Some(name) = order.names.iter().find(|name| !is_name(name)) {
        return Err(invalid(format!("`{name}` cannot be a server's name: {}.", CAPABILITIES.name_rule)));
    }
    if spec.disk_gib.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "A disk at Vultr comes with its plan and has no size of its own.",
        )
        .with_provider(&DESCRIPTOR.id)
        .with_hint("Leave the disk size out, or choose a plan with a larger disk."));
    }
    let (size, limit) = (spec.user_data.as_ref().map_or(0, String::len), CAPABILITIES.user_data_max);
    if size > limit {
        return Err(invalid(format!("The user-data has {size} bytes; a Vultr server takes at most {limit}."))
            .with_hint("Let it fetch the larger part from elsewhere."));
    }
    let tags = spec.tags.at_birth(&order.owner, &order.token);
    tags.iter()
        .map(|(key, value)| TAGS.encode(key, value).map_err(|error| error.with_provider(&DESCRIPTOR.id)))
        .collect()
}

/// The name is the label, which may be anything, and the host name, which may not.
fn is_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// The body of a create.
pub(super) fn new_server<'a>(
    order: &'a Order,
    sshkey_id: Vec<String>,
    tags: Vec<String>,
) -> Result<api::NewServer<'a>> {
    let name = order.names.first().ok_or_else(|| invalid("The order has no name."))?;
    Ok(api::NewServer {
        region: &order.spec.region,
        plan: &order.spec.plan,
        image: image_ref(&order.spec.image),
        label: name,
        hostname: name,
        tags,
        sshkey_id,
        user_data: order.spec.user_data.as_ref().map(|text| STANDARD.encode(text)),
        enable_ipv6: true,
        activation_email: false,
    })
}

/// Operating systems have numbers, snapshots UUIDs, applications words.
fn image_ref(image: &str) -> ImageRef<'_> {
    let is_uuid = image.len() == 36
        && image.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    match image.parse() {
        Ok(number) => ImageRef::System(number),
        Err(_) if is_uuid => ImageRef::Snapshot(image),
        Err(_) => ImageRef::Application(image),
    }
}

// ---- Account and catalogue

/// The account behind a key.
pub(super) fn account(account: api::Account) -> Account {
    /// What Capsule needs, and what for.
    const RIGHTS: [(&str, &str); 3] =
        [("subscriptions_view", "list servers"), ("provisioning", "make servers"), ("subscriptions", "change servers")];
    let notes = match account.acls {
        None => Vec::new(),
        Some(acls) => RIGHTS
            .iter()
            .filter(|(right, _)| !acls.iter().any(|acl| acl == right))
            .map(|(right, what)| format!("The key may not {what}: its user lacks the right `{right}`."))
            .collect(),
    };
    let named = [account.email, account.name].into_iter().flatten().find(|name| !name.is_empty());
    // Neither field is promised.
    Account { id: named.unwrap_or_else(|| "Vultr account".to_owned()), status: None, quotas: Vec::new(), notes }
}

/// Everything on offer in the wanted regions; `stock` tells which plans each region has left.
pub(super) fn catalog(
    at: Timestamp,
    regions: Vec<api::Region>,
    plans: Vec<api::Plan>,
    metal_plans: Vec<api::Plan>,
    systems: Vec<api::Os>,
    stock: &HashMap<String, HashSet<String>>,
) -> Catalog {
    let mut seen = HashSet::new();
    let regions: Vec<Region> =
        regions.into_iter().map(region).filter(|region| seen.insert(region.id.clone())).collect();
    // (unsure) The vendor's example of a region's stock has no bare metal: where none has any, nothing is told about it.
    let metal_is_told = metal_plans.iter().any(|plan| stock.values().any(|left| left.contains(&plan.id)));
    let kinds = plans.into_iter().map(|plan| (Kind::Virtual, plan));
    let kinds = kinds.chain(metal_plans.into_iter().map(|plan| (Kind::Metal, plan)));
    let (mut plans, mut offers, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (kind, plan) in kinds {
        if !seen.insert(plan.id.clone()) {
            continue;
        }
        let sold = plan.locations.as_deref().unwrap_or_default();
        for region in regions.iter().filter(|region| sold.contains(&region.id)) {
            offers.push(Offer {
                plan: plan.id.clone(),
                region: region.id.clone(),
                price: price(&plan, &region.id),
                stock: match stock.get(&region.id) {
                    Some(left) if left.contains(&plan.id) => Stock::Available,
                    Some(_) if kind == Kind::Virtual || metal_is_told => Stock::Out,
                    _ => Stock::Untold,
                },
            });
        }
        plans.push(self::plan(kind, plan));
    }
    let mut seen = HashSet::new();
    let images = systems.into_iter().filter_map(image).filter(|image| seen.insert(image.id.clone())).collect();
    Catalog { provider: DESCRIPTOR.id.clone(), at, regions, plans, images, offers }
}

fn region(region: api::Region) -> Region {
    Region {
        name: region.city.unwrap_or_else(|| region.id.clone()),
        country: region.country.filter(|code| code.len() == 2),
        available: true,
        id: region.id,
    }
}

fn plan(kind: Kind, plan: api::Plan) -> Plan {
    let whole = |number: Option<Decimal>| number.and_then(|number| u64::try_from(number.trunc()).ok());
    let gpu = plan.gpu_brand.filter(|brand| !brand.is_empty() && brand != "none");
    let described = plan.name.or(plan.cpu_model.filter(|model| !model.is_empty()));
    Plan {
        name: match described.filter(|name| !name.is_empty()) {
            Some(words) => format!("{words} ({})", plan.id),
            None => plan.id.clone(),
        },
        id: plan.id,
        kind: match kind {
            Kind::Virtual => PlanKind::Virtual,
            Kind::Metal => PlanKind::BareMetal,
        },
        architecture: Architecture::X86_64,
        vcpus: plan.vcpu_count.or(plan.cpu_threads).or(plan.cpu_count).unwrap_or(0),
        memory_mib: whole(plan.ram).unwrap_or(0),
        disk_gib: whole(plan.disk).unwrap_or(0).saturating_mul(plan.disk_count.unwrap_or(1).max(1)),
        disk_elastic: false,
        transfer_gib: whole(plan.bandwidth),
        // (unsure) How many there are is not told; some plans have a part of one.
        gpu: gpu.map(|brand| Gpu { model: plan.gpu_type.filter(|t| !t.is_empty()).unwrap_or(brand), count: 1 }),
    }
}

/// The region's own price first. An hourly price of 0 or none is a plan that is sold by the month.
fn price(plan: &api::Plan, region: &str) -> Option<Price> {
    let cost = plan.location_cost.get(region);
    let (hourly, monthly) = match cost {
        Some(cost) => (cost.hourly_cost, cost.monthly_cost),
        None => (plan.hourly_cost, plan.monthly_cost),
    };
    let sum = |amount: Option<Decimal>| amount.filter(|n| *n > Decimal::ZERO).map(|n| Money::new(n, Currency::USD));
    match (sum(hourly), sum(monthly)) {
        // Virtual and whole machines are billed by one rule.
        (Some(hourly), monthly) => Some(billing::VIRTUAL.price(hourly, BillingUnit::Hour, monthly, 0)),
        (None, Some(monthly)) => {
            let price = billing::VIRTUAL.price(monthly, BillingUnit::Month, Some(monthly), 0);
            Some(Price { rule: billing::MONTHLY.clone(), ..price })
        }
        (None, None) => None,
    }
}

/// What a number alone orders: not the entries that stand for a snapshot, a backup, an application or an ISO image.
fn image(system: api::Os) -> Option<Image> {
    let family = system.family.unwrap_or_default();
    if ["application", "backup", "custom", "iso", "snapshot"].contains(&family.as_str()) {
        return None;
    }
    let name = system.name.unwrap_or_default();
    let architecture = match system.arch.as_deref() {
        Some("x64") => Some(Architecture::X86_64),
        Some("arm64") => Some(Architecture::Arm64),
        _ => None,
    };
    Some(Image {
        id: system.id.to_string(),
        os: architecture.and_then(|_| os(&family, &name)),
        cloud_init: !["windows", "freebsd", "openbsd"].contains(&family.as_str()),
        name,
        architecture,
        kind: None,
        regions: Vec::new(),
    })
}

/// `Ubuntu 24.04 LTS x64` of the family `ubuntu` is `ubuntu-24.04`.
fn os(family: &str, name: &str) -> Option<String> {
    let system = match family {
        "centos" if name.contains("Stream") => "centos-stream",
        "almalinux" | "centos" | "debian" | "fedora" | "freebsd" | "openbsd" | "ubuntu" => family,
        "rockylinux" => "rocky",
        _ => return None,
    };
    let version = name.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| format!("{system}-{version}"))
}

// ---- Errors

/// One row of the error table: what a refusal says, to which operations, and what that means.
struct Sentence {
    /// In lower case; any of them.
    words: &'static [&'static str],
    /// Whether it means this only as an answer to a create.
    of_create: bool,
    kind: ErrorKind,
    retry: Retry,
    effect: Option<Effect>,
    hint: &'static str,
}

/// The error table. The vendor has no codes, and one status stands for much; only the sentence tells which.
///
/// The first two are known from reports in the field; the words for stock and limits are not documented (unsure).
const SENTENCES: &[Sentence] = &[
    Sentence {
        words: &["currently locked"],
        of_create: false,
        kind: ErrorKind::Conflict,
        retry: Retry::Backoff,
        effect: Some(Effect::None),
        hint: "It is being installed, saved or changed; try again when that is over.",
    },
    Sentence {
        words: &["unauthorized ip"],
        of_create: false,
        kind: ErrorKind::Forbidden,
        retry: Retry::Never,
        effect: None,
        hint: "The key is good, but not from this address. Add the address to the key's access control at \
            https://my.vultr.com/settings/#settingsapi; a machine with IPv6 may go out by another one than you expect.",
    },
    Sentence {
        words: &["sold out", "out of stock", "not available", "unavailable", "no longer available"],
        of_create: true,
        kind: ErrorKind::NoCapacity,
        retry: Retry::Never,
        effect: Some(Effect::None),
        hint: "Take another region or plan, or wait.",
    },
    Sentence {
        words: &["limit", "maximum", "quota"],
        of_create: true,
        kind: ErrorKind::Quota,
        retry: Retry::Never,
        effect: None,
        hint: "Delete servers that are not needed, or ask Vultr to raise the limit.",
    },
];

/// What an error body says: `{"error": "text", "status": 404}`. Pages of the network in front say nothing.
pub(super) fn diagnose(reply: &Reply) -> Diagnosis {
    #[derive(Deserialize)]
    struct Body {
        error: Option<String>,
    }
    let message = reply.json::<Body>().ok().and_then(|body| body.error);
    let said = message.as_deref().unwrap_or_default().to_lowercase();
    let (operation, status) = (reply.operation, reply.status.as_u16());
    let of_create = matches!(operation, "instances.create" | "metals.create");
    let known = SENTENCES.iter().find(|row| {
        // A wrong key, a missing right and too many requests stand for themselves; what broke down tells no reason.
        let fits = if row.of_create { of_create && matches!(status, 400 | 404 | 409 | 412 | 422) } else { true };
        fits && row.words.iter().any(|words| said.contains(words))
    });
    if let Some(row) = known {
        return Diagnosis {
            kind: Some(row.kind),
            retry: Some(row.retry),
            effect: row.effect,
            hint: Some(row.hint.to_owned()),
            message,
            ..Diagnosis::default()
        };
    }
    let kind = match (operation, status) {
        // An unknown plan, region or image may be "not found": the order is wrong, not the server missing.
        _ if of_create && status == 404 => Some(ErrorKind::Invalid),
        // Somebody ended it before: to a delete that is as good as gone.
        ("instances.delete" | "metals.delete", _) if said.contains("pending destruction") => Some(ErrorKind::NotFound),
        _ => None,
    };
    Diagnosis { kind, message, ..Diagnosis::default() }
}
