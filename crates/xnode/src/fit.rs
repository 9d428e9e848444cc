//! Whether a server can become an xNode: asked before money is spent.

use capsule_core::{Architecture, Image, Plan};

/// Less memory than this and the installer dies. Vendors that count in thousands sell 2000 as 2 GB.
const MEMORY_NEEDED_MIB: u64 = 2_000;
/// Less memory than this is tight.
const MEMORY_ADVISED_MIB: u64 = 4_000;
/// Less disk than this does not hold the system and a rebuild of it.
pub const MIN_DISK_GIB: u64 = 20;
/// Less disk than this is tight.
const DISK_ADVISED_GIB: u64 = 40;
/// The images that XnodeOS is installed from by its own clients.
const TRIED_IMAGES: [&str; 2] = ["ubuntu-24.04", "ubuntu-22.04"];

/// What speaks against a plan and an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fit {
    /// Reasons not to buy it; the user may force it all the same.
    pub refusals: Vec<Refusal>,
    /// Reasons to think twice, in whole sentences.
    pub warnings: Vec<String>,
}

/// Why an offer cannot become an xNode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it lacks.
    pub lack: Lack,
    /// The same about this plan and image, in a whole sentence.
    pub sentence: String,
}

/// What an offer lacks to become an xNode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The instruction set that XnodeOS is built for.
    X86,
    /// An image whose cloud-init starts the install.
    CloudInit,
    /// Memory: so many MiB are missing to 2 GB.
    Memory(u64),
    /// Disk: so many GiB are missing.
    Disk(u64),
}

impl Lack {
    /// The same of many offers: what comes after their number.
    pub fn reason(self) -> String {
        match self {
            Lack::X86 => "not x86_64, which XnodeOS is built for".to_owned(),
            Lack::CloudInit => "without cloud-init, which starts the install of XnodeOS".to_owned(),
            Lack::Memory(_) => "below the 2 GB of memory that the XnodeOS installer needs".to_owned(),
            Lack::Disk(_) => format!("below the {MIN_DISK_GIB} GB of disk that an xNode needs"),
        }
    }
}

impl Fit {
    /// Whether nothing forbids it.
    pub fn is_good(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// Whether `plan`, booted from `image`, can become an xNode. `disk_gib` is the root disk's size, where that is chosen.
///
/// No source of XnodeOS states a minimum; the limits are a policy, drawn from what its installer holds in memory.
pub fn fit(plan: &Plan, image: &Image, disk_gib: Option<u64>) -> Fit {
    let mut fit = Fit::default();
    if plan.architecture != Architecture::X86_64 {
        let sentence = format!("Plan `{}` is not x86_64, and XnodeOS is built for nothing else.", plan.id);
        fit.refusals.push(Refusal { lack: Lack::X86, sentence });
    }
    if image.architecture.is_some_and(|architecture| architecture != Architecture::X86_64) {
        let sentence = format!("Image `{}` is not x86_64, and XnodeOS is built for nothing else.", image.id);
        fit.refusals.push(Refusal { lack: Lack::X86, sentence });
    }
    if !image.cloud_init {
        let sentence =
            format!("Image `{}` has no cloud-init, so nothing would start the install of XnodeOS.", image.id);
        fit.refusals.push(Refusal { lack: Lack::CloudInit, sentence });
    } else if !image.os.as_deref().is_some_and(|os| TRIED_IMAGES.contains(&os)) {
        let what = image.os.as_deref().unwrap_or(&image.id);
        fit.warnings.push(format!("XnodeOS is usually installed from ubuntu-24.04; `{what}` is untried."));
    }

    let memory = plan.memory_mib;
    if memory < MEMORY_NEEDED_MIB {
        let sentence = format!(
            "Plan `{}` has {memory} MiB of memory; the XnodeOS installer runs in memory and needs 2 GB.",
            plan.id
        );
        fit.refusals.push(Refusal { lack: Lack::Memory(2048 - memory), sentence });
    } else if memory < MEMORY_ADVISED_MIB {
        fit.warnings.push(format!("Plan `{}` has {memory} MiB of memory; 4 GB are advised for an xNode.", plan.id));
    }

    let disk = if plan.disk_elastic { disk_gib.unwrap_or(plan.disk_gib) } else { plan.disk_gib };
    if disk < MIN_DISK_GIB {
        let sentence = match disk {
            0 => format!(
                "Plan `{}` comes without a disk and no size was chosen; an xNode needs {MIN_DISK_GIB} GB.",
                plan.id
            ),
            _ => format!("The disk of {disk} GB is too small; an xNode needs {MIN_DISK_GIB} GB."),
        };
        fit.refusals.push(Refusal { lack: Lack::Disk(MIN_DISK_GIB - disk), sentence });
    } else if disk < DISK_ADVISED_GIB {
        fit.warnings.push(format!("The disk has {disk} GB; {DISK_ADVISED_GIB} GB are advised for an xNode."));
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use capsule_core::PlanKind;

    fn plan(memory_mib: u64, disk_gib: u64, disk_elastic: bool) -> Plan {
        Plan {
            id: "p-1".into(),
            name: "P 1".into(),
            kind: PlanKind::Virtual,
            architecture: Architecture::X86_64,
            vcpus: 1,
            memory_mib,
            disk_gib,
            disk_elastic,
            transfer_gib: None,
            gpu: None,
        }
    }

    fn ubuntu() -> Image {
        Image {
            id: "i-1".into(),
            name: "Ubuntu".into(),
            os: Some("ubuntu-24.04".into()),
            architecture: None,
            kind: None,
            regions: Vec::new(),
            cloud_init: true,
        }
    }

    #[test]
    fn sizes() {
        // memory, disk of the plan, elastic, disk chosen -> refusals, warnings
        let table = [
            (8192, 80, false, None, 0, 0),
            (4096, 40, false, None, 0, 0),
            (4000, 40, false, None, 0, 0),
            (3999, 40, false, None, 0, 1),
            (2048, 20, false, None, 0, 2),
            (2000, 39, false, None, 0, 2),
            (1999, 40, false, None, 1, 0),
            (1024, 19, false, None, 2, 0),
            // The plan's own disk counts where it cannot be chosen.
            (4096, 10, false, Some(100), 1, 0),
            (4096, 0, false, None, 1, 0),
            // The chosen disk counts where it can.
            (4096, 0, true, None, 1, 0),
            (4096, 0, true, Some(19), 1, 0),
            (4096, 0, true, Some(20), 0, 1),
            (4096, 0, true, Some(40), 0, 0),
            (4096, 80, true, Some(10), 1, 0),
            (4096, 80, true, None, 0, 0),
        ];
        for (memory, disk, elastic, chosen, refusals, warnings) in table {
            let fit = fit(&plan(memory, disk, elastic), &ubuntu(), chosen);
            let found = (fit.refusals.len(), fit.warnings.len());
            assert_eq!(found, (refusals, warnings), "{memory} MiB, {disk} GiB, {chosen:?}: {fit:?}");
            assert_eq!(fit.is_good(), refusals == 0);
        }
    }

    #[test]
    fn arm_is_refused() {
        let good = plan(4096, 40, false);
        let arm = Plan { architecture: Architecture::Arm64, ..good.clone() };
        assert!(fit(&arm, &ubuntu(), None).refusals[0].sentence.contains("Plan `p-1` is not x86_64"));
        let arm = Image { architecture: Some(Architecture::Arm64), ..ubuntu() };
        assert!(fit(&good, &arm, None).refusals[0].sentence.contains("Image `i-1` is not x86_64"));
        let intel = Image { architecture: Some(Architecture::X86_64), ..ubuntu() };
        assert_eq!(fit(&good, &intel, None), Fit::default());
    }

    #[test]
    fn images() {
        let good = plan(4096, 40, false);
        let without = Image { cloud_init: false, ..ubuntu() };
        assert!(fit(&good, &without, None).refusals[0].sentence.contains("no cloud-init"));
        let debian = Image { os: Some("debian-12".into()), ..ubuntu() };
        let found = fit(&good, &debian, None);
        assert!(found.is_good() && found.warnings[0].contains("`debian-12` is untried"), "{found:?}");
    }
}
