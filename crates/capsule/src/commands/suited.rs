//! Which offers can become an xNode, as `deploy` and `cheapest` ask.

use capsule_core::{Architecture, Catalog};
use capsule_engine::{Excluded, Miss, Ranking, Request};
use capsule_xnode::{Lack, Refusal};

use crate::output;

/// The same request for servers that are to become xNodes.
pub(super) fn wish(request: Request) -> Request {
    // An elastic disk has no size of its own; an xNode gets what it needs at least.
    let least = request.min_disk_gib.filter(|gib| *gib > 0).or(Some(capsule_xnode::MIN_DISK_GIB));
    Request { min_disk_gib: least, architecture: Some(Architecture::X86_64), ..request }
}

/// Leaves out what cannot become an xNode, unless the user insists.
pub(super) fn keep(ranking: &mut Ranking, catalogs: &[Catalog], force: bool) {
    let mut misses: Vec<Excluded> = Vec::new();
    let mut keep = |refusals: Vec<Refusal>| {
        for Refusal { lack, .. } in &refusals {
            let (reason, miss) = (lack.reason(), miss(*lack));
            match misses.iter_mut().find(|known| known.reason == reason) {
                Some(known) => {
                    known.count += 1;
                    known.nearest = Miss::nearer(known.nearest, miss);
                }
                None => misses.push(Excluded { reason, count: 1, nearest: miss }),
            }
        }
        refusals.is_empty() || force
    };
    for placements in std::iter::once(&mut ranking.placements).chain(&mut ranking.other_currencies) {
        placements.retain(|placement| {
            let Some(catalog) = catalogs.iter().find(|catalog| catalog.provider == placement.provider) else {
                return true;
            };
            let Some(plan) = catalog.plan(&placement.plan) else { return true };
            // What it can do may differ by region.
            let Some(image) = catalog.image_for(&placement.image, plan, &placement.region) else { return true };
            keep(capsule_xnode::fit(plan, image, placement.disk_gib).refusals)
        });
    }
    ranking.other_currencies.retain(|placements| !placements.is_empty());
    if force {
        for miss in misses {
            output::note(format!("warning: {miss}; --force keeps them"));
        }
    } else {
        ranking.excluded.extend(misses);
    }
}

fn miss(lack: Lack) -> Option<Miss> {
    match lack {
        Lack::X86 | Lack::CloudInit => None,
        Lack::Memory(mib) => Some(Miss::MemoryMib(mib)),
        Lack::Disk(gib) => Some(Miss::DiskGib(gib)),
    }
}
