//! The driver over a scripted vendor: the tables, the samples, and how many requests a call takes.

use std::sync::Mutex as Lock;

use capsule_core::{BillingUnit, Currency, InstanceSpec, InstanceStatus, Money, OwnerId, Tags, Token};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::script::{self, Script};

/// The driver, with a script at its other end.
trait Driven {
    fn driver_with(&self, settings: &[(&str, &str)]) -> DigitalOcean;

    fn driver(&self) -> DigitalOcean {
        self.driver_with(&[])
    }
}

impl Driven for Arc<Script> {
    fn driver_with(&self, settings: &[(&str, &str)]) -> DigitalOcean {
        DigitalOcean::new(self.connect(&[&[("api_key", "dop_v1_test")], settings].concat())).unwrap()
    }
}

fn droplet(id: u64, status: &str, locked: bool) -> Value {
    json!({"id": id, "name": format!("n{id}"), "status": status, "locked": locked, "created_at": "2025-12-31T23:59:00Z",
        "size_slug": "s-1vcpu-1gb", "region": {"slug": "nyc3"}, "tags": ["env:prod"], "networks": {"v4": [], "v6": []}})
}

fn refusal(id: &str, message: &str) -> String {
    json!({"id": id, "message": message, "request_id": "r-1"}).to_string()
}

fn order(names: &[&str]) -> Order {
    Order {
        token: Token::random(),
        again: false,
        owner: OwnerId::random(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        spec: InstanceSpec {
            plan: "s-1vcpu-1gb".into(),
            region: "nyc3".into(),
            image: "ubuntu-24-04-x64".into(),
            disk_gib: None,
            ssh_keys: vec![],
            user_data: None,
            tags: Tags::new(),
        },
    }
}

fn id(native: &str) -> InstanceId {
    InstanceId::new("digitalocean", "nyc3", native)
}

fn samples() -> Arc<Script> {
    Script::new(|line, _| {
        let body = match line.split(['?', ' ']).nth(1).unwrap() {
            "/account" => include_str!("samples/account.json"),
            "/sizes" => include_str!("samples/sizes.json"),
            "/regions" => include_str!("samples/regions.json"),
            "/images" => include_str!("samples/images.json"),
            "/account/keys" => include_str!("samples/keys.json"),
            "/droplets/3164444/actions" => include_str!("samples/actions.json"),
            "/actions/36804636" => include_str!("samples/action.json"),
            "/droplets" if line.starts_with("POST") => include_str!("samples/created_many.json"),
            "/droplets" if line.contains("gpus") => include_str!("samples/droplets_gpu.json"),
            "/droplets" => include_str!("samples/droplets.json"),
            _ => return (404, refusal("not_found", "The resource you requested could not be found.")),
        };
        (200, body.to_owned())
    })
}

#[tokio::test]
async fn the_vendors_examples_become_servers() {
    let servers = samples().driver().list(&Scope::All).await.unwrap();
    let names: Vec<_> = servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names[..2], ["example.com", "assets.example.com"]);
    assert_eq!(names.last(), Some(&"ml-ai-ubuntu-gpu-h100x1-80gb-tor1"));
    let first = &servers[0];
    assert_eq!(first.id.to_string(), "digitalocean/nyc3/3164444");
    assert_eq!(first.status, InstanceStatus::Running);
    assert_eq!(first.plan, "s-1vcpu-1gb");
    assert_eq!(first.image.as_deref(), Some("ubuntu-20-04-x64"));
    assert_eq!(first.addresses.primary().unwrap().to_string(), "192.241.165.154", "the private one stands first");
    assert_eq!(first.addresses.private[0].to_string(), "10.128.192.124");
    assert_eq!(first.tags.get("env"), Some("prod"));
    assert_eq!(first.created_at.unwrap().to_string(), "2020-07-21T18:37:44Z");
    assert!(first.metadata.get().contains("0.00743999984115362"), "metadata must stay as it was");
}

#[tokio::test]
async fn the_vendors_examples_become_a_catalogue_and_an_account() {
    let driver = samples().driver();
    let catalog = driver.catalog().await.unwrap();
    // The examples of sizes and regions say that they are one of many pages; read page by page, all of them are alike.
    assert_eq!((catalog.plans.len(), catalog.regions.len(), catalog.offers.len()), (1, 1, 1));
    assert_eq!(catalog.regions[0].country.as_deref(), Some("US"));
    let price = catalog.offer("s-1vcpu-1gb", "nyc3").unwrap().price.clone().unwrap();
    let usd = |text| Money::parse(text, Currency::USD).unwrap();
    assert_eq!((price.amount, price.per, price.monthly_cap), (usd("0.00744"), BillingUnit::Hour, Some(usd("5"))));
    assert_eq!(catalog.plans[0].transfer_gib, Some(1024));
    let os: Vec<_> = catalog.images.iter().filter_map(|image| image.os.as_deref()).collect();
    assert_eq!(os, ["ubuntu-20.04"]);
    assert!(catalog.images.iter().any(|image| image.id == "7555620"), "without a slug the number stands");
    let account = driver.verify().await.unwrap();
    assert_eq!(account.id, "sammy@digitalocean.com (My Team)");
    assert_eq!((account.quotas[0].limit, account.quotas[0].used), (25, Some(3)));
    assert!(account.notes.is_empty(), "{:?}", account.notes);
    assert_eq!(driver.api.action(36804636).await.unwrap().status, "completed");
    assert_eq!(driver.api.newest_action(3164444).await.unwrap().unwrap().what, "create");
}

#[test]
fn every_status_has_its_word() {
    use InstanceStatus::*;
    let action = |status: &str, what: &str| api::Action { id: 1, status: status.into(), what: what.into() };
    let doing = |what| Some(action("in-progress", what));
    for (word, newest, expected) in [
        ("new", None, Provisioning),
        ("new", doing("create"), Provisioning),
        ("new", Some(action("errored", "create")), Failed),
        ("active", None, Running),
        ("active", doing("reboot"), Running),
        ("active", doing("power_cycle"), Running),
        ("active", doing("shutdown"), Running),
        ("active", doing("rebuild"), Provisioning),
        ("active", doing("restore"), Provisioning),
        ("active", doing("resize"), Provisioning),
        ("active", Some(action("completed", "rebuild")), Running),
        ("active", Some(action("errored", "create")), Running),
        ("off", None, Stopped),
        ("off", doing("resize"), Provisioning),
        ("off", doing("power_on"), Provisioning),
        ("off", doing("reboot"), Running),
        ("off", doing("snapshot"), Stopped),
        ("off", Some(action("errored", "power_on")), Stopped),
        ("archive", None, Failed),
        ("", None, Unknown),
        ("hibernating", doing("create"), Unknown),
    ] {
        assert_eq!(convert::status(word, newest.as_ref()), expected, "{word} while {newest:?}");
    }
}

#[tokio::test]
async fn every_refusal_has_its_kind() {
    use ErrorKind::*;
    let pending = "Droplet already has a pending event.";
    let limit = "creating this/these droplet(s) will exceed your droplet limit";
    let json = |id, message| refusal(id, message);
    for (status, body, kind, retry, effect) in [
        (400, json("bad_request", "unparsable"), Invalid, Retry::Never, Effect::None),
        (401, json("unauthorized", "Unable to authenticate you."), Unauthenticated, Retry::Never, Effect::None),
        (403, json("forbidden", "You are not authorized"), Forbidden, Retry::Never, Effect::None),
        (403, json("forbidden", limit), Quota, Retry::Never, Effect::None),
        (403, "<html>Access denied</html>".to_owned(), Forbidden, Retry::Never, Effect::None),
        (404, json("not_found", "The resource you requested could not be found."), Invalid, Retry::Never, Effect::None),
        (409, json("conflict", "busy"), Conflict, Retry::Never, Effect::None),
        (412, json("precondition_failed", "not empty"), Conflict, Retry::Never, Effect::None),
        (422, json("unprocessable_entity", "Name is invalid"), Invalid, Retry::Never, Effect::None),
        (422, json("unprocessable_entity", limit), Quota, Retry::Never, Effect::None),
        (422, json("unprocessable_entity", pending), Conflict, Retry::Backoff, Effect::None),
        (
            422,
            json("unprocessable_entity", "Placement failed, please try again."),
            NoCapacity,
            Retry::Never,
            Effect::None,
        ),
        (429, json("too_many_requests", "API rate limit exceeded."), RateLimited, Retry::Backoff, Effect::None),
        (500, json("server_error", "Unexpected server-side error"), Unavailable, Retry::Backoff, Effect::Unknown),
        (504, "<html>droplet limit</html>".to_owned(), Unavailable, Retry::Backoff, Effect::Unknown),
    ] {
        let said = body.clone();
        let script = Script::new(move |_, _| (status, body.clone()));
        let error = script.driver().create(&order(&["a"])).await.unwrap_err();
        assert_eq!((error.kind(), error.retry(), error.effect()), (kind, retry, effect), "{status} {said}");
        assert_eq!(error.operation(), Some("droplets.create"));
        if !said.starts_with('<') {
            assert_eq!(error.request_id(), Some("r-1"), "{said}");
        }
        assert!(!error.message().contains('<'), "a page of HTML is no message: {error}");
    }
}

fn pages(total: u64, ignores_type: bool) -> Arc<Script> {
    Script::new(move |line, _| {
        if line.contains("type=gpus") && !ignores_type {
            return (200, json!({"droplets": [], "links": {}, "meta": {"total": 0}}).to_string());
        }
        let page: u64 = line
            .split("&page=")
            .nth(1)
            .or(line.split("?page=").nth(1))
            .unwrap()
            .split('&')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let items: Vec<Value> =
            ((page - 1) * 200..(page * 200).min(total)).map(|n| droplet(n, "active", false)).collect();
        let last = total.div_ceil(200);
        let link = |n| format!("https://api.digitalocean.com/v2/droplets?page={n}&per_page=200");
        let links =
            if page < last { json!({"pages": {"next": link(page + 1), "last": link(last)}}) } else { json!({}) };
        (200, json!({"droplets": items, "links": links, "meta": {"total": total}}).to_string())
    })
}

#[tokio::test]
async fn ten_thousand_droplets_take_fifty_requests_and_one_for_gpus() {
    for (ignores_type, settings, requests) in
        [(false, &[][..], 51), (true, &[][..], 51), (false, &[("gpu_droplets", "no")][..], 50)]
    {
        let script = pages(10_000, ignores_type);
        let listed = script.driver_with(settings).list(&Scope::All).await.unwrap();
        assert_eq!((listed.len(), script.asked().len()), (10_000, requests), "{settings:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_an_error() {
    let short = Script::new(|_, _| {
        let items = [droplet(1, "active", false)];
        (200, json!({"droplets": items, "links": {}, "meta": {"total": 2}}).to_string())
    });
    let error = short.driver().list(&Scope::All).await.unwrap_err();
    assert_eq!(error.to_string(), "Only 1 of 2 droplets arrived, so the list is not shown.");

    let whole = pages(1_000, false);
    let broken = Script::new(move |line, body| {
        if line.contains("page=3&") { (403, refusal("forbidden", "no")) } else { (whole.answer)(line, body) }
    });
    let error = broken.driver().list(&Scope::All).await.unwrap_err();
    assert!(error.to_string().starts_with("Page 3 of 5 of the droplets is missing"), "{error}");
}

#[tokio::test]
async fn a_list_that_grew_meanwhile_is_followed_to_its_end() {
    let (before, after) = (pages(400, false), pages(401, false));
    let grown = Script::new(move |line, body| {
        let told = if line.contains("page=1&") { &before } else { &after };
        (told.answer)(line, body)
    });
    assert_eq!(grown.driver().list(&Scope::All).await.unwrap().len(), 401);
}

#[tokio::test]
async fn a_listing_by_token_shows_only_what_carries_it() {
    // A stand-in without filters shows everything: what is not ours must not be adopted.
    let order = order(&["a"]);
    let token = order.token.clone();
    let word = format!("capsule-token:{token}");
    let script = Script::new(move |_, _| {
        let mut ours = droplet(7, "new", true);
        ours["tags"] = json!([word]);
        (200, json!({"droplets": [droplet(1, "active", false), ours], "links": {}, "meta": {"total": 2}}).to_string())
    });
    let found = script.driver().list(&Scope::Token(token.clone())).await.unwrap();
    assert_eq!(found.iter().map(|server| server.id.native.as_str()).collect::<Vec<_>>(), ["7"]);
    assert!(script.asked().contains(&format!("GET /droplets?tag_name=capsule-token%3A{token}&page=1&per_page=200")));
}

#[tokio::test]
async fn an_order_is_one_request_with_tags_at_birth() {
    let made = include_str!("samples/created_many.json");
    let script = Script::new(|_, _| (202, made.to_owned()));
    let order = order(&["sub-01.example.com", "sub-02.example.com"]);
    let servers = script.driver().create(&order).await.unwrap();
    assert_eq!(script.asked(), ["POST /droplets"]);
    let body = script.body_of("POST /droplets");
    assert_eq!(body["names"], json!(order.names));
    assert_eq!(
        body["tags"],
        json!([format!("capsule-owner:{}", order.owner), format!("capsule-token:{}", order.token)])
    );
    assert!(servers.iter().all(|server| server.tags.token() == Some(order.token.as_str())));
    assert!(servers.iter().all(|server| server.status == InstanceStatus::Provisioning));

    let short = Script::new(|_, _| (202, include_str!("samples/created_one.json").to_owned()));
    let error = short.driver().create(&order).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Protocol, Effect::Unknown), "one of two: look before more");
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_before_anything_is_sent() {
    type Spoil = fn(&mut Order);
    let spoils: [(&str, Spoil); 10] = [
        ("no plan", |order| order.spec.plan.clear()),
        ("no region", |order| order.spec.region = " ".into()),
        ("no image", |order| order.spec.image.clear()),
        ("cannot be a droplet's name", |order| order.names = vec!["web_1".into()]),
        ("cannot be a droplet's name", |order| order.names = vec!["web-".into()]),
        ("1 to 10 droplets", |order| order.names = (0..11).map(|n| format!("n{n}")).collect()),
        ("65537 bytes", |order| order.spec.user_data = Some("x".repeat(65537))),
        ("U+1F680", |order| order.spec.user_data = Some("#!/bin/sh\necho \u{1f680}".into())),
        ("longer than the 255", |order| order.spec.tags.insert("k", "v".repeat(255))),
        ("disk", |order| order.spec.disk_gib = Some(80)),
    ];
    for (why, spoil) in spoils {
        let script = samples();
        let mut order = order(&["a"]);
        spoil(&mut order);
        let error = script.driver().create(&order).await.unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
        assert_eq!((error.effect(), script.asked().len()), (Effect::None, 0), "{why}");
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFn0Xb0b2lQ1vJxUo0v1u3mJmYlQd7sD4JtS3kqj8b5K me@home";

#[tokio::test]
async fn a_key_is_found_or_given_and_looked_up_once_for_many_orders() {
    let made = include_str!("samples/created_one.json");
    // The account does not list the key, then refuses it as a double, then lists it: somebody else was quicker.
    let lists = Lock::new(0);
    let script = Script::new(move |line, _| match line {
        "POST /droplets" => (202, made.to_owned()),
        "POST /account/keys" => (422, refusal("unprocessable_entity", "SSH Key is already in use on your account")),
        _ => {
            let mut lists = lists.lock().unwrap();
            *lists += 1;
            let keys = if *lists == 1 {
                json!([])
            } else {
                json!([{"id": 7, "public_key": KEY.replace("me@home", "other"), "name": "x"}])
            };
            (200, json!({"ssh_keys": keys, "links": {}, "meta": {"total": 0}}).to_string())
        }
    });
    let driver = script.driver();
    let mut order = order(&["a"]);
    order.spec.ssh_keys =
        vec![SshKey::Public(KEY.into()), SshKey::Existing("3b:16:e4".into()), SshKey::Existing("9".into())];
    let (first, second) = join(driver.create(&order), driver.create(&order)).await;
    first.and(second).unwrap();
    assert_eq!(script.body_of("POST /droplets")["ssh_keys"], json!([7, "3b:16:e4", 9]));
    let count = |prefix: &str| script.asked().iter().filter(|line| line.starts_with(prefix)).count();
    assert_eq!((count("GET /account/keys"), count("POST /account/keys"), count("POST /droplets")), (2, 1, 2));
}

#[tokio::test]
async fn what_is_no_public_key_is_refused() {
    let script = samples();
    let mut order = order(&["a"]);
    order.spec.ssh_keys = vec![SshKey::Public("-----BEGIN OPENSSH PRIVATE KEY-----".into())];
    let error = script.driver().create(&order).await.unwrap_err();
    assert_eq!((error.kind(), script.asked().len()), (ErrorKind::Invalid, 0));
    assert!(!format!("{error:?}").contains("PRIVATE"), "a key given by mistake must not be shown");
}

#[tokio::test]
async fn a_stuck_create_is_looked_into() {
    for (status, locked, asks, expected) in [
        ("active", false, 1, InstanceStatus::Running),
        ("active", true, 2, InstanceStatus::Running),
        ("new", true, 2, InstanceStatus::Failed),
    ] {
        let script = Script::new(move |line, _| {
            if line.contains("/actions") {
                return (200, json!({"actions": [{"id": 1, "status": "errored", "type": "create"}]}).to_string());
            }
            let mut seen = droplet(1, status, locked);
            seen["created_at"] = json!("2025-12-31T23:57:00Z");
            (200, json!({"droplet": seen}).to_string())
        });
        let server = script.driver().get(&id("1")).await.unwrap().unwrap();
        assert_eq!((server.status, script.asked().len()), (expected, asks), "{status}");
        assert_eq!(server.fault.is_some(), expected == InstanceStatus::Failed);
    }
}

/// A vendor with one droplet; each action answers with these states in turn.
fn one_droplet(status: &'static str, act: (u16, String), then: &'static str, polls: &'static str) -> Arc<Script> {
    let acted = Lock::new(false);
    Script::new(move |line, _| {
        let mut acted = acted.lock().unwrap();
        if line.starts_with("POST") {
            *acted = true;
            return act.clone();
        }
        if line.starts_with("GET /actions/") {
            return (200, json!({"action": {"id": 5, "status": polls, "type": "x"}}).to_string());
        }
        (200, json!({"droplet": droplet(1, if *acted { then } else { status }, false)}).to_string())
    })
}

#[tokio::test]
async fn power_is_asked_for_only_where_it_changes_something() {
    let started = || (201, json!({"action": {"id": 5, "status": "in-progress", "type": "x"}}).to_string());
    for (status, to, what) in [
        ("active", Power::On, None),
        ("off", Power::On, Some("power_on")),
        ("off", Power::Off, None),
        ("active", Power::Off, Some("shutdown")),
        ("off", Power::ForceOff, None),
        ("active", Power::ForceOff, Some("power_off")),
        ("active", Power::Reboot, Some("reboot")),
    ] {
        let script = one_droplet(status, started(), status, "completed");
        script.driver().power(&id("1"), to).await.unwrap();
        let Some(what) = what else {
            assert_eq!(script.asked(), ["GET /droplets/1"], "{to} of {status}");
            continue;
        };
        assert_eq!(
            script.asked(),
            ["GET /droplets/1", "POST /droplets/1/actions", "GET /actions/5"],
            "{to} of {status}"
        );
        assert_eq!(script.body_of("POST /droplets/1/actions"), json!({"type": what}));
    }
    let off = one_droplet("off", started(), "off", "completed").driver();
    assert_eq!(off.power(&id("1"), Power::Reboot).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn power_tells_busy_failed_and_already_so_apart() {
    let refused = |message: &str| (422, refusal("unprocessable_entity", message));
    let busy = one_droplet("active", refused("Droplet already has a pending event."), "active", "").driver();
    let error = busy.power(&id("1"), Power::ForceOff).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::Backoff));

    let quicker = one_droplet("active", refused("Droplet is already powered off."), "off", "").driver();
    quicker.power(&id("1"), Power::ForceOff).await.unwrap();

    let started = || (201, json!({"action": {"id": 5, "status": "in-progress", "type": "shutdown"}}).to_string());
    let failed = one_droplet("active", started(), "active", "errored").driver();
    let error = failed.power(&id("1"), Power::Off).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::Unknown));

    let endless = one_droplet("active", started(), "active", "in-progress");
    endless.driver().power(&id("1"), Power::Off).await.unwrap();
    assert_eq!(endless.asked().len(), 2 + 40, "it is watched for two minutes, each three seconds");

    let gone = Script::new(|_, _| (404, refusal("not_found", "gone")));
    assert_eq!(gone.driver().power(&id("1"), Power::On).await.unwrap_err().kind(), ErrorKind::NotFound);
    gone.driver().delete(&id("1")).await.unwrap();
    assert!(gone.driver().get(&id("1")).await.unwrap().is_none());
    assert_eq!(gone.driver().get(&id("../account")).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_locked_account_is_noted() {
    let body = json!({"account": {"uuid": "u", "status": "locked", "status_message": "Please pay."}}).to_string();
    let script = Script::new(move |line, _| match line {
        "GET /account" => (200, body.clone()),
        _ => (403, refusal("forbidden", "You are missing the required permission droplet:read.")),
    });
    let account = script.driver().verify().await.unwrap();
    assert_eq!(account.notes[0], "The account's status is `locked`: Please pay.");
    assert_eq!((account.id.as_str(), account.notes.len(), account.quotas.len()), ("u", 3, 0), "{:?}", account.notes);
}

#[tokio::test]
async fn systems_have_the_same_names_everywhere() {
    for (slug, os) in [
        ("ubuntu-24-04-x64", Some("ubuntu-24.04")),
        ("debian-12-x64", Some("debian-12")),
        ("fedora-42-x64", Some("fedora-42")),
        ("rockylinux-9-x64", Some("rocky-9")),
        ("centos-stream-9-x64", Some("centos-stream-9")),
        ("gpu-h100x1-base", None),
        ("ubuntu-24-04-lts-x64", None),
        ("-x64", None),
    ] {
        let image =
            json!({"images": [{"id": 1, "slug": slug, "status": "available"}], "meta": {"total": 1}}).to_string();
        let script = Script::new(move |line, _| match line.contains("/images") {
            true => (200, image.clone()),
            false => (200, json!({"items": []}).to_string()),
        });
        assert_eq!(script.driver().catalog().await.unwrap().images[0].os.as_deref(), os, "{slug}");
    }
}

/// Any JSON, with the names that the decoders look for.
fn any_json() -> impl Strategy<Value = Value> {
    script::any_json(
        "droplets droplet sizes regions images ssh_keys ssh_key actions action account links pages last next \
        meta total id status networks v4 type ip_address region slug tags locked uuid public_key memory \
        vcpus disk price_hourly transfer team",
    )
}

proptest! {
    #[test]
    fn any_answer_gives_a_value_or_an_error(answer in any_json(), status in prop::sample::select(vec![200u16, 404, 422])) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let text = answer.to_string();
        let script = Script::new(move |_, _| (status, text.clone()));
        let driver = script.driver();
        runtime.block_on(async {
            let _ = driver.verify().await;
            let _ = driver.catalog().await;
            if let Err(error) = driver.list(&Scope::All).await && status == 200 {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            }
            let _ = driver.get(&id("1")).await;
            let _ = driver.power(&id("1"), Power::Off).await;
            let _ = driver.delete(&id("1")).await;
            let mut order = order(&["a"]);
            order.spec.ssh_keys = vec![SshKey::Public(KEY.into())];
            let _ = driver.create(&order).await;
        });
    }
}
