//! One world from its beginning to its end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use capsule_core::{Clock, ErrorKind, InstanceId, Order as CreateOrder, OwnerId, Tags};
use capsule_engine::{
    AfterEvent, Database, DeployRequest, Engine, Finish, OnFailure, Options, Placement, Providers, Silent, Survey, Wait,
};
use capsule_sim::Sim;

use crate::check::{self, Finding};
use crate::command::{Seen, Watch, obey};
use crate::plan::{AFTER_LOSS, Command, Crash, Loss, Order, Plan};
use crate::process::{Killed, Process};
use crate::stage::{Dice, Stage};
use crate::way::{Directory, Wire};

/// More than any world needs: one that waits for more goes round in circles.
const MOST_WAITS: u64 = 60_000;
/// Whose servers they are.
pub(crate) const OWNER: &str = "0wner0000000000w";
/// Whose server must not be touched.
pub(crate) const NEIGHBOUR: &str = "ne1ghb0ur0000000";

/// What is broken on purpose, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    Nothing,
    /// What a create call has made is never found by its token.
    Blind,
    /// A POST is sent again when its outcome is in doubt.
    SendsAgain,
    /// Operations may be claimed while somebody works on them.
    Unguarded,
    /// Lists of all that is ours tell nothing of tokens and ages: no operation that is not over explains anything.
    Unsparing,
    /// An inventory is read back from the first provider alone.
    Forgets,
}

/// What every world shares: what can be ordered, and an empty journal.
pub(crate) struct Ground {
    pub(crate) placements: BTreeMap<&'static str, Vec<Placement>>,
    /// A whole machine each, where the cloud has other servers as well.
    pub(crate) metal: BTreeMap<&'static str, Placement>,
    pub(crate) clouds: Vec<crate::plan::Cloud>,
    pub(crate) journal: Vec<u8>,
    /// One whose claims have no guard.
    pub(crate) unguarded: Vec<u8>,
}

/// What came of a world.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) violations: Vec<String>,
    pub(crate) intents: usize,
    pub(crate) faults: usize,
    pub(crate) crashes: usize,
    pub(crate) servers: usize,
    pub(crate) requests: u64,
    /// How often a process was told of an orphan.
    pub(crate) orphans: usize,
    /// How many servers were read back from tags.
    pub(crate) rebuilt: usize,
    /// All that the journal says, and all that was ever made; empty unless asked for.
    pub(crate) record: String,
    /// What happened in its order; empty unless asked for.
    pub(crate) trace: Vec<String>,
}

/// A world on its way.
pub(crate) struct World<'a> {
    plan: &'a Plan,
    ground: &'a Ground,
    sabotage: Sabotage,
    pub(crate) stage: Arc<Stage>,
    pub(crate) sim: Sim,
    home: &'a Path,
    /// The one that is there, and before it those that were lost.
    journals: RefCell<Vec<PathBuf>>,
    trace: Option<Arc<Mutex<Vec<String>>>>,
    told: Arc<Mutex<Vec<String>>>,
    /// What processes were told of orphans.
    findings: Arc<Mutex<Vec<Finding>>>,
}

/// Lives through a plan.
pub(crate) async fn live(plan: &Plan, ground: &Ground, sabotage: Sabotage, home: &Path, traced: bool) -> Story {
    let stage = Stage::new(plan.seed);
    let sim = Sim::in_memory(stage.clone(), capsule_sim::Options { seed: plan.seed, ..Default::default() });
    let trace = traced.then(|| Arc::new(Mutex::new(Vec::new())));
    let (told, findings) = (Arc::default(), Arc::default());
    let world = World { plan, ground, sabotage, stage, sim, home, journals: RefCell::default(), trace, told, findings };
    world.new_journal();
    let mut story = world.run().await;
    story.violations.splice(0..0, world.told.lock().unwrap().drain(..));
    story.trace = world.trace.as_ref().map(|trace| trace.lock().unwrap().clone()).unwrap_or_default();
    story
}

impl World<'_> {
    async fn run(&self) -> Story {
        let mut story = Story { intents: self.plan.intents(), ..Story::default() };
        let neighbour = self.server_of(NEIGHBOUR, "neighbour").await;
        if self.plan.stray {
            self.server_of(OWNER, "stray").await;
        }
        self.sim.inject_all(self.plan.faults.clone()).unwrap();

        let waits = self.plan.loss.as_ref().map_or(MOST_WAITS, |loss| loss.after);
        let mut ends = self.live_through(&self.plan.commands, 0, waits, &mut story).await;
        if let Some(Loss { commands, .. }) = &self.plan.loss {
            self.say(AFTER_LOSS, "finds no journal");
            self.new_journal();
            ends = self.live_through(commands, AFTER_LOSS, MOST_WAITS, &mut story).await;
        }
        story.faults = self.sim.look(|world| world.faults.iter().map(struck).sum()).unwrap();
        self.sim.clear_faults().unwrap();

        // However it went: whoever comes and resumes brings it to its end.
        for round in 0..3 {
            let last = self.plan.commands.len() + round;
            ends &= self.live_through(&[Command { at: 0, order: Order::Resume }], last, MOST_WAITS, &mut story).await;
            if check::open(&self.engine(last + 10, None).await).await == 0 {
                break;
            }
        }
        if !ends {
            story.violations.push(format!("It is not over after {MOST_WAITS} waits."));
            return story;
        }
        // Whatever could come late has come, and no list lags any more.
        self.stage.advance(Duration::from_secs(3600));
        if self.plan.loss.as_ref().is_some_and(|loss| loss.again) {
            let number = AFTER_LOSS + 30;
            self.live_through(&[Command { at: 0, order: Order::Rebuild }], number, MOST_WAITS, &mut story).await;
        }
        let engine = self.engine(100, None).await;
        story.rebuilt = check::read_back(&engine).await;
        story.violations.extend(check::property(self, &engine, &neighbour).await);
        for journal in 0..self.journal() {
            let path = self.journals.borrow()[journal].clone();
            let lost = self.engine_at(path, 110 + journal, None).await;
            story.violations.extend(check::once(self, &lost).await);
        }
        if self.trace.is_some() {
            story.record = check::record(self, &engine).await;
        }
        story.violations.extend(self.wipe(&engine, &neighbour).await);
        story.orphans = self.findings().iter().map(|finding| finding.orphans.len()).sum();
        let ledger = self.sim.ledger().unwrap();
        story.servers =
            ledger.births.iter().filter(|birth| birth.kind == "machine").count() - 1 - usize::from(self.plan.stray);
        story.requests = ledger.requests.values().sum();
        story
    }

    /// Runs a process for each command, numbered from `first`, until all are over or have waited so often; whether all are.
    async fn live_through(&self, commands: &[Command], first: usize, waits: u64, story: &mut Story) -> bool {
        let mut processes = Vec::new();
        for (n, command) in commands.iter().enumerate() {
            processes.push(self.process(first + n, command).await);
        }
        self.play(&mut processes, waits, story).await
    }

    /// Lets processes go on in an order of the seed's choice until all are over.
    async fn play(&self, processes: &mut [Process], waits: u64, story: &mut Story) -> bool {
        for process in processes.iter_mut() {
            story.crashes += usize::from(process.run().await);
        }
        for _ in 0..waits {
            if processes.iter().all(Process::is_over) {
                return true;
            }
            let Some(number) = self.stage.go_on() else { return false };
            let Some(process) = processes.iter_mut().find(|process| process.number == number) else { continue };
            process.waits += 1;
            let waits = process.waits;
            let dies =
                |crash: &Crash| matches!(crash, Crash::AtWait { process, nth } if *process == number && *nth == waits);
            if self.plan.crashes.iter().any(dies) && !process.is_over() {
                self.say(number, "is killed");
                process.kill();
                story.crashes += 1;
            } else {
                story.crashes += usize::from(process.run().await);
            }
        }
        false
    }

    async fn process(&self, number: usize, command: &Command) -> Process {
        let kills: Vec<u64> = (self.plan.crashes.iter())
            .filter_map(|crash| match crash {
                Crash::AfterEvent { process, nth } if *process == number => Some(*nth),
                _ => None,
            })
            .collect();
        let die: AfterEvent = Arc::new(move |n| {
            if kills.contains(&n) {
                std::panic::resume_unwind(Box::new(Killed));
            }
        });
        let engine = self.engine(number, Some(die)).await;
        let (stage, at, order) = (self.stage.clone(), Duration::from_secs(command.at), command.order.clone());
        let (told, trace, running) = (self.told.clone(), self.trace.clone(), engine.clone());
        let deploy = self.request(&order);
        let seen = Seen {
            number,
            journal: self.journal(),
            clouds: self.plan.clouds.clone(),
            forgets: self.sabotage == Sabotage::Forgets,
            sim: self.sim.clone(),
            stage: self.stage.clone(),
            told: self.told.clone(),
            findings: self.findings.clone(),
        };
        let run = async move {
            stage.sleep(at).await;
            let outcomes = obey(&running, order, deploy, &seen).await;
            if let Some(trace) = trace {
                trace.lock().unwrap().push(format!("{} p{number} ends: {outcomes:?}", stage.now()));
            }
            told.lock().unwrap().extend(check::told(number, &outcomes));
        };
        Process::new(number, self.stage.clone(), engine, run)
    }

    fn request(&self, order: &Order) -> Option<DeployRequest> {
        let Order::Deploy { names, cloud, keep, hasty, timeout, key, metal, becomes } = order else { return None };
        // The chosen cloud first, then the others.
        let mut placements = self.ground.placements[self.plan.clouds[*cloud]].clone();
        if let Some(whole) = self.ground.metal.get(self.plan.clouds[*cloud]).filter(|_| *metal) {
            placements.insert(0, whole.clone());
        }
        for other in &self.plan.clouds {
            placements.extend(self.ground.placements[other].iter().take(1).cloned());
        }
        placements.truncate(3);
        Some(DeployRequest {
            names: names.clone(),
            placements,
            ssh_keys: vec![],
            user_data: becomes.is_some().then(|| "#cloud-config\n".to_owned()),
            tags: Tags::new(),
            idempotency_key: key.clone(),
            asked: None,
            wait: match becomes {
                Some(_) => Wait::Ready,
                None if *hasty => Wait::None,
                None => Wait::Running,
            },
            timeout: timeout.map(Duration::from_secs),
            on_failure: if *keep { OnFailure::Keep } else { OnFailure::Delete },
            goal: becomes.map(|becomes| serde_json::to_value(becomes).unwrap()),
        })
    }

    /// An empty journal from now on.
    fn new_journal(&self) {
        let mut journals = self.journals.borrow_mut();
        let path = self.home.join(format!("journal-{}.db", journals.len()));
        let empty = if self.sabotage == Sabotage::Unguarded { &self.ground.unguarded } else { &self.ground.journal };
        std::fs::write(&path, empty).unwrap();
        journals.push(path);
    }

    /// One at the journal that is there.
    pub(crate) async fn engine(&self, number: usize, after_event: Option<AfterEvent>) -> Engine {
        let journal = self.journals.borrow().last().expect("there is one from the beginning").clone();
        self.engine_at(journal, number, after_event).await
    }

    async fn engine_at(&self, journal: PathBuf, number: usize, after_event: Option<AfterEvent>) -> Engine {
        let options = Options {
            database: Database::Sqlite(journal),
            owner: OWNER.parse().unwrap(),
            clock: self.stage.clone(),
            providers: Arc::new(self.directory(number)),
            pace: 1,
            worker: format!("p{number}"),
            readiness: Some(Arc::new(Watch { stage: self.stage.clone() })),
            notice: None,
            after_event,
        };
        let seed = Dice::new(self.plan.seed.wrapping_add(number as u64)).bits();
        Engine::open_seeded(options, seed).await.unwrap()
    }

    fn directory(&self, number: usize) -> Directory {
        let wire = Wire {
            way: self.sim.transport(),
            stage: self.stage.clone(),
            number,
            sends_again: self.sabotage == Sabotage::SendsAgain,
            trace: self.trace.clone(),
        };
        Directory { wire: Arc::new(wire), stage: self.stage.clone(), sabotage: self.sabotage }
    }

    /// A server with this owner's tag in the first cloud, which no journal knows.
    async fn server_of(&self, owner: &str, name: &str) -> InstanceId {
        let cloud = self.plan.clouds[0];
        let placement = &self.ground.placements[cloud][0];
        let order = CreateOrder {
            token: format!("{:0<26}", &name[..1]).parse().unwrap(),
            again: false,
            owner: owner.parse::<OwnerId>().unwrap(),
            names: vec![name.to_owned()],
            spec: capsule_core::InstanceSpec {
                plan: placement.plan.clone(),
                region: placement.region.clone(),
                image: placement.image.clone(),
                disk_gib: placement.disk_gib,
                ssh_keys: vec![],
                user_data: None,
                tags: Tags::new(),
            },
        };
        let directory = self.directory(90);
        let create = async { directory.provider(&cloud.into()).await?.create(&order).await };
        let made = self.alone(create).await.expect("nothing goes wrong yet");
        made[0].id.clone()
    }

    /// Carries something out while no process runs.
    pub(crate) async fn alone<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(tokio::task::unconstrained(work));
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => { self.stage.go_on(); }
            }
        }
    }

    /// Deletes everything that is known: nothing that costs money may be left then.
    async fn wipe(&self, engine: &Engine, neighbour: &InstanceId) -> Vec<String> {
        let mut violations = Vec::new();
        for record in engine.inventory().await.unwrap() {
            violations.extend(self.delete(engine, &record.id).await);
        }
        self.stage.advance(Duration::from_secs(24 * 3600));
        // Without a server that nobody knows, and with the journal that made them all, nothing else is left.
        let is_whole = !self.plan.stray && self.plan.loss.is_none();
        if !is_whole {
            let surveys = self.surveys(engine).await;
            violations.extend(check::unknown(&self.sim.ledger().unwrap(), &surveys));
            for orphan in surveys.iter().flat_map(|survey| &survey.orphans) {
                violations.extend(self.delete(engine, &orphan.id).await);
            }
            self.stage.advance(Duration::from_secs(24 * 3600));
            for survey in self.surveys(engine).await {
                for leftover in survey.leftovers.into_iter().flatten() {
                    if let Err(error) = self.with_journal(engine, engine.remove_leftover(&leftover)).await {
                        violations.push(format!("{} cannot be removed: {error}", leftover.id));
                    }
                }
            }
        }
        let ledger = self.sim.ledger().unwrap();
        for left in ledger.living() {
            if left.id != neighbour.native && !left.mentions(NEIGHBOUR) {
                violations
                    .push(format!("{} {} `{}` is left behind and costs money.", left.provider, left.kind, left.name));
            }
        }
        if !ledger.living().iter().any(|birth| birth.id == neighbour.native) {
            violations.push(format!("{neighbour} is somebody else's and was deleted."));
        }
        violations
    }

    async fn delete(&self, engine: &Engine, id: &InstanceId) -> Option<String> {
        let destroyed = self.with_journal(engine, engine.destroy(id, &Silent)).await;
        match destroyed.map(|outcome| outcome.finish) {
            Ok(Finish::Done) => None,
            // What the inventory still had may have gone before.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(format!("{id} cannot be deleted: {other:?}")),
        }
    }

    /// What every provider shows of ours, while nothing goes wrong.
    pub(crate) async fn surveys(&self, engine: &Engine) -> Vec<Survey> {
        let mut surveys = Vec::new();
        let clouds: BTreeSet<&str> = self.plan.clouds.iter().copied().collect();
        for cloud in clouds {
            surveys.push(self.with_journal(engine, engine.survey(&cloud.into())).await.expect("nothing goes wrong"));
        }
        surveys
    }

    /// Whether its provider shows a server, such as one that failed there.
    pub(crate) async fn shows(&self, id: &InstanceId) -> bool {
        let directory = self.directory(100);
        let shown = async { directory.provider(&id.provider).await?.get(id).await };
        self.alone(shown).await.expect("nothing goes wrong").is_some()
    }

    pub(crate) fn findings(&self) -> MutexGuard<'_, Vec<Finding>> {
        self.findings.lock().unwrap()
    }

    /// Which of the journals is there.
    pub(crate) fn journal(&self) -> usize {
        self.journals.borrow().len() - 1
    }

    /// Carries something out that asks the journal and waits for times.
    pub(crate) async fn with_journal<T>(&self, engine: &Engine, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(tokio::task::unconstrained(work));
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => {
                    if !engine.is_writing() {
                        self.stage.go_on();
                    }
                }
            }
        }
    }

    /// What was quoted for a plan.
    pub(crate) fn placement(&self, cloud: &str, plan: &str) -> Option<&Placement> {
        let all = self.ground.placements[cloud].iter().chain(self.ground.metal.get(cloud));
        all.into_iter().find(|placement| placement.plan == plan)
    }

    fn say(&self, process: usize, what: &str) {
        if let Some(trace) = &self.trace {
            trace.lock().unwrap().push(format!("{} p{process} {what}", self.stage.now()));
        }
    }
}

/// How often a fault has struck.
fn struck(fault: &capsule_sim::Fault) -> usize {
    let struck = fault.seen.saturating_sub(fault.skip);
    usize::try_from(fault.times.map_or(struck, |times| struck.min(times))).unwrap()
}
