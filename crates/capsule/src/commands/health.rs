use std::time::Duration;

use capsule_core::{Error, ErrorKind};
use capsule_xnode::{Health as State, Probe, Usage, Watcher, ends_soon};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::verify::{check_all, nodes, refuse_own_outage};
use super::{Outcome, finish};
use crate::complete;
use crate::failure::Failure;
use crate::nodes::{Checked, Node};
use crate::output::{self, Table};
use crate::session::Session;

/// Tell how xNodes are: reachable, claimed, certificate, and how busy
///
/// One look that fails does not make a node down, and when this machine itself is offline, that is said instead. Processors,
/// memory and disks are told by the node to its owner alone: log in with `capsule xnode login`.
#[derive(Debug, Args)]
pub struct Health {
    /// The xNode: its id, unique name or unique prefix
    #[arg(required_unless_present = "all", conflicts_with = "all", add = ArgValueCandidates::new(complete::servers))]
    pub node: Option<String>,
    /// All xNodes of the inventory
    #[arg(long)]
    pub all: bool,
    /// Look again and again until Ctrl-C; JSON is then a document a line
    #[arg(long)]
    pub watch: bool,
    /// How long to wait between two rounds of looks
    #[arg(long, value_name = "TIME", value_parser = super::deploy::duration, default_value = "1m", requires = "watch")]
    pub interval: Duration,
    /// So many rounds, then stop
    #[arg(long, value_name = "N", requires = "watch")]
    pub rounds: Option<u32>,
}

pub(super) async fn run(session: &Session, args: &Health) -> Outcome {
    let engine = session.engine().await?;
    let nodes = nodes(session, &engine, args.node.as_deref()).await?;
    let checker = session.checker()?;
    if !args.watch {
        let checks = finish::interruptible(check_all(session, &checker, &nodes)).await??;
        return show(session, &nodes, &checks);
    }
    let mut watchers: Vec<Watcher> = nodes.iter().map(|_| Watcher::new()).collect();
    let mut last = Ok(());
    for round in 1.. {
        let looks = nodes.iter().zip(&mut watchers).map(|(node, watcher)| {
            let mut tried = watcher.clone();
            let checker = &checker;
            async move { (checker.look(node, &mut tried).await, tried) }
        });
        let looks = finish::interruptible(join_all(looks)).await?;
        let (checks, tried): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
        // What an outage of this machine made look bad does not count.
        match refuse_own_outage(session, &checker, &nodes, checks.iter().filter_map(|check| check.as_ref().ok())).await
        {
            Ok(()) => {
                watchers = tried;
                last = show(session, &nodes, &checks);
            }
            Err(error) => output::note(crate::failure::text(&error)),
        }
        if args.rounds.is_some_and(|rounds| round >= rounds) {
            break;
        }
        if !session.json() {
            output::text("\n")?;
        }
        finish::interruptible(session.clock.sleep(args.interval / session.pace())).await?;
    }
    last
}

fn show(session: &Session, nodes: &[Node], checks: &[Result<Checked, Error>]) -> Outcome {
    let now = session.clock.now();
    let mut table = Table::new(&["NAME", "HEALTH", "CLAIMED", "CERTIFICATE", ">CPU", ">MEMORY", ">DISK", "ADDRESS"]);
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for (node, checked) in nodes.iter().zip(checks) {
        let name = &node.record.name;
        let health = checked.as_ref().map_or(State::Unknown, |checked| checked.health);
        let error = match checked {
            Ok(checked) => trouble(name, checked),
            Err(error) => Some(error.clone()),
        };
        let checked = checked.as_ref().ok();
        let certificate = checked.and_then(|checked| checked.certificate.as_ref());
        let usage = checked.and_then(|checked| checked.usage.as_ref());
        let (cpu, memory, disk) = match usage {
            Some(Ok(usage)) => busy(usage),
            _ => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        let claimed = claimed(checked);
        table.row([
            name.clone(),
            health.to_string(),
            claimed.map_or("?", |claimed| if claimed { "yes" } else { "NO" }).to_owned(),
            certificate.map_or_else(|| "-".to_owned(), |held| left(held.not_after, now)),
            cpu,
            memory,
            disk,
            node.record.addresses.primary().map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
        ]);
        if let Some(certificate) = certificate.filter(|held| health == State::Up && ends_soon(held, now)) {
            output::note(format!("warning: the certificate of `{name}` ends at {}.", certificate.not_after));
        }
        if let Some(Err(error)) = usage {
            output::note(format!("warning: `{name}`: {error}"));
        }
        rows.push(json!({
            "name": name, "id": node.record.id, "address": node.record.addresses.primary(), "health": health,
            "claimed": claimed, "certificate": certificate, "known": checked.and_then(|checked| checked.known),
            "usage": usage.and_then(|usage| usage.as_ref().ok()), "error": error,
        }));
        errors.extend(error.filter(|_| matches!(health, State::Down | State::Alarm | State::Unknown)));
    }
    if session.json() {
        output::json(&json!({ "at": now, "nodes": Value::Array(rows) }))?;
    } else {
        table.print()?;
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure { errors, code: 1 }) }
}

fn claimed(checked: Option<&Checked>) -> Option<bool> {
    match &checked?.probe {
        Probe::Good(_) => Some(true),
        Probe::Unclaimed(_) => Some(false),
        _ => None,
    }
}

fn trouble(name: &str, checked: &Checked) -> Option<Error> {
    match &checked.probe {
        Probe::Good(_) => None,
        Probe::Alarm(error) | Probe::Unclaimed(error) => Some(error.clone()),
        Probe::Bad(why) => Some(
            Error::new(ErrorKind::Unavailable, format!("`{name}` is {}: {why}.", checked.health))
                .with_hint("See the provider's console; `capsule show` tells what the provider says."),
        ),
        Probe::Offline => Some(capsule_xnode::own_outage()),
    }
}

fn left(until: Timestamp, now: Timestamp) -> String {
    if until <= now { "expired".to_owned() } else { format!("{} left", output::duration(until.duration_since(now))) }
}

/// Percent of all cores, of memory, and of the fullest disk.
fn busy(usage: &Usage) -> (String, String, String) {
    let cores = usage.cpu.len().max(1);
    let cpu = usage.cpu.iter().map(|core| core.used).sum::<f64>() / cores as f64;
    let share = |used: u64, total: u64| used.saturating_mul(100).checked_div(total);
    let percent = |share: Option<u64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share}%"));
    let disk = usage.disk.iter().filter_map(|disk| share(disk.used, disk.total)).max();
    (format!("{cpu:.0}%"), percent(share(usage.memory.used, usage.memory.total)), percent(disk))
}
