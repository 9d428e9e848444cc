//! Volumes whose server is no more, and keys. The vendor keeps the volumes when a server is ended in its console, and they
//! cost.
//!
//! Every server of a project takes all of its keys again whenever it starts, so a key counts as left over only when the
//! project has no server at all, and where the settings leave zones out nobody knows that.

use std::collections::HashSet;

use async_trait::async_trait;
use capsule_core::{
    ErrorKind, InstanceId, Leftover, LeftoverKind, Leftovers, MadeFor, OwnerId, Result, Scope, Token, ssh,
};
use futures_util::future::{try_join, try_join_all};

use super::{DESCRIPTOR, Scaleway, api, billing, convert, zone_failed};

#[async_trait]
impl Leftovers for Scaleway {
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let zones = self.zones.iter().map(|zone| self.leftovers_in(zone, owner));
        let (volumes, keys) = try_join(try_join_all(zones), self.leftover_keys(owner)).await?;
        Ok(volumes.into_iter().flatten().chain(keys).collect())
    }

    async fn remove(&self, leftover: &Leftover) -> Result<()> {
        let removed = match leftover.kind {
            LeftoverKind::Volume => self.api.delete_volume(&leftover.id.region, &leftover.id.native).await,
            LeftoverKind::SshKey => {
                let removed = self.api.delete_ssh_key(&leftover.id.native).await;
                self.keys.lock().await.clear();
                removed
            }
            LeftoverKind::SecurityGroup | LeftoverKind::Tag => return Err(leftover.unknown()),
        };
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            // In use: then it is nobody's leftover.
            Err(error) if error.kind() == ErrorKind::Invalid => Err(error.with_kind(ErrorKind::Conflict)),
            deleted => deleted,
        }
    }
}

impl Scaleway {
    async fn leftover_keys(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let mut keys = self.api.ssh_keys(&self.project).await?;
        keys.retain(|key| key.name.as_deref().is_some_and(|name| ssh::is_named_for(name, owner)));
        if keys.is_empty() || self.zones.len() < convert::zones(&[])?.len() {
            return Ok(Vec::new());
        }
        // Servers after keys: one that is being made has its order in the journal.
        let servers = try_join_all(self.zones.iter().map(|zone| self.list_zone(zone, &Scope::All))).await?;
        if servers.iter().any(|servers| !servers.is_empty()) {
            return Ok(Vec::new());
        }
        let one = |key: api::SshKey| {
            let id = InstanceId::global(&DESCRIPTOR.id, key.id);
            Leftover::key(id, key.name.as_deref()?, &key.public_key, owner)
        };
        Ok(keys.into_iter().filter_map(one).collect())
    }

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
                made_for: MadeFor::Token(token),
                // The vendor charges by the GB of 10^9 bytes.
                price: volume.size.and_then(|bytes| billing::VIRTUAL.volume_price(bytes.div_ceil(1_000_000_000))),
                size_gib: volume.size.map(|bytes| bytes >> 30),
            })
        });
        Ok(left.collect())
    }
}
