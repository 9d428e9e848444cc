//! The driver over a scripted vendor: the tables, the samples, and how many requests a call takes.

use std::sync::Mutex as Lock;

use capsule_core::{
    Architecture, BillingUnit, Currency, InstanceSpec, InstanceStatus, Money, OwnerId, Retry, Stock, Tags, Token,
};
use futures_util::future::join;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::script::{self, Script};

const PROJECT: &str = "5a4d0000-0000-4000-8000-000000000001";
const UUID: &str = "5b6f0e3c-1c52-4d1e-9a57-0d8e0a4b7f11";
const DEVICES: &str = "/projects/5a4d0000-0000-4000-8000-000000000001/devices";
const SETTINGS: [(&str, &str); 2] = [("api_key", "test"), ("project_id", PROJECT)];

/// The driver of somebody's own service with this API.
fn driver(script: &Arc<Script>) -> Equinix {
    let mut connect = script.connect(&SETTINGS);
    connect.settings.endpoint = Some("https://metal.example.com".parse().unwrap());
    Equinix::new(connect).unwrap()
}

/// The driver of the vendor's own host, which was switched off.
fn driver_of_the_dead(script: &Arc<Script>) -> Equinix {
    Equinix::new(script.connect(&SETTINGS)).unwrap()
}

fn device(id: &str, state: &str) -> Value {
    json!({"id": id, "hostname": "web", "state": state, "metro": {"code": "da"}, "plan": {"slug": "c3.small.x86"},
        "operating_system": {"slug": "ubuntu_24_04"}, "tags": ["env:prod"], "created_at": "2025-12-31T18:59:00-05:00"})
}

fn order() -> Order {
    Order {
        token: Token::random(),
        again: false,
        owner: OwnerId::random(),
        names: vec!["web-1".to_owned()],
        spec: InstanceSpec {
            plan: "c3.small.x86".into(),
            region: "da".into(),
            image: "ubuntu_24_04".into(),
            disk_gib: None,
            ssh_keys: vec![],
            user_data: None,
            tags: Tags::new(),
        },
    }
}

fn id(native: &str) -> InstanceId {
    InstanceId::new("equinix", "da", native)
}

fn samples() -> Arc<Script> {
    Script::new(|line, _| {
        let path = line.split('?').next().unwrap().replace(&format!("/projects/{PROJECT}"), "/project");
        let body = match path.as_str() {
            "GET /project" => include_str!("samples/project.json"),
            "GET /project/plans" => include_str!("samples/plans.json"),
            "GET /locations/metros" => include_str!("samples/metros.json"),
            "GET /operating-systems" => include_str!("samples/operating_systems.json"),
            "GET /capacity/metros" => include_str!("samples/capacity.json"),
            "GET /project/ssh-keys" => include_str!("samples/keys.json"),
            "POST /project/ssh-keys" => include_str!("samples/key_created.json"),
            "GET /project/devices" => include_str!("samples/devices.json"),
            "POST /project/devices" => include_str!("samples/device_created.json"),
            path if path.starts_with("GET /devices/") => include_str!("samples/device.json"),
            _ => return (404, json!({"errors": ["Not found"]}).to_string()),
        };
        (200, body.to_owned())
    })
}

#[tokio::test]
async fn described_bodies_become_servers() {
    let all = samples();
    let servers = driver(&all).list(&Scope::All).await.unwrap();
    let [full, bare] = servers.as_slice() else { panic!("what is deleted is no server: {servers:?}") };
    assert_eq!(full.id.to_string(), format!("equinix/da/{UUID}"));
    assert_eq!((full.status, full.native_status.as_str()), (InstanceStatus::Running, "active"));
    assert_eq!((full.name.as_str(), full.plan.as_str()), ("web-1", "c3.small.x86"));
    assert_eq!(full.image.as_deref(), Some("ubuntu_24_04"));
    assert_eq!(full.addresses.primary().unwrap().to_string(), "192.0.2.11");
    assert_eq!(full.addresses.public_v6[0].to_string(), "2001:db8:1:2::3");
    assert_eq!(full.addresses.private[0].to_string(), "10.70.1.3");
    assert_eq!(full.created_at.unwrap().to_string(), "2026-01-12T09:30:00Z");
    assert_eq!((full.tags.get("env"), full.tags.get("plain")), (Some("prod"), Some("")));
    assert!(full.metadata.get().contains("\"hour\": 0.75"), "metadata must stay as it was");
    // Links alone: whoever asks without `include` sees no more.
    assert_eq!((bare.id.region.as_str(), bare.plan.as_str(), bare.status), ("unknown", "", InstanceStatus::Stopped));

    let found = driver(&all).get(&full.id).await.unwrap().unwrap();
    assert_eq!((found.id, found.status), (full.id.clone(), InstanceStatus::Running));
    let line = format!("GET /devices/{UUID}?include=plan%2Cmetro%2Coperating_system");
    assert_eq!(all.asked().last(), Some(&line));
}

#[tokio::test]
async fn described_bodies_become_a_catalogue_and_an_account() {
    let script = samples();
    let driver = driver(&script);
    let catalog = driver.catalog().await.unwrap();
    assert_eq!(script.asked().len(), 4, "{:?}", script.asked());
    let [small, arm, spot] = catalog.plans.as_slice() else { panic!("storage is no server: {:?}", catalog.plans) };
    assert_eq!((small.vcpus, small.memory_mib, small.disk_gib), (8, 32 << 10, 960));
    assert_eq!((small.kind, small.architecture), (PlanKind::BareMetal, Architecture::X86_64));
    assert_eq!((arm.vcpus, arm.disk_gib, arm.architecture), (80, 4800, Architecture::Arm64));
    assert_eq!(spot.id, "m2.xlarge.x86");
    let offer = |plan, region| {
        let offer = catalog.offer(plan, region)?;
        let price = offer.price.as_ref().map(|price| (price.amount, price.per, price.monthly_cap));
        Some((price, offer.stock))
    };
    let usd = |text| Some((Money::parse(text, Currency::USD).unwrap(), BillingUnit::Hour, None));
    assert_eq!(offer("c3.small.x86", "da"), Some((usd("0.75"), Stock::Available)), "found by its link");
    assert_eq!(offer("c3.small.x86", "sg"), Some((usd("0.8235"), Stock::Out)), "the metro's own price");
    assert_eq!(offer("c3.large.arm64", "da"), Some((usd("2.5"), Stock::Scarce)));
    assert_eq!(offer("m2.xlarge.x86", "da"), None, "not sold for a price");
    assert_eq!(catalog.offers.len(), 3, "a metro that is not listed is none");
    let images: Vec<_> = catalog.images.iter().map(|image| (image.id.as_str(), image.os.as_deref())).collect();
    assert_eq!(images, [("ubuntu_24_04", Some("ubuntu-24.04")), ("alma_9", Some("almalinux-9"))]);
    let builds: Vec<_> = catalog.images.iter().map(|image| image.architecture).collect();
    assert_eq!(builds, [None, Some(Architecture::X86_64)]);

    let mut connect = script.connect(&SETTINGS);
    connect.settings.endpoint = Some("https://metal.example.com".parse().unwrap());
    connect.settings.regions = vec!["sg".into()];
    let narrow = Equinix::new(connect).unwrap().catalog().await.unwrap();
    assert_eq!((narrow.regions.len(), narrow.offers.len()), (1, 1));
    assert_eq!(driver.verify().await.unwrap().id, format!("production (project {PROJECT})"));
}

#[tokio::test]
async fn a_price_without_a_shape_is_unknown() {
    let rates = [
        (json!({"hour": 0.1}), Some("0.1")),
        (json!({"hour": "0.50"}), Some("0.50")),
        (json!({"hour": 0}), None),
        (json!({"hour": {"price": 1}}), None),
        (json!({"month": 300}), None),
        (json!([]), None),
        (json!("free"), None),
        (Value::Null, None),
    ];
    for (pricing, expected) in rates {
        let plan = json!({"slug": "p", "pricing": pricing, "available_in_metros": [{"code": "da"}]});
        let script = Script::new(move |line, _| {
            let body = match line {
                line if line.contains("/plans") => json!({"plans": [plan]}),
                line if line.contains("/metros") && line.contains("capacity") => json!({"capacity": {}}),
                line if line.contains("/metros") => json!({"metros": [{"code": "da", "name": "Dallas"}]}),
                _ => json!({"operating_systems": []}),
            };
            (200, body.to_string())
        });
        let catalog = driver(&script).catalog().await.unwrap();
        let offer = catalog.offer("p", "da").unwrap();
        let price = offer.price.as_ref().map(|price| price.amount);
        assert_eq!(price, expected.map(|text| Money::parse(text, Currency::USD).unwrap()));
        assert_eq!(offer.stock, Stock::Untold);
    }
}

#[test]
fn every_status_has_its_word() {
    use InstanceStatus::*;
    for (word, expected) in [
        ("queued", Provisioning),
        ("provisioning", Provisioning),
        ("reinstalling", Provisioning),
        ("powering_on", Provisioning),
        ("active", Running),
        ("powering_off", Running),
        ("inactive", Stopped),
        ("deprovisioning", Deleting),
        ("deleted", Deleting),
        ("failed", Failed),
        ("", Unknown),
        ("post_provisioning", Unknown),
    ] {
        assert_eq!(convert::status(word), expected, "{word}");
    }
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_what_failed_says_so() {
    let script = Script::new(|_, _| (200, device(UUID, "deleted").to_string()));
    assert!(driver(&script).get(&id(UUID)).await.unwrap().is_none());
    let script = Script::new(|_, _| (200, device(UUID, "failed").to_string()));
    let seen = driver(&script).get(&id(UUID)).await.unwrap().unwrap();
    assert!(seen.fault.unwrap().contains("could not provision"));
    assert_eq!(seen.created_at.unwrap().to_string(), "2025-12-31T23:59:00Z");
    let script = Script::new(|_, _| (200, device(UUID, "melting").to_string()));
    let seen = driver(&script).get(&id(UUID)).await.unwrap().unwrap();
    assert_eq!((seen.status, seen.native_status.as_str()), (InstanceStatus::Unknown, "melting"));
}

#[tokio::test]
async fn every_refusal_of_an_order_has_its_kind() {
    use ErrorKind::*;
    const NEVER: (Retry, Effect) = (Retry::Never, Effect::None);
    const DOUBT: (Retry, Effect) = (Retry::Backoff, Effect::Unknown);
    let one = |text: &str| json!({ "error": text }).to_string();
    let many = |texts: &[&str]| json!({ "errors": texts }).to_string();
    for (status, body, kind, (retry, effect), said) in [
        (401, one("Invalid authentication token"), Unauthenticated, NEVER, "Invalid authentication token"),
        (403, one("You are not authorized to view this resource"), Forbidden, NEVER, "not authorized"),
        (403, one("This plan is not available to your organization"), Forbidden, NEVER, "your organization"),
        (404, many(&["Not found"]), Invalid, NEVER, "Not found"),
        (422, many(&["Plan is invalid", "Metro is invalid."]), Invalid, NEVER, "Plan is invalid; Metro is invalid"),
        (422, one("The metro da has no capacity for this plan"), NoCapacity, NEVER, "no capacity"),
        (422, many(&["No available servers of this plan"]), NoCapacity, NEVER, "No available servers"),
        (422, many(&["You have reached your quota of available devices"]), Quota, NEVER, "quota"),
        (422, many(&["Device limit exceeded"]), Quota, NEVER, "limit"),
        (422, many(&["hostname is invalid"]), Invalid, NEVER, "hostname is invalid"),
        (422, String::new(), Invalid, NEVER, "422"),
        (422, "<html>no capacity</html>".to_owned(), Invalid, NEVER, "422"),
        (422, json!({"errors": {"plan": "is invalid"}}).to_string(), Invalid, NEVER, "422"),
        (429, one("Rate limit exceeded"), RateLimited, (Retry::Backoff, Effect::None), "Rate limit"),
        (500, one("Internal capacity error"), Unavailable, DOUBT, "Internal capacity error"),
        (502, "<html>Bad gateway</html>".to_owned(), Unavailable, DOUBT, "502"),
        (503, String::new(), Unavailable, DOUBT, "503"),
    ] {
        let sent = body.clone();
        let script = Script::new(move |_, _| (status, sent.clone()));
        let error = driver(&script).create(&order()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry(), error.effect()), (kind, retry, effect), "{status} {body}");
        assert_eq!((error.operation(), error.http_status()), (Some("devices.create"), Some(status)));
        assert!(error.message().contains(said), "{status} {body}: {error}");
        assert!(!error.message().contains('<'), "a page of HTML is no message: {error}");
        assert!(status != 403 || error.hint().unwrap().contains("project"), "{:?}", error.hint());
    }
}

#[tokio::test]
async fn a_project_that_is_not_there_is_a_wrong_setting() {
    let script = Script::new(|_, _| (404, json!({"errors": ["Not found"]}).to_string()));
    let driver = driver(&script);
    let errors = [driver.verify().await.unwrap_err(), driver.list(&Scope::All).await.unwrap_err()];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.hint().unwrap().contains("project_id"), "{:?}", error.hint());
    }
}

#[test]
fn a_project_is_asked_for_before_anything_is_sent() {
    for (project, says) in [(None, "has no `project_id`"), (Some("my project"), "not a UUID"), (Some(""), "not a UUID")]
    {
        let script = samples();
        let settings: Vec<_> =
            [Some(("api_key", "test")), project.map(|id| ("project_id", id))].into_iter().flatten().collect();
        let error = Equinix::new(script.connect(&settings)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(says), "{error}");
        assert!(error.hint().unwrap().contains("Project Settings"), "{:?}", error.hint());
        assert!(script.asked().is_empty());
    }
}

#[tokio::test]
async fn the_vendors_own_host_takes_no_orders() {
    let script = samples();
    let error = driver_of_the_dead(&script).create(&order()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    assert!(error.message().contains("2026-06-30"), "{error}");
    assert!(error.hint().unwrap().contains("vultr") && error.hint().unwrap().contains("--force"));
    assert!(script.asked().is_empty(), "nothing is sent");
    let mut connect = script.connect(&SETTINGS);
    connect.settings.force_retired = true;
    Equinix::new(connect).unwrap().create(&order()).await.unwrap_err();
    assert_eq!(script.asked(), [format!("POST /metal/v1{DEVICES}?include=plan%2Cmetro%2Coperating_system")]);
}

#[tokio::test]
async fn what_a_dead_host_says_is_about_neither_key_nor_server() {
    for status in [401, 403, 404, 410] {
        let script = Script::new(move |_, _| (status, json!({"error": "Unauthorized"}).to_string()));
        let driver = driver_of_the_dead(&script);
        let errors = [
            driver.verify().await.unwrap_err(),
            driver.list(&Scope::All).await.unwrap_err(),
            driver.get(&id(UUID)).await.unwrap_err(),
            driver.delete(&id(UUID)).await.unwrap_err(),
            driver.power(&id(UUID), Power::On).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::Never), "{status} {error}");
            assert!(error.message().starts_with("Equinix Metal was switched off on 2026-06-30"), "{error}");
            assert!(error.hint().unwrap().contains("hivelocity"));
        }
    }
    // While it answers, it is believed.
    let listed = driver_of_the_dead(&Script::new(|_, _| (200, json!({"devices": []}).to_string())));
    assert!(listed.list(&Scope::All).await.unwrap().is_empty());
    let busy = driver_of_the_dead(&Script::new(|_, _| (503, String::new())));
    assert!(!busy.verify().await.unwrap_err().message().contains("switched off"));
}

/// So many devices in pages; the pages from `broken` on fail.
fn pages(total: usize, broken: Option<usize>) -> Arc<Script> {
    Script::new(move |line, _| {
        let number = |name: &str| line.split(name).nth(1).unwrap().split('&').next().unwrap().parse::<usize>().unwrap();
        let (page, size) = (number("&page="), number("per_page="));
        if broken.is_some_and(|broken| page >= broken) {
            return (403, json!({"error": "no"}).to_string());
        }
        // The vendor's prose says 100 at most; the answer tells what it made of the wish.
        let size = size.min(100);
        let items: Vec<Value> =
            (0..total).skip((page - 1) * size).take(size).map(|n| device(&format!("{n:08x}"), "active")).collect();
        let meta = json!({"total": total, "current_page": page, "last_page": total.div_ceil(size).max(1)});
        (200, json!({"devices": items, "meta": meta}).to_string())
    })
}

#[tokio::test]
async fn every_page_is_read_however_long_the_vendor_makes_it() {
    let script = pages(1_234, None);
    assert_eq!(driver(&script).list(&Scope::All).await.unwrap().len(), 1_234);
    assert_eq!(script.asked().len(), 13);
    assert!(script.asked().iter().all(|line| line.contains("per_page=1000") && line.contains("include=plan")));
    assert!(driver(&pages(0, None)).list(&Scope::All).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_an_error() {
    let error = driver(&pages(400, Some(3))).list(&Scope::All).await.unwrap_err();
    assert!(error.to_string().starts_with("Page 3 of 4 of the devices is missing"), "{error}");
    let short = Script::new(|_, _| {
        (200, json!({"devices": [device(UUID, "active")], "meta": {"total": 2, "last_page": 1}}).to_string())
    });
    let error = driver(&short).list(&Scope::All).await.unwrap_err();
    assert_eq!(error.to_string(), "Only 1 of 2 devices arrived, so the list is not shown.");
    let endless = Script::new(|_, _| (200, json!({"devices": [], "meta": {"last_page": 99_999}}).to_string()));
    assert_eq!(driver(&endless).list(&Scope::All).await.unwrap_err().kind(), ErrorKind::Protocol);
    // It grew while it was read.
    let asked = Lock::new(0);
    let growing = Script::new(move |_, _| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let meta = json!({"total": *asked, "last_page": (*asked + 1).min(3)});
        (200, json!({"devices": [device(&format!("{asked}"), "active")], "meta": meta}).to_string())
    });
    assert_eq!(driver(&growing).list(&Scope::All).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_listing_by_token_is_filtered_by_the_vendor_and_once_more_here() {
    let order = order();
    let tags = json!([format!("capsule-owner:{}", order.owner), format!("capsule-token:{}", order.token)]);
    let script = Script::new(move |_, _| {
        let mut ours = device(UUID, "active");
        ours["tags"] = tags.clone();
        (200, json!({"devices": [device("bb", "active"), ours.clone(), ours]}).to_string())
    });
    for (scope, tag) in [
        (Scope::Token(order.token.clone()), format!("&tag=capsule-token%3A{}&", order.token)),
        (Scope::Owner(order.owner.clone()), format!("&tag=capsule-owner%3A{}&", order.owner)),
    ] {
        let found = driver(&script).list(&scope).await.unwrap();
        assert_eq!(found.iter().map(|server| server.id.native.as_str()).collect::<Vec<_>>(), [UUID]);
        assert!(script.asked().last().unwrap().contains(&tag), "{:?}", script.asked());
    }
}

#[tokio::test]
async fn an_order_is_one_request_with_name_and_tags_at_birth() {
    let script = samples();
    let driver = driver(&script);
    let mut order = order();
    order.spec.user_data = Some("#cloud-config\n".into());
    order.spec.tags.insert("team", "a/b");
    let made = driver.create(&order).await.unwrap();
    assert_eq!((made[0].name.as_str(), made[0].status), ("web-1", InstanceStatus::Provisioning));
    let line = format!("POST {DEVICES}?include=plan%2Cmetro%2Coperating_system");
    assert_eq!(
        script.asked_with(),
        [(
            line,
            json!({"metro": "da", "plan": "c3.small.x86", "operating_system": "ubuntu_24_04", "hostname": "web-1",
                "billing_cycle": "hourly", "userdata": "#cloud-config\n", "no_ssh_keys": true,
                "tags": [format!("capsule-owner:{}", order.owner), format!("capsule-token:{}", order.token),
                    "team:a_2fb"]})
        )]
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_before_anything_is_sent() {
    type Spoil = fn(&mut Order);
    let spoils: [(&str, Spoil); 10] = [
        ("no plan", |order| order.spec.plan.clear()),
        ("no region", |order| order.spec.region = " ".into()),
        ("no image", |order| order.spec.image.clear()),
        ("`any` is no metro", |order| order.spec.region = "any".into()),
        ("cannot be a server's name", |order| order.names = vec!["web_1".into()]),
        ("cannot be a server's name", |order| order.names = vec!["x".repeat(64)]),
        ("makes 1 server, not 2", |order| order.names.push("web-2".into())),
        ("at most 65536", |order| order.spec.user_data = Some("x".repeat(65537))),
        ("longer than the 255", |order| order.spec.tags.insert("k", "v".repeat(255))),
        ("disks", |order| order.spec.disk_gib = Some(80)),
    ];
    for (why, spoil) in spoils {
        let script = samples();
        let mut order = order();
        spoil(&mut order);
        let error = driver(&script).create(&order).await.unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
        assert_eq!((error.effect(), script.asked().len()), (Effect::None, 0), "{why}");
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFn0Xb0b2lQ1vJxUo0v1u3mJmYlQd7sD4JtS3kqj8b5K me@home";

#[tokio::test]
async fn a_key_is_found_by_its_text_or_given_once() {
    // The project does not list the key, then answers the upload with silence, then lists it: it came through.
    for (upload, listed_after, expected) in
        [(201, false, Ok("new")), (503, true, Ok("old")), (422, true, Ok("old")), (503, false, Err(()))]
    {
        let uploads = Lock::new(0);
        let script = Script::new(move |line, _| match line.split('?').next().unwrap() {
            line if line.starts_with("POST") && line.ends_with("/devices") => (201, device(UUID, "queued").to_string()),
            line if line.starts_with("POST") => {
                *uploads.lock().unwrap() += 1;
                (upload, json!({"id": "new", "key": KEY, "label": "me@home"}).to_string())
            }
            _ => {
                let there = listed_after && *uploads.lock().unwrap() > 0;
                let key = json!({"id": "old", "key": KEY.replace("me@home", "other")});
                let keys = if there { vec![key] } else { vec![json!({"id": "x", "key": "?"})] };
                (200, json!({ "ssh_keys": keys }).to_string())
            }
        });
        let driver = driver(&script);
        let mut order = order();
        order.spec.ssh_keys = vec![SshKey::Public(KEY.into()), SshKey::Existing("mine".into())];
        let (first, second) = join(driver.create(&order), driver.create(&order)).await;
        let orders: Vec<_> =
            script.asked_with().into_iter().filter(|(line, _)| line.contains("POST /projects")).collect();
        let orders: Vec<_> = orders.iter().filter(|(line, _)| line.contains("/devices")).collect();
        match expected {
            Ok(key) => {
                first.and(second).unwrap();
                assert_eq!(orders.len(), 2);
                assert_eq!(
                    (&orders[0].1["project_ssh_keys"], &orders[0].1["no_ssh_keys"]),
                    (&json!([key, "mine"]), &json!(false))
                );
                assert_eq!(
                    script.asked().iter().filter(|line| line.contains("POST") && line.ends_with("/ssh-keys")).count(),
                    1
                );
            }
            Err(()) => {
                let error = first.unwrap_err();
                assert_eq!(error.effect(), Effect::None, "a key in doubt buys no server");
                assert!(orders.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn power_is_asked_for_only_where_it_changes_something() {
    for (state, to, what) in [
        ("active", Power::On, None),
        ("provisioning", Power::On, None),
        ("powering_on", Power::On, None),
        ("inactive", Power::On, Some("power_on")),
        ("inactive", Power::Off, None),
        ("inactive", Power::ForceOff, None),
        ("active", Power::Off, Some("power_off")),
        ("active", Power::ForceOff, Some("power_off")),
        ("active", Power::Reboot, Some("reboot")),
    ] {
        let script = Script::new(move |line, _| match line.starts_with("GET") {
            true => (200, device(UUID, state).to_string()),
            false => (202, String::new()),
        });
        driver(&script).power(&id(UUID), to).await.unwrap();
        let sent = script.asked_with().into_iter().skip(1).collect::<Vec<_>>();
        let expected = what.map(|what| (format!("POST /devices/{UUID}/actions"), json!({ "type": what })));
        assert_eq!(sent, expected.into_iter().collect::<Vec<_>>(), "{to} of {state}");
    }
    let off = Script::new(|_, _| (200, device(UUID, "inactive").to_string()));
    assert_eq!(driver(&off).power(&id(UUID), Power::Reboot).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_got_there_between_look_and_request_is_no_failure() {
    for (then, fine) in [("inactive", true), ("active", false)] {
        let looks = Lock::new(0);
        let script = Script::new(move |line, _| match line.starts_with("GET") {
            true => {
                *looks.lock().unwrap() += 1;
                let state = if *looks.lock().unwrap() > 1 { then } else { "active" };
                (200, device(UUID, state).to_string())
            }
            false => (422, json!({"errors": ["Device must be powered on"]}).to_string()),
        });
        let answered = driver(&script).power(&id(UUID), Power::Off).await;
        match fine {
            true => answered.unwrap(),
            false => assert_eq!(answered.unwrap_err().kind(), ErrorKind::Conflict),
        }
    }
}

#[tokio::test]
async fn a_device_is_deleted_when_it_can_be() {
    let tries = Lock::new(0);
    let script = Script::new(move |_, _| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        let busy = json!({"errors": ["Cannot delete a device while it is provisioning"]}).to_string();
        if *tries < 3 { (422, busy) } else { (204, String::new()) }
    });
    driver(&script).delete(&id(UUID)).await.unwrap();
    assert_eq!(script.asked(), vec![format!("DELETE /devices/{UUID}"); 3]);
    let locked = Script::new(|_, _| (422, json!({"error": "Device is locked"}).to_string()));
    let error = driver(&locked).delete(&id(UUID)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::Never));
    assert!(error.hint().unwrap().contains("unlock"));
}

#[tokio::test]
async fn what_is_gone_is_gone() {
    let gone = Script::new(|_, _| (404, json!({"errors": ["Not found"]}).to_string()));
    driver(&gone).delete(&id(UUID)).await.unwrap();
    assert!(driver(&gone).get(&id(UUID)).await.unwrap().is_none());
    assert_eq!(driver(&gone).power(&id(UUID), Power::On).await.unwrap_err().kind(), ErrorKind::NotFound);
    for native in ["", "../user", "x y", "5b6f0e3c"] {
        assert_eq!(driver(&gone).get(&id(native)).await.unwrap_err().kind(), ErrorKind::Invalid, "{native}");
    }
}

/// Any JSON, with the names that the decoders look for.
fn any_json() -> impl Strategy<Value = Value> {
    script::any_json(
        "devices meta total last_page id hostname state created_at plan operating_system metro slug code \
        ip_addresses address public tags plans pricing hour price specs cpus memory drives count type size total \
        available_in_metros deployment_types href metros country operating_systems provisionable_on capacity level \
        ssh_keys key name error errors",
    )
}

proptest! {
    #[test]
    fn any_answer_gives_a_value_or_an_error(answer in any_json(), status in prop::sample::select(vec![200u16, 404, 422])) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let text = answer.to_string();
        let script = Script::new(move |_, _| (status, text.clone()));
        let driver = driver(&script);
        runtime.block_on(async {
            let _ = driver.verify().await;
            let _ = driver.catalog().await;
            if let Err(error) = driver.list(&Scope::All).await && status == 200 {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            }
            let _ = driver.get(&id(UUID)).await;
            let _ = driver.power(&id(UUID), Power::Off).await;
            let _ = driver.delete(&id(UUID)).await;
            let mut order = order();
            order.spec.ssh_keys = vec![SshKey::Public(KEY.into())];
            let _ = driver.create(&order).await;
        });
    }
}
