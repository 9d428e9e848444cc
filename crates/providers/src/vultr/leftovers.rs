//! Keys that no server needs any more: all that create makes beside servers here.

use async_trait::async_trait;
use capsule_core::{ErrorKind, InstanceId, Leftover, LeftoverKind, Leftovers, OwnerId, Result};

use super::{DESCRIPTOR, Vultr, api};

/// Keys belong to the account.
const PLACE: &str = "global";

#[async_trait]
impl Leftovers for Vultr {
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let one = |key: api::Key| {
            let id = InstanceId::new(DESCRIPTOR.id.clone(), PLACE, key.id);
            Leftover::key(id, &key.name, &key.ssh_key, owner)
        };
        Ok(self.api.keys().await?.into_iter().filter_map(one).collect())
    }

    async fn remove(&self, leftover: &Leftover) -> Result<()> {
        if leftover.kind != LeftoverKind::SshKey {
            return Err(leftover.unknown());
        }
        let native = leftover.id.native.as_str();
        let removed = self.api.delete_key(native).await;
        self.keys.lock().await.clear();
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
