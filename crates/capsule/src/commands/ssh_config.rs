use std::fmt::Write;

use capsule_engine::Record;
use clap::Args;
use serde_json::json;

use super::Outcome;
use super::known::{self, Known, Names};
use crate::output;
use crate::session::Session;

/// Print the servers of the inventory as hosts for the SSH client
///
/// `capsule ssh-config > ~/.ssh/capsule`, and `Include capsule` at the top of ~/.ssh/config. Addresses are those last seen. The
/// user is the one that the image lets in, as far as it is known. xNodes are left out, since they have no SSH.
#[derive(Debug, Args)]
pub struct SshConfig {
    #[command(flatten)]
    pub known: Known,
    /// xNodes as well
    #[arg(long)]
    pub all: bool,
}

pub(super) async fn run(session: &Session, args: &SshConfig) -> Outcome {
    let records = args.known.records(session).await?;
    let mut names = Names::new(|c| matches!(c, '.' | '_' | '-'), '-');
    let hosts: Vec<(String, &Record)> = records.iter().map(|record| (names.next(&record.name), record)).collect();
    if session.json() {
        let rows = hosts.iter().map(|(alias, record)| {
            json!({
                "host": alias, "name": record.name, "id": record.id, "address": record.addresses.primary(),
                "user": known::login(record), "xnode": known::is_xnode(record),
            })
        });
        return Ok(output::json(&json!({ "hosts": rows.collect::<Vec<_>>() }))?);
    }
    let mut text = "# Written by `capsule ssh-config`, with addresses as last seen.\n".to_owned();
    for (alias, record) in hosts {
        push(&mut text, args.all, &alias, record).expect("a string takes all that is written");
    }
    Ok(output::text(&text)?)
}

fn push(text: &mut String, all: bool, alias: &str, record: &Record) -> std::fmt::Result {
    let Some(address) = record.addresses.primary() else {
        return writeln!(text, "\n# {alias} has no address yet.");
    };
    if known::is_xnode(record) && !all {
        return writeln!(text, "\n# {alias} is an xNode, which has no SSH.");
    }
    writeln!(text, "\n# {}\nHost {alias}\n    HostName {address}", record.id)?;
    if let Some(user) = known::login(record) {
        writeln!(text, "    User {user}")?;
    }
    Ok(())
}
