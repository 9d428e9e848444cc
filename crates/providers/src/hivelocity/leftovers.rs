//! Keys that no server needs any more, which belong to the account: all that create makes beside servers here.

use async_trait::async_trait;
use capsule_core::{InstanceId, Leftover, LeftoverKind, Leftovers, OwnerId, Result, missing_is_ok};

use super::{DESCRIPTOR, Hivelocity, api};

#[async_trait]
impl Leftovers for Hivelocity {
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let one = |key: api::Key| {
            let id = InstanceId::global(&DESCRIPTOR.id, key.ssh_key_id.to_string());
            Leftover::key(id, key.name.as_deref()?, key.public_key.as_deref()?, owner)
        };
        Ok(self.api.keys().await?.into_iter().filter_map(one).collect())
    }

    async fn remove(&self, leftover: &Leftover) -> Result<()> {
        if leftover.kind != LeftoverKind::SshKey {
            return Err(leftover.unknown());
        }
        let native = leftover.id.native.as_str();
        let removed = self.api.delete_key(native.parse().map_err(|_| leftover.unknown())?).await;
        self.keys.lock().await.clear();
        missing_is_ok(removed)
    }
}
