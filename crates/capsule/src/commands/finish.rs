//! How commands end that the engine carries out.

use std::future::Future;

use capsule_core::{Error, ErrorKind};
use capsule_engine::{Engine, Finish, Outcome as Operated};

use super::Outcome;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// Runs until it is done or the user presses Ctrl-C.
pub(super) async fn interruptible<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        // What asks the user hears of Ctrl-C first, and knows what that means there.
        biased;
        done = work => Ok(done),
        () = interrupted() => {
            let error = Error::new(ErrorKind::Timeout, "Interrupted. Nothing is lost: what was begun is in the journal.")
                .with_hint("`capsule resume` goes on; `capsule ops --open` shows what is open.");
            Err(Failure::with_code(error, 3))
        }
    }
}

/// The same with what the engine carries out: what was begun is given back at once, so that `resume` need not wait to see
/// whether this process still works on it.
pub(super) async fn resumable<T>(engine: &Engine, work: impl Future<Output = T>) -> Result<T, Failure> {
    let interrupted = match interruptible(work).await {
        Ok(done) => return Ok(done),
        Err(interrupted) => interrupted,
    };
    // Other processes may keep the journal busy; who presses Ctrl-C twice waits for none of them.
    let begun = tokio::select! {
        begun = engine.let_go() => begun.unwrap_or_default(),
        () = self::interrupted() => Vec::new(),
    };
    let [one] = &begun[..] else { return Err(interrupted) };
    let error = Error::new(ErrorKind::Timeout, "Interrupted. Nothing is lost: what was begun is in the journal.")
        .with_hint(format!("`capsule resume {one}` goes on; `capsule ops show {one}` tells how far it is."));
    Err(Failure::with_code(error, 3))
}

/// Returns when the user presses Ctrl-C.
pub(super) async fn interrupted() {
    // Without the signal there is nothing to wait for.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Prints what became of each server and ends with the right exit code.
pub(super) fn report(session: &Session, outcomes: &[Operated]) -> Outcome {
    if session.json() {
        output::json(&serde_json::json!({ "outcomes": outcomes }))?;
    } else {
        print(outcomes)?;
        print_stages(outcomes)?;
    }
    judge(outcomes, Vec::new())
}

/// The right exit code for what became of servers, and for what failed beside it.
pub(super) fn judge(outcomes: &[Operated], errors: Vec<Error>) -> Outcome {
    let failed = outcomes.iter().filter_map(|outcome| match &outcome.finish {
        Finish::Failed(error) if outcomes.len() > 1 => Some(error.clone().context(&outcome.name)),
        Finish::Failed(error) => Some(error.clone()),
        _ => None,
    });
    let errors: Vec<Error> = errors.into_iter().chain(failed).collect();
    if !errors.is_empty() {
        return Err(Failure::several(errors));
    }
    let mut open: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| matches!(outcome.finish, Finish::StillRunning { .. }))
        .map(|outcome| outcome.operation.as_str())
        .collect();
    open.dedup();
    match open[..] {
        [] => Ok(()),
        [one] => {
            let why = outcomes.iter().find_map(|outcome| match &outcome.finish {
                Finish::StillRunning { why } => Some(why.clone()),
                _ => None,
            });
            Err(Failure::with_code(
                Error::new(ErrorKind::Timeout, why.unwrap_or_default())
                    .with_hint(format!("`capsule resume {one}` goes on.")),
                3,
            ))
        }
        _ => Err(Failure::with_code(
            Error::new(ErrorKind::Timeout, format!("{} operations are not over.", open.len()))
                .with_hint("`capsule resume` goes on with all of them."),
            3,
        )),
    }
}

/// When each server passed which stage, where it was watched.
fn print_stages(outcomes: &[Operated]) -> Result<(), Error> {
    /// More servers than this have their stages in JSON alone.
    const SHOWN: usize = 5;
    for outcome in outcomes.iter().filter(|outcome| !outcome.stages.is_empty()).take(SHOWN) {
        let mut table = Table::new(&["STAGE", "AT", ">AFTER"]);
        let start = outcome.stages[0].at;
        for passed in &outcome.stages {
            table.row([
                passed.stage.replace('_', " "),
                passed.at.strftime("%F %T").to_string(),
                output::duration(passed.at.duration_since(start)),
            ]);
        }
        output::text(&if outcomes.len() > 1 { format!("\n{}\n", outcome.name) } else { "\n".to_owned() })?;
        table.print()?;
    }
    Ok(())
}

pub(super) fn print(outcomes: &[Operated]) -> Result<(), Error> {
    let mut table = Table::new(&["NAME", "RESULT", "ADDRESS", "PLAN", ">PER HOUR", "ID"]);
    for outcome in outcomes {
        let record = outcome.record.as_ref();
        let price = record
            .and_then(|record| record.price.as_ref())
            .or(outcome.placement.as_ref().and_then(|placement| placement.price.as_ref()));
        table.row([
            outcome.name.clone(),
            match &outcome.finish {
                Finish::Done => record.map_or_else(
                    || "done".to_owned(),
                    |record| if record.gone_at.is_some() { "gone".to_owned() } else { record.status.to_string() },
                ),
                Finish::Failed(_) => "failed".to_owned(),
                Finish::StillRunning { .. } => "not over".to_owned(),
            },
            record.and_then(|record| record.addresses.primary()).map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
            record
                .map(|record| record.plan.clone())
                .or(outcome.placement.as_ref().map(|placement| placement.plan.clone()))
                .unwrap_or_default(),
            output::hourly(price),
            outcome.id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        ]);
    }
    table.print()
}
