use std::sync::Arc;

use capsule_core::{Error, ErrorKind, InstanceId, Money, Provider, Scope, Statements};
use capsule_engine::ledger::{Account, month_start};
use capsule_engine::reconcile::{Comparison, Gap, MonthComparison, compare, compare_month};
use capsule_providers::Entry;
use futures_util::future::join_all;
use jiff::civil::Date;
use serde::Serialize;

use super::{Outcome, finish};
use crate::output::{self, Table};
use crate::session::Session;

/// What came of asking one provider.
enum Answer<T> {
    Compared(T),
    Untold(Untold),
}

/// A provider that does not tell, and why.
#[derive(Serialize)]
struct Untold {
    provider: String,
    why: String,
}

/// `capsule cost --reconcile`: of a month that has ended, or else of the time that runs. `paid`: whether to ask those who
/// take money for an answer.
pub(super) async fn run(session: &Session, month: Option<Date>, paid: bool) -> Outcome {
    let running = month_start(session.clock.now());
    if let Some(month) = month.filter(|month| *month >= running) {
        let message = format!("{} has not ended, so there is no invoice for it.", month.strftime("%Y-%m"));
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("Without --month the running month is compared with what is charged so far.")
            .into());
    }
    let accounts = session.engine().await?.accounts().await?;
    let entries = session.chosen(&[])?;
    match month {
        Some(month) => {
            let asked = entries.into_iter().map(|entry| ask_month(session, entry, &accounts, month, paid));
            let (compared, untold, errors) = sorted(finish::interruptible(join_all(asked)).await?);
            tell(session, Some(month), &compared, &untold, &errors, print_months)?;
            session.finish(errors)
        }
        None => {
            let asked = entries.into_iter().map(|entry| ask(session, entry, &accounts, paid));
            let (compared, untold, errors) = sorted(finish::interruptible(join_all(asked)).await?);
            tell(session, None, &compared, &untold, &errors, print)?;
            session.finish(errors)
        }
    }
}

fn sorted<T>(answers: Vec<Result<Answer<T>, Error>>) -> (Vec<T>, Vec<Untold>, Vec<Error>) {
    let (mut compared, mut untold, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(Answer::Compared(comparison)) => compared.push(comparison),
            Ok(Answer::Untold(provider)) => untold.push(provider),
            Err(error) => errors.push(error),
        }
    }
    (compared, untold, errors)
}

fn tell<T: Serialize>(
    session: &Session,
    month: Option<Date>,
    compared: &[T],
    untold: &[Untold],
    errors: &[Error],
    print: impl Fn(&[T]) -> Result<(), Error>,
) -> Result<(), Error> {
    if session.json() {
        let at = session.clock.now();
        let mut body = serde_json::json!({ "at": at, "providers": compared, "untold": untold, "errors": errors });
        if let Some(month) = month {
            body["month"] = month.strftime("%Y-%m").to_string().into();
        }
        return output::json(&body);
    }
    print(compared)?;
    for Untold { provider, why } in untold {
        output::note(format!("{provider}: {why}"));
    }
    Ok(())
}

async fn ask(
    session: &Session,
    entry: &'static Entry,
    accounts: &[Account],
    paid: bool,
) -> Result<Answer<Comparison>, Error> {
    let provider = match willing(session, entry, paid).await? {
        Ok(provider) => provider,
        Err(untold) => return Ok(Answer::Untold(untold)),
    };
    let Some(statements) = provider.statements() else { return Ok(Answer::Untold(mute(entry))) };
    let statement = match told(entry, statements, statements.statement().await)? {
        Ok(statement) => statement,
        Err(untold) => return Ok(Answer::Untold(untold)),
    };
    // Only explains: without it the figures stand all the same.
    let narrowed = session.settings(entry).is_ok_and(|settings| !settings.regions.is_empty());
    let listed = if narrowed { None } else { provider.list(&Scope::All).await.ok() };
    let listed: Option<Vec<InstanceId>> = listed.map(|servers| servers.into_iter().map(|server| server.id).collect());
    let compared = compare(&entry.descriptor.id, accounts, statement, listed.as_deref());
    Ok(Answer::Compared(compared.map_err(super::cost::unsummable)?.late_by(statements.lag())))
}

async fn ask_month(
    session: &Session,
    entry: &'static Entry,
    accounts: &[Account],
    month: Date,
    paid: bool,
) -> Result<Answer<MonthComparison>, Error> {
    let provider = match willing(session, entry, paid).await? {
        Ok(provider) => provider,
        Err(untold) => return Ok(Answer::Untold(untold)),
    };
    let Some(statements) = provider.statements() else { return Ok(Answer::Untold(mute(entry))) };
    let invoiced = match told(entry, statements, statements.invoiced(month).await)? {
        Ok(invoiced) => invoiced,
        Err(untold) => return Ok(Answer::Untold(untold)),
    };
    let compared = compare_month(&entry.descriptor.id, accounts, invoiced);
    Ok(Answer::Compared(compared.map_err(super::cost::unsummable)?))
}

/// The provider, if it tells what it charges and may be asked: what that costs is said before.
async fn willing(
    session: &Session,
    entry: &'static Entry,
    paid: bool,
) -> Result<Result<Arc<dyn Provider>, Untold>, Error> {
    let descriptor = entry.descriptor;
    let failed = |error: Error| error.context(format!("{} was not asked what it charges", descriptor.name));
    let provider = session.connect(entry).await.map_err(failed)?;
    let Some(statements) = provider.statements() else { return Ok(Err(mute(entry))) };
    if let Some(fee) = statements.fee() {
        if !paid {
            let why = format!("an answer costs {fee}, so it is not asked; --paid-queries asks it.");
            return Ok(Err(untold(entry, why)));
        }
        output::note(format!("Asking {} what it charges costs {fee}.", descriptor.name));
    }
    Ok(Ok(provider))
}

/// An answer, or that the key may not have it.
fn told<T>(
    entry: &'static Entry,
    statements: &dyn Statements,
    answer: Result<T, Error>,
) -> Result<Result<T, Untold>, Error> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if error.kind() == ErrorKind::Forbidden => {
            let why = format!("the key may not see what is charged; it needs {}.", statements.needs());
            Ok(Err(untold(entry, why)))
        }
        Err(error) => Err(error.context(format!("{} does not say what it charges", entry.descriptor.name))),
    }
}

fn mute(entry: &'static Entry) -> Untold {
    untold(entry, "its API does not tell what it charges.".to_owned())
}

fn untold(entry: &'static Entry, why: String) -> Untold {
    Untold { provider: entry.descriptor.id.to_string(), why }
}

/// A table of the providers, one of the servers whose figures are not the same, and what makes up each difference.
fn print_months(compared: &[MonthComparison]) -> Result<(), Error> {
    if compared.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["PROVIDER", "MONTH", ">OURS", ">INVOICED", ">DIFFERENCE", "INVOICES"]);
    for MonthComparison { provider, ours, invoiced, difference, .. } in compared {
        table.row([
            provider.to_string(),
            invoiced.month.strftime("%Y-%m").to_string(),
            money(*ours),
            money(invoiced.total),
            money(*difference),
            if invoiced.invoices.is_empty() { "-".to_owned() } else { invoiced.invoices.join(", ") },
        ]);
    }
    table.print()?;
    let servers = compared.iter().flat_map(|of| of.servers.iter().map(move |server| (&of.provider, server)));
    let mut table = Table::new(&["PROVIDER", "SERVER", ">OURS", ">INVOICED"]);
    let mut any = false;
    for (provider, server) in servers {
        any = true;
        table.row([provider.to_string(), server.name.clone(), money(server.ours), money(server.invoiced)]);
    }
    if any {
        output::text("\n")?;
        table.print()?;
    }
    let mut text = String::new();
    for MonthComparison { provider, invoiced, gaps, .. } in compared {
        text.extend(invoiced.notes.iter().map(|note| format!("{provider}: {note}\n")));
        if invoiced.total.is_none() {
            text.push_str(&format!("{provider}: Nothing is invoiced for the month, or not yet.\n"));
        }
        text.extend(gaps.iter().map(|gap| format!("{provider}: {}.\n", explained(gap))));
    }
    output::text(&text)
}

/// How many servers or lines a sentence names.
const NAMED: usize = 5;

fn explained(gap: &Gap) -> String {
    let mut about = gap.about.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    if gap.about.len() > NAMED {
        about.push_str(&format!("; and {} more", gap.about.len() - NAMED));
    }
    format!("{} of the difference: {} ({about})", amount(gap.amount), gap.cause)
}

/// In cents, or exactly where there is no whole one.
fn amount(money: Money) -> String {
    let cents = money.round(2);
    if cents.amount().is_zero() { money.to_string() } else { format!("{cents:.2}") }
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
