//! The owner's tag put on a server. The vendor takes all tags of one at once: what somebody else changes between our look
//! and our write is lost.

use async_trait::async_trait;
use capsule_core::{InstanceId, Marking, OwnerId, Result};

use super::{Vultr, convert};

#[async_trait]
impl Marking for Vultr {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        let (kind, uuid) = convert::locate(id)?;
        let words = self.api.server(kind, uuid, |server, _| convert::words(server)).await?;
        let words = words.ok_or_else(|| id.not_there("instances.get"))?;
        match convert::TAGS.marked(words, owner)? {
            Some(words) => self.api.retag(kind, uuid, &words).await,
            None => Ok(()),
        }
    }
}
