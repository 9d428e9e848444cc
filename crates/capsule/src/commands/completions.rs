use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Outcome;
use crate::cli::Cli;

/// Print a completion script for a shell
///
/// For bash: `capsule completions bash > ~/.local/share/bash-completion/completions/capsule`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

pub(super) fn run(args: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "capsule", &mut script);
    Ok(crate::output::text(&String::from_utf8_lossy(&script))?)
}
