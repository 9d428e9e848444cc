use capsule_core::{Error, ErrorKind, InstanceId, Money, Scope};
use capsule_engine::ledger::Account;
use capsule_engine::reconcile::{Comparison, compare};
use capsule_providers::Entry;
use futures_util::future::join_all;
use serde::Serialize;

use super::{Outcome, finish};
use crate::output::{self, Table};
use crate::session::Session;

/// What came of asking one provider.
enum Answer {
    Compared(Comparison),
    Untold(Untold),
}

/// A provider that does not tell, and why.
#[derive(Serialize)]
struct Untold {
    provider: String,
    why: String,
}

/// `capsule cost --reconcile`. `paid`: whether to ask those who take money for an answer.
pub(super) async fn run(session: &Session, paid: bool) -> Outcome {
    let accounts = session.engine().await?.accounts().await?;
    let entries = session.chosen(&[])?;
    let asked = join_all(entries.into_iter().map(|entry| ask(session, entry, &accounts, paid)));
    let (mut compared, mut untold, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for answer in finish::interruptible(asked).await? {
        match answer {
            Ok(Answer::Compared(comparison)) => compared.push(comparison),
            Ok(Answer::Untold(provider)) => untold.push(provider),
            Err(error) => errors.push(error),
        }
    }
    if session.json() {
        let at = session.clock.now();
        output::json(&serde_json::json!({ "at": at, "providers": compared, "untold": untold, "errors": errors }))?;
    } else {
        print(&compared)?;
        for Untold { provider, why } in &untold {
            output::note(format!("{provider}: {why}"));
        }
    }
    session.finish(errors)
}

async fn ask(session: &Session, entry: &'static Entry, accounts: &[Account], paid: bool) -> Result<Answer, Error> {
    let descriptor = entry.descriptor;
    let untold = |why: String| Ok(Answer::Untold(Untold { provider: descriptor.id.to_string(), why }));
    let failed = |error: Error| error.context(format!("{} was not asked what it charges", descriptor.name));
    let provider = session.connect(entry).await.map_err(failed)?;
    let Some(statements) = provider.statements() else {
        return untold("its API does not tell what it charges.".to_owned());
    };
    if let Some(fee) = statements.fee() {
        if !paid {
            return untold(format!("an answer costs {fee}, so it is not asked; --paid-queries asks it."));
        }
        output::note(format!("Asking {} what it charges costs {fee}.", descriptor.name));
    }
    let statement = match statements.statement().await {
        Ok(statement) => statement,
        Err(error) if error.kind() == ErrorKind::Forbidden => {
            return untold(format!("the key may not see what is charged; it needs {}.", statements.needs()));
        }
        Err(error) => return Err(error.context(format!("{} does not say what it charges", descriptor.name))),
    };
    // Only explains: without it the figures stand all the same.
    let narrowed = session.settings(entry).is_ok_and(|settings| !settings.regions.is_empty());
    let listed = if narrowed { None } else { provider.list(&Scope::All).await.ok() };
    let listed: Option<Vec<InstanceId>> = listed.map(|servers| servers.into_iter().map(|server| server.id).collect());
    let compared = compare(&descriptor.id, accounts, statement, listed.as_deref()).map_err(super::cost::unsummable)?;
    Ok(Answer::Compared(compared.late_by(statements.lag())))
}

fn print(compared: &[Comparison]) -> Result<(), Error> {
    if compared.is_empty() {
        return Ok(());
    }
    let header = ["PROVIDER", "SINCE", ">OURS", ">THE VENDOR'S", ">DIFFERENCE", ">OWED FROM BEFORE"];
    let mut table = Table::new(&header);
    for comparison in compared {
        table.row([
            comparison.provider.to_string(),
            comparison.since.to_string(),
            money(comparison.ours),
            money(comparison.statement.charged),
            money(comparison.difference),
            money(comparison.statement.balance),
        ]);
    }
    table.print()?;
    let mut text = String::new();
    for Comparison { provider, statement, causes, .. } in compared {
        text.extend(statement.notes.iter().map(|note| format!("{provider}: {note}\n")));
        text.extend(causes.iter().map(|cause| format!("{provider}: the difference may come from {cause}.\n")));
    }
    output::text(&text)
}

fn money(money: Option<Money>) -> String {
    money.map_or_else(|| "-".to_owned(), |money| format!("{money:.2}"))
}
