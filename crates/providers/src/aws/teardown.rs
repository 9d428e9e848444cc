//! Delete: end the server, wait until it is over, and then take away what create made beside it.
//!
//! A security group can only go once its last server is terminated, and a tag is all that leads from one to the other:
//! so the wait is here, between the two, and not with the caller.

use std::time::Duration;

use capsule_core::http::Lane;
use capsule_core::{Effect, Error, ErrorKind, InstanceId, Result, Retry, tags};

use super::api::{Api, Item};
use super::convert;
use super::groups::{self, Groups};

/// How long a server may take to end, and its group and disks to follow; mostly it is under a minute.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(5);

/// Ends a server and what was made for it. A missing one is ended already.
pub(super) async fn teardown(api: &Api, groups: &Groups, id: &InstanceId) -> Result<()> {
    let (region, native) = (id.region.as_str(), id.native.as_str());
    // An end must not wait behind the polling of others, and neither must the look that comes before it.
    let Some(item) = api.describe_instance(region, native, Lane::Delete).await? else { return Ok(()) };
    if !convert::is_terminated(&item.instance) {
        match api.terminate_instances(region, native).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            ended => ended?,
        }
    }
    // Without our token create made nothing beside it, or nothing that could be proven to be its own.
    if convert::tags(&item.instance).token().is_none() {
        return Ok(());
    }
    let end = api.clock().now() + PATIENCE;
    let ended = async || {
        let item = api.describe_instance(region, native, Lane::Normal).await?;
        Ok::<_, Error>(item.is_none_or(|item| convert::is_terminated(&item.instance)))
    };
    while !ended().await? {
        pause(api, end, id, "It is still shutting down").await?;
    }
    while !sweep(api, groups, region, &item).await? {
        pause(api, end, id, "The server is gone, but its security group or a disk of it is still in use").await?;
    }
    Ok(())
}

/// Deletes the disks that carry the server's token, and its group if it was the last one in it; `false` while something of
/// that cannot go yet.
async fn sweep(api: &Api, groups: &Groups, region: &str, item: &Item) -> Result<bool> {
    let tags = convert::tags(&item.instance);
    let token = tags.token().unwrap_or_default();
    let tagged = format!("tag:{}", tags::TOKEN);
    // A server made twice under one token shares what carries it with the one that stays.
    let twins = api.describe_instances(region, &[(&tagged, token)]).await?;
    let is_other = |twin: &Item| twin.instance.instance_id != item.instance.instance_id;
    if twins.iter().any(|twin| is_other(twin) && !convert::is_terminated(&twin.instance)) {
        return Ok(true);
    }
    let mut clean = true;
    for volume in api.volumes_tagged(region, tags::TOKEN, token).await? {
        if volume.status != "deleting" {
            clean &= gone(api.delete_volume(region, &volume.volume_id).await)?;
        }
    }
    // Earlier versions made one for each server, which has its token.
    let Some(owner) = tags.owner() else { return Ok(clean) };
    let (name, tagged) = (groups::name(owner), format!("tag:{}", tags::OWNER));
    for group in api.describe_security_groups(region, &[(&tagged, owner)]).await? {
        let is_own = group.tag_set.iter().any(|tag| tag.key == tags::TOKEN && tag.value == token);
        if is_own || group.group_name == name {
            clean &= groups.end(api, region, owner, &group.group_id).await?;
        }
    }
    Ok(clean)
}

/// Whether the thing is gone; a refusal because it is still in use is no failure.
pub(super) fn gone(deleted: Result<()>) -> Result<bool> {
    match deleted {
        Ok(()) => Ok(true),
        Err(error) if is_missing(&error) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the vendor says that a group or a disk is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error.native_code(), Some("InvalidGroup.NotFound" | "InvalidVolume.NotFound"))
}

async fn pause(api: &Api, end: jiff::Timestamp, id: &InstanceId, what: &str) -> Result<()> {
    if api.clock().now() >= end {
        let message = format!("{id} was told to end {} minutes ago. {what}.", PATIENCE.as_secs() / 60);
        return Err(Error::new(ErrorKind::Timeout, message)
            .with_provider(convert::PROVIDER)
            .with_hint("Delete it again in a while; nothing is lost by that.")
            .with_retry(Retry::Backoff)
            .with_effect(Effect::Unknown));
    }
    api.clock().sleep(PAUSE).await;
    Ok(())
}
