//! Keys that no server needs any more, and the words that were tokens: the vendor keeps a tag when its last droplet is gone.
//!
//! The owner's tag is left alone: there is one for an installation, and to delete it would take it from any droplet that is
//! being made.

use async_trait::async_trait;
use capsule_core::{
    Error, ErrorKind, InstanceId, Leftover, LeftoverKind, Leftovers, MadeFor, OwnerId, Result, missing_is_ok,
};
use futures_util::future::try_join;

use super::{DESCRIPTOR, DigitalOcean, convert};

#[async_trait]
impl Leftovers for DigitalOcean {
    async fn leftovers(&self, owner: &OwnerId) -> Result<Vec<Leftover>> {
        let (keys, tags) = try_join(self.api.keys(), self.api.tags()).await?;
        let id = |native: String| InstanceId::global(&DESCRIPTOR.id, native);
        let keys =
            keys.into_iter().filter_map(|key| Leftover::key(id(key.id.to_string()), &key.name, &key.public_key, owner));
        let tags = tags.into_iter().filter(convert::is_free).filter_map(|tag| {
            let made_for = MadeFor::Token(convert::token_of(&tag.name)?);
            let id = id(tag.name.clone());
            Some(Leftover { id, kind: LeftoverKind::Tag, name: tag.name, made_for, size_gib: None, price: None })
        });
        Ok(keys.chain(tags).collect())
    }

    async fn remove(&self, leftover: &Leftover) -> Result<()> {
        let native = leftover.id.native.as_str();
        let removed = match leftover.kind {
            LeftoverKind::SshKey => {
                let removed = self.api.delete_key(native.parse().map_err(|_| leftover.unknown())?).await;
                self.keys.lock().await.clear();
                removed
            }
            LeftoverKind::Tag if convert::token_of(native).is_some() => match self.api.tag(native).await {
                Ok(tag) if convert::is_free(&tag) => self.api.delete_tag(native).await,
                Ok(_) => Err(Error::new(ErrorKind::Conflict, format!("Something carries the tag `{native}` again."))
                    .with_provider(&DESCRIPTOR.id)),
                Err(error) => Err(error),
            },
            _ => Err(leftover.unknown()),
        };
        missing_is_ok(removed)
    }
}
