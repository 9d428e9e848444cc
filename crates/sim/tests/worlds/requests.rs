//! How many requests `deploy --count 200` takes at each provider: under its documented limits, where each request takes 80
//! ms, with a key and user-data, until the last server runs. Time passes on the stage alone, so the figures are exact.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::{ByteStream, Ledgers, SendError, Transport};
use capsule_core::{Clock, Connect, Provider, ProviderId, Result, Settings, SshKey, Tags};
use capsule_engine::{Database, DeployRequest, Engine, Finish, OnFailure, Options, Providers, Silent, Wait};
use capsule_sim::{Ledger, Sim};

use crate::process::Process;
use crate::stage::Stage;
use crate::way::settings;
use crate::world::OWNER;

const SERVERS: usize = 200;
/// Half of the time that a request takes.
const ONE_WAY: Duration = Duration::from_millis(40);
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEfSYcJuYt9XzdTRkFsqjJT1+vfDGCtS3U+gbcAJZ7 capsule@test";

/// The most requests for 200 servers where that is not 1.1 for each: one call, and a tenth of that for looking.
const BOUNDS: [(&str, u64); 3] = [
    // Ten names in one call.
    ("digitalocean", 30),
    // The same, and each look takes four lists.
    ("hivelocity", 60),
    // The vendor's create makes a server that is stopped, and takes no user-data: these are two more calls for each.
    ("scaleway", 660),
];

#[derive(Debug)]
struct Slow(Arc<dyn Transport>, Arc<Stage>);

#[async_trait]
impl Transport for Slow {
    async fn send(&self, request: http::Request<Bytes>) -> std::result::Result<http::Response<ByteStream>, SendError> {
        self.1.sleep(ONE_WAY).await;
        let answer = self.0.send(request).await;
        self.1.sleep(ONE_WAY).await;
        answer
    }
}

/// Drivers as a user has them who set nothing but the keys.
struct Drivers(Arc<Slow>);

#[async_trait]
impl Providers for Drivers {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        let connect = Connect {
            settings: Settings { regions: vec![], ..settings(id.as_str()) },
            transport: self.0.clone(),
            clock: self.0.1.clone(),
            ledgers: Ledgers::default(),
        };
        (capsule_providers::find(id.as_str())?.connect)(connect).await
    }
}

/// The cloud's books after 200 servers were deployed there at once, and how long that took.
fn deploy(cloud: &'static str) -> (Ledger, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // In memory where there is a disk of it: the journal syncs at every event.
    let memory = std::path::Path::new("/dev/shm");
    let home = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let home = home.unwrap();
    let journal = home.path().join("journal.db");
    std::fs::write(&journal, &crate::ground().journal).unwrap();
    runtime.block_on(async {
        let stage = Stage::new(1);
        let sim = Sim::in_memory(stage.clone(), capsule_sim::Options::default());
        let options = Options {
            database: Database::Sqlite(journal),
            owner: OWNER.parse().unwrap(),
            clock: stage.clone(),
            providers: Arc::new(Drivers(Arc::new(Slow(sim.transport(), stage.clone())))),
            pace: 1,
            worker: "p".to_owned(),
            readiness: None,
            after_event: None,
            notice: None,
        };
        // Not seeded: then hundreds of operations would stand in line at the journal.
        let engine = Engine::open(options).await.unwrap();
        let request = DeployRequest {
            names: (0..SERVERS).map(|number| format!("node-{number:03}.example.com")).collect(),
            placements: crate::ground().placements[cloud].clone(),
            ssh_keys: vec![SshKey::Public(KEY.to_owned())],
            user_data: Some("#cloud-config\n".to_owned()),
            tags: Tags::new(),
            idempotency_key: None,
            asked: None,
            wait: Wait::Running,
            timeout: None,
            on_failure: OnFailure::Delete,
            goal: None,
        };
        let (began, running) = (stage.now(), engine.clone());
        let run = async move {
            let outcomes = running.deploy(request, &Silent).await.unwrap();
            let undone: Vec<_> = outcomes.iter().filter(|o| !matches!(o.finish, Finish::Done)).collect();
            assert!(outcomes.len() == SERVERS && undone.is_empty(), "{cloud}: {undone:?}");
        };
        let mut process = Process::new(0, stage.clone(), engine, run);
        process.run().await;
        while !process.is_over() {
            stage.go_on().expect("it waits for something");
            process.run().await;
        }
        (sim.ledger().unwrap(), Duration::try_from(stage.now().duration_since(began)).unwrap())
    })
}

#[test]
fn two_hundred_servers_take_few_requests() {
    let clouds: Vec<&'static str> = capsule_providers::all().iter().map(|entry| entry.descriptor.id.as_str()).collect();
    let deployed: Vec<(Ledger, Duration)> = std::thread::scope(|scope| {
        let each: Vec<_> = clouds.iter().map(|cloud| scope.spawn(|| deploy(cloud))).collect();
        each.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut over = Vec::new();
    for (cloud, (ledger, took)) in clouds.into_iter().zip(deployed) {
        let bound = BOUNDS.iter().find(|(exception, _)| *exception == cloud).map_or(220, |(_, bound)| *bound);
        let made = ledger.births.iter().filter(|birth| birth.kind == "machine").count();
        assert_eq!(made, SERVERS, "{cloud}");
        let mut operations: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, count) in &ledger.requests {
            let mut words = key.split(' ').skip(1);
            let (operation, status) = (words.next().unwrap(), words.next().unwrap());
            assert!(!matches!(status, "429" | "503" | "-"), "{cloud}: {count} x {key}");
            *operations.entry(operation).or_default() += count;
        }
        let sum: u64 = operations.values().sum();
        let parts: Vec<String> = operations.iter().map(|(operation, count)| format!("{count} {operation}")).collect();
        println!(
            "| {cloud} | {sum} | {:.2} | {} | {} s |",
            sum as f64 / SERVERS as f64,
            parts.join(", "),
            took.as_secs()
        );
        if sum > bound {
            over.push(format!("{cloud} takes {sum} requests, more than {bound}"));
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
