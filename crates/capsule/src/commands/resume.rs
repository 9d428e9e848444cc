use capsule_engine::OperationId;
use clap::Args;

use super::{Outcome, finish};
use crate::output::{self, Progress};
use crate::session::Session;

/// Go on with what was interrupted
///
/// Never orders a server again without looking whether the first order took effect.
#[derive(Debug, Args)]
pub struct Resume {
    /// The operation; all that are not over if left out
    pub operation: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Resume) -> Outcome {
    // Whoever ordered from a retired provider insisted then.
    session.force_retired();
    let engine = session.engine().await?;
    let id: Option<OperationId> = args.operation.as_deref().map(str::parse).transpose()?;
    let progress = Progress::new(session.clock.clone());
    let outcomes = finish::resumable(&engine, engine.resume(id.as_ref(), &progress)).await??;
    progress.finish();
    if outcomes.is_empty() && !session.json() {
        output::note("Nothing is open.");
        return Ok(());
    }
    finish::report(session, &outcomes)
}
