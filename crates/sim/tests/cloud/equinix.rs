//! Equinix Metal as a client sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use capsule_core::ManualClock;
use capsule_core::http::Transport;
use capsule_sim::{Fault, OTHER_PROJECT, Options, SANDBOX_KEY, SANDBOX_PROJECT, Sim, What};
use futures_util::StreamExt;
use serde_json::{Value, json};

struct Client {
    transport: Arc<dyn Transport>,
}

impl Client {
    async fn as_whom(&self, key: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://api.equinix.com/metal/v1{path}"))
            .header("x-auth-token", key)
            .body(body)
            .unwrap();
        let (head, mut chunks) = self.transport.send(request).await.unwrap().into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.unwrap());
        }
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.as_whom(SANDBOX_KEY, method, path, body).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, Value::Null).await
    }

    async fn delete(&self, path: &str) -> u16 {
        self.send("DELETE", path, Value::Null).await.0
    }

    async fn act(&self, path: &str, what: &str) -> u16 {
        self.send("POST", &format!("{path}/actions"), json!({ "type": what })).await.0
    }

    async fn order(&self, body: Value) -> (u16, Value) {
        self.send("POST", &format!("/projects/{SANDBOX_PROJECT}/devices"), body).await
    }
}

fn equinix() -> (Sim, Arc<ManualClock>, Client) {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let client = Client { transport: sim.transport() };
    (sim, clock, client)
}

fn wish(hostname: &str) -> Value {
    json!({"metro": "da", "plan": "c3.small.x86", "operating_system": "ubuntu_24_04", "hostname": hostname,
        "tags": ["b", "a"]})
}

#[tokio::test]
async fn a_life_in_its_words() {
    let (sim, clock, client) = equinix();
    let (status, made) = client.order(wish("web")).await;
    assert_eq!((status, &made["state"], &made["ip_addresses"]), (201, &json!("queued"), &json!([])));
    assert!(made["plan"]["slug"].is_null() && made["plan"]["href"].is_string(), "a link: {}", made["plan"]);
    let path = format!("/devices/{}", made["id"].as_str().unwrap());
    for (wait, state) in [(0, "queued"), (20, "provisioning"), (200, "provisioning")] {
        clock.advance(Duration::from_secs(wait));
        assert_eq!(client.get(&path).await.1["state"], state);
        assert_eq!(client.delete(&path).await, 422, "not while it is provisioned");
        assert_eq!(client.act(&path, "power_off").await, 422);
    }
    clock.advance(Duration::from_secs(100));
    for (what, answer, wait, state) in [
        ("power_on", 422, 0, "active"),
        ("power_off", 202, 1, "powering_off"),
        ("power_off", 422, 30, "inactive"),
        ("reboot", 422, 0, "inactive"),
        ("power_on", 202, 1, "powering_on"),
        ("reboot", 422, 200, "active"),
        ("reboot", 202, 1, "powering_on"),
        ("dance", 422, 300, "active"),
    ] {
        assert_eq!(client.act(&path, what).await, answer, "{what}");
        clock.advance(Duration::from_secs(wait));
        assert_eq!(client.get(&path).await.1["state"], state, "{wait} s after {what}");
    }
    let whole = client.get(&format!("{path}?include=plan,metro,operating_system")).await.1;
    assert_eq!((&whole["plan"]["slug"], &whole["metro"]["code"]), (&json!("c3.small.x86"), &json!("da")));
    assert_eq!((&whole["tags"], whole["root_password"].is_string()), (&json!(["a", "b"]), true));
    clock.advance(Duration::from_secs(24 * 3600));
    assert!(client.get(&path).await.1["root_password"].is_null(), "it is told for a day");
    assert_eq!(client.send("PUT", &path, json!({"locked": true})).await.0, 200);
    assert_eq!(client.delete(&path).await, 422, "it is locked");
    assert_eq!(client.send("PUT", &path, json!({"locked": false, "tags": ["c"]})).await.1["tags"], json!(["c"]));
    assert_eq!(client.delete(&path).await, 204);
    assert_eq!(client.get(&path).await.1["state"], "deprovisioning");
    clock.advance(Duration::from_secs(100));
    assert_eq!(client.get(&path).await, (404, json!({"errors": ["Not found"]})));
    assert_eq!(client.delete(&path).await, 404);
    assert!(sim.ledger().unwrap().living().is_empty());
}

#[tokio::test]
async fn what_failed_stays_until_it_is_deleted() {
    let (sim, clock, client) = equinix();
    sim.inject(Fault::once("equinix", "devices.create", What::LateFailure)).unwrap();
    let made = client.order(wish("web")).await.1;
    let path = format!("/devices/{}", made["id"].as_str().unwrap());
    clock.advance(Duration::from_secs(1000));
    assert_eq!(client.get(&path).await.1["state"], "failed");
    assert_eq!(client.delete(&path).await, 204);
    assert_eq!((client.get(&path).await.0, client.delete(&path).await), (404, 404));
}

#[tokio::test]
async fn pages_and_filters() {
    let (_, _, client) = equinix();
    for n in 0..12 {
        assert_eq!(client.order(wish(&format!("n{n}"))).await.0, 201);
    }
    let list = |query: &'static str| {
        let client = &client;
        async move { client.get(&format!("/projects/{SANDBOX_PROJECT}/devices{query}")).await.1 }
    };
    let first = list("").await;
    let meta = &first["meta"];
    assert_eq!(
        (first["devices"].as_array().unwrap().len(), &meta["total"], &meta["last_page"]),
        (10, &json!(12), &json!(2))
    );
    let next = meta["next"]["href"].as_str().unwrap().strip_prefix("/metal/v1").unwrap();
    let second = client.get(next).await.1;
    assert_eq!((second["devices"].as_array().unwrap().len(), second["meta"].get("next")), (2, None));
    for (query, count) in
        [("?tag=a", 12), ("?tag=ab", 0), ("?hostname=n1", 3), ("?metro=sv", 0), ("?per_page=1000", 12)]
    {
        assert_eq!(list(query).await["meta"]["total"], count, "{query}");
    }
    for nonsense in ["?per_page=0", "?per_page=1001", "?page=x"] {
        assert!(list(nonsense).await["errors"].is_array(), "{nonsense}");
    }
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let (sim, _, client) = equinix();
    for (key, value) in [
        ("plan", json!("huge")),
        ("plan", json!("x2.xlarge.x86")),
        ("plan", json!(null)),
        ("metro", json!("mars")),
        ("metro", json!(null)),
        ("operating_system", json!("templeos")),
        ("operating_system", json!("custom_ipxe")),
        ("hostname", json!("under_score")),
        ("billing_cycle", json!("never")),
        ("project_ssh_keys", json!(["x"])),
        ("tags", json!("a")),
    ] {
        let mut body = wish("web");
        body[key] = value;
        let (status, answer) = client.order(body.clone()).await;
        assert_eq!((status, answer["errors"].is_array()), (422, true), "{body}");
    }
    let arm = json!({"metro": "da", "plan": "c3.large.arm64", "operating_system": "windows_2022"});
    assert_eq!(client.order(arm).await.0, 422, "it does not run there");
    let (status, answer) = client.order(json!({})).await;
    assert_eq!((status, answer["errors"].as_array().unwrap().len()), (422, 3), "all that is wrong at once");
    sim.inject(Fault::once("equinix", "devices.create", What::NoCapacity)).unwrap();
    assert!(client.order(wish("web")).await.1["errors"][0].as_str().unwrap().contains("capacity"));
    sim.edit(|world| world.accounts.iter_mut().for_each(|account| account.machine_limit = 1)).unwrap();
    assert_eq!(client.order(wish("web")).await.0, 201);
    assert!(client.order(wish("web")).await.1["errors"][0].as_str().unwrap().contains("quota"));
    assert_eq!(sim.ledger().unwrap().births.len(), 1);
}

#[tokio::test]
async fn a_project_is_its_accounts_own() {
    let (_, _, client) = equinix();
    let made = client.order(wish("web")).await.1;
    let path = format!("/devices/{}", made["id"].as_str().unwrap());
    assert_eq!(client.as_whom("wrong", "GET", &path, Value::Null).await.0, 401);
    assert_eq!(client.as_whom(capsule_sim::OTHER_KEY, "GET", &path, Value::Null).await.0, 404);
    assert_eq!(client.get(&format!("/projects/{OTHER_PROJECT}/devices")).await.0, 404);
    assert_eq!(client.get("/projects").await.1["projects"][0]["id"], SANDBOX_PROJECT);
}
