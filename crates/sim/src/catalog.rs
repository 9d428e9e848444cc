//! What a simulated cloud sells: a small piece of the real catalog, as static data of each dialect.

use crate::machine::MachineKind;

/// What one cloud sells.
#[derive(Debug, Clone, Copy)]
pub struct Catalog {
    /// Server types.
    pub plans: &'static [Plan],
    /// Places.
    pub regions: &'static [Region],
    /// Operating systems.
    pub images: &'static [Image],
}

/// A server type.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The vendor's code.
    pub id: &'static str,
    /// The vendor's name or family.
    pub name: &'static str,
    /// Virtual or bare metal.
    pub kind: MachineKind,
    /// Threads.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Disk.
    pub disk_gib: u64,
    /// Traffic included each month, in the vendor's unit.
    pub transfer: u64,
    /// Price of an hour, as the vendor writes it.
    pub hourly: &'static str,
    /// Price of a month, as the vendor writes it.
    pub monthly: &'static str,
    /// Region codes where it is sold; empty for all.
    pub regions: &'static [&'static str],
    /// Whether it is sold at all.
    pub available: bool,
}

/// A place.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    /// The vendor's code.
    pub id: &'static str,
    /// The vendor's name.
    pub name: &'static str,
    /// ISO country code.
    pub country: &'static str,
    /// Whether it takes new servers.
    pub available: bool,
}

/// An operating system image.
#[derive(Debug, Clone, Copy)]
pub struct Image {
    /// The vendor's id, or the number where it has both.
    pub id: &'static str,
    /// The vendor's slug, or the id again.
    pub slug: &'static str,
    /// The vendor's name.
    pub name: &'static str,
    /// Ubuntu, Debian, ...
    pub distribution: &'static str,
    /// `x86_64` or `arm64`.
    pub arch: &'static str,
    /// Smallest disk.
    pub min_disk_gib: u64,
}

impl Catalog {
    /// The plan with that code.
    pub fn plan(&self, id: &str) -> Option<&'static Plan> {
        self.plans.iter().find(|plan| plan.id == id)
    }

    /// The region with that code.
    pub fn region(&self, id: &str) -> Option<&'static Region> {
        self.regions.iter().find(|region| region.id == id)
    }

    /// The image with that id or slug.
    pub fn image(&self, id: &str) -> Option<&'static Image> {
        self.images.iter().find(|image| image.id == id || image.slug == id)
    }
}

impl Plan {
    /// Whether it is sold in that region.
    pub fn sold_in(&self, region: &str) -> bool {
        self.available && (self.regions.is_empty() || self.regions.contains(&region))
    }
}
