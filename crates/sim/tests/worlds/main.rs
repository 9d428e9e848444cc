//! Worlds drawn from seeds: several processes on one journal and real drivers on simulated clouds, while requests and
//! answers get lost, vendors fail, and processes are killed. After each, the property is checked: never twice, never lost.
//!
//! `CAPSULE_WORLDS=N` lives through so many worlds, `CAPSULE_INTENTS=N` through as many as it takes, `CAPSULE_SEED=N`
//! begins there, `CAPSULE_CROWD=N` lets a deploy ask for up to so many names more than one (1), `CAPSULE_HANDS=N` uses so
//! many threads (2); a violation tells its seed, the smallest plan that still shows it, and what happened in its order.

#![allow(clippy::print_stdout, reason = "figures for whoever asks with --nocapture")]

mod check;
mod command;
mod plan;
#[path = "../../../engine/tests/postgres/mod.rs"]
mod postgres;
mod process;
mod rarities;
mod replicas;
mod requests;
mod stage;
mod storm;
mod way;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use capsule_core::http::Ledgers;
use capsule_core::{Clock, Connect, ManualClock, PlanKind};
use capsule_engine::{Database, Engine, Options, Placement, Request, choose};
use capsule_sim::{Fault, Sim, What};
use sqlx::{ConnectOptions, Executor};

use plan::{Cloud, Order, Plan};
use world::{Ground, Sabotage, Story};

const WORLDS: u64 = 2_000;
/// Says how far it is after so many.
const PROGRESS: u64 = 1_000;

/// Leases that protect nobody: each is over in the moment in which it is taken.
const UNGUARDED: &str = "
    CREATE TRIGGER unguarded_begin AFTER INSERT ON operation BEGIN
        UPDATE operation SET lease_until = NEW.lease_until - 30000 WHERE id = NEW.id;
    END;
    CREATE TRIGGER unguarded_claim AFTER UPDATE OF lease_until ON operation WHEN NEW.lease_until > 0 BEGIN
        UPDATE operation SET lease_until = NEW.lease_until - 30000 WHERE id = NEW.id;
    END";

/// How each cloud's create is called by the simulator.
fn creates() -> Vec<(&'static str, &'static str)> {
    let create = |entry: &capsule_providers::Entry| {
        let id = entry.descriptor.id.as_str();
        let dialect = capsule_sim::dialect(id).unwrap_or_else(|| panic!("{id} has no dialect"));
        (id, dialect.rehearsal().create)
    };
    capsule_providers::all().iter().map(create).collect()
}

#[test]
fn worlds_hold() {
    let (first, intents) = (number("CAPSULE_SEED").unwrap_or(1), number("CAPSULE_INTENTS"));
    let worlds = number("CAPSULE_WORLDS").unwrap_or(if intents.is_some() { u64::MAX } else { WORLDS });
    let crowd = number("CAPSULE_CROWD").unwrap_or(1);
    let clock = capsule_core::SystemClock;
    let began = clock.now();
    let any = Sought { sabotage: Sabotage::Nothing, words: "" };
    let (sum, violated) = search(first, worlds, intents.unwrap_or(u64::MAX), crowd, any);
    println!(
        "{sum} in {:.0} s: {} violations",
        clock.now().duration_since(began).as_secs_f64(),
        u8::from(violated.is_some())
    );
    if let Some((plan, story)) = violated {
        let (plan, story) = shrink(plan, story, any);
        panic!("{}", tell(&plan, &story));
    }
    let tried = [sum.faults, sum.crashes, sum.servers, sum.orphans, sum.rebuilt];
    assert!(!tried.contains(&0), "something never happened, so it was not tried: {sum}");
}

#[test]
fn a_seed_is_one_story() {
    for seed in 1..=30 {
        let plan = Plan::draw(seed, &ground().clouds, 1);
        let once = block_on(&plan, Sabotage::Nothing, true);
        let twice = block_on(&plan, Sabotage::Nothing, true);
        assert_eq!(once.trace, twice.trace, "seed {seed}");
        assert_eq!(once.record, twice.record, "seed {seed}");
    }
}

/// A resume that waited for the lease of one operation let those run out that it held already.
#[test]
fn who_waits_for_one_operation_keeps_the_others() {
    let story = block_on(&Plan::plain(200_021, &ground().clouds, 1), Sabotage::Nothing, false);
    assert!(story.violations.is_empty(), "{:#?}", story.violations);
}

/// A deletion took a server for gone that it had seen in its order alone, and that was not to be looked up yet once that was
/// done.
#[test]
fn what_only_its_order_showed_is_not_gone_when_that_is_done() {
    let story = block_on(&Plan::plain(7_001_783, &ground().clouds, 20), Sabotage::Nothing, false);
    assert!(story.violations.is_empty(), "{:#?}", story.violations);
}

/// Servers whose order had waited for its turn were taken for gone while the vendor did not show them yet.
#[test]
fn what_waited_for_its_turn_is_not_gone() {
    let story = block_on(&Plan::plain(10_014_167, &ground().clouds, 20), Sabotage::Nothing, false);
    assert!(story.violations.is_empty(), "{:#?}", story.violations);
}

/// A deletion of what a late call had just made believed the answer that there was no such server: it counted its age from
/// the order, and the order was old.
#[test]
fn what_was_made_late_is_as_young_as_it_is_known() {
    let fault = |what| Fault::once("scaleway", "servers.create", what);
    let faults = vec![fault(What::Late(Duration::from_secs(119))), fault(What::ReadLag(Duration::from_secs(37)))];
    let plan = Plan::of("scaleway", vec![(0, Order::deploy("web")), (121, Order::Delete(0))], faults);
    let story = block_on(&plan, Sabotage::Nothing, false);
    assert!(story.violations.is_empty(), "{:#?}", story.violations);
    assert_eq!((story.faults, story.servers), (2, 1));
}

/// A call that was throttled at first arrived a while after the journal's line, and was carried out late by its arrival: that
/// was looked for from the line on, and so the order was sent again beside what it was about to make.
#[test]
fn a_call_that_arrives_late_has_its_time_as_well() {
    for wait in [30, 55, 59] {
        let first = Fault::once("linode", "instances.create", What::RateLimit(Some(Duration::from_secs(wait))));
        let late = Fault { skip: 1, ..Fault::once("linode", "instances.create", What::Late(Duration::from_secs(119))) };
        let plan = Plan::of("linode", vec![(0, Order::deploy("web"))], vec![first, late]);
        let story = block_on(&plan, Sabotage::Nothing, true);
        assert!(story.violations.is_empty(), "{:#?}\n{}", story.violations, story.trace.join("\n"));
    }
}

#[test]
fn without_adoption_there_are_doubles() {
    noticed(Sabotage::Blind, "at one time");
}

#[test]
fn a_post_that_is_sent_again_is_noticed() {
    noticed(Sabotage::SendsAgain, "at one time");
}

#[test]
fn claims_without_a_guard_are_noticed() {
    noticed(Sabotage::Unguarded, "took its operation");
}

#[test]
fn orphans_that_do_not_spare_what_is_being_made_are_noticed() {
    noticed(Sabotage::Unsparing, "is an orphan, and operation");
}

#[test]
fn a_rebuild_that_forgets_a_provider_is_noticed() {
    noticed(Sabotage::Forgets, "was there when the inventory was read back");
}

/// Asserts that a sabotage is told in these words within a few hundred worlds, and still is in the smallest of them. Others
/// may be told beside it: which world comes first is up to the threads.
fn noticed(sabotage: Sabotage, words: &'static str) {
    let sought = Sought { sabotage, words };
    let (_, violated) = search(1, 400, u64::MAX, 1, sought);
    let (plan, story) = violated.unwrap_or_else(|| panic!("{sabotage:?} goes unnoticed"));
    assert!(sought.found(&shrink(plan, story, sought).1));
}

/// What is looked for in worlds: a violation in whose text these words stand, under a sabotage.
#[derive(Debug, Clone, Copy)]
struct Sought {
    sabotage: Sabotage,
    words: &'static str,
}

impl Sought {
    fn found(self, story: &Story) -> bool {
        story.violations.iter().any(|violation| violation.contains(self.words))
    }
}

#[derive(Debug, Default)]
struct Sum {
    worlds: u64,
    intents: usize,
    faults: usize,
    crashes: usize,
    servers: usize,
    requests: u64,
    orphans: usize,
    rebuilt: usize,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sum { worlds, intents, faults, crashes, servers, requests, orphans, rebuilt } = self;
        write!(
            f,
            "{worlds} worlds, {intents} intents, {faults} faults, {crashes} crashes, {servers} servers, {requests} requests, \
             {orphans} orphans shown, {rebuilt} servers read back"
        )
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("it is a number"))
}

/// Lives through worlds from a seed on, until what is sought is found or there were as many worlds or intents as wanted.
fn search(first: u64, worlds: u64, intents: u64, crowd: u64, sought: Sought) -> (Sum, Option<(Plan, Story)>) {
    let (next, over) = (AtomicU64::new(first), AtomicBool::new(false));
    let (sum, violated) = (Mutex::new(Sum::default()), Mutex::new(None));
    let ground = ground();
    std::thread::scope(|scope| {
        for _ in 0..number("CAPSULE_HANDS").unwrap_or(2) {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - first >= worlds {
                        break;
                    }
                    let plan = Plan::draw(seed, &ground.clouds, crowd);
                    let story = block_on(&plan, sought.sabotage, false);
                    let mut sum = sum.lock().unwrap();
                    sum.worlds += 1;
                    sum.intents += story.intents;
                    sum.faults += story.faults;
                    sum.crashes += story.crashes;
                    sum.servers += story.servers;
                    sum.requests += story.requests;
                    sum.orphans += story.orphans;
                    sum.rebuilt += story.rebuilt;
                    if sum.worlds.is_multiple_of(PROGRESS) {
                        println!("up to seed {seed}: {sum}");
                    }
                    if sought.found(&story) {
                        *violated.lock().unwrap() = Some((plan, story));
                    }
                    if violated.lock().unwrap().is_some() || sum.intents as u64 >= intents {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    (sum.into_inner().unwrap(), violated.into_inner().unwrap())
}

/// The smallest plan that still violates what is sought.
fn shrink(mut plan: Plan, mut story: Story, sought: Sought) -> (Plan, Story) {
    'smaller: loop {
        for smaller in plan.smaller() {
            let found = block_on(&smaller, sought.sabotage, false);
            if sought.found(&found) {
                (plan, story) = (smaller, found);
                continue 'smaller;
            }
        }
        return (plan, story);
    }
}

fn tell(plan: &Plan, story: &Story) -> String {
    let traced = block_on(plan, Sabotage::Nothing, true);
    format!(
        "CAPSULE_SEED={}\n{}\n\n{plan:#?}\n\n{}\n\n{}",
        plan.seed,
        story.violations.join("\n"),
        traced.trace.join("\n"),
        traced.record
    )
}

fn block_on(plan: &Plan, sabotage: Sabotage, traced: bool) -> Story {
    // Where it exists, a disk in memory: what is written there is as good as on any other for a process that is killed.
    let memory = PathBuf::from("/dev/shm");
    let home = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let home = home.unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(world::live(plan, ground(), sabotage, home.path(), traced))
}

/// What every world shares.
fn ground() -> &'static Ground {
    static GROUND: OnceLock<Ground> = OnceLock::new();
    GROUND.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
            let sim = Sim::in_memory(clock.clone(), capsule_sim::Options::default());
            let (mut placements, mut metal, mut clouds) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
            for (id, create) in creates() {
                let connect = Connect {
                    settings: way::settings(id),
                    transport: sim.transport(),
                    clock: clock.clone(),
                    ledgers: Ledgers::default(),
                };
                let driver = (capsule_providers::find(id).unwrap().connect)(connect).await.unwrap();
                let list_lag = driver.capabilities().list_lag.as_secs();
                clouds.push(Cloud { id, create, list_lag });
                let request = Request { image: "ubuntu-24.04".to_owned(), ..Request::default() };
                let catalog = driver.catalog().await.unwrap();
                let offers = choose(&request, std::slice::from_ref(&catalog)).unwrap().placements;
                let mut two: Vec<Placement> = Vec::new();
                for offer in offers {
                    if two.len() < 2 && two.iter().all(|placement| placement.plan != offer.plan) {
                        two.push(offer);
                    }
                }
                let whole = Request { kind: Some(PlanKind::BareMetal), ..request };
                let whole = choose(&whole, &[catalog]).map(|ranking| ranking.placements).unwrap_or_default();
                metal.extend(whole.into_iter().next().map(|placement| (id, placement)));
                placements.insert(id, two);
            }
            let (journal, unguarded) = (empty_journal(clock.clone(), "").await, empty_journal(clock, UNGUARDED).await);
            Ground { placements, metal, clouds, journal, unguarded }
        })
    })
}

/// A journal with nothing in it: copying it is faster than making its tables in each world.
async fn empty_journal(clock: Arc<dyn Clock>, sql: &'static str) -> Vec<u8> {
    struct Nobody;
    #[async_trait::async_trait]
    impl capsule_engine::Providers for Nobody {
        async fn provider(
            &self,
            id: &capsule_core::ProviderId,
        ) -> capsule_core::Result<Arc<dyn capsule_core::Provider>> {
            panic!("{id} is asked for")
        }
    }
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let options = Options {
        database: Database::Sqlite(path.clone()),
        owner: world::OWNER.parse().unwrap(),
        clock,
        providers: Arc::new(Nobody),
        pace: 1,
        worker: "nobody".to_owned(),
        readiness: None,
        notice: None,
        after_event: None,
    };
    drop(Engine::open(options).await.unwrap());
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    std::fs::read(path).unwrap()
}
