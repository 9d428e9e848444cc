//! `list` asks all providers and all their regions at once.

use std::collections::BTreeSet;

use capsule_sim::{SANDBOX_AWS_ACCESS_KEY, SANDBOX_AWS_SECRET_KEY, SANDBOX_KEY, SANDBOX_PROJECT};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::program::Program;
use crate::served::Served;

/// Stands before the simulated clouds and lets nothing through until so many requests are waiting here. Whoever waits for
/// one answer before the next request is sent waits here for ever.
struct Gate {
    waiting: watch::Sender<usize>,
    needed: usize,
}

impl Gate {
    /// A port of this machine that leads to `url` through a gate.
    async fn before(gate: &'static Gate, url: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let to = url.trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(gate.pass(client, to.clone()));
            }
        });
        format!("http://{address}")
    }

    /// A connection carries one request at a time, so the first that it has to read is a request that waits.
    async fn pass(&self, mut client: TcpStream, to: String) {
        client.readable().await.unwrap();
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.waiting.subscribe().wait_for(|waiting| *waiting >= self.needed).await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        // The program may end before its connections do.
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

#[tokio::test]
async fn list_asks_all_providers_and_regions_at_once_and_names_the_one_that_fails() {
    let program = Program::new();
    for provider in ["digitalocean", "scaleway"] {
        let name = format!("at-{provider}");
        program.sandbox(&["deploy", &name, "--min-cpu", "1", "--provider", provider]).exits(0);
    }
    program.run(&["sandbox", "fault", "linode:instances.list:status=400x*"]).exits(0);
    let served = Served::start(&program);
    // One of DigitalOcean and Linode, two of Vultr and AWS, one of each of Scaleway's ten zones.
    let gate: &'static Gate = Box::leak(Box::new(Gate { waiting: watch::Sender::new(0), needed: 1 + 1 + 2 + 2 + 10 }));
    let before = async |provider, path| format!("{}{path}", Gate::before(gate, served.url(provider)).await);
    let env = [
        ("CAPSULE_DIGITALOCEAN_ENDPOINT", before("digitalocean", "/v2").await),
        ("DIGITALOCEAN_TOKEN", SANDBOX_KEY.to_owned()),
        ("DIGITALOCEAN_GPU_DROPLETS", "no".to_owned()),
        ("CAPSULE_LINODE_ENDPOINT", before("linode", "/v4").await),
        ("LINODE_TOKEN", SANDBOX_KEY.to_owned()),
        ("CAPSULE_VULTR_ENDPOINT", before("vultr", "/v2").await),
        ("VULTR_API_KEY", SANDBOX_KEY.to_owned()),
        ("CAPSULE_AWS_ENDPOINT", before("aws", "").await),
        ("AWS_ACCESS_KEY_ID", SANDBOX_AWS_ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SANDBOX_AWS_SECRET_KEY.to_owned()),
        ("CAPSULE_AWS_REGIONS", "us-east-1,eu-central-1".to_owned()),
        ("CAPSULE_SCALEWAY_ENDPOINT", before("scaleway", "").await),
        ("SCW_SECRET_KEY", SANDBOX_KEY.to_owned()),
        ("SCW_DEFAULT_PROJECT_ID", SANDBOX_PROJECT.to_owned()),
    ];
    let list = move || {
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        program.run_with(&env, &["-o", "json", "list"])
    };
    let run = tokio::task::spawn_blocking(list).await.unwrap().exits(1);

    assert!(run.stderr.contains("linode"), "{run:?}");
    let listed = run.json();
    let instances = listed["instances"].as_array().unwrap();
    let names: BTreeSet<_> = instances.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["at-digitalocean", "at-scaleway"]));
    let failed: Vec<_> = listed["errors"].as_array().unwrap().iter().map(|error| &error["provider"]).collect();
    assert_eq!(failed, ["linode"]);
    assert_eq!(*gate.waiting.borrow(), gate.needed, "nothing was asked twice");
}
