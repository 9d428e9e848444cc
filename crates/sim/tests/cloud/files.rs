//! One world in a file, for several processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use capsule_core::SystemClock;
use capsule_sim::{Options, Sim};

use crate::{Client, order};

const CHILD: &str = "CAPSULE_SIM_TEST_WORLD";

fn open(path: &Path) -> Sim {
    Sim::open(path, Arc::new(SystemClock), Options { limits: false, ..Options::default() }).unwrap()
}

async fn create(client: &Client, name: &str) -> String {
    client.post("/v2/droplets", order(name, &[])).await.json()["droplet"]["id"].to_string()
}

#[tokio::test]
async fn what_one_does_the_other_sees() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("world.json");
    let (a, b) = (open(&path), open(&path));
    let (client_a, client_b) = (Client::in_process(&a), Client::in_process(&b));
    let id = create(&client_a, "a").await;
    assert_eq!(client_b.get(&format!("/v2/droplets/{id}")).await.status, 200);
    b.inject("*:droplets.list:status=500".parse().unwrap()).unwrap();
    assert_eq!(client_a.get("/v2/droplets").await.status, 500);
    assert_eq!(client_b.get("/v2/droplets").await.status, 200, "the fault is spent for both");
    let ledger = open(&path).ledger().unwrap();
    let seen_by_b = b.ledger().unwrap();
    assert_eq!((&ledger.births, &ledger.requests), (&seen_by_b.births, &seen_by_b.requests));
    assert_eq!(ledger.count("digitalocean", "droplets.list"), 2);
    b.reset().unwrap();
    assert_eq!(client_a.get(&format!("/v2/droplets/{id}")).await.status, 404);
    #[cfg(unix)]
    for file in ["world.json", "world.json.traffic", "world.json.lock"] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn threads_do_not_lose_one_anothers_servers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("world.json");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    let client = Client::in_process(&open(path));
                    for n in 0..15 {
                        create(&client, &format!("n-{thread}-{n}")).await;
                    }
                });
            });
        }
    });
    let births = open(&path).ledger().unwrap().births;
    let mut ids: Vec<_> = births.iter().map(|birth| birth.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((births.len(), ids.len()), (60, 60));
}

/// The other process of the tests below, which does nothing when it is not one.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let client = Client::in_process(&open(Path::new(&path)));
    for n in 0..10_000 {
        use std::io::Write;
        let id = create(&client, &format!("n-{n}")).await;
        // Not `println!`: the test harness would keep it.
        writeln!(std::io::stdout(), "id {id}").unwrap();
    }
}

#[test]
fn killed_clients_lose_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("world.json");
    let mut children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "files::child", "--nocapture"])
                .env(CHILD, &path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut told = Vec::new();
    for child in &mut children {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let ids = lines.filter_map(|line| line.rsplit_once("id ").map(|(_, id)| id.to_owned()));
        told.extend(ids.take(40));
        child.kill().unwrap();
    }
    for mut child in children {
        child.wait().unwrap();
    }
    assert_eq!(told.len(), 80);
    let births = open(&path).ledger().unwrap().births;
    for id in told {
        assert!(births.iter().any(|birth| birth.id == id), "{id} was answered, and is lost");
    }
}

#[tokio::test]
async fn a_file_older_than_a_cloud_learns_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("world.json");
    open(&path).edit(|world| world.accounts.clear()).unwrap();
    assert_eq!(Client::in_process(&open(&path)).get("/v2/account").await.status, 200);
}

#[test]
fn a_file_that_is_no_world_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("world.json");
    std::fs::write(&path, "precious").unwrap();
    let error = Sim::open(&path, Arc::new(SystemClock), Options::default()).unwrap_err();
    assert!(error.to_string().contains("cannot be understood"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
