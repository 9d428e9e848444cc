//! One world from its beginning to its end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::{ByteStream, Ledgers, SendError, Transport};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Instance, InstanceId, Leftovers, Marking,
    Order as CreateOrder, OwnLoader, OwnerId, Power, Provider, ProviderId, Result, Scope, SettingValue, Settings,
    Statements, Tags,
};
use capsule_engine::{
    AfterEvent, Database, DeployRequest, Engine, Finish, OnFailure, Options, Outcome, Placement, Providers, Silent,
    Wait,
};
use capsule_sim::Sim;

use crate::check;
use crate::plan::{Command, Crash, Order, Plan};
use crate::process::{Killed, Process};
use crate::stage::{Dice, Stage};

/// More than any world needs: one that waits for more goes round in circles.
const MOST_WAITS: u64 = 60_000;
/// Whose servers they are.
pub(crate) const OWNER: &str = "0wner0000000000w";
/// Whose server must not be touched.
const NEIGHBOUR: &str = "ne1ghb0ur0000000";

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
}

/// What every world shares: what can be ordered, and an empty journal.
pub(crate) struct Ground {
    pub(crate) placements: BTreeMap<&'static str, Vec<Placement>>,
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
    journal: &'a Path,
    trace: Option<Arc<Mutex<Vec<String>>>>,
    told: Arc<Mutex<Vec<String>>>,
}

/// Lives through a plan.
pub(crate) async fn live(plan: &Plan, ground: &Ground, sabotage: Sabotage, home: &Path, traced: bool) -> Story {
    let journal = home.join("journal.db");
    let empty = if sabotage == Sabotage::Unguarded { &ground.unguarded } else { &ground.journal };
    std::fs::write(&journal, empty).unwrap();
    let stage = Stage::new(plan.seed);
    let sim = Sim::in_memory(stage.clone(), capsule_sim::Options { seed: plan.seed, ..Default::default() });
    let trace = traced.then(|| Arc::new(Mutex::new(Vec::new())));
    let told = Arc::new(Mutex::new(Vec::new()));
    let world = World { plan, ground, sabotage, stage, sim, journal: &journal, trace, told };
    let mut story = world.run().await;
    story.violations.splice(0..0, world.told.lock().unwrap().drain(..));
    story.trace = world.trace.as_ref().map(|trace| trace.lock().unwrap().clone()).unwrap_or_default();
    story
}

impl World<'_> {
    async fn run(&self) -> Story {
        let mut story = Story { intents: self.plan.intents(), ..Story::default() };
        let neighbour = self.neighbour().await;
        self.sim.inject_all(self.plan.faults.clone()).unwrap();

        let mut processes = Vec::new();
        for (number, command) in self.plan.commands.iter().enumerate() {
            processes.push(self.process(number, command).await);
        }
        let mut ends = self.play(&mut processes, &mut story).await;
        drop(processes);
        story.faults = self.sim.look(|world| world.faults.iter().map(struck).sum()).unwrap();
        self.sim.clear_faults().unwrap();

        // However it went: whoever comes and resumes brings it to its end.
        for round in 0..3 {
            let last = self.plan.commands.len() + round;
            let mut resumer = vec![self.process(last, &Command { at: 0, order: Order::Resume }).await];
            ends &= self.play(&mut resumer, &mut story).await;
            if check::open(&self.engine(last + 10, None).await).await == 0 {
                break;
            }
        }
        if !ends {
            story.violations.push(format!("It is not over after {MOST_WAITS} waits."));
            return story;
        }
        let engine = self.engine(100, None).await;
        story.violations.extend(check::property(self, &engine, &neighbour).await);
        if self.trace.is_some() {
            story.record = check::record(self, &engine).await;
        }
        story.violations.extend(self.wipe(&engine, &neighbour).await);
        let ledger = self.sim.ledger().unwrap();
        story.servers = ledger.births.iter().filter(|birth| birth.kind == "machine").count() - 1;
        story.requests = ledger.requests.values().sum();
        story
    }

    /// Lets processes go on in an order of the seed's choice until all are over.
    async fn play(&self, processes: &mut [Process], story: &mut Story) -> bool {
        for process in processes.iter_mut() {
            story.crashes += usize::from(process.run().await);
        }
        for _ in 0..MOST_WAITS {
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
        let run = async move {
            stage.sleep(at).await;
            let outcomes = obey(&running, order, deploy).await;
            if let Some(trace) = trace {
                trace.lock().unwrap().push(format!("{} p{number} ends: {outcomes:?}", stage.now()));
            }
            told.lock().unwrap().extend(check::told(number, &outcomes));
        };
        Process::new(number, self.stage.clone(), engine, run)
    }

    fn request(&self, order: &Order) -> Option<DeployRequest> {
        let Order::Deploy { names, cloud, keep, hasty, timeout, key } = order else { return None };
        // The chosen cloud first, then the others.
        let mut placements = self.ground.placements[self.plan.clouds[*cloud]].clone();
        for other in &self.plan.clouds {
            placements.extend(self.ground.placements[other].iter().take(1).cloned());
        }
        placements.truncate(3);
        Some(DeployRequest {
            names: names.clone(),
            placements,
            ssh_keys: vec![],
            user_data: None,
            tags: Tags::new(),
            idempotency_key: key.clone(),
            asked: None,
            wait: if *hasty { Wait::None } else { Wait::Running },
            timeout: timeout.map(Duration::from_secs),
            on_failure: if *keep { OnFailure::Keep } else { OnFailure::Delete },
            goal: None,
        })
    }

    pub(crate) async fn engine(&self, number: usize, after_event: Option<AfterEvent>) -> Engine {
        let options = Options {
            database: Database::Sqlite(self.journal.to_owned()),
            owner: OWNER.parse().unwrap(),
            clock: self.stage.clone(),
            providers: Arc::new(self.directory(number)),
            pace: 1,
            worker: format!("p{number}"),
            readiness: None,
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
        Directory { wire: Arc::new(wire), stage: self.stage.clone(), is_blind: self.sabotage == Sabotage::Blind }
    }

    /// A server of somebody else in the first cloud.
    async fn neighbour(&self) -> InstanceId {
        let cloud = self.plan.clouds[0];
        let placement = &self.ground.placements[cloud][0];
        let order = CreateOrder {
            token: "t00000000000000000000000000"[..26].parse().unwrap(),
            again: false,
            owner: NEIGHBOUR.parse::<OwnerId>().unwrap(),
            names: vec!["neighbour".to_owned()],
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

    /// Deletes everything: nothing that costs money may be left then.
    async fn wipe(&self, engine: &Engine, neighbour: &InstanceId) -> Vec<String> {
        let mut violations = Vec::new();
        for record in engine.inventory().await.unwrap() {
            let destroyed = self.with_journal(engine, engine.destroy(&record.id, &Silent)).await;
            match destroyed.map(|outcome| outcome.finish) {
                Ok(Finish::Done) => {}
                other => violations.push(format!("{} cannot be deleted: {other:?}", record.id)),
            }
        }
        self.stage.advance(Duration::from_secs(24 * 3600));
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

    pub(crate) fn placements(&self, cloud: &str) -> &[Placement] {
        &self.ground.placements[cloud]
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

async fn obey(engine: &Engine, order: Order, deploy: Option<DeployRequest>) -> Result<Vec<Outcome>> {
    let server = |records: Vec<capsule_engine::Record>, n: u64| {
        let count = records.len() as u64;
        (count > 0).then(|| records[usize::try_from(n % count).unwrap()].id.clone())
    };
    match order {
        Order::Deploy { .. } => engine.deploy(deploy.expect("it was put together"), &Silent).await,
        Order::Delete(n) => match server(engine.inventory().await?, n) {
            Some(id) => engine.destroy(&id, &Silent).await.map(|outcome| vec![outcome]),
            None => Ok(vec![]),
        },
        Order::Power(n, to) => match server(engine.inventory().await?, n) {
            Some(id) => engine.power(&id, to, Wait::Running, &Silent).await.map(|outcome| vec![outcome]),
            None => Ok(vec![]),
        },
        Order::Resume => engine.resume(None, &Silent).await,
    }
}

/// The way of one process to the clouds: others may go first, and it may be killed, on either side of each request.
#[derive(Debug)]
struct Wire {
    way: Arc<dyn Transport>,
    stage: Arc<Stage>,
    number: usize,
    sends_again: bool,
    trace: Option<Arc<Mutex<Vec<String>>>>,
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: http::Request<Bytes>) -> std::result::Result<http::Response<ByteStream>, SendError> {
        self.stage.turn().await;
        let what = format!("{} {}", request.method(), request.uri());
        let again = (self.sends_again && request.method() == http::Method::POST).then(|| request.clone());
        let mut answer = self.way.send(request).await;
        if let Some(request) = again
            && answer.as_ref().map_or(true, |answer| answer.status().is_server_error())
        {
            answer = self.way.send(request).await;
        }
        if let Some(trace) = &self.trace {
            let came = match &answer {
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.message.clone(),
            };
            trace.lock().unwrap().push(format!("{} p{} {what} -> {came}", self.stage.now(), self.number));
        }
        self.stage.turn().await;
        answer
    }
}

/// The drivers of one process.
struct Directory {
    wire: Arc<Wire>,
    stage: Arc<Stage>,
    is_blind: bool,
}

/// The settings of a driver, narrowed to one region so that a list is one request.
pub(crate) fn settings(id: &str) -> Settings {
    let values = capsule_sim::credentials(id)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), SettingValue { value: value.into(), source: "the simulator".to_owned() }));
    let regions: &[&str] = match id {
        "aws" => &["us-east-1"],
        "scaleway" => &["fr-par-1"],
        _ => &[],
    };
    let regions = regions.iter().map(|region| (*region).to_owned()).collect();
    Settings { values: values.collect(), regions, force_retired: true, ..Settings::default() }
}

#[async_trait]
impl Providers for Directory {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        let connect = Connect {
            settings: settings(id.as_str()),
            transport: self.wire.clone(),
            clock: self.stage.clone(),
            ledgers: Ledgers::default(),
        };
        let driver = (capsule_providers::find(id.as_str())?.connect)(connect).await?;
        Ok(if self.is_blind { Arc::new(Blind(driver)) } else { driver })
    }
}

/// A driver that finds nothing by its token.
#[derive(Debug)]
struct Blind(Arc<dyn Provider>);

#[async_trait]
impl Provider for Blind {
    fn descriptor(&self) -> &'static Descriptor {
        self.0.descriptor()
    }
    fn capabilities(&self) -> &'static Capabilities {
        self.0.capabilities()
    }
    async fn verify(&self) -> Result<Account> {
        self.0.verify().await
    }
    async fn catalog(&self) -> Result<Catalog> {
        self.0.catalog().await
    }
    fn check(&self, order: &CreateOrder) -> Result<()> {
        self.0.check(order)
    }
    async fn create(&self, order: &CreateOrder) -> Result<Vec<Instance>> {
        self.0.create(order).await
    }
    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        self.0.get(id).await
    }
    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        if scope.token().is_some() { Ok(vec![]) } else { self.0.list(scope).await }
    }
    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        self.0.power(id, to).await
    }
    async fn delete(&self, id: &InstanceId) -> Result<()> {
        self.0.delete(id).await
    }
    fn leftovers(&self) -> Option<&dyn Leftovers> {
        self.0.leftovers()
    }

    fn statements(&self) -> Option<&dyn Statements> {
        self.0.statements()
    }

    fn own_loader(&self) -> Option<&dyn OwnLoader> {
        self.0.own_loader()
    }

    fn marking(&self) -> Option<&dyn Marking> {
        self.0.marking()
    }
}
