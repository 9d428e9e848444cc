//! A storm: many servers ordered at once while every tenth answer to a create call is lost after it took effect.
//!
//! What is in doubt is looked for in lists of all that is ours, shared by all that are in doubt and all that wait, so it
//! costs hardly more requests than a calm. `CAPSULE_STORM=N` orders so many at each cloud.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::Ledgers;
use capsule_core::{Clock, Connect, Provider, ProviderId, Result, Settings, Tags};
use capsule_engine::{
    Database, DeployRequest, Engine, Finish, OnFailure, OperationFilter, Options, Outcome, Providers, Silent, Wait,
};
use capsule_sim::{Fault, Sim, What};

use crate::process::Process;
use crate::stage::{Dice, Stage};
use crate::way::settings;
use crate::world::OWNER;

/// Of a hundred answers to a create call so many are lost.
const LOST: u64 = 10;
/// How long each request takes.
const TRIP: Duration = Duration::from_millis(100);
/// So many requests for each server may the storm cost more than the calm.
const MORE: f64 = 0.4;
/// So many may each server take beside the lists, which serve all: Scaleway makes one and starts it.
const MOST: f64 = 2.5;
/// In the tests that run each time.
const SERVERS: usize = 60;

/// What a storm came to.
#[derive(Debug)]
struct Figures {
    cloud: &'static str,
    ordered: usize,
    /// Answers lost.
    lost: usize,
    /// Servers that ever were.
    made: usize,
    living: usize,
    recorded: usize,
    /// Requests by what they are for.
    requests: BTreeMap<String, u64>,
    /// How long it took by the simulated clock.
    took: Duration,
}

impl Figures {
    fn of(&self, is: impl Fn(&str) -> bool) -> f64 {
        let sum: u64 = self.requests.iter().filter(|(name, _)| is(name)).map(|(_, count)| count).sum();
        sum as f64 / self.ordered as f64
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<13} {:>7} {:>5} {:>8.2} {:>7} {:>6} {:>7}",
            self.cloud,
            self.ordered,
            self.lost,
            self.of(|_| true),
            self.living - self.recorded,
            self.made - self.living,
            self.took.as_secs()
        )?;
        for (name, count) in &self.requests {
            write!(f, " {name}={count}")?;
        }
        Ok(())
    }
}

/// Whether it is part of a list, which serves all.
fn is_list(operation: &str) -> bool {
    operation.ends_with(".list")
        || ["ec2.DescribeInstances", "ec2.DescribeRegions", "orders.in_progress"].contains(&operation)
}

struct Drivers(Sim, Arc<Stage>);

#[async_trait]
impl Providers for Drivers {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        let (transport, clock, settings) = (self.0.transport(), self.1.clone(), settings(id.as_str()));
        // Every region that there is, as users have it.
        let settings = Settings { regions: vec![], ..settings };
        let connect = Connect { settings, transport, clock, ledgers: Ledgers::default() };
        (capsule_providers::find(id.as_str())?.connect)(connect).await
    }
}

/// Orders so many servers at a cloud in one deploy, through the storm and to the end.
async fn storm(cloud: &'static str, creates: &[&str], ordered: usize, chance: u64) -> Figures {
    let stage = Stage::new(1);
    let sim = Sim::in_memory(stage.clone(), capsule_sim::Options::default());
    let fault = |what, operation: Option<&str>, skip, times| Fault {
        provider: Some(cloud.into()),
        operation: operation.map(str::to_owned),
        skip,
        times,
        what,
        seen: 0,
    };
    let mut dice = Dice::new(7);
    // There are at least as many calls as servers at a cloud that makes ten at once.
    let mut faults: Vec<Fault> = (0..u32::try_from(ordered).unwrap())
        .filter(|_| dice.percent(chance))
        .flat_map(|n| creates.iter().map(move |create| fault(What::LoseReplyAfterEffect, Some(*create), n, Some(1))))
        .collect();
    faults.push(fault(What::Slow(TRIP), None, 0, None));
    sim.inject_all(faults).unwrap();

    let home = tempfile::tempdir_in(if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "." }).unwrap();
    let options = Options {
        database: Database::Sqlite(home.path().join("journal.db")),
        owner: OWNER.parse().unwrap(),
        clock: stage.clone(),
        providers: Arc::new(Drivers(sim.clone(), stage.clone())),
        pace: 1,
        worker: "storm".to_owned(),
        notice: None,
        readiness: None,
        after_event: None,
    };
    let engine = Engine::open_seeded(options, 1).await.unwrap();
    let request = DeployRequest {
        names: (0..ordered).map(|n| format!("web-{n:04}")).collect(),
        placements: crate::ground().placements[cloud][..1].to_vec(),
        ssh_keys: vec![],
        user_data: None,
        tags: Tags::new(),
        idempotency_key: None,
        asked: None,
        wait: Wait::Running,
        timeout: None,
        on_failure: OnFailure::Delete,
        goal: None,
    };
    let began = stage.now();
    let ends: Arc<Mutex<Vec<Outcome>>> = Arc::default();
    let (deploying, told) = (engine.clone(), ends.clone());
    let run = async move {
        let outcomes = deploying.deploy(request, &Silent).await.unwrap();
        told.lock().unwrap().extend(outcomes);
    };
    let mut process = Process::new(0, stage.clone(), engine.clone(), run);
    process.run().await;
    while !process.is_over() {
        stage.go_on().expect("it waits for something");
        process.run().await;
    }
    let took = Duration::try_from(stage.now().duration_since(began)).unwrap();

    for outcome in ends.lock().unwrap().iter() {
        assert!(matches!(outcome.finish, Finish::Done), "{cloud}: {outcome:?}");
    }
    assert!(engine.operations(&OperationFilter { open: true, ..Default::default() }).await.unwrap().is_empty());
    let ledger = sim.ledger().unwrap();
    let machines: Vec<_> = ledger.births.iter().filter(|birth| birth.kind == "machine").collect();
    let lives = |id: &str| ledger.living().iter().any(|birth| birth.id == id);
    let records = engine.inventory().await.unwrap();
    let mut requests = BTreeMap::new();
    let mut lost = 0;
    for (key, count) in &ledger.requests {
        let words: Vec<&str> = key.split(' ').collect();
        *requests.entry(words[1].to_owned()).or_insert(0) += count;
        lost += if words[2] == "-" { usize::try_from(*count).unwrap() } else { 0 };
    }
    Figures {
        cloud,
        ordered,
        lost,
        made: machines.len(),
        living: machines.iter().filter(|birth| lives(&birth.id)).count(),
        recorded: records.len(),
        requests,
        took,
    }
}

#[test]
fn a_storm_costs_hardly_more_than_a_calm() {
    let ordered = crate::number("CAPSULE_STORM").map_or(SERVERS, |n| usize::try_from(n).unwrap());
    crate::ground();
    println!("cloud         servers  lost requests strays doubles s");
    for (cloud, create) in crate::creates() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Hivelocity makes several at once by another call.
        let calm = runtime.block_on(storm(cloud, &[create, "compute.batch"], ordered, 0));
        println!("{calm}");
        let figures = runtime.block_on(storm(cloud, &[create, "compute.batch"], ordered, LOST));
        println!("{figures}");
        assert!(figures.lost > 0, "{figures}");
        for end in [&calm, &figures] {
            assert_eq!((end.made, end.living, end.recorded), (ordered, ordered, ordered), "{end}");
        }
        assert!(figures.of(|name| !is_list(name)) <= MOST, "{figures}");
        let more = figures.of(|_| true) - calm.of(|_| true);
        assert!(more <= MORE, "{more:.2} requests a server more than\n{calm}:\n{figures}");
    }
}
