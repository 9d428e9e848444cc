//! What goes wrong, in process and over TCP.

use std::sync::Arc;
use std::time::Duration;

use capsule_core::http::{HttpTransport, Sent};
use capsule_core::{Clock, ManualClock};
use capsule_sim::{Options, SANDBOX_KEY, Serving, Sim};
use serde_json::Value;

use crate::{Client, order};

/// What the client learns of a create under a fault.
#[derive(Debug, PartialEq, Eq)]
enum Learns {
    Status(u16),
    Garbage,
    NotSent,
    MaybeSent,
}

/// Fault, what the client learns in process, and how many servers there are then. Over TCP only `refuse` differs.
const TABLE: [(&str, Learns, usize); 16] = [
    ("refuse", Learns::NotSent, 0),
    ("lose-request", Learns::MaybeSent, 0),
    ("lose-reply", Learns::MaybeSent, 1),
    ("reset", Learns::MaybeSent, 1),
    ("truncate", Learns::MaybeSent, 1),
    ("garbage", Learns::Garbage, 1),
    ("status=500", Learns::Status(500), 0),
    ("status-after=500", Learns::Status(500), 1),
    ("status-after=504", Learns::Garbage, 1),
    ("duplicate", Learns::Status(202), 2),
    ("late=60s", Learns::Garbage, 0),
    ("rate-limit", Learns::Status(429), 0),
    ("rate-limit=7s", Learns::Status(429), 0),
    ("no-capacity", Learns::Status(422), 0),
    ("late-failure", Learns::Status(202), 1),
    ("slow=20ms", Learns::Status(202), 1),
];

async fn served() -> (Sim, Serving, Client, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let serving = sim.serve(0).await.unwrap();
    let base = serving.base("digitalocean").unwrap();
    let client = Client { transport: Arc::new(HttpTransport::new()), base, key: SANDBOX_KEY.to_owned() };
    (sim, serving, client, clock)
}

async fn learn(client: &Client) -> Learns {
    match client.try_send("POST", "/v2/droplets", Some(order("web", &[]))).await {
        Ok(reply) if serde_json::from_slice::<Value>(&reply.body).is_err() => Learns::Garbage,
        Ok(reply) => Learns::Status(reply.status),
        Err(error) if error.sent == Sent::No => Learns::NotSent,
        Err(_) => Learns::MaybeSent,
    }
}

#[tokio::test]
async fn each_fault_in_process() {
    for (what, learns, born) in TABLE {
        let (sim, _, client) = crate::world();
        sim.inject(format!("digitalocean:droplets.create:{what}").parse().unwrap()).unwrap();
        assert_eq!(learn(&client).await, learns, "{what}");
        assert_eq!(sim.ledger().unwrap().births.len(), born, "{what}");
        assert_eq!(learn(&client).await, Learns::Status(202), "{what} strikes once");
    }
}

#[tokio::test]
async fn each_fault_over_tcp() {
    let (sim, serving, client, _) = served().await;
    for (what, learns, born) in TABLE {
        sim.reset().unwrap();
        let fault = format!("digitalocean:droplets.create:{what}");
        let added = client
            .transport
            .send(http::Request::post(format!("{}/_sandbox/faults", client.base)).body(fault.into()).unwrap());
        assert_eq!(added.await.unwrap().status(), 200);
        let expected = if what == "refuse" { Learns::MaybeSent } else { learns };
        assert_eq!(learn(&client).await, expected, "{what}");
        let ledger = client.get("/_sandbox/ledger").await.json();
        assert_eq!(ledger["births"].as_array().unwrap().len(), born, "{what}");
        assert_eq!(learn(&client).await, Learns::Status(202), "{what} strikes once");
    }
    serving.stop().await;
    assert!(client.try_send("GET", "/v2/account", None).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn the_control_path_refuses_what_it_does_not_understand() {
    let (sim, serving, client, _) = served().await;
    let post = |text: &'static str| {
        let request = http::Request::post(format!("{}/_sandbox/faults", client.base)).body(text.into()).unwrap();
        let transport = client.transport.clone();
        async move { transport.send(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(post("*:*:reset\nnonsense\n").await, 400);
    assert_eq!(post("*:*:reset\nnowhere:*:reset\n").await, 400);
    assert!(sim.look(|world| world.faults.is_empty()).unwrap(), "all or none");
    assert_eq!(post("*:*:reset@9\n\n*:*:hang@9\n").await, 200);
    assert_eq!(client.get("/_sandbox/faults").await.body, "*:*:reset@9\n*:*:hang@9\n");
    assert_eq!(client.delete("/_sandbox/faults").await.status, 204);
    assert_eq!(client.get("/_sandbox/faults").await.body, "");
    assert_eq!(client.get("/_sandbox/else").await.status, 404);
    serving.stop().await;
}

#[tokio::test]
async fn links_over_tcp_lead_back_to_the_port() {
    let (_, serving, client, _) = served().await;
    let made = client.post("/v2/droplets", order("web", &[])).await.json();
    let href = made["links"]["actions"][0]["href"].as_str().unwrap();
    assert!(href.starts_with(&client.base), "{href}");
    assert_eq!(client.get(href).await.status, 200);
    let id = &made["droplet"]["id"];
    assert_eq!(client.delete(&format!("/v2/droplets/{id}")).await.status, 204);
    serving.stop().await;
}

#[tokio::test]
async fn a_hanging_request_lasts_longer_than_any_time_limit() {
    for (what, born) in [("hang", 0), ("hang-after", 1)] {
        let (sim, clock, client) = crate::world();
        sim.inject(format!("*:*:{what}").parse().unwrap()).unwrap();
        let limit = clock.now() + Duration::from_secs(30);
        tokio::select! {
            learnt = learn(&client) => assert_eq!(learnt, Learns::MaybeSent),
            () = clock.until(limit) => {}
        }
        assert!(clock.now() >= limit && clock.now() < limit + Duration::from_secs(2), "nobody waits longer");
        assert_eq!(sim.ledger().unwrap().births.len(), born, "{what}");
    }
}

#[tokio::test]
async fn new_servers_can_be_hidden_for_a_while() {
    let (sim, clock, client) = crate::world();
    for fault in ["*:droplets.create:list-lag=20s", "*:droplets.create:read-lag=10s", "*:droplets.create:lose-reply"] {
        sim.inject(fault.parse().unwrap()).unwrap();
    }
    assert_eq!(learn(&client).await, Learns::MaybeSent, "faults act together");
    let id = sim.ledger().unwrap().births[0].id.clone();
    let total = async || client.get("/v2/droplets").await.json()["meta"]["total"].clone();
    let status = async || client.get(&format!("/v2/droplets/{id}")).await.status;
    assert_eq!((total().await, status().await), (0.into(), 404));
    clock.advance(Duration::from_secs(10));
    assert_eq!((total().await, status().await), (0.into(), 200));
    clock.advance(Duration::from_secs(10));
    assert_eq!((total().await, status().await), (1.into(), 200));
}

#[tokio::test]
async fn hosts_that_nobody_answers_for_are_not_reached() {
    let (_, _, client) = crate::world();
    let error = client.try_send("GET", "https://api.example.com/", None).await.unwrap_err();
    assert_eq!(error.sent, Sent::No);
}
