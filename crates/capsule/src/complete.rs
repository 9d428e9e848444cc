//! What the shell offers at TAB: names out of the journal's file and the registry. Nothing is sent, and nothing is said.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::CommandFactory;
use clap::builder::TypedValueParser;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::CompleteEnv;

use crate::cli::Cli;
use crate::settings::Home;

/// The variable by which the shell's script asks.
pub const VARIABLE: &str = "CAPSULE_COMPLETE";

/// Answers the shell, if it is the shell that asks; `None` for a run of the program.
pub fn answer(args: &[OsString]) -> Option<u8> {
    std::env::var_os(VARIABLE)?;
    let here = std::env::current_dir().ok();
    let engine = CompleteEnv::with_factory(Cli::command).var(VARIABLE).bin("capsule");
    match engine.try_complete(args.iter().cloned(), here.as_deref()) {
        Ok(true) => Some(0),
        Ok(false) => None,
        Err(_) => Some(1),
    }
}

/// The living servers, by name and by id.
pub fn servers() -> Vec<CompletionCandidate> {
    let named = |(name, id): (String, String)| {
        [CompletionCandidate::new(name).help(Some(id.clone().into())), CompletionCandidate::new(id)]
    };
    known().unwrap_or_default().into_iter().flat_map(named).collect()
}

/// The providers.
pub fn providers() -> Vec<CompletionCandidate> {
    let entries = capsule_providers::all().iter();
    entries
        .map(|entry| {
            let descriptor = entry.descriptor;
            CompletionCandidate::new(descriptor.id.as_str()).help(Some(descriptor.name.into()))
        })
        .collect()
}

/// The names in the journal's file that the words before the cursor and the environment lead to. One in PostgreSQL is not
/// asked.
fn known() -> Option<Vec<(String, String)>> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<String> = words.into_iter().filter_map(|word| word.into_string().ok()).collect();
    let typed = |flag: &str| {
        let after = words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1).cloned());
        after.or_else(|| words.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('=').map(str::to_owned)))
    };
    let home = typed("--home").map(PathBuf::from).or_else(|| std::env::var_os("CAPSULE_HOME").map(PathBuf::from));
    let home = Home::locate(home.as_deref()).ok()?;
    let home = if words.iter().any(|word| word == "--sandbox") || is_sandbox() { home.sandbox() } else { home };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(capsule_engine::names(&home.join("journal.db"))).ok()
}

fn is_sandbox() -> bool {
    let set = std::env::var_os("CAPSULE_SANDBOX");
    let falsey = clap::builder::FalseyValueParser::new();
    set.is_some_and(|value| falsey.parse_ref(&Cli::command(), None, &value).unwrap_or(false))
}
