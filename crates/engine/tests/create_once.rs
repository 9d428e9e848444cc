//! Never twice, never lost: deploy, destroy and power against a cloud that misbehaves and an engine that dies.

mod budgets;
mod cloud;
mod fleet;

use std::sync::Arc;
use std::time::Duration;

use capsule_core::{Clock, Effect, Error, ErrorKind, InstanceStatus, ManualClock, Power, Retry, Tags};
use capsule_engine::{
    Adopt, AfterEvent, DeployRequest, Finish, Kind, OnFailure, OperationFilter, OperationId, Outcome, Prospect, Record,
    Silent, Stage, Wait,
};

use cloud::{Bench, CLOUD, Fault, OTHER_CLOUD, bad_gateway, request};

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome.finish, Finish::Done)
}

fn failure(outcome: &Outcome) -> &Error {
    match &outcome.finish {
        Finish::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

/// One living server at the cloud for each name, and the inventory says the same.
async fn assert_exactly(bench: &Bench, names: &[&str]) {
    let mut living: Vec<_> = bench.cloud.living().into_iter().map(|server| (server.name, server.id)).collect();
    living.sort();
    let found: Vec<&str> = living.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, names);
    let records = bench.open().await.inventory().await.unwrap();
    let recorded: Vec<_> = records.into_iter().map(|record| (record.name, record.id)).collect();
    assert_eq!(recorded, living);
}

#[tokio::test]
async fn a_deploy_ends_with_one_server_and_one_record() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let outcomes = engine.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]), "{outcomes:?}");
    let record = engine.find("we").await.unwrap();
    assert_eq!(record.status, InstanceStatus::Running);
    assert_eq!(record.addresses.primary().unwrap().to_string(), "192.0.2.1");
    assert_eq!(record.tags.get("env"), Some("test"));
    assert!(record.token.is_some() && outcomes[0].instance.is_some());
    assert_exactly(&bench, &["web"]).await;
    let operation = engine.operation(&outcomes[0].operation).await.unwrap();
    let events: Vec<&str> = operation.events.iter().map(|entry| entry.event.name()).collect();
    assert_eq!(events, ["intended", "create_sent", "created", "ready", "finished"]);
    assert_eq!((operation.kind, operation.stage), (Kind::Deploy, Stage::Done));
}

#[tokio::test]
async fn a_crash_after_any_event_leaves_one_server_and_one_record() {
    for fault in [None, Some(Fault::LoseReply), Some(Fault::BadGateway), Some(Fault::Double), Some(Fault::MakeOne)] {
        for k in 1.. {
            let bench = Bench::new();
            bench.cloud.script(fault.clone());
            let die: AfterEvent = Arc::new(move |n| assert!(n != k, "crash after event {k}"));
            let engine = bench.try_open(Some(die)).await.unwrap();
            let first = tokio::spawn(async move { engine.deploy(request(&["db", "web"]), &Silent).await }).await;
            let crashed = first.is_err();
            let engine = bench.open().await;
            for outcome in engine.resume(None, &Silent).await.unwrap() {
                assert!(is_done(&outcome), "{fault:?}, event {k}: {outcome:?}");
            }
            assert_exactly(&bench, &["db", "web"]).await;
            let open = engine.operations(&OperationFilter { open: true, ..Default::default() }).await.unwrap();
            assert!(open.is_empty(), "{open:?}");
            if !crashed {
                assert!(k > 5, "no crash happened at all");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_crash_after_any_event_of_a_deletion_leaves_nothing() {
    for k in 1.. {
        let bench = Bench::new();
        let id = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap()[0].id.clone().unwrap();
        let die: AfterEvent = Arc::new(move |n| assert!(n != k, "crash after event {k}"));
        let engine = bench.try_open(Some(die)).await.unwrap();
        let first = tokio::spawn(async move { engine.destroy(&id, &Silent).await.map(|outcome| is_done(&outcome)) });
        let crashed = first.await.is_err();
        bench.open().await.resume(None, &Silent).await.unwrap();
        assert_exactly(&bench, &[]).await;
        assert!(bench.open().await.history().await.unwrap()[0].gone_at.is_some());
        if !crashed {
            assert!(k > 2);
            break;
        }
    }
}

#[tokio::test]
async fn a_lost_reply_is_adopted_not_doubled() {
    let bench = Bench::new();
    bench.cloud.script([Fault::LoseReply]);
    let outcomes = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]));
    assert_eq!(bench.cloud.world.lock().unwrap().creates, 1);
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn a_502_is_not_sent_again_before_nothing_can_appear_any_more() {
    let bench = Bench::new();
    bench.cloud.script([Fault::BadGateway]);
    let engine = bench.open().await;
    let outcomes = engine.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]));
    let events = engine.operation(&outcomes[0].operation).await.unwrap().events;
    let at = |name: &str| events.iter().filter(|e| e.event.name() == name).map(|e| e.at).collect::<Vec<_>>();
    let sent = at("create_sent");
    assert_eq!((sent.len(), at("not_there").len()), (2, 1));
    assert!(sent[1].duration_since(sent[0]).as_secs() >= 150, "call deadline and list lag must have passed");
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn who_sleeps_between_its_line_and_its_call_sends_nothing() {
    let bench = Bench::new();
    let clock = Arc::clone(&bench.cloud.clock);
    let asleep: AfterEvent = Arc::new(move |n| {
        if n == 2 {
            clock.advance(Duration::from_secs(600));
        }
    });
    let engine = bench.try_open(Some(asleep)).await.unwrap();
    let outcomes = engine.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]), "{outcomes:?}");
    let events = engine.operation(&outcomes[0].operation).await.unwrap().events;
    let names: Vec<&str> = events.iter().map(|entry| entry.event.name()).take(5).collect();
    assert_eq!(names, ["intended", "create_sent", "unknown", "not_there", "create_sent"]);
    assert_eq!(bench.cloud.world.lock().unwrap().creates, 1);
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn two_with_one_token_collapse_to_the_oldest() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Double]);
    assert!(is_done(&bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap()[0]));
    assert_eq!(bench.cloud.living()[0].id.native, "srv-1");
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn a_double_that_comes_later_than_it_may_is_swept() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Late]);
    let outcomes = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]));
    assert_eq!(bench.cloud.world.lock().unwrap().servers.len(), 2);
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn a_call_that_arrives_twice_leaves_one_server() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Twice]);
    let outcomes = bench.open().await.deploy(request(&["db", "web"]), &Silent).await.unwrap();
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    assert_eq!(bench.cloud.world.lock().unwrap().servers.len(), 4);
    assert_exactly(&bench, &["db", "web"]).await;
}

#[tokio::test]
async fn a_refusal_of_the_second_does_not_hide_what_the_first_made() {
    for kind in [ErrorKind::Conflict, ErrorKind::Invalid, ErrorKind::Quota, ErrorKind::NoCapacity] {
        let bench = Bench::with_lag(Duration::ZERO);
        bench.cloud.script([Fault::TwiceRefused(Error::new(kind, "One is enough."))]);
        let outcome = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap().remove(0);
        let expected: &[&str] = if is_done(&outcome) { &["web"] } else { &[] };
        assert_exactly(&bench, expected).await;
    }
}

#[tokio::test]
async fn a_last_look_that_the_key_forbids_is_not_taken_after_a_wrong_key() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Refuse(Error::new(ErrorKind::Unauthenticated, "Who are you?"))]);
    let outcomes = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap();
    assert_eq!(failure(&outcomes[0]).kind(), ErrorKind::Unauthenticated);
    assert_eq!(bench.cloud.world.lock().unwrap().lists, 0);
}

#[tokio::test]
async fn half_a_batch_is_completed() {
    let bench = Bench::new();
    bench.cloud.script([Fault::MakeOne]);
    let outcomes = bench.open().await.deploy(request(&["db", "web"]), &Silent).await.unwrap();
    assert!(outcomes.iter().all(is_done), "{outcomes:?}");
    assert_exactly(&bench, &["db", "web"]).await;
}

#[tokio::test]
async fn no_capacity_tries_the_next_placement() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Refuse(Error::new(ErrorKind::NoCapacity, "Sold out."))]);
    let outcomes = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]));
    assert_eq!(outcomes[0].placement.as_ref().unwrap().plan, "large");
    assert_eq!(bench.cloud.living()[0].plan, "large");
}

#[tokio::test]
async fn a_refusal_that_may_pass_is_tried_again_after_a_while() {
    let bench = Bench::new();
    let limited = Error::new(ErrorKind::RateLimited, "Slow down.").with_retry(Retry::After(Duration::from_secs(77)));
    bench.cloud.script([Fault::Refuse(limited)]);
    let engine = bench.open().await;
    let outcomes = engine.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]));
    let events = engine.operation(&outcomes[0].operation).await.unwrap().events;
    let sent: Vec<_> = events.iter().filter(|e| e.event.name() == "create_sent").map(|e| e.at).collect();
    assert!(sent[1].duration_since(sent[0]).as_secs() >= 77);
    assert_eq!(outcomes[0].placement.as_ref().unwrap().plan, "small");
}

#[tokio::test]
async fn a_refusal_for_good_fails_and_frees_the_name() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Refuse(Error::new(ErrorKind::Forbidden, "The key may not create."))]);
    let engine = bench.open().await;
    let outcomes = engine.deploy(request(&["web"]), &Silent).await.unwrap();
    assert_eq!(failure(&outcomes[0]).kind(), ErrorKind::Forbidden);
    assert!(is_done(&engine.deploy(request(&["web"]), &Silent).await.unwrap()[0]));
}

#[tokio::test]
async fn some_may_fail_without_losing_the_others() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Stillborn]);
    let outcomes = bench.open().await.deploy(request(&["a", "b", "c", "d", "e"]), &Silent).await.unwrap();
    let (up, failed): (Vec<&Outcome>, Vec<&Outcome>) = outcomes.iter().partition(|outcome| is_done(outcome));
    assert!(!failed.is_empty() && failed.len() <= 2, "one batch: {failed:?}");
    assert!(failure(failed[0]).message().contains("on fire"), "the vendor's reason is told");
    assert_exactly(&bench, &up.iter().map(|outcome| outcome.name.as_str()).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn what_fails_is_kept_on_request() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Stillborn]);
    let keep = capsule_engine::DeployRequest { on_failure: OnFailure::Keep, ..request(&["web"]) };
    let outcomes = bench.open().await.deploy(keep, &Silent).await.unwrap();
    assert!(!is_done(&outcomes[0]));
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn a_failed_server_that_cannot_be_deleted_stays_on_record() {
    let bench = Bench::new();
    bench.cloud.script([Fault::Stillborn]);
    bench.cloud.world.lock().unwrap().refuse_delete = true;
    let outcomes = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap();
    assert!(failure(&outcomes[0]).message().contains("still costs money"));
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn many_are_polled_by_list() {
    let bench = Bench::new();
    let names: Vec<String> = (0..40).map(|n| format!("n{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let outcomes = bench.open().await.deploy(request(&names), &Silent).await.unwrap();
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !is_done(outcome)).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_exactly(&bench, &names).await;
    let world = bench.cloud.world.lock().unwrap();
    assert_eq!(world.creates, 20);
    // Two minutes of looks for an order that had no time left come on top where the clock runs ahead of the journal.
    assert!(world.lists <= 50, "{} lists for 40 servers", world.lists);
    // The first rounds, while only a few creates have answered. A poll for each server would be some 300.
    assert!(world.gets <= 80, "{} gets for 40 servers", world.gets);
}

#[tokio::test]
async fn a_slow_provider_slows_only_itself() {
    let bench = Bench::new();
    bench.other.script((0..40).map(|_| Fault::Await(Arc::clone(&bench.cloud))));
    let names: Vec<String> = (0..80).map(|n| format!("n{n:02}")).collect();
    let mut many = request(&names.iter().map(String::as_str).collect::<Vec<_>>());
    many.placements.iter_mut().for_each(|placement| placement.provider = OTHER_CLOUD);
    let engine = bench.open().await;
    let slow = tokio::spawn({
        let engine = engine.clone();
        async move { engine.deploy(many, &Silent).await }
    });
    let creates = || bench.other.world.lock().unwrap().creates;
    while creates() < 16 {
        tokio::task::yield_now().await;
    }
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    assert_exactly(&bench, &["web"]).await;
    let born = bench.cloud.living()[0].born;
    assert_eq!(born, ManualClock::default().now(), "its turn came only when the other provider's calls were over");
    slow.await.unwrap().unwrap();
    assert_eq!(creates(), 40);
}

#[tokio::test]
async fn a_taken_name_is_refused_with_what_has_it() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    let error = engine.deploy(request(&["new", "web"]), &Silent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("testcloud/here/srv-1"), "{error}");
    assert_exactly(&bench, &["web"]).await;
    let id = engine.find("web").await.unwrap().id;
    assert!(is_done(&engine.destroy(&id, &Silent).await.unwrap()));
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    assert_exactly(&bench, &["web"]).await;
}

#[tokio::test]
async fn a_name_in_the_making_is_taken() {
    let bench = Bench::new();
    let die: AfterEvent = Arc::new(|n| assert!(n != 1, "crash"));
    let engine = bench.try_open(Some(die)).await.unwrap();
    tokio::spawn(async move { engine.deploy(request(&["web"]), &Silent).await }).await.unwrap_err();
    let error = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap_err();
    assert!(error.hint().unwrap().contains("capsule resume"), "{error:?}");
}

#[tokio::test]
async fn one_idempotency_key_is_one_deploy() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let keyed = |names: &[&str]| capsule_engine::DeployRequest { idempotency_key: Some("k1".into()), ..request(names) };
    let first = engine.deploy(keyed(&["a", "b", "c"]), &Silent).await.unwrap();
    let second = engine.deploy(keyed(&["a", "b", "c"]), &Silent).await.unwrap();
    let ids = |outcomes: &[Outcome]| outcomes.iter().map(|o| (o.operation.clone(), o.id.clone())).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&second));
    assert!(second.iter().all(is_done));
    assert_eq!(engine.deploy(keyed(&["z"]), &Silent).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_exactly(&bench, &["a", "b", "c"]).await;
}

#[tokio::test]
async fn orders_of_one_key_at_the_same_time_are_one_deploy() {
    let bench = Bench::new();
    let (first, second) = (bench.open().await, bench.open().await);
    for round in 0..20 {
        let name = format!("web-{round}");
        let order = || capsule_engine::DeployRequest { idempotency_key: Some(name.clone()), ..request(&[&name]) };
        let (a, b) = tokio::join!(first.deploy(order(), &Silent), second.deploy(order(), &Silent));
        let ids = [a, b].map(|made| made.unwrap()[0].operation.clone());
        assert_eq!(ids[0], ids[1]);
        assert_eq!(bench.cloud.living().len(), round + 1);
    }
}

#[tokio::test]
async fn time_out_leaves_it_running_and_resumable() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let hasty = capsule_engine::DeployRequest { timeout: Some(Duration::from_secs(10)), ..request(&["web"]) };
    let outcomes = engine.deploy(hasty, &Silent).await.unwrap();
    assert!(matches!(outcomes[0].finish, Finish::StillRunning { .. }), "{outcomes:?}");
    assert!(outcomes[0].id.is_some(), "what was made is not lost");
    let resumed = engine.resume(Some(&outcomes[0].operation), &Silent).await.unwrap();
    assert!(is_done(&resumed[0]));
    assert_exactly(&bench, &["web"]).await;
}

/// Behind many others an order's turn came when nobody waited for it any more, and it was sent all the same.
#[tokio::test]
async fn what_gets_no_turn_in_the_time_given_is_not_sent() {
    let bench = Bench::new();
    bench.cloud.script((0..20).map(|_| Fault::Slow(Duration::from_secs(60))));
    let engine = bench.open().await;
    let names: Vec<String> = (0..40).map(|n| format!("n{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hasty = DeployRequest { timeout: Some(Duration::from_secs(10)), ..request(&names) };
    let outcomes = engine.deploy(hasty, &Silent).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome.finish, Finish::StillRunning { .. })), "{outcomes:?}");
    let mut sent = 0;
    for operation in engine.operations(&OperationFilter::default()).await.unwrap() {
        let events = engine.operation(&operation.id).await.unwrap().events;
        sent += usize::from(events.iter().any(|entry| entry.event.name() == "create_sent"));
    }
    assert!((1..=16).contains(&sent), "{sent} were sent, and sixteen have a turn at once");
    bench.cloud.script([]);
    assert!(engine.resume(None, &Silent).await.unwrap().iter().all(is_done));
    assert_exactly(&bench, &names).await;
}

#[tokio::test]
async fn not_waiting_ends_with_the_acceptance() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let accepted = capsule_engine::DeployRequest { wait: Wait::None, ..request(&["web"]) };
    assert!(is_done(&engine.deploy(accepted, &Silent).await.unwrap()[0]));
    assert_eq!(engine.find("web").await.unwrap().status, InstanceStatus::Provisioning);
}

#[tokio::test]
async fn power_ends_in_the_state_that_was_asked_for() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    let id = engine.find("web").await.unwrap().id;
    for (to, status) in [
        (Power::Off, InstanceStatus::Stopped),
        (Power::On, InstanceStatus::Running),
        (Power::Reboot, InstanceStatus::Running),
        (Power::ForceOff, InstanceStatus::Stopped),
    ] {
        assert!(is_done(&engine.power(&id, to, Wait::Running, &Silent).await.unwrap()), "{to}");
        assert_eq!(engine.find("web").await.unwrap().status, status, "{to}");
    }
}

#[tokio::test]
async fn a_server_that_vanished_is_recorded_gone() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    let id = engine.find("web").await.unwrap().id;
    bench.cloud.world.lock().unwrap().servers.clear();
    let outcome = engine.power(&id, Power::Off, Wait::Running, &Silent).await.unwrap();
    assert_eq!(failure(&outcome).kind(), ErrorKind::NotFound);
    assert_exactly(&bench, &[]).await;
}

#[tokio::test]
async fn foreign_servers_are_adopted_only_on_request() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let foreign = bench.cloud.bear("legacy", Tags::new(), "small", false);
    let error = engine.adopt(foreign.clone(), Adopt::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    let record = engine.adopt(foreign.clone(), Adopt { foreign: true, ..Default::default() }).await.unwrap();
    assert!(record.foreign && record.name == "legacy");
    assert_eq!(engine.adopt(foreign, Adopt::default()).await.unwrap(), record, "again is the same");
    assert_exactly(&bench, &["legacy"]).await;
    let error = engine.deploy(request(&["legacy"]), &Silent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_live_worker_is_not_disturbed_and_a_dead_one_is_replaced() {
    let bench = Bench::new();
    let die: AfterEvent = Arc::new(|n| assert!(n != 3, "crash"));
    let engine = bench.try_open(Some(die)).await.unwrap();
    tokio::spawn(async move { engine.deploy(request(&["web"]), &Silent).await }).await.unwrap_err();
    let engine = bench.open().await;
    let operation = engine.operations(&OperationFilter::default()).await.unwrap().remove(0);
    assert!(operation.worker.is_some() && operation.is_open());
    assert!(is_done(&engine.resume(Some(&operation.id), &Silent).await.unwrap()[0]));
    let missing: OperationId = "0000000000".parse().unwrap();
    assert_eq!(engine.resume(Some(&missing), &Silent).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn two_processes_that_resume_at_once_do_not_double() {
    for k in 1..=5 {
        let bench = Bench::new();
        bench.cloud.script([Fault::LoseReply]);
        let die: AfterEvent = Arc::new(move |n| assert!(n != k, "crash after event {k}"));
        let engine = bench.try_open(Some(die)).await.unwrap();
        tokio::spawn(async move { engine.deploy(request(&["web"]), &Silent).await }).await.unwrap_err();
        let (one, other) = (bench.open().await, bench.open().await);
        let (one, other) = tokio::join!(one.resume(None, &Silent), other.resume(None, &Silent));
        assert!(one.unwrap().iter().chain(&other.unwrap()).any(is_done), "event {k}");
        assert_exactly(&bench, &["web"]).await;
    }
}

#[tokio::test]
async fn lists_that_lag_to_the_limit_lose_nothing() {
    for fault in [None, Some(Fault::LoseReply), Some(Fault::Double)] {
        let bench = Bench::with_lag(Duration::from_secs(29));
        bench.cloud.script(fault.clone());
        let outcomes = bench.open().await.deploy(request(&["web"]), &Silent).await.unwrap();
        assert!(is_done(&outcomes[0]), "{fault:?}: {outcomes:?}");
        assert_exactly(&bench, &["web"]).await;
    }
}

/// The lag counts from when the server was made, not from when its order was written down.
#[tokio::test]
async fn what_waited_for_its_turn_is_not_taken_for_gone_too_early() {
    let bench = Bench::with_lag(Duration::from_secs(29));
    bench.cloud.script([Fault::Slow(Duration::from_secs(20))]);
    let engine = bench.open().await;
    let made = engine.deploy(DeployRequest { wait: Wait::None, ..request(&["web"]) }, &Silent).await.unwrap();
    bench.cloud.clock.advance(Duration::from_secs(12));
    assert!(engine.survey(&CLOUD).await.unwrap().gone.is_empty(), "it is younger than the list's lag");
    assert!(is_done(&engine.destroy(made[0].id.as_ref().unwrap(), &Silent).await.unwrap()));
    assert_exactly(&bench, &[]).await;
}

#[tokio::test]
async fn an_ambiguous_prefix_lists_the_candidates() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web-1", "web-2"]), &Silent).await.unwrap();
    let error = engine.find("web").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.hint().unwrap().contains("web-2"));
    assert_eq!(engine.find("wbe-1").await.unwrap_err().hint(), Some("Did you mean `web-1`?"));
    assert_eq!(engine.find("srv-2").await.unwrap().name, "web-2");
    assert_eq!(bad_gateway().effect(), Effect::Unknown);
}

/// Servers that are watched until the judge says that they are what they should be.
fn watched(names: &[&str]) -> DeployRequest {
    DeployRequest { wait: Wait::Ready, goal: Some(serde_json::json!({ "be": "good" })), ..request(names) }
}

fn refused() -> Error {
    Error::new(ErrorKind::Timeout, "It never became good.").with_hint("Look at its console.")
}

#[tokio::test]
async fn what_is_watched_is_ready_when_the_judge_says_so() {
    let bench = Bench::new();
    *bench.judge.script.lock().unwrap() = (vec![("installed", 100), ("good", 200)], Some(Prospect::Ready));
    let engine = bench.open().await;
    let outcomes = engine.deploy(watched(&["web"]), &Silent).await.unwrap();
    assert!(is_done(&outcomes[0]), "{outcomes:?}");
    let stages: Vec<&str> = outcomes[0].stages.iter().map(|passed| passed.stage.as_str()).collect();
    assert_eq!(stages, ["ordered", "active", "address", "installed", "good"]);
    assert!(outcomes[0].stages.is_sorted_by_key(|passed| passed.at));
    let took = outcomes[0].stages[4].at.duration_since(outcomes[0].stages[2].at);
    assert_eq!(took.as_secs(), 200);
    let operation = engine.operation(&outcomes[0].operation).await.unwrap();
    let events: Vec<&str> = operation.events.iter().map(|entry| entry.event.name()).collect();
    assert_eq!(events, ["intended", "create_sent", "created", "up", "reached", "reached", "ready", "finished"]);
    let record = engine.find("web").await.unwrap();
    assert_eq!(record.goal, Some(serde_json::json!({ "be": "good" })));
    engine.describe(&record.id, serde_json::json!({ "be": "better" })).await.unwrap();
    let again = bench.open().await.find("web").await.unwrap();
    assert_eq!(again.goal, Some(serde_json::json!({ "be": "better" })));
    assert_eq!(Record { goal: record.goal.clone(), ..again }, record, "nothing else changes");
}

#[tokio::test]
async fn watching_goes_on_after_a_crash_at_any_event() {
    for k in 1.. {
        let bench = Bench::new();
        *bench.judge.script.lock().unwrap() = (vec![("installed", 100), ("good", 200)], Some(Prospect::Ready));
        let after_event: AfterEvent = Arc::new(move |n| assert!(n != k, "the process dies here"));
        let engine = bench.try_open(Some(after_event)).await.unwrap();
        let died = tokio::spawn(async move { engine.deploy(watched(&["web"]), &Silent).await }).await.is_err();
        if !died {
            assert!(k > 8, "a deploy that is watched has eight events");
            break;
        }
        let outcomes = bench.open().await.resume(None, &Silent).await.unwrap();
        assert!(outcomes.iter().all(is_done), "after event {k}: {outcomes:?}");
        assert_exactly(&bench, &["web"]).await;
        let engine = bench.open().await;
        let operations = engine.operations(&OperationFilter::default()).await.unwrap();
        let events = engine.operation(&operations[0].id).await.unwrap().events;
        let reached = events.iter().filter(|entry| entry.event.name() == "reached").count();
        assert_eq!(reached, 2, "after event {k}: each stage is written down once");
    }
}

#[tokio::test]
async fn what_never_becomes_good_is_kept_or_deleted_as_the_judge_says() {
    for (fate, living) in [(OnFailure::Keep, &["web"][..]), (OnFailure::Delete, &[])] {
        let bench = Bench::new();
        let end = Prospect::Failed { error: refused(), fate };
        *bench.judge.script.lock().unwrap() = (vec![("installed", 100)], Some(end));
        let outcomes = bench.open().await.deploy(watched(&["web"]), &Silent).await.unwrap();
        let error = failure(&outcomes[0]);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, "It never became good."));
        let hint = error.hint().unwrap();
        let end = if fate == OnFailure::Keep { "costs money" } else { "was deleted" };
        assert!(hint.starts_with("Look at its console. ") && hint.contains(end), "{hint}");
        assert_eq!(outcomes[0].stages.last().unwrap().stage, "installed");
        assert_exactly(&bench, living).await;
    }
}

#[tokio::test]
async fn what_vanishes_while_it_is_watched_is_gone() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let timeout = Some(Duration::from_secs(120));
    let outcomes = engine.deploy(DeployRequest { timeout, ..watched(&["web"]) }, &Silent).await.unwrap();
    assert!(matches!(outcomes[0].finish, Finish::StillRunning { .. }), "{outcomes:?}");
    assert_eq!(engine.operation(&outcomes[0].operation).await.unwrap().stage, Stage::Installing);
    bench.cloud.world.lock().unwrap().servers.clear();
    let outcomes = engine.resume(None, &Silent).await.unwrap();
    assert!(failure(&outcomes[0]).message().contains("vanished"), "{outcomes:?}");
    assert_exactly(&bench, &[]).await;
}

#[tokio::test]
async fn nothing_is_ordered_that_nobody_can_judge() {
    let bench = Bench::new();
    let error =
        bench.open().await.deploy(DeployRequest { goal: None, ..watched(&["web"]) }, &Silent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_exactly(&bench, &[]).await;
}

#[tokio::test]
async fn what_a_provider_refuses_is_not_written_down() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let refused = engine.deploy(request(&["web", "small-and-large"]), &Silent).await.unwrap_err();
    assert_eq!((refused.kind(), refused.message()), (ErrorKind::Invalid, "`small-and-large` is no name for a small."));
    assert!(engine.operations(&OperationFilter::default()).await.unwrap().is_empty());
    assert_eq!(bench.cloud.world.lock().unwrap().creates, 0);
    // One that refuses is passed over while another takes it.
    let outcomes = engine.deploy(request(&["web", "small"]), &Silent).await.unwrap();
    assert_eq!(
        outcomes.iter().map(|outcome| outcome.placement.as_ref().unwrap().plan.as_str()).collect::<Vec<_>>(),
        ["large"; 2]
    );
    assert_exactly(&bench, &["small", "web"]).await;
}
