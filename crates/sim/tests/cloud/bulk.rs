//! Many servers.

use std::sync::Arc;

use capsule_core::ManualClock;
use capsule_sim::{Options, Sim};
use serde_json::json;

use crate::Client;

#[tokio::test]
async fn two_thousand_servers_are_listed_whole() {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock, Options { limits: false, ..Options::default() });
    let client = Client::in_process(&sim);
    for batch in 0..200 {
        let names: Vec<_> = (0..10).map(|n| format!("n-{batch}-{n}")).collect();
        let body = json!({"names": names, "size": "s-1vcpu-1gb", "image": "debian-12-x64", "tags": ["bulk"]});
        assert_eq!(client.post("/v2/droplets", body).await.status, 202);
    }
    let mut names = Vec::new();
    for page in 1..=10 {
        let page = client.get(&format!("/v2/droplets?tag_name=bulk&per_page=200&page={page}")).await.json();
        names.extend(page["droplets"].as_array().unwrap().iter().map(|droplet| droplet["name"].to_string()));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 2_000);
}
