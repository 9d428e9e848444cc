//! The whole retry table: what happens to each class of call after each outcome.

use capsule_core::{Effect, ErrorKind, ErrorKind::*, Retry};

use crate::script::{Body, Rig, Step, answer, calls};

/// How often a call is sent that fails the same way each time: once and three retries.
const ALL: usize = 4;

struct Row {
    what: &'static str,
    step: Step,
    /// `None` where the call succeeds.
    kind: Option<ErrorKind>,
    retry: Retry,
    /// Sent so often as `Read`, `Idempotent`, `Effectful`.
    sent: [usize; 3],
    /// For the latter two; a look has no effect.
    effect: Effect,
}

#[rustfmt::skip]
fn table() -> Vec<Row> {
    use Effect::{None as Nothing, Unknown};
    use Retry::{Backoff, Never};
    let row = |what, step, kind, retry, sent, effect| Row { what, step, kind, retry, sent, effect };
    let status = |what: &'static str| answer(what.parse().unwrap(), "{}");
    let cut = Step::Answer(200, vec![], Body::BreaksOff("{\"id\":".to_owned()));
    let big = Step::Answer(200, vec![], Body::Endless);
    vec![
        row("200", status("200"), None, Never, [1, 1, 1], Nothing),
        row("400", status("400"), Some(Invalid), Never, [1, 1, 1], Nothing),
        row("401", status("401"), Some(Unauthenticated), Never, [1, 1, 1], Nothing),
        row("403", status("403"), Some(Forbidden), Never, [1, 1, 1], Nothing),
        row("404", status("404"), Some(NotFound), Never, [1, 1, 1], Nothing),
        row("408", status("408"), Some(Timeout), Backoff, [ALL, ALL, 1], Unknown),
        row("409", status("409"), Some(Conflict), Never, [1, 1, 1], Nothing),
        row("422", status("422"), Some(Invalid), Never, [1, 1, 1], Nothing),
        row("429", status("429"), Some(RateLimited), Backoff, [ALL, ALL, ALL], Nothing),
        row("500", status("500"), Some(Unavailable), Backoff, [ALL, ALL, 1], Unknown),
        row("501", status("501"), Some(Unavailable), Never, [1, 1, 1], Unknown),
        row("502", status("502"), Some(Unavailable), Backoff, [ALL, ALL, 1], Unknown),
        row("503", status("503"), Some(Unavailable), Backoff, [ALL, ALL, 1], Unknown),
        row("504", status("504"), Some(Unavailable), Backoff, [ALL, ALL, 1], Unknown),
        row("connection refused", Step::Refuse, Some(Unavailable), Backoff, [ALL, ALL, ALL], Nothing),
        row("broken before an answer", Step::Break, Some(Unavailable), Backoff, [ALL, ALL, 1], Unknown),
        row("no answer in time", Step::Hang(30), Some(Timeout), Backoff, [ALL, ALL, 1], Unknown),
        row("body broken off", cut, Some(Protocol), Backoff, [ALL, ALL, 1], Unknown),
        row("body too large", big, Some(Protocol), Never, [1, 1, 1], Unknown),
    ]
}

#[tokio::test]
async fn what_may_have_happened_is_not_sent_again() {
    for row in table() {
        for (class, call) in calls().into_iter().enumerate() {
            let rig = Rig::new([row.step.clone()]);
            let at = format!("{} as {call:?}", row.what);
            let outcome = rig.client.send(call.clone()).await;
            assert_eq!(rig.script.sent(), row.sent[class], "sent, {at}");
            match (outcome, row.kind) {
                (Ok(reply), None) => assert_eq!(reply.status, 200, "{at}"),
                (Err(error), Some(kind)) => {
                    let effect = if class == 0 { Effect::None } else { row.effect };
                    assert_eq!((error.kind(), error.retry(), error.effect()), (kind, row.retry, effect), "{at}");
                    assert_eq!(error.attempts() as usize, row.sent[class], "attempts, {at}");
                    assert_eq!(error.http_status(), status_of(&row.step), "{at}");
                    assert_eq!(error.operation(), Some(call.operation()), "{at}");
                    assert_eq!(error.provider().unwrap().as_str(), "vultr", "{at}");
                    assert!(error.message().ends_with('.'), "{at}: {error}");
                }
                (outcome, _) => panic!("{at}: {outcome:?}"),
            }
        }
    }
}

fn status_of(step: &Step) -> Option<u16> {
    match step {
        Step::Answer(status, ..) => Some(*status),
        _ => None,
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen_by_the_caller() {
    for first in [Step::Refuse, Step::Break, Step::Hang(30), answer(503, ""), answer(429, "")] {
        let rig = Rig::new([first.clone(), answer(200, "[1]")]);
        let reply = rig.client.send(calls()[0].clone()).await.unwrap_or_else(|error| panic!("{first:?}: {error}"));
        assert_eq!(reply.json::<Vec<u8>>().unwrap(), [1]);
        assert_eq!(rig.script.sent(), 2, "{first:?}");
    }
}
