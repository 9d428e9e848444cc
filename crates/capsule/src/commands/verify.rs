use capsule_core::{Error, ErrorKind};
use capsule_engine::Engine;
use capsule_xnode::{Probe, is_own_outage, own_outage};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use futures_util::future::join_all;

use super::deploy::FailedServer;
use super::{Outcome, finish};
use crate::complete;
use crate::failure::Failure;
use crate::nodes::{Checked, Checker, Goal, Known, Node};
use crate::output::{self, Progress, Table};
use crate::session::Session;

/// Prove that xNodes are themselves and not open to anyone
///
/// Each is asked, as a stranger, for what is nobody else's business: a claimed one sends strangers to its login. One without a
/// domain is known by its key, pinned at the first look; one with a domain by its certificate. A node that obeys anyone, or
/// shows another key than before, is an alarm: exit 1.
#[derive(Debug, Args)]
pub struct Verify {
    /// The xNode: its id, unique name or unique prefix
    #[arg(required_unless_present = "all", conflicts_with = "all", add = ArgValueCandidates::new(complete::servers))]
    pub node: Option<String>,
    /// All xNodes of the inventory
    #[arg(long)]
    pub all: bool,
    /// What becomes of one that obeys anyone; `delete` ends it and what is on it
    #[arg(long, value_enum, default_value_t = FailedServer::Keep)]
    pub on_unclaimed: FailedServer,
    /// Take the key that it shows now: it was installed anew
    #[arg(long, conflicts_with = "all")]
    pub trust_new: bool,
}

pub(super) async fn run(session: &Session, args: &Verify) -> Outcome {
    let engine = session.engine().await?;
    let nodes = nodes(session, &engine, args.node.as_deref()).await?;
    let checker = session.checker()?;
    if args.trust_new {
        for node in &nodes {
            checker.pins.forget(&node.record.id)?;
        }
    }
    let checks = finish::interruptible(check_all(session, &checker, &nodes)).await??;
    let (mut errors, mut unclaimed) = (Vec::new(), Vec::new());
    let mut table = Table::new(&["NAME", "CLAIMED", "KNOWN BY", "OWNER", "CERTIFICATE UNTIL", "ADDRESS"]);
    let mut rows = Vec::new();
    for (node, checked) in nodes.iter().zip(checks) {
        let name = &node.record.name;
        let (verdict, error) = match &checked {
            Ok(checked) => verdict(name, node, checked),
            Err(error) => ("unknown", Some(error.clone())),
        };
        let checked = checked.ok();
        if matches!(&checked, Some(Checked { probe: Probe::Unclaimed(_), .. })) {
            unclaimed.push(node);
        }
        let certificate = checked.as_ref().and_then(|checked| checked.certificate.as_ref());
        let known = checked.as_ref().and_then(|checked| checked.known);
        let owned = checked.as_ref().is_some_and(|checked| matches!(checked.usage, Some(Ok(_))));
        table.row([
            name.clone(),
            verdict.to_owned(),
            known.map_or("-", Known::as_str).to_owned(),
            if owned { "proven".to_owned() } else { "not logged in".to_owned() },
            certificate.map_or_else(|| "-".to_owned(), |held| held.not_after.strftime("%F").to_string()),
            node.record.addresses.primary().map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
        ]);
        rows.push(serde_json::json!({
            "name": name, "id": node.record.id, "address": node.record.addresses.primary(),
            "domain": node.goal.domain, "owner": node.goal.owner, "claimed": verdict, "known": known,
            "owner_proven": owned, "certificate": certificate, "error": error,
        }));
        errors.extend(error);
    }
    if session.json() {
        output::json(&serde_json::json!({ "nodes": rows }))?;
    } else {
        table.print()?;
    }
    if args.on_unclaimed == FailedServer::Delete {
        for node in unclaimed {
            output::note(format!("Deleting `{}`, which obeys anyone.", node.record.name));
            let progress = Progress::new(session.clock.clone());
            let outcome = finish::resumable(&engine, engine.destroy(&node.record.id, &progress)).await??;
            progress.finish();
            if let capsule_engine::Finish::Failed(error) = outcome.finish {
                errors.push(error);
            }
        }
    }
    // An alarm is one, whatever else it looks like.
    if errors.is_empty() { Ok(()) } else { Err(Failure { errors, code: 1 }) }
}

/// Whether it is claimed, in a word, and what is wrong.
fn verdict(name: &str, node: &Node, checked: &Checked) -> (&'static str, Option<Error>) {
    let domain_trouble = || {
        let (domain, why) = (node.goal.domain.as_ref()?, checked.domain_trouble.as_ref()?);
        let message = format!("`{name}` has no good certificate for {domain}: {why}.");
        Some(
            Error::new(ErrorKind::Unavailable, message)
                .with_hint(format!("`capsule xnode domain {name} {domain}` waits for its record and its certificate.")),
        )
    };
    match &checked.probe {
        Probe::Good(_) => match &checked.usage {
            Some(Err(error)) if error.kind() == ErrorKind::Unauthenticated => {
                ("by another", Some(error.clone().context(format!("`{name}`"))))
            }
            _ => ("yes", domain_trouble()),
        },
        Probe::Unclaimed(error) => ("NO", Some(error.clone())),
        Probe::Alarm(error) => ("unknown", Some(error.clone())),
        Probe::Bad(why) => {
            let message = format!("`{name}` could not be verified: {why}.");
            let hint = "Nothing is known about who owns it until it answers. `capsule health` goes on looking.";
            ("unknown", Some(Error::new(ErrorKind::Unavailable, message).with_hint(hint)))
        }
        Probe::Offline => ("unknown", Some(own_outage())),
    }
}

/// The xNodes that are meant: one, or all.
///
/// # Errors
/// [`ErrorKind::NotFound`] where there is none.
pub(super) async fn nodes(session: &Session, engine: &Engine, which: Option<&str>) -> Result<Vec<Node>, Error> {
    let none = |message: String| {
        Error::new(ErrorKind::NotFound, message)
            .with_hint("Deploy one with --owner, or take an existing one in with `capsule adopt HOST`.")
    };
    let Some(which) = which else {
        let records = engine.inventory().await?;
        let nodes: Vec<Node> =
            records.into_iter().filter_map(|record| Some(Node { goal: Goal::of(&record)?, record })).collect();
        return if nodes.is_empty() { Err(none("There is no xNode in the inventory.".to_owned())) } else { Ok(nodes) };
    };
    let target = super::target::find(session, engine, which).await?;
    let node = target.record.and_then(|record| Some(Node { goal: Goal::of(&record)?, record }));
    Ok(vec![node.ok_or_else(|| none(format!("`{}` was not made as an xNode.", target.name)))?])
}

/// Checks each, all at once; tells an outage of this machine from theirs.
pub(super) async fn check_all(
    session: &Session,
    checker: &Checker,
    nodes: &[Node],
) -> Result<Vec<Result<Checked, Error>>, Error> {
    let checks = join_all(nodes.iter().map(|node| checker.check(node))).await;
    refuse_own_outage(session, checker, nodes, checks.iter().filter_map(|check| check.as_ref().ok())).await?;
    Ok(checks)
}

/// # Errors
/// That this machine is cut off, where that is so: then nothing is concluded about the nodes.
pub(super) async fn refuse_own_outage<'a>(
    session: &Session,
    checker: &Checker,
    nodes: &[Node],
    checks: impl Iterator<Item = &'a Checked>,
) -> Result<(), Error> {
    let probes: Vec<Probe> = checks.map(|check| check.probe.clone()).collect();
    // Asked for only when it matters: no node answered at all.
    if !is_own_outage(&probes, &[false]) {
        return Ok(());
    }
    let anchors = session.anchors(nodes, &checker.outside).await;
    if is_own_outage(&probes, &anchors) { Err(own_outage()) } else { Ok(()) }
}
