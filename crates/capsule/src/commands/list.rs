use capsule_core::{Error, Instance, InstanceStatus, Scope, Tags};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use futures_util::future::join_all;
use serde::Serialize;

use super::Outcome;
use crate::complete;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// List every server that the keys can see, ours marked
///
/// All providers are asked at once. One that fails is named on stderr, the others still print, and the exit code is 1, or 4
/// if credentials alone are at fault.
#[derive(Debug, Args)]
#[command(visible_alias = "ls")]
pub struct List {
    /// Only this provider (may be repeated)
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    pub provider: Vec<String>,
    /// Only this region (may be repeated)
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
    /// Only this status
    #[arg(long, value_name = "STATUS")]
    pub status: Option<InstanceStatus>,
    /// Only servers with this tag (may be repeated)
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub tag: Vec<String>,
    /// Only servers that this installation made
    #[arg(long)]
    pub managed: bool,
    /// Keep the provider's own body of each server under `metadata` in JSON; without this only `show` has it
    #[arg(long)]
    pub metadata: bool,
}

#[derive(Serialize)]
struct Listed<'a> {
    instances: Vec<Row<'a>>,
    errors: &'a [Error],
}

#[derive(Serialize)]
struct Row<'a> {
    managed: bool,
    #[serde(flatten)]
    instance: &'a Instance,
}

pub(super) async fn run(session: &Session, args: &List) -> Outcome {
    let owner = session.known_owner().await?;
    let tags: Vec<(String, String)> = args.tag.iter().map(|tag| Tags::parse_pair(tag)).collect::<Result<_, _>>()?;
    let entries = session.chosen(&args.provider)?;
    let scope = match (&owner, args.managed) {
        (Some(owner), true) => Scope::Owner(owner.clone()),
        // Nothing was ever made here, so nothing is ours.
        (None, true) => return print(session, &[], &[], &owner),
        _ => Scope::All,
    };
    let answers = join_all(entries.into_iter().map(|entry| async {
        session.connect_for_list(entry, &args.region, !args.metadata).await?.list(&scope).await
    }))
    .await;
    let mut instances = Vec::new();
    let mut errors = Vec::new();
    for answer in answers {
        match answer {
            Ok(found) if instances.is_empty() => instances = found,
            Ok(found) => instances.extend(found),
            Err(error) => errors.push(error),
        }
    }
    instances.retain(|instance| {
        (args.region.is_empty() || args.region.contains(&instance.id.region))
            && args.status.is_none_or(|status| status == instance.status)
            && tags
                .iter()
                .all(|(key, value)| instance.tags.get(key).is_some_and(|has| value.is_empty() || has == value))
    });
    print(session, &instances, &errors, &owner)?;
    if errors.is_empty() { Ok(()) } else { Err(Failure::several(errors)) }
}

fn print(
    session: &Session,
    instances: &[Instance],
    errors: &[Error],
    owner: &Option<capsule_core::OwnerId>,
) -> Outcome {
    let managed = |instance: &Instance| owner.as_ref().is_some_and(|owner| instance.is_owned_by(owner));
    if session.json() {
        let instances = instances.iter().map(|instance| Row { managed: managed(instance), instance }).collect();
        output::json(&Listed { instances, errors })?;
        return Ok(());
    }
    if instances.is_empty() {
        if errors.is_empty() {
            output::note("No servers.");
        }
        return Ok(());
    }
    let now = session.clock.now();
    let mut table = Table::new(&["OURS", "NAME", "STATUS", "ADDRESS", "PLAN", ">AGE", "ID"]);
    for instance in instances {
        table.row([
            if managed(instance) { "*".to_owned() } else { String::new() },
            instance.name.clone(),
            status(instance),
            instance.addresses.primary().map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
            instance.plan.clone(),
            output::age(instance.created_at, now),
            instance.id.to_string(),
        ]);
    }
    Ok(table.print()?)
}

/// Our word, with the vendor's beside it where ours says little.
pub(super) fn status(instance: &Instance) -> String {
    match instance.status {
        InstanceStatus::Unknown | InstanceStatus::Failed => format!("{} ({})", instance.status, instance.native_status),
        status => status.to_string(),
    }
}
