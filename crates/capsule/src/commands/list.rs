use capsule_core::{Error, Instance, InstanceStatus, Scope, Tags};
use capsule_providers::Entry;
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
    let scope = &scope;
    let (asked, left_out): (Vec<_>, Vec<_>) =
        entries.into_iter().map(|entry| (entry, regions_at(entry, args))).partition(|(_, regions)| regions.is_some());
    let answers = join_all(asked.into_iter().map(|(entry, regions)| async move {
        let regions = regions.unwrap_or_default();
        let mut found = session.connect_for_list(entry, &regions, !args.metadata).await?.list(scope).await?;
        found.retain(|instance| regions.is_empty() || regions.contains(&instance.id.region));
        Ok(found)
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
        args.status.is_none_or(|status| status == instance.status)
            && tags
                .iter()
                .all(|(key, value)| instance.tags.get(key).is_some_and(|has| value.is_empty() || has == value))
    });
    print(session, &instances, &errors, &owner)?;
    if instances.is_empty() && !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|(entry, _)| entry.descriptor.id.as_str()).collect();
        let regions: Vec<String> = args.region.iter().map(|region| format!("`{region}`")).collect();
        output::note(format!("Not asked, as {} is no region there: {}.", regions.join(", "), names.join(", ")));
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::several(errors)) }
}

/// The regions that a provider is asked for, none for all; `None` where what is wanted can lie at others alone. Whoever names
/// a provider hears from it that it has no such region.
fn regions_at(entry: &Entry, args: &List) -> Option<Vec<String>> {
    let regions: Vec<String> = args.region.iter().flat_map(|word| (entry.regions)(word)).collect();
    match regions.is_empty() && !args.region.is_empty() {
        true => (!args.provider.is_empty()).then(|| args.region.clone()),
        false => Some(regions),
    }
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
