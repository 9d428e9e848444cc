//! From provider keys and a wallet to a fleet of provably owned, healthy xNodes.
//!
//! [`session::Session`] is the facade: settings, providers and the engine put together. The command line is a thin skin
//! over it: one file per command under [`commands`], each with its arguments and one function. [`facade::Facade`] is the same
//! for programs: calls that give values and print nothing.

pub mod cli;
pub mod commands;
pub mod complete;
pub mod facade;
pub mod failure;
pub mod nodes;
pub mod output;
pub mod own;
pub mod session;
pub mod settings;

use std::ffi::OsString;

use clap::Parser;

/// Runs one command line and gives the program's exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = complete::answer(&args) {
        return code;
    }
    let cli = match cli::Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let word = args.iter().skip(1).find_map(|arg| arg.to_str().filter(|word| !word.starts_with('-')));
            if error.kind() == clap::error::ErrorKind::InvalidSubcommand
                && let Some(error) = word.and_then(commands::openmesh::packages)
            {
                return failure::Failure::from(error).report(false);
            }
            // Help and version are asked for, not errors: they go to stdout and end well.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    output::trace(cli.global.verbose);
    output::set_format(cli.global.output);
    let json = cli.global.output == cli::Format::Json;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = capsule_core::Error::new(
                capsule_core::ErrorKind::Config,
                format!("The machine gives no runtime: {error}."),
            );
            return failure::Failure::from(error).report(json);
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(()) => 0,
        Err(failure) => failure.report(json),
    }
}
