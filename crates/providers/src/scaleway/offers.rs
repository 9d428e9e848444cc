//! What Scaleway sells, in our words, without any I/O: plans, prices, stock and images.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use capsule_core::{
    Architecture, BillingUnit, Catalog, Currency, Gpu, Image, Money, Offer, Plan, PlanKind, Price, Region, Stock,
};
use jiff::Timestamp;

use super::convert::{ROOT_BYTES, ZONES};
use super::{DESCRIPTOR, api, billing};

/// What one zone sells.
pub(super) struct Shelf {
    pub(super) zone: &'static str,
    pub(super) types: Vec<(String, api::ServerType)>,
    pub(super) stock: Vec<(String, api::Availability)>,
}

/// Everything on offer in the wanted zones; each image with its builds.
pub(super) fn catalog(at: Timestamp, shelves: Vec<Shelf>, images: Vec<(api::Image, Vec<api::LocalImage>)>) -> Catalog {
    let zones: Vec<&str> = shelves.iter().map(|shelf| shelf.zone).collect();
    let regions = ZONES.iter().filter(|(id, ..)| zones.contains(id)).map(|(id, name, country)| Region {
        id: (*id).to_owned(),
        name: (*name).to_owned(),
        country: Some((*country).to_owned()),
        available: true,
    });
    let regions = regions.collect();
    let (mut plans, mut offers) = (BTreeMap::new(), Vec::new());
    for shelf in shelves {
        let stock: BTreeMap<_, _> = shelf.stock.into_iter().collect();
        let mut seen = HashSet::new();
        for (name, kind) in shelf.types {
            // What is at its end takes no orders, and what cannot boot from block storage is not ordered by us.
            let block = kind.capabilities.as_ref().and_then(|capabilities| capabilities.block_storage);
            if kind.end_of_service == Some(true) || block == Some(false) || !seen.insert(name.clone()) {
                continue;
            }
            let Some(architecture) = architecture(kind.arch.as_deref()) else { continue };
            offers.push(Offer {
                plan: name.clone(),
                region: shelf.zone.to_owned(),
                price: price(&name, &kind),
                stock: match stock.get(&name).and_then(|stock| stock.availability.as_deref()) {
                    Some("available") => Stock::Available,
                    Some("scarce") => Stock::Scarce,
                    Some("shortage") => Stock::Out,
                    _ => Stock::Untold,
                },
            });
            plans.entry(name.clone()).or_insert_with(|| plan(name, architecture, kind));
        }
    }
    let mut labels = HashSet::new();
    let images = images
        .into_iter()
        .filter_map(|(image, builds)| self::image(image, &builds, &zones))
        .filter(|image| labels.insert(image.id.clone()))
        .collect();
    Catalog { provider: DESCRIPTOR.id.clone(), at, regions, plans: plans.into_values().collect(), images, offers }
}

fn architecture(word: Option<&str>) -> Option<Architecture> {
    match word {
        Some("x86_64") => Some(Architecture::X86_64),
        Some("arm64") => Some(Architecture::Arm64),
        _ => None,
    }
}

fn plan(name: String, architecture: Architecture, kind: api::ServerType) -> Plan {
    let model = kind.gpu_info.and_then(|gpu| gpu.gpu_name).unwrap_or_default();
    Plan {
        name: name.clone(),
        id: name,
        kind: PlanKind::Virtual,
        architecture,
        vcpus: kind.ncpus,
        memory_mib: kind.ram >> 20,
        disk_gib: 0,
        disk_elastic: true,
        transfer_gib: None,
        gpu: kind.gpu.filter(|count| *count > 0).map(|count| Gpu { model, count }),
    }
}

/// Euro for an hour, without tax. The monthly price that the vendor gives beside is 730 times that and caps nothing.
fn price(name: &str, kind: &api::ServerType) -> Option<Price> {
    let by_minute = kind.gpu.is_some_and(|count| count > 0) && !name.starts_with("RENDER-S");
    let amount = Money::parse(kind.hourly_price.as_deref()?.get(), Currency::EUR).ok()?;
    // The vendor's prices have up to five places; what stands behind them is the noise of a float.
    let mut price = billing::VIRTUAL.price(amount.round(6), BillingUnit::Hour, None, ROOT_BYTES / 1_000_000_000);
    if by_minute {
        price.rule = billing::BY_MINUTE.clone();
    }
    Some(price)
}

/// Whether a marketplace image is a plain operating system.
pub(super) fn is_system(image: &api::Image) -> bool {
    let categories = image.categories.as_deref().unwrap_or_default();
    os(&image.label).is_some() || categories.iter().any(|category| category.eq_ignore_ascii_case("distribution"))
}

fn image(image: api::Image, builds: &[api::LocalImage], zones: &[&str]) -> Option<Image> {
    let builds: Vec<_> = builds.iter().filter(|build| zones.contains(&build.zone.as_str())).collect();
    let places: BTreeSet<&str> = builds.iter().map(|build| build.zone.as_str()).collect();
    let kinds: HashSet<_> = builds.iter().filter_map(|build| architecture(build.arch.as_deref())).collect();
    if kinds.is_empty() {
        return None;
    }
    Some(Image {
        os: os(&image.label),
        name: image.name.unwrap_or_else(|| image.label.clone()),
        id: image.label,
        architecture: if kinds.len() == 1 { kinds.into_iter().next() } else { None },
        kind: Some(PlanKind::Virtual),
        regions: if places.len() == zones.len() { Vec::new() } else { places.into_iter().map(str::to_owned).collect() },
        cloud_init: true,
    })
}

/// `ubuntu_noble` is `ubuntu-24.04`, `rockylinux_9` is `rocky-9`.
fn os(label: &str) -> Option<String> {
    let (system, version) = label.split_once('_')?;
    let version = match version {
        "focal" => "20.04",
        "jammy" => "22.04",
        "noble" => "24.04",
        "buster" => "10",
        "bullseye" => "11",
        "bookworm" => "12",
        "trixie" => "13",
        "stream_9" if system == "centos" => return Some("centos-stream-9".to_owned()),
        number if number.bytes().all(|b| b.is_ascii_digit()) => number,
        _ => return None,
    };
    let system = match system {
        "ubuntu" | "debian" | "fedora" => system,
        "rockylinux" => "rocky",
        "almalinux" => "alma",
        _ => return None,
    };
    Some(format!("{system}-{version}"))
}
