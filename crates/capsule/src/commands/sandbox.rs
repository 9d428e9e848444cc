use capsule_core::{Error, ErrorKind};
use clap::{Args, Subcommand};

use super::{Outcome, finish};
use crate::output::{self, Table};
use crate::session::Session;

/// Simulated clouds: serve them to other programs, or start afresh
///
/// With --sandbox every command works on simulated clouds whose state lies in a file below the home. `sandbox serve` speaks
/// the same clouds' APIs over TCP on this machine, a port for each provider.
#[derive(Debug, Args)]
pub struct Sandbox {
    #[command(subcommand)]
    command: SandboxCommand,
}

#[derive(Debug, Subcommand)]
enum SandboxCommand {
    /// Serve the clouds' APIs on this machine until Ctrl-C
    Serve {
        /// The first provider's port; the others follow. 0 takes free ones
        #[arg(long, default_value_t = 8700)]
        port: u16,
        /// Keep the world in memory instead of in the sandbox's file
        #[arg(long)]
        memory: bool,
        /// How much faster than real clouds it works
        #[arg(long, default_value_t = crate::session::SANDBOX_SPEED)]
        speed: u32,
        /// Something that goes wrong, such as digitalocean:droplets.create:lose-reply@1 (may be repeated)
        #[arg(long, value_name = "FAULT")]
        fault: Vec<String>,
    },
    /// Let something go wrong in the sandbox's file, such as digitalocean:droplets.create:lose-reply@1
    Fault {
        /// The faults
        #[arg(required = true)]
        faults: Vec<String>,
    },
    /// Forget the simulated clouds and what was done there
    Reset,
}

pub(super) async fn run(session: &Session, args: &Sandbox) -> Outcome {
    match &args.command {
        SandboxCommand::Serve { port, memory, speed, fault } => serve(session, *port, *memory, *speed, fault).await,
        SandboxCommand::Fault { faults } => {
            let sim = session.open_sandbox()?;
            for fault in faults {
                sim.inject(fault.parse()?)?;
            }
            Ok(())
        }
        SandboxCommand::Reset => {
            let home = session.sandbox_home();
            match std::fs::remove_dir_all(home.path()) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Error::new(
                        ErrorKind::Config,
                        format!("{} cannot be removed: {error}.", home.path().display()),
                    )
                    .into());
                }
            }
            output::note("The sandbox is empty again.");
            Ok(())
        }
    }
}

async fn serve(session: &Session, port: u16, memory: bool, speed: u32, faults: &[String]) -> Outcome {
    let options = capsule_sim::Options { speed, ..Default::default() };
    let sim = if memory {
        capsule_sim::Sim::in_memory(session.clock.clone(), options)
    } else {
        session.open_sandbox_with(options)?
    };
    for fault in faults {
        sim.inject(fault.parse()?)?;
    }
    let serving = sim.serve(port).await?;
    if session.json() {
        let rows: Vec<_> = serving
            .addresses
            .iter()
            .map(|(provider, addr)| serde_json::json!({ "provider": provider, "url": format!("http://{addr}") }))
            .collect();
        output::json(&serde_json::json!({ "serving": rows }))?;
    } else {
        let mut table = Table::new(&["PROVIDER", "URL", "SET"]);
        for (provider, addr) in &serving.addresses {
            let path = capsule_providers::find(provider.as_str())
                .ok()
                .and_then(|entry| url::Url::parse(&entry.descriptor.endpoint.replace("{region}", "region")).ok())
                .map(|url| url.path().trim_end_matches('/').to_owned())
                .unwrap_or_default();
            table.row([
                provider.to_string(),
                format!("http://{addr}"),
                format!("CAPSULE_{}_ENDPOINT=http://{addr}{path}", provider.as_str().to_uppercase()),
            ]);
        }
        table.print()?;
        output::note("Serving until Ctrl-C.");
    }
    let _ = finish::interruptible(std::future::pending::<()>()).await;
    serving.stop().await;
    Ok(())
}
