use capsule_core::Lifecycle;
use clap::Args;

use super::Outcome;
use crate::output::{self, Table};
use crate::session::Session;

/// List the providers, whether they are set up and from where
///
/// Nothing is sent; `capsule provider check NAME` asks the provider.
#[derive(Debug, Args)]
pub struct Providers {}

pub(super) async fn run(session: &Session, _args: &Providers) -> Outcome {
    let mut table = Table::new(&["PROVIDER", "NAME", "STATE", "KEY", "FROM"]);
    let mut rows = Vec::new();
    for entry in capsule_providers::all() {
        let descriptor = entry.descriptor;
        let settings = session.settings(entry)?;
        let configured = entry.is_configured(&settings);
        let sources: Vec<(&str, &str)> =
            settings.values.iter().map(|(key, value)| (key.as_str(), value.source.as_str())).collect();
        let state = match &descriptor.lifecycle {
            Lifecycle::Live => "live".to_owned(),
            Lifecycle::Retired { on, instead } => format!("retired since {on}; instead: {instead}"),
        };
        table.row([
            descriptor.id.to_string(),
            descriptor.name.to_owned(),
            state,
            if configured { "set" } else { "-" }.to_owned(),
            sources.iter().map(|(key, source)| format!("{key} {source}")).collect::<Vec<_>>().join(", "),
        ]);
        let sources: serde_json::Map<String, serde_json::Value> =
            sources.into_iter().map(|(key, source)| (key.to_owned(), source.into())).collect();
        rows.push(serde_json::json!({ "id": descriptor.id, "name": descriptor.name, "lifecycle": descriptor.lifecycle, "configured": configured, "sources": sources, "docs": descriptor.docs }));
    }
    if session.json() {
        output::json(&serde_json::json!({ "providers": rows }))?;
    } else {
        table.print()?;
    }
    Ok(())
}
