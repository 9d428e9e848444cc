use capsule_core::{Error, ErrorKind, InstanceStatus};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::{Outcome, target};
use crate::complete;
use crate::output;
use crate::own::{self, OWN};
use crate::session::Session;

/// Show everything about one server, as the provider sees it now
#[derive(Debug, Args)]
pub struct Show {
    /// Its id, unique name, or a unique prefix of either
    #[arg(add = ArgValueCandidates::new(complete::servers))]
    pub id: String,
}

pub(super) async fn run(session: &Session, args: &Show) -> Outcome {
    let engine = session.engine().await?;
    let target = target::find(session, &engine, &args.id).await?;
    let instance = match &target.record {
        Some(record) if target.id.provider == OWN => Some(own::of(record)),
        _ => {
            let provider = session.connect(capsule_providers::find(target.id.provider.as_str())?).await?;
            provider.get(&target.id).await?
        }
    };
    if session.json() {
        output::json(&serde_json::json!({ "instance": instance, "record": target.record }))?;
        return Ok(());
    }
    let Some(instance) = instance else {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{} is gone: {} has no such server any more.", target.name, target.id.provider),
        )
        .into());
    };
    let now = session.clock.now();
    let mut lines = vec![
        ("name", instance.name.clone()),
        ("id", instance.id.to_string()),
        (
            "status",
            if instance.status == InstanceStatus::Running {
                instance.status.to_string()
            } else {
                format!("{} ({})", instance.status, instance.native_status)
            },
        ),
    ];
    if let Some(fault) = &instance.fault {
        lines.push(("fault", fault.clone()));
    }
    lines.push(("address", instance.addresses.primary().map_or_else(|| "-".to_owned(), |ip| ip.to_string())));
    let more: Vec<String> = instance
        .addresses
        .public_v6
        .iter()
        .map(ToString::to_string)
        .chain(instance.addresses.private.iter().map(ToString::to_string))
        .collect();
    if !more.is_empty() {
        lines.push(("also", more.join(", ")));
    }
    lines.push(("plan", instance.plan.clone()));
    if let Some(image) = &instance.image {
        lines.push(("image", image.clone()));
    }
    lines.push(("age", output::age(instance.created_at, now)));
    if let Some(record) = &target.record {
        let price = match record.rebuilt {
            true => "not known: read back from its tags after the journal was lost".to_owned(),
            false => format!(
                "{} an hour, {} a month (quoted)",
                output::hourly(record.price.as_ref()),
                output::monthly(record.price.as_ref())
            ),
        };
        lines.push(("price", price));
        lines.push(("operation", record.operation.to_string()));
    }
    let tags: Vec<String> = instance
        .tags
        .iter()
        .map(|(key, value)| if value.is_empty() { key.to_owned() } else { format!("{key}={value}") })
        .collect();
    if !tags.is_empty() {
        lines.push(("tags", tags.join(" ")));
    }
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    let text: String = lines.iter().map(|(key, value)| format!("{key:width$}  {value}\n")).collect();
    Ok(output::text(&text)?)
}
