//! A transport that follows a script, and a client that sends through it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::transport::whole;
use capsule_core::http::{ByteStream, Call, Client, ClientConfig, HeaderKey, SendError, Sent, Transport};
use capsule_core::{Clock, ManualClock};
use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use url::Url;

/// Stands in every secret place; nothing that people read may hold it.
pub(crate) const CANARY: &str = "c4n4ry-7f3e";

/// What becomes of one request.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// No connection.
    Refuse,
    /// The connection breaks before an answer.
    Break,
    /// The request is taken, so many seconds pass, and no answer ever comes.
    Hang(u64),
    /// An answer.
    Answer(u16, Vec<(&'static str, String)>, Body),
}

/// How a body arrives.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Whole(String),
    BreaksOff(String),
    Endless,
}

/// An answer without headers.
pub(crate) fn answer(status: u16, body: &str) -> Step {
    Step::Answer(status, Vec::new(), Body::Whole(body.to_owned()))
}

/// An answer with one header.
pub(crate) fn answer_with(status: u16, header: &'static str, value: impl Into<String>) -> Step {
    Step::Answer(status, vec![(header, value.into())], Body::Whole("{}".to_owned()))
}

/// Follows its steps; the last one repeats.
#[derive(Debug)]
pub(crate) struct Script {
    steps: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<(Timestamp, http::Request<Bytes>)>>,
    chunks: Arc<Mutex<usize>>,
    clock: Arc<ManualClock>,
}

/// One chunk of an endless body.
pub(crate) const CHUNK: usize = 1024;

impl Script {
    /// How often something was sent.
    pub(crate) fn sent(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// When each request was sent, in milliseconds after the first one.
    pub(crate) fn times(&self) -> Vec<i128> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(at, _)| at.duration_since(seen[0].0).as_millis()).collect()
    }

    /// The last request.
    pub(crate) fn last(&self) -> http::Request<Bytes> {
        self.seen.lock().unwrap().last().expect("something was sent").1.clone()
    }

    /// How many chunks of endless bodies were read.
    pub(crate) fn chunks(&self) -> usize {
        *self.chunks.lock().unwrap()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        self.seen.lock().unwrap().push((self.clock.now(), request));
        let step = {
            let mut steps = self.steps.lock().unwrap();
            if steps.len() > 1 { steps.pop_front().unwrap() } else { steps[0].clone() }
        };
        let broken = |sent, message: &str| SendError { sent, message: message.to_owned() };
        match step {
            Step::Refuse => Err(broken(Sent::No, "connection refused")),
            Step::Break => Err(broken(Sent::Maybe, "connection reset")),
            Step::Hang(seconds) => {
                self.clock.sleep(Duration::from_secs(seconds)).await;
                std::future::pending().await
            }
            Step::Answer(status, headers, body) => {
                let mut reply = http::Response::builder().status(status);
                for (name, value) in headers {
                    reply = reply.header(name, value);
                }
                let body: ByteStream = match body {
                    Body::Whole(text) => whole(text),
                    Body::BreaksOff(text) => {
                        let rest = Err(broken(Sent::Maybe, "connection reset"));
                        Box::pin(stream::iter([Ok(Bytes::from(text)), rest]))
                    }
                    Body::Endless => {
                        let chunks = self.chunks.clone();
                        Box::pin(stream::repeat(Bytes::from_static(&[b' '; CHUNK])).map(move |chunk| {
                            *chunks.lock().unwrap() += 1;
                            Ok(chunk)
                        }))
                    }
                };
                Ok(reply.body(body).unwrap())
            }
        }
    }
}

/// A client and all that a test looks at.
pub(crate) struct Rig {
    pub(crate) client: Client,
    pub(crate) script: Arc<Script>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Rig {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Rig::with(steps, |_| {})
    }

    pub(crate) fn with(steps: impl IntoIterator<Item = Step>, adjust: impl FnOnce(&mut ClientConfig)) -> Self {
        let clock = Arc::new(ManualClock::default());
        let script = Arc::new(Script {
            steps: Mutex::new(steps.into_iter().collect()),
            seen: Mutex::default(),
            chunks: Arc::default(),
            clock: clock.clone(),
        });
        let key = HeaderKey::bearer(&CANARY.to_owned().into()).unwrap();
        let base = Url::parse("https://api.example.com/v2").unwrap();
        let mut config = ClientConfig::new(capsule_core::ProviderId::new("vultr"), base, Arc::new(key));
        config.body_limit = 64 * CHUNK;
        adjust(&mut config);
        let client = Client::new(config, script.clone(), clock.clone()).unwrap();
        Rig { client, script, clock }
    }
}

/// A call of each class, in the order `Read`, `Idempotent`, `Effectful`.
pub(crate) fn calls() -> [Call; 3] {
    [Call::get("things.get", "/things/1"), Call::put("things.put", "/things/1"), Call::post("things.create", "/things")]
}
