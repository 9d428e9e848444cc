//! Plans, metros and systems that Equinix Metal really sold, cut down to a few. Prices are those of its last years.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Answer, includes, not_found, ok, refused};
use super::in_project;
use crate::catalog::{Catalog, Image, Plan, Region};
use crate::machine::MachineKind;
use crate::wire::Request;
use crate::world::{Account, View};

const fn plan(
    id: &'static str,
    processor: &'static str,
    (vcpus, memory_gib, disk_gib): (u32, u64, u64),
    hourly: &'static str,
    regions: &'static [&'static str],
) -> Plan {
    Plan {
        id,
        name: processor,
        kind: MachineKind::BareMetal,
        vcpus,
        memory_mib: memory_gib * 1024,
        disk_gib,
        transfer: 0,
        hourly,
        monthly: "",
        regions,
        available: true,
    }
}

const fn region(id: &'static str, name: &'static str, country: &'static str) -> Region {
    Region { id, name, country, available: true }
}

const fn system(slug: &'static str, name: &'static str, distribution: &'static str, arch: &'static str) -> Image {
    Image { id: slug, slug, name, distribution, arch, min_disk_gib: 100 }
}

/// A plan's name is its processor here; those with two disks have halves of what is written.
pub(super) static CATALOG: Catalog = Catalog {
    plans: &[
        plan("c3.small.x86", "Intel Xeon E-2278G 8-Core Processor @ 3.40GHz", (8, 32, 960), "0.75", &[]),
        plan("c3.medium.x86", "AMD EPYC 7402P 24-Core Processor @ 2.8GHz", (24, 64, 960), "1.5", &[]),
        plan(
            "m3.small.x86",
            "Intel Xeon E-2378G 8-Core Processor @ 2.80GHz",
            (8, 64, 960),
            "1.05",
            &["da", "sv", "ny", "am"],
        ),
        plan("m3.large.x86", "AMD EPYC 7502P 32-Core Processor @ 2.5GHz", (32, 256, 7680), "3.1", &[]),
        plan("c3.large.arm64", "Ampere Altra Q80-30 80-Core Processor @ 3.0GHz", (80, 256, 1920), "2.5", &["da", "ny"]),
        plan(
            "g2.large.x86",
            "Intel Xeon Gold 6126 12-Core Processor @ 2.6GHz",
            (24, 192, 960),
            "5",
            &["da", "sv", "ny"],
        ),
        Plan {
            available: false,
            ..plan("x2.xlarge.x86", "Intel Xeon Gold 6126 12-Core Processor @ 2.6GHz", (12, 384, 240), "4", &["da"])
        },
    ],
    regions: &[
        region("da", "Dallas", "US"),
        region("sv", "Silicon Valley", "US"),
        region("ny", "New York", "US"),
        region("am", "Amsterdam", "NL"),
        region("fr", "Frankfurt", "DE"),
        region("sg", "Singapore", "SG"),
        region("ty", "Tokyo", "JP"),
    ],
    images: &[
        system("ubuntu_24_04", "Ubuntu 24.04 LTS", "ubuntu", "any"),
        system("ubuntu_22_04", "Ubuntu 22.04 LTS", "ubuntu", "any"),
        system("debian_12", "Debian 12", "debian", "any"),
        system("rocky_9", "Rocky 9", "rocky", "any"),
        system("alma_9", "Alma 9", "almalinux", "x86_64"),
        system("windows_2022", "Windows 2022 Standard", "windows", "x86_64"),
        system("custom_ipxe", "Custom iPXE", "custom_ipxe", "any"),
    ],
};

/// Plan, metro, and what it costs there.
const METRO_PRICES: &[(&str, &str, &str)] =
    &[("c3.small.x86", "sg", "0.825"), ("c3.small.x86", "ty", "0.9"), ("m3.large.x86", "sg", "3.41")];

/// Plan and metro of which little is left.
const SCARCE: &[(&str, &str)] = &[("m3.large.x86", "fr")];

fn hourly_in(plan: &Plan, metro: &str) -> &'static str {
    let own = METRO_PRICES.iter().find(|(id, place, _)| *id == plan.id && *place == metro);
    own.map_or(plan.hourly, |(.., hour)| hour)
}

/// What a plan costs in a metro by the hour; there is no price of a month.
pub(super) fn price_in(plan: &Plan, metro: &str) -> (String, String) {
    (hourly_in(plan, metro).to_owned(), String::new())
}

/// A number as the vendor writes it.
fn number(text: &'static str) -> Value {
    serde_json::from_str(text).expect("the tables above hold JSON numbers")
}

/// The same UUID for the same thing in every world: a digit for what it is, then its place in the table.
fn uuid(what: u8, at: usize) -> String {
    format!("0e91{what:04x}-0000-4000-8000-{at:012x}")
}

fn place<T>(items: &[T], is: impl Fn(&T) -> bool) -> usize {
    items.iter().position(is).unwrap_or_default()
}

fn metro_id(code: &str) -> String {
    uuid(1, place(CATALOG.regions, |region| region.id == code))
}

/// Whether a system runs on a plan.
pub(super) fn runs_on(system: &Image, plan: &Plan) -> bool {
    system.arch == "any" || (system.arch == "x86_64") == plan.id.ends_with(".x86")
}

/// A metro by its code or id.
pub(super) fn metro(word: &str) -> Option<&'static Region> {
    CATALOG.regions.iter().find(|region| region.id == word || metro_id(region.id) == word)
}

pub(super) fn metro_path(code: &str) -> String {
    format!("/locations/metros/{}", metro_id(code))
}

pub(super) fn metro_body(region: &Region) -> Value {
    json!({ "id": metro_id(region.id), "code": region.id, "name": region.name, "country": region.country })
}

pub(super) fn plan_path(id: &str) -> String {
    format!("/plans/{}", uuid(2, place(CATALOG.plans, |plan| plan.id == id)))
}

/// A plan; its metros are links unless they are asked for.
pub(super) fn plan_body(plan: &'static Plan, whole_metros: bool) -> Value {
    let metros: Vec<Value> = CATALOG
        .regions
        .iter()
        .filter(|region| plan.sold_in(region.id))
        .map(|region| {
            let path = format!("/metal/v1{}", metro_path(region.id));
            let mut body = if whole_metros { metro_body(region) } else { json!({}) };
            body["href"] = path.into();
            body["price"] = json!({ "hour": number(hourly_in(plan, region.id)) });
            body
        })
        .collect();
    json!({
        "id": uuid(2, place(CATALOG.plans, |other| other.id == plan.id)),
        "slug": plan.id,
        "name": plan.id,
        "class": plan.id,
        "description": format!("Our {} configuration", plan.id),
        "line": "baremetal",
        "type": "standard",
        "legacy": false,
        "categories": ["compute", "current_gen"],
        "deployment_types": ["on_demand", "spot_market"],
        "specs": {
            "cpus": [{ "count": if plan.id == "g2.large.x86" { 2 } else { 1 }, "type": plan.name }],
            "memory": { "total": format!("{}GB", plan.memory_mib / 1024) },
            "drives": [{ "count": 2, "size": size(plan.disk_gib / 2), "type": "SSD", "category": "boot" }],
            "nics": [{ "count": 2, "type": "10Gbps" }],
            "features": { "raid": false, "txt": true, "uefi": true },
        },
        "pricing": { "hour": number(plan.hourly) },
        "available_in": [],
        "available_in_metros": metros,
    })
}

/// `480GB`, `3.84TB`.
fn size(gigabytes: u64) -> String {
    match gigabytes {
        0..1000 => format!("{gigabytes}GB"),
        _ => format!("{}.{:02}TB", gigabytes / 1000, gigabytes % 1000 / 10),
    }
}

pub(super) fn list_plans(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let wanted = |plan: &&Plan| plan.available && request.query("slug").is_none_or(|slug| slug == plan.id);
    let whole = includes(request, "available_in_metros");
    let plans: Vec<Value> = CATALOG.plans.iter().filter(wanted).map(|plan| plan_body(plan, whole)).collect();
    ok(200, &json!({ "plans": plans }))
}

pub(super) fn list_plans_of_project(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    in_project(request, account)?;
    list_plans(request, account, view)
}

pub(super) fn list_metros(_: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let metros: Vec<Value> = CATALOG.regions.iter().map(metro_body).collect();
    ok(200, &json!({ "metros": metros }))
}

pub(super) fn get_metro(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    ok(200, &metro_body(metro(&request.path[4]).ok_or_else(not_found)?))
}

pub(super) fn system_path(slug: &str) -> String {
    format!("/operating-systems/{}", uuid(3, place(CATALOG.images, |system| system.slug == slug)))
}

pub(super) fn system_body(system: &Image) -> Value {
    let version = system.slug.split_once('_').map_or(String::new(), |(_, version)| version.replace('_', "."));
    let licensed = system.distribution == "windows";
    let plans: Vec<&str> =
        CATALOG.plans.iter().filter(|plan| plan.available && runs_on(system, plan)).map(|plan| plan.id).collect();
    json!({
        "id": uuid(3, place(CATALOG.images, |other| other.slug == system.slug)),
        "slug": system.slug,
        "name": system.name,
        "distro": system.distribution,
        "distro_label": system.name,
        "version": version,
        "preinstallable": false,
        "pricing": if licensed { json!({ "hour": { "price": 0.01, "multiplier": "cores" } }) } else { json!({}) },
        "licensed": licensed,
        "lifecycle_state": "current",
        "provisionable_on": plans,
    })
}

pub(super) fn list_systems(_: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let systems: Vec<Value> = CATALOG.images.iter().map(system_body).collect();
    ok(200, &json!({ "operating_systems": systems }))
}

/// Nothing ever runs out here; faults can say otherwise.
fn level(plan: &Plan, metro: &str) -> &'static str {
    match plan.sold_in(metro) {
        false => "unavailable",
        true if SCARCE.contains(&(plan.id, metro)) => "limited",
        true => "normal",
    }
}

pub(super) fn list_capacity(_: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let of = |region: &Region| {
        let plans = CATALOG.plans.iter().filter(|plan| plan.available);
        plans.map(|plan| (plan.id.to_owned(), json!({ "level": level(plan, region.id) }))).collect::<Map<_, _>>()
    };
    let metros: Map<String, Value> =
        CATALOG.regions.iter().map(|region| (region.id.to_owned(), of(region).into())).collect();
    ok(200, &json!({ "capacity": metros }))
}

pub(super) fn check_capacity(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        servers: Vec<Wish>,
    }
    #[derive(Deserialize)]
    struct Wish {
        metro: Option<String>,
        plan: Option<String>,
        quantity: Option<String>,
    }
    let body: Body = request.json().map_err(|_| refused(&["The body is not valid"]))?;
    let answers = body.servers.into_iter().map(|wish| {
        let (metro, plan) = (wish.metro.unwrap_or_default(), wish.plan.unwrap_or_default());
        let available = CATALOG.plan(&plan).is_some_and(|plan| level(plan, &metro) != "unavailable");
        let quantity = wish.quantity.unwrap_or_else(|| "1".to_owned());
        json!({ "metro": metro, "plan": plan, "quantity": quantity, "available": available })
    });
    ok(200, &json!({ "servers": answers.collect::<Vec<_>>() }))
}
