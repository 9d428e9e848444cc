//! A scripted vendor for the drivers' own tests.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::transport::whole;
use capsule_core::http::{ByteStream, Ledgers, SendError, Transport};
use capsule_core::{Connect, ManualClock, SettingValue, Settings};
use proptest::prelude::*;
use serde_json::Value;

/// What the vendor answers to `METHOD /path?query` and a body: a status and a body.
type Answer = dyn Fn(&str, &Value) -> (u16, String) + Send + Sync;

/// Answers, and keeps what it was asked. The version path `/v2` is not part of a line.
pub(crate) struct Script {
    pub(crate) answer: Box<Answer>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    pub(crate) fn new(answer: impl Fn(&str, &Value) -> (u16, String) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Script { answer: Box::new(answer), asked: Mutex::default() })
    }

    /// What a driver comes to life with, under a clock that nobody waits for.
    pub(crate) fn connect(self: &Arc<Self>, settings: &[(&str, &str)]) -> Connect {
        let values = settings.iter().map(|(key, value)| {
            ((*key).to_owned(), SettingValue { value: (*value).to_owned().into(), source: "test".into() })
        });
        let settings = Settings { values: values.collect(), ..Settings::default() };
        let clock = Arc::new(ManualClock::default());
        Connect { settings, transport: self.clone(), clock, ledgers: Ledgers::default() }
    }

    /// Every line it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }

    /// The same, each with its body.
    pub(crate) fn asked_with(&self) -> Vec<(String, Value)> {
        self.asked.lock().unwrap().clone()
    }

    /// The body that came with the first such line.
    pub(crate) fn body_of(&self, line: &str) -> Value {
        self.asked.lock().unwrap().iter().find(|(asked, _)| asked == line).unwrap().1.clone()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let line = format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
        let line = line.replacen(" /v2", " ", 1);
        let body = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        let (status, text) = (self.answer)(&line, &body);
        self.asked.lock().unwrap().push((line, body));
        let kind = if text.starts_with('<') { "text/html" } else { "application/json; charset=utf-8" };
        let head = http::Response::builder().status(status).header("content-type", kind);
        Ok(head.body(whole(text)).unwrap())
    }
}

/// Any JSON, with the names that the decoders look for: words, with spaces between.
pub(crate) fn any_json(names: &'static str) -> impl Strategy<Value = Value> {
    let names: Vec<&str> = names.split_whitespace().collect();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0u64..500).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(names.clone()).prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
