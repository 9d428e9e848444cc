//! The driver over a scripted vendor: the tables, the samples, and what follows an order.

mod following;

use std::sync::Mutex as Lock;
use std::time::Duration;

use capsule_core::{
    BillingUnit, Currency, Effect, InstanceSpec, ManualClock, Money, OwnerId, Retry, SshKey, Stock, Tags, Token,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::script::{self, Script};

const OWNER: &str = "0123456789abcdef";
const TOKEN: &str = "0123456789abcdefghjkmnpqrs";

/// A vendor that answers to `METHOD /path?query` without the version path.
fn vendor(answer: impl Fn(&str, &Value) -> (u16, String) + Send + Sync + 'static) -> Arc<Script> {
    Script::new(move |line, body| answer(&line.replacen("/api/v2", "", 1), body))
}

fn driver(script: &Arc<Script>) -> Hivelocity {
    Hivelocity::new(script.connect(&[("api_key", "hv-test")])).unwrap()
}

fn asked(script: &Arc<Script>) -> Vec<String> {
    script.asked().iter().map(|line| line.replacen("/api/v2", "", 1)).collect()
}

fn ok(body: impl ToString) -> (u16, String) {
    (200, body.to_string())
}

fn refusal(status: u16, message: &str) -> (u16, String) {
    (status, json!({"code": status, "message": message}).to_string())
}

fn missing() -> (u16, String) {
    refusal(404, "Deployment Not Found")
}

/// Answers with the samples.
fn sample(line: &str) -> (u16, String) {
    ok(match line {
        "GET /profile/basic" => include_str!("samples/profile.json"),
        "GET /compute/" => include_str!("samples/compute.json"),
        "GET /bare-metal-devices/" => include_str!("samples/bare_metal_devices.json"),
        "GET /device/" => include_str!("samples/devices.json"),
        "GET /order/in-progress" => include_str!("samples/orders_in_progress.json"),
        "GET /order/90007" | "GET /order/90008" => include_str!("samples/order.json"),
        "GET /inventory/product?location=MAIN&group_by=flat" => include_str!("samples/inventory.json"),
        "GET /inventory/product?location=OUTLET&group_by=flat" => "[]",
        "GET /inventory/locations" => include_str!("samples/locations.json"),
        "GET /product/2379/operating-systems" => include_str!("samples/systems_vps.json"),
        "GET /product/504/operating-systems" => include_str!("samples/systems.json"),
        "GET /product/603/operating-systems" => "[]",
        "GET /ssh_key/" => include_str!("samples/ssh_keys.json"),
        "GET /inventory/product/2379" => return (200, json!({"product_id": 2379, "is_vps": true}).to_string()),
        "GET /inventory/product/504" => return (200, json!({"product_id": 504, "is_vps": false}).to_string()),
        "POST /compute/" => include_str!("samples/created.json"),
        "POST /compute/batch" => include_str!("samples/batch.json"),
        line if line.starts_with("GET /inventory/product?") => "{}",
        line if line.starts_with("POST /device/") => include_str!("samples/power.json"),
        _ => return missing(),
    })
}

fn order(names: &[&str]) -> Order {
    Order {
        token: TOKEN.parse().unwrap(),
        again: false,
        owner: OWNER.parse::<OwnerId>().unwrap(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        spec: InstanceSpec {
            plan: "2379".into(),
            region: "TPA1".into(),
            image: "Ubuntu 24.04 (VPS)".into(),
            disk_gib: None,
            ssh_keys: vec![],
            user_data: Some("#cloud-config\n".into()),
            tags: Tags::new(),
        },
    }
}

fn id(native: &str) -> InstanceId {
    InstanceId::new("hivelocity", "TPA1", native)
}

// ---- Tables and samples

#[test]
fn every_status_has_its_word() {
    use InstanceStatus::*;
    for word in [
        "BUILDING",
        "IPMI_READY",
        "PROVISIONABLE",
        "RESERVED",
        "WAIT_FOR_PXE",
        "PROVISION_STARTED",
        "PROVISION_WAIT_FOR_ADDONS",
        "PROVISION_FINISHED",
        "WAIT_TO_COMPLETE_ORDER",
        "WAIT_TO_ASSIGN_SERVICE",
        "WAIT_FOR_HARDWARE_SCAN",
        "RELOADING",
        "Reloading",
    ] {
        assert_eq!(convert::status(Some(word), Some("ON"), true, false), Provisioning, "{word}");
    }
    for (sps, power, reloads, cancelled, expected) in [
        ("IN_USE", Some("ON"), false, false, Running),
        ("InUse", Some("ON"), false, false, Running),
        ("IN_USE", Some("OFF"), false, false, Stopped),
        ("IN_USE", Some("PENDING"), false, false, Running),
        ("IN_USE", None, false, false, Unknown),
        ("IN_USE", Some("ON"), true, false, Provisioning),
        ("IN_USE", Some("ON"), false, true, Deleting),
        ("FAILED", Some("ON"), false, false, Failed),
        ("Failed", None, false, false, Failed),
        ("CLEANUP_MOVE_TO_FAILED", Some("OFF"), false, false, Failed),
        ("FAILED", None, false, true, Deleting),
        ("DEVICE_READY_TO_TEST", Some("ON"), false, false, Unknown),
        ("DEVICE_READY_TO_WIPE", Some("ON"), false, false, Unknown),
        ("DEVICE_READY_TO_UPGRADE_FIRMWARE", Some("ON"), false, false, Unknown),
        ("IN_REVIEW", Some("ON"), false, false, Unknown),
        ("READY_FOR_MIGRATION", Some("ON"), false, false, Unknown),
        ("READY_FOR_MIGRATION", Some("ON"), false, true, Deleting),
        ("HIBERNATING", Some("ON"), false, false, Unknown),
        ("", Some("ON"), false, false, Running),
        ("", Some("OFF"), false, false, Stopped),
        ("", None, false, false, Unknown),
    ] {
        assert_eq!(convert::status(Some(sps), power, reloads, cancelled), expected, "{sps} {power:?} {cancelled}");
    }
    for (word, expected) in [
        ("verification", Some(Provisioning)),
        ("lead", Some(Provisioning)),
        ("provisioning", Some(Provisioning)),
        ("assembling", Some(Provisioning)),
        ("complete", None),
        ("cancelled", Some(Failed)),
        ("on holiday", Some(Unknown)),
    ] {
        assert_eq!(convert::order_status(word), expected, "order {word}");
    }
}

#[tokio::test]
async fn both_kinds_are_in_one_list_joined_with_their_states() {
    let script = vendor(|line, _| sample(line));
    let servers = driver(&script).list(&Scope::All).await.unwrap();
    let shown: Vec<_> = servers.iter().map(|s| (s.id.to_string(), s.status, s.name.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("hivelocity/TPA1/41007".to_owned(), InstanceStatus::Running, "web"),
            ("hivelocity/NYC1/30112".to_owned(), InstanceStatus::Deleting, "example.hivelocity.net"),
            ("hivelocity/unknown/1200".to_owned(), InstanceStatus::Unknown, "colo.example.com"),
            ("hivelocity/LAX3/41044".to_owned(), InstanceStatus::Provisioning, "db"),
        ]
    );
    let web = &servers[0];
    assert_eq!((web.plan.as_str(), web.image.as_deref()), ("2379", Some("Ubuntu 24.04 (VPS)")));
    assert_eq!(web.addresses.primary().unwrap().to_string(), "198.51.100.7");
    assert_eq!(web.tags.iter().collect::<Vec<_>>().len(), 3, "the time of birth is no tag: {:?}", web.tags);
    assert_eq!((web.tags.owner(), web.tags.token(), web.tags.get("team")), (Some(OWNER), Some(TOKEN), Some("a b")));
    assert_eq!(web.created_at.unwrap().to_string(), "2026-01-01T00:00:00Z");
    assert!(web.metadata.get().contains("\"customIPXEScriptURL\": null"), "metadata must stay as it was");
    assert_eq!(servers[1].native_status, "IN_USE OFF cancelled");
    assert_eq!(servers[3].native_status, "order verification");
    assert_eq!(servers[3].tags.token(), Some(TOKEN), "the host name carries it too");
    assert_eq!(
        asked(&script),
        ["GET /order/in-progress", "GET /compute/", "GET /bare-metal-devices/", "GET /device/"],
        "a list is four requests, however long it is"
    );
    let mut connect = script.connect(&[("api_key", "hv-test")]);
    connect.settings.lean = true;
    let lean = Hivelocity::new(connect).unwrap().list(&Scope::All).await.unwrap();
    assert_eq!((lean[0].metadata.get(), &lean[0].name), ("{}", &web.name));
}

#[tokio::test]
async fn the_samples_become_a_catalogue_and_an_account() {
    let driver = driver(&vendor(|line, _| sample(line)));
    let catalog = driver.catalog().await.unwrap();
    let plans: Vec<_> = catalog.plans.iter().map(|plan| plan.id.as_str()).collect();
    assert_eq!(plans, ["504", "603", "2379"], "neither what is built by hand nor what is not sold by the hour");
    let metal = catalog.plan("504").unwrap();
    assert_eq!((metal.kind, metal.vcpus, metal.memory_mib, metal.disk_gib), (PlanKind::BareMetal, 12, 32_768, 1920));
    assert_eq!(metal.transfer_gib, Some(20_000));
    assert_eq!(catalog.plan("2379").unwrap().kind, PlanKind::Virtual);
    let price = |plan, region| catalog.offer(plan, region).unwrap().price.clone();
    let usd = |text| Money::parse(text, Currency::USD).unwrap();
    assert_eq!(price("2379", "TPA1").unwrap().amount, usd("0.0125"));
    let with_premium = price("2379", "LAX3").unwrap();
    assert_eq!((with_premium.amount, with_premium.per), (usd("0.014"), BillingUnit::Hour));
    assert_eq!(price("603", "AMS1"), None, "an hour for nothing is no price");
    let stock: Vec<_> = catalog.offers.iter().map(|offer| offer.stock).collect();
    assert_eq!(stock, [Stock::Available, Stock::Scarce, Stock::Out, Stock::Untold]);
    let regions: Vec<_> = catalog.regions.iter().map(|r| (r.id.as_str(), r.country.as_deref(), r.available)).collect();
    assert_eq!(
        regions,
        [("AMS1", None, true), ("LAX3", None, true), ("SEA1", None, false), ("TPA1", Some("US"), true)]
    );
    let image = |plan: &str| catalog.image_for("ubuntu-24.04", catalog.plan(plan).unwrap(), "TPA1").unwrap().id.clone();
    assert_eq!((image("2379").as_str(), image("504").as_str()), ("Ubuntu 24.04 (VPS)", "Ubuntu 24.04"));
    assert!(catalog.images.iter().any(|image| image.name == "Windows Server 2022 (licence 25.5 USD a month)"));
    assert_eq!(driver.verify().await.unwrap().id, "me@example.com (Example Inc)");
}

#[tokio::test]
async fn every_refusal_has_its_kind() {
    use ErrorKind::*;
    let json = |value: Value| value.to_string();
    for (status, body, kind, retry, effect, says) in [
        (400, json(json!({"code": 400, "message": "Bad OS"})), Invalid, Retry::Never, Effect::None, "Bad OS"),
        (
            400,
            json(json!({"code": 400, "description": ["Bad OS", "Bad day"]})),
            Invalid,
            Retry::Never,
            Effect::None,
            "Bad OS; Bad day",
        ),
        (
            400,
            json(json!({"schema_errors": {"osName": ["Not a valid string."]}})),
            Invalid,
            Retry::Never,
            Effect::None,
            "osName: Not a valid string",
        ),
        (400, json(json!({"errors": {"hostname": "bad"}})), Invalid, Retry::Never, Effect::None, "hostname: bad"),
        (400, json(json!({"errors": {"hostname": ["no", "dot"]}})), Invalid, Retry::Never, Effect::None, "no; dot"),
        (400, json(json!({"message": "Out of stock."})), NoCapacity, Retry::Never, Effect::None, "Out of stock"),
        (400, String::new(), Invalid, Retry::Never, Effect::None, "answered 400"),
        (401, json(json!({"code": 401, "message": "no"})), Unauthenticated, Retry::Never, Effect::None, "no"),
        (403, json(json!({"message": "no permission"})), Forbidden, Retry::Never, Effect::None, "no permission"),
        (403, "<html>Forbidden</html>".into(), Forbidden, Retry::Never, Effect::None, "answered 403"),
        (409, json(json!({"message": "busy"})), Conflict, Retry::Never, Effect::None, "busy"),
        (404, json(json!({"message": "no product"})), Invalid, Retry::Never, Effect::None, "no product"),
        (
            429,
            json(json!({"code": 429, "description": "Your IP is rate limited."})),
            RateLimited,
            Retry::Backoff,
            Effect::None,
            "Your IP is rate limited",
        ),
        (500, json(json!({"message": "oops"})), Unavailable, Retry::Backoff, Effect::Unknown, "oops"),
        (502, "<html>out of stock</html>".into(), Unavailable, Retry::Backoff, Effect::Unknown, "answered 502"),
    ] {
        let said = body.clone();
        let script = vendor(move |line, _| match line {
            "POST /compute/" => (status, body.clone()),
            line => sample(line),
        });
        let error = driver(&script).create(&order(&["a"])).await.unwrap_err();
        assert_eq!((error.kind(), error.retry(), error.effect()), (kind, retry, effect), "{status} {said}");
        assert!(error.message().contains(says), "{said}: {error}");
        assert_eq!(error.operation(), Some("compute.create"));
        let sent = asked(&script).iter().filter(|line| line.starts_with("POST")).count();
        assert!(sent == 1 || status == 429, "{status}: an order was sent {sent} times");
    }
}

// ---- Orders

#[tokio::test]
async fn an_order_says_everything_and_can_be_read_back() {
    let script = vendor(|line, _| sample(line));
    let mut one = order(&["web"]);
    one.spec.ssh_keys = vec![SshKey::Existing("laptop".into())];
    one.spec.tags.insert("team", "a b");
    let made = driver(&script).create(&one).await.unwrap();
    let body = script.body_of("POST /api/v2/compute/");
    assert_eq!(
        body,
        json!({"productId": 2379, "locationName": "TPA1", "osName": "Ubuntu 24.04 (VPS)", "period": "hourly",
            "hostname": format!("web.{TOKEN}.capsule.example"), "script": "#cloud-config\n", "publicSshKeyId": 5,
            "tags": ["capsule-born:1767225600", format!("capsule-owner:{OWNER}"), format!("capsule-token:{TOKEN}"),
                "team:a_20b"]})
    );
    assert_eq!((made[0].id.to_string().as_str(), made[0].name.as_str()), ("hivelocity/TPA1/41007", "web"));
    assert_eq!((made[0].status, made[0].tags.token()), (InstanceStatus::Provisioning, Some(TOKEN)));

    let made = driver(&script).create(&order(&["a", "b"])).await.unwrap();
    let names: Vec<_> = made.iter().map(|server| (server.id.native.as_str(), server.name.as_str())).collect();
    assert_eq!(names, [("41009", "b"), ("41008", "a")], "the answer may be in any order");

    let metal = vendor(|line, _| if line.starts_with("POST") { refusal(400, "x") } else { sample(line) });
    let mut whole = order(&["m"]);
    whole.spec.plan = "504".into();
    driver(&metal).create(&whole).await.unwrap_err();
    assert!(asked(&metal).contains(&"POST /bare-metal-devices/".to_owned()), "the inventory tells the kind");
}

#[tokio::test]
async fn an_answer_that_names_no_device_leaves_it_open() {
    // The description has a 201 without a body beside the 200 with one.
    for answer in [(201, String::new()), (200, json!({"deviceId": null}).to_string())] {
        let script = vendor(move |line, _| if line.starts_with("POST") { answer.clone() } else { sample(line) });
        let error = driver(&script).create(&order(&["a"])).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Protocol, Effect::Unknown));
    }
    let script = vendor(|line, _| sample(line));
    let error = driver(&script).create(&order(&["a", "b", "c"])).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Protocol, Effect::Unknown), "two of three");
}

#[tokio::test]
async fn out_of_stock_is_told_by_the_inventory() {
    let script = vendor(|line, _| if line.starts_with("POST") { refusal(400, "Invalid.") } else { sample(line) });
    let mut gone = order(&["a"]);
    (gone.spec.plan, gone.spec.image) = ("504".into(), "Ubuntu 24.04".into());
    let error = driver(&script).create(&gone).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::NoCapacity, Effect::None));
    let error = driver(&script).create(&order(&["a"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "that one is in stock: the mistake is another");
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_before_anything_is_sent() {
    type Spoil = fn(&mut Order);
    let spoils: [(&str, Spoil); 13] = [
        ("no plan", |order| order.spec.plan.clear()),
        ("no region", |order| order.spec.region = " ".into()),
        ("no image", |order| order.spec.image.clear()),
        ("no Hivelocity plan `vps-1`", |order| order.spec.plan = "vps-1".into()),
        ("cannot be a server's name", |order| order.names = vec!["Web".into()]),
        ("cannot be a server's name", |order| order.names = vec!["web-".into()]),
        ("cannot be a server's name", |order| order.names = vec!["x".repeat(64)]),
        ("1 to 10 servers", |order| order.names = (0..11).map(|n| format!("n{n}")).collect()),
        ("65537 bytes", |order| order.spec.user_data = Some(format!("#!{}", "x".repeat(65535)))),
        ("starts with none of", |order| order.spec.user_data = Some("Content-Type: multipart/mixed".into())),
        ("longer than the 255", |order| order.spec.tags.insert("k", "v".repeat(255))),
        ("disks come with", |order| order.spec.disk_gib = Some(80)),
        ("one ssh key", |order| order.spec.ssh_keys = vec![SshKey::Existing("1".into()), SshKey::Existing("2".into())]),
    ];
    for (why, spoil) in spoils {
        let script = vendor(|line, _| sample(line));
        let mut order = order(&["a"]);
        spoil(&mut order);
        let error = driver(&script).create(&order).await.unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
        assert_eq!((error.effect(), asked(&script).len()), (Effect::None, 0), "{why}");
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me@home";

#[tokio::test]
async fn a_key_is_found_or_given_once() {
    // The account does not list the key, then refuses it, then lists it: somebody else was quicker.
    let lists = Lock::new(0);
    let script = vendor(move |line, _| match line {
        "POST /ssh_key/" => refusal(400, "Unable to added public ssh key"),
        "GET /ssh_key/" => {
            let mut lists = lists.lock().unwrap();
            *lists += 1;
            if *lists == 1 { ok("[]") } else { ok(json!([{"sshKeyId": 7, "publicKey": KEY.replace("me@home", "x")}])) }
        }
        line => sample(line),
    });
    let driver = driver(&script);
    let mut order = order(&["web"]);
    order.spec.ssh_keys = vec![SshKey::Public(KEY.into())];
    driver.create(&order).await.unwrap();
    driver.create(&order).await.unwrap();
    assert_eq!(script.body_of("POST /api/v2/compute/")["publicSshKeyId"], json!(7));
    let count = |line: &str| asked(&script).iter().filter(|asked| *asked == line).count();
    assert_eq!((count("GET /ssh_key/"), count("POST /ssh_key/"), count("GET /inventory/product/2379")), (2, 1, 1));
}

// ---- Power and end

/// A vendor with one virtual server; `act` answers what changes it, and then it is in the second state.
fn one_server(before: Value, act: (u16, String), after: Value) -> Arc<Script> {
    let acted = Lock::new(false);
    vendor(move |line, _| {
        let mut acted = acted.lock().unwrap();
        if line.starts_with("POST") || line.starts_with("DELETE /compute/1") {
            *acted = true;
            return act.clone();
        }
        let state = if *acted { &after } else { &before };
        match line {
            _ if state.is_null() && line != "GET /profile/basic" && !line.contains("order") => missing(),
            "GET /compute/1" => ok(json!({"deviceId": 1, "hostname": "x.example.com", "locationName": "TPA1"})),
            "GET /device/1" => ok(state),
            "GET /order/in-progress" => ok("[]"),
            line => sample(line),
        }
    })
}

fn is(power: &str) -> Value {
    json!({"deviceId": 1, "spsStatus": "IN_USE", "powerStatus": power})
}

fn cancelled() -> Value {
    json!({"deviceId": 1, "spsStatus": "IN_USE", "powerStatus": "ON", "hasCancellation": true})
}

#[tokio::test]
async fn power_is_asked_for_only_where_it_changes_something() {
    let accepted = || (202, json!({"powerStatus": "PENDING"}).to_string());
    for (state, to, action) in [
        ("ON", Power::On, None),
        ("OFF", Power::On, Some("boot")),
        ("OFF", Power::Off, None),
        ("ON", Power::Off, Some("shutdown")),
        ("ON", Power::Reboot, Some("reboot")),
    ] {
        let script = one_server(is(state), accepted(), is(state));
        driver(&script).power(&id("1"), to).await.unwrap();
        let posts: Vec<_> = asked(&script).into_iter().filter(|line| line.starts_with("POST")).collect();
        let expected: Vec<_> = action.map(|a| format!("POST /device/1/power?action={a}")).into_iter().collect();
        assert_eq!(posts, expected, "{to} of {state}");
    }
    let off = driver(&one_server(is("OFF"), accepted(), is("OFF")));
    assert_eq!(off.power(&id("1"), Power::Reboot).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(off.power(&id("1"), Power::ForceOff).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn already_off_is_off_after_a_look() {
    for status in [400, 500] {
        let refused = || refusal(status, "Can't do this while server is powered off.");
        let quicker = driver(&one_server(is("ON"), refused(), is("OFF")));
        quicker.power(&id("1"), Power::Off).await.unwrap();
        let error = driver(&one_server(is("ON"), refused(), is("ON"))).power(&id("1"), Power::Off).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{status}");
    }
    let gone = driver(&one_server(Value::Null, missing(), Value::Null));
    assert_eq!(gone.power(&id("1"), Power::On).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(gone.get(&id("../order")).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn an_end_that_was_reached_another_way_is_an_end() {
    let no_body = |status| (status, String::new());
    for (answer, after, ends) in [
        (no_body(201), cancelled(), true),
        (no_body(204), Value::Null, true),
        (missing(), Value::Null, true),
        (refusal(409, "Device Already Being Cancelled."), cancelled(), true),
        (refusal(500, "oops"), cancelled(), true),
        (refusal(500, "oops"), Value::Null, true),
        (refusal(500, "oops"), is("ON"), false),
        (refusal(401, "Not Allowed"), Value::Null, true),
        (refusal(401, "Not Allowed"), is("ON"), false),
        (refusal(400, "Device Cancellation Failed."), is("ON"), false),
        (refusal(403, "no"), is("ON"), false),
    ] {
        let script = one_server(is("ON"), answer.clone(), after.clone());
        let ended = driver(&script).delete(&id("1")).await;
        assert_eq!(ended.is_ok(), ends, "{answer:?} then {after}: {ended:?}");
    }
}

#[tokio::test]
async fn not_allowed_may_mean_not_ours() {
    let answers = |profile: u16| {
        driver(&vendor(move |line, _| match line {
            "GET /profile/basic" => (profile, sample(line).1),
            "GET /order/in-progress" => ok("[]"),
            _ => refusal(401, "Access to Deployment not Allowed"),
        }))
    };
    assert!(answers(200).get(&id("1")).await.unwrap().is_none());
    answers(200).delete(&id("1")).await.unwrap();
    assert_eq!(answers(401).get(&id("1")).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert_eq!(answers(401).delete(&id("1")).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn what_was_not_ordered_here_cannot_be_ended_here() {
    let script = vendor(|line, _| match line {
        "GET /device/1200" => {
            ok(json!({"deviceId": 1200, "status": "active", "spsStatus": "IN_USE", "powerStatus": "ON"}))
        }
        "GET /device/1100" => ok(json!({"deviceId": 1100, "status": "inactive"})),
        "GET /order/in-progress" => ok("[]"),
        _ => missing(),
    });
    let driver = driver(&script);
    assert_eq!(driver.delete(&id("1200")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(driver.get(&id("1100")).await.unwrap().is_none());
}

#[tokio::test]
async fn the_limit_of_the_window_is_read_in_seconds() {
    let mut headers = http::HeaderMap::new();
    for (name, value) in [("x-ratelimit-limit", "3600"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "125")] {
        headers.insert(name, value.parse().unwrap());
    }
    let now = ManualClock::default().now();
    let hint = capsule_core::http::limit::common_hints(&headers, now);
    assert_eq!(hint.wait(http::StatusCode::TOO_MANY_REQUESTS, now), Some(Duration::from_secs(125)));
}

/// Any JSON, with the names that the decoders look for.
fn any_json() -> impl Strategy<Value = Value> {
    script::any_json(
        "deviceId orderId hostname primaryIp powerStatus osName productId locationName tags spsStatus status \
         isReload hasCancellation location metadata sps_status info devices product_id product_name \
         data_center is_vps stock product_memory processor_info threads product_hourly_price \
         product_disabled_billing_periods code message errors schema_errors name monthlyPrice sshKeyId \
         publicKey id email",
    )
}

proptest! {
    #[test]
    fn any_answer_gives_a_value_or_an_error(answer in any_json(), status in prop::sample::select(vec![200u16, 400, 404])) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let text = answer.to_string();
        let driver = driver(&vendor(move |_, _| (status, text.clone())));
        runtime.block_on(async {
            let _ = driver.verify().await;
            let _ = driver.catalog().await;
            if let Err(error) = driver.list(&Scope::All).await && status == 200 {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
            }
            let _ = driver.list(&Scope::Token(Token::random())).await;
            let _ = driver.get(&id("1")).await;
            let _ = driver.power(&id("1"), Power::Off).await;
            let _ = driver.delete(&id("1")).await;
            let mut order = order(&["a"]);
            order.spec.ssh_keys = vec![SshKey::Public(KEY.into())];
            let _ = driver.create(&order).await;
        });
    }
}
