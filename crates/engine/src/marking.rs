//! Our tag put on a server that somebody else made.

use capsule_core::{Error, ErrorKind, Instance, InstanceId, Result};

use crate::engine::{Engine, not_known};
use crate::flow::later;

impl Engine {
    /// Puts our owner tag on a server of the inventory, beside its own tags, and looks whether it is there; `false` for one
    /// that had it. From then on [`survey`](Engine::survey) and [`rebuild`](Engine::rebuild) know it.
    ///
    /// Only of the inventory: what carries our tag and is written down nowhere is an orphan.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for one that is in no inventory or gone, [`ErrorKind::Conflict`] for one of another
    /// installation, and where a tag of its own is not there any more: somebody changed its tags meanwhile.
    pub async fn mark(&self, id: &InstanceId) -> Result<bool> {
        let inner = &self.inner;
        inner.journal.record(id).await?.filter(|record| record.gone_at.is_none()).ok_or_else(|| not_known(id))?;
        let cloud = inner.cloud(&id.provider).await?;
        let marking = cloud
            .provider
            .marking()
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, format!("Servers of {} have no tags.", id.provider)))?;
        let look = async || cloud.provider.get(id).await?.ok_or_else(|| not_known(id));
        let before = look().await?;
        if before.tags.are_of(&inner.owner).map_err(|error| error.context(format!("{id} was not marked")))? {
            return Ok(false);
        }
        marking.mark(id, &inner.owner).await?;
        let until = later(inner.clock.now(), cloud.timing.list_lag);
        loop {
            let after = look().await?;
            if after.is_owned_by(&inner.owner) {
                return unharmed(&before, &after).map(|()| true);
            }
            if inner.clock.now() >= until {
                let message = format!("{id} does not show our tag, though its provider took it.");
                return Err(Error::new(ErrorKind::Conflict, message)
                    .with_hint("Somebody may have changed its tags at the same time. Run this again."));
            }
            inner.clock.sleep(cloud.timing.poll_interval).await;
        }
    }
}

/// Whether a server still has the tags that it had before it was marked.
fn unharmed(before: &Instance, after: &Instance) -> Result<()> {
    let is_lacking = |(key, value): &(&str, &str)| after.tags.get(key) != Some(*value);
    let word = |(key, value): (&str, &str)| if value.is_empty() { key.to_owned() } else { format!("{key}={value}") };
    let lacking: Vec<String> = before.tags.iter().filter(is_lacking).map(word).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let message = format!("{} is marked, and no longer has what it had before: {}.", before.id, lacking.join(", "));
    Err(Error::new(ErrorKind::Conflict, message).with_hint(
        "Somebody changed its tags at the same time. If that was not meant, put these back at its provider.",
    ))
}
