//! No secret and no body in anything that people read.

use std::io::Write;
use std::sync::{Arc, Mutex};

use capsule_core::Error;
use capsule_core::http::{HeaderKey, parse_base};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::script::{Body, CANARY, Rig, Step, calls};

/// What a subscriber at TRACE writes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() -> (Log, tracing::subscriber::DefaultGuard) {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The canary in every place of the answer: a header, a cookie and the body.
fn leaky(status: u16, body: Body) -> Step {
    let headers = vec![
        ("x-request-id", "req-77".to_owned()),
        ("set-cookie", format!("session={CANARY}")),
        ("location", format!("https://{CANARY}:{CANARY}@elsewhere.example.com/?token={CANARY}")),
    ];
    Step::Answer(status, headers, body)
}

#[tokio::test]
async fn no_secret_is_shown_however_a_call_ends() {
    let (log, _guard) = Log::listen();
    let text = || Body::Whole(format!("{{\"password\": \"{CANARY}\"}}"));
    let mut steps: Vec<Step> = [200, 204, 302, 400, 401, 403, 404, 409, 418, 422, 429, 500, 503]
        .into_iter()
        .map(|status| leaky(status, text()))
        .collect();
    steps.extend([Step::Refuse, Step::Break, Step::Hang(30)]);
    steps.extend([leaky(200, Body::BreaksOff(CANARY.to_owned())), leaky(200, Body::Endless)]);
    steps.push(leaky(200, Body::Whole(format!("\"{CANARY}\""))));
    for step in steps {
        for call in calls() {
            let call = call
                .json(&serde_json::json!({ "root_pass": CANARY }))
                .query("token", CANARY)
                .header("x-other".parse().unwrap(), HeaderValue::from_static(CANARY));
            let rig = Rig::new([step.clone()]);
            let mut shown = vec![format!("{call:?} {:?}", rig.client)];
            let show = |error: &Error| format!("{error} {error:?} {}", serde_json::to_string(error).unwrap());
            match rig.client.send(call).await {
                Err(error) => shown.push(show(&error)),
                Ok(reply) => {
                    shown.push(format!("{reply:?}"));
                    shown.extend(reply.json::<u64>().err().iter().map(show));
                    shown.extend(reply.json::<std::net::IpAddr>().err().iter().map(show));
                }
            }
            assert!(!shown.join("\n").contains(CANARY), "{step:?}: {shown:#?}");
            let signed = rig.script.last().headers()[AUTHORIZATION].clone();
            assert_eq!(signed, format!("Bearer {CANARY}"), "the canary was there to be seen");
            assert!(!format!("{signed:?}").contains(CANARY), "a header marked as secret");
        }
    }
    let log = log.text();
    assert!(!log.contains(CANARY), "{}", log.lines().find(|line| line.contains(CANARY)).unwrap_or_default());
    assert!(!log.contains("password") && !log.contains("root_pass"), "a body was logged");
}

#[tokio::test]
async fn the_trace_tells_what_went_on() {
    let (log, _guard) = Log::listen();
    let rig = Rig::new([leaky(503, Body::Whole(String::new())), leaky(200, Body::Whole("{}".to_owned()))]);
    rig.client.send(calls()[0].clone()).await.unwrap();
    let log = log.text();
    let line = |says: &[&str]| {
        assert!(log.lines().any(|line| says.iter().all(|word| line.contains(word))), "no line with {says:?} in\n{log}");
    };
    line(&[
        "answered",
        "provider=vultr",
        "operation=\"things.get\"",
        "attempt=1",
        "status=503",
        "request_id=\"req-77\"",
    ]);
    line(&["trying again", "provider=vultr", "operation=\"things.get\"", "attempt=1", "wait_ms="]);
    line(&["answered", "attempt=2", "status=200"]);
}

#[test]
fn a_key_is_never_shown_and_nonsense_is_no_key() {
    let key = HeaderKey::bearer(&format!("  {CANARY}\n").into()).expect("blanks around a key are cut off");
    assert_eq!(format!("{key:?}"), "HeaderKey(authorization)");
    for text in [format!("{CANARY} two"), format!("{CANARY}\nX-Evil: 1"), format!("{CANARY}ü"), String::new()] {
        let error = HeaderKey::bearer(&text.into()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
        assert!(error.kind().is_credentials() && error.hint().is_some());
    }
    for text in [format!("https://me:{CANARY}@h.example.com"), format!("ht!tp://{CANARY}@h?k={CANARY}")] {
        let error = parse_base("endpoint", &text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
    }
}
