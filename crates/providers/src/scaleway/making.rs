//! The beginning of a server: ordered, given its user-data, started.
//!
//! The vendor's create makes a server that lies there stopped. Whatever goes wrong from then on either leaves nothing
//! behind, or leaves something that carries the token and says itself that it is not ready.

use capsule_core::{Effect, Error, ErrorKind, Instance, Order, OwnerId, PublicKey, Result, Scope, SshKey};

use super::convert::Seen;
use super::{DESCRIPTOR, Scaleway, convert};

/// What fails before an order is sent again says nothing of what an earlier call under its token left half made: that token
/// must not be forgotten.
pub(super) fn before(order: &Order, error: Error) -> Error {
    if order.again { error.with_effect(Effect::Unknown) } else { error }
}

impl Scaleway {
    /// Goes on with what an earlier call left half made, or orders anew.
    pub(super) async fn make(&self, order: &Order, tags: &[String]) -> Result<Instance> {
        let left = match convert::user_data(order) {
            Some(_) if order.again => self.half_made(order).await.map_err(|error| before(order, error))?,
            _ => None,
        };
        let seen = match left {
            Some(left) => left,
            None => self.order(order, tags).await?,
        };
        self.boot(&seen, order).await?;
        Ok(convert::born(seen))
    }

    /// What an earlier call under the same token left half made, the oldest first.
    async fn half_made(&self, order: &Order) -> Result<Option<Seen>> {
        for seen in self.list_zone(&order.spec.region, &Scope::Token(order.token.clone())).await? {
            if self.is_half_made(&seen).await? {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }

    /// Sends the order. If the answer is lost, a look by token tells more than the error does.
    async fn order(&self, order: &Order, tags: &[String]) -> Result<Seen> {
        let zone = &order.spec.region;
        let body = convert::new_server(order, &self.project, tags)?;
        let made = self.api.create_server(zone, &body, |server, raw| convert::seen(zone, server, raw)).await;
        match made {
            Err(lost) if lost.effect() == Effect::Unknown => {
                let found = self.list_zone(zone, &Scope::Token(order.token.clone())).await.unwrap_or_default();
                found.into_iter().next().ok_or(lost)
            }
            made => made,
        }
    }

    /// Gives a stopped server its user-data and starts it. What is refused here is taken back, so that nothing is left
    /// that costs money; what may have happened is left to be found by its token.
    async fn boot(&self, seen: &Seen, order: &Order) -> Result<()> {
        let id = &seen.instance.id;
        let booted = async {
            if let Some(text) = convert::user_data(order) {
                self.api.set_user_data(id, convert::CLOUD_INIT, text).await?;
            }
            match self.api.act(id, "poweron").await {
                // Somebody was quicker, or our own first try came through after all.
                Err(refused) if matches!(refused.kind(), ErrorKind::Conflict | ErrorKind::Invalid) => {
                    match self.present(id).await?.state.as_str() {
                        "starting" | "running" => Ok(()),
                        _ => Err(refused),
                    }
                }
                started => started,
            }
        };
        match booted.await {
            Ok(()) => Ok(()),
            // It was just made, so it is not missing but not shown yet.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(error.with_kind(ErrorKind::Unavailable).with_effect(Effect::Unknown))
            }
            Err(error) if error.effect() == Effect::Unknown => Err(error),
            Err(refused) => match self.remove_stopped(seen).await {
                Ok(()) => Err(refused),
                Err(error) => {
                    tracing::debug!(%id, %error, "a server that was refused its start could not be taken back");
                    Err(refused.with_effect(Effect::Unknown))
                }
            },
        }
    }

    /// Sees to it that the project holds these keys: the vendor puts all of them on every server of the project.
    pub(super) async fn ensure_keys(&self, wanted: &[SshKey], owner: &OwnerId) -> Result<()> {
        let mut known = self.keys.lock().await;
        for key in wanted {
            let line = match key {
                SshKey::Public(line) => line.parse::<PublicKey>().map(Some),
                SshKey::Existing(_) => Ok(None),
            };
            let line = line.map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
            if convert::find_key(&known, key, line.as_ref())?.is_some() {
                continue;
            }
            *known = self.api.ssh_keys(&self.project).await?;
            if convert::find_key(&known, key, line.as_ref())?.is_some() {
                continue;
            }
            let (SshKey::Public(text), Some(line)) = (key, line) else { return Err(convert::no_such_key(key)) };
            match self.api.create_ssh_key(&self.project, &line.name_for(owner), text.trim()).await {
                Ok(made) => known.push(made),
                // Somebody else was quicker: then it is listed now.
                Err(refused) if matches!(refused.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                    *known = self.api.ssh_keys(&self.project).await?;
                    convert::find_key(&known, key, Some(&line))?.ok_or(refused)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
