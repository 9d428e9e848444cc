//! The disks of servers: the price of a type has none of them in it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use capsule_core::{Disk, Disks, InstanceId, Result, Scope};
use futures_util::future::{try_join, try_join_all};

use super::{Scaleway, zone_failed};

/// The kind that servers get, and that the price of storage is of. (unsure) What faster ones cost is told nowhere that
/// could be read.
const USUAL: &str = "sbs_5k";

#[async_trait]
impl Disks for Scaleway {
    async fn of(&self, ids: &[InstanceId]) -> Result<BTreeMap<InstanceId, Vec<Disk>>> {
        let zones: BTreeSet<&str> = ids.iter().map(|id| id.region.as_str()).collect();
        let zones = try_join_all(zones.into_iter().map(|zone| self.disks_in(zone))).await?;
        let mut disks: BTreeMap<InstanceId, Vec<Disk>> = zones.into_iter().flatten().collect();
        let asked: BTreeSet<&InstanceId> = ids.iter().collect();
        disks.retain(|id, _| asked.contains(id));
        Ok(disks)
    }
}

impl Scaleway {
    /// The block volumes of every server of a zone. What lies on the machine itself is in the price of its type.
    async fn disks_in(&self, zone: &str) -> Result<BTreeMap<InstanceId, Vec<Disk>>> {
        let volumes =
            async { self.api.volumes_of(zone, &self.project).await.map_err(|error| zone_failed(zone, error)) };
        let (servers, volumes) = try_join(self.list_zone(zone, &Scope::All), volumes).await?;
        let of_server = |seen: &super::convert::Seen| {
            let hangs = |volume: &&super::api::BlockVolume| {
                let hung = volume.references.iter().flatten();
                hung.into_iter().any(|on| on.product_resource_id.as_ref() == Some(&seen.instance.id.native))
            };
            let disk = |volume: &super::api::BlockVolume| Disk {
                native: volume.id.clone(),
                bytes: volume.size.unwrap_or(0),
                kind: volume.kind.clone().unwrap_or_default(),
                is_usual: volume.kind.as_deref() == Some(USUAL) && volume.size.is_some(),
                // Only what it boots from is taken along by our delete; the vendor itself keeps all of them.
                ends_with_server: seen.root.as_ref() == Some(&volume.id),
            };
            (seen.instance.id.clone(), volumes.iter().filter(hangs).map(disk).collect())
        };
        Ok(servers.iter().map(of_server).collect())
    }
}
