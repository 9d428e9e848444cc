//! The simulated clouds as a client sees them.

mod aws;
mod bulk;
mod digitalocean;
mod equinix;
mod faults;
mod files;
mod guest;
mod linode;
mod scaleway;
mod vultr;

use std::sync::Arc;

use bytes::Bytes;
use capsule_core::ManualClock;
use capsule_core::http::{SendError, Transport};
use capsule_sim::{Options, SANDBOX_KEY, Sim};
use futures_util::StreamExt;
use serde_json::Value;

/// An answer that arrived whole.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

/// A client with a key and a base URL.
#[derive(Clone)]
struct Client {
    transport: Arc<dyn Transport>,
    base: String,
    key: String,
}

impl Client {
    fn in_process(sim: &Sim) -> Self {
        let base = "https://api.digitalocean.com".to_owned();
        Client { transport: sim.transport(), base, key: SANDBOX_KEY.to_owned() }
    }

    fn with_key(&self, key: &str) -> Self {
        Client { key: key.to_owned(), ..self.clone() }
    }

    async fn try_send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Reply, SendError> {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let mut request = http::Request::builder().method(method).uri(url);
        request = request.header("authorization", format!("Bearer {}", self.key));
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let (head, mut chunks) = self.transport.send(request.body(body).unwrap()).await?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk?);
        }
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.into() })
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.try_send(method, path, body).await.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, Some(body)).await
    }

    async fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None).await
    }
}

/// A droplet order that is in order.
fn order(name: &str, tags: &[&str]) -> Value {
    serde_json::json!({
        "name": name, "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3", "tags": tags,
    })
}

/// A world of its own, and the clock it lives by.
fn world() -> (Sim, Arc<ManualClock>, Client) {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let client = Client::in_process(&sim);
    (sim, clock, client)
}
