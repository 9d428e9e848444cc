use std::io::{IsTerminal, Read};

use capsule_core::{Error, ErrorKind};
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use secrecy::SecretString;

use super::Outcome;
use crate::complete;
use crate::output::{self, Table};
use crate::session::Session;

/// Set up or check one provider
#[derive(Debug, Args)]
pub struct Provider {
    #[command(subcommand)]
    command: ProviderCommand,
}

#[derive(Debug, Subcommand)]
enum ProviderCommand {
    /// Store a provider's key, readable by you alone
    ///
    /// Asks on a terminal; otherwise reads standard input, a line for each value it needs. Keys are never taken as arguments,
    /// where other users of the machine could see them. The key is tried before it is stored.
    Login {
        /// The provider
        #[arg(add = ArgValueCandidates::new(complete::providers))]
        name: String,
        /// Store it without trying it
        #[arg(long)]
        no_check: bool,
    },
    /// Ask a provider whose key this is and what it may do
    Check {
        /// The provider; all that are set up if left out
        #[arg(add = ArgValueCandidates::new(complete::providers))]
        name: Option<String>,
    },
}

pub(super) async fn run(session: &Session, args: &Provider) -> Outcome {
    match &args.command {
        ProviderCommand::Login { name, no_check } => login(session, name, !no_check).await,
        ProviderCommand::Check { name } => check(session, name.as_deref()).await,
    }
}

async fn login(session: &Session, name: &str, check: bool) -> Outcome {
    let entry = capsule_providers::find(name)?;
    let descriptor = entry.descriptor;
    if session.is_sandbox() {
        return Err(Error::new(ErrorKind::Config, "The sandbox has keys of its own; there is nothing to store.")
            .with_hint("Leave out --sandbox to store a real key.")
            .into());
    }
    // What is asked for: secrets, and what the provider cannot work without.
    let wanted: Vec<_> = descriptor
        .settings
        .iter()
        .filter(|setting| {
            setting.required
                || (setting.secret && !setting.key.contains("session"))
                || setting.key.ends_with("access_key")
        })
        .collect();
    let mut values = Vec::new();
    if std::io::stdin().is_terminal() {
        output::note(descriptor.key_help);
        for setting in wanted {
            let prompt = format!("{} {}: ", descriptor.name, setting.key.replace('_', " "));
            let value = rpassword::prompt_password(prompt)
                .map_err(|error| Error::new(ErrorKind::Config, format!("Nothing could be read: {error}.")))?;
            push(&mut values, setting.key, &value)?;
        }
    } else {
        let mut text = String::new();
        std::io::stdin()
            .take(1 << 16)
            .read_to_string(&mut text)
            .map_err(|error| Error::new(ErrorKind::Config, format!("Standard input cannot be read: {error}.")))?;
        let mut lines = text.lines();
        for setting in wanted {
            push(&mut values, setting.key, lines.next().unwrap_or_default())?;
        }
    }
    if check {
        let account = session.connect_with(entry, &values).await?.verify().await?;
        output::note(format!("The key works: {}.", account.id));
    }
    session.home.create()?;
    let path = session.store(descriptor, &values)?;
    output::note(format!("Stored in {}, readable by you alone.", path.display()));
    Ok(())
}

fn push(values: &mut Vec<(String, SecretString)>, key: &str, value: &str) -> Result<(), Error> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("The {} is empty; nothing was stored.", key.replace('_', " ")),
        )
        .with_hint("Paste it at the prompt, or pipe it in on a line of its own."));
    }
    values.push((key.to_owned(), value.to_owned().into()));
    Ok(())
}

async fn check(session: &Session, name: Option<&str>) -> Outcome {
    let names: Vec<String> = name.iter().map(|name| (*name).to_owned()).collect();
    let mut errors = Vec::new();
    let mut table = Table::new(&["PROVIDER", "ACCOUNT", "STATE", "LIMITS"]);
    let mut rows = Vec::new();
    for entry in session.chosen(&names)? {
        let account = match session.connect(entry).await {
            Ok(provider) => provider.verify().await,
            Err(error) => Err(error),
        };
        match account {
            Ok(account) => {
                let limits: Vec<String> = account
                    .quotas
                    .iter()
                    .map(|quota| match quota.used {
                        Some(used) => format!("{used} of {} {}", quota.limit, quota.name),
                        None => format!("{} {}", quota.limit, quota.name),
                    })
                    .collect();
                table.row([
                    entry.descriptor.id.to_string(),
                    account.id.clone(),
                    account.status.clone().unwrap_or_default(),
                    limits.join(", "),
                ]);
                for line in &account.notes {
                    output::note(format!("{}: {line}", entry.descriptor.id));
                }
                rows.push(serde_json::json!({ "provider": entry.descriptor.id, "account": account }));
            }
            Err(error) => errors.push(error),
        }
    }
    if session.json() {
        output::json(&serde_json::json!({ "accounts": rows, "errors": errors }))?;
    } else if !rows.is_empty() {
        table.print()?;
    }
    session.finish(errors)
}
