//! No answer makes a driver panic: what is spoilt is read as a value, or it is an error that says so.
//!
//! Each cloud's own bodies are the corpus, from the simulator and from the drivers' `samples/`. Pieces of them are dropped,
//! exchanged for another type, made huge, `null` or deeply nested, JSON and XML alike.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::transport::whole;
use capsule_core::http::{ByteStream, Ledgers, SendError, Transport};
use capsule_core::{
    Clock, Connect, Error, ErrorKind, InstanceSpec, ManualClock, Order, OwnerId, Power, Provider, Scope, SettingValue,
    Settings, SshKey, Token,
};
use capsule_providers::Entry;
use capsule_sim::{Options, Sim};
use futures_util::StreamExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me@example.com";

/// What is done to a body, and where: the place is counted from the start and taken modulo the number of places.
#[derive(Debug, Clone)]
struct Spoil {
    place: usize,
    how: How,
}

#[derive(Debug, Clone)]
enum How {
    Drop,
    Replace(Value),
    Wrap,
    Truncate,
}

fn any_spoil() -> impl Strategy<Value = Spoil> {
    let values = vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1e308),
        json!(0.000_000_000_000_000_000_000_000_000_000_1),
        json!(""),
        json!("\u{1f4a5} no such thing"),
        json!("99999999999999999999999999"),
        json!("2025-02-30T25:61:61Z"),
        json!([]),
        json!([null]),
        json!({}),
        json!({ "id": null }),
        nested(200),
    ];
    let how = prop_oneof![
        3 => Just(How::Drop),
        8 => prop::sample::select(values).prop_map(How::Replace),
        1 => Just(How::Wrap),
        1 => Just(How::Truncate),
    ];
    (any::<usize>(), how).prop_map(|(place, how)| Spoil { place, how })
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!("deep"), |inner, _| json!([inner]))
}

/// A body with one piece spoilt.
fn spoilt(body: &str, spoil: &Spoil) -> String {
    if matches!(spoil.how, How::Truncate) {
        let end = spoil.place % body.len().max(1);
        return body.chars().take(end).collect();
    }
    match serde_json::from_str::<Value>(body) {
        Ok(mut value) => {
            let mut place = spoil.place % places(&value);
            spoil_json(&mut value, &mut place, &spoil.how);
            value.to_string()
        }
        Err(_) => spoil_xml(body, spoil),
    }
}

/// How many values there are, with all that are inside.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(map) => map.values().map(places).sum(),
        _ => 0,
    }
}

/// Counts down to the place; whether the piece there is to be dropped by whoever holds it.
fn spoil_json(value: &mut Value, place: &mut usize, how: &How) -> bool {
    if *place == 0 {
        match how {
            How::Drop | How::Truncate => return true,
            How::Replace(other) => *value = other.clone(),
            How::Wrap => *value = json!([value.take()]),
        }
        *place = usize::MAX;
        return false;
    }
    *place -= 1;
    match value {
        Value::Array(items) => {
            for index in 0..items.len() {
                if spoil_json(&mut items[index], place, how) {
                    items.remove(index);
                    *place = usize::MAX;
                }
                if *place == usize::MAX {
                    break;
                }
            }
        }
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                if map.get_mut(&key).is_some_and(|inner| spoil_json(inner, place, how)) {
                    map.remove(&key);
                    *place = usize::MAX;
                }
                if *place == usize::MAX {
                    break;
                }
            }
        }
        _ => {}
    }
    false
}

/// The text between two tags is a place, and so is each tag.
fn spoil_xml(body: &str, spoil: &Spoil) -> String {
    let mut pieces: Vec<&str> = body.split_inclusive('>').flat_map(|piece| piece.split_inclusive('<')).collect();
    if pieces.is_empty() {
        return String::new();
    }
    let at = spoil.place % pieces.len();
    let other = match &spoil.how {
        How::Replace(Value::String(text)) => format!("{text}{}", if pieces[at].ends_with('<') { "<" } else { "" }),
        How::Replace(value) => format!("<item>{}</item>{}", value.to_string().replace(['<', '&'], ""), pieces[at]),
        How::Wrap => format!("{0}{0}", pieces[at]),
        How::Drop | How::Truncate => String::new(),
    };
    pieces[at] = &other;
    pieces.concat()
}

/// The simulator, or a sample in its place, with every answer of one kind of request spoilt.
#[derive(Debug)]
struct Spoiling {
    inner: Arc<dyn Transport>,
    /// Bodies that stand for what the simulator says.
    samples: Vec<String>,
    /// Nothing is spoilt while there is none.
    spoil: Mutex<Option<(Spoil, bool)>>,
}

#[async_trait]
impl Transport for Spoiling {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let reply = self.inner.send(request).await?;
        let Some((spoil, from_samples)) = self.spoil.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return Ok(reply);
        };
        let (head, mut stream) = reply.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = stream.next().await {
            body.extend_from_slice(&chunk?);
        }
        let said = String::from_utf8_lossy(&body).into_owned();
        let said = if from_samples && !said.is_empty() {
            spoilt(&self.samples[spoil.place % self.samples.len()], &spoil)
        } else {
            spoilt(&said, &spoil)
        };
        Ok(http::Response::from_parts(head, whole(said)))
    }
}

struct Bench {
    provider: Arc<dyn Provider>,
    transport: Arc<Spoiling>,
    order: Order,
}

async fn bench(entry: &'static Entry) -> Bench {
    let id = entry.descriptor.id.as_str();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(id).join("samples");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let samples = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let transport = Arc::new(Spoiling { inner: sim.transport(), samples, spoil: Mutex::default() });
    let values = capsule_sim::credentials(id).into_iter();
    let values = values
        .map(|(key, value)| (key.to_owned(), SettingValue { value: value.into(), source: "test".into() }))
        .collect();
    let settings = Settings { values, force_retired: true, ..Settings::default() };
    let connect = Connect { settings, transport: transport.clone(), clock, ledgers: Ledgers::default() };
    let provider = (entry.connect)(connect).await.unwrap();
    let catalog = provider.catalog().await.unwrap();
    let spec = catalog.offers.iter().find_map(|offer| {
        let plan = catalog.plan(&offer.plan).filter(|plan| plan.gpu.is_none())?;
        let image = catalog.image_for("ubuntu-24.04", plan, &offer.region)?;
        Some(InstanceSpec {
            plan: plan.id.clone(),
            region: offer.region.clone(),
            image: image.id.clone(),
            disk_gib: None,
            ssh_keys: vec![SshKey::Public(KEY.to_owned())],
            user_data: Some("#cloud-config\n".to_owned()),
            tags: [("env".to_owned(), "test".to_owned())].into_iter().collect(),
        })
    });
    let order = Order {
        token: Token::random(),
        again: false,
        owner: OwnerId::random(),
        names: vec!["first".to_owned()],
        spec: spec.unwrap(),
    };
    Bench { provider, transport, order }
}

impl Bench {
    fn spoil(&self, spoil: Option<(Spoil, bool)>) {
        *self.transport.spoil.lock().unwrap_or_else(PoisonError::into_inner) = spoil;
    }
}

/// An answer that went well as HTTP and makes no sense is an error of its own kind. What it seems to say may be anything.
fn judge(what: &str, answer: Result<(), Error>) -> Result<(), TestCaseError> {
    let Err(error) = answer else { return Ok(()) };
    prop_assert!(!error.message().is_empty(), "{what} failed without a word: {error:?}");
    let ours = matches!(error.kind(), ErrorKind::Store | ErrorKind::Config | ErrorKind::RateLimited);
    prop_assert!(!ours, "{what}: a spoilt answer is nobody's setting: {error:?}");
    Ok(())
}

async fn try_all(bench: &Bench) -> Result<(), TestCaseError> {
    let Bench { provider, order, .. } = bench;
    judge("verify", provider.verify().await.map(drop))?;
    judge("catalog", provider.catalog().await.map(drop))?;
    for scope in [Scope::All, Scope::Owner(order.owner.clone()), Scope::Token(order.token.clone())] {
        let listed = provider.list(&scope).await.map(drop);
        if let Err(error) = &listed {
            let kind = error.kind();
            prop_assert!(kind == ErrorKind::Protocol || error.http_status().is_some(), "list: {kind}: {error:?}");
        }
        judge("list", listed)?;
    }
    let fresh = Order { token: Token::random(), names: vec!["second".to_owned()], ..order.clone() };
    judge("create", provider.create(&fresh).await.map(drop))
}

#[test]
fn no_answer_makes_a_driver_panic() {
    for entry in capsule_providers::all() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bench = runtime.block_on(bench(entry));
        // There is something to read.
        let made = runtime.block_on(bench.provider.create(&bench.order)).unwrap();
        let id = made[0].id.clone();
        let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&(any_spoil(), any::<bool>()), |(spoil, from_samples)| {
            bench.spoil(Some((spoil, from_samples)));
            let outcome = runtime.block_on(async {
                try_all(&bench).await?;
                judge("get", bench.provider.get(&id).await.map(drop))?;
                judge("power", bench.provider.power(&id, Power::Off).await)?;
                judge("delete", bench.provider.delete(&id).await)
            });
            bench.spoil(None);
            outcome
        });
        if let Err(failure) = outcome {
            panic!("{}: {failure}", entry.descriptor.id);
        }
    }
}

#[test]
fn what_spoils_does_spoil() {
    let body = r#"{"a":[1,{"b":2}],"c":3}"#;
    let spoil = |place, how| spoilt(body, &Spoil { place, how });
    assert_eq!(spoil(2, How::Drop), r#"{"a":[{"b":2}],"c":3}"#);
    assert_eq!(spoil(4, How::Replace(Value::Null)), r#"{"a":[1,{"b":null}],"c":3}"#);
    assert_eq!(spoil(5, How::Wrap), r#"{"a":[1,{"b":2}],"c":[3]}"#);
    assert_eq!(spoil(5, How::Truncate), r#"{"a":"#);
    let xml = Spoil { place: 2, how: How::Replace(json!("x")) };
    assert_eq!(spoilt("<a><b>1</b></a>", &xml), "<a>x<b>1</b></a>");
}
