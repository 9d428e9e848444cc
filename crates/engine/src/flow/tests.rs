use capsule_core::{Addresses, RawBody, Tags};

use super::*;
use crate::event::Entry;

const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

fn fold(samples: &str) -> State {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/journal/v1");
    let read = |sample| std::fs::read_to_string(folder.join(format!("{sample}.json"))).unwrap();
    let entries: Vec<Entry> = samples.split_whitespace().map(|s| Entry::parse(&read(s)).unwrap()).collect();
    State::fold(&entries).unwrap()
}

fn timing() -> Timing {
    Timing {
        list_lag: Duration::from_secs(30),
        poll_interval: Duration::from_secs(5),
        ready_within: Duration::from_secs(600),
        ready_within_metal: Duration::from_secs(3600),
        call_deadline: CALL_DEADLINE,
        carried_out_within: CARRIED_OUT_WITHIN,
    }
}

fn instance(name: &str, native: &str, status: InstanceStatus, born: i64) -> Instance {
    Instance {
        id: InstanceId::new("testcloud", "here", native),
        name: name.into(),
        status,
        native_status: status.to_string(),
        fault: None,
        plan: "small".into(),
        image: None,
        addresses: Addresses { public_v4: vec![[192, 0, 2, 1].into()], ..Addresses::default() },
        tags: Tags::new(),
        created_at: Some(Timestamp::new(born, 0).unwrap()),
        metadata: RawBody::empty(),
    }
}

#[test]
fn a_failed_create_is_judged_by_effect_kind_and_tries() {
    let state = fold("intended_deploy create_sent");
    let again = |seconds| Some(Then::Again { not_before: later(START, Duration::from_secs(seconds)) });
    let after = Retry::After(Duration::from_secs(77));
    for (kind, retry, effect, tries, expected) in [
        (ErrorKind::Unavailable, Retry::Backoff, Effect::Unknown, 1, None),
        (ErrorKind::NoCapacity, Retry::Never, Effect::Unknown, 1, None),
        (ErrorKind::Unavailable, Retry::Backoff, Effect::None, 1, again(5)),
        (ErrorKind::Unavailable, Retry::Never, Effect::None, 3, again(20)),
        (ErrorKind::RateLimited, after, Effect::None, 2, again(77)),
        (ErrorKind::Conflict, Retry::Never, Effect::None, 1, again(5)),
        // The sample has one placement: there is no other to go to.
        (ErrorKind::RateLimited, after, Effect::None, TRIES, Some(Then::GiveUp)),
        (ErrorKind::NoCapacity, Retry::Backoff, Effect::None, 1, Some(Then::GiveUp)),
        (ErrorKind::Invalid, Retry::Never, Effect::None, 1, Some(Then::GiveUp)),
        (ErrorKind::Unauthenticated, Retry::Never, Effect::None, 1, Some(Then::GiveUp)),
    ] {
        let error = Error::new(kind, "It failed.").with_retry(retry).with_effect(effect);
        let then = match after_failure(&state, 0, tries, error, START, 1) {
            Event::Unknown { .. } => None,
            Event::Rejected { then, .. } => Some(then),
            other => panic!("{other:?}"),
        };
        assert_eq!(then, expected, "{kind} {retry:?} {effect:?} after {tries}");
    }
}

/// In a sandbox whose time runs fast a call had less time than its line took to reach a slow disk, and was never sent.
#[test]
fn no_pace_leaves_a_call_less_time_than_a_slow_disk_takes() {
    for (pace, seconds) in [(1, 120), (100, 1), (10_000, 1)] {
        assert!(call_deadline(pace) >= Duration::from_secs(seconds), "{pace}: {:?}", call_deadline(pace));
    }
}

#[test]
fn of_two_the_oldest_that_lives_is_kept() {
    use InstanceStatus::{Failed, Provisioning, Running};
    let state = fold("intended_deploy create_sent unknown");
    for (found, kept, extras) in [
        (vec![], None, 0),
        (vec![instance("web", "b", Running, 2), instance("web", "a", Running, 1)], Some("a"), 1),
        (vec![instance("web", "a", Failed, 1), instance("web", "b", Provisioning, 2)], Some("b"), 1),
        (vec![instance("WEB", "a", Running, 1)], Some("a"), 0),
        (vec![instance("web-renamed", "a", Running, 1)], Some("a"), 0),
        (vec![instance("web", "a", Running, 1), instance("web", "a", Running, 1)], Some("a"), 0),
        (vec![instance("other", "a", Running, 1), instance("web", "b", Running, 2)], Some("b"), 1),
    ] {
        let matched = match_names(&state, &found);
        assert_eq!(matched.servers.first().map(|server| server.id.native.as_str()), kept, "{found:?}");
        assert_eq!(matched.extras.len(), extras, "{found:?}");
    }
}

#[test]
fn a_double_of_a_made_server_takes_nobodys_place() {
    let state = fold("intended_deploy create_sent created");
    let matched = match_names(&state, &[instance("web", "9", InstanceStatus::Running, 1)]);
    assert!(matched.servers.is_empty());
    assert_eq!(matched.extras.len(), 1);
}

#[test]
fn a_server_on_its_way_up_is_judged_by_what_it_shows_and_when() {
    use InstanceStatus::{Deleting, Failed, Provisioning, Running, Stopped, Unknown};
    let state = fold("intended_deploy create_sent created");
    let shown = |status| Some(instance("web", "1", status, 0));
    let without_address = Some(Instance { addresses: Addresses::default(), ..instance("web", "1", Running, 0) });
    for (sight, seconds, expected) in [
        (shown(Provisioning), 5, "wait"),
        (shown(Unknown), 5, "wait"),
        (shown(Stopped), 5, "start"),
        (shown(Running), 5, "ready"),
        (without_address, 5, "wait"),
        (shown(Failed), 5, "lost"),
        (shown(Deleting), 5, "lost"),
        (None, 29, "wait"),
        (None, 30, "lost"),
        (shown(Provisioning), 599, "wait"),
        (shown(Provisioning), 600, "lost"),
        (shown(Stopped), 600, "lost"),
        (shown(Running), 600, "ready"),
    ] {
        let now = later(START, Duration::from_secs(seconds));
        let verdict = match judge_moving(&state, &state.members[0], sight.as_ref(), now, &timing()) {
            Verdict::Wait(_) => "wait",
            Verdict::Start => "start",
            Verdict::Append(event) => event.name(),
            other => panic!("{other:?}"),
        };
        assert_eq!(verdict, expected, "{:?} after {seconds} s", sight.map(|instance| instance.status));
    }
}

#[test]
fn a_server_on_its_way_out_is_gone_only_when_old_enough() {
    use InstanceStatus::{Deleting, Running};
    for (sight, asked, seconds, expected) in [
        (Some(Running), false, 5, "delete"),
        (Some(Running), true, 5, "delete"),
        (Some(Deleting), false, 5, "delete"),
        (Some(Deleting), true, 5, "wait"),
        (None, true, 29, "wait"),
        (None, true, 30, "confirm"),
        (None, false, 30, "confirm"),
    ] {
        let seen = sight.map(|status| instance("web", "1", status, 0));
        let now = later(START, Duration::from_secs(seconds));
        let verdict = match judge_deleting(START, seen.as_ref(), asked, now, &timing()) {
            Verdict::Wait(_) => "wait",
            Verdict::Delete => "delete",
            Verdict::ConfirmGone => "confirm",
            other => panic!("{other:?}"),
        };
        assert_eq!(verdict, expected, "{sight:?}, asked {asked}, after {seconds} s");
    }
}
