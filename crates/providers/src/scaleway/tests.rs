//! The driver over a scripted vendor: the tables, the samples, and what is sent in which order.

use std::sync::Mutex as Lock;

use capsule_core::{
    Architecture, Currency, Effect, InstanceSpec, InstanceStatus, Money, OwnerId, Retry, Settings, SshKey, Stock, Tags,
    Token,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::script::{Script, any_json};

mod life;

const PROJECT: &str = "5a1d2c3b-0000-4000-8000-000000000002";
const SERVER: &str = "b1cd4f5a-1b2c-4d3e-8f90-0123456789ab";
const ROOT: &str = "a4c0f9b1-75a5-47f4-8d0c-5a5a5a5a5a5a";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFn0Xb0b2lQ1vJxUo0v1u3mJmYlQd7sD4JtS3kqj8b5K me@home";

/// The driver of two zones, or more, with a script at its other end.
fn driver(script: &Arc<Script>) -> Scaleway {
    driver_with(script, &["fr-par-1", "fr-par-2"], &[])
}

fn driver_with(script: &Arc<Script>, zones: &[&str], settings: &[(&str, &str)]) -> Scaleway {
    let mut all = vec![("api_key", "11111111-1111-4111-8111-111111111111"), ("project_id", PROJECT)];
    all.extend(settings);
    let mut connect = script.connect(&all);
    connect.settings.regions = zones.iter().map(|zone| (*zone).to_owned()).collect();
    Scaleway::new(connect).unwrap()
}

fn id() -> InstanceId {
    InstanceId::new("scaleway", "fr-par-1", SERVER)
}

fn server(state: &str, detail: &str, tags: &[String]) -> Value {
    json!({"id": SERVER, "name": "a", "state": state, "state_detail": detail, "tags": tags, "commercial_type": "DEV1-S",
        "creation_date": "2026-01-01T00:00:00+00:00", "allowed_actions": ["poweroff"],
        "volumes": {"0": {"id": ROOT, "volume_type": "sbs_volume", "state": "available", "boot": false},
                    "1": {"id": "other", "volume_type": "sbs_volume"}}})
}

fn order() -> Order {
    Order {
        token: Token::random(),
        again: false,
        owner: OwnerId::random(),
        names: vec!["a".into()],
        spec: InstanceSpec {
            plan: "DEV1-S".into(),
            region: "fr-par-1".into(),
            image: "ubuntu_noble".into(),
            disk_gib: None,
            ssh_keys: vec![],
            // It is JSON as well, so that the script can read it.
            user_data: Some("\"#cloud-config\"".into()),
            tags: Tags::new(),
        },
    }
}

fn tags_of(order: &Order) -> Vec<String> {
    convert::check(order, &["fr-par-1"]).unwrap()
}

fn refusal(kind: &str) -> String {
    json!({"type": kind, "message": "no"}).to_string()
}

/// What a line asks, without zone, ids and query: `POST servers`, `GET user_data`, `terminate` and so on by the body.
fn short(line: &str, body: &Value) -> String {
    let (method, path) = line.split_once(' ').unwrap();
    if let Some(action) = body["action"].as_str() {
        return action.to_owned();
    }
    let path = path.split('?').next().unwrap();
    let mut words = path.split('/').filter(|word| !word.contains('-') && !word.starts_with('v') || *word == "volumes");
    format!("{method} {}", words.next_back().unwrap())
}

fn asked(script: &Script) -> Vec<String> {
    script.asked_with().iter().map(|(line, body)| short(line, body)).collect()
}

fn samples() -> Arc<Script> {
    Script::new(|line, _| {
        let body = match line.split(['?', ' ']).nth(1).unwrap() {
            "/instance/v1/zones/fr-par-1/servers" => include_str!("samples/servers.json"),
            "/instance/v1/zones/fr-par-1/products/servers" => include_str!("samples/server_types.json"),
            "/instance/v1/zones/fr-par-1/products/servers/availability" => include_str!("samples/availability.json"),
            path if path.starts_with("/instance/v1/zones/fr-par-2/products") => {
                r#"{"servers": {"DEV1-S": {"ncpus": 2, "ram": 2147483648, "arch": "x86_64"}}}"#
            }
            path if path.ends_with("/servers") => r#"{"servers": []}"#,
            "/marketplace/v2/images" => include_str!("samples/images.json"),
            "/marketplace/v2/local-images" if line.contains("ubuntu_noble") => {
                include_str!("samples/local_images.json")
            }
            "/marketplace/v2/local-images" => r#"{"local_images": [], "total_count": 0}"#,
            "/iam/v1alpha1/ssh-keys" => include_str!("samples/ssh_keys.json"),
            "/iam/v1alpha1/api-keys/SCWX" => include_str!("samples/api_key.json"),
            _ => return (404, refusal("unknown_resource")),
        };
        (200, body.to_owned())
    })
}

#[tokio::test]
async fn the_vendors_bodies_become_servers() {
    let servers = driver(&samples()).list(&Scope::All).await.unwrap();
    let [server] = servers.as_slice() else { panic!("{} servers", servers.len()) };
    assert_eq!(server.id, id());
    assert_eq!((server.status, server.native_status.as_str()), (InstanceStatus::Running, "running (booting kernel)"));
    assert_eq!((server.plan.as_str(), server.image.as_deref()), ("DEV1-S", Some("Ubuntu 24.04 Noble Numbat")));
    assert_eq!(server.addresses.primary().unwrap().to_string(), "203.0.113.7");
    assert_eq!(server.addresses.public_v6[0].to_string(), "2001:db8::7");
    assert_eq!(server.tags.get("env"), Some("prod"));
    assert_eq!(server.tags.get("plain"), Some(""));
    assert_eq!((server.tags.owner(), server.tags.len()), (Some("abcdefgh01234567"), 3), "the mark is not shown");
    assert_eq!(server.created_at.unwrap().to_string(), "2026-08-22T12:34:56.123456Z");
    assert!(server.metadata.get().contains("hypervisor_id"));
}

#[tokio::test]
async fn the_vendors_bodies_become_a_catalogue_and_an_account() {
    let driver = driver_with(&samples(), &["fr-par-1", "fr-par-2"], &[("access_key", "SCWX")]);
    let catalog = driver.catalog().await.unwrap();
    let plans: Vec<_> = catalog.plans.iter().map(|plan| plan.id.as_str()).collect();
    assert_eq!(plans, ["COPARM1-2C-8G", "DEV1-S", "H100-1-80G"], "what is at its end is not sold");
    let arm = catalog.plan("COPARM1-2C-8G").unwrap();
    assert_eq!((arm.architecture, arm.memory_mib, arm.vcpus), (Architecture::Arm64, 8192, 2));
    assert_eq!((arm.disk_gib, arm.disk_elastic, arm.gpu.is_none()), (0, true, true));
    assert_eq!(catalog.plan("H100-1-80G").unwrap().gpu.as_ref().unwrap().model, "H100-PCIe");
    let eur = |text| Some(Money::parse(text, Currency::EUR).unwrap());
    for (plan, zone, price, stock) in [
        ("DEV1-S", "fr-par-1", eur("0.0088"), Stock::Available),
        ("COPARM1-2C-8G", "fr-par-1", eur("0.0426"), Stock::Out),
        ("H100-1-80G", "fr-par-1", eur("2.73"), Stock::Scarce),
        ("DEV1-S", "fr-par-2", None, Stock::Untold),
    ] {
        let offer = catalog.offer(plan, zone).unwrap();
        assert_eq!((offer.price.as_ref().map(|price| price.amount), offer.stock), (price, stock), "{plan} in {zone}");
    }
    // One build for Intel in each zone, one for ARM: the vendor takes the one that fits.
    let [ubuntu] = catalog.images.as_slice() else { panic!("{:?}", catalog.images) };
    assert_eq!((ubuntu.id.as_str(), ubuntu.os.as_deref()), ("ubuntu_noble", Some("ubuntu-24.04")));
    assert_eq!((ubuntu.architecture, ubuntu.regions.len()), (None, 0));

    let account = driver.verify().await.unwrap();
    assert_eq!(account.id, PROJECT);
    assert!(account.notes[0].contains("aaaaaaaa") && account.notes[0].contains("2027-01-22"), "{:?}", account.notes);
}

#[test]
fn every_status_has_its_word() {
    use InstanceStatus::*;
    for (state, detail, expected) in [
        ("starting", "allocating node", Provisioning),
        ("starting", "provisioning node", Provisioning),
        ("running", "booting kernel", Running),
        ("running", "booted", Running),
        ("running", "ready", Running),
        ("running", "", Running),
        ("stopping", "stopping", Running),
        ("stopping", "booted", Running),
        ("stopping", "terminating", Deleting),
        ("stopped", "", Stopped),
        ("stopped in place", "", Stopped),
        ("locked", "", Failed),
        ("", "", Unknown),
        ("resizing", "terminating", Unknown),
    ] {
        assert_eq!(convert::status(state, detail), expected, "{state} ({detail})");
    }
}

#[tokio::test]
async fn every_refusal_has_its_kind() {
    use ErrorKind::*;
    let with = |kind: &str, more: Value| {
        let mut body = json!({"type": kind, "message": "no"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let argument =
        json!({"details": [{"argument_name": "commercial_type", "reason": "unknown", "help_message": "ask"}]});
    let quota = json!({"details": [{"resource": "servers", "quota": 10, "current": 10}]});
    let right = json!({"details": [{"resource": "instance", "action": "write"}]});
    let protected = json!({"precondition": "protected_resource", "help_message": "unprotect"});
    for (status, body, kind, retry, effect, says) in [
        (400, with("invalid_arguments", argument), Invalid, Retry::Never, Effect::None, "commercial_type unknown ask"),
        (400, with("invalid_arguments", json!({"details": "x"})), Invalid, Retry::Never, Effect::None, "no"),
        (
            400,
            with("invalid_request_error", json!({"fields": {"name": ["bad"]}})),
            Invalid,
            Retry::Never,
            Effect::None,
            "name",
        ),
        (400, with("precondition_failed", protected), Conflict, Retry::Never, Effect::None, "protected_resource"),
        (
            401,
            with("denied_authentication", json!({"method": "api_key", "reason": "not_found"})),
            Unauthenticated,
            Retry::Never,
            Effect::None,
            "not_found",
        ),
        (
            401,
            with("denied_authentication", json!({"method": "jwt", "reason": "expired"})),
            Unauthenticated,
            Retry::Never,
            Effect::None,
            "expired",
        ),
        (409, refusal("locked"), Conflict, Retry::Never, Effect::None, "no"),
        (401, "Unauthorized".to_owned(), Unauthenticated, Retry::Never, Effect::None, "401"),
        (403, with("permissions_denied", right), Forbidden, Retry::Never, Effect::None, "instance write"),
        (403, with("quotas_exceeded", quota), Quota, Retry::Never, Effect::None, "servers 10 of 10 in use"),
        (
            404,
            with("not_found", json!({"resource": "MarketplaceImage"})),
            Invalid,
            Retry::Never,
            Effect::None,
            "MarketplaceImage",
        ),
        (404, refusal("unknown_resource"), Invalid, Retry::Never, Effect::None, "no"),
        (404, "<html>nothing</html>".to_owned(), Protocol, Retry::Backoff, Effect::None, "404"),
        (
            409,
            with("transient_state", json!({"current_state": "stopping"})),
            Conflict,
            Retry::Backoff,
            Effect::None,
            "stopping",
        ),
        (423, refusal("locked"), Conflict, Retry::Never, Effect::None, "no"),
        (410, refusal("resource_expired"), Conflict, Retry::Never, Effect::None, "no"),
        (503, refusal("out_of_stock"), NoCapacity, Retry::Never, Effect::None, "no"),
        (400, refusal("out_of_stock"), NoCapacity, Retry::Never, Effect::None, "no"),
        (429, String::new(), RateLimited, Retry::Backoff, Effect::None, "429"),
        (400, r#"{"message": "only words"}"#.to_owned(), Invalid, Retry::Never, Effect::None, "only words"),
        (
            500,
            r#"{"type": "internal", "message": "oops"}"#.to_owned(),
            Unavailable,
            Retry::Backoff,
            Effect::Unknown,
            "oops",
        ),
        (503, "<html>out_of_stock</html>".to_owned(), Unavailable, Retry::Backoff, Effect::Unknown, "503"),
    ] {
        let said = body.clone();
        let script = Script::new(move |line, _| match line.starts_with("GET") {
            true => (200, r#"{"servers": []}"#.to_owned()),
            false => (status, body.clone()),
        });
        let error = driver(&script).create(&order()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry(), error.effect()), (kind, retry, effect), "{status} {said}: {error}");
        assert_eq!(error.operation(), Some("servers.create"));
        assert!(error.message().contains(says) && !error.message().contains('<'), "{says} in {error}");
    }
}

/// A zone of so many servers, page by page; the other zones are empty.
fn pages(total: u64) -> Arc<Script> {
    Script::new(move |line, _| {
        let page: u64 = line.split("page=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let page = if line.contains("fr-par-1") { page } else { 9999 };
        let one = |n: u64| json!({"id": format!("id-{n}"), "name": "n", "state": "running"});
        let items: Vec<_> = (((page - 1) * 100).min(total)..(page * 100).min(total)).map(one).collect();
        (200, json!({"servers": items, "total_count": if page == 9999 { 0 } else { total }}).to_string())
    })
}

#[tokio::test]
async fn ten_thousand_servers_take_a_hundred_requests_and_one_for_each_other_zone() {
    let script = pages(10_000);
    let servers = driver_with(&script, &[], &[]).list(&Scope::All).await.unwrap();
    assert_eq!((servers.len(), script.asked().len()), (10_000, 100 + 9));
    let untold = Script::new(|line, _| {
        let items = if line.contains("page=1&") { 100 } else { 3 };
        let one = |n: u64| json!({"id": format!("{}-{n}", items), "name": "n", "state": "running"});
        (200, json!({"servers": (0..items).map(one).collect::<Vec<_>>()}).to_string())
    });
    let servers = driver_with(&untold, &["fr-par-1"], &[]).list(&Scope::All).await.unwrap();
    assert_eq!((servers.len(), untold.asked().len()), (103, 2), "without a total a full page has a next one");
}

#[tokio::test]
async fn a_zone_that_fails_fails_the_list_by_its_name() {
    let script = Script::new(|line, _| match line.contains("nl-ams-2") {
        true => (403, refusal("permissions_denied")),
        false => {
            (200, r#"{"servers": {}, "images": []}"#.replace("{}", if line.contains("products") { "{}" } else { "[]" }))
        }
    });
    let driver = driver_with(&script, &[], &[]);
    for error in [driver.list(&Scope::All).await.unwrap_err(), driver.catalog().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert!(error.message().contains("nl-ams-2 is missing, so the list is not shown"), "{error}");
    }
    let short = Script::new(|_, _| (200, r#"{"servers": [], "total_count": 7}"#.to_owned()));
    let error = driver_with(&short, &["fr-par-1"], &[]).list(&Scope::All).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Protocol, Retry::Backoff));
}

#[tokio::test]
async fn what_is_protected_is_not_deleted() {
    let script = Script::new(|_, _| {
        let mut server = server("stopped", "", &[]);
        server["protected"] = json!(true);
        (200, json!({"server": server}).to_string())
    });
    assert_eq!(driver(&script).delete(&id()).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn keys_are_found_given_or_refused() {
    let keys = |listed: &'static str| {
        Script::new(move |line, _| match line {
            line if line.starts_with("POST") => {
                (200, json!({"id": "k", "name": "me@home", "public_key": KEY}).to_string())
            }
            _ => (200, listed.to_owned()),
        })
    };
    let (public, owner) = (SshKey::Public(KEY.into()), capsule_core::OwnerId::random());
    let sample = include_str!("samples/ssh_keys.json");
    let script = keys(sample);
    let driver_ = driver(&script);
    let named =
        ["c0ffee00-0000-4000-8000-000000000001", "me", "MD5:11:22:33:44"].map(|word| SshKey::Existing(word.into()));
    driver_.ensure_keys(&[&[public.clone()][..], &named].concat(), &owner).await.unwrap();
    assert_eq!(script.asked().len(), 1, "{:?}", script.asked());
    for (word, kind) in [("nobody", ErrorKind::Invalid), ("old", ErrorKind::Conflict)] {
        let error = driver_.ensure_keys(&[SshKey::Existing(word.into())], &owner).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{word}");
    }
    let script = keys(r#"{"ssh_keys": [], "total_count": 0}"#);
    let driver_ = driver(&script);
    driver_.ensure_keys(std::slice::from_ref(&public), &owner).await.unwrap();
    driver_.ensure_keys(&[public], &owner).await.unwrap();
    assert_eq!(script.asked().len(), 2, "a key just given is known");
    let body = script.body_of("POST /iam/v1alpha1/ssh-keys");
    assert_eq!(body, json!({"name": format!("capsule-{owner}-me@home"), "public_key": KEY, "project_id": PROJECT}));
}

#[tokio::test]
async fn a_wrong_order_is_refused_before_anything_is_sent() {
    type Spoil = fn(&mut Order);
    let spoils: [(&str, Spoil); 11] = [
        ("names no plan", |order| order.spec.plan = " ".into()),
        ("names no region", |order| order.spec.region = String::new()),
        ("names no image", |order| order.spec.image = String::new()),
        ("no zone of Scaleway", |order| order.spec.region = "fr-par-7".into()),
        ("not among the `regions`", |order| order.spec.region = "nl-ams-1".into()),
        ("One call makes one server", |order| order.names.push("b".into())),
        ("cannot be a server's name", |order| order.names = vec!["-a".into()]),
        ("65536 bytes", |order| order.spec.user_data = Some("x".repeat(65_536))),
        ("longer than the 255", |order| order.spec.tags.insert("k", "v".repeat(255))),
        ("Capsule's own", |order| order.spec.tags.insert("capsule-awaits", "")),
        ("cannot be had", |order| order.spec.disk_gib = Some(0)),
    ];
    for (why, spoil) in spoils {
        let script = samples();
        let mut order = order();
        spoil(&mut order);
        let error = driver(&script).create(&order).await.unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
        assert_eq!(
            (error.kind(), error.effect(), script.asked().len()),
            (ErrorKind::Invalid, Effect::None, 0),
            "{why}"
        );
    }
}

#[test]
fn settings_are_checked() {
    let script = samples();
    let error = Scaleway::new(script.connect(&[("api_key", "k")])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint().unwrap().contains("console.scaleway.com"), "it says how to find the project: {error:?}");
    let zones = |words: &[&str]| convert::zones(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(zones(&["nl-ams", "fr-par-2"]).unwrap(), ["fr-par-2", "nl-ams-1", "nl-ams-2", "nl-ams-3"]);
    assert!(zones(&["fr-par-9"]).unwrap_err().hint().unwrap().contains("fr-par-"));
    assert_eq!(zones(&Settings::default().regions.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().len(), 10);
}

#[test]
fn systems_have_the_same_names_everywhere() {
    for (label, os) in [
        ("ubuntu_noble", Some("ubuntu-24.04")),
        ("ubuntu_jammy", Some("ubuntu-22.04")),
        ("debian_bookworm", Some("debian-12")),
        ("debian_trixie", Some("debian-13")),
        ("fedora_42", Some("fedora-42")),
        ("rockylinux_9", Some("rocky-9")),
        ("almalinux_9", Some("alma-9")),
        ("centos_stream_9", Some("centos-stream-9")),
        ("ubuntu_noble_gpu_os_13_nvidia", None),
        ("gitlab", None),
        ("_", None),
    ] {
        let image = api::Image { label: label.into(), name: None, categories: None };
        let build = api::LocalImage { zone: "fr-par-1".into(), arch: Some("arm64".into()) };
        let shelves = vec![Shelf { zone: "fr-par-1", types: vec![], stock: vec![] }];
        let catalog = offers::catalog(jiff::Timestamp::UNIX_EPOCH, shelves, vec![(image, vec![build])]);
        assert_eq!(catalog.images[0].os.as_deref(), os, "{label}");
        assert_eq!(catalog.images[0].architecture, Some(Architecture::Arm64));
    }
}

const NAMES: &str = "servers server id name state state_detail tags image public_ips address volumes 0 volume_type \
    allowed_actions total_count images label categories local_images zone arch ssh_keys public_key \
    user_data ncpus ram hourly_price gpu availability type message details fields status user_id";

proptest! {
    #[test]
    fn any_answer_gives_a_value_or_an_error(answer in any_json(NAMES), status in prop::sample::select(vec![200u16, 404, 400])) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let text = answer.to_string();
        let script = Script::new(move |_, _| (status, text.clone()));
        let driver = driver_with(&script, &["fr-par-1"], &[("access_key", "SCWX")]);
        runtime.block_on(async {
            let _ = driver.verify().await;
            let _ = driver.catalog().await;
            if let Err(error) = driver.list(&Scope::All).await && status == 200 {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            }
            let _ = driver.get(&id()).await;
            let _ = driver.power(&id(), Power::Off).await;
            let _ = driver.delete(&id()).await;
            let mut order = order();
            order.spec.ssh_keys = vec![SshKey::Public(KEY.into())];
            let _ = driver.create(&order).await;
        });
    }
}
