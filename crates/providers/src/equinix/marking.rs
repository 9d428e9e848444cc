//! The owner's tag put on a device. The vendor takes all tags of one at once: what somebody else changes between our look
//! and our write is lost.

use async_trait::async_trait;
use capsule_core::{InstanceId, Marking, OwnerId, Result};

use super::{Equinix, convert};

#[async_trait]
impl Marking for Equinix {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        let device = convert::device_id(id)?;
        let words = self.api.device(device, |device, _| convert::words(device)).await?;
        match convert::TAGS.marked(words.ok_or_else(|| id.not_there("devices.get"))?, owner)? {
            Some(words) => self.api.retag(device, &words).await,
            None => Ok(()),
        }
    }
}
