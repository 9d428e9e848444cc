//! Disks and security groups whose server is no more, because it was ended elsewhere or a delete was cut short, and keys.

use std::collections::HashSet;

use async_trait::async_trait;
use capsule_core::{
    ErrorKind, InstanceId, Leftover, LeftoverKind, Leftovers, MadeFor, OwnerId, PublicKey, Result, Token, tags,
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::api::{Item, ROOT_DISK, Tag};
use super::{Aws, convert, offers, prices, teardown};

#[async_trait]
impl Leftovers for Aws {
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let lists: Vec<Vec<Leftover>> = stream::iter(self.regions().await?)
            .map(|region| async move {
                let found = self.leftovers_in(&region, owner).await;
                found.map_err(|error| offers::in_region(&region, error))
            })
            .buffered(offers::AT_ONCE)
            .try_collect()
            .await?;
        Ok(lists.into_iter().flatten().collect())
    }

    async fn remove(&self, leftover: &Leftover) -> Result<()> {
        let (region, native) = (leftover.id.region.as_str(), leftover.id.native.as_str());
        let deleted = match leftover.kind {
            LeftoverKind::Volume => self.api.delete_volume(region, native).await,
            LeftoverKind::SecurityGroup => self.api.delete_security_group(region, native).await,
            LeftoverKind::SshKey => {
                let deleted = self.api.delete_key_pair(region, native).await;
                self.prepared.forget_key(region, Some(&leftover.name)).await;
                deleted
            }
            LeftoverKind::Tag => Err(leftover.unknown()),
        };
        match deleted {
            Err(error) if teardown::is_missing(&error) || error.kind() == ErrorKind::NotFound => Ok(()),
            deleted => deleted,
        }
    }
}

impl Aws {
    async fn leftovers_in(&self, region: &str, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let tagged = format!("tag:{}", tags::OWNER);
        let filters = [(tagged.as_str(), owner.as_str())];
        let volumes = self.api.volumes_tagged(region, tags::OWNER, owner.as_str()).await?;
        let groups = self.api.describe_security_groups(region, &filters).await?;
        let keys = self.api.key_pairs_tagged(region, tags::OWNER, owner.as_str()).await?;
        let keys = keys.into_iter().filter_map(|pair| {
            let key: PublicKey = pair.public_key.parse().ok()?;
            Some(Leftover {
                id: InstanceId::new(convert::PROVIDER, region, pair.key_pair_id),
                kind: LeftoverKind::SshKey,
                name: pair.key_name,
                made_for: MadeFor::PublicKey(key.material().to_owned()),
                size_gib: None,
                price: None,
            })
        });
        if volumes.is_empty() && groups.is_empty() {
            return Ok(keys.collect());
        }
        // Servers after things: whatever was made meanwhile has its server in this list.
        let servers = self.api.describe_instances(region, &filters).await?;
        let living: Vec<&Item> = servers.iter().filter(|item| !convert::is_terminated(&item.instance)).collect();
        let used: HashSet<&str> =
            living.iter().flat_map(|item| &item.instance.group_set).map(|group| group.group_id.as_str()).collect();
        let living: HashSet<String> =
            living.iter().filter_map(|item| convert::tags(&item.instance).token().map(str::to_owned)).collect();
        let left = |native: String, kind, name: String, labels: &[Tag], size_gib| {
            let token = labels.iter().find(|tag| tag.key == tags::TOKEN && !living.contains(&tag.value))?;
            let token: Token = token.value.parse().ok()?;
            let id = InstanceId::new(convert::PROVIDER, region, native);
            Some(Leftover { id, kind, name, made_for: MadeFor::Token(token), size_gib, price: None })
        };
        let volumes = volumes.into_iter().filter(|volume| volume.status == "available");
        let volumes = volumes.filter_map(|volume| {
            let named = volume.tag_set.iter().find(|tag| tag.key == convert::NAME);
            let name = named.map(|tag| tag.value.clone()).unwrap_or_default();
            let found = left(volume.volume_id, LeftoverKind::Volume, name, &volume.tag_set, volume.size)?;
            Some((volume.volume_type, found))
        });
        let volumes = self.priced(region, volumes.collect()).await;
        // It has the token of the first server that was made with it, and serves them all.
        let groups = groups.into_iter().filter(|group| !used.contains(group.group_id.as_str())).filter_map(|group| {
            left(group.group_id, LeftoverKind::SecurityGroup, group.group_name, &group.tag_set, None)
        });
        Ok(volumes.into_iter().chain(groups).chain(keys).collect())
    }

    /// Disks of these kinds with what they cost, where that can be learned. The price list is only asked when there are some.
    async fn priced(&self, region: &str, volumes: Vec<(String, Leftover)>) -> Vec<Leftover> {
        let disk = match volumes.is_empty() {
            true => None,
            false => offers::disk_price(&self.api, region).await,
        };
        let price = |kind: &str, size: Option<u64>| prices::volume_price(disk.filter(|_| kind == ROOT_DISK)?, size?);
        let priced = |(kind, volume): (String, Leftover)| Leftover { price: price(&kind, volume.size_gib), ..volume };
        volumes.into_iter().map(priced).collect()
    }
}
