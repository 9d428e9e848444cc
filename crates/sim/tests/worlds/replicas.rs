//! Several engines on one journal in real time: each is killed and started again while it works, and whoever asked asks
//! again under the same key.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::Ledgers;
use capsule_core::{Clock, Connect, Provider, ProviderId, Result, SystemClock, Tags};
use capsule_engine::{
    AfterEvent, Database, DeployRequest, Engine, Finish, OnFailure, OperationFilter, Options, Placement, Providers,
    Silent, Wait,
};
use capsule_sim::Sim;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::postgres::Postgres;
use crate::stage::Dice;
use crate::way::settings;
use crate::world::OWNER;

const CLOUD: &str = "vultr";
/// How much faster than the machine's the clocks run.
const PACE: i32 = 50;
/// So many deploys are under way at once in each replica.
const HANDS: usize = 8;

/// The machine's clock, only faster.
#[derive(Debug)]
struct Fast {
    began: Timestamp,
}

#[async_trait]
impl Clock for Fast {
    fn now(&self) -> Timestamp {
        let passed = SystemClock.now().duration_since(self.began).saturating_mul(PACE);
        self.began.saturating_add(passed).unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration / PACE.unsigned_abs()).await;
    }

    async fn until(&self, at: Timestamp) {
        while self.now() < at {
            let left: SignedDuration = at.duration_since(self.now());
            self.sleep(Duration::try_from(left).unwrap_or_default()).await;
        }
    }
}

struct Bench {
    database: Database,
    clock: Arc<Fast>,
    sim: Sim,
    placements: Vec<Placement>,
    asked: Mutex<VecDeque<usize>>,
    done: Mutex<BTreeSet<usize>>,
    kills: AtomicUsize,
    /// Of each time a replica is started; `None` for ever.
    life: Option<u64>,
    dice: Mutex<Dice>,
}

struct Drivers(Sim, Arc<Fast>);

#[async_trait]
impl Providers for Drivers {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        let (transport, clock) = (self.0.transport(), self.1.clone());
        let settings = settings(id.as_str());
        let connect = Connect { settings, transport, clock, ledgers: Ledgers::default() };
        (capsule_providers::find(id.as_str())?.connect)(connect).await
    }
}

impl Bench {
    fn new(database: Database, deploys: usize, life: Option<u64>) -> Self {
        let clock = Arc::new(Fast { began: SystemClock.now() });
        Bench {
            database,
            sim: Sim::in_memory(clock.clone(), capsule_sim::Options::default()),
            clock,
            placements: crate::ground().placements[CLOUD].clone(),
            asked: Mutex::new((0..deploys).collect()),
            done: Mutex::default(),
            kills: AtomicUsize::new(0),
            life,
            dice: Mutex::new(Dice::new(1)),
        }
    }

    async fn open(&self, after_event: Option<AfterEvent>) -> Engine {
        Engine::open(Options {
            database: self.database.clone(),
            owner: OWNER.parse().unwrap(),
            clock: self.clock.clone(),
            providers: Arc::new(Drivers(self.sim.clone(), self.clock.clone())),
            pace: 1,
            worker: "replica".to_owned(),
            readiness: None,
            notice: None,
            after_event,
        })
        .await
        .unwrap()
    }

    /// Starts a replica again and again until there is nothing left to ask for.
    async fn replica(&self, deploys: usize) {
        while self.done.lock().unwrap().len() < deploys {
            let killed = Arc::new(Notify::new());
            let die = self.life.map(|life| {
                let (killed, last) = (killed.clone(), 1 + self.dice.lock().unwrap().below(life));
                Arc::new(move |n| {
                    if n == last {
                        killed.notify_one();
                    }
                }) as AfterEvent
            });
            let engine = self.open(die).await;
            tokio::select! {
                biased;
                () = killed.notified() => { self.kills.fetch_add(1, Ordering::Relaxed); }
                _ = join_all((0..HANDS).map(|_| self.hand(&engine, deploys))) => {}
            }
        }
    }

    async fn hand(&self, engine: &Engine, deploys: usize) {
        loop {
            let next = self.asked.lock().unwrap().pop_front();
            let Some(number) = next else {
                if self.done.lock().unwrap().len() >= deploys {
                    return;
                }
                self.clock.sleep(Duration::from_secs(5)).await;
                continue;
            };
            let mut asking = Asking { bench: self, number, is_done: false };
            let name = format!("web-{number}");
            let request = DeployRequest {
                names: vec![name.clone()],
                placements: self.placements.clone(),
                ssh_keys: vec![],
                user_data: None,
                tags: Tags::new(),
                idempotency_key: Some(name),
                asked: None,
                wait: Wait::None,
                timeout: None,
                on_failure: OnFailure::Delete,
                goal: None,
            };
            let outcomes = engine.deploy(request, &Silent).await.unwrap();
            asking.is_done = matches!(outcomes[0].finish, Finish::Done);
        }
    }
}

/// One that asks for a server, and asks again where nobody told it that it is done.
struct Asking<'a> {
    bench: &'a Bench,
    number: usize,
    is_done: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        match self.is_done {
            true => self.bench.done.lock().unwrap().insert(self.number),
            false => {
                self.bench.asked.lock().unwrap().push_back(self.number);
                true
            }
        };
    }
}

/// Deploys so many by so many replicas, and says how many of them a second. One server and one record for each at the end.
fn deployed(database: Database, replicas: usize, deploys: usize, life: Option<u64>) -> (f64, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = Bench::new(database, deploys, life);
    runtime.block_on(async {
        let began = SystemClock.now();
        join_all((0..replicas).map(|_| bench.replica(deploys))).await;
        let took = SystemClock.now().duration_since(began).as_secs_f64();
        let engine = bench.open(None).await;
        engine.resume(None, &Silent).await.unwrap();
        let open = engine.operations(&OperationFilter { open: true, ..Default::default() }).await.unwrap();
        assert!(open.is_empty(), "{open:?}");
        let ledger = bench.sim.ledger().unwrap();
        let living: Vec<_> = ledger.living().into_iter().filter(|birth| birth.kind == "machine").collect();
        let names: BTreeSet<&str> = living.iter().map(|birth| birth.name.as_str()).collect();
        let records: BTreeSet<String> =
            engine.inventory().await.unwrap().into_iter().map(|record| record.id.native).collect();
        assert_eq!((living.len(), names.len(), records.len()), (deploys, deploys, deploys));
        assert!(living.iter().all(|birth| records.contains(&birth.id)));
        assert_eq!(
            ledger.births.iter().filter(|birth| birth.kind == "machine").count(),
            deploys,
            "none was made twice"
        );
        (deploys as f64 / took, bench.kills.load(Ordering::Relaxed))
    })
}

fn postgres(server: &Postgres) -> Database {
    Database::parse(server.database().into()).unwrap()
}

#[test]
fn three_replicas_that_are_killed_make_500_servers_once() {
    let (a_second, kills) = deployed(postgres(Postgres::shared()), 3, 500, Some(150));
    println!("3 replicas on PostgreSQL, 500 deploys, {kills} kills: {a_second:.0} deploys a second");
    assert!(kills >= 10, "only {kills} kills");
}

/// The figures of docs/PERFORMANCE.md, with CAPSULE_DEPLOYS=1000; by itself only a small try.
#[test]
fn throughput_is_told() {
    let deploys = std::env::var("CAPSULE_DEPLOYS").map_or(40, |text| text.parse().unwrap());
    let server = Postgres::start(&[]);
    for replicas in 1..=3 {
        let (a_second, _) = deployed(postgres(&server), replicas, deploys, None);
        println!("{replicas} on PostgreSQL: {a_second:.0} deploys a second");
    }
    for replicas in 1..=3 {
        let home = tempfile::tempdir().unwrap();
        let (a_second, _) = deployed(Database::Sqlite(home.path().join("journal.db")), replicas, deploys, None);
        println!("{replicas} on SQLite: {a_second:.0} deploys a second");
    }
}
