use capsule_engine::OperationFilter;
use clap::{Args, Subcommand};

use super::Outcome;
use crate::output::{self, Table};
use crate::session::Session;

/// Show the journal: what ran, what is open, what is in doubt
#[derive(Debug, Args)]
pub struct Ops {
    #[command(subcommand)]
    command: Option<OpsCommand>,
    /// Only operations that are not over
    #[arg(long)]
    open: bool,
    /// Only operations about this server name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum OpsCommand {
    /// Show one operation with all its events
    Show {
        /// Its id
        id: String,
    },
}

pub(super) async fn run(session: &Session, args: &Ops) -> Outcome {
    let engine = session.engine().await?;
    if let Some(OpsCommand::Show { id }) = &args.command {
        let operation = engine.operation(&id.parse()?).await?;
        if session.json() {
            output::json(&operation)?;
            return Ok(());
        }
        output::text(&format!(
            "{} {} {}: {}\n",
            operation.id,
            operation.kind,
            operation.names.join(" "),
            operation.stage
        ))?;
        if let Some(doubt) = &operation.doubt {
            output::text(&format!("in doubt: {doubt}\n"))?;
        }
        if let Some(error) = &operation.error {
            output::text(&format!("{}\n", crate::failure::text(error)))?;
        }
        let mut table = Table::new(&[">#", "AT", "EVENT"]);
        for (number, entry) in operation.events.iter().enumerate() {
            table.row([(number + 1).to_string(), entry.at.strftime("%F %T").to_string(), event(&entry.event)]);
        }
        return Ok(table.print()?);
    }
    let filter = OperationFilter { open: args.open, name: args.name.clone(), limit: Some(args.limit) };
    let operations = engine.operations(&filter).await?;
    if session.json() {
        output::json(&serde_json::json!({ "operations": operations }))?;
        return Ok(());
    }
    if operations.is_empty() {
        output::note("No operations.");
        return Ok(());
    }
    let now = session.clock.now();
    let mut table = Table::new(&["OPERATION", "KIND", "STAGE", ">AGE", "SERVERS", "IN DOUBT"]);
    for operation in &operations {
        let names = match &operation.names[..] {
            [first, .., last] if operation.names.len() > 3 => format!("{first} ... {last} ({})", operation.names.len()),
            names => names.join(" "),
        };
        table.row([
            operation.id.to_string(),
            operation.kind.to_string(),
            operation.stage.to_string(),
            output::age(Some(operation.created_at), now),
            names,
            operation.doubt.clone().unwrap_or_default(),
        ]);
    }
    Ok(table.print()?)
}

/// An event in a line: its name, and what it says went wrong.
fn event(event: &capsule_engine::event::Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_default();
    let (name, detail) = match &value {
        serde_json::Value::String(name) => (name.clone(), None),
        serde_json::Value::Object(map) => {
            map.iter().next().map(|(name, detail)| (name.clone(), Some(detail))).unwrap_or_default()
        }
        _ => Default::default(),
    };
    let name = name.replace('_', " ");
    if let Some(stage) = detail.and_then(|detail| detail.get("stage")).and_then(|stage| stage.as_str()) {
        return format!("{name}: {}", stage.replace('_', " "));
    }
    match detail.and_then(|detail| detail.pointer("/error/message")).and_then(|message| message.as_str()) {
        Some(message) => format!("{name}: {message}"),
        None => name,
    }
}
