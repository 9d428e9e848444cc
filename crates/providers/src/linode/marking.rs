//! The owner's tag put on a Linode. The vendor takes all tags of one at once: what somebody else changes between our look
//! and our write is lost.

use async_trait::async_trait;
use capsule_core::{InstanceId, Marking, OwnerId, Result};

use super::{Linode, convert};

#[async_trait]
impl Marking for Linode {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        let number = convert::linode_id(id)?;
        let words = self.api.linode(number, |linode, _| linode.tags.unwrap_or_default()).await?;
        match convert::TAGS.marked(words.ok_or_else(|| id.not_there("instances.get"))?, owner)? {
            Some(words) => self.api.retag(number, &words).await,
            None => Ok(()),
        }
    }
}
