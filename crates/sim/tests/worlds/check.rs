//! The property, rule by rule.

use std::collections::{BTreeMap, BTreeSet};

use capsule_core::{ErrorKind, InstanceId, Result};
use capsule_engine::event::{Event, Intent};
use capsule_engine::state::{Phase, State};
use capsule_engine::{Engine, Finish, OperationFilter, Outcome};
use capsule_sim::Birth;
use jiff::Timestamp;

use crate::world::{OWNER, World};

/// What a process that lived to its end was told.
pub(crate) fn told(process: usize, outcomes: &Result<Vec<Outcome>>) -> Vec<String> {
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(error) if error.kind() == ErrorKind::Store => return vec![format!("p{process}: {error}")],
        Err(_) => return vec![],
    };
    let mut violations = Vec::new();
    for outcome in outcomes {
        match &outcome.finish {
            // Its lease never ran out: leases are renewed while it lives.
            Finish::StillRunning { why } if why.contains("taken over") => {
                violations.push(format!("p{process} lives, and another one took its operation {}.", outcome.operation));
            }
            Finish::Failed(error) if error.message().trim().is_empty() => {
                violations.push(format!("`{}` failed for no reason.", outcome.name));
            }
            _ => {}
        }
    }
    violations
}

/// How many operations are not over.
pub(crate) async fn open(engine: &Engine) -> usize {
    engine.operations(&OperationFilter { open: true, ..Default::default() }).await.unwrap().len()
}

/// What is wrong in a world where everything was resumed to its end.
pub(crate) async fn property(world: &World<'_>, engine: &Engine, neighbour: &InstanceId) -> Vec<String> {
    let mut violations = Vec::new();
    let ledger = world.sim.ledger().unwrap();
    let machines: Vec<&Birth> = ledger.births.iter().filter(|birth| birth.kind == "machine").collect();
    let ours: Vec<&&Birth> = machines.iter().filter(|birth| birth.mentions(OWNER)).collect();
    let lives = |birth: &Birth| birth.gone_at.is_none_or(|gone| ledger.at < gone);
    let living: BTreeMap<&str, &Birth> = ours.iter().filter(|b| lives(b)).map(|b| (b.id.as_str(), **b)).collect();
    let records = engine.inventory().await.unwrap();
    let recorded: BTreeSet<&str> = records.iter().map(|record| record.id.native.as_str()).collect();

    for birth in living.values().filter(|birth| !recorded.contains(birth.id.as_str())) {
        violations.push(format!("{} {} `{}` lives and is not in the journal.", birth.provider, birth.id, birth.name));
    }
    if !machines.iter().any(|birth| birth.id == neighbour.native && lives(birth)) {
        violations.push(format!("{neighbour} is somebody else's and was deleted."));
    }

    for operation in engine.operations(&OperationFilter::default()).await.unwrap() {
        let id = operation.id.clone();
        if operation.is_open() {
            violations.push(format!("Operation {id} is still {}.", operation.stage));
        }
        let events = engine.operation(&id).await.unwrap().events;
        let state = match State::fold(&events) {
            Ok(state) => state,
            Err(error) => {
                violations.push(format!("Operation {id} cannot be read: {error}"));
                continue;
            }
        };
        match &state.intent {
            Intent::Deploy(deploy) => {
                let tokens: BTreeSet<String> = (events.iter())
                    .filter_map(|entry| match &entry.event {
                        Event::CreateSent { token, .. } => Some(token.to_string()),
                        _ => None,
                    })
                    .collect();
                let made: Vec<&Birth> =
                    ours.iter().map(|b| **b).filter(|b| tokens.iter().any(|token| b.mentions(token))).collect();
                let at_once = most_at_once(&made);
                if at_once > deploy.names.len() {
                    violations.push(format!(
                        "Operation {id} wanted {} servers and had {at_once} at one time.",
                        deploy.names.len()
                    ));
                }
                let wanted = state.members.iter().filter(|m| matches!(m.phase, Phase::Ready | Phase::Kept(_)));
                let wanted: BTreeSet<&str> = wanted.filter_map(|m| m.id()).map(|id| id.native.as_str()).collect();
                for birth in made.iter().filter(|birth| lives(birth) && !wanted.contains(birth.id.as_str())) {
                    violations.push(format!("Operation {id} is over and left {} `{}` behind.", birth.id, birth.name));
                }
                for member in &state.members {
                    let (Some(placement), Some(server)) = (state.placement_of(member), member.id()) else { continue };
                    let quoted =
                        world.placements(placement.provider.as_str()).iter().find(|p| p.plan == placement.plan);
                    let Some(record) = records.iter().find(|record| record.id == *server) else { continue };
                    if quoted.is_none_or(|quoted| quoted.price != record.price || quoted.plan != record.plan) {
                        violations.push(format!("{server} was quoted as {quoted:?} and is recorded as {record:?}."));
                    }
                }
            }
            Intent::Destroy { server } => {
                let gone = machines.iter().find(|b| b.id == server.id.native && b.provider == server.id.provider);
                let is_gone = gone.is_none_or(|birth| birth.gone_at.is_some_and(|at| at <= operation.updated_at));
                if matches!(state.members[0].phase, Phase::Gone(_)) && !is_gone {
                    violations.push(format!("Operation {id} says that {} is gone, and it was not.", server.id));
                }
            }
            _ => {}
        }
    }
    violations
}

/// How many of them lived at one time.
fn most_at_once(births: &[&Birth]) -> usize {
    let lives = |birth: &Birth, at: Timestamp| birth.born_at <= at && birth.gone_at.is_none_or(|gone| at < gone);
    births.iter().map(|birth| births.iter().filter(|other| lives(other, birth.born_at)).count()).max().unwrap_or(0)
}

/// All that the journal says, and all that was ever made.
pub(crate) async fn record(world: &World<'_>, engine: &Engine) -> String {
    let mut lines = Vec::new();
    for operation in engine.operations(&OperationFilter::default()).await.unwrap() {
        for entry in engine.operation(&operation.id).await.unwrap().events {
            lines.push(format!("{} {}", operation.id, entry.to_line()));
        }
    }
    let ledger = world.sim.ledger().unwrap();
    lines.extend(ledger.births.iter().map(|birth| format!("{birth:?}")));
    lines.extend(ledger.requests.iter().map(|(what, count)| format!("{count} {what}")));
    lines.join("\n")
}
