//! DigitalOcean's words into ours and back, without any I/O: the status table, the error table, prices and tags.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use capsule_core::http::{Diagnosis, Reply};
use capsule_core::tags::{FlatTags, OWNER, TOKEN};
use capsule_core::{
    Account, Addresses, Architecture, BillingUnit, Catalog, Currency, Error, ErrorKind, Gpu, Image, Instance,
    InstanceId, InstanceStatus, Money, Offer, Order, OwnerId, Plan, PlanKind, Power, Price, Quota, RawBody, Region,
    Result, Retry, Scope, Stock, Tags, Token,
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::{CAPABILITIES, DESCRIPTOR, api, billing};

/// A tag is one word of letters, digits and `:-_`, at most 255 of them.
const TAGS: FlatTags = FlatTags { separator: ':', allowed: "-_", escape: '_', max_length: 255 };

/// From this age on a droplet that is still `new` has its create action looked at: most take less than a minute.
const SLOW: Duration = Duration::from_secs(120);

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_provider(&DESCRIPTOR.id)
}

/// The token that a tag's word stands for, if it is one of ours.
pub(super) fn token_of(word: &str) -> Option<Token> {
    let (key, value) = TAGS.decode(word);
    value.parse().ok().filter(|_| key == TOKEN)
}

/// Whether nothing carries a tag. Where the vendor does not say how many do, something may.
pub(super) fn is_free(tag: &api::Tag) -> bool {
    tag.resources.as_ref().and_then(|carriers| carriers.count) == Some(0)
}

// ---- Servers

/// The status table. A droplet's word alone does not tell what goes on while it is locked; the newest action does.
pub(super) fn status(word: &str, newest: Option<&api::Action>) -> InstanceStatus {
    use InstanceStatus::*;
    let (doing, failed) = match newest {
        Some(action) if action.status == "in-progress" => (action.what.as_str(), ""),
        Some(action) if action.status == "errored" => ("", action.what.as_str()),
        _ => ("", ""),
    };
    match (word, doing) {
        ("new", _) if failed == "create" => Failed,
        ("new", _) => Provisioning,
        ("active" | "off", "rebuild" | "restore" | "resize") => Provisioning,
        ("active", _) => Running,
        ("off", "power_on") => Provisioning,
        ("off", "reboot" | "power_cycle") => Running,
        ("off", _) => Stopped,
        ("archive", _) => Failed,
        _ => Unknown,
    }
}

/// A droplet as a server of ours, and whether it is locked.
pub(super) fn instance(droplet: api::Droplet<'_>, raw: RawBody) -> (Instance, bool) {
    let locked = droplet.locked.unwrap_or(false);
    let status = status(&droplet.status, None);
    let region = droplet.region.and_then(|region| region.slug);
    let instance = Instance {
        // Without the right to read regions the field is empty; the number alone finds the droplet.
        id: InstanceId::new(
            &DESCRIPTOR.id,
            region.map_or_else(|| "unknown".to_owned(), Cow::into_owned),
            droplet.id.to_string(),
        ),
        name: droplet.name.into_owned(),
        status,
        native_status: droplet.status.into_owned(),
        fault: (status == InstanceStatus::Failed).then(|| "DigitalOcean archived this droplet".to_owned()),
        plan: droplet.size_slug.unwrap_or_default().into_owned(),
        image: droplet
            .image
            .and_then(|image| image.slug.map(Cow::into_owned).or_else(|| image.id.map(|id| id.to_string()))),
        addresses: droplet.networks.map(addresses).unwrap_or_default(),
        tags: droplet.tags.unwrap_or_default().iter().map(|word| TAGS.decode(word)).collect(),
        created_at: droplet.created_at.and_then(|text| text.parse().ok()),
        metadata: raw,
    };
    (instance, locked)
}

/// Each address by its `type`, never by its place: the first one may be private. What is no address is left out.
fn addresses(networks: api::Networks<'_>) -> Addresses {
    let mut found = Addresses::default();
    for address in networks.v4.into_iter().chain(networks.v6).flatten() {
        match (address.ip_address.parse(), address.scope.as_ref()) {
            (Ok(IpAddr::V4(ip)), "public") => found.public_v4.push(ip),
            (Ok(IpAddr::V6(ip)), "public") => found.public_v6.push(ip),
            (Ok(ip), _) => found.private.push(ip),
            (Err(_), _) => {}
        }
    }
    found
}

/// Whether the newest action can tell more about this droplet than its own word does.
pub(super) fn is_unclear(instance: &Instance, locked: bool, now: Timestamp) -> bool {
    match instance.native_status.as_str() {
        "new" => {
            instance.created_at.is_some_and(|at| Duration::try_from(now.duration_since(at)).is_ok_and(|age| age > SLOW))
        }
        _ => locked,
    }
}

/// What the newest action tells about a droplet.
pub(super) fn clarify(instance: &mut Instance, newest: Option<&api::Action>) {
    instance.status = status(&instance.native_status, newest);
    if instance.status == InstanceStatus::Failed && instance.fault.is_none() {
        instance.fault = Some("The create action ended in error; DigitalOcean gives no reason".to_owned());
    }
}

/// The number of a droplet.
pub(super) fn droplet_id(id: &InstanceId) -> Result<u64> {
    id.native.parse().map_err(|_| {
        invalid(format!("`{id}` is not the id of a droplet."))
            .with_hint("Droplet ids are numbers; `capsule list` shows them.")
    })
}

/// The action that brings a droplet from a state to the wanted power, if it takes one.
pub(super) fn power_action(id: &InstanceId, now: InstanceStatus, to: Power) -> Result<Option<&'static str>> {
    use InstanceStatus::*;
    Ok(match (to, now) {
        (Power::On, Running | Provisioning) | (Power::Off | Power::ForceOff, Stopped) => None,
        (Power::On, _) => Some("power_on"),
        (Power::Off, _) => Some("shutdown"),
        (Power::ForceOff, _) => Some("power_off"),
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
        Scope::Owner(owner) | Scope::OwnerIn(owner, _) => owner_tag(owner).map(Some),
        Scope::Token(token) | Scope::TokenIn(token, _) => TAGS.encode(TOKEN, token.as_str()).map(Some),
    }
}

// ---- Orders

/// The tag of everything that is an installation's.
pub(super) fn owner_tag(owner: &OwnerId) -> Result<String> {
    TAGS.encode(OWNER, owner.as_str())
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
    if order.names.is_empty() || order.names.len() > CAPABILITIES.batch {
        let message = format!("One call makes 1 to {} droplets, not {}.", CAPABILITIES.batch, order.names.len());
        return Err(invalid(message));
    }
    if let Some(name) = order.names.iter().find(|name| !is_name(name)) {
        return Err(invalid(format!("`{name}` cannot be a droplet's name: {}.", CAPABILITIES.name_rule)));
    }
    if spec.disk_gib.is_some() {
        let message = "A droplet's disk comes with its plan and has no size of its own.";
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_provider(&DESCRIPTOR.id)
            .with_hint("Leave the disk size out, or choose a plan with a larger disk."));
    }
    if let Some(text) = &spec.user_data {
        check_user_data(text)?;
    }
    spec.tags.at_birth(&order.owner, &order.token).iter().map(|(key, value)| TAGS.encode(key, value)).collect()
}

/// The vendor's pattern: letters, digits, dots and dashes, a letter or digit at the end and a letter, digit, dot or dash
/// at the start. A name that starts with a dot or dash is no host name, so we ask for a little more.
fn is_name(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= 255
        && edge(name.chars().next())
        && edge(name.chars().last())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn check_user_data(text: &str) -> Result<()> {
    let limit = CAPABILITIES.user_data_max;
    if text.len() > limit {
        let message = format!("The user-data has {} bytes; a droplet takes at most {limit}.", text.len());
        return Err(invalid(message).with_hint("Let it fetch the larger part from elsewhere."));
    }
    // Seen in the field: the create is accepted, and then the droplet vanishes.
    match text.chars().find(|c| u32::from(*c) > 0xffff) {
        Some(c) => Err(invalid(format!(
            "The user-data holds U+{:X}, and droplets with such characters fail to start.",
            u32::from(c)
        ))
        .with_hint("Write it without emoji and other characters beyond U+FFFF.")),
        None => Ok(()),
    }
}

/// The body of a create.
pub(super) fn new_droplets<'a>(order: &'a Order, ssh_keys: Vec<api::Ident>, tags: Vec<String>) -> api::NewDroplets<'a> {
    let (name, names) = match order.names.as_slice() {
        [one] => (Some(one.as_str()), None),
        many => (None, Some(many)),
    };
    api::NewDroplets {
        name,
        names,
        region: &order.spec.region,
        size: &order.spec.plan,
        image: ident(&order.spec.image),
        ssh_keys,
        tags,
        user_data: order.spec.user_data.as_deref(),
        ipv6: true,
    }
}

/// Ids are numbers, slugs and fingerprints words; the vendor tells them apart by their JSON type.
pub(super) fn ident(text: &str) -> api::Ident {
    text.parse().map_or_else(|_| api::Ident::Word(text.to_owned()), api::Ident::Number)
}

/// The tags that a server just ordered has: the vendor puts them on a moment after it answers.
pub(super) fn tags_at_birth(order: &Order) -> Tags {
    order.spec.tags.at_birth(&order.owner, &order.token)
}

// ---- Account and catalogue

/// The account behind a key; `used` is how many droplets it has, or why that cannot be told.
pub(super) fn account(account: api::Account, used: Result<Option<u64>>) -> Account {
    let mut notes = Vec::new();
    match account.status.as_deref() {
        None | Some("active") => {}
        Some(word) => {
            let why = account.status_message.as_deref().map(str::trim).filter(|why| !why.is_empty());
            let why = why.map_or_else(|| "DigitalOcean does not say why".to_owned(), str::to_owned);
            notes.push(format!("The account's status is `{word}`: {}.", why.trim_end_matches('.')));
        }
    }
    let used = used.unwrap_or_else(|error| {
        notes.push(format!("Droplets cannot be listed. {error}"));
        None
    });
    if account.droplet_limit.is_none() {
        notes.push("The key cannot read the limit of droplets; it lacks the right `droplet:read`.".to_owned());
    }
    let team = account.team.as_ref().and_then(|team| team.name.clone().or_else(|| team.uuid.clone()));
    let id = match (account.email, team) {
        (Some(email), Some(team)) => format!("{email} ({team})"),
        (Some(email), None) => email,
        (None, Some(team)) => team,
        (None, None) => account.uuid,
    };
    let quotas = account.droplet_limit.map(|limit| Quota { name: "droplets".to_owned(), limit, used });
    Account { id, status: account.status, quotas: quotas.into_iter().collect(), notes }
}

/// Everything on offer in the wanted regions.
pub(super) fn catalog(
    at: Timestamp,
    wanted: &[String],
    regions: Vec<api::Region>,
    sizes: Vec<api::Size>,
    images: Vec<api::Image>,
) -> Catalog {
    let mut regions: Vec<Region> = regions.into_iter().map(region).collect();
    regions.retain(|region| wanted.is_empty() || wanted.contains(&region.id));
    let mut seen = HashSet::new();
    regions.retain(|region| seen.insert(region.id.clone()));
    let (mut plans, mut offers, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for size in sizes {
        if !seen.insert(size.slug.clone()) {
            continue;
        }
        let sold = size.regions.as_deref().unwrap_or_default();
        for region in regions.iter().filter(|region| sold.contains(&region.id)) {
            let open = size.available.unwrap_or(true) && region.available;
            offers.push(Offer {
                plan: size.slug.clone(),
                region: region.id.clone(),
                price: price(&size),
                stock: if open { Stock::Available } else { Stock::Out },
            });
        }
        plans.push(plan(size));
    }
    let mut seen = HashSet::new();
    let images = images.into_iter().filter_map(image).filter(|image| seen.insert(image.id.clone())).collect();
    Catalog { provider: DESCRIPTOR.id.clone(), at, regions, plans, images, offers }
}

fn region(region: api::Region) -> Region {
    Region {
        name: region.name.unwrap_or_else(|| region.slug.clone()),
        country: country(&region.slug).map(str::to_owned),
        available: region.available.unwrap_or(false),
        id: region.slug,
    }
}

/// The vendor names cities only; its codes are three letters of one and a number.
fn country(slug: &str) -> Option<&'static str> {
    Some(match slug.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "nyc" | "sfo" | "atl" | "ric" => "US",
        "tor" => "CA",
        "lon" => "GB",
        "ams" => "NL",
        "fra" => "DE",
        "blr" => "IN",
        "sgp" => "SG",
        "syd" => "AU",
        _ => return None,
    })
}

fn plan(size: api::Size) -> Plan {
    let gpu = size.gpu_info.map(|gpu| Gpu { model: gpu.model.unwrap_or_default(), count: gpu.count.unwrap_or(1) });
    let transfer = size.transfer.and_then(|tb| u64::try_from(tb.checked_mul(Decimal::from(1024))?.trunc()).ok());
    let name = match size.description {
        Some(family) if !family.is_empty() => format!("{family} {}", size.slug),
        _ => size.slug.clone(),
    };
    Plan {
        id: size.slug,
        name,
        kind: PlanKind::Virtual,
        architecture: Architecture::X86_64,
        vcpus: size.vcpus,
        memory_mib: size.memory,
        disk_gib: size.disk,
        disk_elastic: false,
        transfer_gib: transfer,
        gpu,
    }
}

/// Hourly price with the monthly one as its cap. The numbers come with float noise (`0.00743999984115362`), which
/// rounding to the vendor's own five and two places takes away.
fn price(size: &api::Size) -> Option<Price> {
    let hourly = Money::new(size.price_hourly?, Currency::USD).round(5);
    let monthly = size.price_monthly.map(|amount| Money::new(amount, Currency::USD).round(2));
    Some(billing::VIRTUAL.price(hourly, BillingUnit::Hour, monthly, 0))
}

fn image(image: api::Image) -> Option<Image> {
    if image.status.as_deref().is_some_and(|status| status != "available") {
        return None;
    }
    let os = image.slug.as_deref().and_then(os);
    let name = [image.distribution, image.name].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(Image {
        id: image.slug.or_else(|| image.id.map(|id| id.to_string()))?,
        name,
        os,
        architecture: Some(Architecture::X86_64),
        kind: Some(PlanKind::Virtual),
        regions: image.regions.unwrap_or_default(),
        cloud_init: true,
    })
}

/// `ubuntu-24-04-x64` is `ubuntu-24.04`, `debian-12-x64` is `debian-12`.
fn os(slug: &str) -> Option<String> {
    let system = slug.strip_suffix("-x64")?;
    let (name, version) = system.split_at(system.find(|c: char| c.is_ascii_digit())?);
    let name = name.trim_end_matches('-');
    let name = if name == "rockylinux" { "rocky" } else { name };
    let whole = version.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    (whole && !name.is_empty()).then(|| format!("{name}-{}", version.replace('-', ".")))
}

// ---- Errors

/// The error table. One status, 422, stands for much; only the sentence tells which.
///
/// The words are those of the vendor's own sentences, in lower case.
const SENTENCES: &[(&str, ErrorKind, Retry, &str)] = &[
    (
        "pending event",
        ErrorKind::Conflict,
        Retry::Backoff,
        "Another change of this droplet is under way; try again when it is over.",
    ),
    (
        "droplet limit",
        ErrorKind::Quota,
        Retry::Never,
        "Delete droplets that are not needed, or ask DigitalOcean to raise the limit.",
    ),
    ("try again", ErrorKind::NoCapacity, Retry::Never, "Take another region or plan, or wait."),
];

/// What an error body says. Pages of the network in front are HTML and say nothing.
pub(super) fn diagnose(reply: &Reply) -> Diagnosis {
    #[derive(Deserialize)]
    struct Body {
        id: Option<String>,
        message: Option<String>,
        request_id: Option<String>,
    }
    let is_json = reply
        .headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().ends_with(b"json") || kind.as_bytes().starts_with(b"application/json"));
    let Some(body) = is_json.then(|| reply.json::<Body>().ok()).flatten() else {
        return Diagnosis::default();
    };
    let said = body.message.as_deref().unwrap_or_default().to_lowercase();
    let known = match reply.status.as_u16() {
        403 | 422 => SENTENCES.iter().find(|(words, ..)| said.contains(words)),
        // An unknown plan, region or image may be "not found": the order is wrong, not the droplet missing.
        404 if reply.operation == "droplets.create" => {
            return Diagnosis {
                kind: Some(ErrorKind::Invalid),
                code: body.id,
                message: body.message,
                request_id: body.request_id,
                ..Diagnosis::default()
            };
        }
        _ => None,
    };
    Diagnosis {
        kind: known.map(|(_, kind, ..)| *kind),
        retry: known.map(|(_, _, retry, _)| *retry),
        hint: known.map(|(.., hint)| (*hint).to_owned()),
        code: body.id,
        message: body.message,
        request_id: body.request_id,
        effect: None,
    }
}
