//! The property of docs/GUARANTEES.md, checked at the end of a case.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use capsule_core::{Clock, InstanceId, Scope};
use capsule_engine::event::Event;
use capsule_engine::{Engine, Finish, OperationFilter, Outcome, Placement, Record};
use capsule_sim::{Machine, State};

use crate::flows::Flow;
use crate::ground::Ground;

/// What a case may leave behind that others may not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowed {
    /// Doubles that a list of the owner's servers shows.
    pub(crate) orphans: bool,
    /// More servers made than asked for, as long as they are gone again.
    pub(crate) doubles: bool,
}

/// What there is beside servers, by kind.
#[derive(Debug)]
pub(crate) struct Side {
    /// So much for each server.
    each: BTreeMap<String, usize>,
    /// So much for all of them together.
    shared: BTreeMap<String, usize>,
}

impl Side {
    /// As one server and as several show it.
    pub(crate) fn of(one: &BTreeMap<String, usize>, several: &BTreeMap<String, usize>) -> Self {
        let (shared, each) = one.clone().into_iter().partition(|(kind, n)| several.get(kind) == Some(n));
        Side { each, shared }
    }

    /// Beside so many servers.
    fn beside(&self, servers: usize) -> BTreeMap<String, usize> {
        let each = self.each.iter().map(|(kind, n)| (kind.clone(), n * servers));
        let shared = self.shared.iter().map(|(kind, n)| (kind.clone(), n * servers.min(1)));
        each.chain(shared).filter(|(_, n)| *n > 0).collect()
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Done,
    /// With a named failure.
    Failed(String),
    /// Nothing was begun.
    Refused(String),
}

macro_rules! check {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+));
        }
    };
}

/// Fails with a sentence where the property does not hold.
pub(crate) async fn check(
    flow: Flow,
    ground: &Ground,
    engine: &Engine,
    placements: &[Placement],
    outcomes: &[Outcome],
    allowed: Allowed,
    side: &Side,
) -> Result<(), String> {
    let open = engine.operations(&OperationFilter { open: true, ..Default::default() }).await.unwrap();
    check!(open.is_empty(), "not over: {open:?}");
    let now = ground.clock.now();
    let machines = ground.machines();
    let living: Vec<&Machine> = machines.iter().filter(|machine| machine.lives_at(now)).collect();
    let records = engine.inventory().await.unwrap();
    let known = |machine: &Machine| records.iter().any(|record| is(&record.id, machine));

    // Nothing billed is unknown.
    let strangers: Vec<&&Machine> = living.iter().filter(|machine| !known(machine)).collect();
    if !strangers.is_empty() {
        let which: Vec<(&str, &str)> = strangers.iter().map(|m| (m.name.as_str(), m.id.as_str())).collect();
        check!(allowed.orphans, "living servers are not in the journal: {which:?}");
        ground.clock.advance(Duration::from_secs(3600));
        let shown = ground.driver().await.list(&Scope::Owner(ground.owner.clone())).await.unwrap();
        let hidden = strangers.iter().filter(|machine| !shown.iter().any(|one| is(&one.id, machine))).count();
        check!(hidden == 0, "{hidden} living servers are neither in the journal nor findable");
    }
    // What failed and is kept has what hangs on it until it is deleted.
    let failed = |record: &Record| machines.iter().any(|m| is(&record.id, m) && m.status_at(now) == State::Failed);
    if strangers.is_empty() && !records.iter().any(failed) {
        let most = side.beside(living.len());
        let left = ground.side();
        check!(left == most, "beside {} servers there are {left:?}, not {most:?}", living.len());
    }

    // At most one for each name.
    let mut names = BTreeSet::new();
    for machine in &living {
        check!(allowed.orphans || names.insert(machine.name.clone()), "two servers are called {}", machine.name);
    }
    if !allowed.doubles {
        let mut lives: BTreeMap<&str, Vec<&Machine>> = BTreeMap::new();
        for machine in &machines {
            lives.entry(&machine.name).or_default().push(machine);
        }
        let overlap = |pair: &[&Machine]| pair[0].lives_at(pair[1].born_at);
        let twice = lives.iter().find(|(_, lives)| lives.windows(2).any(overlap));
        check!(twice.is_none(), "two servers were called {:?} at one time", twice.map(|(name, _)| name));
    }

    // What the journal calls living does, and costs what was quoted.
    for record in &records {
        let machine = machines.iter().find(|machine| is(&record.id, machine));
        let Some(machine) = machine else { return Err(format!("{} is in the inventory alone", record.id)) };
        let kept = machine.status_at(now) == State::Failed && flow == Flow::DeployKeep;
        check!(machine.lives_at(now) || kept, "{} is in the inventory and gone", record.id);
        if flow != Flow::Adopt {
            quoted(record, machine, placements)?;
        }
    }

    // Each name has its server, or a named failure.
    for outcome in outcomes {
        let record = records.iter().find(|record| record.name == outcome.name);
        match &outcome.finish {
            Finish::Done if flow == Flow::Destroy => {
                check!(record.is_none(), "{} is deleted and in the inventory", outcome.name);
            }
            Finish::Done => {
                let (id, record) = (outcome.id.as_ref(), record.map(|record| &record.id));
                check!(id.is_some() && id == record, "{} is done as {id:?} and recorded as {record:?}", outcome.name);
            }
            Finish::Failed(error) => {
                check!(!error.message().is_empty(), "{} failed without a word", outcome.name);
                let may_stay = !flow.is_deploy() || flow == Flow::DeployKeep || error.message().contains("still costs");
                check!(record.is_none() || may_stay, "{} failed ({error}) and is still there", outcome.name);
            }
            Finish::StillRunning { why } => return Err(format!("{} is not over: {why}", outcome.name)),
        }
    }

    // Gone is what the provider calls gone.
    for operation in engine.operations(&OperationFilter::default()).await.unwrap() {
        let operation = engine.operation(&operation.id).await.unwrap();
        for entry in &operation.events {
            let Event::Gone { id, .. } = &entry.event else { continue };
            let gone = gone_at(&machines, id);
            check!(
                allowed.orphans || gone.is_some_and(|gone| gone <= entry.at),
                "{id} is called gone at {}, it is {gone:?}",
                entry.at
            );
        }
    }
    Ok(())
}

fn gone_at(machines: &[Machine], id: &InstanceId) -> Option<jiff::Timestamp> {
    machines.iter().find(|machine| is(id, machine))?.gone_at()
}

fn quoted(record: &Record, machine: &Machine, placements: &[Placement]) -> Result<(), String> {
    let placement =
        placements.iter().find(|placement| placement.plan == record.plan && placement.region == record.id.region);
    let Some(placement) = placement else {
        return Err(format!("{} is a {} that nobody asked for", record.id, record.plan));
    };
    check!(machine.plan == placement.plan, "{} is a {} and recorded as a {}", record.id, machine.plan, placement.plan);
    check!(record.price.is_some(), "{} is recorded without a price", record.id);
    check!(
        record.price == placement.price,
        "{} was quoted {:?} and recorded {:?}",
        record.id,
        placement.price,
        record.price
    );
    Ok(())
}

/// Whether that is the machine's id: a vendor with two collections has a word before it.
pub(crate) fn is(id: &InstanceId, machine: &Machine) -> bool {
    id.native.ends_with(&machine.id)
}
