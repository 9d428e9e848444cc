//! The driver over a scripted vendor: the tables, the samples, and how many requests a call takes.

use std::sync::Mutex as Lock;

use base64::Engine;
use capsule_core::{
    BillingUnit, Currency, InstanceSpec, InstanceStatus, Money, OwnerId, Retry, Settings, Stock, Tags, Token,
};
use futures_util::future::join;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::script::{self, Script};

const UUID: &str = "4f0f12e5-1f84-404f-aa84-85f431ea5ec2";

fn driver(script: &Arc<Script>) -> Vultr {
    Vultr::new(script.connect(&[("api_key", "test")])).unwrap()
}

fn server(id: &str, words: [&str; 3]) -> Value {
    json!({"id": id, "label": "web", "status": words[0], "power_status": words[1], "server_status": words[2],
        "region": "ewr", "plan": "vc2-1c-1gb", "main_ip": "0.0.0.0", "os_id": 2284, "tags": ["env:prod"],
        "date_created": "2025-12-31T18:59:00-05:00"})
}

fn refusal(status: u16, message: &str) -> String {
    json!({"error": message, "status": status}).to_string()
}

fn page(name: &str, items: Vec<Value>) -> String {
    let total = items.len();
    json!({name: items, "meta": {"total": total, "links": {"next": "", "prev": ""}}}).to_string()
}

fn order(plan: &str) -> Order {
    Order {
        token: Token::random(),
        again: false,
        owner: OwnerId::random(),
        names: vec!["web-1".to_owned()],
        spec: InstanceSpec {
            plan: plan.to_owned(),
            region: "ewr".into(),
            image: "2284".into(),
            disk_gib: None,
            ssh_keys: vec![],
            user_data: None,
            tags: Tags::new(),
        },
    }
}

fn id(native: &str) -> InstanceId {
    InstanceId::new("vultr", "ewr", native)
}

fn samples() -> Arc<Script> {
    Script::new(|line, _| {
        let body = match line.split('?').next().unwrap() {
            "GET /account" => include_str!("samples/account.json"),
            "GET /plans" => include_str!("samples/plans.json"),
            "GET /plans-metal" => include_str!("samples/plans_metal.json"),
            "GET /regions" => include_str!("samples/regions.json"),
            "GET /regions/ams/availability" => include_str!("samples/availability.json"),
            "GET /os" => include_str!("samples/os.json"),
            "GET /ssh-keys" => include_str!("samples/keys.json"),
            "POST /ssh-keys" => include_str!("samples/key_created.json"),
            "GET /instances" => include_str!("samples/instances.json"),
            "GET /bare-metals" => include_str!("samples/metals.json"),
            "POST /instances" => include_str!("samples/instance_created.json"),
            "POST /bare-metals" => include_str!("samples/metal_created.json"),
            path if path.starts_with("GET /instances/") => include_str!("samples/instance.json"),
            path if path.starts_with("GET /bare-metals/") => include_str!("samples/metal.json"),
            _ => return (404, refusal(404, "Not found.")),
        };
        // One example says that it is the first of three, of which the description has no more.
        (200, body.replace("WxYzExampleNext", "").replace("\"total\": 3", "\"total\": 1"))
    })
}

#[tokio::test]
async fn the_vendors_examples_become_servers() {
    let all = samples();
    let servers = driver(&all).list(&Scope::All).await.unwrap();
    let [machine, metal] = servers.as_slice() else { panic!("{servers:?}") };
    assert_eq!(machine.id.to_string(), "vultr/atl/cb676a46-66fd-4dfb-b839-443f2e6c0b60");
    assert_eq!((machine.status, machine.native_status.as_str()), (InstanceStatus::Running, "active/running/ok"));
    assert_eq!((machine.name.as_str(), machine.plan.as_str()), ("Example Instance", "vc2-6c-16gb"));
    assert_eq!(machine.image.as_deref(), Some("215"));
    assert_eq!(machine.addresses.primary().unwrap().to_string(), "192.0.2.123");
    assert_eq!(machine.addresses.public_v6[0].to_string(), "2001:db8:1112:18fb:200:ff:fe00:0");
    assert_eq!(machine.created_at.unwrap().to_string(), "2020-10-10T01:56:20Z");
    assert!(machine.metadata.get().contains("\"pending_charges\": 5.42"), "metadata must stay as it was");

    assert_eq!(metal.id.to_string(), "vultr/ams/bm-cb676a46-66fd-4dfb-b839-443f2e6c0b60");
    assert_eq!((metal.status, metal.native_status.as_str()), (InstanceStatus::Running, "active"));
    assert_eq!(metal.image.as_deref(), Some("3"), "its system is an application");

    let found = driver(&all).get(&metal.id).await.unwrap().unwrap();
    assert_eq!((found.id, found.status), (metal.id.clone(), InstanceStatus::Provisioning));
    assert_eq!(all.asked().last().unwrap(), "GET /bare-metals/cb676a46-66fd-4dfb-b839-443f2e6c0b60");
    let found = driver(&all).get(&id("cb676a46-66fd-4dfb-b839-443f2e6c0b60")).await.unwrap().unwrap();
    assert!(found.addresses.public_v6.is_empty(), "an empty text is no address");
}

#[tokio::test]
async fn the_vendors_examples_become_a_catalogue_and_an_account() {
    let driver = driver(&samples());
    let catalog = driver.catalog().await.unwrap();
    assert_eq!((catalog.plans.len(), catalog.regions.len(), catalog.offers.len()), (2, 1, 0), "neither is sold in ams");
    assert_eq!(catalog.regions[0].name, "Amsterdam");
    let (machine, metal) = (&catalog.plans[0], &catalog.plans[1]);
    assert_eq!((machine.vcpus, machine.memory_mib, machine.disk_gib), (8, 32768, 512));
    assert_eq!((machine.kind, machine.transfer_gib, &machine.gpu), (PlanKind::Virtual, Some(6144), &None));
    assert_eq!((metal.vcpus, metal.disk_gib, metal.kind), (8, 480, PlanKind::BareMetal), "threads, and both disks");
    assert_eq!(catalog.images[0].os.as_deref(), Some("centos-6"));
    let account = driver.verify().await.unwrap();
    assert_eq!(account.id, "admin@example.com");
    assert!(account.notes.is_empty(), "{:?}", account.notes);
}

/// A catalogue with two regions and one plan, with these fields more.
fn selling(more: Value) -> Arc<Script> {
    Script::new(move |line, _| {
        let mut plan = json!({"id": "p", "vcpu_count": 1, "ram": 1024, "disk": 25, "locations": ["ewr", "ams"]});
        plan.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = match line.split('?').next().unwrap() {
            "GET /regions" => page("regions", vec![json!({"id": "ewr"}), json!({"id": "ams"}), json!({"id": "lhr"})]),
            "GET /plans" => page("plans", vec![plan]),
            "GET /plans-metal" => page("plans_metal", vec![]),
            "GET /os" => page("os", vec![]),
            "GET /regions/ewr/availability" => json!({"available_plans": ["p"]}).to_string(),
            _ => json!({"available_plans": [], "available_vpc_only_plans": ["p"]}).to_string(),
        };
        (200, body)
    })
}

#[tokio::test]
async fn the_price_of_the_place_goes_first() {
    use BillingUnit::*;
    let base = |hourly: Value, monthly: Value, there: Value| json!({"hourly_cost": hourly, "monthly_cost": monthly, "location_cost": there});
    for (plan, expected) in [
        (base(json!(0.007), json!(5), json!({})), Some(("0.007", Hour, Some("5")))),
        (base(json!(0.007), json!(5), json!([])), Some(("0.007", Hour, Some("5")))),
        (
            base(json!(0.007), json!(5), json!({"ewr": {"hourly_cost": 0.0085, "monthly_cost": 6.25}})),
            Some(("0.0085", Hour, Some("6.25"))),
        ),
        (base(json!(0.007), json!(5), json!({"ams": {"hourly_cost": 1}})), Some(("0.007", Hour, Some("5")))),
        (base(json!(0), json!(192), Value::Null), Some(("192", Month, Some("192")))),
        (base(Value::Null, json!("300.00"), Value::Null), Some(("300", Month, Some("300")))),
        (base(Value::Null, Value::Null, Value::Null), None),
    ] {
        let catalog = driver(&selling(plan.clone())).catalog().await.unwrap();
        let usd = |text| Money::parse(text, Currency::USD).unwrap();
        let price = catalog.offer("p", "ewr").unwrap().price.clone();
        let price = price.map(|price| (price.amount, price.per, price.monthly_cap));
        assert_eq!(price, expected.map(|(amount, per, cap)| (usd(amount), per, cap.map(usd))), "{plan}");
    }
}

#[tokio::test]
async fn stock_is_what_each_region_says() {
    let script = selling(json!({}));
    let catalog = driver(&script).catalog().await.unwrap();
    let stock = |region| catalog.offer("p", region).map(|offer| offer.stock);
    assert_eq!((stock("ewr"), stock("ams")), (Some(Stock::Available), Some(Stock::Out)), "not without a VPC");
    assert_eq!(stock("lhr"), None);
    assert_eq!(script.asked().iter().filter(|line| line.contains("availability")).count(), 3);

    let mut connect = script.connect(&[("api_key", "test")]);
    connect.settings = Settings { regions: vec!["ewr".into()], ..connect.settings };
    let catalog = Vultr::new(connect).unwrap().catalog().await.unwrap();
    assert_eq!((catalog.regions.len(), catalog.offers.len()), (1, 1));
    let untold = Script::new(move |line, body| match line.contains("availability") {
        true => (403, refusal(403, "no")),
        false => (script.answer)(line, body),
    });
    assert_eq!(driver(&untold).catalog().await.unwrap_err().kind(), ErrorKind::Forbidden, "not an empty stock");
}

#[tokio::test]
async fn stock_that_never_speaks_of_bare_metal_tells_nothing_about_it() {
    for (told, expected) in
        [(json!(["p"]), [Stock::Untold, Stock::Untold]), (json!(["p", "m-1"]), [Stock::Available, Stock::Out])]
    {
        let script = Script::new(move |line, _| {
            let plan = |id: &str| json!({"id": id, "locations": ["ewr"]});
            let body = match line.split('?').next().unwrap() {
                "GET /regions" => page("regions", vec![json!({"id": "ewr"})]),
                "GET /plans" => page("plans", vec![plan("p"), plan("q")]),
                "GET /plans-metal" => page("plans_metal", vec![plan("m-1"), plan("m-2")]),
                "GET /os" => page("os", vec![]),
                _ => json!({"available_plans": told}).to_string(),
            };
            (200, body)
        });
        let catalog = driver(&script).catalog().await.unwrap();
        let stock = |plan| catalog.offer(plan, "ewr").unwrap().stock;
        assert_eq!([stock("p"), stock("q")], [Stock::Available, Stock::Out]);
        assert_eq!([stock("m-1"), stock("m-2")], expected);
        assert!(script.asked().contains(&"GET /regions/ewr/availability?type=all".to_owned()), "{:?}", script.asked());
    }
}

#[test]
fn every_status_has_its_word() {
    use InstanceStatus::*;
    for (words, expected) in [
        (["pending", "running", "none"], Provisioning),
        (["pending", "stopped", "ok"], Provisioning),
        (["installing", "running", "locked"], Provisioning),
        (["resizing", "running", "ok"], Provisioning),
        (["resizing", "stopped", "locked"], Provisioning),
        (["active", "running", "none"], Provisioning),
        (["active", "running", "locked"], Provisioning),
        (["active", "running", "installing"], Provisioning),
        (["active", "running", "booting"], Provisioning),
        (["active", "running", "installingbooting"], Provisioning),
        (["active", "running", "ok"], Running),
        (["active", "running", "dancing"], Unknown),
        (["active", "stopped", "ok"], Stopped),
        (["active", "stopped", "none"], Stopped),
        (["active", "stopped", "installingbooting"], Stopped),
        (["active", "stopped", "locked"], Unknown),
        (["active", "", ""], Unknown),
        (["suspended", "running", "ok"], Failed),
        (["suspended", "stopped", "locked"], Failed),
        (["", "running", "ok"], Unknown),
        (["hibernating", "running", "ok"], Unknown),
    ] {
        assert_eq!(convert::status(Kind::Virtual, words[0], words[1], words[2]), expected, "{words:?}");
    }
    for (word, expected) in [
        ("pending", Provisioning),
        ("active", Running),
        ("suspended", Failed),
        ("resizing", Provisioning),
        ("", Unknown),
        ("melting", Unknown),
    ] {
        assert_eq!(convert::status(Kind::Metal, word, "", ""), expected, "bare metal {word}");
    }
}

#[tokio::test]
async fn what_is_suspended_says_why_it_is_of_no_use() {
    let script = Script::new(|_, _| {
        (200, json!({"instance": server(UUID, ["suspended", "stopped", "ok"]), "extra": 1}).to_string())
    });
    let seen = driver(&script).get(&id(UUID)).await.unwrap().unwrap();
    assert!(seen.fault.unwrap().contains("suspended"));
    assert_eq!(seen.addresses.primary(), None, "0.0.0.0 is no address");
    assert_eq!(seen.created_at.unwrap().to_string(), "2025-12-31T23:59:00Z");
}

#[tokio::test]
async fn every_refusal_has_its_kind() {
    use ErrorKind::*;
    const NEVER: (Retry, Effect) = (Retry::Never, Effect::None);
    let locked = "Unable to destroy server: Unable to remove VM: Server is currently locked";
    for (status, said, kind, (retry, effect)) in [
        (400, "Invalid plan chosen.", Invalid, NEVER),
        (400, "Plan is not available in the selected region.", NoCapacity, NEVER),
        (400, "This plan is sold out.", NoCapacity, NEVER),
        (400, "You have reached the maximum number of instances.", Quota, NEVER),
        (400, "Account limit exceeded.", Quota, NEVER),
        (401, "Invalid API token.", Unauthenticated, NEVER),
        (401, "Unauthorized IP address: 192.0.2.1", Forbidden, NEVER),
        (403, "Your user's ACL lacks a limit.", Forbidden, NEVER),
        (404, "Invalid OS.", Invalid, NEVER),
        (404, "<html>", Invalid, NEVER),
        (422, "Validation error", Invalid, NEVER),
        (429, "Rate limit exceeded", RateLimited, (Retry::Backoff, Effect::None)),
        (500, locked, Conflict, (Retry::Backoff, Effect::None)),
        (500, "Internal limit error", Unavailable, (Retry::Backoff, Effect::Unknown)),
        (504, "<html>", Unavailable, (Retry::Backoff, Effect::Unknown)),
        (503, "<html>currently locked</html>", Unavailable, (Retry::Backoff, Effect::Unknown)),
    ] {
        let body = if said.starts_with('<') { said.to_owned() } else { refusal(status, said) };
        let script = Script::new(move |line, _| match line.starts_with("POST") {
            true => (status, body.clone()),
            false => (200, page("plans_metal", vec![json!({"id": "vbm-4c-32gb"})])),
        });
        for (plan, operation) in [("vc2-1c-1gb", "instances.create"), ("vbm-4c-32gb", "metals.create")] {
            let error = driver(&script).create(&order(plan)).await.unwrap_err();
            assert_eq!((error.kind(), error.retry(), error.effect()), (kind, retry, effect), "{status} {said}");
            assert_eq!((error.operation(), error.http_status()), (Some(operation), Some(status)));
            assert!(!error.message().contains('<'), "a page of HTML is no message: {error}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_a_wrong_key() {
    let script = Script::new(|_, _| (401, refusal(401, "Unauthorized IP address: 192.0.2.1")));
    let error = driver(&script).verify().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(error.hint().unwrap().contains("access control"), "{:?}", error.hint());
}

/// So many servers in pages, whose cursors have to be escaped; the page from `broken` on fails.
fn pages(total: usize, broken: Option<usize>) -> Arc<Script> {
    Script::new(move |line, _| {
        if line.starts_with("GET /bare-metals") {
            return (200, page("bare_metals", vec![json!({"id": "ff", "status": "active", "region": "ams"})]));
        }
        let from: usize = line.split("cursor=bmV4dA%3D%3D").nth(1).map_or(0, |from| from.parse().unwrap());
        if broken.is_some_and(|broken| from >= broken) {
            return (403, refusal(403, "no"));
        }
        let to = (from + 500).min(total);
        let items: Vec<Value> = (from..to).map(|n| server(&format!("{n:08x}"), ["active", "running", "ok"])).collect();
        let next = if to < total { format!("bmV4dA=={to}") } else { String::new() };
        let meta = json!({"total": total, "links": {"next": next, "prev": ""}});
        (200, json!({"instances": items, "meta": meta}).to_string())
    })
}

#[tokio::test]
async fn ten_thousand_servers_take_twenty_requests_and_one_for_metal() {
    let script = pages(10_000, None);
    let listed = driver(&script).list(&Scope::All).await.unwrap();
    assert_eq!((listed.len(), script.asked().len()), (10_001, 21));
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_an_error() {
    let error = driver(&pages(1_600, Some(1_000))).list(&Scope::All).await.unwrap_err();
    assert!(error.to_string().starts_with("Page 3 of the instances is missing"), "{error}");
    let short = Script::new(|_, _| {
        let items = [server(UUID, ["active", "running", "ok"])];
        (200, json!({"instances": items, "meta": {"total": 2, "links": {"next": ""}}}).to_string())
    });
    let error = driver(&short).list(&Scope::All).await.unwrap_err();
    assert_eq!(error.to_string(), "Only 1 of 2 instances arrived, so the list is not shown.");
    let whole = pages(10, None);
    let metal_fails = Script::new(move |line, body| match line.starts_with("GET /bare-metals") {
        true => (403, refusal(403, "no")),
        false => (whole.answer)(line, body),
    });
    assert!(driver(&metal_fails).list(&Scope::All).await.is_err(), "half of a list is no list");
}

#[tokio::test]
async fn a_listing_by_token_shows_what_carries_it_of_both_kinds() {
    let order = order("p");
    let tags = json!([format!("capsule-owner:{}", order.owner), format!("capsule-token:{}", order.token)]);
    let script = Script::new(move |line, _| {
        let name = if line.starts_with("GET /bare-metals") { "bare_metals" } else { "instances" };
        let mut ours = server("aa", ["active", "running", "ok"]);
        ours["tags"] = tags.clone();
        (200, page(name, vec![server("bb", ["active", "running", "ok"]), ours]))
    });
    for scope in [Scope::Token(order.token), Scope::Owner(order.owner)] {
        let found = driver(&script).list(&scope).await.unwrap();
        assert_eq!(found.iter().map(|server| server.id.native.as_str()).collect::<Vec<_>>(), ["aa", "bm-aa"]);
    }
    assert!(!script.asked().iter().any(|line| line.contains("tag=")), "that filter is deprecated");
}

#[tokio::test]
async fn an_order_is_one_request_with_name_and_tags_at_birth() {
    let script = samples();
    let driver = driver(&script);
    let mut order = order("vc2-1c-1gb");
    order.spec.user_data = Some("#cloud-config\n".into());
    order.spec.tags.insert("team", "a/b");
    let made = driver.create(&order).await.unwrap();
    assert_eq!((made[0].id.native.as_str(), made[0].status), (UUID, InstanceStatus::Provisioning));
    let body = script.body_of("POST /instances");
    let data = base64::engine::general_purpose::STANDARD.encode("#cloud-config\n");
    assert_eq!(
        body,
        json!({"region": "ewr", "plan": "vc2-1c-1gb", "os_id": 2284, "label": "web-1", "hostname": "web-1",
            "tags": [format!("capsule-owner:{}", order.owner), format!("capsule-token:{}", order.token), "team:a_2fb"],
            "user_data": data, "enable_ipv6": true, "activation_email": false})
    );
    order.spec.plan = "vbm-4c-32gb".into();
    for (image, field) in [("7", "os_id"), (UUID, "snapshot_id"), ("docker", "image_id")] {
        order.spec.image = image.into();
        let made = driver.create(&order).await.unwrap();
        assert_eq!(made[0].id.native, "bm-cb676a46-66fd-4dfb-b839-443f2e6c0b60");
        assert!(convert::new_server(&order, vec![], vec![]).is_ok_and(|body| json!(body).get(field).is_some()));
    }
    let asked = |what: &str| script.asked().iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((asked("GET /plans-metal"), asked("POST /bare-metals"), asked("POST /instances")), (1, 3, 1));
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_before_anything_is_sent() {
    type Spoil = fn(&mut Order);
    let spoils: [(&str, Spoil); 9] = [
        ("no plan", |order| order.spec.plan.clear()),
        ("no region", |order| order.spec.region = " ".into()),
        ("no image", |order| order.spec.image.clear()),
        ("cannot be a server's name", |order| order.names = vec!["web_1".into()]),
        ("cannot be a server's name", |order| order.names = vec!["x".repeat(64)]),
        ("makes 1 server, not 2", |order| order.names.push("web-2".into())),
        ("at most 65536", |order| order.spec.user_data = Some("x".repeat(65537))),
        ("longer than the 255", |order| order.spec.tags.insert("k", "v".repeat(255))),
        ("disk", |order| order.spec.disk_gib = Some(80)),
    ];
    for (why, spoil) in spoils {
        let script = samples();
        let mut order = order("vc2-1c-1gb");
        spoil(&mut order);
        let error = driver(&script).create(&order).await.unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
        assert_eq!((error.effect(), script.asked().len()), (Effect::None, 0), "{why}");
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFn0Xb0b2lQ1vJxUo0v1u3mJmYlQd7sD4JtS3kqj8b5K me@home";

#[tokio::test]
async fn a_key_is_found_by_its_text_or_given_once() {
    // The account does not list the key, then answers the upload with silence, then lists it: it came through.
    for (upload, listed_after, expected) in
        [(201, false, Ok("new")), (503, true, Ok("old")), (503, false, Err(ErrorKind::Unavailable))]
    {
        let uploads = Lock::new(0);
        let script = Script::new(move |line, _| match line.split('?').next().unwrap() {
            "POST /instances" => (202, include_str!("samples/instance_created.json").to_owned()),
            "GET /plans-metal" => (200, page("plans_metal", vec![])),
            "POST /ssh-keys" => {
                *uploads.lock().unwrap() += 1;
                (upload, json!({"ssh_key": {"id": "new", "ssh_key": KEY}}).to_string())
            }
            _ => {
                let there = listed_after && *uploads.lock().unwrap() > 0;
                let key = json!({"id": "old", "ssh_key": KEY.replace("me@home", "other")});
                (200, page("ssh_keys", if there { vec![key] } else { vec![json!({"id": "x", "ssh_key": "?"})] }))
            }
        });
        let driver = driver(&script);
        let mut order = order("vc2-1c-1gb");
        order.spec.ssh_keys = vec![SshKey::Public(KEY.into()), SshKey::Existing("mine".into())];
        let (first, second) = join(driver.create(&order), driver.create(&order)).await;
        match expected {
            Ok(id) => {
                first.and(second).unwrap();
                assert_eq!(script.body_of("POST /instances")["sshkey_id"], json!([id, "mine"]));
                let count = |line: &str| script.asked().iter().filter(|asked| *asked == line).count();
                assert_eq!((count("POST /ssh-keys"), count("POST /instances")), (1, 2));
            }
            Err(kind) => {
                let error = first.unwrap_err();
                assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "a key in doubt buys no server");
            }
        }
    }
}

#[tokio::test]
async fn power_is_asked_for_only_where_it_changes_something() {
    let (on, off) = (["active", "running", "ok"], ["active", "stopped", "ok"]);
    for (words, to, what) in [
        (on, Power::On, None),
        (["pending", "running", "none"], Power::On, None),
        (off, Power::On, Some("start")),
        (off, Power::Off, None),
        (on, Power::Off, Some("halt")),
        (off, Power::ForceOff, None),
        (on, Power::ForceOff, Some("halt")),
        (on, Power::Reboot, Some("reboot")),
    ] {
        let script = Script::new(move |line, _| match line.starts_with("GET") {
            true => (200, json!({ "instance": server(UUID, words) }).to_string()),
            false => (204, String::new()),
        });
        driver(&script).power(&id(UUID), to).await.unwrap();
        let expected = what.map(|what| format!("POST /instances/{UUID}/{what}"));
        assert_eq!(script.asked()[1..], expected.into_iter().collect::<Vec<_>>(), "{to} of {words:?}");
    }
    let off = Script::new(move |_, _| (200, json!({ "instance": server(UUID, off) }).to_string()));
    assert_eq!(driver(&off).power(&id(UUID), Power::Reboot).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn whether_metal_is_on_is_known_to_whom_halted_it_alone() {
    let metal = || json!({"id": UUID, "status": "active", "region": "ewr"});
    let script = Script::new(move |line, _| match line.split('?').next().unwrap() {
        "GET /instances" => (200, page("instances", vec![])),
        "GET /bare-metals" => (200, page("bare_metals", vec![metal()])),
        line if line.starts_with("GET") => (200, json!({ "bare_metal": metal() }).to_string()),
        _ => (204, String::new()),
    });
    let (driver, id) = (driver(&script), id(&format!("bm-{UUID}")));
    use InstanceStatus::{Running, Stopped};
    for (to, what, then) in [
        (Power::On, Some("start"), Running),
        (Power::Off, Some("halt"), Stopped),
        (Power::ForceOff, None, Stopped),
        (Power::On, Some("start"), Running),
        (Power::ForceOff, Some("halt"), Stopped),
        (Power::On, Some("start"), Running),
        (Power::Reboot, Some("reboot"), Running),
    ] {
        let before = script.asked().len();
        driver.power(&id, to).await.unwrap();
        let expected = what.map(|what| format!("POST /bare-metals/{UUID}/{what}"));
        assert_eq!(script.asked()[before + 1..], expected.into_iter().collect::<Vec<_>>(), "{to}");
        assert_eq!(driver.get(&id).await.unwrap().unwrap().status, then, "after {to}");
        assert_eq!(driver.list(&Scope::All).await.unwrap()[0].status, then, "after {to}");
    }
}

#[tokio::test]
async fn a_locked_server_is_deleted_when_it_is_free() {
    let tries = Lock::new(0);
    let script = Script::new(move |_, _| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        let locked = "Unable to destroy server: Unable to remove VM: Server is currently locked";
        if *tries < 3 { (500, refusal(500, locked)) } else { (204, String::new()) }
    });
    driver(&script).delete(&id(UUID)).await.unwrap();
    assert_eq!(script.asked().len(), 3);
}

#[tokio::test]
async fn what_is_gone_is_gone() {
    let gone = Script::new(|_, _| (404, refusal(404, "instance not found")));
    for native in [UUID.to_owned(), format!("bm-{UUID}")] {
        driver(&gone).delete(&id(&native)).await.unwrap();
        assert!(driver(&gone).get(&id(&native)).await.unwrap().is_none());
        assert_eq!(driver(&gone).power(&id(&native), Power::On).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    let twice = Script::new(|_, _| (500, refusal(500, "Server is already pending destruction")));
    driver(&twice).delete(&id(UUID)).await.unwrap();
    for native in ["", "bm-", "../account", "bm-x y"] {
        assert_eq!(driver(&gone).get(&id(native)).await.unwrap_err().kind(), ErrorKind::Invalid, "{native}");
    }
}

#[tokio::test]
async fn a_missing_right_is_noted() {
    let body = json!({"account": {"name": "", "email": "a@example.com", "acls": ["subscriptions_view"]}}).to_string();
    let account = driver(&Script::new(move |_, _| (200, body.clone()))).verify().await.unwrap();
    assert_eq!((account.id.as_str(), account.notes.len()), ("a@example.com", 2), "{:?}", account.notes);
    assert!(account.notes[0].contains("`provisioning`"));
}

#[tokio::test]
async fn systems_have_the_same_names_everywhere() {
    for (family, name, os) in [
        ("ubuntu", "Ubuntu 24.04 LTS x64", Some("ubuntu-24.04")),
        ("debian", "Debian 12 x64 (bookworm)", Some("debian-12")),
        ("rockylinux", "Rocky Linux 9 x64", Some("rocky-9")),
        ("almalinux", "AlmaLinux 9 x64", Some("almalinux-9")),
        ("centos", "CentOS 9 Stream x64", Some("centos-stream-9")),
        ("fedora", "Fedora 42 x64", Some("fedora-42")),
        ("alpinelinux", "Alpine Linux x64", None),
        ("windows", "Windows 2022 Standard x64", None),
        ("fedora-coreos", "Fedora CoreOS Stable", None),
        ("ubuntu", "Ubuntu x64", None),
    ] {
        let system = json!({"id": 1, "name": name, "arch": "x64", "family": family});
        let script = Script::new(move |line, _| match line.starts_with("GET /os") {
            true => (200, page("os", vec![system.clone(), json!({"id": 186, "family": "application"})])),
            false => (200, page("items", vec![])),
        });
        let images = driver(&script).catalog().await.unwrap().images;
        assert_eq!((images.len(), images[0].os.as_deref()), (1, os), "{name}");
        assert_eq!(images[0].cloud_init, family != "windows");
    }
}

/// Any JSON, with the names that the decoders look for.
fn any_json() -> impl Strategy<Value = Value> {
    script::any_json(
        "instances instance bare_metals bare_metal plans plans_metal regions available_plans os ssh_keys \
        ssh_key account acls meta total links next id label status power_status server_status region main_ip \
        v6_networks date_created tags os_id ram disk hourly_cost locations location_cost error",
    )
}

proptest! {
    #[test]
    fn any_answer_gives_a_value_or_an_error(answer in any_json(), status in prop::sample::select(vec![200u16, 404, 500])) {
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
            let mut order = order("p");
            order.spec.ssh_keys = vec![SshKey::Public(KEY.into())];
            let _ = driver.create(&order).await;
        });
    }
}
