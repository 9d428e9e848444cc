//! The property, rule by rule.

use std::collections::BTreeSet;

use capsule_core::{ErrorKind, InstanceId, MadeFor, Result};
use capsule_engine::event::{Entry, Event, Intent};
use capsule_engine::state::{Phase, State};
use capsule_engine::{Engine, Finish, Operation, OperationFilter, Outcome, Record, Survey};
use capsule_sim::{Birth, Ledger};
use jiff::{SignedDuration, Timestamp};

use crate::plan::{Becomes, Prospects};
use crate::world::{NEIGHBOUR, OWNER, World};

/// What a process was told of orphans at one provider.
pub(crate) struct Finding {
    process: usize,
    /// Against which of the world's journals.
    journal: usize,
    /// When the look began, and when its outcome was told.
    at: Timestamp,
    told: Timestamp,
    pub(crate) orphans: Vec<InstanceId>,
    gone: Vec<InstanceId>,
    /// What was left over, and by which token it was made.
    leftovers: Vec<(InstanceId, MadeFor)>,
}

impl Finding {
    pub(crate) fn of(survey: &Survey, process: usize, journal: usize, told: Timestamp) -> Self {
        let leftovers = survey.leftovers.iter().flatten();
        Finding {
            process,
            journal,
            at: survey.at,
            told,
            orphans: survey.orphans.iter().map(|orphan| orphan.id.clone()).collect(),
            gone: survey.gone.iter().map(|record| record.id.clone()).collect(),
            leftovers: leftovers.map(|left| (left.id.clone(), left.made_for.clone())).collect(),
        }
    }
}

/// What is wrong with a finding by the providers' own books.
pub(crate) fn finding(finding: &Finding, ledger: &Ledger) -> Vec<String> {
    let Finding { process, at, told, .. } = finding;
    let mut violations = Vec::new();
    for id in &finding.orphans {
        let birth = ledger.births.iter().find(|birth| is(birth, id));
        if birth.is_none_or(|birth| !birth.mentions(OWNER) || birth.mentions(NEIGHBOUR)) {
            violations.push(format!("p{process} is told that {id} is an orphan, and it is none of ours."));
        }
    }
    for id in &finding.gone {
        let birth = ledger.births.iter().find(|birth| is(birth, id));
        if birth.is_some_and(|birth| birth.gone_at.is_none_or(|gone| *told < gone)) {
            violations.push(format!("p{process} is told that {id} is gone, and it was not."));
        }
    }
    for (id, made_for) in &finding.leftovers {
        if ledger.births.iter().any(|birth| is(birth, id) && !birth.mentions(OWNER)) {
            violations.push(format!("p{process} is told that {id} is left over, and it is none of ours."));
        }
        let MadeFor::Token(token) = made_for else { continue };
        let lived = |birth: &&Birth| birth.born_at <= *at && birth.gone_at.is_none_or(|gone| *told < gone);
        let of = |birth: &&Birth| birth.kind == "machine" && birth.mentions(token.as_str());
        if let Some(birth) = ledger.births.iter().filter(lived).find(of) {
            violations.push(format!("p{process} is told that {id} is left over, and {} lives.", birth.id));
        }
    }
    violations
}

/// What is wrong after an inventory was read back: what was there when that began, and should have been listed, is in it,
/// or was named as left out.
pub(crate) fn rebuilt(
    cloud: &str,
    began: Timestamp,
    left_out: &[InstanceId],
    inventory: &[Record],
    ledger: &Ledger,
) -> Vec<String> {
    let told = |birth: &Birth| left_out.iter().chain(inventory.iter().map(|record| &record.id)).any(|id| is(birth, id));
    // However long any list may lag.
    let old = began - SignedDuration::from_mins(20);
    let due = |birth: &&Birth| birth.kind == "machine" && birth.provider.as_str() == cloud && birth.mentions(OWNER);
    let there = |birth: &&Birth| birth.gone_at.is_none() && birth.born_at <= old;
    let missing = ledger.births.iter().filter(due).filter(there).filter(|birth| !told(birth));
    missing
        .map(|birth| format!("{} {} was there when the inventory was read back, and is not in it.", cloud, birth.id))
        .collect()
}

/// Whether that is its id. Drivers put a word before the vendor's where one vendor's kinds of servers have ids of their own.
fn is(birth: &Birth, id: &InstanceId) -> bool {
    let before = id.native.strip_suffix(&birth.id);
    birth.provider == id.provider && before.is_some_and(|before| before.is_empty() || before.ends_with('-'))
}

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

/// An operation, and what it sent.
struct Told {
    operation: Operation,
    state: State,
    tokens: BTreeSet<String>,
}

/// Every operation of a journal; what of it cannot be read is a violation.
async fn told_by(engine: &Engine, violations: &mut Vec<String>) -> Vec<Told> {
    let mut all = Vec::new();
    for operation in engine.operations(&OperationFilter::default()).await.unwrap() {
        let operation = engine.operation(&operation.id).await.unwrap();
        let sent = |entry: &Entry| match &entry.event {
            Event::CreateSent { token, .. } => Some(token.to_string()),
            _ => None,
        };
        let tokens = operation.events.iter().filter_map(sent).collect();
        match State::fold(&operation.events) {
            Ok(state) => all.push(Told { operation, state, tokens }),
            Err(error) => violations.push(format!("Operation {} cannot be read: {error}", operation.id)),
        }
    }
    all
}

fn made<'a>(told: &Told, ledger: &'a Ledger) -> Vec<&'a Birth> {
    let machines = ledger.births.iter().filter(|birth| birth.kind == "machine" && birth.mentions(OWNER));
    machines.filter(|birth| told.tokens.iter().any(|token| birth.mentions(token))).collect()
}

/// What is wrong with the orders of a journal, whether or not it was lost: none was carried out more often than once.
pub(crate) async fn once(world: &World<'_>, engine: &Engine) -> Vec<String> {
    let (mut violations, ledger) = (Vec::new(), world.sim.ledger().unwrap());
    for told in told_by(engine, &mut violations).await {
        let Intent::Deploy(deploy) = &told.state.intent else { continue };
        let (wanted, at_once) = (deploy.names.len(), most_at_once(&made(&told, &ledger)));
        if at_once > wanted {
            let id = &told.operation.id;
            violations.push(format!("Operation {id} wanted {wanted} servers and had {at_once} at one time."));
        }
    }
    violations
}

/// How many servers were read back from the providers' tags.
pub(crate) async fn read_back(engine: &Engine) -> usize {
    let told = told_by(engine, &mut Vec::new()).await;
    told.iter().filter(|told| matches!(told.state.intent, Intent::Adopt { rebuilt: true, .. })).count()
}

/// What is wrong in a world where everything was resumed to its end.
pub(crate) async fn property(world: &World<'_>, engine: &Engine, neighbour: &InstanceId) -> Vec<String> {
    let mut violations = once(world, engine).await;
    let ledger = world.sim.ledger().unwrap();
    let machines: Vec<&Birth> = ledger.births.iter().filter(|birth| birth.kind == "machine").collect();
    let lives = |birth: &Birth| birth.gone_at.is_none_or(|gone| ledger.at < gone);
    let records = engine.inventory().await.unwrap();
    let operations = told_by(engine, &mut violations).await;
    let explained = |birth: &Birth| operations.iter().any(|told| told.tokens.iter().any(|token| birth.mentions(token)));

    let surveys = world.surveys(engine).await;
    let orphans: BTreeSet<&InstanceId> =
        surveys.iter().flat_map(|survey| &survey.orphans).map(|orphan| &orphan.id).collect();
    for birth in machines.iter().filter(|birth| birth.mentions(OWNER) && lives(birth)) {
        let is_recorded = records.iter().any(|record| is(birth, &record.id));
        let is_shown = orphans.iter().any(|id| is(birth, id));
        if !is_recorded && (!is_shown || explained(birth)) {
            let whence = if is_shown { "is an orphan" } else { "is no orphan either" };
            let Birth { provider, id, name, .. } = birth;
            violations.push(format!("{provider} {id} `{name}` lives and is not in the journal; it {whence}."));
        }
    }
    for record in &records {
        let is_gone = surveys.iter().flat_map(|survey| &survey.gone).any(|gone| gone.id == record.id);
        let lives = machines.iter().any(|birth| is(birth, &record.id) && lives(birth));
        if !is_gone && !lives && !world.shows(&record.id).await {
            violations.push(format!("{} is in the inventory and nowhere else, and nobody is told.", record.id));
        }
    }
    if !machines.iter().any(|birth| birth.id == neighbour.native && lives(birth)) {
        violations.push(format!("{neighbour} is somebody else's and was deleted."));
    }
    for finding in world.findings().iter().filter(|finding| finding.journal == world.journal()) {
        for id in &finding.orphans {
            let of = |told: &&Told| made(told, &ledger).iter().any(|birth| is(birth, id));
            if let Some(told) = operations.iter().find(of) {
                let (process, operation) = (finding.process, &told.operation.id);
                violations
                    .push(format!("p{process} is told that {id} is an orphan, and operation {operation} made it."));
            }
        }
    }

    for told in &operations {
        let Told { operation, state, .. } = told;
        let id = &operation.id;
        if operation.is_open() {
            violations.push(format!("Operation {id} is still {}.", operation.stage));
        }
        match &state.intent {
            Intent::Deploy(deploy) => {
                let wanted = state.members.iter().filter(|m| matches!(m.phase, Phase::Ready | Phase::Kept(_)));
                let wanted: Vec<&InstanceId> = wanted.filter_map(|member| member.id()).collect();
                let unwanted = |birth: &&&Birth| lives(birth) && !wanted.iter().any(|id| is(birth, id));
                for birth in made(told, &ledger).iter().filter(unwanted) {
                    violations.push(format!("Operation {id} is over and left {} `{}` behind.", birth.id, birth.name));
                }
                for member in &state.members {
                    let (Some(placement), Some(server)) = (state.placement_of(member), member.id()) else { continue };
                    let quoted = world.placement(placement.provider.as_str(), &placement.plan);
                    let Some(record) = records.iter().find(|record| record.id == *server) else { continue };
                    if quoted.is_none_or(|quoted| quoted.price != record.price || quoted.plan != record.plan) {
                        violations.push(format!("{server} was quoted as {quoted:?} and is recorded as {record:?}."));
                    }
                }
                if let Some(goal) = &deploy.goal {
                    let becomes = serde_json::from_value(goal.clone()).unwrap();
                    violations.extend(not_as_it_became(operation, state, becomes));
                }
            }
            Intent::Destroy { server } => {
                let was_gone = was_gone(&machines, &server.id, operation.updated_at);
                if matches!(state.members[0].phase, Phase::Gone(_)) && !was_gone {
                    violations.push(format!("Operation {id} says that {} is gone, and it was not.", server.id));
                }
            }
            Intent::Vanished { server } => {
                if !was_gone(&machines, &server.id, operation.created_at) {
                    violations.push(format!("Operation {id} says that {} vanished, and it did not.", server.id));
                }
            }
            Intent::Adopt { server, .. } => {
                let birth = machines.iter().find(|birth| is(birth, &server.id));
                if birth.is_none_or(|birth| !birth.mentions(OWNER) || birth.mentions(NEIGHBOUR) || explained(birth)) {
                    violations.push(format!("Operation {id} adopted {}, which was no orphan.", server.id));
                }
            }
            Intent::Power { .. } => {}
        }
    }
    violations
}

fn was_gone(machines: &[&Birth], id: &InstanceId, at: Timestamp) -> bool {
    machines.iter().find(|birth| is(birth, id)).is_none_or(|birth| birth.gone_at.is_some_and(|gone| gone <= at))
}

/// What an operation says of its servers that they did not become: they were looked at for as long as that takes, and no
/// shorter.
fn not_as_it_became(operation: &Operation, state: &State, becomes: Becomes) -> Vec<String> {
    let mut violations = Vec::new();
    for member in &state.members {
        let named = |entry: &&Entry| match &entry.event {
            Event::Up { server, .. } | Event::Ready { server } => server.name == member.name,
            _ => false,
        };
        let times: Vec<Timestamp> = operation.events.iter().filter(named).map(|entry| entry.at).collect();
        let took = times.last().zip(times.first()).map(|(last, first)| last.duration_since(*first));
        let after = SignedDuration::from_secs(i64::try_from(becomes.after).unwrap());
        if matches!(member.phase, Phase::Ready)
            && (becomes.end != Prospects::Ready || took.is_none_or(|took| took < after))
        {
            violations.push(format!("`{}` of {} is ready, and was not.", member.name, operation.id));
        }
    }
    violations
}

/// What costs money, is ours, and is neither in the inventory nor named by a look for orphans and leftovers.
pub(crate) fn unknown(ledger: &Ledger, surveys: &[Survey]) -> Vec<String> {
    let known = |birth: &Birth| {
        surveys.iter().any(|survey| {
            let leftovers = survey.leftovers.iter().flatten().map(|left| &left.id);
            survey.orphans.iter().map(|orphan| &orphan.id).chain(leftovers).any(|id| is(birth, id))
        })
    };
    // What came with an orphan goes with it.
    let orphans = || surveys.iter().flat_map(|survey| &survey.orphans).filter_map(|orphan| orphan.tags.token());
    let goes_with_one = |birth: &Birth| birth.kind != "machine" && orphans().any(|token| birth.mentions(token));
    let ours = ledger.living().into_iter().filter(|birth| birth.mentions(OWNER));
    let unknown = ours.filter(|birth| !known(birth) && !goes_with_one(birth));
    let told =
        |birth: &Birth| format!("{} {} `{}` costs money and nobody is told.", birth.provider, birth.kind, birth.name);
    unknown.map(told).collect()
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
