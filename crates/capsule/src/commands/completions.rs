use capsule_core::{Error, ErrorKind, nearest};
use clap::Args;
use clap_complete::env::Shells;

use super::Outcome;
use crate::complete::VARIABLE;

/// Print a completion script for a shell
///
/// For bash: `capsule completions bash > ~/.local/share/bash-completion/completions/capsule`. For fish: `capsule completions
/// fish > ~/.config/fish/completions/capsule.fish`. For zsh: as `_capsule` in a folder of $fpath. It completes commands and
/// flags, and the names and ids of your servers as they stand in the journal's file; nothing is sent.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_parser = Shells::builtins().names().collect::<Vec<_>>())]
    pub shell: String,
}

/// zsh loads a file of $fpath as the body of a function, at the first TAB: that one is to be answered as well.
const ZSH_AT_FIRST: &str = r#"
if [[ "$funcstack[1]" == _capsule ]]; then
    _clap_dynamic_completer_capsule "$@"
fi
"#;

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
    if args.shell == "zsh" {
        script.extend_from_slice(ZSH_AT_FIRST.as_bytes());
    }
    Ok(crate::output::text(&String::from_utf8_lossy(&script))?)
}
