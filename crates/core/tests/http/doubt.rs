//! What stays unknown, and answers that make no sense.

use capsule_core::http::{Call, Client, ClientConfig, Diagnosis};
use capsule_core::{Effect, ErrorKind, Retry};
use serde::Deserialize;

use crate::script::{Body, CHUNK, Rig, Step, answer, calls};

#[tokio::test]
async fn a_later_refusal_does_not_undo_what_an_earlier_attempt_may_have_done() {
    // The first deletion may have worked; the 409 is about what it left behind.
    for first in [Step::Break, Step::Hang(30), answer(502, "")] {
        let rig = Rig::new([first.clone(), answer(409, "")]);
        let error = rig.client.send(Call::delete("things.delete", "/things/1")).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::Unknown), "{first:?}");
        assert_eq!((error.attempts(), rig.script.sent()), (2, 2));
    }
    // Neither of these reached the vendor's machinery, so nothing is in doubt.
    for first in [Step::Refuse, answer(429, "")] {
        let rig = Rig::new([first.clone(), answer(409, "")]);
        let error = rig.client.send(Call::delete("things.delete", "/things/1")).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None), "{first:?}");
    }
}

#[tokio::test]
async fn an_unsent_create_is_sent_until_it_may_have_happened_and_no_further() {
    let rig = Rig::new([Step::Refuse, answer(429, ""), Step::Break, answer(200, "{}")]);
    let error = rig.client.send(Call::post("things.create", "/things")).await.unwrap_err();
    assert_eq!((error.attempts(), rig.script.sent()), (3, 3));
    assert_eq!(error.effect(), Effect::Unknown);
}

#[tokio::test]
async fn a_truncated_yes_to_a_create_is_in_doubt() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only its shape counts")]
    struct Thing {
        id: String,
    }
    for body in ["{\"id\": \"4f", "", "<html>yes</html>", "{}"] {
        for (class, call) in calls().into_iter().enumerate() {
            let rig = Rig::new([answer(200, body)]);
            let error = rig.client.send(call).await.unwrap().json::<Thing>().unwrap_err();
            let effect = if class == 0 { Effect::None } else { Effect::Unknown };
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Protocol, effect), "{body}");
            assert_eq!((error.retry(), rig.script.sent()), (Retry::Backoff, 1), "{body}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_broke_off_is_asked_for_again() {
    for (class, call) in calls().into_iter().enumerate() {
        let broken = Step::Answer(404, Vec::new(), Body::BreaksOff("{\"type\": \"not_".to_owned()));
        let rig = Rig::new([broken, answer(200, "{}")]);
        let answered = rig.client.send(call).await;
        let effectful = class == 2;
        assert_eq!((answered.is_err(), rig.script.sent()), (effectful, if effectful { 1 } else { 2 }));
    }
}

#[tokio::test]
async fn an_empty_body_reads_as_null() {
    let rig = Rig::new([answer(204, "")]);
    assert_eq!(rig.client.send(calls()[1].clone()).await.unwrap().json::<Option<u8>>().unwrap(), None);
}

#[tokio::test]
async fn a_page_of_html_is_judged_by_its_status() {
    let rig = Rig::new([answer(502, "<html><h1>Bad gateway</h1></html>")]);
    let error = rig.client.send(calls()[2].clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    assert_eq!(error.message(), "vultr answered 502 Bad Gateway to things.create.");
}

#[tokio::test]
async fn an_unanswered_request_is_given_thirty_seconds() {
    let rig = Rig::with([Step::Hang(30)], |config| config.retry.retries = 0);
    assert_eq!(rig.client.send(calls()[0].clone()).await.unwrap_err().kind(), ErrorKind::Timeout);
    let rig = Rig::with([Step::Hang(29)], |config| config.retry.retries = 0);
    tokio::select! {
        biased;
        outcome = rig.client.send(calls()[0].clone()) => panic!("gave up before its time: {outcome:?}"),
        () = async { for _ in 0..10 { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(rig.script.sent(), 1);
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_the_limit() {
    let rig = Rig::with([Step::Answer(200, vec![], Body::Endless)], |config| config.body_limit = 10 * CHUNK);
    let error = rig.client.send(calls()[0].clone()).await.unwrap_err();
    assert_eq!(error.message(), "vultr gave an answer of more than 10240 bytes to things.get.");
    assert_eq!(rig.script.chunks(), 11);
    // Exactly as much as is allowed is allowed.
    let rig = Rig::with([answer(200, &"1".repeat(CHUNK))], |config| config.body_limit = CHUNK);
    assert_eq!(rig.client.send(calls()[0].clone()).await.unwrap().body.len(), CHUNK);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for (status, effect) in
        [(301, Effect::None), (302, Effect::Unknown), (303, Effect::Unknown), (307, Effect::None), (308, Effect::None)]
    {
        let to = "https://user:pass@elsewhere.example.com/x?token=t".to_owned();
        let rig = Rig::new([Step::Answer(status, vec![("location", to)], Body::Whole(String::new()))]);
        let error = rig.client.send(calls()[2].clone()).await.unwrap_err();
        assert_eq!(rig.script.sent(), 1);
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Protocol, effect), "{status}");
        assert_eq!(error.http_status(), Some(status));
        assert!(error.message().contains("to https://elsewhere.example.com/x;"), "{error}");
    }
}

#[tokio::test]
async fn a_key_is_not_sent_in_clear_across_a_network() {
    let plain = "http://api.example.com/v2".parse::<url::Url>().unwrap();
    // As a base of one call.
    let rig = Rig::new([answer(200, "{}")]);
    let error = rig.client.send(calls()[0].clone().base(plain.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.effect(), error.attempts()), (ErrorKind::Config, Effect::None, 0));
    assert_eq!(rig.script.sent(), 0);
    // And as that of a client.
    let auth = std::sync::Arc::new(capsule_core::http::HeaderKey::bearer(&"key".to_owned().into()).unwrap());
    let config = ClientConfig::new(capsule_core::ProviderId::new("vultr"), plain, auth);
    let error = Client::new(config, rig.script.clone(), rig.clock.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.provider().unwrap().as_str(), "vultr");
}

#[tokio::test]
async fn a_vendors_word_beats_the_status() {
    // 500 "currently locked" (Vultr) is a conflict that did nothing; with that said, even a create may be sent again.
    let rig = Rig::with([answer(500, ""), answer(201, "{}")], |config| {
        config.diagnose = |_| Diagnosis {
            kind: Some(ErrorKind::Conflict),
            effect: Some(Effect::None),
            message: Some("Currently\nlocked.".to_owned()),
            code: Some("locked".to_owned()),
            request_id: Some("from-the-body".to_owned()),
            ..Diagnosis::default()
        };
    });
    assert_eq!(rig.client.send(calls()[2].clone()).await.unwrap().status, 201);
    let rig = Rig::with([answer(404, "")], |config| {
        config.diagnose = |_| Diagnosis {
            kind: Some(ErrorKind::Quota),
            message: Some("Currently\nlocked.".to_owned()),
            code: Some("locked".to_owned()),
            request_id: Some("from-the-body".to_owned()),
            ..Diagnosis::default()
        };
    });
    let error = rig.client.send(calls()[2].clone()).await.unwrap_err();
    assert_eq!(error.message(), "vultr refused things.create: Currently locked.");
    assert_eq!((error.kind(), error.native_code()), (ErrorKind::Quota, Some("locked")));
    assert_eq!(error.request_id(), Some("from-the-body"));
}
