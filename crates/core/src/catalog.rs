//! What can be rented: one dated snapshot of a vendor's offers.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::instance::ProviderId;
use crate::price::Price;

/// Everything one vendor offers, as it stood at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// Whose.
    pub provider: ProviderId,
    /// When it was asked.
    pub at: Timestamp,
    /// Places.
    pub regions: Vec<Region>,
    /// Kinds of server.
    pub plans: Vec<Plan>,
    /// Operating systems.
    pub images: Vec<Image>,
    /// Which plan is sold where, at what price.
    pub offers: Vec<Offer>,
}

impl Catalog {
    /// The plan with this id.
    pub fn plan(&self, id: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    /// The region with this id.
    pub fn region(&self, id: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.id == id)
    }

    /// The offer of `plan` in `region`.
    pub fn offer(&self, plan: &str, region: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.plan == plan && offer.region == region)
    }

    /// The image that `wanted` names, by native id or by [`Image::os`], and that boots `plan` in `region`.
    pub fn image_for(&self, wanted: &str, plan: &Plan, region: &str) -> Option<&Image> {
        let fits = |image: &&Image| image.fits(plan, region);
        let by_id = self.images.iter().filter(|image| image.id == wanted).find(fits);
        by_id.or_else(|| self.images.iter().filter(|image| image.os.as_deref() == Some(wanted)).find(fits))
    }
}

/// A place: region, zone, metro or facility, whichever the vendor sells servers in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// The vendor's code, such as `nyc1`.
    pub id: String,
    /// For people, such as `New York 1`.
    pub name: String,
    /// ISO 3166 alpha-2, where known.
    pub country: Option<String>,
    /// Whether new servers can be ordered there at all.
    pub available: bool,
}

/// Shared or whole machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanKind {
    /// A virtual machine.
    Virtual,
    /// A machine of one's own.
    BareMetal,
}

/// Instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Arm64,
}

impl FromStr for Architecture {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_lowercase().as_str() {
            "x86_64" | "amd64" | "x64" => Ok(Architecture::X86_64),
            "arm64" | "aarch64" => Ok(Architecture::Arm64),
            _ => Err(Error::new(ErrorKind::Invalid, format!("`{text}` is no instruction set: it is x86_64 or arm64."))),
        }
    }
}

/// Graphics processors of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// As the vendor calls it.
    pub model: String,
    /// How many.
    pub count: u32,
}

/// A kind of server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The vendor's code, such as `s-1vcpu-1gb`.
    pub id: String,
    /// For people; the id again where the vendor gives no name.
    pub name: String,
    /// Shared or whole.
    pub kind: PlanKind,
    /// Instruction set.
    pub architecture: Architecture,
    /// Virtual processors, or threads of a whole machine.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Disk that comes with it, all disks together; 0 where it is bought apart.
    pub disk_gib: u64,
    /// Whether the root disk's size is chosen (and paid for) apart from the plan.
    pub disk_elastic: bool,
    /// Traffic included in a month, where stated.
    pub transfer_gib: Option<u64>,
    /// Graphics processors.
    pub gpu: Option<Gpu>,
}

impl Plan {
    /// Whether it has graphics processors whose model holds this word; any, without one.
    pub fn has_gpu(&self, word: Option<&str>) -> bool {
        let holds = |gpu: &Gpu| word.is_none_or(|word| gpu.model.to_lowercase().contains(&word.to_lowercase()));
        self.gpu.as_ref().is_some_and(holds)
    }
}

/// An operating system image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What the vendor takes at create.
    pub id: String,
    /// For people.
    pub name: String,
    /// The same system's name at every provider, such as `ubuntu-24.04` or `debian-12`, where it is one of those.
    pub os: Option<String>,
    /// Instruction set; `None` where the vendor picks the right build itself.
    pub architecture: Option<Architecture>,
    /// Kind of plan it boots; `None` for both.
    pub kind: Option<PlanKind>,
    /// Regions that have it; empty for all.
    pub regions: Vec<String>,
    /// Whether cloud-init reads user-data in it.
    pub cloud_init: bool,
}

impl Image {
    /// Whether it boots `plan` in `region`.
    pub fn fits(&self, plan: &Plan, region: &str) -> bool {
        self.architecture.is_none_or(|architecture| architecture == plan.architecture)
            && self.kind.is_none_or(|kind| kind == plan.kind)
            && (self.regions.is_empty() || self.regions.iter().any(|r| r == region))
    }
}

/// What the vendor says about how many are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    /// Enough.
    Available,
    /// Few.
    Scarce,
    /// None.
    Out,
    /// The vendor does not say.
    Untold,
}

/// A plan in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// [`Plan::id`].
    pub plan: String,
    /// [`Region::id`].
    pub region: String,
    /// What it costs there; `None` where that could not be learned. Never a guess.
    pub price: Option<Price>,
    /// Whether there is one.
    pub stock: Stock,
}
