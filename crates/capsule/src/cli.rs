//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

use crate::commands;
use crate::failure::EXIT_CODES;

/// Rents servers from several clouds, each exactly once, and makes xNodes of them.
#[derive(Debug, Parser)]
#[command(name = "capsule", version, about, propagate_version = true, max_term_width = 100)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    /// Holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Use simulated clouds: no account, no network, no cost
    #[arg(long, global = true, env = "CAPSULE_SANDBOX", value_parser = clap::builder::FalseyValueParser::new())]
    pub sandbox: bool,
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Providers' keys and settings [default: HOME/providers.yml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where Capsule keeps its state [default: ~/.capsule]
    #[arg(long, global = true, env = "CAPSULE_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Where the journal is, shared by all who name it: postgres://USER@HOST/NAME [default: HOME/journal.db]
    ///
    /// $CAPSULE_DATABASE or `database:` in providers.yml hide a password from other users of this machine. The sandbox
    /// uses what is named here alone.
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<SecretString>,
    /// Say what is being done on stderr; twice for every request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs: one document with stable keys.
    Json,
    /// The same document for programs and people.
    Yaml,
    /// Its table, for spreadsheets: a row for each server, plan and so on.
    Csv,
}

/// Every command.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each is described by its arguments")]
pub enum Command {
    Deploy(Box<commands::deploy::Deploy>),
    List(commands::list::List),
    Show(commands::show::Show),
    Start(commands::power::Start),
    Stop(commands::power::Stop),
    Reboot(commands::power::Reboot),
    Delete(commands::delete::Delete),
    Providers(commands::providers::Providers),
    Provider(commands::provider::Provider),
    Plans(commands::plans::Plans),
    Cheapest(commands::cheapest::Cheapest),
    Regions(commands::regions::Regions),
    Images(commands::images::Images),
    Budget(commands::budget::Budget),
    Cost(commands::cost::Cost),
    Expire(commands::expire::Expire),
    Ops(commands::ops::Ops),
    Resume(commands::resume::Resume),
    Orphans(commands::orphans::Orphans),
    Adopt(commands::adopt::Adopt),
    Rebuild(commands::rebuild::Rebuild),
    Inventory(commands::inventory::Inventory),
    Import(commands::import::Import),
    Export(commands::export::Export),
    SshConfig(commands::ssh_config::SshConfig),
    Sandbox(commands::sandbox::Sandbox),
    Verify(commands::verify::Verify),
    Health(commands::health::Health),
    Xnode(Box<commands::xnode::Xnode>),
    Doctor(commands::doctor::Doctor),
    Completions(commands::completions::Completions),
    Man(commands::man::Man),
    Openmesh(commands::openmesh::Openmesh),
    #[command(hide = true)]
    Nixos(commands::openmesh::Nixos),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// What each command's help says of exit codes, by its name.
    fn told(command: &clap::Command, path: &str, into: &mut Vec<(String, String)>) {
        let path = format!("{path} {}", command.get_name());
        let help = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
        into.push((path.clone(), help.split_whitespace().collect::<Vec<_>>().join(" ")));
        command.get_subcommands().for_each(|command| told(command, &path, into));
    }

    #[test]
    fn no_help_tells_other_exit_codes_than_there_are() {
        let mut all = Vec::new();
        told(&Cli::command(), "", &mut all);
        let several: Vec<&str> =
            all.iter().filter(|(_, help)| help.contains("exit code is")).map(|(path, _)| path.as_str()).collect();
        assert_eq!(several, [" capsule list", " capsule orphans"]);
        for (path, help) in &all {
            let is_whole = help.contains("the exit code is 1, or 4 if credentials alone are at fault");
            assert!(is_whole || !help.contains("exit code is"), "{path}: {help}");
        }
        let readme = include_str!("../../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(readme.contains(EXIT_CODES.trim_start_matches("Exit codes: ")), "README.md tells other exit codes");
    }
}
