//! What Hivelocity sells: rows of product and facility, described for people.

use std::collections::{BTreeMap, HashSet};

use capsule_core::{
    Architecture, BillingUnit, Catalog, Currency, Gpu, Image, Money, Offer, Plan, PlanKind, Price, Region, Stock,
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use super::api::{self, Family};
use super::{DESCRIPTOR, billing, convert};

/// The groups of the shop whose products can be ordered at once. The others are built by hand on request.
pub(super) const GROUPS: [&str; 4] = ["MAIN", "GPU", "OUTLET", "LANDING"];

/// The collection that a product's servers belong to.
pub(super) fn family(stock: &api::Stock) -> Family {
    if stock.is_vps == Some(true) { Family::Compute } else { Family::Metal }
}

fn kind(family: Family) -> PlanKind {
    match family {
        Family::Compute => PlanKind::Virtual,
        Family::Metal => PlanKind::BareMetal,
    }
}

/// Whether it can be had by the hour, and at once.
pub(super) fn is_sold(stock: &api::Stock) -> bool {
    let hourly_is_off = stock.product_disabled_billing_periods.iter().flatten().any(|period| period == "hourly");
    stock.is_sps != Some(false) && !hourly_is_off
}

/// Whose operating systems are asked for: they differ by product, but asking for each would take a hundred requests. The
/// cheapest three of each kind speak for the rest.
pub(super) fn speakers(stock: &[api::Stock]) -> Vec<(u64, Family)> {
    const EACH: usize = 3;
    let mut rows: Vec<&api::Stock> = stock.iter().filter(|row| is_sold(row)).collect();
    rows.sort_by_key(|row| {
        (state(row) == Stock::Out, row.product_hourly_price.unwrap_or(Decimal::MAX), row.product_id)
    });
    let mut chosen: Vec<(u64, Family)> = Vec::new();
    for row in rows {
        let (id, family) = (row.product_id, family(row));
        if !chosen.iter().any(|(other, _)| *other == id) && chosen.iter().filter(|(_, f)| *f == family).count() < EACH {
            chosen.push((id, family));
        }
    }
    chosen
}

/// Everything on offer in the wanted regions.
pub(super) fn catalog(
    at: Timestamp,
    wanted: &[String],
    stock: Vec<api::Stock>,
    locations: Vec<api::Location>,
    systems: Vec<(Family, Vec<api::System>)>,
) -> Catalog {
    let is_wanted = |code: &str| wanted.is_empty() || wanted.iter().any(|region| region == code);
    let mut regions: BTreeMap<String, Region> =
        locations.into_iter().filter(|l| is_wanted(&l.code)).map(|l| (l.code.clone(), region(l))).collect();
    let (mut plans, mut offers, mut seen) = (BTreeMap::new(), Vec::new(), HashSet::new());
    for row in stock.iter().filter(|row| is_sold(row)) {
        // A product can stand in two groups of the shop.
        let Some(code) = row.data_center.as_deref().filter(|code| is_wanted(code)) else { continue };
        if !seen.insert((row.product_id, code)) {
            continue;
        }
        let place = regions.entry(code.to_owned()).or_insert_with(|| Region {
            id: code.to_owned(),
            name: code.to_owned(),
            country: None,
            available: false,
        });
        let stock = state(row);
        place.available |= stock != Stock::Out;
        plans.entry(row.product_id).or_insert_with(|| plan(row));
        offers.push(Offer { plan: row.product_id.to_string(), region: code.to_owned(), price: price(row), stock });
    }
    Catalog {
        provider: DESCRIPTOR.id.clone(),
        at,
        regions: regions.into_values().collect(),
        plans: plans.into_values().collect(),
        images: images(systems),
        offers,
    }
}

fn region(location: api::Location) -> Region {
    let country = convert::text_in(&location.location, &["country", "countryCode"]);
    Region {
        name: location.title.unwrap_or_else(|| location.code.clone()),
        country: country.filter(|code| code.len() == 2).map(|code| code.to_uppercase()),
        available: false,
        id: location.code,
    }
}

/// What the vendor says about how many are left.
pub(super) fn state(stock: &api::Stock) -> Stock {
    match stock.stock.as_deref().unwrap_or_default() {
        "available" => Stock::Available,
        "limited" => Stock::Scarce,
        "unavailable" => Stock::Out,
        _ => Stock::Untold,
    }
}

/// The product's hour and what its facility adds to that, in dollars. An hour for nothing is no price.
fn price(stock: &api::Stock) -> Option<Price> {
    let hourly = stock.product_hourly_price.filter(|amount| *amount > Decimal::ZERO)?;
    let premium = stock.hourly_location_premium.unwrap_or_default();
    let usd = |amount| Money::new(amount, Currency::USD);
    // Virtual and whole machines are billed by one rule.
    Some(billing::VIRTUAL.price(usd(hourly).checked_add(usd(premium)).ok()?, BillingUnit::Hour, None, 0))
}

fn plan(stock: &api::Stock) -> Plan {
    let cpu = stock.product_cpu.as_deref().unwrap_or_default();
    let arm = ["arm", "ampere"].iter().any(|word| cpu.to_lowercase().contains(word));
    let text = |text: &Option<String>| text.as_deref().map(gib).unwrap_or_default();
    let name = [stock.product_name.as_deref(), Some(cpu)].into_iter().flatten().filter(|word| !word.is_empty());
    Plan {
        id: stock.product_id.to_string(),
        name: name.collect::<Vec<_>>().join(", "),
        kind: kind(family(stock)),
        architecture: if arm { Architecture::Arm64 } else { Architecture::X86_64 },
        vcpus: threads(&stock.processor_info),
        memory_mib: text(&stock.product_memory).saturating_mul(1024),
        disk_gib: text(&stock.product_drive),
        disk_elastic: false,
        // Free outbound transfer stands before the speed of the port: `20TB / 1Gbps`.
        transfer_gib: stock
            .product_bandwidth
            .as_deref()
            .and_then(|text| text.split('/').next())
            .map(gib)
            .filter(|gib| *gib > 0),
        gpu: stock.product_gpu.as_deref().and_then(gpu),
    }
}

/// vCPUs, or threads, or cores, whichever is told first; keys and types are not described.
fn threads(info: &Value) -> u32 {
    let Value::Object(fields) = info else { return 0 };
    let number = |key: &str| {
        let value = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?.1;
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
        u32::try_from(number).ok().filter(|number| *number > 0)
    };
    ["vcpus", "threads", "cores"].into_iter().find_map(number).unwrap_or_default()
}

/// GiB in a text for people, summed up: `32GB DDR4`, `2 x 960GB NVMe + 4TB HDD`. A TB counts as 1000: never too much.
fn gib(text: &str) -> u64 {
    text.split(['+', ',', '&']).map(part).fold(0, u64::saturating_add)
}

fn part(text: &str) -> u64 {
    let lower = text.to_lowercase();
    let (count, rest) = counted(&lower);
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let Ok(size) = rest[..digits].parse::<Decimal>() else { return 0 };
    let unit = rest[digits..].trim_start();
    let scale = match () {
        () if unit.starts_with("tb") => Decimal::ONE_THOUSAND,
        () if unit.starts_with("gb") || unit.starts_with("gib") => Decimal::ONE,
        () => return 0,
    };
    let total = size.checked_mul(scale).and_then(|size| size.checked_mul(Decimal::from(count)));
    total.and_then(|total| u64::try_from(total.trunc()).ok()).unwrap_or_default()
}

/// `2 x 960gb` is two of `960gb`; without a count it is one.
fn counted(text: &str) -> (u32, &str) {
    let text = text.trim();
    let pair = text.split_once('x').map(|(count, rest)| (count.trim().parse::<u32>(), rest.trim_start()));
    match pair {
        Some((Ok(count), rest)) => (count, rest),
        _ => (1, text),
    }
}

fn gpu(text: &str) -> Option<Gpu> {
    let lower = text.to_lowercase();
    if lower.is_empty() || lower == "none" || lower == "n/a" {
        return None;
    }
    let (count, rest) = counted(&lower);
    let model = text.get(text.len() - rest.len()..).unwrap_or(text).trim();
    Some(Gpu { model: model.to_owned(), count })
}

/// One image for each name. One that both kinds of product have fits both.
fn images(systems: Vec<(Family, Vec<api::System>)>) -> Vec<Image> {
    let mut found: BTreeMap<String, Image> = BTreeMap::new();
    for (family, system) in
        systems.into_iter().flat_map(|(family, systems)| systems.into_iter().map(move |s| (family, s)))
    {
        let kind = Some(kind(family));
        let image = found.entry(system.name.clone()).or_insert_with(|| Image {
            name: shown(&system),
            os: os(&system.name),
            architecture: None,
            kind,
            regions: Vec::new(),
            cloud_init: system.operating_system_features.as_ref().and_then(|f| f.cloud_init).unwrap_or(false),
            id: system.name,
        });
        if image.kind != kind {
            image.kind = None;
        }
    }
    found.into_values().collect()
}

/// The name, with the licence where it costs: no price of a plan has that in it.
fn shown(system: &api::System) -> String {
    match system.monthly_price.filter(|price| *price > Decimal::ZERO) {
        Some(price) => format!("{} (licence {} USD a month)", system.name, price.normalize()),
        None => system.name.clone(),
    }
}

/// `Ubuntu 24.04 (VPS)` is `ubuntu-24.04`, `Rocky Linux 9` is `rocky-9`. What is more than a name and a version is none.
fn os(name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches("(VPS)").trim_end().to_lowercase();
    let name = name.strip_suffix(" lts").unwrap_or(&name);
    let (system, version) = name.rsplit_once(' ')?;
    let is_version =
        version.starts_with(|c: char| c.is_ascii_digit()) && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let system = match system {
        "ubuntu" | "debian" | "fedora" | "almalinux" | "centos" => system,
        "rocky linux" | "rocky" | "rockylinux" => "rocky",
        "centos stream" => "centos-stream",
        _ => return None,
    };
    is_version.then(|| format!("{system}-{version}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_read_from_texts_for_people() {
        for (text, expected) in [
            ("32GB DDR4", 32),
            ("1 TB", 1000),
            ("2 x 960GB NVMe + 4TB HDD", 5920),
            ("2x480GB SSD", 960),
            ("1.92TB NVMe", 1920),
            ("500 GB SATA, 1 x 1TB SSD", 1500),
            ("20TB ", 20_000),
            ("Unmetered", 0),
            ("x", 0),
            ("99999999999999999999999TB", 0),
            ("4 x 99999999999999999TB + 1GB", 1),
            ("", 0),
        ] {
            assert_eq!(gib(text), expected, "{text}");
        }
    }

    #[test]
    fn systems_have_the_same_names_everywhere() {
        for (name, expected) in [
            ("Ubuntu 24.04", Some("ubuntu-24.04")),
            ("Ubuntu 24.04 (VPS)", Some("ubuntu-24.04")),
            ("Ubuntu 22.04 LTS", Some("ubuntu-22.04")),
            ("Debian 12", Some("debian-12")),
            ("Rocky Linux 9", Some("rocky-9")),
            ("AlmaLinux 9", Some("almalinux-9")),
            ("CentOS Stream 9", Some("centos-stream-9")),
            ("Windows Server 2022", None),
            ("Ubuntu 24.04 with Docker", None),
            ("Custom iPXE", None),
            ("", None),
        ] {
            assert_eq!(os(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn processors_are_counted_as_told() {
        for (info, expected) in [
            (json!({"cores": 8, "threads": 16, "sockets": 1}), 16),
            (json!({"cores": "4"}), 4),
            (json!({"vCPUs": 2, "threads": null}), 2),
            (json!({"threads": -1}), 0),
            (json!("8"), 0),
            (json!(null), 0),
        ] {
            assert_eq!(threads(&info), expected, "{info}");
        }
    }

    #[test]
    fn graphics_processors_are_counted() {
        let model = |text| gpu(text).map(|gpu| (gpu.count, gpu.model));
        assert_eq!(model("2 x NVIDIA L40S"), Some((2, "NVIDIA L40S".to_owned())));
        assert_eq!(model("NVIDIA A100 80GB"), Some((1, "NVIDIA A100 80GB".to_owned())));
        assert_eq!(model("None"), None);
    }
}
