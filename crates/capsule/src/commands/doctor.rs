use clap::Args;

use super::Outcome;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// Check the home, the journal and every provider that is set up
#[derive(Debug, Args)]
pub struct Doctor {}

pub(super) async fn run(session: &Session, _args: &Doctor) -> Outcome {
    let mut checks: Vec<(String, Result<String, capsule_core::Error>)> = Vec::new();
    checks.push((
        "home".to_owned(),
        session.home.create().map(|()| format!("{}, for you alone", session.home.path().display())),
    ));
    let journal = async {
        let engine = session.engine().await?;
        let open =
            engine.operations(&capsule_engine::OperationFilter { open: true, ..Default::default() }).await?.len();
        let living = engine.inventory().await?.len();
        Ok(match open {
            0 => format!("{living} servers, nothing open"),
            _ => format!("{living} servers, {open} operations open: `capsule ops --open`, `capsule resume`"),
        })
    };
    checks.push(("journal".to_owned(), journal.await));
    match session.chosen(&[]) {
        Err(error) => checks.push(("providers".to_owned(), Err(error))),
        Ok(entries) => {
            let answers = futures_util::future::join_all(entries.into_iter().map(|entry| async move {
                let account = async { session.connect(entry).await?.verify().await };
                let said = account.await.map(|account| {
                    let notes =
                        if account.notes.is_empty() { String::new() } else { format!(". {}", account.notes.join(" ")) };
                    format!("key of {}{notes}", account.id)
                });
                (entry.descriptor.id.to_string(), said)
            }));
            checks.extend(answers.await);
        }
    }
    if session.json() {
        let rows: Vec<_> = checks
            .iter()
            .map(|(name, said)| match said {
                Ok(text) => serde_json::json!({ "check": name, "ok": true, "says": text }),
                Err(error) => serde_json::json!({ "check": name, "ok": false, "error": error }),
            })
            .collect();
        output::json(&serde_json::json!({ "checks": rows }))?;
    } else {
        let mut table = Table::new(&["CHECK", "OK", "SAYS"]);
        for (name, said) in &checks {
            table.row([
                name.clone(),
                if said.is_ok() { "yes" } else { "NO" }.to_owned(),
                said.as_ref().map_or_else(|error| error.message().to_owned(), Clone::clone),
            ]);
        }
        table.print()?;
    }
    let errors: Vec<_> = checks.into_iter().filter_map(|(_, said)| said.err()).collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure::several(errors)) }
}
