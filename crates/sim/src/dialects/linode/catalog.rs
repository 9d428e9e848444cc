//! Types, regions and images that Linode really sells, cut down to a few.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::answer::{Answer, found, ok, page_of};
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

const fn region(id: &'static str, name: &'static str, country: &'static str, available: bool) -> Region {
    Region { id, name, country, available }
}

const fn image(id: &'static str, name: &'static str, distribution: &'static str) -> Image {
    Image { id, slug: id, name, distribution, arch: "x86_64", min_disk_gib: 3 }
}

const GPU: &[&str] = &["us-east", "us-ord", "eu-central"];

/// The price of the smaller graphics plan is not published: the list says 0.
pub(super) static CATALOG: Catalog = Catalog {
    plans: &[
        plan("g6-nanode-1", "Nanode 1GB", (1, 1024, 25, 1000), ("0.0075", "5.0"), &[]),
        plan("g6-standard-1", "Linode 2GB", (1, 2048, 50, 2000), ("0.018", "12.0"), &[]),
        plan("g6-standard-2", "Linode 4GB", (2, 4096, 80, 4000), ("0.036", "24.0"), &[]),
        plan("g6-standard-4", "Linode 8GB", (4, 8192, 160, 5000), ("0.072", "48.0"), &[]),
        plan("g6-dedicated-2", "Dedicated 4GB", (2, 4096, 80, 4000), ("0.054", "36.0"), &[]),
        plan("g6-dedicated-4", "Dedicated 8GB", (4, 8192, 160, 5000), ("0.108", "72.0"), &[]),
        plan("g1-gpu-rtx6000-1", "Dedicated 32GB + RTX6000 GPU x1", (8, 32_768, 640, 16_000), ("1.5", "1000.0"), GPU),
        plan("g2-gpu-rtx4000a1-s", "RTX4000 Ada x1 Small", (4, 16_384, 512, 0), ("0.0", "0.0"), GPU),
    ],
    regions: &[
        region("us-east", "Newark, NJ, USA", "us", true),
        region("us-ord", "Chicago, IL, USA", "us", true),
        region("us-west", "Fremont, CA, USA", "us", true),
        region("us-central", "Dallas, TX, USA", "us", true),
        region("us-southeast", "Atlanta, GA, USA", "us", false),
        region("ca-central", "Toronto, ON, CA", "ca", true),
        region("eu-west", "London 2, UK", "gb", true),
        region("eu-central", "Frankfurt, DE", "de", true),
        region("ap-south", "Singapore, SG", "sg", true),
        region("ap-northeast", "Tokyo 2, JP", "jp", true),
        region("ap-southeast", "Sydney, AU", "au", true),
        region("id-cgk", "Jakarta, ID", "id", true),
        region("br-gru", "Sao Paulo, BR", "br", true),
    ],
    images: &[
        image("linode/ubuntu24.04", "Ubuntu 24.04 LTS", "Ubuntu"),
        image("linode/ubuntu22.04", "Ubuntu 22.04 LTS", "Ubuntu"),
        image("linode/ubuntu20.04", "Ubuntu 20.04 LTS", "Ubuntu"),
        image("linode/debian12", "Debian 12", "Debian"),
        image("linode/rocky9", "Rocky Linux 9", "Rocky"),
        image("linode/fedora42", "Fedora 42", "Fedora"),
        image("linode/arch", "Arch Linux", "Arch"),
    ],
};

/// Region, hour and month.
type RegionPrice = (&'static str, &'static str, &'static str);

/// Jakarta and Sao Paulo are dearer.
const DEARER: &[(&str, [RegionPrice; 2])] = &[
    ("g6-nanode-1", [("id-cgk", "0.009", "6.0"), ("br-gru", "0.0105", "7.0")]),
    ("g6-standard-1", [("id-cgk", "0.0216", "14.4"), ("br-gru", "0.0252", "16.8")]),
    ("g6-standard-2", [("id-cgk", "0.0432", "28.8"), ("br-gru", "0.0504", "33.6")]),
    ("g6-standard-4", [("id-cgk", "0.0864", "57.6"), ("br-gru", "0.1008", "67.2")]),
    ("g6-dedicated-2", [("id-cgk", "0.0648", "43.2"), ("br-gru", "0.0756", "50.4")]),
    ("g6-dedicated-4", [("id-cgk", "0.1296", "86.4"), ("br-gru", "0.1512", "100.8")]),
];

/// Sold there, and out of stock.
const SOLD_OUT: &[(&str, &str)] = &[("g6-dedicated-4", "us-west")];

const DEPRECATED: &str = "linode/ubuntu20.04";
/// The one image without cloud-init.
const BARE: &str = "linode/arch";

/// A number as the vendor writes it.
fn number(text: &'static str) -> Value {
    serde_json::from_str(text).expect("the tables above hold JSON numbers")
}

fn price(hourly: &'static str, monthly: &'static str) -> Value {
    json!({ "hourly": number(hourly), "monthly": number(monthly) })
}

pub(super) fn is_gpu(plan: &Plan) -> bool {
    plan.id.contains("-gpu-")
}

/// Whether one can be had there now.
pub(super) fn in_stock(plan: &Plan, region: &Region) -> bool {
    region.available && plan.sold_in(region.id) && !SOLD_OUT.contains(&(plan.id, region.id))
}

/// What a plan costs in a region by the hour and by the month.
pub(super) fn price_in(plan: &Plan, region: &str) -> (String, String) {
    let dearer = DEARER.iter().filter(|(id, _)| *id == plan.id).flat_map(|(_, prices)| prices);
    let own = dearer.into_iter().find(|(place, ..)| *place == region);
    let (hourly, monthly) = own.map_or((plan.hourly, plan.monthly), |(_, hourly, monthly)| (*hourly, *monthly));
    (hourly.to_owned(), monthly.to_owned())
}

static TYPES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let body = |plan: &'static Plan| {
        let dearer = DEARER.iter().find(|(id, _)| *id == plan.id).map(|(_, prices)| prices).into_iter().flatten();
        let region_prices: Vec<Value> = dearer
            .map(|(region, hourly, monthly)| {
                json!({ "id": region, "hourly": number(hourly), "monthly": number(monthly) })
            })
            .collect();
        let class = match plan.id {
            id if id.contains("nanode") => "nanode",
            id if id.contains("dedicated") => "dedicated",
            _ if is_gpu(plan) => "gpu",
            _ => "standard",
        };
        json!({
            "id": plan.id,
            "label": plan.name,
            "class": class,
            "vcpus": plan.vcpus,
            "memory": plan.memory_mib,
            "disk": plan.disk_gib * 1024,
            "transfer": plan.transfer,
            "network_out": plan.transfer.clamp(1000, 10_000),
            "gpus": u8::from(is_gpu(plan)),
            "price": price(plan.hourly, plan.monthly),
            "region_prices": region_prices,
            "addons": { "backups": { "price": price("0.003", "2.0"), "region_prices": [] } },
            "successor": null,
        })
    };
    CATALOG.plans.iter().map(body).collect()
});

static REGIONS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let body = |region: &'static Region| {
        json!({
            "id": region.id,
            "label": region.name,
            "country": region.country,
            "capabilities": [
                "Linodes", "Block Storage", "Cloud Firewall", "Metadata", "Placement Groups", "VPCs", "Linode Interfaces",
            ],
            "status": if region.available { "ok" } else { "outage" },
            "site_type": "core",
            "resolvers": { "ipv4": "192.0.2.5,192.0.2.6", "ipv6": "2001:db8::5,2001:db8::6" },
            "placement_group_limits": {
                "maximum_pgs_per_customer": 100,
                "maximum_linodes_per_pg": 5,
                "maximum_linodes_per_flexible_pg": 10,
            },
            "monitors": { "alerts": ["dbaas"], "metrics": ["dbaas"] },
        })
    };
    CATALOG.regions.iter().map(body).collect()
});

/// Shared plans are not listed; the others are, in every region.
static AVAILABILITY: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let listed = || CATALOG.plans.iter().filter(|plan| is_gpu(plan) || plan.id.contains("dedicated"));
    let told = |region: &'static Region, plan: &'static Plan| json!({ "region": region.id, "plan": plan.id, "available": in_stock(plan, region) });
    CATALOG.regions.iter().flat_map(|region| listed().map(move |plan| told(region, plan))).collect()
});

static IMAGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let body = |image: &'static Image| {
        let capabilities: &[&str] = if image.id == BARE { &[] } else { &["cloud-init", "distributed-sites"] };
        json!({
            "id": image.id,
            "label": image.name,
            "vendor": image.distribution,
            "description": null,
            "type": "manual",
            "is_public": true,
            "size": image.min_disk_gib * 1024,
            "total_size": image.min_disk_gib * 1024,
            "status": "available",
            "deprecated": image.id == DEPRECATED,
            "created": "2024-04-26T05:05:42",
            "updated": "2024-08-12T19:28:42",
            "created_by": "linode",
            "eol": "2029-05-31T04:00:00",
            "expiry": null,
            "capabilities": capabilities,
            "regions": [],
            "tags": [],
        })
    };
    CATALOG.images.iter().map(body).collect()
});

/// One of these by its id.
fn by_id(items: &[Value], id: &str) -> Answer {
    ok(found(items.iter().find(|item| item["id"] == id))?)
}

pub(super) fn list_types(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page_of(request, &TYPES)
}

pub(super) fn get_type(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    by_id(&TYPES, &request.path[3])
}

pub(super) fn list_regions(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page_of(request, &REGIONS)
}

pub(super) fn get_region(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    by_id(&REGIONS, &request.path[2])
}

pub(super) fn list_availability(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page_of(request, &AVAILABILITY)
}

/// A bare array, unlike every other list.
pub(super) fn region_availability(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let region = found(CATALOG.region(&request.path[2]))?;
    ok(&AVAILABILITY.iter().filter(|told| told["region"] == region.id).collect::<Vec<_>>())
}

pub(super) fn list_images(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page_of(request, &IMAGES)
}

/// The slash in an image's id may come encoded or not.
pub(super) fn get_image(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    by_id(&IMAGES, &request.path[2..].join("/"))
}
