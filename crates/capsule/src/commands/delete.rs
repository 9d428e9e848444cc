use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::{Outcome, confirm, finish, target};
use crate::complete;
use crate::output::Progress;
use crate::session::Session;

/// Delete servers and wait until the provider says that they are gone
///
/// Asks on a terminal; elsewhere it needs --yes. What create made beside a server goes with it.
#[derive(Debug, Args)]
#[command(visible_alias = "rm")]
pub struct Delete {
    /// Their ids, unique names, or unique prefixes of either
    #[arg(required = true, add = ArgValueCandidates::new(complete::servers))]
    pub ids: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Also servers that this installation did not make
    #[arg(long)]
    pub unmanaged: bool,
}

pub(super) async fn run(session: &Session, args: &Delete) -> Outcome {
    let engine = session.engine().await?;
    // All are found before one is deleted: a slip in the last name must not cost the first server.
    let mut targets = Vec::new();
    for text in &args.ids {
        let target = target::find(session, &engine, text).await?;
        target.ours_or(args.unmanaged)?;
        targets.push(target);
    }
    if !args.yes {
        let names: Vec<String> = targets.iter().map(|target| format!("{} ({})", target.name, target.id)).collect();
        confirm::delete(&format!("{} and all data on it", names.join(", "))).await?;
    }
    let progress = Progress::new(session.clock.clone());
    let all = futures_util::future::join_all(targets.iter().map(|target| engine.destroy(&target.id, &progress)));
    let (mut outcomes, mut errors) = (Vec::new(), Vec::new());
    for ended in finish::resumable(&engine, all).await? {
        match ended {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => errors.push(error),
        }
    }
    progress.finish();
    finish::report(session, &outcomes)?;
    session.finish(errors)
}
