//! The owner's tag put on a server. The vendor takes all tags of one at once: what somebody else changes between our look
//! and our write is lost.

use async_trait::async_trait;
use capsule_core::{InstanceId, Marking, OwnerId, Result};

use super::{Scaleway, convert};

#[async_trait]
impl Marking for Scaleway {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        convert::check_id(id)?;
        let words = self.api.server(id, |server, _| server.tags.unwrap_or_default()).await?;
        match convert::TAGS.marked(words.ok_or_else(|| id.not_there("servers.get"))?, owner)? {
            Some(words) => self.api.retag(id, &words).await,
            None => Ok(()),
        }
    }
}
