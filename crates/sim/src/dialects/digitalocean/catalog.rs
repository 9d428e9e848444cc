//! Sizes, regions and images that DigitalOcean really sells, cut down to a few.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::answer::{Answer, Envelope, found, ok, page};
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

const fn image(id: &'static str, slug: &'static str, name: &'static str, distribution: &'static str) -> Image {
    Image { id, slug, name, distribution, arch: "x86_64", min_disk_gib: 10 }
}

const LARGE: &[&str] = &["ams3", "fra1", "nyc1", "nyc3", "sfo3", "sgp1", "tor1"];

/// The description has the price of the smallest size with the noise of a single-precision float; so has this.
pub(super) static CATALOG: Catalog = Catalog {
    plans: &[
        plan("s-1vcpu-512mb-10gb", "Basic", (1, 512, 10, 1), ("0.00595", "4"), LARGE),
        plan("s-1vcpu-1gb", "Basic", (1, 1024, 25, 1), ("0.00743999984115362", "5"), &[]),
        plan("s-1vcpu-2gb", "Basic", (1, 2048, 50, 2), ("0.01786", "12"), &[]),
        plan("s-2vcpu-2gb", "Basic", (2, 2048, 60, 3), ("0.02679", "18"), &[]),
        plan("s-2vcpu-4gb", "Basic", (2, 4096, 80, 4), ("0.03571", "24"), &[]),
        plan("s-4vcpu-8gb", "Basic", (4, 8192, 160, 5), ("0.07143", "48"), &[]),
        plan("s-8vcpu-16gb", "Basic", (8, 16_384, 320, 6), ("0.14286", "96"), LARGE),
        plan("c-2", "CPU-Optimized", (2, 4096, 25, 4), ("0.0625", "42"), LARGE),
        plan("c-8", "CPU-Optimized", (8, 16_384, 100, 6), ("0.25", "168"), LARGE),
        plan("g-2vcpu-8gb", "General Purpose", (2, 8192, 25, 4), ("0.09375", "63"), LARGE),
        Plan {
            available: false,
            ..plan("m-2vcpu-16gb", "Memory-Optimized", (2, 16_384, 50, 4), ("0.125", "84"), LARGE)
        },
    ],
    regions: &[
        region("nyc1", "New York 1", "US", true),
        region("nyc2", "New York 2", "US", false),
        region("nyc3", "New York 3", "US", true),
        region("sfo3", "San Francisco 3", "US", true),
        region("ams3", "Amsterdam 3", "NL", true),
        region("fra1", "Frankfurt 1", "DE", true),
        region("lon1", "London 1", "GB", true),
        region("sgp1", "Singapore 1", "SG", true),
        region("tor1", "Toronto 1", "CA", true),
        region("blr1", "Bangalore 1", "IN", true),
        region("syd1", "Sydney 1", "AU", true),
    ],
    images: &[
        image("195932981", "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu"),
        image("129211873", "ubuntu-22-04-x64", "22.04 (LTS) x64", "Ubuntu"),
        image("133463520", "debian-12-x64", "12 x64", "Debian"),
        image("113926474", "debian-11-x64", "11 x64", "Debian"),
        image("117383105", "rockylinux-9-x64", "9 x64", "Rocky Linux"),
        image("125703443", "fedora-39-x64", "39 x64", "Fedora"),
    ],
};

/// A number as the vendor writes it. Written out again it is the same text, since none has more digits than a double.
fn number(text: &'static str) -> Value {
    serde_json::from_str(text).expect("the table above holds JSON numbers")
}

fn regions_of(plan: &Plan) -> Vec<&'static str> {
    let open = CATALOG.regions.iter().filter(|region| region.available).map(|region| region.id);
    open.filter(|region| plan.sold_in(region)).collect()
}

/// JSON that is the same in thousands of answers, written once.
type Written = BTreeMap<&'static str, Box<RawValue>>;

fn write(bodies: impl Iterator<Item = (&'static str, Value)>) -> Written {
    bodies.map(|(id, body)| (id, to_raw_value(&body).expect("a JSON value can be written"))).collect()
}

static DISKS: LazyLock<Written> = LazyLock::new(|| write(CATALOG.plans.iter().map(|plan| (plan.id, disk_info(plan)))));

static SIZES: LazyLock<Written> = LazyLock::new(|| {
    write(CATALOG.plans.iter().map(|plan| {
        let body = json!({
            "slug": plan.id,
            "memory": plan.memory_mib,
            "vcpus": plan.vcpus,
            "disk": plan.disk_gib,
            "transfer": plan.transfer,
            "price_monthly": number(plan.monthly),
            "price_hourly": number(plan.hourly),
            "regions": regions_of(plan),
            "available": plan.available,
            "description": plan.name,
            "disk_info": disk_info(plan),
        });
        (plan.id, body)
    }))
});

static REGIONS: LazyLock<Written> = LazyLock::new(|| {
    write(CATALOG.regions.iter().map(|region| {
        let sold = CATALOG.plans.iter().filter(|plan| region.available && plan.sold_in(region.id));
        let body = json!({
            "name": region.name,
            "slug": region.id,
            "features": ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"],
            "available": region.available,
            "sizes": sold.map(|plan| plan.id).collect::<Vec<_>>(),
        });
        (region.id, body)
    }))
});

static IMAGES: LazyLock<Written> = LazyLock::new(|| {
    let open: Vec<_> = CATALOG.regions.iter().filter(|region| region.available).map(|region| region.id).collect();
    write(CATALOG.images.iter().map(|image| {
        let body = json!({
            "id": image.id.parse::<u64>().expect("the table above holds numbers"),
            "name": image.name,
            "distribution": image.distribution,
            "slug": image.slug,
            "public": true,
            "regions": open,
            "created_at": "2025-10-02T19:33:08Z",
            "type": "base",
            "min_disk_size": image.min_disk_gib,
            "size_gigabytes": number("0.61"),
            "description": format!("{} {}", image.distribution, image.name),
            "tags": [],
            "status": "available",
            "error_message": "",
        });
        (image.slug, body)
    }))
});

fn disk_info(plan: &Plan) -> Value {
    json!([{ "type": "local", "size": { "amount": plan.disk_gib, "unit": "gib" } }])
}

/// The `disk_info` of a droplet of that size.
pub(super) fn disks_of(plan: &str) -> Option<&'static RawValue> {
    DISKS.get(plan).map(Box::as_ref)
}

/// A size by its slug, as JSON.
pub(super) fn size(plan: &str) -> Option<&'static RawValue> {
    SIZES.get(plan).map(Box::as_ref)
}

/// A region by its slug, as JSON.
pub(super) fn region_body(region: &str) -> Option<&'static RawValue> {
    REGIONS.get(region).map(Box::as_ref)
}

/// An image by its slug, as JSON.
pub(super) fn image_body(slug: &str) -> Option<&'static RawValue> {
    IMAGES.get(slug).map(Box::as_ref)
}

pub(super) fn list_sizes(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page(request, "sizes", CATALOG.plans.iter(), |plan| size(plan.id))
}

pub(super) fn list_regions(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    page(request, "regions", CATALOG.regions.iter(), |region| region_body(region.id))
}

/// Only distributions are there: neither applications nor images of the account's own.
pub(super) fn list_images(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let none = request.query("type").is_some_and(|kind| kind != "distribution")
        || request.query("private") == Some("true")
        || request.query("tag_name").is_some();
    page(request, "images", CATALOG.images.iter().filter(|_| !none), |image| image_body(image.slug))
}

pub(super) fn get_image(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let image = found(CATALOG.image(&request.path[2]))?;
    ok(200, &Envelope("image", image_body(image.slug)))
}
