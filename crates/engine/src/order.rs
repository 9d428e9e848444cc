//! What can be said about an order before anything is written down or sent.

use std::collections::BTreeSet;

use capsule_core::{Error, ErrorKind, InstanceSpec, Order, OwnerId, Result, SshKey, Tags, Token};

use crate::engine::{DeployRequest, Providers};
use crate::placement::Placement;

/// The placements whose providers take the order as it stands, and what the others say: each reason once.
///
/// Sends nothing.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a request that is wrong wherever it goes, or a provider that cannot be connected to.
pub async fn acceptable(request: &DeployRequest, providers: &dyn Providers) -> Result<(Vec<Placement>, Vec<Error>)> {
    check(request)?;
    let (mut placements, mut refusals) = (Vec::new(), Vec::<Error>::new());
    // Stands for those that the order is to have, which are as long.
    let (owner, token) = (OwnerId::random(), Token::random());
    for placement in &request.placements {
        let provider = providers.provider(&placement.provider).await?;
        let mut order = Order {
            token: token.clone(),
            again: false,
            owner: owner.clone(),
            names: Vec::new(),
            spec: spec(placement, &request.ssh_keys, request.user_data.as_deref(), &request.tags),
        };
        let refusal = request.names.chunks(provider.capabilities().batch.max(1)).find_map(|names| {
            order.names = names.to_vec();
            provider.check(&order).err()
        });
        match refusal {
            None => placements.push(placement.clone()),
            Some(refusal) if refusals.iter().any(|known| known.message() == refusal.message()) => {}
            Some(refusal) => refusals.push(refusal),
        }
    }
    Ok((placements, refusals))
}

/// What is ordered at a placement.
pub(crate) fn spec(placement: &Placement, keys: &[SshKey], user_data: Option<&str>, tags: &Tags) -> InstanceSpec {
    InstanceSpec {
        plan: placement.plan.clone(),
        region: placement.region.clone(),
        image: placement.image.clone(),
        disk_gib: placement.disk_gib,
        ssh_keys: keys.to_vec(),
        user_data: user_data.map(str::to_owned),
        tags: tags.clone(),
    }
}

/// What is wrong with a request wherever it goes.
fn check(request: &DeployRequest) -> Result<()> {
    let invalid = |what: String, hint: &str| Err(Error::new(ErrorKind::Invalid, what).with_hint(hint));
    if request.names.is_empty() {
        return invalid("No server is named.".to_owned(), "Give each server a name.");
    }
    if request.placements.is_empty() {
        return invalid("No place is given for the server.".to_owned(), "Name a provider, a plan and a region.");
    }
    let mut seen = BTreeSet::new();
    match request.names.iter().find(|name| name.is_empty() || !seen.insert(*name)) {
        Some(name) if name.is_empty() => invalid("A server's name is empty.".to_owned(), "Give each server a name."),
        Some(name) => invalid(format!("`{name}` is named twice."), "Give each server a name of its own."),
        None => Ok(()),
    }
}
