#![doc = include_str!("templates.md")]

use std::sync::LazyLock;

use capsule_core::{Catalog, Error, ErrorKind, Lifecycle, Plan, PlanKind, ProviderId, Result, Stock};

/// An older name for a plan, with everything that was said about it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Such as `do-basic-2`.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// Whose plan it stands for.
    pub provider: ProviderId,
    /// The vendor's plan that it stands for.
    pub plan: &'static str,
    /// Whether the vendor ever sold that.
    pub is_real: bool,
    /// Virtual processors.
    pub cpu: u32,
    /// Memory.
    pub memory_gb: u64,
    /// Disk.
    pub storage_gb: u64,
    /// Traffic included in a month, in decimals.
    pub bandwidth_tb: &'static str,
    /// USD an hour, in decimals.
    pub price_hourly: &'static str,
    /// USD a month, in decimals.
    pub price_monthly: &'static str,
    /// Graphics processor.
    pub gpu: Option<&'static str>,
    /// Regions, in the words of then.
    pub regions: Vec<&'static str>,
    /// Features.
    pub features: Vec<&'static str>,
}

/// The regions of then, by provider, in the order of then.
pub const REGIONS: &[(&str, &[&str])] = &[
    ("hivelocity", &["atlanta", "tampa", "los-angeles", "new-york", "miami"]),
    ("digitalocean", &["nyc1", "nyc3", "sfo3", "lon1", "fra1", "sgp1", "tor1", "ams3"]),
    ("vultr", &["ewr", "ord", "dfw", "sea", "lax", "ams", "fra", "sgp", "syd"]),
    ("aws", &["us-east-1", "us-west-2", "eu-west-1", "ap-southeast-1", "ap-northeast-1"]),
    ("equinix", &["da", "sv", "ny", "am", "sg", "ty", "fr"]),
    (
        "linode",
        &[
            "us-east",
            "us-west",
            "us-central",
            "us-southeast",
            "eu-west",
            "eu-central",
            "ap-south",
            "ap-northeast",
            "ap-southeast",
            "ca-central",
            "au-sydney",
        ],
    ),
    ("scaleway", &["par1", "par2", "ams1", "ams2", "waw1"]),
];

/// Regions of then that the vendor calls otherwise. A city's name finds its region by itself.
const RENAMED: &[(&str, &str, &str)] = &[
    ("linode", "au-sydney", "ap-southeast"),
    ("scaleway", "par1", "fr-par-1"),
    ("scaleway", "par2", "fr-par-2"),
    ("scaleway", "ams1", "nl-ams-1"),
    ("scaleway", "ams2", "nl-ams-2"),
    ("scaleway", "waw1", "pl-waw-1"),
];

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let rows = include_str!("templates.md").lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id"));
    rows.map(|row| read(row).expect("the table is part of the program, and a test reads it")).collect()
});

fn read(row: &'static str) -> Option<Template> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [id, name, provider, plan, ever, cpu, memory, disk, traffic, hourly, monthly, gpu, regions, features] =
        cells[..]
    else {
        return None;
    };
    Some(Template {
        id,
        name,
        provider: ProviderId::new(provider),
        plan,
        is_real: ever == "yes",
        cpu: cpu.parse().ok()?,
        memory_gb: memory.parse().ok()?,
        storage_gb: disk.parse().ok()?,
        bandwidth_tb: traffic,
        price_hourly: hourly,
        price_monthly: monthly,
        gpu: (!gpu.is_empty()).then_some(gpu),
        regions: regions.split(' ').collect(),
        features: features.split(' ').collect(),
    })
}

/// All of them, in the order of then.
pub fn all() -> &'static [Template] {
    &TEMPLATES
}

/// The template with this id.
pub fn find(id: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.id == id)
}

/// What a region of then is called today at one of these providers: `par1` is `fr-par-1`, `tampa` is `TPA1`.
///
/// `None` for any other word, and for one whose region is no more.
pub fn region<'a>(word: &str, catalogs: &'a [Catalog]) -> Option<(&'a ProviderId, &'a str)> {
    catalogs.iter().find_map(|catalog| {
        let provider = catalog.provider.as_str();
        let then = REGIONS.iter().find(|(id, _)| *id == provider)?.1;
        if !then.contains(&word) {
            return None;
        }
        let renamed = RENAMED.iter().find(|(id, then, _)| *id == provider && *then == word).map(|(.., now)| *now);
        let is_it = |id: &str, name: &str| match renamed {
            Some(now) => id == now,
            None => id == word || name.to_lowercase().replace(' ', "-") == word,
        };
        let region = catalog.regions.iter().find(|region| is_it(&region.id, &region.name))?;
        Some((&catalog.provider, region.id.as_str()))
    })
}

/// Who sold a region of then, for a word that leads to none today.
pub fn region_of(word: &str) -> Option<&'static str> {
    REGIONS.iter().find(|(_, regions)| regions.contains(&word)).map(|(provider, _)| *provider)
}

impl Template {
    /// The living plan that it stands for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: why there is none, and which living plan comes nearest.
    pub fn living<'a>(&self, catalogs: &'a [Catalog]) -> Result<&'a Plan> {
        let own = catalogs.iter().find(|catalog| catalog.provider == self.provider);
        let sold = own.filter(|catalog| catalog.offers.iter().any(|offer| offer.plan == self.plan));
        sold.and_then(|catalog| catalog.plan(self.plan)).ok_or_else(|| {
            let hint = match self.nearest(catalogs) {
                Some((catalog, plan)) => format!(
                    "The nearest that is sold: `{}` of {}, {}.",
                    plan.id,
                    catalog.provider,
                    shape(plan.vcpus, plan.memory_mib / 1024, plan.disk_gib, plan)
                ),
                None => "`capsule plans` lists what is sold.".to_owned(),
            };
            Error::new(ErrorKind::Invalid, self.why_gone()).with_hint(hint)
        })
    }

    /// Why it leads to no plan, as a sentence.
    fn why_gone(&self) -> String {
        let (id, plan) = (self.id, self.plan);
        let entry = crate::find(self.provider.as_str());
        let name = entry.as_ref().map_or(self.provider.as_str(), |entry| entry.descriptor.name);
        match entry.as_ref().map(|entry| &entry.descriptor.lifecycle) {
            Ok(Lifecycle::Retired { on, .. }) => {
                format!("`{id}` was {name}'s {plan}, and {name} was switched off on {on}.")
            }
            _ if !self.is_real => format!("`{id}` stood for {name}'s `{plan}`, which {name} never sold."),
            _ => format!("`{id}` stood for {name}'s `{plan}`, which {name} does not sell any more."),
        }
    }

    /// The plan that is most like it and in stock: of its own provider where that sells its kind of machine, else of any.
    pub fn nearest<'a>(&self, catalogs: &'a [Catalog]) -> Option<(&'a Catalog, &'a Plan)> {
        let all = || catalogs.iter().flat_map(|catalog| catalog.plans.iter().map(move |plan| (catalog, plan)));
        let best = |own: bool| {
            let fitting = all().filter(|(catalog, plan)| {
                (!own || catalog.provider == self.provider)
                    && plan.kind == self.kind()
                    && plan.gpu.is_some() == self.gpu.is_some()
                    && catalog.offers.iter().any(|offer| offer.plan == plan.id && offer.stock != Stock::Out)
            });
            fitting.min_by_key(|(_, plan)| self.distance(plan))
        };
        let any = || all().min_by_key(|(_, plan)| self.distance(plan));
        best(true).or_else(|| best(false)).or_else(any)
    }

    fn kind(&self) -> PlanKind {
        if self.features.contains(&"bare-metal") { PlanKind::BareMetal } else { PlanKind::Virtual }
    }

    /// How unlike a plan is, in thousandths: a missing half of something counts as much as a double of it.
    fn distance(&self, plan: &Plan) -> u64 {
        let unlike = |wanted: u64, has: u64| wanted.abs_diff(has) * 1000 / wanted.max(has).max(1);
        let disk = if plan.disk_elastic { 0 } else { unlike(self.storage_gb, plan.disk_gib) };
        unlike(self.cpu.into(), plan.vcpus.into()) + unlike(self.memory_gb * 1024, plan.memory_mib) + disk
    }

    /// What differs between then and now, for people; `None` where nothing does.
    pub fn change(&self, plan: &Plan) -> Option<String> {
        let same = plan.vcpus == self.cpu
            && plan.memory_mib / 1024 == self.memory_gb
            && (plan.disk_elastic || plan.disk_gib == self.storage_gb);
        (!same).then(|| {
            let then = shape(self.cpu, self.memory_gb, self.storage_gb, plan);
            format!("{} now, {then} then", shape(plan.vcpus, plan.memory_mib / 1024, plan.disk_gib, plan))
        })
    }
}

/// Such as `2 vCPU, 4 GB memory, 80 GB disk`.
fn shape(cpu: u32, memory_gb: u64, disk_gb: u64, plan: &Plan) -> String {
    let disk = if plan.disk_elastic { String::new() } else { format!(", {disk_gb} GB disk") };
    let gpu = plan.gpu.as_ref().map(|gpu| format!(", {} x {}", gpu.count, gpu.model)).unwrap_or_default();
    let metal = if plan.kind == PlanKind::BareMetal { ", bare metal" } else { "" };
    format!("{cpu} vCPU, {memory_gb} GB memory{disk}{gpu}{metal}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_read_whole() {
        assert_eq!(all().len(), 31);
        assert_eq!(all().iter().map(|template| template.id).collect::<BTreeSet<_>>().len(), 31);
        assert_eq!((all()[0].id, all()[30].id), ("hive-small", "scaleway-h100-1-80g"));
        let basic = find("do-basic-2").unwrap();
        assert_eq!((basic.name, basic.plan, basic.cpu), ("Basic (2 vCPU)", "s-2vcpu-2gb", 2));
        assert_eq!((basic.memory_gb, basic.storage_gb, basic.bandwidth_tb), (2, 50, "2"));
        assert_eq!((basic.price_hourly, basic.price_monthly, basic.gpu), ("0.015", "12", None));
        assert_eq!(basic.regions, ["nyc1", "nyc3", "sfo3", "lon1", "fra1", "sgp1"]);
        assert_eq!(basic.features, ["ssd", "cloud"]);
        assert_eq!(find("hive-gpu").unwrap().gpu, Some("NVIDIA RTX 4090"));
        for template in all() {
            let regions = REGIONS.iter().find(|(id, _)| *id == template.provider.as_str()).unwrap().1;
            assert!(template.regions.iter().all(|region| regions.contains(region)), "{}", template.id);
            for decimals in [template.bandwidth_tb, template.price_hourly, template.price_monthly] {
                assert!(decimals.parse::<rust_decimal::Decimal>().is_ok(), "{}: {decimals}", template.id);
            }
        }
    }
}
