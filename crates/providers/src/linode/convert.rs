//! Linode's words into ours and back, without any I/O: the status table, the error table, prices and tags.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capsule_core::http::{Diagnosis, Reply};
use capsule_core::tags::{FlatTags, OWNER, TOKEN};
use capsule_core::{
    Account, Addresses, Architecture, BillingUnit, Catalog, Currency, Effect, Error, ErrorKind, Gpu, Image, Instance,
    InstanceId, InstanceStatus, Money, Offer, Order, Plan, PlanKind, Power, Price, PublicKey, RawBody, Region, Result,
    Retry, Scope, SshKey, Stock,
};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde::Deserialize;

use super::api::{self, Job};
use super::{CAPABILITIES, DESCRIPTOR, billing};

/// A tag is any text of 3 to 50 characters; we keep to those that every filter and URL takes.
pub(super) const TAGS: FlatTags = FlatTags { separator: ':', allowed: "-.", escape: '_', max_length: 50 };
/// A shorter tag is refused.
const TAG_MIN: usize = 3;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message).with_provider(&DESCRIPTOR.id)
}

// ---- Servers

/// The status table.
pub(super) fn status(word: &str) -> InstanceStatus {
    use InstanceStatus::*;
    match word {
        "provisioning" | "booting" => Provisioning,
        "rebuilding" | "restoring" | "cloning" => Provisioning,
        // `resizing` is known to the vendor's own client alone.
        "migrating" | "resizing" => Provisioning,
        // Busy: it waits for a change of its placement group and runs meanwhile.
        "running" | "rebooting" | "shutting_down" | "busy" => Running,
        // Offline by its user; stopped by the vendor's maintenance.
        "offline" | "stopped" => Stopped,
        "deleting" => Deleting,
        "billing_suspension" => Failed,
        _ => Unknown,
    }
}

/// The "kernel" that is the boot sector of the server's own disk.
const DIRECT_DISK: &str = "linode/direct-disk";

/// What has to change in a profile so that its server boots what lies on its own disk; `None` if nothing has to.
pub(super) fn direct_disk(profile: &api::Config) -> Option<api::ConfigChange> {
    let helpers = profile.helpers.clone().unwrap_or_default();
    if profile.kernel.as_deref() == Some(DIRECT_DISK) && helpers.network != Some(true) {
        return None;
    }
    Some(api::ConfigChange { kernel: DIRECT_DISK, helpers: api::Helpers { network: Some(false), ..helpers } })
}

/// A server without a profile could not have booted: it is not shown yet.
pub(super) fn no_profile(id: &InstanceId) -> Error {
    Error::new(ErrorKind::NotFound, format!("{id} has no configuration profile yet."))
        .with_provider(&DESCRIPTOR.id)
        .with_operation("configs.list")
        .with_retry(Retry::Backoff)
}

/// Why a server still boots a kernel of the host's, and what a user can do about it by hand.
pub(super) fn not_direct(id: &InstanceId, error: Error) -> Error {
    let native = &id.native;
    let by_hand = format!(
        "Set the kernel to Direct Disk and switch Network Helper off at \
         https://cloud.linode.com/linodes/{native}/configurations, then reboot it."
    );
    let hint = error.hint().map_or(by_hand.clone(), |hint| format!("{hint} {by_hand}"));
    error.context(format!("{id} still boots with a kernel of Linode's")).with_hint(hint)
}

/// A server of theirs as one of ours.
pub(super) fn instance(linode: api::Linode<'_>, raw: RawBody) -> Instance {
    let status = status(&linode.status);
    let region = if linode.region.is_empty() { Cow::Borrowed("unknown") } else { linode.region };
    Instance {
        id: InstanceId::new(&DESCRIPTOR.id, region, linode.id.to_string()),
        name: linode.label.into_owned(),
        status,
        native_status: linode.status.into_owned(),
        fault: (status == InstanceStatus::Failed).then(|| "Linode suspended it because of an unpaid bill".to_owned()),
        plan: linode.plan.unwrap_or_default(),
        image: linode.image,
        addresses: addresses(linode.ipv4.unwrap_or_default(), linode.ipv6),
        tags: linode.tags.unwrap_or_default().iter().map(|word| TAGS.decode(word)).collect(),
        created_at: linode.created.and_then(|text| time(&text)),
        metadata: raw,
    }
}

/// Private addresses stand among the public ones, those of a VPC too. What is no address is left out.
fn addresses(v4: Vec<String>, v6: Option<String>) -> Addresses {
    let mut found = Addresses::default();
    for ip in v4.iter().filter_map(|text| text.parse::<Ipv4Addr>().ok()) {
        if ip.is_private() { found.private.push(ip.into()) } else { found.public_v4.push(ip) }
    }
    let v6 = v6.as_deref().and_then(|text| text.split('/').next());
    found.public_v6.extend(v6.and_then(|text| text.parse::<Ipv6Addr>().ok()));
    found
}

/// Times are UTC and do not say so; one that does is read as well.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let zoned = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    text.parse().ok().or_else(|| Some(zoned()?.timestamp()))
}

/// The number of a server.
pub(super) fn linode_id(id: &InstanceId) -> Result<u64> {
    id.native.parse().map_err(|_| {
        invalid(format!("`{id}` is not the id of a server at Linode."))
            .with_hint("Their ids are numbers; `capsule list` shows them.")
    })
}

/// The vendor's job for a change of power.
pub(super) fn job(id: &InstanceId, to: Power) -> Result<Job> {
    match to {
        Power::On => Ok(Job::Boot),
        Power::Off => Ok(Job::Shutdown),
        Power::Reboot => Ok(Job::Reboot),
        Power::ForceOff => {
            Err(Error::new(ErrorKind::Unsupported, format!("Linode cannot cut the power of {id}; it only shuts down."))
                .with_provider(&DESCRIPTOR.id)
                .with_operation("instances.shutdown")
                .with_hint(format!("Use `capsule stop {id}` without --force.")))
        }
    }
}

/// Whether the job still changes something for a server whose native status is `word`.
pub(super) fn takes(id: &InstanceId, word: &str, job: Job) -> Result<bool> {
    match (job, word) {
        // An order boots by itself.
        (Job::Boot, "running" | "booting" | "rebooting" | "provisioning" | "busy") => Ok(false),
        (Job::Shutdown, "offline" | "stopped" | "shutting_down") => Ok(false),
        (Job::Reboot, "offline" | "stopped") => {
            Err(Error::new(ErrorKind::Conflict, format!("{id} is off and cannot be rebooted."))
                .with_provider(&DESCRIPTOR.id)
                .with_hint(format!("Start it with `capsule start {id}`.")))
        }
        _ => Ok(true),
    }
}

/// The tag that the vendor filters a list by.
pub(super) fn scope_tag(scope: &Scope) -> Result<Option<String>> {
    match scope {
        Scope::All => Ok(None),
        Scope::Owner(owner) | Scope::OwnerIn(owner, _) => TAGS.encode(OWNER, owner.as_str()).map(Some),
        Scope::Token(token) | Scope::TokenIn(token, _) => TAGS.encode(TOKEN, token.as_str()).map(Some),
    }
}

// ---- Orders

/// Everything about an order that can be wrong before it is sent; gives its one name, and its tags as the vendor's words.
pub(super) fn check(order: &Order) -> Result<(&str, Vec<String>)> {
    let spec = &order.spec;
    for (what, text) in [("plan", &spec.plan), ("region", &spec.region), ("image", &spec.image)] {
        if text.trim().is_empty() {
            let message = format!("The order names no {what}.");
            return Err(invalid(message).with_hint(format!("`capsule {what}s` lists them.")));
        }
    }
    let [name] = order.names.as_slice() else {
        return Err(invalid(format!("One call makes one server at Linode, not {}.", order.names.len())));
    };
    if !is_label(name) {
        let message = format!("`{name}` cannot be a server's name at Linode: {}.", CAPABILITIES.name_rule);
        return Err(invalid(message).with_hint("Choose another name."));
    }
    if spec.disk_gib.is_some() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "The disk of a server at Linode comes with its plan and has no size of its own.",
        )
        .with_provider(&DESCRIPTOR.id)
        .with_hint("Leave the disk size out, or choose a plan with a larger disk."));
    }
    let (bytes, limit) = (spec.user_data.as_deref().map_or(0, str::len), CAPABILITIES.user_data_max);
    if bytes > limit {
        return Err(invalid(format!("The user-data has {bytes} bytes; Linode takes at most {limit}."))
            .with_hint("Let it fetch the larger part from elsewhere."));
    }
    let tags = spec.tags.at_birth(&order.owner, &order.token);
    Ok((name, tags.iter().map(|(key, value)| tag(key, value)).collect::<Result<_>>()?))
}

fn tag(key: &str, value: &str) -> Result<String> {
    let word = TAGS.encode(key, value).map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
    if word.len() < TAG_MIN {
        return Err(invalid(format!("tag `{word}` is shorter than the {TAG_MIN} characters that Linode asks for."))
            .with_hint("Take a longer key, or give it a value."));
    }
    Ok(word)
}

/// The vendor's rule for labels.
fn is_label(name: &str) -> bool {
    let marks = ["--", "__", ".."];
    (3..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !marks.iter().any(|mark| name.contains(mark))
}

/// The body of a create. Keys travel as they are; existing ones are those of users.
pub(super) fn new_linode<'a>(
    order: &'a Order,
    name: &'a str,
    tags: Vec<String>,
    root_pass: &'a SecretString,
) -> Result<api::NewLinode<'a>> {
    let spec = &order.spec;
    let (mut authorized_keys, mut authorized_users) = (Vec::new(), Vec::new());
    for key in &spec.ssh_keys {
        match key {
            // Read for the check alone: a private key given by mistake must not be sent.
            SshKey::Public(line) => {
                line.parse::<PublicKey>().map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
                authorized_keys.push(line.trim());
            }
            SshKey::Existing(user) => authorized_users.push(user.as_str()),
        }
    }
    Ok(api::NewLinode {
        label: name,
        region: &spec.region,
        plan: &spec.plan,
        image: &spec.image,
        root_pass,
        authorized_keys,
        authorized_users,
        tags,
        metadata: spec.user_data.as_deref().map(|text| api::Metadata { user_data: STANDARD.encode(text) }),
        booted: true,
        // Half a GiB of swap on a disk of its own would stand in the way of an xNode's disk layout.
        swap_size: 0,
    })
}

// ---- Account and catalogue

/// The account behind a key: what a token or user may not do becomes a note.
pub(super) fn account(
    profile: api::Profile,
    scopes: Option<&str>,
    grants: Option<Result<Option<api::Grants>>>,
) -> Account {
    let mut notes = Vec::new();
    // (unsure) Scopes come as words with commas or blanks between them, and `*` for all.
    let lacks_right = scopes.is_some_and(|scopes| {
        !scopes.split([',', ' ']).any(|scope| matches!(scope.trim(), "*" | "linodes:*" | "linodes:read_write"))
    });
    if lacks_right {
        notes.push("The token may not change servers; it lacks the scope `linodes:read_write`.".to_owned());
    }
    if let Some(grants) = grants {
        notes.push("The user is restricted and may not tag servers, so Capsule cannot find its own again.".to_owned());
        match grants {
            Ok(Some(api::Grants { global: Some(global) })) if global.add_linodes != Some(true) => {
                notes.push("The user may not create servers; it lacks the grant `add_linodes`.".to_owned());
            }
            Ok(_) => {}
            Err(error) => notes.push(format!("Its grants cannot be read. {error}")),
        }
    }
    let id = match profile.email {
        Some(email) if !email.is_empty() => format!("{} ({email})", profile.username),
        _ => profile.username,
    };
    // Limits of an account can be learned from its support alone.
    Account { id, status: None, quotas: Vec::new(), notes }
}

/// Everything on offer in the wanted regions.
pub(super) fn catalog(
    at: Timestamp,
    wanted: &[String],
    regions: Vec<api::Region>,
    types: Vec<api::Type>,
    stock: &[api::Availability],
    images: Vec<api::Image>,
) -> Catalog {
    let stock: HashMap<(&str, &str), bool> =
        stock.iter().map(|told| ((told.plan.as_str(), told.region.as_str()), told.available)).collect();
    let (mut seen_regions, mut seen_plans) = (HashSet::new(), HashSet::new());
    let mut regions = regions;
    regions.retain(|region| wanted.is_empty() || wanted.contains(&region.id));
    regions.retain(|region| sells_servers(region) && seen_regions.insert(region.id.clone()));
    let (mut plans, mut offers) = (Vec::new(), Vec::new());
    for kind in types {
        if !seen_plans.insert(kind.id.clone()) {
            continue;
        }
        for region in &regions {
            let told = stock.get(&(kind.id.as_str(), region.id.as_str())).copied();
            // A distributed site has only what is listed for it; elsewhere a plan that is not listed is sold (unsure).
            if told.is_none() && region.site_type.as_deref() == Some("distributed") {
                continue;
            }
            let stock = match told {
                _ if !is_open(region) => Stock::Out,
                Some(true) => Stock::Available,
                Some(false) => Stock::Out,
                None => Stock::Untold,
            };
            let price = price(&kind, &region.id);
            offers.push(Offer { plan: kind.id.clone(), region: region.id.clone(), price, stock });
        }
        plans.push(plan(kind));
    }
    let mut seen = HashSet::new();
    let images = images.into_iter().filter_map(image).filter(|image| seen.insert(image.id.clone()));
    let images = images.flat_map(|image| by_user_data(image, &regions)).collect();
    let regions = regions.into_iter().map(self::region).collect();
    Catalog { provider: DESCRIPTOR.id.clone(), at, regions, plans, images, offers }
}

fn sells_servers(region: &api::Region) -> bool {
    region.capabilities.is_none() || can(region, "Linodes")
}

fn can(region: &api::Region, what: &str) -> bool {
    region.capabilities.iter().flatten().any(|capability| capability == what)
}

/// An image reads its user-data only in regions that hand it out: where some do and others do not, it is two.
fn by_user_data(image: Image, regions: &[api::Region]) -> Vec<Image> {
    let (with, without): (Vec<_>, Vec<_>) = regions.iter().partition(|region| can(region, "Metadata"));
    if !image.cloud_init || with.is_empty() || without.is_empty() {
        return vec![image];
    }
    let ids = |regions: Vec<&api::Region>| regions.into_iter().map(|region| region.id.clone()).collect();
    let deaf = Image { cloud_init: false, regions: ids(without), ..image.clone() };
    vec![Image { regions: ids(with), ..image }, deaf]
}

fn is_open(region: &api::Region) -> bool {
    region.status.as_deref().is_none_or(|word| word == "ok")
}

fn region(region: api::Region) -> Region {
    Region {
        available: is_open(&region),
        name: region.label.unwrap_or_else(|| region.id.clone()),
        country: region.country.map(|code| code.to_uppercase()),
        id: region.id,
    }
}

fn plan(kind: api::Type) -> Plan {
    let name = kind.label.unwrap_or_else(|| kind.id.clone());
    let gpu = kind.gpus.filter(|count| *count > 0).map(|count| Gpu { model: gpu_model(&name), count });
    Plan {
        name,
        kind: PlanKind::Virtual,
        architecture: Architecture::X86_64,
        vcpus: kind.vcpus,
        memory_mib: kind.memory,
        disk_gib: kind.disk / 1024,
        disk_elastic: false,
        transfer_gib: kind.transfer.map(gib),
        gpu,
        id: kind.id,
    }
}

/// Traffic is told in thousands of thousands of thousands of bytes.
fn gib(gigabytes: u64) -> u64 {
    u64::try_from(u128::from(gigabytes) * 1_000_000_000 / (1 << 30)).unwrap_or(u64::MAX)
}

/// `Dedicated 32GB + RTX6000 GPU x1` has an `RTX6000`; a name of another form stands whole.
fn gpu_model(name: &str) -> String {
    let model = name.split_once(" + ").map_or(name, |(_, gpu)| gpu);
    model.split(" GPU").next().unwrap_or(model).trim().to_owned()
}

/// Hourly price with the monthly one as its cap: the region's own where it has one. A price of 0 is one that the vendor
/// does not publish (some GPU plans).
fn price(kind: &api::Type, region: &str) -> Option<Price> {
    let own = kind.region_prices.iter().flatten().find(|price| price.id == region);
    let (hourly, monthly) = match (own, &kind.price) {
        (Some(own), _) => (own.hourly, own.monthly),
        (None, Some(price)) => (price.hourly, price.monthly),
        (None, None) => return None,
    };
    let dollars = |amount: Option<Decimal>| {
        amount.filter(|amount| *amount > Decimal::ZERO).map(|amount| Money::new(amount, Currency::USD))
    };
    Some(billing::VIRTUAL.price(dollars(hourly)?, BillingUnit::Hour, dollars(monthly), 0))
}

/// What can be ordered: an image under way cannot be, and a deprecated one should not be.
fn image(image: api::Image) -> Option<Image> {
    if image.deprecated == Some(true) || image.status.as_deref().is_some_and(|status| status != "available") {
        return None;
    }
    Some(Image {
        os: os(&image.id),
        name: image.label.unwrap_or_else(|| image.id.clone()),
        architecture: Some(Architecture::X86_64),
        kind: Some(PlanKind::Virtual),
        // The regions of an image are where copies of it lie; public ones are everywhere.
        regions: Vec::new(),
        cloud_init: image.capabilities.iter().flatten().any(|capability| capability == "cloud-init"),
        id: image.id,
    })
}

/// `linode/ubuntu24.04` is `ubuntu-24.04`, `linode/centos-stream9` is `centos-stream-9`.
fn os(id: &str) -> Option<String> {
    let system = id.strip_prefix("linode/")?;
    let (name, version) = system.split_at(system.find(|c: char| c.is_ascii_digit())?);
    let name = name.trim_end_matches('-');
    let whole = version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (whole && !name.is_empty()).then(|| format!("{name}-{version}"))
}

// ---- Errors

/// How long to leave the vendor alone while it is under maintenance.
const MAINTENANCE: Duration = Duration::from_secs(300);

/// The error table. One status, 400, stands for much; only the sentence tells which.
///
/// The words are those of the vendor's own sentences, in lower case. The last three are seen in the field or guessed
/// (unsure): no list of them is published.
const SENTENCES: &[(&str, ErrorKind, Retry, &str)] = &[
    (
        "linode busy",
        ErrorKind::Conflict,
        Retry::Backoff,
        "Another change of this server is under way; try again when it is over.",
    ),
    (
        "label must be unique",
        ErrorKind::Conflict,
        Retry::Never,
        "Choose another name, or delete the server that has it.",
    ),
    ("account limit", ErrorKind::Quota, Retry::Never, "Delete what is not needed, or ask Linode's support for more."),
    (
        "limit for the number",
        ErrorKind::Quota,
        Retry::Never,
        "Delete what is not needed, or ask Linode's support for more.",
    ),
    ("unavailable in this region", ErrorKind::NoCapacity, Retry::Never, "Take another region or plan, or wait."),
];

/// Whether an order was refused because its name is another server's.
pub(super) fn is_name_taken(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict && error.native_code() == Some("label")
}

/// What an error body says. Pages of the network in front are HTML and say nothing.
pub(super) fn diagnose(reply: &Reply) -> Diagnosis {
    let is_json = reply
        .headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let errors = if is_json { reasons(reply) } else { Vec::new() };
    let mut said = said(&errors);
    match reply.status.as_u16() {
        // The vendor's own client tries again after such a page; whether the API saw the request is not known.
        400 if !is_json => {
            said.kind = Some(ErrorKind::Unavailable);
            said.retry = Some(Retry::Backoff);
            said.effect = Some(Effect::Unknown);
        }
        400 | 403 => {
            let text = said.message.as_deref().unwrap_or_default().to_lowercase();
            if let Some((_, kind, retry, hint)) = SENTENCES.iter().find(|(words, ..)| text.contains(words)) {
                (said.kind, said.retry, said.hint) = (Some(*kind), Some(*retry), Some((*hint).to_owned()));
            }
        }
        // An unknown plan, region or image may be "not found": the order is wrong, not the server missing.
        404 if reply.operation == "instances.create" => said.kind = Some(ErrorKind::Invalid),
        503 if reply.headers.contains_key("x-maintenance-mode") => {
            said.retry = Some(Retry::After(MAINTENANCE));
            said.hint = Some("Linode is under maintenance; see https://status.linode.com.".to_owned());
        }
        _ => {}
    }
    said
}

/// One thing that the vendor finds wrong.
#[derive(Deserialize)]
struct Reason {
    field: Option<String>,
    reason: Option<String>,
}

fn reasons(reply: &Reply) -> Vec<Reason> {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Reason>,
    }
    reply.json::<Body>().map(|body| body.errors).unwrap_or_default()
}

/// All reasons in one sentence, each after the field it is about; the first field is the code.
fn said(errors: &[Reason]) -> Diagnosis {
    let one = |error: &Reason| {
        let reason = error.reason.as_deref()?.trim().trim_end_matches('.');
        Some(match error.field.as_deref().filter(|field| !field.is_empty()) {
            Some(field) => format!("{field}: {reason}"),
            None => reason.to_owned(),
        })
    };
    let text = errors.iter().filter_map(one).collect::<Vec<_>>().join("; ");
    Diagnosis {
        code: errors.iter().find_map(|error| error.field.clone()),
        message: (!text.is_empty()).then_some(text),
        ..Diagnosis::default()
    }
}
