//! The commands: a file each, with its arguments and the function that carries it out.
#![allow(missing_docs, reason = "the doc comments of the arguments are the help text that users read")]

pub mod adopt;
mod adopt_host;
mod ask;
pub mod budget;
pub mod cheapest;
pub mod completions;
mod confirm;
pub mod cost;
pub mod delete;
pub mod deploy;
pub mod doctor;
pub mod expire;
pub mod export;
mod finish;
pub mod health;
pub mod images;
pub mod import;
pub mod inventory;
mod known;
pub mod list;
pub mod man;
pub mod openmesh;
pub mod ops;
pub mod orphans;
pub mod plans;
pub mod power;
mod priced;
pub mod provider;
pub mod providers;
pub mod rebuild;
mod reconcile;
pub mod regions;
pub mod resume;
pub mod sandbox;
pub mod show;
pub mod ssh_config;
mod suited;
mod target;
pub mod verify;
mod wanted;
pub mod xnode;
mod xnode_args;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::session::Session;

/// What a command returns.
pub type Outcome = Result<(), Failure>;

/// Carries out what was typed.
///
/// # Errors
/// The failure with its exit code.
pub async fn run(cli: Cli) -> Outcome {
    match cli.command {
        // These need no home and no settings.
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Openmesh(args) => openmesh::run(cli.global, args.words()).await,
        Command::Nixos(args) => openmesh::run(cli.global, args.words()).await,
        Command::Xnode(args) if args.is_original() => openmesh::run(cli.global, args.words()).await,
        command => {
            let session = Session::open(cli.global)?;
            match command {
                Command::Deploy(args) => deploy::run(&session, *args).await,
                Command::List(args) => list::run(&session, &args).await,
                Command::Show(args) => show::run(&session, &args).await,
                Command::Start(args) => power::start(&session, &args).await,
                Command::Stop(args) => power::stop(&session, &args).await,
                Command::Reboot(args) => power::reboot(&session, &args).await,
                Command::Delete(args) => delete::run(&session, &args).await,
                Command::Providers(args) => providers::run(&session, &args).await,
                Command::Provider(args) => provider::run(&session, &args).await,
                Command::Plans(args) => plans::run(&session, &args).await,
                Command::Cheapest(args) => cheapest::run(&session, &args).await,
                Command::Regions(args) => regions::run(&session, &args).await,
                Command::Images(args) => images::run(&session, &args).await,
                Command::Budget(args) => budget::run(&session, &args).await,
                Command::Cost(args) => cost::run(&session, &args).await,
                Command::Expire(args) => expire::run(&session, &args).await,
                Command::Ops(args) => ops::run(&session, &args).await,
                Command::Orphans(args) => orphans::run(&session, &args).await,
                Command::Adopt(args) => adopt::run(&session, &args).await,
                Command::Rebuild(args) => rebuild::run(&session, &args).await,
                Command::Inventory(args) => inventory::run(&session, &args).await,
                Command::Import(args) => import::run(&session, &args).await,
                Command::Export(args) => export::run(&session, &args).await,
                Command::SshConfig(args) => ssh_config::run(&session, &args).await,
                Command::Resume(args) => resume::run(&session, &args).await,
                Command::Sandbox(args) => sandbox::run(&session, &args).await,
                Command::Verify(args) => verify::run(&session, &args).await,
                Command::Health(args) => health::run(&session, &args).await,
                Command::Xnode(args) => xnode::run(&session, *args).await,
                Command::Doctor(args) => doctor::run(&session, &args).await,
                Command::Completions(_) | Command::Man(_) | Command::Openmesh(_) | Command::Nixos(_) => {
                    unreachable!("carried out above")
                }
            }
        }
    }
}
