//! Equinix Metal's words into ours and back, without any I/O: the status table, the error table, prices and tags.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use capsule_core::http::{Diagnosis, Reply};
use capsule_core::tags::{FlatTags, OWNER, TOKEN};
use capsule_core::{
    Account, Addresses, Architecture, BillingUnit, Catalog, Currency, Error, ErrorKind, Image, Instance, InstanceId,
    InstanceStatus, Lifecycle, Money, Offer, Order, Plan, PlanKind, Power, Price, RawBody, Region, Result, Retry,
    Scope, Stock,
};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use super::{CAPABILITIES, DESCRIPTOR, api, billing};

/// (unsure) No rule for tags is documented. These characters are safe in all.
pub(super) const TAGS: FlatTags = FlatTags { separator: ':', allowed: "-_", escape: '_', max_length: 255 };

/// The vendor's word for a device that is gone but still told of.
const DELETED: &str = "deleted";

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_provider(&DESCRIPTOR.id)
}

/// 8-4-4-4-12 hexadecimal digits: all ids are such.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// The project stands in most paths, so what it must look like is said before anything is sent.
pub(super) fn check_project(id: &str) -> Result<()> {
    if is_uuid(id) {
        return Ok(());
    }
    let help = DESCRIPTOR.settings.iter().find(|setting| setting.key == "project_id").map_or("", |s| s.help);
    Err(Error::new(ErrorKind::Config, format!("equinix: `project_id` is `{id}`, which is not a UUID."))
        .with_provider(&DESCRIPTOR.id)
        .with_hint(help))
}

// ---- The end of the service

/// Since when it is off, and whom to use instead.
fn retired() -> (Date, &'static str) {
    match DESCRIPTOR.lifecycle {
        Lifecycle::Retired { on, instead } => (on, instead),
        Lifecycle::Live => (Date::ZERO, ""),
    }
}

/// The answer to an order that would go to the vendor's own host.
pub(super) fn takes_no_orders() -> Error {
    let (on, instead) = retired();
    Error::new(ErrorKind::Unsupported, format!("{} was switched off on {on} and takes no orders.", DESCRIPTOR.name))
        .with_provider(&DESCRIPTOR.id)
        .with_operation("devices.create")
        .with_hint(format!("Use {instead}; --force sends the order all the same."))
}

/// Since the vendor's host was switched off, a refusal by it means just that: neither is the key wrong nor a server gone.
pub(super) fn of_a_dead_host(error: Error) -> Error {
    let unreached =
        error.http_status().is_none() && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout);
    if !unreached && !matches!(error.http_status(), Some(401 | 403 | 404 | 410)) {
        return error;
    }
    let (on, instead) = retired();
    let hint = format!(
        "Use {instead}, and take the key out of the settings. Where the service still runs, set `endpoint` \
         ({} or another): then its answers are taken as they are.",
        DESCRIPTOR.endpoint
    );
    error
        .context(format!("{} was switched off on {on}", DESCRIPTOR.name))
        .with_kind(ErrorKind::Unavailable)
        .with_retry(Retry::Never)
        .with_hint(hint)
}

// ---- Servers

/// The status table.
pub(super) fn status(state: &str) -> InstanceStatus {
    use InstanceStatus::*;
    match state {
        "queued" | "provisioning" | "reinstalling" | "powering_on" => Provisioning,
        "active" | "powering_off" => Running,
        "inactive" => Stopped,
        "deprovisioning" | DELETED => Deleting,
        "failed" => Failed,
        _ => Unknown,
    }
}

/// A device as a server of ours.
pub(super) fn instance(device: api::Device<'_>, raw: RawBody) -> Instance {
    let text = |word: Option<Cow<'_, str>>| word.unwrap_or_default().into_owned();
    let state = text(device.state);
    let status = status(&state);
    let metro = device.metro.and_then(|metro| metro.code).filter(|code| !code.is_empty());
    Instance {
        id: InstanceId::new(
            &DESCRIPTOR.id,
            metro.map_or_else(|| "unknown".to_owned(), Cow::into_owned),
            device.id.into_owned(),
        ),
        name: text(device.hostname),
        status,
        native_status: state,
        fault: (status == InstanceStatus::Failed).then(|| {
            "Equinix Metal could not provision or deprovision this device; its events tell why, and it is to be deleted"
                .to_owned()
        }),
        plan: text(device.plan.and_then(|plan| plan.slug)),
        image: device.operating_system.and_then(|system| system.slug).map(Cow::into_owned),
        addresses: addresses(device.ip_addresses.unwrap_or_default()),
        tags: device.tags.iter().flatten().map(|word| TAGS.decode(word)).collect(),
        created_at: device.created_at.and_then(|text| text.parse().ok()),
        metadata: raw,
    }
}

/// Each address by what the vendor says of it. What is no address is left out.
fn addresses(listed: Vec<api::Address<'_>>) -> Addresses {
    let mut found = Addresses::default();
    for address in listed {
        let ip = address.address.and_then(|text| text.parse::<IpAddr>().ok());
        match (ip, address.public.unwrap_or(false)) {
            (Some(IpAddr::V4(ip)), true) => found.public_v4.push(ip),
            (Some(IpAddr::V6(ip)), true) => found.public_v6.push(ip),
            (Some(ip), false) => found.private.push(ip),
            (None, _) => {}
        }
    }
    found
}

/// Whether the vendor does not say that it is gone.
pub(super) fn is_there(instance: &Instance) -> bool {
    instance.native_status != DELETED
}

/// The vendor's id of a device.
pub(super) fn device_id(id: &InstanceId) -> Result<&str> {
    if is_uuid(&id.native) {
        return Ok(&id.native);
    }
    Err(invalid(format!("`{id}` is not the id of an Equinix Metal device."))
        .with_hint("Their ids are UUIDs; `capsule list` shows them."))
}

/// The action that brings a device from a state to the wanted power, if it takes one.
pub(super) fn power_action(id: &InstanceId, now: InstanceStatus, to: Power) -> Result<Option<&'static str>> {
    use InstanceStatus::*;
    Ok(match (to, now) {
        (Power::On, Running | Provisioning) | (Power::Off | Power::ForceOff, Stopped) => None,
        (Power::On, _) => Some("power_on"),
        (Power::Off | Power::ForceOff, _) => Some("power_off"),
        (Power::Reboot, Stopped) => {
            return Err(Error::new(ErrorKind::Conflict, format!("{id} is off and cannot be rebooted."))
                .with_provider(&DESCRIPTOR.id)
                .with_hint(format!("Start it with `capsule start {id}`.")));
        }
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

// ---- Orders

/// A device's tags as they stand at the vendor.
pub(super) fn words(device: api::Device<'_>) -> Vec<String> {
    device.tags.into_iter().flatten().map(Cow::into_owned).collect()
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
    if spec.region == "any" {
        return Err(invalid(
            "`any` is no metro: prices differ between metros, so Equinix Metal is not left to choose.",
        )
        .with_hint("`capsule regions --provider equinix` lists them."));
    }
    if order.names.len() != CAPABILITIES.batch {
        return Err(invalid(format!("One call makes 1 server, not {}.", order.names.len())));
    }
    if let Some(name) = order.names.iter().find(|name| !is_name(name)) {
        return Err(invalid(format!("`{name}` cannot be a server's name: {}.", CAPABILITIES.name_rule)));
    }
    if spec.disk_gib.is_some() {
        let message = "The disks of an Equinix Metal device come with its plan and have no size of their own.";
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_provider(&DESCRIPTOR.id)
            .with_hint("Leave the disk size out, or choose a plan with larger disks."));
    }
    let (size, limit) = (spec.user_data.as_ref().map_or(0, String::len), CAPABILITIES.user_data_max);
    if size > limit {
        let message = format!("The user-data has {size} bytes; an Equinix Metal device is given at most {limit}.");
        return Err(invalid(message).with_hint("Let it fetch the larger part from elsewhere."));
    }
    let tags = spec.tags.at_birth(&order.owner, &order.token);
    tags.iter()
        .map(|(key, value)| TAGS.encode(key, value).map_err(|error| error.with_provider(&DESCRIPTOR.id)))
        .collect()
}

/// A host name: the vendor takes no underscores.
fn is_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

/// The body of a create. Whoever names no keys gets none: the vendor would put those of all the project's members on it.
pub(super) fn new_device<'a>(order: &'a Order, keys: Vec<String>, tags: Vec<String>) -> Result<api::NewDevice<'a>> {
    Ok(api::NewDevice {
        metro: &order.spec.region,
        plan: &order.spec.plan,
        operating_system: &order.spec.image,
        hostname: order.names.first().ok_or_else(|| invalid("The order has no name."))?,
        billing_cycle: "hourly",
        tags,
        userdata: order.spec.user_data.as_deref(),
        no_ssh_keys: keys.is_empty(),
        project_ssh_keys: keys,
    })
}

// ---- Account and catalogue

/// The project behind the settings: a project's key knows of no user.
pub(super) fn account(project: api::Project) -> Account {
    let id = match project.name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{name} (project {})", project.id),
        None => format!("project {}", project.id),
    };
    Account { id, status: None, quotas: Vec::new(), notes: Vec::new() }
}

/// Everything on offer in the wanted metros.
pub(super) fn catalog(
    at: Timestamp,
    wanted: &[String],
    plans: Vec<api::Plan>,
    metros: Vec<api::Metro>,
    systems: Vec<api::System>,
    capacity: &HashMap<String, HashMap<String, api::Capacity>>,
) -> Catalog {
    // Plans name metros by a link that ends in their id.
    let codes: HashMap<String, String> =
        metros.iter().filter_map(|metro| Some((metro.id.clone()?, metro.code.clone()?))).collect();
    let mut seen = HashSet::new();
    let regions: Vec<Region> = metros
        .into_iter()
        .filter_map(region)
        .filter(|region| wanted.is_empty() || wanted.contains(&region.id))
        .filter(|region| seen.insert(region.id.clone()))
        .collect();
    let (mut listed, mut offers, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for plan in plans {
        let metal = plan.line.as_deref().is_none_or(|line| line == "baremetal");
        let Some(slug) = plan.slug.clone().filter(|slug| metal && seen.insert(slug.clone())) else { continue };
        // What is sold to the highest bidder alone cannot be ordered by its price.
        let on_demand = plan.deployment_types.as_ref().is_none_or(|types| types.iter().any(|word| word == "on_demand"));
        for place in plan.available_in_metros.iter().flatten().filter(|_| on_demand) {
            let linked = place.href.as_deref().and_then(|href| codes.get(href.rsplit('/').next()?));
            let Some(code) = place.code.as_ref().or(linked) else { continue };
            let twice = offers.iter().any(|offer: &Offer| offer.plan == slug && offer.region == *code);
            if twice || !regions.iter().any(|region| region.id == *code) {
                continue;
            }
            let level = capacity.get(code).and_then(|plans| plans.get(&slug)).and_then(|left| left.level.as_deref());
            let hourly = [&place.price, &plan.pricing].into_iter().flatten().find_map(|rates| rates.hour);
            offers.push(Offer { plan: slug.clone(), region: code.clone(), price: price(hourly), stock: stock(level) });
        }
        listed.push(self::plan(slug, plan));
    }
    let mut seen = HashSet::new();
    let images = systems.into_iter().filter_map(image).filter(|image| seen.insert(image.id.clone())).collect();
    Catalog { provider: DESCRIPTOR.id.clone(), at, regions, plans: listed, images, offers }
}

fn region(metro: api::Metro) -> Option<Region> {
    let id = metro.code?;
    Some(Region {
        name: metro.name.unwrap_or_else(|| id.clone()),
        country: metro.country.filter(|code| code.len() == 2),
        available: true,
        id,
    })
}

fn stock(level: Option<&str>) -> Stock {
    match level {
        Some("normal") => Stock::Available,
        Some("limited") => Stock::Scarce,
        Some("unavailable") => Stock::Out,
        _ => Stock::Untold,
    }
}

fn plan(slug: String, plan: api::Plan) -> Plan {
    let (mut vcpus, mut memory_mib, mut disk_gib) = (0u32, 0, 0u64);
    if let Some(specs) = plan.specs {
        for cpu in specs.cpus.iter().flatten() {
            let cores = cpu.what.as_deref().map_or(1, cores);
            vcpus = vcpus.saturating_add(cpu.count.unwrap_or(1).saturating_mul(cores));
        }
        let memory = specs.memory.and_then(|memory| memory.total);
        memory_mib = memory.as_deref().and_then(gigabytes).unwrap_or(0).saturating_mul(1024);
        for drive in specs.drives.iter().flatten() {
            let each = drive.size.as_deref().and_then(gigabytes).unwrap_or(0);
            disk_gib = disk_gib.saturating_add(u64::from(drive.count.unwrap_or(1)).saturating_mul(each));
        }
    }
    Plan {
        name: plan.name.filter(|name| !name.is_empty()).unwrap_or_else(|| slug.clone()),
        kind: PlanKind::BareMetal,
        architecture: architecture(&slug),
        vcpus,
        memory_mib,
        disk_gib,
        disk_elastic: false,
        transfer_gib: None,
        gpu: None,
        id: slug,
    }
}

/// `24-Core` or `24 cores` in the name of a processor; 1 where it does not say, which is never too many.
fn cores(processor: &str) -> u32 {
    let words: Vec<String> = processor.to_lowercase().split([' ', '-', '(', ')', ',']).map(str::to_owned).collect();
    let named = words.windows(2).find(|pair| matches!(pair[1].as_str(), "core" | "cores"));
    named.and_then(|pair| pair[0].parse().ok()).filter(|cores| *cores > 0).unwrap_or(1)
}

/// `480GB` and `3.84TB` as so many gigabytes.
fn gigabytes(size: &str) -> Option<u64> {
    let size = size.trim();
    let unit = size.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = size.split_at(unit);
    let number: Decimal = number.trim().parse().ok()?;
    let gigabytes = match unit.to_lowercase().as_str() {
        "gb" | "gib" => number,
        "tb" | "tib" => number.checked_mul(Decimal::from(1000))?,
        _ => return None,
    };
    u64::try_from(gigabytes.trunc()).ok()
}

/// (unsure) No field tells; the vendor's ARM plans end in `.arm` or `.arm64`, all others in `.x86`.
fn architecture(plan: &str) -> Architecture {
    match plan.rsplit('.').next() {
        Some("arm" | "arm64") => Architecture::Arm64,
        _ => Architecture::X86_64,
    }
}

/// Without a cap: the vendor states none.
fn price(hourly: Option<Decimal>) -> Option<Price> {
    let amount = Money::new(hourly.filter(|hour| *hour > Decimal::ZERO)?, Currency::USD);
    Some(billing::BARE_METAL.price(amount, BillingUnit::Hour, None, 0))
}

/// What boots somewhere, at no extra charge, and without a boot script that an order here has no place for.
fn image(system: api::System) -> Option<Image> {
    let slug = system.slug?;
    let plans = system.provisionable_on.unwrap_or_default();
    if plans.is_empty() || system.licensed == Some(true) || slug == "custom_ipxe" {
        return None;
    }
    let first = architecture(&plans[0]);
    Some(Image {
        name: system.name.filter(|name| !name.is_empty()).unwrap_or_else(|| slug.clone()),
        os: os(&slug),
        architecture: plans.iter().all(|plan| architecture(plan) == first).then_some(first),
        kind: Some(PlanKind::BareMetal),
        regions: Vec::new(),
        cloud_init: !["windows", "vmware"].iter().any(|system| slug.starts_with(system)),
        id: slug,
    })
}

/// `ubuntu_24_04` is `ubuntu-24.04`, `alma_9` is `almalinux-9`.
fn os(slug: &str) -> Option<String> {
    let (name, version) = slug.split_once('_')?;
    let name = match name {
        "alma" => "almalinux",
        "debian" | "fedora" | "rocky" | "ubuntu" => name,
        _ => return None,
    };
    let plain = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    plain.then(|| format!("{name}-{}", version.replace('_', ".")))
}

// ---- Errors

/// One row of the error table: what a 422 says to which operations, and what that means.
struct Sentence {
    operations: &'static [&'static str],
    /// In lower case; any of them.
    words: &'static [&'static str],
    kind: ErrorKind,
    retry: Retry,
    hint: &'static str,
}

const CREATE: &[&str] = &["devices.create"];

/// The error table. The vendor has no codes, and 422 stands for much; only the sentence tells which. None of them is
/// documented (unsure), so they are matched loosely, and the first row that fits is it.
const SENTENCES: &[Sentence] = &[
    Sentence {
        operations: CREATE,
        words: &["quota"],
        kind: ErrorKind::Quota,
        retry: Retry::Never,
        hint: "Delete devices that are not needed, or have the project's limit raised.",
    },
    Sentence {
        operations: CREATE,
        words: &["capacity", "available", "sold out", "out of stock"],
        kind: ErrorKind::NoCapacity,
        retry: Retry::Never,
        hint: "Take another metro or plan, or wait.",
    },
    Sentence {
        operations: CREATE,
        words: &["limit", "maximum"],
        kind: ErrorKind::Quota,
        retry: Retry::Never,
        hint: "Delete devices that are not needed, or have the project's limit raised.",
    },
    Sentence {
        operations: &["devices.delete"],
        words: &["locked"],
        kind: ErrorKind::Conflict,
        retry: Retry::Never,
        hint: "It is protected from deletion: unlock it at Equinix Metal first.",
    },
    Sentence {
        operations: &["devices.delete"],
        words: &[""],
        kind: ErrorKind::Conflict,
        retry: Retry::Backoff,
        hint: "A device cannot be deleted while it is provisioned; try again when that is over.",
    },
    Sentence {
        operations: &["devices.act"],
        words: &[""],
        kind: ErrorKind::Conflict,
        retry: Retry::Never,
        hint: "Its state does not allow that now; try again when it has settled.",
    },
];

/// What an error body says: `{"error": "text"}` or `{"errors": ["text", ...]}`. Pages of the network in front say nothing.
pub(super) fn diagnose(reply: &Reply) -> Diagnosis {
    #[derive(Deserialize)]
    struct Body {
        error: Option<Value>,
        errors: Option<Value>,
    }
    let said: Vec<String> = match reply.json::<Body>() {
        Ok(Body { error, errors }) => [error, errors].into_iter().flatten().flat_map(sentences).collect(),
        Err(_) => Vec::new(),
    };
    let message = (!said.is_empty()).then(|| said.join("; "));
    let lower = message.as_deref().unwrap_or_default().to_lowercase();
    let (operation, status) = (reply.operation, reply.status.as_u16());
    let row = SENTENCES.iter().find(|row| {
        status == 422 && row.operations.contains(&operation) && row.words.iter().any(|words| lower.contains(words))
    });
    if let Some(row) = row {
        return Diagnosis {
            kind: Some(row.kind),
            retry: Some(row.retry),
            hint: Some(row.hint.to_owned()),
            message,
            ..Diagnosis::default()
        };
    }
    let (kind, hint) = match (operation, status) {
        (_, 403) => (
            None,
            Some(
                "The key is good but may not do this: a project's key acts on that project alone, and not every \
                 organization may order everything.",
            ),
        ),
        ("devices.get" | "devices.update" | "devices.act" | "devices.delete" | "keys.delete", _) => (None, None),
        // Nothing but the project can be missing here, or what an order names.
        ("devices.create", 404) => (Some(ErrorKind::Invalid), Some(NO_PROJECT)),
        (_, 404) => (Some(ErrorKind::Config), Some(NO_PROJECT)),
        _ => (None, None),
    };
    Diagnosis { kind, hint: hint.map(str::to_owned), message, ..Diagnosis::default() }
}

const NO_PROJECT: &str =
    "Check `project_id`: the key sees no such project. `metal project list` prints the ids, and so does the console.";

/// The sentences in a body, whichever of its shapes they come in.
fn sentences(value: Value) -> Vec<String> {
    let trimmed = |text: String| text.trim().trim_end_matches('.').to_owned();
    match value {
        Value::String(text) => vec![trimmed(text)],
        Value::Array(items) => items.into_iter().flat_map(sentences).collect(),
        _ => Vec::new(),
    }
}
