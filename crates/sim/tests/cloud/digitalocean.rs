//! DigitalOcean's API v2.

use std::time::Duration;

use capsule_sim::{Fault, OTHER_KEY, What};
use serde_json::{Value, json};

use crate::{order, world};

#[tokio::test]
async fn a_droplet_lives_and_ends() {
    let (sim, clock, client) = world();
    let made = client.post("/v2/droplets", order("web-1", &["capsule-owner:me", "web"])).await;
    assert_eq!(made.status, 202);
    let made = made.json();
    let id = made["droplet"]["id"].as_u64().unwrap();
    assert_eq!((&made["droplet"]["status"], &made["droplet"]["networks"]["v4"]), (&json!("new"), &json!([])));
    let path = format!("/v2/droplets/{id}");
    let action = format!("/v2/actions/{}", made["links"]["actions"][0]["id"]);
    assert_eq!(client.get(&action).await.json()["action"]["status"], "in-progress");

    clock.advance(Duration::from_secs(5));
    let building = client.get(&path).await.json();
    let types = |droplet: &Value| -> Vec<String> {
        let networks = droplet["droplet"]["networks"]["v4"].as_array().unwrap();
        networks.iter().map(|network| network["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&building), ["private"]);

    clock.advance(Duration::from_secs(30));
    let running = client.get(&path).await.json();
    assert_eq!(running["droplet"]["status"], "active");
    assert_eq!(types(&running), ["private", "public"]);
    assert_eq!(client.get(&action).await.json()["action"]["status"], "completed");
    assert_eq!(sim.ledger().unwrap().orphans("me").len(), 1);

    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.get(&path).await.status, 200, "it can still be read for some seconds");
    clock.advance(Duration::from_secs(5));
    assert_eq!(client.get(&path).await.status, 404);
    assert_eq!(client.delete(&path).await.status, 404);
    let ledger = sim.ledger().unwrap();
    assert!(ledger.living().is_empty() && ledger.orphans("me").is_empty());
    assert_eq!(ledger.born_of("me").len(), 1);
    assert_eq!(ledger.count_status("digitalocean", "droplets.create", 202), 1);
    assert_eq!(ledger.count("digitalocean", "droplets.delete"), 2);
}

#[tokio::test]
async fn several_names_make_several_droplets() {
    let (_, _, client) = world();
    let mut body = order("x", &["batch"]);
    body.as_object_mut().unwrap().remove("name");
    body["names"] = json!(["a", "b", "c"]);
    let made = client.post("/v2/droplets", body.clone()).await.json();
    assert_eq!(made["droplets"].as_array().unwrap().len(), 3);
    assert_eq!(made["links"]["actions"].as_array().unwrap().len(), 3);
    assert_eq!(client.get("/v2/droplets?tag_name=BATCH").await.json()["meta"]["total"], 3);
    assert_eq!(client.get("/v2/droplets?name=B").await.json()["meta"]["total"], 1);
    assert_eq!(client.get("/v2/droplets?name=b&tag_name=batch").await.status, 400);
    body["names"] = json!(vec!["n"; 11]);
    assert_eq!(client.post("/v2/droplets", body).await.status, 422);
    assert_eq!(client.delete("/v2/droplets?tag_name=").await.status, 400, "never everything");
    assert_eq!(client.delete("/v2/droplets?tag_name=batch").await.status, 204);
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let (sim, _, client) = world();
    let with = |key: &str, value: Value| {
        let mut body = order("web", &[]);
        body[key] = value;
        body
    };
    for (body, says) in [
        (with("name", json!("no spaces")), "hostname"),
        (with("name", json!("-")), "hostname"),
        (with("size", json!("huge")), "invalid size"),
        (with("size", json!(null)), "invalid size"),
        (with("size", json!("m-2vcpu-16gb")), "not available"),
        (with("image", json!(1)), "invalid image"),
        (with("region", json!("mars1")), "invalid region"),
        (with("region", json!("nyc2")), "not available"),
        (with("ssh_keys", json!([99])), "invalid key identifiers"),
        (with("tags", json!(["a b"])), "invalid characters"),
        (with("user_data", json!("x".repeat(65_537))), "too long"),
    ] {
        let reply = client.post("/v2/droplets", body.clone()).await;
        assert_eq!(reply.status, 422, "{body}");
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(client.send("POST", "/v2/droplets", Some(json!([]))).await.status, 400);
    sim.edit(|world| world.accounts.iter_mut().for_each(|account| account.machine_limit = 1)).unwrap();
    assert_eq!(client.post("/v2/droplets", with("user_data", json!("x".repeat(65_536)))).await.status, 202);
    let over = client.post("/v2/droplets", order("web", &[])).await;
    assert!(over.json()["message"].as_str().unwrap().contains("exceed your droplet limit"));
    assert_eq!(sim.ledger().unwrap().births.len(), 1);
}

#[tokio::test]
async fn an_open_region_is_chosen() {
    let (_, _, client) = world();
    for (asked, given) in [(json!(null), "nyc1"), (json!("sfo"), "sfo3"), (json!("fra1"), "fra1")] {
        let mut body = order("web", &[]);
        body["region"] = asked;
        assert_eq!(client.post("/v2/droplets", body).await.json()["droplet"]["region"]["slug"], given);
    }
}

#[tokio::test]
async fn accounts_do_not_see_one_another() {
    let (_, _, client) = world();
    let id = client.post("/v2/droplets", order("web", &[])).await.json()["droplet"]["id"].clone();
    let other = client.with_key(OTHER_KEY);
    assert_eq!(other.get(&format!("/v2/droplets/{id}")).await.status, 404);
    assert_eq!(other.delete(&format!("/v2/droplets/{id}")).await.status, 404);
    assert_eq!(other.get("/v2/droplets").await.json()["droplets"], json!([]));
    let stranger = client.with_key("wrong").get("/v2/droplets").await;
    assert_eq!((stranger.status, stranger.json()["id"].clone()), (401, json!("unauthorized")));
    assert_eq!(client.get("/v2/nothing").await.status, 404);
}

#[tokio::test]
async fn lists_come_in_pages_whose_links_can_be_followed() {
    let (_, _, client) = world();
    for chunk in 0..5 {
        let mut body = order("x", &["many"]);
        body.as_object_mut().unwrap().remove("name");
        body["names"] = (0..9).map(|n| format!("n-{chunk}-{n}")).collect();
        client.post("/v2/droplets", body).await;
    }
    let mut next = Some("/v2/droplets?tag_name=many".to_owned());
    let mut names = Vec::new();
    while let Some(url) = next {
        let page = client.get(&url).await.json();
        assert_eq!(page["meta"]["total"], 45);
        names.extend(page["droplets"].as_array().unwrap().iter().map(|droplet| droplet["name"].to_string()));
        next = page["links"]["pages"]["next"].as_str().map(str::to_owned);
        assert!(next.iter().all(|url| url.starts_with("https://api.digitalocean.com/v2/droplets?tag_name=many&page=")));
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 45);
    let all = client.get("/v2/droplets?per_page=1000").await.json();
    assert_eq!((all["droplets"].as_array().unwrap().len(), &all["links"]), (45, &json!({})));
    assert_eq!(client.get("/v2/droplets?page=0").await.status, 400);
    assert_eq!(client.get("/v2/droplets?page=9").await.json()["droplets"], json!([]));
}

#[tokio::test]
async fn one_action_at_a_time() {
    let (_, clock, client) = world();
    let id = client.post("/v2/droplets", order("web", &[])).await.json()["droplet"]["id"].clone();
    let (path, actions) = (format!("/v2/droplets/{id}"), format!("/v2/droplets/{id}/actions"));
    let pending = client.post(&actions, json!({"type": "reboot"})).await;
    assert!(pending.json()["message"].as_str().unwrap().contains("pending event"));
    clock.advance(Duration::from_secs(60));
    // Each: what is asked, the droplet while it happens, the droplet after.
    for (kind, during, after) in [
        ("reboot", ("active", true), ("active", false)),
        ("shutdown", ("active", true), ("off", false)),
        ("shutdown", ("off", false), ("off", false)),
        ("power_on", ("off", true), ("active", false)),
        ("power_cycle", ("active", true), ("active", false)),
        ("power_off", ("active", true), ("off", false)),
    ] {
        let started = client.post(&actions, json!({ "type": kind })).await;
        assert_eq!(started.status, 201, "{kind}");
        let action = format!("/v2/actions/{}", started.json()["action"]["id"]);
        for (wait, (status, locked)) in [(0, during), (20, after)] {
            clock.advance(Duration::from_secs(wait));
            let droplet = client.get(&path).await.json();
            let shown = (droplet["droplet"]["status"].clone(), droplet["droplet"]["locked"].clone());
            assert_eq!(shown, (json!(status), json!(locked)), "{kind} after {wait} s");
        }
        assert_eq!(client.get(&action).await.json()["action"]["status"], "completed");
    }
    assert_eq!(client.post(&actions, json!({"type": "power_off"})).await.status, 422);
    assert_eq!(client.post(&actions, json!({"type": "rename", "name": "db"})).await.status, 201);
    assert_eq!(client.get(&path).await.json()["droplet"]["name"], "db");
    assert_eq!(client.get(&actions).await.json()["actions"][0]["type"], "rename", "newest first");
}

#[tokio::test]
async fn a_placement_can_fail_after_it_was_accepted() {
    let (sim, clock, client) = world();
    sim.inject(Fault::once("digitalocean", "droplets.create", What::LateFailure)).unwrap();
    let made = client.post("/v2/droplets", order("web", &[])).await;
    assert_eq!(made.status, 202);
    clock.advance(Duration::from_secs(60));
    let made = made.json();
    assert_eq!(client.get(&format!("/v2/droplets/{}", made["droplet"]["id"])).await.status, 404);
    let action = client.get(&format!("/v2/actions/{}", made["links"]["actions"][0]["id"])).await.json();
    assert_eq!(action["action"]["status"], "errored");
    assert!(sim.ledger().unwrap().living().is_empty());
}

#[tokio::test]
async fn keys_are_found_by_id_and_fingerprint() {
    let (_, _, client) = world();
    // Made for this test from 32 zero bytes: it opens nothing.
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA nobody";
    let made = client.post("/v2/account/keys", json!({"name": "k", "public_key": line})).await;
    assert_eq!(made.status, 201);
    let key = made.json()["ssh_key"].clone();
    assert_eq!(key["fingerprint"], "3d:52:38:ce:ff:94:f5:d7:81:a4:a4:f9:2b:4f:fe:a0");
    let again = client.post("/v2/account/keys", json!({"name": "k", "public_key": line})).await;
    assert!(again.json()["message"].as_str().unwrap().contains("already in use"));
    assert_eq!(client.post("/v2/account/keys", json!({"name": "k", "public_key": "x"})).await.status, 422);
    for word in [key["id"].clone(), key["fingerprint"].clone()] {
        let mut body = order("web", &[]);
        body["ssh_keys"] = json!([word]);
        assert_eq!(client.post("/v2/droplets", body).await.status, 202);
    }
    assert_eq!(client.delete(&format!("/v2/account/keys/{}", key["id"])).await.status, 204);
    assert_eq!(client.get("/v2/account/keys").await.json()["ssh_keys"], json!([]));
}

#[tokio::test]
async fn tags_can_be_put_on_and_taken_off() {
    let (_, _, client) = world();
    let id = client.post("/v2/droplets", order("web", &["born"])).await.json()["droplet"]["id"].to_string();
    assert_eq!(client.post("/v2/tags", json!({"name": "a b"})).await.status, 422);
    assert_eq!(client.post("/v2/tags", json!({"name": "late"})).await.status, 201);
    let resources = json!({"resources": [{"resource_id": id, "resource_type": "droplet"}]});
    assert_eq!(client.post("/v2/tags/late/resources", resources.clone()).await.status, 204);
    assert_eq!(client.get("/v2/tags/late").await.json()["tag"]["resources"]["count"], 1);
    let droplet = client.get(&format!("/v2/droplets/{id}")).await.json();
    assert_eq!(droplet["droplet"]["tags"], json!(["born", "late"]));
    assert_eq!(client.send("DELETE", "/v2/tags/late/resources", Some(resources)).await.status, 204);
    assert_eq!(client.delete("/v2/tags/born").await.status, 204);
    assert_eq!(client.get(&format!("/v2/droplets/{id}")).await.json()["droplet"]["tags"], json!([]));
    assert_eq!(client.get("/v2/tags/born").await.status, 404);
}

#[tokio::test]
async fn a_tag_outlives_its_last_droplet() {
    let (_, clock, client) = world();
    let id = client.post("/v2/droplets", order("web", &["born"])).await.json()["droplet"]["id"].to_string();
    assert_eq!(client.delete(&format!("/v2/droplets/{id}")).await.status, 204);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(client.get(&format!("/v2/droplets/{id}")).await.status, 404);
    assert_eq!(client.get("/v2/tags/born").await.json()["tag"]["resources"]["count"], 0);
    assert_eq!(client.delete("/v2/tags/born").await.status, 204);
    assert_eq!(client.get("/v2/tags").await.json()["tags"], json!([]));
}

#[tokio::test]
async fn the_catalog_is_real_enough() {
    let (_, _, client) = world();
    let sizes = client.get("/v2/sizes?per_page=200").await;
    let text = String::from_utf8(sizes.body.to_vec()).unwrap();
    assert!(text.contains("\"price_hourly\":0.00743999984115362,"), "prices must keep their noise");
    assert!(sizes.json()["sizes"].as_array().unwrap().len() >= 6);
    assert!(client.get("/v2/regions").await.json()["regions"].as_array().unwrap().len() >= 4);
    let images = client.get("/v2/images?type=distribution").await.json()["images"].clone();
    for slug in ["ubuntu-24-04-x64", "ubuntu-22-04-x64", "debian-12-x64"] {
        assert!(images.as_array().unwrap().iter().any(|image| image["slug"] == slug), "{slug}");
    }
    assert_eq!(client.get("/v2/images?private=true").await.json()["images"], json!([]));
    assert_eq!(client.get("/v2/account").await.json()["account"]["status"], "active");
}

#[tokio::test]
async fn the_documented_limits_hold() {
    let (_, clock, client) = world();
    for asked in 0..10 {
        let reply = client.get("/v2/account/keys").await;
        assert_eq!((reply.status, &reply.headers["ratelimit-limit"]), (200, &"10".parse().unwrap()));
        assert_eq!(reply.headers["ratelimit-remaining"], (9 - asked).to_string());
    }
    let refused = client.get("/v2/account/keys").await;
    assert_eq!((refused.status, refused.json()["id"].clone()), (429, json!("too_many_requests")));
    let wait = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(client.get("/v2/account").await.status, 200, "the others go on");
    clock.advance(Duration::from_secs(wait));
    assert_eq!(client.get("/v2/account/keys").await.status, 200);
    clock.advance(Duration::from_secs(60));
    for _ in 0..250 {
        assert_eq!(client.get("/v2/account").await.status, 200);
    }
    assert_eq!(client.get("/v2/account").await.status, 429);
}
