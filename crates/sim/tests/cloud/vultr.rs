//! The simulated Vultr as a client sees it.

use std::sync::Arc;
use std::time::Duration;

use capsule_core::ManualClock;
use capsule_sim::{Fault, OTHER_KEY, Sim, What};
use serde_json::{Value, json};

use crate::{Client, world};

fn vultr() -> (Sim, Arc<ManualClock>, Client) {
    let (sim, clock, client) = world();
    (sim, clock, Client { base: "https://api.vultr.com".to_owned(), ..client })
}

fn order(label: &str) -> Value {
    json!({"region": "ewr", "plan": "vc2-1c-1gb", "os_id": 2284, "label": label, "tags": ["b", "a"]})
}

fn words(body: &Value) -> [Value; 3] {
    ["status", "power_status", "server_status"].map(|key| body["instance"][key].clone())
}

#[tokio::test]
async fn a_life_in_its_three_words() {
    let (sim, clock, client) = vultr();
    let made = client.post("/v2/instances", order("web")).await;
    assert_eq!(made.status, 202);
    let made = made.json();
    assert_eq!((&made["instance"]["main_ip"], &made["instance"]["tags"]), (&json!("0.0.0.0"), &json!(["a", "b"])));
    assert!(made["instance"]["default_password"].is_string());
    let path = format!("/v2/instances/{}", made["instance"]["id"].as_str().unwrap());
    // Each: how long after the one before, the words, and what a delete would be told.
    for (wait, expected) in [
        (0, ["pending", "running", "none"]),
        (6, ["pending", "running", "locked"]),
        (30, ["active", "running", "installingbooting"]),
    ] {
        clock.advance(Duration::from_secs(wait));
        let seen = client.get(&path).await.json();
        assert_eq!(words(&seen), expected.map(Value::from));
        assert_eq!(seen["instance"].get("default_password"), None);
        let locked = client.delete(&path).await;
        assert_eq!(locked.status, 500, "a locked server is no 4xx here");
        assert!(locked.json()["error"].as_str().unwrap().ends_with("Server is currently locked"));
    }
    clock.advance(Duration::from_secs(30));
    for (call, wait, expected) in [
        ("halt", 0, ["active", "running", "ok"]),
        ("halt", 10, ["active", "stopped", "ok"]),
        ("halt", 0, ["active", "stopped", "ok"]),
        ("start", 1, ["active", "stopped", "ok"]),
        ("start", 10, ["active", "running", "ok"]),
        ("reboot", 1, ["active", "running", "ok"]),
    ] {
        assert_eq!(client.post(&format!("{path}/{call}"), json!({})).await.status, 204);
        clock.advance(Duration::from_secs(wait));
        assert_eq!(words(&client.get(&path).await.json()), expected.map(Value::from), "{wait} s after {call}");
    }
    assert_eq!(client.delete(&path).await.status, 204);
    assert!(client.delete(&path).await.json()["error"].as_str().unwrap().contains("already pending destruction"));
    clock.advance(Duration::from_secs(20));
    assert_eq!(client.get(&path).await.json(), json!({"error": "Invalid instance ID.", "status": 404}));
    assert_eq!(client.delete(&path).await.status, 404);
    assert!(sim.ledger().unwrap().living().is_empty());
}

#[tokio::test]
async fn metal_is_a_world_of_its_own() {
    let (_, clock, client) = vultr();
    let mut body = order("big");
    body["plan"] = json!("vbm-4c-32gb");
    assert_eq!(client.post("/v2/instances", body.clone()).await.status, 400);
    let made = client.post("/v2/bare-metals", body).await.json()["bare_metal"].clone();
    assert_eq!((&made["status"], &made["main_ip"], &made["ram"]), (&json!("pending"), &json!(""), &json!("32768 MB")));
    assert_eq!(made.get("power_status"), None);
    let id = made["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/v2/instances/{id}")).await.status, 404);
    assert_eq!(client.get("/v2/instances").await.json()["instances"], json!([]));
    clock.advance(Duration::from_secs(600));
    assert_eq!(client.get(&format!("/v2/bare-metals/{id}")).await.json()["bare_metal"]["status"], "pending");
    clock.advance(Duration::from_secs(600));
    assert_eq!(client.post("/v2/bare-metals/halt", json!({"baremetal_ids": [id]})).await.status, 204);
    clock.advance(Duration::from_secs(600));
    let seen = client.get("/v2/bare-metals").await.json();
    assert_eq!(seen["bare_metals"][0]["status"], "active", "that it is off does not show");
}

#[tokio::test]
async fn cursors_lead_through_a_list_that_changes() {
    let (_, clock, client) = vultr();
    for n in 0..7 {
        assert_eq!(client.post("/v2/instances", order(&format!("n{n}"))).await.status, 202);
    }
    clock.advance(Duration::from_secs(100));
    let label = |page: &Value| -> Vec<String> {
        page["instances"]
            .as_array()
            .unwrap()
            .iter()
            .map(|server| server["label"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = client.get("/v2/instances?per_page=3").await.json();
    assert_eq!((label(&first), &first["meta"]["total"]), (vec!["n0".into(), "n1".into(), "n2".into()], &json!(7)));
    // What is removed from a page that was read shifts nothing.
    let id = first["instances"][1]["id"].as_str().unwrap();
    client.delete(&format!("/v2/instances/{id}")).await;
    clock.advance(Duration::from_secs(20));
    let next = first["meta"]["links"]["next"].as_str().unwrap();
    let second = client.get(&format!("/v2/instances?per_page=3&cursor={next}")).await.json();
    assert_eq!((label(&second), &second["meta"]["total"]), (vec!["n3".into(), "n4".into(), "n5".into()], &json!(6)));
    let next = second["meta"]["links"]["next"].as_str().unwrap();
    let last = client.get(&format!("/v2/instances?per_page=3&cursor={next}")).await.json();
    assert_eq!((label(&last), &last["meta"]["links"]["next"]), (vec!["n6".into()], &json!("")));
    assert_eq!(client.get("/v2/instances?label=n4").await.json()["meta"]["total"], 1);
    for nonsense in ["cursor=x", "per_page=0", "per_page=many"] {
        assert_eq!(client.get(&format!("/v2/instances?{nonsense}")).await.status, 400, "{nonsense}");
    }
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let (sim, _, client) = vultr();
    for (key, value) in [
        ("region", json!("mars")),
        ("region", json!(null)),
        ("plan", json!("huge")),
        ("plan", json!("vhf-8c-32gb")),
        ("os_id", json!(1)),
        ("os_id", json!(186)),
        ("os_id", json!(null)),
        ("snapshot_id", json!("x")),
        ("sshkey_id", json!(["x"])),
        ("user_data", json!("not base64!")),
        ("tags", json!("a")),
    ] {
        let mut body = order("web");
        body[key] = value;
        let reply = client.post("/v2/instances", body.clone()).await;
        assert_eq!((reply.status, reply.json()["status"].clone()), (400, json!(400)), "{body}");
    }
    sim.inject(Fault::once("vultr", "instances.create", What::NoCapacity)).unwrap();
    assert_eq!(client.post("/v2/instances", order("web")).await.status, 400);
    sim.edit(|world| world.accounts.iter_mut().for_each(|account| account.machine_limit = 1)).unwrap();
    assert_eq!(client.post("/v2/instances", order("web")).await.status, 202);
    assert_eq!(client.post("/v2/instances", order("web")).await.status, 400);
    assert_eq!(sim.ledger().unwrap().births.len(), 1);
}

#[tokio::test]
async fn what_is_public_needs_no_key_and_the_rest_does() {
    let (_, _, client) = vultr();
    let made = client.post("/v2/instances", order("web")).await.json();
    let path = format!("/v2/instances/{}", made["instance"]["id"].as_str().unwrap());
    assert_eq!(client.with_key(OTHER_KEY).get(&path).await.status, 404);
    let stranger = client.with_key("wrong");
    for (path, status) in [
        ("/v2/plans", 200),
        ("/v2/plans-metal", 200),
        ("/v2/regions", 200),
        ("/v2/regions/ewr/availability", 200),
        ("/v2/os", 200),
        ("/v2/account", 401),
        ("/v2/instances", 401),
        ("/v2/ssh-keys", 401),
    ] {
        assert_eq!(stranger.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn thirty_requests_a_second_whatever_the_key() {
    let (_, clock, client) = vultr();
    for n in 0..30 {
        let client = if n % 2 == 0 { client.clone() } else { client.with_key(OTHER_KEY) };
        assert_eq!(client.get("/v2/account").await.status, 200);
    }
    let refused = client.get("/v2/account").await;
    assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (429, "1"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.get("/v2/account").await.status, 200);
}
