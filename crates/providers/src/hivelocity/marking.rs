//! The owner's tag put on a device. The vendor takes all tags of one at once: what somebody else changes between our look
//! and our write is lost.

use async_trait::async_trait;
use capsule_core::{InstanceId, Marking, OwnerId, Result};

use super::{Hivelocity, convert};

#[async_trait]
impl Marking for Hivelocity {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        let device = convert::device_id(id)?;
        // How the tags of a missing one are answered is not described.
        self.present(id).await?;
        match convert::TAGS.marked(self.api.tags(device).await?, owner)? {
            Some(words) => self.api.retag(device, &words).await,
            None => Ok(()),
        }
    }
}
