//! The driver over a scripted vendor: the tables, the samples, and how many requests a call takes.

use bytes::Bytes;
use capsule_core::http::{ByteStream, SendError, Transport};
use capsule_core::{
    BillingUnit, Currency, InstanceSpec, InstanceStatus, Money, OwnerId, Retry, SshKey, Stock, Tags, Token,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::script::{Script, any_json};

fn driver(script: &Arc<Script>) -> Linode {
    Linode::new(script.connect(&[("api_key", "test-token")])).unwrap()
}

fn linode(id: u64, status: &str) -> Value {
    json!({"id": id, "label": format!("n{id}"), "status": status, "created": "2025-12-31T23:59:00", "type": "g6-nanode-1",
        "region": "us-ord", "image": "linode/ubuntu24.04", "ipv4": ["203.0.113.7", "192.168.130.7"],
        "ipv6": "2001:db8::7/128", "tags": ["env:prod"]})
}

fn list(items: &[Value], page: u64, pages: u64, results: u64) -> (u16, String) {
    (200, json!({"data": items, "page": page, "pages": pages, "results": results}).to_string())
}

fn refusal(field: Option<&str>, reason: &str) -> String {
    json!({"errors": [{"field": field, "reason": reason}]}).to_string()
}

fn order(name: &str) -> Order {
    Order {
        token: Token::random(),
        again: false,
        owner: OwnerId::random(),
        names: vec![name.to_owned()],
        spec: InstanceSpec {
            plan: "g6-nanode-1".into(),
            region: "us-ord".into(),
            image: "linode/ubuntu24.04".into(),
            disk_gib: None,
            ssh_keys: vec![],
            user_data: None,
            tags: Tags::new(),
        },
    }
}

fn id(native: &str) -> InstanceId {
    InstanceId::new("linode", "us-ord", native)
}

fn samples() -> Arc<Script> {
    Script::new(|line, _| {
        let body = match line.split(['?', ' ']).nth(1).unwrap() {
            "/v4/profile" => include_str!("samples/profile.json"),
            "/v4/profile/grants" => include_str!("samples/grants.json"),
            "/v4/linode/types" => include_str!("samples/types.json"),
            "/v4/regions" => include_str!("samples/regions.json"),
            "/v4/regions/availability" => include_str!("samples/availability.json"),
            "/v4/images" => include_str!("samples/images.json"),
            "/v4/linode/instances" if line.starts_with("POST") => include_str!("samples/instance.json"),
            "/v4/linode/instances" => include_str!("samples/instances.json"),
            "/v4/linode/instances/123" => include_str!("samples/instance.json"),
            _ => return (404, refusal(None, "Not found")),
        };
        (200, body.to_owned())
    })
}

#[tokio::test]
async fn the_vendors_examples_become_servers() {
    let driver = driver(&samples());
    let servers = driver.list(&Scope::All).await.unwrap();
    let server = &servers[0];
    assert_eq!(server.id.to_string(), "linode/us-east/123");
    assert_eq!((server.name.as_str(), server.status), ("linode123", InstanceStatus::Running));
    assert_eq!((server.plan.as_str(), server.image.as_deref()), ("g6-standard-1", Some("linode/debian10")));
    assert_eq!(server.addresses.primary().unwrap().to_string(), "203.0.113.1");
    assert_eq!(server.addresses.public_v6[0].to_string(), "c001:d00d::1337", "the prefix is no part of it");
    assert_eq!(server.created_at.unwrap().to_string(), "2018-01-01T00:01:01Z", "times are UTC and do not say so");
    assert_eq!(server.tags.get("example tag"), Some(""));
    assert!(server.metadata.get().contains("1a2bcd34e5f67gh8ij901234567kl89mn01opqr2"), "metadata stays as it was");
    assert_eq!(driver.get(&id("123")).await.unwrap().unwrap().id, server.id);
    assert!(driver.get(&id("124")).await.unwrap().is_none());
}

#[tokio::test]
async fn the_vendors_examples_become_a_catalogue_and_an_account() {
    let driver = driver(&samples());
    let catalog = driver.catalog().await.unwrap();
    let offer = catalog.offer("g6-standard-2", "us-east").unwrap();
    let price = offer.price.clone().unwrap();
    let usd = |text| Money::parse(text, Currency::USD).unwrap();
    assert_eq!((price.amount, price.per, price.monthly_cap), (usd("0.036"), BillingUnit::Hour, Some(usd("24"))));
    assert_eq!(offer.stock, Stock::Untold, "a plan that is not in the list of stock");
    let plan = catalog.plan("g6-standard-2").unwrap();
    assert_eq!((plan.memory_mib, plan.disk_gib, plan.transfer_gib), (4096, 80, Some(3725)));
    assert_eq!(catalog.region("us-east").unwrap().country.as_deref(), Some("US"));
    let image = &catalog.images[0];
    assert_eq!(
        (image.id.as_str(), image.os.as_deref(), image.cloud_init),
        ("linode/debian11", Some("debian-11"), true)
    );
    let account = driver.verify().await.unwrap();
    assert_eq!(account.id, "exampleUser (example-user@gmail.com)");
    assert!(account.notes.is_empty(), "{:?}", account.notes);
}

/// A catalogue of one plan in these regions.
async fn catalog_of(plan: Value, regions: Value, stock: Value) -> Catalog {
    let script = Script::new(move |line, _| {
        let items = match line.split(['?', ' ']).nth(1).unwrap() {
            "/v4/linode/types" => json!([plan]),
            "/v4/regions" => regions.clone(),
            "/v4/regions/availability" => stock.clone(),
            _ => json!([]),
        };
        list(items.as_array().unwrap(), 1, 1, 0)
    });
    driver(&script).catalog().await.unwrap()
}

#[tokio::test]
async fn offers_tell_price_and_stock_by_region() {
    let plan = json!({"id": "p", "label": "Dedicated 32GB + RTX6000 GPU x2", "vcpus": 8, "memory": 32768, "disk": 655360,
        "gpus": 2, "transfer": null, "price": {"hourly": 1.5, "monthly": 1000.0},
        "region_prices": [{"id": "id-cgk", "hourly": 1.8, "monthly": 1200.0}, {"id": "br-gru", "hourly": 0, "monthly": null}]});
    let region = |id: &str, status: &str, site: &str, sells: &str| json!({"id": id, "label": id, "country": "us", "capabilities": [sells], "status": status, "site_type": site});
    let regions = json!([
        region("us-ord", "ok", "core", "Linodes"),
        region("id-cgk", "ok", "core", "Linodes"),
        region("br-gru", "ok", "core", "Linodes"),
        region("us-east", "outage", "core", "Linodes"),
        region("us-edge", "ok", "distributed", "Linodes"),
        region("us-edge2", "ok", "distributed", "Linodes"),
        region("us-store", "ok", "core", "Object Storage"),
    ]);
    let told = |region: &str, available: bool| json!({"region": region, "plan": "p", "available": available});
    let stock = json!([told("us-ord", true), told("id-cgk", false), told("us-edge2", true)]);
    let catalog = catalog_of(plan, regions, stock).await;
    let offers: Vec<_> = catalog
        .offers
        .iter()
        .map(|offer| {
            let hourly = offer.price.as_ref().map(|price| price.amount.amount().to_string());
            (offer.region.as_str(), offer.stock, hourly.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        offers,
        [
            ("us-ord", Stock::Available, "1.5".to_owned()),
            ("id-cgk", Stock::Out, "1.8".to_owned()),
            ("br-gru", Stock::Untold, String::new()),
            ("us-east", Stock::Out, "1.5".to_owned()),
            ("us-edge2", Stock::Available, "1.5".to_owned()),
        ]
    );
    let gpu = catalog.plan("p").unwrap().gpu.clone().unwrap();
    assert_eq!((gpu.model.as_str(), gpu.count), ("RTX6000", 2));
    assert!(!catalog.region("us-east").unwrap().available);
    assert!(catalog.region("us-store").is_none());
}

#[tokio::test]
async fn user_data_is_read_where_the_region_hands_it_out() {
    let reads = |capabilities: [&'static str; 2]| async move {
        let script = Script::new(move |line, _| {
            let region = |id: &str, more: &str| json!({"id": id, "capabilities": ["Linodes", more]});
            let items = match line.split(['?', ' ']).nth(1).unwrap() {
                "/v4/linode/types" => vec![json!({"id": "p", "vcpus": 1, "memory": 1024, "disk": 25600})],
                "/v4/regions" => vec![region("a", capabilities[0]), region("b", capabilities[1])],
                "/v4/images" => vec![json!({"id": "linode/debian12", "capabilities": ["cloud-init"]})],
                _ => Vec::new(),
            };
            list(&items, 1, 1, 0)
        });
        let catalog = driver(&script).catalog().await.unwrap();
        let plan = catalog.plan("p").unwrap();
        ["a", "b"].map(|region| catalog.image_for("debian-12", plan, region).unwrap().cloud_init)
    };
    assert_eq!(reads(["Metadata", "Metadata"]).await, [true, true]);
    assert_eq!(reads(["Metadata", "Vlans"]).await, [true, false]);
    assert_eq!(reads(["Vlans", "Vlans"]).await, [true, true], "where no region says so nothing is concluded");
}

#[test]
fn every_status_has_its_word() {
    use InstanceStatus::*;
    for (word, expected) in [
        ("running", Running),
        ("offline", Stopped),
        ("booting", Provisioning),
        ("busy", Running),
        ("rebooting", Running),
        ("shutting_down", Running),
        ("provisioning", Provisioning),
        ("deleting", Deleting),
        ("migrating", Provisioning),
        ("resizing", Provisioning),
        ("rebuilding", Provisioning),
        ("cloning", Provisioning),
        ("restoring", Provisioning),
        ("stopped", Stopped),
        ("billing_suspension", Failed),
        ("", Unknown),
        ("hibernating", Unknown),
    ] {
        assert_eq!(convert::status(word), expected, "{word}");
    }
}

#[tokio::test]
async fn every_refusal_has_its_kind() {
    use ErrorKind::*;
    let html = "<html><title>400 Bad Request</title></html>".to_owned();
    let limit = "Account Limit reached. Please open a support ticket.";
    for (status, body, kind, retry, effect) in [
        (400, refusal(Some("region"), "region is not valid"), Invalid, Retry::Never, Effect::None),
        (400, refusal(None, "Linode busy."), Conflict, Retry::Backoff, Effect::None),
        (400, refusal(None, limit), Quota, Retry::Never, Effect::None),
        (
            400,
            refusal(Some("type"), "This plan is unavailable in this region."),
            NoCapacity,
            Retry::Never,
            Effect::None,
        ),
        (400, html.clone(), Unavailable, Retry::Backoff, Effect::Unknown),
        (401, refusal(None, "Invalid Token"), Unauthenticated, Retry::Never, Effect::None),
        (403, refusal(None, "Unauthorized"), Forbidden, Retry::Never, Effect::None),
        (403, "<html>Forbidden</html>".to_owned(), Forbidden, Retry::Never, Effect::None),
        (404, refusal(None, "Not found"), Invalid, Retry::Never, Effect::None),
        (408, refusal(None, "Please try again"), Timeout, Retry::Backoff, Effect::Unknown),
        (429, refusal(None, "Too many requests"), RateLimited, Retry::Backoff, Effect::None),
        (500, refusal(None, "Internal Server Error"), Unavailable, Retry::Backoff, Effect::Unknown),
        (502, html, Unavailable, Retry::Backoff, Effect::Unknown),
        (503, refusal(None, "Please try again"), Unavailable, Retry::Backoff, Effect::Unknown),
    ] {
        let said = body.clone();
        let script = Script::new(move |_, _| (status, body.clone()));
        let error = driver(&script).create(&order("web")).await.unwrap_err();
        assert_eq!((error.kind(), error.retry(), error.effect()), (kind, retry, effect), "{status} {said}");
        assert_eq!(error.operation(), Some("instances.create"));
        assert!(!error.message().contains('<'), "a page of HTML is no message: {error}");
    }
}

#[tokio::test]
async fn every_reason_is_shown() {
    let body = json!({"errors": [{"field": "region", "reason": "region is not valid"},
        {"field": "metadata.user_data", "reason": "must be base64."}]});
    let script = Script::new(move |_, _| (400, body.to_string()));
    let error = driver(&script).create(&order("web")).await.unwrap_err();
    let reasons = "region: region is not valid; metadata.user_data: must be base64";
    assert!(error.to_string().contains(reasons), "{error}");
    assert_eq!(error.native_code(), Some("region"));
}

fn pages(total: u64) -> Arc<Script> {
    Script::new(move |line, _| {
        let page: u64 = line.split("page=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let items: Vec<Value> = ((page - 1) * 500..(page * 500).min(total)).map(|n| linode(n, "running")).collect();
        list(&items, page, total.div_ceil(500).max(1), total)
    })
}

#[tokio::test]
async fn ten_thousand_servers_take_twenty_requests() {
    let script = pages(10_000);
    let listed = driver(&script).list(&Scope::All).await.unwrap();
    assert_eq!((listed.len(), script.asked().len()), (10_000, 20));
    assert_eq!(script.asked()[0], "GET /v4/linode/instances?page=1&page_size=500");
}

#[tokio::test]
async fn a_list_that_is_not_whole_is_an_error() {
    let short = Script::new(|_, _| list(&[linode(1, "running")], 1, 1, 2));
    let error = driver(&short).list(&Scope::All).await.unwrap_err();
    assert_eq!(error.to_string(), "Only 1 of 2 servers arrived, so the list is not shown.");

    let whole = pages(2_500);
    let broken =
        Script::new(
            move |line, body| {
                if line.contains("page=3&") { (403, refusal(None, "no")) } else { (whole.answer)(line, body) }
            },
        );
    let error = driver(&broken).list(&Scope::All).await.unwrap_err();
    assert!(error.to_string().starts_with("Page 3 of 5 of the servers is missing"), "{error}");
}

#[tokio::test]
async fn a_list_that_grew_meanwhile_is_followed_to_its_end() {
    let (before, after) = (pages(1_000), pages(1_001));
    let grown = Script::new(move |line, body| {
        let told = if line.contains("page=1&") { &before } else { &after };
        (told.answer)(line, body)
    });
    assert_eq!(driver(&grown).list(&Scope::All).await.unwrap().len(), 1_001);
}

#[tokio::test]
async fn a_listing_by_token_shows_only_what_carries_it() {
    // A stand-in without filters shows everything: what is not ours must not be adopted.
    let token = Token::random();
    let word = format!("capsule-token:{token}");
    let script = Script::new(move |_, _| {
        let mut ours = linode(7, "provisioning");
        ours["tags"] = json!([word]);
        list(&[linode(1, "running"), ours], 1, 1, 2)
    });
    let found = driver(&script).list(&Scope::Token(token)).await.unwrap();
    assert_eq!(found.iter().map(|server| server.id.native.as_str()).collect::<Vec<_>>(), ["7"]);
}

/// A script that keeps the filters that it was sent, and is under maintenance where it answers 503.
#[derive(Debug)]
struct Headers(Arc<Script>, std::sync::Mutex<Vec<String>>);

#[async_trait]
impl Transport for Headers {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let filter = request.headers().get("x-filter").map(|filter| filter.to_str().unwrap().to_owned());
        self.1.lock().unwrap().extend(filter);
        let mut answer = self.0.send(request).await?;
        if answer.status() == 503 {
            answer.headers_mut().insert("x-maintenance-mode", http::HeaderValue::from_static("1"));
        }
        Ok(answer)
    }
}

#[tokio::test]
async fn the_vendor_is_asked_to_filter() {
    let script = samples();
    let transport = Arc::new(Headers(script.clone(), std::sync::Mutex::default()));
    let connect = Connect { transport: transport.clone(), ..script.connect(&[("api_key", "test-token")]) };
    let driver = Linode::new(connect).unwrap();
    let (owner, token) = (OwnerId::random(), Token::random());
    driver.list(&Scope::All).await.unwrap();
    driver.list(&Scope::Owner(owner.clone())).await.unwrap();
    driver.list(&Scope::Token(token.clone())).await.unwrap();
    let expected = [format!("capsule-owner:{owner}"), format!("capsule-token:{token}")];
    let expected = expected.map(|tag| json!({ "tags": tag }).to_string());
    assert_eq!(*transport.1.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_vendor_under_maintenance_is_left_alone() {
    let script = Script::new(|_, _| (503, refusal(None, "Under maintenance")));
    let transport = Arc::new(Headers(script.clone(), std::sync::Mutex::default()));
    let connect = Connect { transport, ..script.connect(&[("api_key", "test-token")]) };
    let error = Linode::new(connect).unwrap().list(&Scope::All).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::After(Duration::from_secs(300))));
    assert_eq!(script.asked().len(), 1);
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFn0Xb0b2lQ1vJxUo0v1u3mJmYlQd7sD4JtS3kqj8b5K me@home";

#[tokio::test]
async fn an_order_is_one_request_with_everything_at_birth() {
    let script = samples();
    let driver = driver(&script);
    let mut order = order("web.example-1");
    order.spec.ssh_keys = vec![SshKey::Public(format!("{KEY}\n")), SshKey::Existing("alice".into())];
    order.spec.user_data = Some("#cloud-config\n".into());
    order.spec.tags.insert("env", "a b");
    driver.create(&order).await.unwrap();
    assert_eq!(script.asked(), ["POST /v4/linode/instances"]);
    let mut body = script.body_of("POST /v4/linode/instances");
    let password = body.as_object_mut().unwrap().remove("root_pass").unwrap();
    assert_eq!(
        body,
        json!({
            "label": "web.example-1", "region": "us-ord", "type": "g6-nanode-1", "image": "linode/ubuntu24.04",
            "authorized_keys": [KEY], "authorized_users": ["alice"],
            "tags": [format!("capsule-owner:{}", order.owner), format!("capsule-token:{}", order.token), "env:a_20b"],
            "metadata": {"user_data": "I2Nsb3VkLWNvbmZpZwo="}, "booted": true, "swap_size": 0,
        })
    );
    let password = password.as_str().unwrap().to_owned();
    assert!((40..=128).contains(&password.len()), "{} characters", password.len());
    assert!(!format!("{driver:?}").contains(&password));

    let again = samples();
    self::driver(&again).create(&order).await.unwrap();
    assert_ne!(again.body_of("POST /v4/linode/instances")["root_pass"], password, "each server has its own");
}

/// A vendor at which the name is taken by a server with these tags, or by one that is not shown.
fn taken(tags: Option<Vec<String>>) -> Arc<Script> {
    Script::new(move |line, _| {
        if line.starts_with("POST") {
            return (400, refusal(Some("label"), "Label must be unique among your linodes"));
        }
        let holder = tags.as_ref().map(|tags| {
            let mut holder = linode(7, "provisioning");
            (holder["label"], holder["tags"]) = (json!("web"), json!(tags));
            holder
        });
        let holder: Vec<Value> = holder.into_iter().collect();
        list(&holder, 1, 1, holder.len() as u64)
    })
}

#[tokio::test]
async fn a_taken_name_is_looked_into() {
    let order = order("web");
    let ours = taken(Some(vec![format!("capsule-token:{}", order.token)]));
    assert_eq!(driver(&ours).create(&order).await.unwrap()[0].id.native, "7", "an earlier try came through");
    assert_eq!(ours.asked().len(), 2);

    for (holder, effect) in [(Some(vec![]), Effect::None), (None, Effect::Unknown)] {
        let error = driver(&taken(holder)).create(&order).await.unwrap_err();
        assert_eq!((error.kind(), error.retry(), error.effect()), (ErrorKind::Conflict, Retry::Never, effect));
        assert!(error.hint().is_some_and(|hint| hint.contains("another name")), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said_before_anything_is_sent() {
    type Spoil = fn(&mut Order);
    let spoils: [(&str, Spoil); 16] = [
        ("no plan", |order| order.spec.plan.clear()),
        ("no region", |order| order.spec.region = " ".into()),
        ("no image", |order| order.spec.image.clear()),
        ("cannot be a server's name", |order| order.names = vec!["ab".into()]),
        ("cannot be a server's name", |order| order.names = vec!["a".repeat(65)]),
        ("cannot be a server's name", |order| order.names = vec!["1web".into()]),
        ("cannot be a server's name", |order| order.names = vec!["web-".into()]),
        ("cannot be a server's name", |order| order.names = vec!["web--1".into()]),
        ("cannot be a server's name", |order| order.names = vec!["web 1".into()]),
        ("cannot be a server's name", |order| order.names = vec!["w\u{fc}b".into()]),
        ("one server", |order| order.names = vec!["web".into(), "db1".into()]),
        ("65536 bytes", |order| order.spec.user_data = Some("x".repeat(65536))),
        ("longer than the 50", |order| order.spec.tags.insert("k", "v".repeat(50))),
        ("shorter than the 3", |order| order.spec.tags.insert("k", "")),
        ("disk", |order| order.spec.disk_gib = Some(80)),
        ("public key", |order| order.spec.ssh_keys = vec![SshKey::Public("-----BEGIN PRIVATE KEY-----".into())]),
    ];
    for (why, spoil) in spoils {
        let script = samples();
        let mut order = order("web");
        spoil(&mut order);
        let error = driver(&script).create(&order).await.unwrap_err();
        assert!(error.message().contains(why), "{why}: {error}");
        assert!(!format!("{error:?}").contains("PRIVATE"), "a key given by mistake must not be shown");
        assert_eq!((error.effect(), script.asked().len()), (Effect::None, 0), "{why}");
    }
}

/// A vendor with one server, whose state changes with the first job.
fn one_linode(status: &'static str, answer: (u16, String), then: &'static str) -> Arc<Script> {
    let acted = std::sync::atomic::AtomicBool::new(false);
    Script::new(move |line, _| {
        use std::sync::atomic::Ordering::Relaxed;
        if line.starts_with("POST") {
            acted.store(true, Relaxed);
            return answer.clone();
        }
        (200, linode(1, if acted.load(Relaxed) { then } else { status }).to_string())
    })
}

#[tokio::test]
async fn power_is_asked_for_only_where_it_changes_something() {
    let done = || (200, "{}".to_owned());
    for (status, to, what) in [
        ("running", Power::On, None),
        ("booting", Power::On, None),
        ("provisioning", Power::On, None),
        ("offline", Power::On, Some("boot")),
        ("stopped", Power::On, Some("boot")),
        ("shutting_down", Power::On, Some("boot")),
        ("offline", Power::Off, None),
        ("shutting_down", Power::Off, None),
        ("running", Power::Off, Some("shutdown")),
        ("running", Power::Reboot, Some("reboot")),
    ] {
        let script = one_linode(status, done(), status);
        driver(&script).power(&id("1"), to).await.unwrap();
        let mut expected = vec!["GET /v4/linode/instances/1".to_owned()];
        expected.extend(what.map(|what| format!("POST /v4/linode/instances/1/{what}")));
        assert_eq!(script.asked(), expected, "{to} of {status}");
    }
    let off = one_linode("offline", done(), "offline");
    assert_eq!(driver(&off).power(&id("1"), Power::Reboot).await.unwrap_err().kind(), ErrorKind::Conflict);
    let script = samples();
    let error = driver(&script).power(&id("123"), Power::ForceOff).await.unwrap_err();
    assert_eq!((error.kind(), script.asked().len()), (ErrorKind::Unsupported, 0));
}

#[tokio::test]
async fn power_tells_busy_and_already_so_apart() {
    let busy = || (400, refusal(None, "Linode busy."));
    let script = one_linode("running", busy(), "running");
    let error = driver(&script).power(&id("1"), Power::Off).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::Backoff));
    driver(&one_linode("running", busy(), "shutting_down")).power(&id("1"), Power::Off).await.unwrap();

    let gone = Script::new(|_, _| (404, refusal(None, "Not found")));
    assert_eq!(driver(&gone).power(&id("1"), Power::On).await.unwrap_err().kind(), ErrorKind::NotFound);
    driver(&gone).delete(&id("1")).await.unwrap();
    assert_eq!(driver(&gone).get(&id("../account")).await.unwrap_err().kind(), ErrorKind::Invalid);
}

/// A vendor whose server has these profiles, and that answers each change so.
fn profiles(profiles: &[Value], change: (u16, String)) -> Arc<Script> {
    let listed = list(profiles, 1, 1, profiles.len() as u64);
    Script::new(move |line, _| if line.starts_with("PUT") { change.clone() } else { listed.clone() })
}

#[tokio::test]
async fn profiles_are_set_to_the_servers_own_disk() {
    let made = json!({"id": 7, "label": "My Ubuntu 24.04 LTS Disk Profile", "kernel": "linode/grub2",
        "helpers": {"updatedb_disabled": true, "distro": true, "modules_dep": true, "network": true, "devtmpfs_automount": false}});
    let direct = |helpers: Value| json!({"id": 8, "kernel": "linode/direct-disk", "helpers": helpers});
    let listing = "GET /v4/linode/instances/1/configs?page=1&page_size=500";
    let done = || (200, "{}".to_owned());

    let script = profiles(&[made, direct(json!({"network": false}))], done());
    driver(&script).start_from_own_disk(&id("1")).await.unwrap();
    assert_eq!(script.asked(), [listing, "PUT /v4/linode/instances/1/configs/7"], "what is so already is left alone");
    assert_eq!(
        script.body_of("PUT /v4/linode/instances/1/configs/7"),
        json!({"kernel": "linode/direct-disk", "helpers": {"updatedb_disabled": true, "distro": true,
            "modules_dep": true, "network": false, "devtmpfs_automount": false}}),
        "the other helpers stay as they were"
    );
    // A server with interfaces of the newer kind has no Network Helper here.
    for (helpers, asked) in [(json!({"network": true}), 2), (json!({"network": null}), 1), (Value::Null, 1)] {
        let script = profiles(&[direct(helpers.clone())], done());
        driver(&script).start_from_own_disk(&id("1")).await.unwrap();
        assert_eq!(script.asked().len(), asked, "{helpers}");
    }
}

#[tokio::test]
async fn what_keeps_a_profile_as_it_is_says_what_to_do_by_hand() {
    let made = json!({"id": 7, "kernel": "linode/grub2", "helpers": null});
    let refused = |status, reason| (status, refusal(None, reason));
    for (script, kind, retry) in [
        (profiles(&[], refused(500, "")), ErrorKind::NotFound, Retry::Backoff),
        (profiles(std::slice::from_ref(&made), refused(403, "Unauthorized")), ErrorKind::Forbidden, Retry::Never),
        (profiles(std::slice::from_ref(&made), refused(400, "Linode busy.")), ErrorKind::Conflict, Retry::Backoff),
        (profiles(std::slice::from_ref(&made), refused(400, "kernel is not valid")), ErrorKind::Invalid, Retry::Never),
    ] {
        let error = driver(&script).start_from_own_disk(&id("1")).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{error}");
        assert!(error.message().starts_with("linode/us-ord/1 still boots with a kernel of Linode's: "), "{error}");
        assert!(error.hint().unwrap().contains("cloud.linode.com/linodes/1/configurations"), "{error:?}");
    }
}

#[test]
fn profiles_are_left_alone_where_the_settings_say_so() {
    let script = samples();
    let with = |value: &str| Linode::new(script.connect(&[("api_key", "test-token"), ("direct_disk", value)]));
    assert!(with("yes").unwrap().own_loader().is_some() && driver(&script).own_loader().is_some());
    assert!(with("no").unwrap().own_loader().is_none());
    assert_eq!(with("perhaps").unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_restricted_user_is_noted() {
    let script = Script::new(|line, _| match line {
        "GET /v4/profile" => (200, json!({"username": "u", "restricted": true}).to_string()),
        _ => (200, json!({"global": {"add_linodes": false}}).to_string()),
    });
    let account = driver(&script).verify().await.unwrap();
    assert_eq!((account.id.as_str(), account.notes.len()), ("u", 2), "{:?}", account.notes);
    let unreadable = Script::new(|line, _| match line {
        "GET /v4/profile" => (200, json!({"username": "u", "restricted": true}).to_string()),
        _ => (403, refusal(None, "Unauthorized")),
    });
    assert_eq!(driver(&unreadable).verify().await.unwrap().notes.len(), 2);
}

#[test]
fn a_token_without_the_right_is_noted() {
    let profile = || api::Profile { username: "u".into(), email: None, restricted: Some(false) };
    for (scopes, notes) in [
        (None, 0),
        (Some("*"), 0),
        (Some("images:read_only,linodes:read_write"), 0),
        (Some("images:read_only linodes:read_write"), 0),
        (Some("linodes:read_only"), 1),
    ] {
        assert_eq!(convert::account(profile(), scopes, None).notes.len(), notes, "{scopes:?}");
    }
}

#[tokio::test]
async fn systems_have_the_same_names_everywhere() {
    for (slug, os) in [
        ("linode/ubuntu24.04", Some("ubuntu-24.04")),
        ("linode/debian12", Some("debian-12")),
        ("linode/centos-stream9", Some("centos-stream-9")),
        ("linode/rocky9", Some("rocky-9")),
        ("linode/ubuntu16.04lts", None),
        ("linode/debian11-kube-v1.28.3", None),
        ("linode/arch", None),
        ("private/123", None),
    ] {
        let image = json!({"id": slug, "status": "available"});
        let script = Script::new(move |line, _| match line.contains("/images") {
            true => list(&[image.clone(), json!({"id": "old", "deprecated": true})], 1, 1, 2),
            false => list(&[], 1, 1, 0),
        });
        let images = driver(&script).catalog().await.unwrap().images;
        assert_eq!((images.len(), images[0].os.as_deref()), (1, os), "{slug}");
    }
}

/// The names that the decoders look for.
const NAMES: &str = "data page pages results id label status region type image ipv4 ipv6 tags created username email \
    restricted global add_linodes vcpus memory disk transfer gpus price region_prices hourly \
    monthly country capabilities site_type plan available deprecated errors field reason kernel helpers network";

proptest! {
    #[test]
    fn any_answer_gives_a_value_or_an_error(answer in any_json(NAMES), status in prop::sample::select(vec![200u16, 400, 404])) {
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
            let _ = driver.get(&id("1")).await;
            let _ = driver.power(&id("1"), Power::Off).await;
            let _ = driver.delete(&id("1")).await;
            let _ = driver.create(&order("web")).await;
            let _ = driver.start_from_own_disk(&id("1")).await;
        });
    }
}
