//! The firewall of one installation's servers in a region: made with the first of them, ended with the last.
//!
//! The account's default group lets nobody in. One of our own for each server would cost three requests each, so all
//! servers of an owner share one, found by its name. Whoever deletes it may be too early for somebody who is about to
//! launch: that launch is then refused without effect, and makes it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use capsule_core::{Effect, Error, ErrorKind, OwnerId, Result, Tags, Token};
use tokio::sync::Mutex;

use super::api::{Api, SecurityGroup};
use super::{convert, teardown};

pub(super) const NO_GROUP: &str = "InvalidGroup.NotFound";
const DUPLICATE: &str = "InvalidGroup.Duplicate";

/// How long something made a moment ago is given until it is known everywhere.
pub(super) const YOUNG: Duration = Duration::from_secs(2);
/// How often it is asked for until then.
pub(super) const TRIES: u32 = 5;

/// The groups that this process has seen to, by region and owner. The lock is held meanwhile, so that many launches at
/// once make one group; whoever holds a clone of the id is about to launch into it.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<HashMap<(String, String), Arc<str>>>);

/// What the group of an owner's servers is called.
pub(super) fn name(owner: &str) -> String {
    format!("capsule-{owner}")
}

/// No server was made, but perhaps a group: whoever looks finds no server and orders again under the same token, and that
/// order takes the group.
fn left_behind(error: Error) -> Error {
    error.with_effect(Effect::Unknown)
}

impl Groups {
    /// The id of the owner's group, which is there and lets in what it should.
    pub(super) async fn ensure(&self, api: &Api, region: &str, owner: &OwnerId, token: &Token) -> Result<Arc<str>> {
        let mut known = self.0.lock().await;
        let slot = slot(region, owner.as_str());
        if let Some(group) = known.get(&slot) {
            return Ok(Arc::clone(group));
        }
        let group = make(api, region, owner, token).await?;
        if let Err(refused) = open(api, region, &group).await {
            return Err(match delete_unused(api, region, &group).await {
                Ok(_) => refused.with_effect(Effect::None),
                Err(_) => left_behind(refused),
            });
        }
        let group: Arc<str> = group.into();
        known.insert(slot, Arc::clone(&group));
        Ok(group)
    }

    /// Forgets a group that the vendor does not have: it is made again, or was too young.
    pub(super) async fn forget(&self, region: &str, owner: &str, group: &str) {
        let mut known = self.0.lock().await;
        let slot = slot(region, owner);
        if known.get(&slot).is_some_and(|known| **known == *group) {
            known.remove(&slot);
        }
    }

    /// Takes the group back after a launch into it was refused, unless others are in it or about to be.
    pub(super) async fn give_back(
        &self,
        api: &Api,
        region: &str,
        owner: &OwnerId,
        group: Arc<str>,
        refused: Error,
    ) -> Error {
        let mut known = self.0.lock().await;
        let slot = slot(region, owner.as_str());
        let is_known = known.get(&slot).is_some_and(|known| Arc::ptr_eq(known, &group));
        if Arc::strong_count(&group) > 1 + usize::from(is_known) {
            return refused;
        }
        match delete_unused(api, region, &group).await {
            Ok(end) => {
                if end == End::Gone && is_known {
                    known.remove(&slot);
                }
                refused
            }
            Err(error) => {
                tracing::debug!(%region, %group, %error, "a security group without a server is left");
                left_behind(refused)
            }
        }
    }

    /// Deletes a group whose server is no more, unless others are in it or about to be; `false` while it cannot go yet.
    pub(super) async fn end(&self, api: &Api, region: &str, owner: &str, group: &str) -> Result<bool> {
        let known = self.0.lock().await.get(&slot(region, owner)).cloned();
        // Ours and the books' make two.
        if known.is_some_and(|known| *known == *group && Arc::strong_count(&known) > 2) {
            return Ok(true);
        }
        let end = delete_unused(api, region, group).await?;
        if end == End::Gone {
            self.forget(region, owner, group).await;
        }
        Ok(end != End::NotYet)
    }
}

fn slot(region: &str, owner: &str) -> (String, String) {
    (region.to_owned(), owner.to_owned())
}

/// What came of the end of a group.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Gone,
    /// Others are in it.
    Used,
    /// What was in it is not quite gone.
    NotYet,
}

/// Asks first who is in it: a refusal for that would be waited out.
async fn delete_unused(api: &Api, region: &str, group: &str) -> Result<End> {
    if api.is_in_use(region, group).await? {
        return Ok(End::Used);
    }
    let gone = teardown::gone(api.delete_security_group(region, group).await)?;
    Ok(if gone { End::Gone } else { End::NotYet })
}

/// A new group, or the one of that name: an earlier order made it, another process, or this order and the answer was lost.
async fn make(api: &Api, region: &str, owner: &OwnerId, token: &Token) -> Result<String> {
    let unmade = |error: Error| error.with_effect(Effect::None);
    let vpc = api.default_vpc(region).await.map_err(unmade)?.ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("The AWS account has no default network (VPC) in {region}."))
            .with_provider(convert::PROVIDER)
            .with_hint(format!(
                "Make one with `aws ec2 create-default-vpc --region {region}`, or choose another region."
            ))
    })?;
    let (name, tags) = (name(owner.as_str()), Tags::new().at_birth(owner, token));
    let mut tries = 1;
    loop {
        let error = match api.create_security_group(region, &vpc, &name, &tags).await {
            Ok(SecurityGroup { group_id, .. }) => return Ok(group_id),
            Err(error) => error,
        };
        let is_there = error.native_code() == Some(DUPLICATE);
        if !is_there && error.effect() == Effect::None {
            return Err(error);
        }
        match api.describe_security_groups(region, &[("group-name", &name), ("vpc-id", &vpc)]).await {
            Ok(mut found) => match found.pop() {
                Some(group) => return Ok(group.group_id),
                // Not shown yet, or deleted between the two calls.
                None if is_there && tries < TRIES => {}
                None => return Err(left_behind(error)),
            },
            Err(_) => return Err(left_behind(error)),
        }
        tries += 1;
        api.clock().sleep(YOUNG).await;
    }
}

async fn open(api: &Api, region: &str, group: &str) -> Result<()> {
    let mut tries = 1;
    loop {
        match api.open_security_group(region, group).await {
            Err(error) if error.native_code() == Some("InvalidPermission.Duplicate") => return Ok(()),
            Err(error) if error.native_code() == Some(NO_GROUP) && tries < TRIES => {
                tries += 1;
                api.clock().sleep(YOUNG).await;
            }
            opened => return opened,
        }
    }
}
