//! Server types, zones and images that Scaleway really sells, cut down to a few.

use serde_json::{Value, json};

use super::answer::{Answer, bad_argument, counted_page, map_page, not_found, ok, uuid_of};
use crate::catalog::{Catalog, Image, Plan, Region};
use crate::machine::MachineKind;
use crate::wire::{Request, Response};
use crate::world::{Account, View};

const fn plan(
    id: &'static str,
    arch: &'static str,
    (vcpus, memory_gib): (u32, u64),
    (hourly, monthly): (&'static str, &'static str),
    regions: &'static [&'static str],
) -> Plan {
    Plan {
        id,
        // The name's place holds the architecture, which no other field has.
        name: arch,
        kind: MachineKind::Virtual,
        vcpus,
        memory_mib: memory_gib << 10,
        disk_gib: 0,
        transfer: 0,
        hourly,
        monthly,
        regions,
        available: true,
    }
}

const fn region(id: &'static str, name: &'static str, country: &'static str) -> Region {
    Region { id, name, country, available: true }
}

const fn image(slug: &'static str, name: &'static str, distribution: &'static str, arch: &'static str) -> Image {
    Image { id: slug, slug, name, distribution, arch, min_disk_gib: 10 }
}

const PARIS: &[&str] = &["fr-par-1", "fr-par-2"];
const X86: &str = "x86_64";
const ARM: &str = "arm64";

pub(super) static CATALOG: Catalog = Catalog {
    plans: &[
        plan("STARDUST1-S", X86, (1, 1), ("0.00015", "0.1095"), &["fr-par-1", "nl-ams-1"]),
        plan("DEV1-S", X86, (2, 2), ("0.0088", "6.424"), &[]),
        plan("DEV1-M", X86, (3, 4), ("0.0198", "14.454"), &[]),
        plan("DEV1-L", X86, (4, 8), ("0.04200000151991844", "30.66"), &[]),
        plan("PRO2-XXS", X86, (2, 8), ("0.055", "40.15"), &[]),
        plan("PLAY2-PICO", X86, (1, 2), ("0.014", "10.22"), &[]),
        plan("GP1-XS", X86, (4, 16), ("0.091", "66.43"), &["fr-par-1", "nl-ams-1", "pl-waw-1"]),
        plan("GP1-S", X86, (8, 32), ("0.187", "136.51"), &["fr-par-1", "nl-ams-1", "pl-waw-1"]),
        plan("COPARM1-2C-8G", ARM, (2, 8), ("0.0426", "31.098"), &["fr-par-2"]),
        plan("H100-1-80G", X86, (24, 240), ("2.73", "1992.9"), &["fr-par-2"]),
        Plan { available: false, ..plan("START1-S", X86, (2, 2), ("0.016", "7.99"), PARIS) },
    ],
    regions: &[
        region("fr-par-1", "Paris 1", "FR"),
        region("fr-par-2", "Paris 2", "FR"),
        region("fr-par-3", "Paris 3", "FR"),
        region("nl-ams-1", "Amsterdam 1", "NL"),
        region("nl-ams-2", "Amsterdam 2", "NL"),
        region("nl-ams-3", "Amsterdam 3", "NL"),
        region("pl-waw-1", "Warsaw 1", "PL"),
        region("pl-waw-2", "Warsaw 2", "PL"),
        region("pl-waw-3", "Warsaw 3", "PL"),
        region("it-mil-1", "Milan 1", "IT"),
    ],
    // `any`: there are builds for both architectures.
    images: &[
        image("ubuntu_noble", "Ubuntu 24.04 Noble Numbat", "distribution", "any"),
        image("ubuntu_jammy", "Ubuntu 22.04 Jammy Jellyfish", "distribution", "any"),
        image("debian_bookworm", "Debian Bookworm", "distribution", "any"),
        image("debian_trixie", "Debian Trixie", "distribution", "any"),
        image("fedora_42", "Fedora 42", "distribution", X86),
        image("rockylinux_9", "Rocky Linux 9", "distribution", "any"),
        image("docker", "Docker", "instantapp", X86),
    ],
};

pub(super) fn is_zone(word: &str) -> bool {
    CATALOG.region(word).is_some()
}

/// The architecture of a type.
pub(super) fn arch(plan: &Plan) -> &'static str {
    plan.name
}

/// A number as the vendor writes it.
fn number(text: &'static str) -> Value {
    serde_json::from_str(text).expect("the table above holds JSON numbers")
}

/// Whether it is, or ever was, sold in that zone.
fn known_in(plan: &Plan, zone: &str) -> bool {
    plan.regions.is_empty() || plan.regions.contains(&zone)
}

fn type_body(plan: &Plan) -> Value {
    let gpu = plan.id.starts_with("H100");
    let bandwidth = 200_000_000;
    json!({
        "alt_names": [],
        "arch": arch(plan),
        "ncpus": plan.vcpus,
        "ram": plan.memory_mib << 20,
        "gpu": u64::from(gpu),
        "gpu_info": gpu.then(|| json!({
            "gpu_manufacturer": "NVIDIA", "gpu_name": "H100-PCIe", "gpu_memory": 85_899_345_920_u64,
        })),
        "monthly_price": number(plan.monthly),
        "hourly_price": number(plan.hourly),
        "volumes_constraint": { "min_size": 0, "max_size": 0 },
        "per_volume_constraint": { "l_ssd": { "min_size": 0, "max_size": 0 } },
        "scratch_storage_max_size": 0,
        "scratch_storage_max_volumes_count": 0,
        "block_bandwidth": bandwidth,
        "network": {
            "interfaces": [{ "internal_bandwidth": bandwidth, "internet_bandwidth": bandwidth }],
            "sum_internal_bandwidth": bandwidth,
            "sum_internet_bandwidth": bandwidth,
            "ipv6_support": true,
        },
        "capabilities": { "boot_types": ["local", "rescue"], "block_storage": true, "max_file_systems": 0 },
        "end_of_service": !plan.available,
    })
}

pub(super) fn list_types(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let types = CATALOG.plans.iter().filter(|plan| known_in(plan, &request.path[3]));
    map_page(request, types, |plan| (plan.id.to_owned(), type_body(plan)))
}

/// Large ones are scarce; what is at its end is gone.
pub(super) fn list_stock(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let types = CATALOG.plans.iter().filter(|plan| known_in(plan, &request.path[3]));
    map_page(request, types, |plan| {
        let left = match (plan.available, plan.vcpus) {
            (false, _) => "shortage",
            (true, 8..) => "scarce",
            (true, _) => "available",
        };
        (plan.id.to_owned(), json!({ "availability": left }))
    })
}

pub(super) fn list_images(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let wanted = request.query("category");
    let images = CATALOG.images.iter().filter(|image| wanted.is_none_or(|category| category == image.distribution));
    counted_page(request, "images", images, |image| {
        json!({
            "id": uuid_of(&["image", image.slug]),
            "name": image.name,
            "label": image.slug,
            "description": image.name,
            "logo": "",
            "categories": [image.distribution],
            "created_at": "2025-04-25T13:50:06.000000Z",
            "updated_at": "2026-07-03T09:11:57.000000Z",
        })
    })
}

/// An image built for one zone, architecture and kind of volume.
#[derive(Debug, Clone, Copy)]
pub(super) struct Build {
    pub(super) image: &'static Image,
    pub(super) zone: &'static str,
    pub(super) arch: &'static str,
    kind: &'static str,
}

impl Build {
    pub(super) fn id(&self) -> String {
        uuid_of(&["build", self.image.slug, self.zone, self.arch, self.kind])
    }

    fn body(&self) -> Value {
        let fits = |plan: &&Plan| arch(plan) == self.arch && plan.sold_in(self.zone);
        let types: Vec<_> = CATALOG.plans.iter().filter(fits).map(|plan| plan.id).collect();
        json!({
            "id": self.id(),
            "arch": self.arch,
            "zone": self.zone,
            "label": self.image.slug,
            "type": self.kind,
            "compatible_commercial_types": types,
        })
    }
}

/// Every build there is. ARM has builds only where it is sold.
fn builds() -> impl Iterator<Item = Build> {
    let places = CATALOG.images.iter().flat_map(|image| CATALOG.regions.iter().map(move |region| (image, region.id)));
    places.flat_map(|(image, zone)| {
        let archs = [X86, ARM].into_iter().filter(move |arch| match *arch {
            ARM => image.arch == "any" && zone == "fr-par-2",
            _ => true,
        });
        archs
            .flat_map(move |arch| ["instance_local", "instance_sbs"].map(move |kind| Build { image, zone, arch, kind }))
    })
}

/// The build that a label or a build's own id names, for block storage, in a zone and for an architecture.
pub(super) fn build(word: &str, zone: &str, arch: &str) -> Result<Build, Response> {
    let here = |build: &Build| build.zone == zone && build.kind == "instance_sbs";
    if CATALOG.image(word).is_some() {
        let fits = builds().find(|build| here(build) && build.arch == arch && build.image.slug == word);
        return fits.ok_or_else(|| not_found("MarketplaceLocalImage", word));
    }
    let is_id = word.len() == 36 && word.matches('-').count() == 4;
    match builds().find(|build| here(build) && build.id() == word) {
        Some(build) if build.arch == arch => Ok(build),
        Some(_) => Err(bad_argument("image", "constraint", "the image's architecture is not that of the type")),
        None if is_id => Err(super::answer::unknown_resource("instance_image", word)),
        None => Err(not_found("MarketplaceImage", word)),
    }
}

pub(super) fn list_builds(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let names = ["image_label", "image_id", "version_id"];
    let (name, word) = match names
        .map(|name| request.query(name).map(|word| (name, word)))
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()[..]
    {
        [one] => one,
        _ => return Err(bad_argument("image_label", "required", "exactly one of image_label, image_id, version_id")),
    };
    let image = CATALOG.images.iter().find(|image| match name {
        "image_label" => image.slug == word,
        "image_id" => uuid_of(&["image", image.slug]) == word,
        _ => false,
    });
    let image = image.ok_or_else(|| not_found("MarketplaceImage", word))?;
    let is = |asked: Option<&str>, word: &str| asked.is_none_or(|asked| asked == word);
    let wanted = builds().filter(|build| {
        build.image.slug == image.slug
            && is(request.query("zone"), build.zone)
            && is(request.query("arch"), build.arch)
            && is(request.query("type").filter(|kind| *kind != "unknown_type"), build.kind)
    });
    counted_page(request, "local_images", wanted, |build| build.body())
}

pub(super) fn get_build(request: &Request, _: &Account, _: &mut View<'_>) -> Answer {
    let word = &request.path[3];
    let build = builds().find(|build| build.id() == *word).ok_or_else(|| not_found("MarketplaceLocalImage", word))?;
    ok(200, &build.body())
}
