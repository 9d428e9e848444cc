//! The kept catalogue: fresh for an hour, old without a network, never of another place or region.

use std::sync::Arc;

use capsule_core::SystemClock;
use capsule_sim::{Options, SANDBOX_AWS_ACCESS_KEY, SANDBOX_AWS_SECRET_KEY, SANDBOX_KEY, Sim};

use crate::program::Program;

/// The simulated clouds on ports of this machine, until they are stopped.
struct Served {
    sim: Sim,
    /// One provider's URL, without the version path.
    url: String,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Served {
    fn start(provider: &'static str) -> Self {
        let sim = Sim::in_memory(Arc::new(SystemClock), Options::default());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (say, hear) = std::sync::mpsc::channel();
        let own = sim.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let serving = own.serve(0).await.unwrap();
                say.send(serving.base(provider).unwrap()).unwrap();
                stopped.await.unwrap();
                serving.stop().await;
            });
        });
        Served { sim, url: hear.recv().unwrap(), stop, thread }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

#[test]
fn without_a_network_the_kept_catalogue_is_used_and_says_its_age() {
    let program = Program::new();
    let served = Served::start("digitalocean");
    let endpoint = format!("{}/v2", served.url);
    let env = [("DIGITALOCEAN_TOKEN", SANDBOX_KEY), ("CAPSULE_DIGITALOCEAN_ENDPOINT", endpoint.as_str())];
    let run = |args: &[&str]| program.run_with(&env, args);
    let requests = || served.sim.ledger().unwrap().requests;

    let first = run(&["plans"]).exits(0);
    assert!(first.stderr.contains("ago; --refresh asks again"), "{first:?}");
    let asked = requests();
    for command in ["plans", "regions", "images", "cheapest"] {
        let again = run(&[command]).exits(0);
        assert!(again.stderr.contains("ago; --refresh asks again"), "{command}: {again:?}");
    }
    assert_eq!(requests(), asked, "a fresh catalogue is not asked for again");
    run(&["plans", "--refresh"]).exits(0);
    assert_ne!(requests(), asked, "unless somebody wants it");

    served.stop();
    let path = program.home().join("catalog-digitalocean.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    kept["catalog"]["at"] = "2025-01-01T00:00:00Z".into();
    std::fs::write(&path, kept.to_string()).unwrap();
    let old = run(&["plans"]).exits(0);
    assert_eq!(old.stdout, first.stdout);
    assert!(old.stderr.contains("Using the catalogue of") && old.stderr.contains("d ago"), "{old:?}");
    let shown = run(&["-o", "json", "cheapest"]).exits(0).json();
    assert_eq!(shown["placements"][0]["plan"], "s-1vcpu-512mb-10gb");
    // Who insists on a new one is told that there is none.
    let refused = run(&["plans", "--refresh"]).exits(1);
    assert!(refused.stderr.contains("error:"), "{refused:?}");
    // What another place said is no answer here.
    let moved = [env[0], ("CAPSULE_DIGITALOCEAN_ENDPOINT", "http://127.0.0.1:9/v2")];
    program.run_with(&moved, &["plans"]).exits(1);
}

#[test]
fn a_kept_catalogue_is_none_for_another_region() {
    let program = Program::new();
    let served = Served::start("aws");
    let plans = |region| {
        let env = [
            ("AWS_ACCESS_KEY_ID", SANDBOX_AWS_ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SANDBOX_AWS_SECRET_KEY),
            ("AWS_ENDPOINT_URL", served.url.as_str()),
            ("AWS_REGION", region),
        ];
        program.run_with(&env, &["-o", "json", "plans", "--provider", "aws"]).exits(0)
    };
    assert!(plans("us-east-1").stdout.contains("\"us-east-1\""));
    let asked = served.sim.ledger().unwrap().requests;
    let there = plans("eu-central-1");
    assert!(there.stdout.contains("\"eu-central-1\"") && !there.stdout.contains("\"us-east-1\""), "{there:?}");
    assert_ne!(served.sim.ledger().unwrap().requests, asked);
    served.stop();
}
