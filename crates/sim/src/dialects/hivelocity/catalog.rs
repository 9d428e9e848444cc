//! Products, facilities and operating systems. Ids, names and prices are the real ones where the notes have them
//! (2379, 504, 576), else made up in the same manner.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::answer::{Answer, error, found, ok};
use crate::catalog::{Catalog, Image, Plan, Region};
use crate::machine::MachineKind;
use crate::wire::Request;
use crate::world::{Account, View};

const fn plan(
    id: &'static str,
    name: &'static str,
    kind: MachineKind,
    (vcpus, memory_mib, disk_gib, transfer): (u32, u64, u64, u64),
    (hourly, monthly): (&'static str, &'static str),
    regions: &'static [&'static str],
) -> Plan {
    Plan { id, name, kind, vcpus, memory_mib, disk_gib, transfer, hourly, monthly, regions, available: true }
}

const fn region(id: &'static str, name: &'static str, country: &'static str) -> Region {
    Region { id, name, country, available: true }
}

const fn image(id: &'static str, name: &'static str, distribution: &'static str) -> Image {
    Image { id, slug: name, name, distribution, arch: "x86_64", min_disk_gib: 10 }
}

const VPS: MachineKind = MachineKind::Virtual;
const METAL: MachineKind = MachineKind::BareMetal;

pub(super) static CATALOG: Catalog = Catalog {
    plans: &[
        plan("2379", "VPS 1", VPS, (1, 2048, 25, 1), ("0.0125", "9.15"), &[]),
        plan("2380", "VPS 2", VPS, (2, 4096, 50, 2), ("0.025", "18.25"), &[]),
        plan("2381", "VPS 4", VPS, (4, 8192, 100, 4), ("0.05", "36.5"), &["TPA1", "NYC1", "LAX3"]),
        plan("504", "E-2136", METAL, (12, 32_768, 960, 20), ("0.21", "134"), &[]),
        plan("576", "EPYC 7302P", METAL, (32, 131_072, 1920, 20), ("0.4", "249"), &["TPA1", "LAX3"]),
        Plan {
            available: false,
            ..plan("577", "EPYC 7443P", METAL, (48, 262_144, 3840, 20), ("0.6", "399"), &["TPA1"])
        },
        plan("610", "EPYC 9354 L40S", METAL, (64, 393_216, 3840, 20), ("1.9", "1249"), &["NYC1"]),
        plan("620", "E3-1230", METAL, (8, 16_384, 500, 10), ("0", "59"), &["TPA1"]),
    ],
    regions: &[
        region("TPA1", "Tampa", "US"),
        region("NYC1", "New York", "US"),
        region("LAX3", "Los Angeles", "US"),
        region("AMS1", "Amsterdam", "NL"),
    ],
    images: &[
        image("1201", "Ubuntu 24.04", "metal"),
        image("1202", "Ubuntu 22.04", "metal"),
        image("1203", "Debian 12", "metal"),
        image("1204", "Rocky Linux 9", "metal"),
        image("1205", "Windows Server 2022", "metal"),
        image("1301", "Ubuntu 24.04 (VPS)", "vps"),
        image("1302", "Ubuntu 22.04 (VPS)", "vps"),
        image("1303", "Debian 12 (VPS)", "vps"),
    ],
};

/// Which of the two collections: it tells apart what operating systems there are as well.
pub(super) fn is_image_of(image: &Image, kind: MachineKind) -> bool {
    (image.distribution == "vps") == (kind == VPS)
}

/// A number as the vendor writes it.
fn number(text: &str) -> Value {
    serde_json::from_str(text).expect("the table above holds JSON numbers")
}

/// The group of the shop that a product stands in.
fn group(plan: &Plan) -> &'static str {
    match plan.id {
        "610" => "GPU",
        "620" => "OUTLET",
        _ => "MAIN",
    }
}

/// Periods in which a product is not sold.
pub(super) fn disabled_periods(plan: &Plan) -> &'static [&'static str] {
    if plan.id == "620" { &["hourly"] } else { &[] }
}

/// What a facility adds to the price of an hour and of a month.
fn premium(facility: &str) -> (&'static str, &'static str) {
    if facility == "LAX3" { ("0.003", "2.0") } else { ("0.0", "0.0") }
}

/// What a product costs in a facility by the hour and by the month, with what the facility adds.
pub(super) fn price_in(plan: &Plan, facility: &str) -> (String, String) {
    let sum = |base: &str, more: &str| {
        let number = |text: &str| text.parse::<Decimal>().expect("the tables above hold numbers");
        (number(base) + number(more)).to_string()
    };
    let (hourly, monthly) = premium(facility);
    (sum(plan.hourly, hourly), sum(plan.monthly, monthly))
}

fn stock(plan: &Plan, region: &Region) -> Value {
    let (hourly_premium, monthly_premium) = premium(region.id);
    let cores = (plan.vcpus / 2).max(1);
    let memory = plan.memory_mib / 1024;
    let drive =
        if plan.kind == VPS { format!("{}GB SSD", plan.disk_gib) } else { format!("2 x {}GB NVMe", plan.disk_gib / 2) };
    json!({
        "product_id": plan.id.parse::<u64>().unwrap_or_default(),
        "product_name": plan.name,
        "data_center": region.id,
        "location_option_id": 7,
        "core": true,
        "edge": false,
        "is_sps": true,
        "is_vps": plan.kind == VPS,
        "stock": if !plan.available { "unavailable" } else if plan.id == "576" { "limited" } else { "available" },
        "product_cpu": plan.name,
        "product_cpu_cores": format!("{cores} cores / {} threads", plan.vcpus),
        "processor_info": { "cores": cores, "threads": plan.vcpus, "sockets": 1, "vcpus": plan.vcpus },
        "product_memory": format!("{memory}GB"),
        "product_drive": drive,
        "product_gpu": if group(plan) == "GPU" { "1 x NVIDIA L40S" } else { "None" },
        "product_bandwidth": format!("{}TB / 1Gbps", plan.transfer),
        "product_hourly_price": number(plan.hourly),
        "product_monthly_price": number(plan.monthly),
        "hourly_location_premium": number(hourly_premium),
        "monthly_location_premium": number(monthly_premium),
        "product_disabled_billing_periods": disabled_periods(plan),
        "product_on_sale": false,
    })
}

/// Where a product is listed, in stock or not.
pub(super) fn is_listed(plan: &Plan, region: &str) -> bool {
    plan.regions.is_empty() || plan.regions.contains(&region)
}

/// Every row of product and facility, by facility, by city, or in one piece.
pub(super) fn products(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let wanted = request.query("location").unwrap_or("MAIN");
    let by = request.query("group_by").unwrap_or("facility");
    let mut rows: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for plan in CATALOG.plans.iter().filter(|plan| group(plan) == wanted) {
        for region in CATALOG.regions.iter().filter(|region| is_listed(plan, region.id)) {
            let key = match by {
                "flat" => "flat",
                "city" => region.name,
                _ => region.id,
            };
            rows.entry(key).or_default().push(stock(plan, region));
        }
    }
    ok(200, &rows)
}

pub(super) fn product(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let plan = found(CATALOG.plan(&request.path[4]), "Product")?;
    let region = CATALOG.regions.iter().find(|region| is_listed(plan, region.id));
    ok(200, &stock(plan, found(region, "Product")?))
}

pub(super) fn locations(_: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let one = |(place, region): (usize, &Region)| {
        json!({
            "id": place + 1,
            "code": region.id,
            "title": region.name,
            "core": true,
            "edge": false,
            "location": { "city": region.name, "country": region.country },
            "location_option_ids": [7],
        })
    };
    ok(200, &CATALOG.regions.iter().enumerate().map(one).collect::<Vec<_>>())
}

pub(super) fn systems(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let plan = CATALOG.plan(&request.path[3]).ok_or_else(|| error(404, "Product Not Found"))?;
    let one = |image: &Image| {
        let windows = image.name.starts_with("Windows");
        json!({
            "id": image.id.parse::<u64>().unwrap_or_default(),
            "name": image.name,
            "currency": "USD",
            "monthlyPrice": number(if windows { "25.0" } else { "0.0" }),
            "operatingSystemFeatures": { "sshKey": !windows, "postInstall": true, "cloudInit": !windows },
            "tags": [],
            "expressions": [],
        })
    };
    let fits = CATALOG.images.iter().filter(|image| is_image_of(image, plan.kind));
    ok(200, &fits.map(one).collect::<Vec<_>>())
}
