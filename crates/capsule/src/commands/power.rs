use capsule_core::Power;
use capsule_engine::Wait;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::{Outcome, finish, target};
use crate::complete;
use crate::output::Progress;
use crate::session::Session;

/// Which server, and whether to wait.
#[derive(Debug, Args)]
pub struct Which {
    /// Its id, unique name, or a unique prefix of either
    #[arg(add = ArgValueCandidates::new(complete::servers))]
    pub id: String,
    /// Return once the provider has accepted
    #[arg(long)]
    pub no_wait: bool,
    /// Also a server that this installation did not make
    #[arg(long)]
    pub unmanaged: bool,
}

/// Start a server and wait until it runs
#[derive(Debug, Args)]
pub struct Start {
    #[command(flatten)]
    which: Which,
}

/// Shut a server down and wait until it is off. Most providers bill it all the same
#[derive(Debug, Args)]
pub struct Stop {
    #[command(flatten)]
    which: Which,
    /// Cut the power instead of asking the system to shut down
    #[arg(long)]
    force: bool,
}

/// Restart a server
#[derive(Debug, Args)]
pub struct Reboot {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn start(session: &Session, args: &Start) -> Outcome {
    change(session, &args.which, Power::On).await
}

pub(super) async fn stop(session: &Session, args: &Stop) -> Outcome {
    change(session, &args.which, if args.force { Power::ForceOff } else { Power::Off }).await
}

pub(super) async fn reboot(session: &Session, args: &Reboot) -> Outcome {
    change(session, &args.which, Power::Reboot).await
}

async fn change(session: &Session, which: &Which, to: Power) -> Outcome {
    let engine = session.engine().await?;
    let target = target::find(session, &engine, &which.id).await?;
    target.ours_or(which.unmanaged)?;
    let wait = if which.no_wait { Wait::None } else { Wait::Running };
    let progress = Progress::new(session.clock.clone());
    let outcome = finish::resumable(&engine, engine.power(&target.id, to, wait, &progress)).await??;
    progress.finish();
    finish::report(session, &[outcome])
}
