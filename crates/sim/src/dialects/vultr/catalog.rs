//! Plans, regions and systems that Vultr really sells, cut down to a few.

use serde_json::{Map, Value, json};

use super::answer::{self, Answer, not_found, page};
use crate::catalog::{Catalog, Image, Plan, Region};
use crate::machine::MachineKind;
use crate::wire::Request;
use crate::world::{Account, View};

const fn plan(
    id: &'static str,
    name: &'static str,
    (vcpus, memory_mib, disk_gib, transfer): (u32, u64, u64, u64),
    (hourly, monthly): (&'static str, &'static str),
    regions: &'static [&'static str],
) -> Plan {
    let kind = MachineKind::Virtual;
    Plan { id, name, kind, vcpus, memory_mib, disk_gib, transfer, hourly, monthly, regions, available: true }
}

const fn region(id: &'static str, name: &'static str, country: &'static str) -> Region {
    Region { id, name, country, available: true }
}

const fn system(id: &'static str, name: &'static str, family: &'static str) -> Image {
    Image { id, slug: id, name, distribution: family, arch: "x86_64", min_disk_gib: 10 }
}

const HIGH_FREQUENCY: &[&str] = &["ewr", "ord", "lax", "ams", "sgp"];

/// Traffic is in GB a month. A name is a family of plans, and for bare metal the processor.
pub(super) static CATALOG: Catalog = Catalog {
    plans: &[
        plan("vc2-1c-1gb", "vc2", (1, 1024, 25, 1024), ("0.007", "5"), &[]),
        plan("vc2-1c-2gb", "vc2", (1, 2048, 55, 2048), ("0.014", "10"), &[]),
        plan("vc2-2c-4gb", "vc2", (2, 4096, 80, 3072), ("0.027", "20"), &[]),
        plan("vc2-4c-8gb", "vc2", (4, 8192, 160, 4096), ("0.055", "40"), &[]),
        plan("vc2-6c-16gb", "vc2", (6, 16_384, 320, 5120), ("0.11", "80"), &[]),
        plan("vhf-1c-1gb", "vhf", (1, 1024, 32, 1024), ("0.009", "6"), HIGH_FREQUENCY),
        plan("vhf-3c-8gb", "vhf", (3, 8192, 256, 4096), ("0.066", "48"), HIGH_FREQUENCY),
        plan("vhf-8c-32gb", "vhf", (8, 32_768, 512, 6144), ("0.26", "192"), &["sea"]),
        plan("vcg-a16-2c-16gb-4vram", "vcg", (2, 16_384, 80, 3072), ("0.118", "86"), &["ewr", "ams"]),
        Plan {
            kind: MachineKind::BareMetal,
            ..plan("vbm-4c-32gb", "E3-1270v6", (8, 32_768, 480, 5120), ("0.41", "300"), &["ewr", "ams"])
        },
        Plan {
            kind: MachineKind::BareMetal,
            ..plan("vbm-24c-256gb-amd", "EPYC 7443P", (48, 262_144, 960, 10_240), ("1", "725"), &["ewr", "sgp"])
        },
        // (unsure) Which plans have no price of an hour changes; the description only says that some have none.
        Plan {
            kind: MachineKind::BareMetal,
            ..plan("vbm-6c-32gb", "E-2286G", (12, 32_768, 960, 5120), ("0", "185"), &["ord"])
        },
    ],
    regions: &[
        region("ewr", "New Jersey", "US"),
        region("ord", "Chicago", "US"),
        region("dfw", "Dallas", "US"),
        region("sea", "Seattle", "US"),
        region("lax", "Los Angeles", "US"),
        region("ams", "Amsterdam", "NL"),
        region("fra", "Frankfurt", "DE"),
        region("sgp", "Singapore", "SG"),
        region("syd", "Sydney", "AU"),
        region("sao", "São Paulo", "BR"),
    ],
    images: &[
        system("2284", "Ubuntu 24.04 LTS x64", "ubuntu"),
        system("1743", "Ubuntu 22.04 LTS x64", "ubuntu"),
        system("2136", "Debian 12 x64 (bookworm)", "debian"),
        system("477", "Debian 11 x64 (bullseye)", "debian"),
        system("1869", "Rocky Linux 9 x64", "rockylinux"),
        system("542", "CentOS 9 Stream x64", "centos"),
        system("2076", "Alpine Linux x64", "alpinelinux"),
        system("1764", "Windows 2022 Standard x64", "windows"),
        // These stand for what is chosen by other ids.
        system("159", "Custom", "iso"),
        system("164", "Snapshot", "snapshot"),
        system("186", "Application", "application"),
    ],
};

/// Plan, region, and what they cost together by the hour and by the month.
const LOCATION_COST: &[(&str, &str, &str, &str)] = &[
    ("vc2-1c-1gb", "sao", "0.01", "7.5"),
    ("vc2-1c-2gb", "sao", "0.021", "15"),
    ("vhf-8c-32gb", "sea", "0.26", "192"),
];

/// A number as the vendor writes it. Written out again it is the same text, since none has more digits than a double.
fn number(text: &'static str) -> Value {
    serde_json::from_str(text).expect("the tables above hold JSON numbers")
}

fn locations(plan: &Plan) -> Vec<&'static str> {
    CATALOG.regions.iter().map(|region| region.id).filter(|region| plan.sold_in(region)).collect()
}

/// What a plan costs in a region by the hour and by the month.
pub(super) fn price_in(plan: &Plan, region: &str) -> (String, String) {
    let own = LOCATION_COST.iter().find(|(id, place, ..)| *id == plan.id && *place == region);
    let (hourly, monthly) = own.map_or((plan.hourly, plan.monthly), |(.., hourly, monthly)| (hourly, monthly));
    (hourly.to_owned(), monthly.to_owned())
}

/// What both kinds of plan have.
fn body(plan: &'static Plan) -> Map<String, Value> {
    let mut body = Map::new();
    let costs = LOCATION_COST.iter().filter(|(id, ..)| *id == plan.id);
    let costs: Map<String, Value> =
        costs.map(|(_, region, hourly, monthly)| ((*region).to_owned(), cost(hourly, monthly))).collect();
    body.insert("id".into(), plan.id.into());
    body.insert("ram".into(), plan.memory_mib.into());
    body.insert("bandwidth".into(), plan.transfer.into());
    body.insert("invoice_type".into(), "hourly".into());
    if let Value::Object(cost) = cost(plan.hourly, plan.monthly) {
        body.extend(cost);
    }
    body.insert("locations".into(), json!(locations(plan)));
    body.insert("location_cost".into(), costs.into());
    body
}

fn cost(hourly: &'static str, monthly: &'static str) -> Value {
    json!({
        "monthly_cost": number(monthly),
        "hourly_cost": number(hourly),
        "monthly_cost_preemptible": number(monthly),
        "hourly_cost_preemptible": number(hourly),
    })
}

/// Cores of bare metal: the catalog counts threads, two to a core.
pub(super) fn cores(plan: &Plan) -> u32 {
    plan.vcpus / 2
}

/// Bare metal has two disks of one size.
pub(super) fn disk_each(plan: &Plan) -> u64 {
    plan.disk_gib / 2
}

fn of_kind(kind: MachineKind) -> impl Iterator<Item = (usize, &'static Plan)> {
    CATALOG.plans.iter().filter(move |plan| plan.kind == kind && plan.available).enumerate()
}

pub(super) fn list_plans(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let family = request.query("type").filter(|family| *family != "all");
    let windows = request.query("os") == Some("windows");
    let wanted = of_kind(MachineKind::Virtual)
        .filter(|(_, plan)| family.is_none_or(|family| plan.name == family) && (!windows || plan.memory_mib >= 2048));
    page(request, "plans", wanted, |plan| {
        let mut body = body(plan);
        body.insert("vcpu_count".into(), plan.vcpus.into());
        body.insert("disk".into(), plan.disk_gib.into());
        body.insert("disk_count".into(), 1.into());
        body.insert("type".into(), plan.name.into());
        body.insert("gpu_brand".into(), if plan.name == "vcg" { "nvidia" } else { "none" }.into());
        body
    })
}

pub(super) fn list_metal_plans(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page(request, "plans_metal", of_kind(MachineKind::BareMetal), |plan| {
        let mut body = body(plan);
        body.insert("cpu_count".into(), cores(plan).into());
        body.insert("cpu_threads".into(), plan.vcpus.into());
        body.insert("cpu_model".into(), plan.name.into());
        // The description has text here, and a number in its example.
        body.insert("disk".into(), disk_each(plan).to_string().into());
        body.insert("disk_count".into(), 2.into());
        body.insert("type".into(), "SSD".into());
        body.insert("gpu_brand".into(), "none".into());
        body
    })
}

pub(super) fn list_regions(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page(request, "regions", CATALOG.regions.iter().enumerate(), |region| {
        let continent = match region.country {
            "US" => "North America",
            "BR" => "South America",
            "SG" => "Asia",
            "AU" => "Australia",
            _ => "Europe",
        };
        json!({
            "id": region.id,
            "city": region.name,
            "country": region.country,
            "continent": continent,
            "options": ["ddos_protection", "block_storage_high_perf", "kubernetes"],
            "connectivity": ["public_ip"],
        })
    })
}

/// Nothing ever runs out here; faults can say otherwise.
pub(super) fn availability(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let region = CATALOG.region(&request.path[2]).ok_or_else(|| not_found("Invalid region."))?;
    let family = request.query("type").filter(|family| *family != "all");
    let fits = |plan: &&Plan| match (family, plan.kind) {
        (None, _) => true,
        (Some(family), MachineKind::BareMetal) => family == "vbm",
        (Some(family), MachineKind::Virtual) => family == plan.name,
    };
    let sold = CATALOG.plans.iter().filter(|plan| plan.sold_in(region.id)).filter(fits);
    let plans: Vec<_> = sold.map(|plan| plan.id).collect();
    Ok(answer::json(200, &json!({ "available_plans": plans, "available_vpc_only_plans": [] })))
}

pub(super) fn list_systems(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page(request, "os", CATALOG.images.iter().enumerate(), |system| {
        let id: u64 = system.id.parse().expect("the table above holds numbers");
        json!({ "id": id, "name": system.name, "arch": "x64", "family": system.distribution })
    })
}
