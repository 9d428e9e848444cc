//! Linode's API v4.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use capsule_core::{Clock, ManualClock, ProviderId};
use capsule_sim::{Fault, OTHER_KEY, Sim, Stage, What};
use serde_json::{Value, json};

use crate::{Client, Reply, world};

fn linode() -> (Sim, Arc<ManualClock>, Client) {
    let (sim, clock, client) = world();
    (sim, clock, Client { base: "https://api.linode.com/v4".to_owned(), ..client })
}

fn order(label: &str) -> Value {
    json!({
        "label": label, "type": "g6-nanode-1", "region": "us-ord", "image": "linode/ubuntu24.04",
        "root_pass": "long-Enough-0123456789", "tags": ["capsule-owner:me"],
    })
}

fn reasons(reply: &Reply) -> Vec<(String, String)> {
    let errors = reply.json()["errors"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| (text(&error["field"]), text(&error["reason"]))).collect()
}

#[tokio::test]
async fn a_linode_lives_and_ends() {
    let (sim, clock, client) = linode();
    let made = client.post("/linode/instances", order("web-1")).await;
    assert_eq!((made.status, &made.json()["status"]), (200, &json!("provisioning")));
    let path = format!("/linode/instances/{}", made.json()["id"]);
    assert_eq!(made.json()["created"], "2026-01-01T00:00:00", "times do not say that they are UTC");
    assert_eq!(made.json()["ipv4"].as_array().unwrap().len(), 1, "the address is there from the start");
    let busy = client.post(&format!("{path}/shutdown"), json!({})).await;
    assert_eq!((busy.status, reasons(&busy)[0].1.as_str()), (400, "Linode busy."));

    clock.advance(Duration::from_secs(40));
    assert_eq!(client.get(&path).await.json()["status"], "running");
    for (job, seconds, end) in [("shutdown", 10, "offline"), ("boot", 15, "running"), ("reboot", 20, "running")] {
        let answer = client.post(&format!("{path}/{job}"), json!({})).await;
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{job}");
        assert_ne!(client.get(&path).await.json()["status"], end, "{job} takes its time");
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(client.get(&path).await.json()["status"], end, "{job}");
    }
    assert_eq!(client.with_key(OTHER_KEY).get(&path).await.status, 404);
    assert_eq!(
        (client.delete(&path).await.status, client.get(&path).await.json()["status"].clone()),
        (200, json!("deleting"))
    );
    clock.advance(Duration::from_secs(4));
    assert_eq!((client.get(&path).await.status, client.delete(&path).await.status), (404, 404));
    assert!(sim.ledger().unwrap().orphans("me").is_empty());
}

#[tokio::test]
async fn a_label_is_unique_in_its_account_even_before_it_is_listed() {
    let (sim, clock, client) = linode();
    let lag = What::ListLag(Duration::from_secs(60));
    sim.inject(Fault::once(ProviderId::new("linode"), "instances.create", lag)).unwrap();
    let made = client.post("/linode/instances", order("web-1")).await.json();
    assert_eq!(client.get("/linode/instances").await.json()["results"], 0);
    let again = client.post("/linode/instances", order("web-1")).await;
    assert_eq!(again.status, 400);
    assert_eq!(reasons(&again), [("label".to_owned(), "Label must be unique among your linodes".to_owned())]);
    assert_eq!(client.with_key(OTHER_KEY).post("/linode/instances", order("web-1")).await.status, 200);
    client.delete(&format!("/linode/instances/{}", made["id"])).await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(client.post("/linode/instances", order("web-1")).await.status, 200, "what is gone has no name");
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused_field_by_field() {
    let (sim, _, client) = linode();
    for (key, value) in [
        ("type", json!("huge")),
        ("type", Value::Null),
        ("region", json!("us-nowhere")),
        ("image", json!("linode/none")),
        ("label", json!("ab")),
        ("label", json!("web--1")),
        ("label", json!("1web")),
        ("root_pass", Value::Null),
        ("root_pass", json!("aaaaaaaaaaaaaaa")),
        ("tags", json!(["ab"])),
        ("authorized_keys", json!(["no key"])),
        ("authorized_users", json!(["nobody"])),
        ("metadata.user_data", json!("%")),
        ("metadata.user_data", json!(base64::prelude::BASE64_STANDARD.encode("x".repeat(65_536)))),
    ] {
        let mut body = order("web-1");
        match key.split_once('.') {
            Some((outer, inner)) => body[outer] = json!({ inner: value }),
            None => body[key] = value.clone(),
        }
        let refused = client.post("/linode/instances", body).await;
        assert_eq!(refused.status, 400, "{key} {value}");
        assert_eq!(reasons(&refused)[0].0, key, "{key} {value}");
    }
    let all = client.post("/linode/instances", json!({"image": "linode/debian12"})).await;
    let fields: Vec<String> = reasons(&all).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["type", "region", "root_pass"]);
    assert!(sim.ledger().unwrap().living().is_empty());
}

const NODE: &str = "#cloud-config\nruncmd:\n  - |\n    export VERSION=v1.0.0 XNODE_OWNER=eth:fcad0b19bb29d4674531d6f115237e16afce377c\n    curl -fsSL \
    https://raw.githubusercontent.com/Openmesh-Network/xnodeos/main/install.sh | bash 2>&1 | tee /tmp/xnodeos.log\n";

#[tokio::test]
async fn what_its_profile_says_decides_what_comes_back_from_an_install() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let direct = || json!({"kernel": "linode/direct-disk", "helpers": {"network": false}});
    for (change, at, expected) in [
        (None, minutes(2), Stage::Dead),
        (Some(direct()), minutes(2), Stage::Ready),
        (Some(json!({"kernel": "linode/direct-disk"})), minutes(2), Stage::Dead),
        (Some(json!({"helpers": {"network": false}})), minutes(2), Stage::Dead),
        // Before its first boot, the ordered system has no loader of its own.
        (Some(direct()), Duration::ZERO, Stage::Dead),
        // After the install it is read at the next boot.
        (Some(direct()), minutes(15), Stage::Dead),
    ] {
        let (sim, clock, client) = linode();
        let mut order = order("web");
        order["type"] = "g6-standard-2".into();
        order["metadata"] = json!({"user_data": base64::prelude::BASE64_STANDARD.encode(NODE)});
        let made = client.post("/linode/instances", order).await.json();
        let path = format!("/linode/instances/{}", made["id"]);
        clock.advance(at);
        let listed = client.get(&format!("{path}/configs")).await.json();
        assert_eq!((&listed["results"], &listed["data"][0]["kernel"]), (&json!(1), &json!("linode/grub2")));
        let profile = format!("{path}/configs/{}", listed["data"][0]["id"]);
        if let Some(change) = &change {
            let changed = client.put(&profile, change.clone()).await;
            assert_eq!((changed.status, changed.json()), (200, client.get(&profile).await.json()));
            assert_eq!(changed.json()["helpers"]["distro"], true, "what is left out stays");
        }
        clock.advance(minutes(20) - at);
        let stage = || sim.guest("linode", &made["id"].to_string()).unwrap().unwrap().stage_at(clock.now());
        assert_eq!(stage(), expected, "{change:?} after {at:?}");
        if at == minutes(15) {
            client.post(&format!("{path}/reboot"), json!({})).await;
            clock.advance(minutes(1));
            assert_eq!(stage(), Stage::Ready, "rebooted by hand");
        }
    }
}

#[tokio::test]
async fn profiles_refuse_what_does_not_fit() {
    let (_, _, client) = linode();
    let made = client.post("/linode/instances", order("web")).await.json();
    let profiles = format!("/linode/instances/{}/configs", made["id"]);
    let profile = format!("{profiles}/{}", client.get(&profiles).await.json()["data"][0]["id"]);
    for (change, field) in [
        (json!({"kernel": "linode/none"}), "kernel"),
        (json!({"helpers": {"network": "off"}}), "helpers"),
        (json!({"helpers": {"net": false}}), "helpers"),
        (json!({"label": ""}), "label"),
    ] {
        let refused = client.put(&profile, change).await;
        assert_eq!((refused.status, reasons(&refused)[0].0.as_str()), (400, field));
    }
    assert_eq!(client.get(&format!("{profiles}/1")).await.status, 404);
    assert_eq!(client.with_key(OTHER_KEY).put(&profile, json!({})).await.status, 404);
    let bare = client.post("/linode/instances", json!({"type": "g6-nanode-1", "region": "us-ord"})).await.json();
    let none = client.get(&format!("/linode/instances/{}/configs", bare["id"])).await.json();
    assert_eq!(none["results"], 0, "without an image there is nothing to boot");
}

#[tokio::test]
async fn anybody_may_see_the_catalogue() {
    let (_, _, client) = linode();
    for path in ["/regions", "/linode/types", "/images", "/regions/availability", "/images/linode%2Fdebian12"] {
        let request = http::Request::get(format!("{}{path}", client.base)).body(Bytes::new()).unwrap();
        assert_eq!(client.transport.send(request).await.unwrap().status(), 200, "{path} without a token");
        let stranger = client.with_key("not-a-key").get(path).await;
        assert_eq!((stranger.status, reasons(&stranger)[0].1.as_str()), (401, "Invalid Token"), "{path}");
    }
    let request = http::Request::get(format!("{}/profile", client.base)).body(Bytes::new()).unwrap();
    assert_eq!(client.transport.send(request).await.unwrap().status(), 401);
    let jakarta = client.get("/linode/types/g6-nanode-1").await;
    assert!(String::from_utf8_lossy(&jakarta.body).contains(r#""hourly":0.009"#), "{:?}", jakarta.body);
    for (query, status) in [("page_size=24", 400), ("page_size=501", 400), ("page=0", 400), ("page=2", 404)] {
        assert_eq!(client.get(&format!("/regions?{query}")).await.status, status, "{query}");
    }
    assert!(client.get("/regions/us-ord/availability").await.json().is_array());
}

#[tokio::test]
async fn twenty_creates_fit_fifteen_seconds() {
    let (_, clock, client) = linode();
    for n in 0..20 {
        assert_eq!(client.post("/linode/instances", order(&format!("web-{n}"))).await.status, 200);
    }
    let refused = client.post("/linode/instances", order("web-20")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        (refused.headers["x-ratelimit-limit"].to_str().unwrap(), refused.headers["retry-after"].to_str().unwrap()),
        ("20", "15")
    );
    assert_eq!(client.get("/linode/instances").await.status, 200, "other routes have limits of their own");
    clock.advance(Duration::from_secs(15));
    assert_eq!(client.post("/linode/instances", order("web-20")).await.status, 200);
}
