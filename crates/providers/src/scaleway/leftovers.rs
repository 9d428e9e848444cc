//! Volumes whose server is no more. The vendor keeps them when a server is ended in its console, and they cost.

use std::collections::HashSet;

use async_trait::async_trait;
use capsule_core::{ErrorKind, InstanceId, Leftover, LeftoverKind, Leftovers, OwnerId, Result, Scope, Token};
use futures_util::future::try_join_all;

use super::{DESCRIPTOR, Scaleway, convert, zone_failed};

#[async_trait]
impl Leftovers for Scaleway {
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let zones = self.zones.iter().map(|zone| self.leftovers_in(zone, owner));
        Ok(try_join_all(zones).await?.into_iter().flatten().collect())
    }

    async fn remove(&self, leftover: &Leftover) -> Result<()> {
        match self.api.delete_volume(&leftover.id.region, &leftover.id.native).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // In use: then it is nobody's leftover.
            Err(error) if error.kind() == ErrorKind::Invalid => Err(error.with_kind(ErrorKind::Conflict)),
            deleted => deleted,
        }
    }
}

impl Scaleway {
    async fn leftovers_in(&self, zone: &str, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let prefix = convert::volume_prefix(owner);
        let volumes = self.api.volumes_named(zone, &self.project, &prefix).await;
        let volumes = volumes.map_err(|error| zone_failed(zone, error))?;
        if volumes.is_empty() {
            return Ok(Vec::new());
        }
        // Servers after volumes: whatever was made meanwhile has its server in this list.
        let servers = self.list_zone(zone, &Scope::Owner(owner.clone())).await?;
        let living: HashSet<&str> = servers.iter().filter_map(|seen| seen.instance.tags.token()).collect();
        let left = volumes.into_iter().filter_map(|volume| {
            let name = volume.name?;
            let token: Token = name.strip_prefix(&prefix)?.parse().ok()?;
            let is_free = volume.references.is_none_or(|references| references.is_empty());
            let rests = volume.status.as_deref() == Some("available");
            (is_free && rests && !living.contains(token.as_str())).then(|| Leftover {
                id: InstanceId::new(DESCRIPTOR.id.clone(), zone, volume.id),
                kind: LeftoverKind::Volume,
                name,
                token,
                size_gib: volume.size.map(|bytes| bytes >> 30),
            })
        });
        Ok(left.collect())
    }
}
