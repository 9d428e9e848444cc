//! Keys that no server needs any more, which belong to the account: all that create makes beside servers here.

use async_trait::async_trait;
use capsule_core::{InstanceId, Leftover, LeftoverKind, Leftovers, OwnerId, Result, missing_is_ok};

use super::{DESCRIPTOR, Vultr, api};

#[async_trait]
impl Leftovers for Vultr {
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let one = |key: api::Key| {
            let id = InstanceId::global(&DESCRIPTOR.id, key.id);
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
        missing_is_ok(removed)
    }
}
