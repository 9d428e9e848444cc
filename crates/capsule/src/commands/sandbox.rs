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
    /// Let a host name lead to a server in the sandbox's own name service, or show where names lead to
    Name {
        /// The name, such as node.example.org
        name: Option<String>,
        /// The addresses it leads to from now on
        #[arg(requires = "name")]
        addresses: Vec<std::net::IpAddr>,
        /// It leads nowhere any more
        #[arg(long, requires = "name", conflicts_with = "addresses")]
        remove: bool,
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
        SandboxCommand::Name { name, addresses, remove } => {
            let sim = session.open_sandbox()?;
            match name {
                Some(name) if *remove || !addresses.is_empty() => Ok(sim.set_name(name, addresses)?),
                name => show_names(session, &sim, name.as_deref()),
            }
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

fn show_names(session: &Session, sim: &capsule_sim::Sim, only: Option<&str>) -> Outcome {
    let only = only.map(str::to_ascii_lowercase);
    let names = sim.look(|world| world.names.clone())?;
    let names = names.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    if session.json() {
        let rows: Vec<_> =
            names.map(|(name, at)| serde_json::json!({ "name": name, "addresses": at.addresses })).collect();
        output::json(&serde_json::json!({ "names": rows }))?;
    } else {
        let mut table = Table::new(&["NAME", "LEADS TO"]);
        for (name, at) in names {
            table.row([name, at.to_string().trim_start().to_owned()]);
        }
        table.print()?;
    }
    Ok(())
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
        let network = format!("http://{}", serving.network);
        output::json(&serde_json::json!({ "serving": rows, "network": network }))?;
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
        let network = serving.network;
        output::note(format!(
            "The servers' own ports are behind the proxy http://{network}, as in `curl -kx {network} https://ADDRESS/`."
        ));
        output::note("Serving until Ctrl-C.");
    }
    finish::interrupted().await;
    serving.stop().await;
    Ok(())
}
