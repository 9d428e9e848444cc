//! The end of a server and of the volume that its create made.
//!
//! The vendor deletes no block volume with a server, and forgets which server one hung on. So the volume is marked with
//! the server's id first; whoever asks for the deletion of a server that is gone deletes what carries its mark.

use std::time::Duration;

use capsule_core::{Error, ErrorKind, InstanceId, InstanceStatus, Result, Retry, missing_is_ok};
use futures_util::future::try_join_all;

use super::api::BlockVolume;
use super::convert::Seen;
use super::{DESCRIPTOR, Scaleway, convert};

/// How long a volume is waited for that still hangs on its server.
const DETACH: Duration = Duration::from_secs(60);
/// How often it is asked for.
const DETACH_INTERVAL: Duration = Duration::from_secs(3);

impl Scaleway {
    /// One step towards the end; asked again, it takes the next one.
    pub(super) async fn remove(&self, id: &InstanceId) -> Result<()> {
        let Some(seen) = self.see(id).await? else {
            return self.remove_volumes(id).await;
        };
        if seen.protected {
            // Deleting a stopped one would succeed all the same, against what the protection is for.
            return Err(Error::new(ErrorKind::Conflict, format!("{id} is protected and is not deleted."))
                .with_provider(&DESCRIPTOR.id)
                .with_operation("servers.delete")
                .with_hint("Switch its protection off in Scaleway's console first."));
        }
        match (seen.instance.status, seen.state.as_str()) {
            (InstanceStatus::Deleting, _) => Ok(()),
            (_, "stopped") => self.remove_stopped(&seen).await,
            _ => {
                self.mark_volume(&seen).await?;
                match self.api.act(id, "terminate").await {
                    Err(error) if error.kind() == ErrorKind::NotFound => self.remove_volumes(id).await,
                    // In motion the vendor ends none; when it has come to rest it does.
                    Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {
                        Err(error.with_kind(ErrorKind::Conflict).with_retry(Retry::Backoff))
                    }
                    answered => answered,
                }
            }
        }
    }

    /// The end of a server that is off, at once.
    pub(super) async fn remove_stopped(&self, seen: &Seen) -> Result<()> {
        let id = &seen.instance.id;
        self.mark_volume(seen).await?;
        match self.api.delete_server(id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            answered => answered?,
        }
        self.remove_volumes(id).await
    }

    async fn mark_volume(&self, seen: &Seen) -> Result<()> {
        let Some(root) = &seen.root else { return Ok(()) };
        let id = &seen.instance.id;
        missing_is_ok(self.api.tag_volume(&id.region, root, &[convert::volume_tag(id)?]).await)
    }

    /// Deletes what carries the mark of a server that is gone.
    async fn remove_volumes(&self, id: &InstanceId) -> Result<()> {
        let tag = convert::volume_tag(id)?;
        let found = self.api.volumes(&id.region, &tag).await?;
        // That the vendor filters is not enough to delete what was not asked for.
        let marked = found.into_iter().filter(|volume| volume.tags.as_ref().is_some_and(|tags| tags.contains(&tag)));
        try_join_all(marked.map(|volume| self.remove_volume(id, volume))).await.map(drop)
    }

    async fn remove_volume(&self, id: &InstanceId, volume: BlockVolume) -> Result<()> {
        if matches!(volume.status.as_deref(), Some("deleting" | "deleted")) {
            return Ok(());
        }
        let until = self.clock.now() + DETACH;
        loop {
            match self.api.delete_volume(&id.region, &volume.id).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                // For a while after its server's end a volume still counts as in use.
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {
                    if self.clock.now() >= until {
                        let message = format!("The volume {} of {id} still costs money", volume.id);
                        return Err(error.with_retry(Retry::Backoff).context(message));
                    }
                }
                answered => return answered,
            }
            self.clock.sleep(DETACH_INTERVAL).await;
        }
    }
}
