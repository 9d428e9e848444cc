//! The owner's tag put on a droplet. A tag is a thing of its own, which a droplet is added to: no other tag is touched.

use async_trait::async_trait;
use capsule_core::{ErrorKind, InstanceId, Marking, OwnerId, Result};

use super::{DigitalOcean, convert};

#[async_trait]
impl Marking for DigitalOcean {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        let number = convert::droplet_id(id)?;
        if self.present(id).await?.tags.are_of(owner)? {
            return Ok(());
        }
        let tag = convert::owner_tag(owner)?;
        match self.api.tag(&tag).await {
            Err(error) if error.kind() == ErrorKind::NotFound => self.api.create_tag(&tag).await?,
            found => drop(found?),
        }
        self.api.tag_droplet(&tag, number).await
    }
}
