//! What simulated AWS sells: real names and shapes, prices as they once stood in the price list. Static.

use sha2::{Digest, Sha256};

use super::sigv4::hex;
use crate::catalog::{Catalog, Image, Plan, Region};
use crate::machine::MachineKind::{self, BareMetal, Virtual};

/// A small piece of the catalog. The prices are those of us-east-1.
pub(super) static CATALOG: Catalog = Catalog { plans: PLANS, regions: REGIONS, images: IMAGES };

/// Regions that are on, and one that an account must first ask for.
static REGIONS: &[Region] = &[
    region("us-east-1", "US East (N. Virginia)", "US", true),
    region("us-east-2", "US East (Ohio)", "US", true),
    region("us-west-2", "US West (Oregon)", "US", true),
    region("eu-central-1", "Europe (Frankfurt)", "DE", true),
    region("eu-west-1", "Europe (Ireland)", "IE", true),
    region("ap-southeast-1", "Asia Pacific (Singapore)", "SG", true),
    region("ap-northeast-1", "Asia Pacific (Tokyo)", "JP", true),
    region("af-south-1", "Africa (Cape Town)", "ZA", false),
];

const fn region(id: &'static str, name: &'static str, country: &'static str, available: bool) -> Region {
    Region { id, name, country, available }
}

/// What a region adds to the prices of us-east-1, in thousandths, and how its zone ids begin.
fn region_facts(region: &str) -> (u64, &'static str, &'static [char]) {
    const ABC: &[char] = &['a', 'b', 'c'];
    match region {
        "us-east-1" => (0, "use1", &['a', 'b', 'c', 'd', 'e', 'f']),
        "us-east-2" => (0, "use2", ABC),
        "us-west-2" => (0, "usw2", &['a', 'b', 'c', 'd']),
        "eu-central-1" => (152, "euc1", ABC),
        "eu-west-1" => (96, "euw1", ABC),
        "ap-southeast-1" => (269, "apse1", ABC),
        "ap-northeast-1" => (308, "apne1", &['a', 'c', 'd']),
        _ => (300, "afs1", ABC),
    }
}

/// A region in which this account may work.
pub(super) fn enabled(region: &str) -> bool {
    CATALOG.region(region).is_some_and(|region| region.available)
}

/// An availability zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) id: String,
}

/// A region's zones. As for real accounts, the letters and the numbers do not go together.
pub(super) fn zones(region: &str) -> Vec<Zone> {
    let (_, prefix, letters) = region_facts(region);
    let count = letters.len();
    let zone = |(n, letter): (usize, &char)| Zone {
        name: format!("{region}{letter}"),
        id: format!("{prefix}-az{}", (n + 1) % count + 1),
    };
    letters.iter().enumerate().map(zone).collect()
}

const fn plan(
    id: &'static str,
    kind: MachineKind,
    vcpus: u32,
    memory_mib: u64,
    disk_gib: u64,
    hourly: &'static str,
) -> Plan {
    // EC2 sells by the second alone: there is no price of a month.
    Plan {
        id,
        name: id,
        kind,
        vcpus,
        memory_mib,
        disk_gib,
        transfer: 0,
        hourly,
        monthly: "",
        regions: &[],
        available: true,
    }
}

const fn only_in(plan: Plan, regions: &'static [&'static str]) -> Plan {
    Plan { regions, ..plan }
}

static PLANS: &[Plan] = &[
    plan("t3.nano", Virtual, 2, 512, 0, "0.0052"),
    plan("t3.micro", Virtual, 2, 1024, 0, "0.0104"),
    plan("t3.small", Virtual, 2, 2048, 0, "0.0208"),
    plan("t3.medium", Virtual, 2, 4096, 0, "0.0416"),
    plan("t3.large", Virtual, 2, 8192, 0, "0.0832"),
    plan("t3.xlarge", Virtual, 4, 16384, 0, "0.1664"),
    plan("t3.2xlarge", Virtual, 8, 32768, 0, "0.3328"),
    plan("t4g.nano", Virtual, 2, 512, 0, "0.0042"),
    plan("t4g.micro", Virtual, 2, 1024, 0, "0.0084"),
    plan("t4g.small", Virtual, 2, 2048, 0, "0.0168"),
    plan("t4g.medium", Virtual, 2, 4096, 0, "0.0336"),
    plan("t4g.large", Virtual, 2, 8192, 0, "0.0672"),
    plan("m5.large", Virtual, 2, 8192, 0, "0.096"),
    plan("c5.2xlarge", Virtual, 8, 16384, 0, "0.34"),
    plan("m5d.large", Virtual, 2, 8192, 75, "0.113"),
    plan("m7i.large", Virtual, 2, 8192, 0, "0.1008"),
    plan("m7i.xlarge", Virtual, 4, 16384, 0, "0.2016"),
    plan("m7i.2xlarge", Virtual, 8, 32768, 0, "0.4032"),
    plan("m7g.large", Virtual, 2, 8192, 0, "0.0816"),
    plan("m7g.xlarge", Virtual, 4, 16384, 0, "0.1632"),
    plan("c7i.large", Virtual, 2, 4096, 0, "0.08925"),
    plan("c7i.xlarge", Virtual, 4, 8192, 0, "0.1785"),
    plan("c7i.2xlarge", Virtual, 8, 16384, 0, "0.357"),
    plan("c7g.large", Virtual, 2, 4096, 0, "0.0725"),
    plan("r7i.large", Virtual, 2, 16384, 0, "0.1323"),
    plan("r7i.xlarge", Virtual, 4, 32768, 0, "0.2646"),
    only_in(plan("g5.xlarge", Virtual, 4, 16384, 250, "1.006"), &["us-east-1", "us-west-2", "eu-central-1"]),
    only_in(
        plan("c5.metal", BareMetal, 96, 196_608, 0, "4.08"),
        &["us-east-1", "us-west-2", "eu-central-1", "eu-west-1"],
    ),
    only_in(plan("m5d.metal", BareMetal, 96, 393_216, 3600, "5.424"), &["us-east-1", "us-west-2", "eu-central-1"]),
];

/// `t4g`: the family of `t4g.micro`.
fn family(plan: &str) -> &str {
    plan.split('.').next().unwrap_or(plan)
}

/// `x86_64` or `arm64`: the letter behind the generation tells.
pub(super) fn architecture(plan: &str) -> &'static str {
    let behind = family(plan)
        .trim_start_matches(|c: char| c.is_ascii_lowercase())
        .trim_start_matches(|c: char| c.is_ascii_digit());
    if behind.starts_with('g') { "arm64" } else { "x86_64" }
}

/// Whether a type has graphics processors: in this catalog, one NVIDIA A10G.
pub(super) fn has_gpu(plan: &str) -> bool {
    family(plan).starts_with("g5")
}

/// The zones of a region in which a type is offered. The last zone of a region does not have the newest types.
pub(super) fn offered_in(plan: &Plan, region: &str) -> Vec<Zone> {
    let mut zones = if plan.sold_in(region) { zones(region) } else { Vec::new() };
    if family(plan.id).contains('7') || plan.kind == BareMetal {
        zones.pop();
    }
    zones
}

/// What an hour costs in a region: ten decimal places, as the price list writes it.
pub(super) fn hourly_in(plan: &Plan, region: &str) -> String {
    let (whole, part) = plan.hourly.split_once('.').unwrap_or((plan.hourly, ""));
    // In hundred-thousandths of a dollar every price of the table is a whole number.
    let base: u64 = format!("{whole}{part:0<5}").parse().expect("the table holds plain decimals");
    let amount = base * (1000 + region_facts(region).0);
    format!("{}.{:08}00", amount / 100_000_000, amount % 100_000_000)
}

/// What a GB of a gp3 disk costs in a region for a month, in dollars.
pub(super) fn gp3_in(region: &str) -> &'static str {
    match region {
        "eu-central-1" => "0.0952",
        "eu-west-1" => "0.088",
        "ap-southeast-1" | "ap-northeast-1" => "0.096",
        "af-south-1" => "0.1047",
        _ => "0.08",
    }
}

/// The id is made for each region; the slug is what the image's name begins with, before `-` and the day.
const fn image(slug: &'static str, name: &'static str, distribution: &'static str, arch: &'static str) -> Image {
    Image { id: slug, slug, name, distribution, arch, min_disk_gib: 8 }
}

static IMAGES: &[Image] = &[
    image(
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server",
        "Canonical, Ubuntu, 24.04, amd64 noble image",
        "Ubuntu",
        "x86_64",
    ),
    image(
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server",
        "Canonical, Ubuntu, 24.04, arm64 noble image",
        "Ubuntu",
        "arm64",
    ),
    image(
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server",
        "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image",
        "Ubuntu",
        "x86_64",
    ),
    image(
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server",
        "Canonical, Ubuntu, 22.04 LTS, arm64 jammy image",
        "Ubuntu",
        "arm64",
    ),
    image("debian-12-amd64", "Debian 12 (20260622-2515)", "Debian", "x86_64"),
    image("debian-12-arm64", "Debian 12 (20260622-2515)", "Debian", "arm64"),
];

/// The days on which each image was built, oldest first. The first build is deprecated, the last is the current one.
const BUILDS: [&str; 3] = ["20240601", "20251112", "20251215"];

/// Canonical's account.
pub(super) const CANONICAL: &str = "099720109477";
/// Debian's account.
pub(super) const DEBIAN: &str = "136693071363";
/// A stranger's account: it publishes an image with a well-known name and a newer date, as strangers do.
const SQUATTER: &str = "666666666666";

/// One build of an image in one region.
#[derive(Debug, Clone)]
pub(super) struct Ami {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: &'static str,
    pub(super) of: &'static Image,
    /// The day it was built, `YYYYMMDD`.
    pub(super) day: &'static str,
    pub(super) deprecated: bool,
}

impl Ami {
    /// The vendor's spelling of the build's moment.
    pub(super) fn created(&self) -> String {
        format!("{}-{}-{}T06:30:00.000Z", &self.day[..4], &self.day[4..6], &self.day[6..])
    }

    /// Where the root disk sits.
    pub(super) fn root_device(&self) -> &'static str {
        if self.of.distribution == "Debian" { "/dev/xvda" } else { "/dev/sda1" }
    }
}

/// Every public image of a region, oldest builds first.
pub(super) fn amis(region: &str) -> Vec<Ami> {
    let build = |of: &'static Image, owner: &'static str, day: &'static str, deprecated| {
        let name = format!("{}-{day}", of.slug);
        Ami { id: id("ami", &[region, owner, &name]), name, owner, of, day, deprecated }
    };
    let mut amis = Vec::new();
    for (n, day) in BUILDS.iter().enumerate() {
        amis.extend(IMAGES.iter().map(|of| {
            let owner = if of.distribution == "Debian" { DEBIAN } else { CANONICAL };
            build(of, owner, day, n == 0)
        }));
    }
    amis.push(build(&IMAGES[0], SQUATTER, "20251231", false));
    amis
}

/// The image behind a public SSM parameter: Canonical's and Debian's own paths.
pub(super) fn ami_of_parameter(region: &str, name: &str) -> Option<Ami> {
    let parts: Vec<&str> = name.strip_prefix("/aws/service/")?.split('/').collect();
    let slug = match parts.as_slice() {
        ["canonical", "ubuntu", "server", "24.04" | "noble", "stable", "current", arch, "hvm", "ebs-gp3", "ami-id"] => {
            format!("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server")
        }
        ["canonical", "ubuntu", "server", "22.04" | "jammy", "stable", "current", arch, "hvm", "ebs-gp2", "ami-id"] => {
            format!("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server")
        }
        ["debian", "release", "12" | "bookworm", "latest", arch] => format!("debian-12-{arch}"),
        _ => return None,
    };
    amis(region).into_iter().rfind(|ami| ami.of.slug == slug && ami.owner != SQUATTER)
}

/// An id that is always the same for the same thing, such as a region's image or an account's default network.
pub(super) fn id(prefix: &str, of: &[&str]) -> String {
    let digest = hex(&Sha256::digest(of.join("\n")));
    format!("{prefix}-0{}", &digest[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_is_exact_in_every_region() {
        assert_eq!(hourly_in(CATALOG.plan("t3.micro").unwrap(), "us-east-1"), "0.0104000000");
        assert_eq!(hourly_in(CATALOG.plan("c7i.large").unwrap(), "eu-west-1"), "0.0978180000");
        assert_eq!(hourly_in(CATALOG.plan("c5.metal").unwrap(), "eu-central-1"), "4.7001600000");
        for plan in PLANS {
            assert!(plan.hourly.split_once('.').unwrap().1.len() <= 5, "{} has too fine a price", plan.id);
        }
    }

    #[test]
    fn architectures_follow_from_the_type() {
        for (plan, expected) in [
            ("t3.micro", "x86_64"),
            ("t4g.micro", "arm64"),
            ("g5.xlarge", "x86_64"),
            ("m5d.large", "x86_64"),
            ("c7g.large", "arm64"),
        ] {
            assert_eq!(architecture(plan), expected, "{plan}");
        }
    }

    #[test]
    fn parameters_name_the_current_build_of_the_right_owner() {
        let name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id";
        let ami = ami_of_parameter("eu-west-1", name).unwrap();
        assert_eq!((ami.owner, ami.day, ami.of.arch), (CANONICAL, "20251215", "arm64"));
        assert_ne!(ami.id, ami_of_parameter("us-east-1", name).unwrap().id);
        assert!(ami_of_parameter("eu-west-1", "/aws/service/debian/release/12/latest/amd64").is_some());
        assert!(ami_of_parameter("eu-west-1", "/aws/service/debian/release/12/latest/mips").is_none());
    }

    #[test]
    fn types_are_not_offered_everywhere() {
        assert_eq!(offered_in(CATALOG.plan("t3.micro").unwrap(), "us-east-1").len(), 6);
        assert_eq!(offered_in(CATALOG.plan("m7i.large").unwrap(), "us-east-1").len(), 5);
        assert!(offered_in(CATALOG.plan("g5.xlarge").unwrap(), "eu-west-1").is_empty());
    }
}
