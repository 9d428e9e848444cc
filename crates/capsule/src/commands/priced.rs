//! What servers cost that others ordered: by the catalogues now, with the disks that they really have.

use std::collections::{BTreeMap, BTreeSet};

use capsule_core::{Disk, Error, Instance, InstanceId, Price, ProviderId};

use crate::output;
use crate::session::Session;

/// What each of these servers costs; one whose price cannot be learned is missing. What a price leaves open is said on
/// stderr.
pub(super) async fn prices(session: &Session, instances: &[&Instance]) -> BTreeMap<InstanceId, Price> {
    let providers: BTreeSet<String> = instances.iter().map(|instance| instance.id.provider.to_string()).collect();
    if providers.is_empty() {
        return BTreeMap::new();
    }
    let providers: Vec<String> = providers.into_iter().collect();
    let (catalogs, refused) =
        session.catalogs(&providers, false).await.unwrap_or_else(|error| (Vec::new(), vec![error]));
    for error in refused {
        // The servers themselves are known: only their prices are not.
        output::note(format!("warning: prices are unknown: {error}"));
    }
    let offered = |instance: &&Instance| {
        let catalog = catalogs.iter().find(|catalog| catalog.provider == instance.id.provider)?;
        let offer = catalog.offer(&instance.plan, &instance.id.region)?;
        Some((instance.id.clone(), offer.price.clone()?))
    };
    let mut prices: BTreeMap<InstanceId, Price> = instances.iter().filter_map(offered).collect();
    let mut apart: BTreeMap<ProviderId, Vec<InstanceId>> = BTreeMap::new();
    for (id, _) in prices.iter().filter(|(_, price)| price.has_disks_apart()) {
        apart.entry(id.provider.clone()).or_default().push(id.clone());
    }
    for (provider, ids) in apart {
        match disks(session, &provider, &ids).await {
            Ok(mut disks) => {
                for id in ids {
                    match (disks.remove(&id), prices.remove(&id)) {
                        (Some(disks), Some(price)) => drop(prices.insert(id.clone(), with_disks(&id, price, &disks))),
                        (_, price) => {
                            prices.extend(price.map(|price| (id.clone(), price)));
                            guessed(&id.to_string(), "its provider shows none");
                        }
                    }
                }
            }
            Err(error) => {
                let all: Vec<String> = ids.iter().map(InstanceId::to_string).collect();
                guessed(&all.join(", "), error.message());
            }
        }
    }
    prices
}

async fn disks(
    session: &Session,
    provider: &ProviderId,
    ids: &[InstanceId],
) -> Result<BTreeMap<InstanceId, Vec<Disk>>, Error> {
    let provider = session.connect(capsule_providers::find(provider.as_str())?).await?;
    match provider.disks() {
        Some(disks) => disks.of(ids).await,
        None => Ok(BTreeMap::new()),
    }
}

/// The price with all disks that end with the server and cost what the catalogue says; the others are named.
fn with_disks(id: &InstanceId, price: Price, disks: &[Disk]) -> Price {
    let counts = |disk: &&Disk| disk.is_usual && disk.ends_with_server;
    let others: Vec<String> = disks.iter().filter(|disk| !counts(disk)).map(left_out).collect();
    if !others.is_empty() {
        output::note(format!("{id}: not in its price: {}.", others.join("; ")));
    }
    price.with_disks(disks.iter().filter(counts).map(|disk| disk.bytes))
}

fn left_out(disk: &Disk) -> String {
    let Disk { native, kind, bytes, .. } = disk;
    let why = if disk.ends_with_server { "whose price is not known" } else { "which stays when its server goes" };
    format!("the disk {native} of {} GiB ({kind}), {why}", bytes >> 30)
}

fn guessed(servers: &str, why: &str) {
    output::note(format!(
        "{servers}: the price is with the disk that such a server gets unless told otherwise; which disks it really has is \
         not known, and so not what they cost: {}.",
        why.trim_end_matches('.')
    ));
}
