//! Scaleway as a client sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use capsule_core::ManualClock;
use capsule_core::http::Transport;
use capsule_sim::{Options, SANDBOX_KEY, SANDBOX_PROJECT, Sim};
use futures_util::StreamExt;
use serde_json::{Value, json};

const ZONE: &str = "/instance/v1/zones/fr-par-1";

struct Client {
    transport: Arc<dyn Transport>,
}

impl Client {
    /// Status, headers and body.
    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, http::HeaderMap, String) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://api.scaleway.com{path}"))
            .header("x-auth-token", SANDBOX_KEY)
            .body(Bytes::from(body.to_owned()))
            .unwrap();
        let (head, mut chunks) = self.transport.send(request).await.unwrap().into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.unwrap());
        }
        (head.status.as_u16(), head.headers, String::from_utf8(body).unwrap())
    }

    async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, body) = self.send(method, path, &text).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, Value::Null).await
    }

    async fn act(&self, id: &str, action: &str) -> (u16, Value) {
        self.json("POST", &format!("{ZONE}/servers/{id}/action"), json!({ "action": action })).await
    }
}

fn world() -> (Sim, Arc<ManualClock>, Client) {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let client = Client { transport: sim.transport() };
    (sim, clock, client)
}

fn order(name: &str) -> Value {
    json!({"name": name, "commercial_type": "DEV1-S", "image": "ubuntu_noble", "project": SANDBOX_PROJECT, "tags": ["a", "b"]})
}

fn user_data(sim: &Sim) -> Option<String> {
    sim.look(|world| world.clouds["scaleway"].machines.iter().next().and_then(|server| server.user_data.clone()))
        .unwrap()
}

#[tokio::test]
async fn a_server_is_born_stopped_and_its_volume_outlives_it() {
    let (sim, clock, client) = world();
    let (status, made) = client.json("POST", &format!("{ZONE}/servers"), order("web")).await;
    assert_eq!((status, &made["server"]["state"]), (201, &json!("stopped")));
    let id = made["server"]["id"].as_str().unwrap();
    let volume = made["server"]["volumes"]["0"]["id"].as_str().unwrap();
    let (path, volume) = (format!("{ZONE}/servers/{id}"), format!("/block/v1/zones/fr-par-1/volumes/{volume}"));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(client.get(&path).await.1["server"]["state"], "stopped", "it does not start by itself");

    let set = |text: &'static str| {
        let path = format!("{path}/user_data/cloud-init");
        let client = &client;
        async move { client.send("PATCH", &path, text).await.0 }
    };
    assert_eq!(set("first").await, 204);
    assert_eq!(client.act(id, "poweron").await.0, 202);
    assert_eq!(set("second").await, 204);
    assert_eq!(client.act(id, "poweron").await.1["type"], "transient_state");
    assert_eq!(client.get(&path).await.1["server"]["state"], "starting");
    clock.advance(Duration::from_secs(25));
    let (_, seen) = client.get(&path).await;
    assert_eq!(
        (&seen["server"]["state"], &seen["server"]["state_detail"]),
        (&json!("running"), &json!("booting kernel"))
    );
    assert_eq!(user_data(&sim).as_deref(), Some("first"), "what comes after the first start is not read");

    assert_eq!(client.json("DELETE", &path, Value::Null).await.1["type"], "precondition_failed");
    assert_eq!(client.act(id, "stop_in_place").await.0, 202);
    clock.advance(Duration::from_secs(20));
    assert_eq!(client.get(&path).await.1["server"]["state"], "stopped in place");
    assert_eq!(client.act(id, "terminate").await.0, 202);
    assert_eq!(client.get(&path).await.1["server"]["state_detail"], "terminating");
    assert_eq!(client.json("DELETE", &volume, Value::Null).await.0, 400, "it still hangs on the server");
    clock.advance(Duration::from_secs(40));
    assert_eq!(client.get(&path).await.1["type"], "unknown_resource");
    assert_eq!(sim.ledger().unwrap().living().len(), 1, "the volume still costs");
    assert_eq!(client.json("DELETE", &volume, Value::Null).await.0, 204);
    assert!(sim.ledger().unwrap().living().is_empty());
}

#[tokio::test]
async fn lists_are_of_one_zone_and_filter_by_whole_tags() {
    let (_, _, client) = world();
    for name in ["web-1", "web-2", "db"] {
        client.json("POST", &format!("{ZONE}/servers"), order(name)).await;
    }
    for (query, names) in [
        ("", &["db", "web-2", "web-1"][..]),
        ("?order=creation_date_asc", &["web-1", "web-2", "db"]),
        ("?name=web", &["web-2", "web-1"]),
        ("?tags=a,b", &["db", "web-2", "web-1"]),
        ("?tags=a,c", &[]),
        ("?state=running", &[]),
        ("?per_page=2&page=2", &["web-1"]),
    ] {
        let (status, headers, body) = client.send("GET", &format!("{ZONE}/servers{query}"), "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let found: Vec<_> = body["servers"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!((status, found.as_slice()), (200, names), "{query}");
        if query.contains("per_page") {
            assert_eq!(headers["x-total-count"], "3");
        }
    }
    let (_, elsewhere) = client.get("/instance/v1/zones/nl-ams-1/servers").await;
    assert_eq!(elsewhere["servers"], json!([]));
    assert_eq!(client.get("/instance/v1/zones/fr-par-9/servers").await.0, 404);
    assert_eq!(client.get(&format!("{ZONE}/servers?per_page=101")).await.0, 400);
}

#[tokio::test]
async fn wrong_orders_are_refused_in_the_vendors_types() {
    let (sim, _, client) = world();
    for (field, value, status, kind) in [
        ("name", json!(""), 400, "invalid_arguments"),
        ("commercial_type", json!("NO-SUCH"), 400, "invalid_arguments"),
        ("commercial_type", json!("START1-S"), 400, "invalid_arguments"),
        ("image", json!("no_such"), 404, "not_found"),
        ("image", json!("00000000-0000-4000-8000-000000000000"), 404, "unknown_resource"),
        ("project", json!("00000000-0000-4000-8000-000000000000"), 403, "permissions_denied"),
        ("organization", json!(SANDBOX_PROJECT), 400, "invalid_arguments"),
        ("volumes", json!({"0": {"size": 1000}}), 400, "invalid_arguments"),
        ("volumes", json!({"0": {"size": 512, "volume_type": "b_ssd"}}), 400, "invalid_arguments"),
    ] {
        let mut body = order("web");
        body[field] = value;
        let (answered, refusal) = client.json("POST", &format!("{ZONE}/servers"), body).await;
        assert_eq!((answered, refusal["type"].as_str()), (status, Some(kind)), "{field}: {refusal}");
    }
    assert!(sim.ledger().unwrap().births.is_empty());
}
