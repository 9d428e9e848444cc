//! What the server says about waiting, and what is made of it.

use std::time::Duration;

use capsule_core::http::limit::common_hints;
use capsule_core::http::{Call, Hint, RetryPolicy};
use capsule_core::{Clock, ErrorKind, ManualClock, Retry};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;

use crate::script::{Body, Rig, Step, answer, answer_with, calls};

/// 2026-01-01T00:00:00Z, where a manual clock starts.
const START: i64 = 1_767_225_600;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

#[test]
fn retry_after_is_read_in_both_forms_and_nonsense_is_no_hint() {
    let now = ManualClock::default().now();
    for (text, seconds) in [
        ("0", Some(0)),
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("86400", Some(3600)),
        ("Thu, 01 Jan 2026 00:00:05 GMT", Some(5)),
        ("Fri, 02 Jan 2026 00:00:00 GMT", Some(3600)),
        ("Wed, 31 Dec 2025 23:59:59 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("99999999999999999999999", None),
        ("soon", None),
        ("", None),
    ] {
        let hint = common_hints(&headers(&[("retry-after", text)]), now);
        assert_eq!(hint.retry_after, seconds.map(Duration::from_secs), "`{text}`");
    }
}

#[test]
fn resets_are_epochs_or_waits() {
    let now = ManualClock::default().now();
    let at = |seconds| Some(Timestamp::from_second(START + seconds).unwrap());
    for (text, reset) in [
        ("60", at(60)),
        ("0", at(0)),
        ("1767225660", at(60)),
        ("1767225000", at(-600)),
        // An hour is the longest that a header is believed about.
        ("86400", at(3600)),
        ("1767312000", at(3600)),
        ("-1", None),
        ("tomorrow", None),
        ("1767225660000", None),
    ] {
        for name in ["ratelimit-reset", "x-ratelimit-reset"] {
            assert_eq!(common_hints(&headers(&[(name, text)]), now).reset, reset, "{name}: {text}");
        }
    }
    for (text, remaining) in [("12", Some(12)), ("-1", None), ("99999999999", None), ("many", None)] {
        for name in ["ratelimit-remaining", "x-ratelimit-remaining"] {
            assert_eq!(common_hints(&headers(&[(name, text)]), now).remaining, remaining, "{name}: {text}");
        }
    }
}

#[test]
fn the_more_exact_word_wins() {
    let now = ManualClock::default().now();
    let seconds = |n| Some(Duration::from_secs(n));
    let reset = Some(now + Duration::from_secs(40));
    let (refused, fine) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::OK);
    for (retry_after, remaining, status, wait) in [
        (seconds(3), Some(0), refused, seconds(3)),
        (None, Some(0), refused, seconds(40)),
        (None, None, refused, seconds(40)),
        // Some other limit than the one in the headers.
        (None, Some(9), refused, None),
        (None, Some(0), fine, None),
        (seconds(90_000), None, refused, seconds(3600)),
    ] {
        let hint = Hint { remaining, reset, retry_after };
        assert_eq!(hint.wait(status, now), wait, "{hint:?} {status}");
    }
}

#[tokio::test]
async fn the_wait_that_the_server_asks_for_is_kept() {
    for (header, value) in [
        ("retry-after", "20".to_owned()),
        ("retry-after", "Thu, 01 Jan 2026 00:00:20 GMT".to_owned()),
        ("x-ratelimit-reset", (START + 20).to_string()),
        ("ratelimit-reset", "20".to_owned()),
    ] {
        let rig = Rig::new([answer_with(429, header, &value), answer(200, "{}")]);
        rig.client.send(calls()[2].clone()).await.unwrap();
        let waited = rig.script.times()[1];
        assert!((20_000..21_000).contains(&waited), "{header}: {value}: {waited} ms");
    }
}

#[tokio::test]
async fn a_wait_too_long_for_here_goes_up_to_the_caller() {
    let rig = Rig::new([answer_with(503, "retry-after", "91"), answer(200, "{}")]);
    let error = rig.client.send(calls()[0].clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::After(Duration::from_secs(91))));
    assert_eq!(rig.script.sent(), 1);
    // Clamped, so that no header makes anybody wait for days.
    let rig = Rig::new([answer_with(429, "retry-after", "864000")]);
    let error = rig.client.send(calls()[2].clone()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(3600)));
    // The next call is not even sent, and says how long that holds.
    let error = rig.client.send(calls()[0].clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(3600))));
    assert_eq!((error.attempts(), rig.script.sent()), (0, 1));
}

#[tokio::test]
async fn a_route_of_its_own_is_refused_alone() {
    let spent = |remaining: &str| {
        let headers = vec![("x-ratelimit-remaining", remaining.to_owned()), ("x-ratelimit-reset", "600".to_owned())];
        Step::Answer(200, headers, Body::Whole("{}".to_owned()))
    };
    let rig = Rig::new([spent("0"), spent("4000")]);
    let keys = || Call::get("keys.list", "/account/keys").bucket("keys");
    rig.client.send(keys()).await.unwrap();
    rig.client.send(calls()[0].clone()).await.expect("the account's own limit is not spent");
    assert_eq!(rig.client.send(keys()).await.unwrap_err().kind(), ErrorKind::RateLimited);
    assert_eq!(rig.script.sent(), 2);
}

#[tokio::test]
async fn jitter_stays_under_its_bound_and_the_bound_doubles() {
    let mut longest = [0; 3];
    for _ in 0..200 {
        let rig = Rig::new([answer(500, "")]);
        rig.client.send(calls()[0].clone()).await.unwrap_err();
        for (retry, pair) in rig.script.times().windows(2).enumerate() {
            longest[retry] = longest[retry].max(pair[1] - pair[0]);
        }
    }
    for (retry, bound) in [500, 1000, 2000].into_iter().enumerate() {
        assert!(longest[retry] <= bound, "retry {retry} waited {} ms", longest[retry]);
        assert!(longest[retry] > bound / 2, "of 200 waits none came near {bound} ms: {longest:?}");
    }
    let rig = Rig::with([answer(500, "")], |config| {
        config.retry = RetryPolicy { retries: 40, cap: Duration::from_secs(3), ..RetryPolicy::default() };
    });
    rig.client.send(calls()[0].clone()).await.unwrap_err();
    assert_eq!(rig.script.sent(), 41);
    assert!(rig.script.times().windows(2).all(|pair| pair[1] - pair[0] <= 3000));
}

#[tokio::test]
async fn retries_stop_when_their_budget_is_spent() {
    let rig = Rig::new([answer(500, "")]);
    let calls_until_dry = 200;
    for _ in 0..calls_until_dry {
        rig.client.send(calls()[0].clone()).await.unwrap_err();
    }
    // A full budget pays for a hundred retries; after them each call is sent once.
    assert_eq!(rig.script.sent(), calls_until_dry + 100);
    let error = rig.client.send(calls()[0].clone()).await.unwrap_err();
    assert_eq!((error.attempts(), error.retry()), (1, Retry::Backoff));
}

#[tokio::test]
async fn successes_earn_retries() {
    let dry = 34;
    let mut steps = vec![answer(500, ""); dry * 4 - 2];
    steps.extend(vec![answer(200, ""); 5]);
    steps.push(answer(500, ""));
    let rig = Rig::new(steps.clone());
    // 33 calls spend 99 retries, and the 34th the last one.
    for _ in 0..dry {
        rig.client.send(calls()[0].clone()).await.unwrap_err();
    }
    assert_eq!(rig.script.sent(), dry * 4 - 2);
    for _ in 0..5 {
        rig.client.send(calls()[0].clone()).await.unwrap();
    }
    assert_eq!(rig.client.send(calls()[0].clone()).await.unwrap_err().attempts(), 2, "five successes buy one retry");
}

#[tokio::test]
async fn the_request_id_lands_in_errors() {
    for status in [404, 429, 500, 302] {
        let rig = Rig::new([answer_with(status, "x-request-id", "req-77")]);
        let error = rig.client.send(calls()[2].clone()).await.unwrap_err();
        assert_eq!(error.request_id(), Some("req-77"), "{status}");
    }
    let rig = Rig::with([answer_with(200, "x-amzn-requestid", "req-78")], |c| c.request_id = "x-amzn-requestid");
    let reply = rig.client.send(calls()[0].clone()).await.unwrap();
    assert_eq!(reply.request_id(), Some("req-78"));
    assert_eq!(reply.json::<Vec<u8>>().unwrap_err().request_id(), Some("req-78"));
}
