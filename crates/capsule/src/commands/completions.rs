use capsule_core::{Error, ErrorKind, nearest};
use clap::Args;
use clap_complete::env::Shells;

use super::Outcome;
use crate::complete::VARIABLE;

/// Print a completion script for a shell
///
/// For bash: `capsule completions bash > ~/.local/share/bash-completion/completions/capsule`. It completes commands and flags,
/// and the names and ids of your servers as they stand in the journal's file; nothing is sent.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_parser = Shells::builtins().names().collect::<Vec<_>>())]
    pub shell: String,
}

pub(super) fn run(args: &Completions) -> Outcome {
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("There is no script for `{}`.", args.shell))
            .with_hint(nearest::hint(&args.shell, shells.names()))
    })?;
    let mut script = Vec::new();
    // By its name, so that the script outlives a move of the program.
    shell
        .write_registration(VARIABLE, "capsule", "capsule", "capsule", &mut script)
        .map_err(|error| Error::new(ErrorKind::Config, format!("The script cannot be written: {error}.")))?;
    Ok(crate::output::text(&String::from_utf8_lossy(&script))?)
}
