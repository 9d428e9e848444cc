//! Several limiters on one ledger, as processes under one key have them: together they stay inside its limits.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use capsule_core::http::{Bucket, Hint, Lane, Ledgers, Limiter, Rate};
use capsule_core::{Clock, ErrorKind, ManualClock};
use http::StatusCode;
use jiff::SignedDuration;
use tokio::task::JoinSet;

use crate::limiter::{PausedClock, account, assert_within, demand_on, left, wait_of, window};

/// A folder for ledgers, and limiters on the one ledger in it.
struct Shared {
    folder: tempfile::TempDir,
    clock: Arc<PausedClock>,
    buckets: Vec<Bucket>,
}

impl Shared {
    fn new(buckets: Vec<Bucket>) -> Self {
        Shared { folder: tempfile::tempdir().unwrap(), clock: PausedClock::new(), buckets }
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("limits")
    }

    /// What one more process would have.
    fn limiter(&self) -> Arc<Limiter> {
        let ledger = Ledgers::within(self.folder()).of(&["testcloud"], Some(&"s3cret".to_owned().into()));
        Arc::new(Limiter::new(&self.buckets, 16, ledger, self.clock.clone()))
    }

    fn file(&self) -> PathBuf {
        let files: Vec<_> = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

async fn send(limiter: &Limiter, times: usize) {
    for _ in 0..times {
        drop(limiter.acquire(None, Lane::Normal).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn together_they_never_exceed_a_window_and_hardly_waste_it() {
    for (requests, seconds) in [(250, 60), (30, 1), (5, 10)] {
        let shared = Shared::new(window(requests, seconds));
        let limiters = [shared.limiter(), shared.limiter(), shared.limiter()];
        let lasting = Duration::from_secs(seconds * 10);
        let sent = demand_on(&limiters, &shared.clock, 12, Lane::Normal, lasting).await;
        assert_within(&sent, requests, Duration::from_secs(seconds));
        let allowed = requests as usize * 10;
        assert!(sent.len() * 10 >= allowed * 9, "{} of {allowed} were used", sent.len());
    }
}

#[tokio::test(start_paused = true)]
async fn together_they_never_overdraw_a_store_of_tokens() {
    let shared = Shared::new(account(Rate::Tokens { capacity: 50, refill_milli: 10_000 }));
    let limiters = [shared.limiter(), shared.limiter()];
    let sent = demand_on(&limiters, &shared.clock, 12, Lane::Normal, Duration::from_secs(100)).await;
    for (n, at) in sent.iter().enumerate() {
        assert!((n as u128) < 50 + at.as_millis() / 100, "{n} were sent before {at:?}");
    }
    assert!(sent.len() >= 1000, "{} were sent", sent.len());
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_later_knows_what_was_sent_before() {
    let keys = Rate::Window { requests: 2, per: Duration::from_secs(60) };
    let shared = Shared::new([window(9, 60), vec![Bucket { name: Some("keys"), rate: keys }]].concat());
    let (first, clock) = (shared.limiter(), &*shared.clock);
    for _ in 0..2 {
        drop(first.acquire(Some("keys"), Lane::Normal).await.unwrap());
    }
    send(&first, 5).await;
    drop(first);
    assert_eq!(wait_of(&shared.limiter(), clock, None, Lane::Normal).await, 0);
    assert_eq!(wait_of(&shared.limiter(), clock, Some("keys"), Lane::Normal).await, 60, "of keys none was left");
    let second = shared.limiter();
    send(&second, 8).await;
    assert_eq!(wait_of(&shared.limiter(), clock, None, Lane::Delete).await, 60, "nor of all");
}

#[tokio::test(start_paused = true)]
async fn a_wait_asked_of_one_silences_all() {
    let shared = Shared::new(Vec::new());
    let (one, other, clock) = (shared.limiter(), shared.limiter(), &shared.clock);
    send(&other, 1).await;
    let refused = Hint { retry_after: Some(Duration::from_secs(20)), ..Hint::default() };
    one.observe(None, StatusCode::TOO_MANY_REQUESTS, &refused, clock.now());
    assert_eq!(wait_of(&other, clock, None, Lane::Delete).await, 20);
    one.observe(Some("keys"), StatusCode::TOO_MANY_REQUESTS, &refused, clock.now());
    assert_eq!(wait_of(&other, clock, None, Lane::Delete).await, 0, "it was about the keys");
    assert_eq!(wait_of(&shared.limiter(), clock, Some("keys"), Lane::Normal).await, 20);
}

#[tokio::test(start_paused = true)]
async fn what_the_vendor_has_left_is_known_to_all() {
    let shared = Shared::new(window(1000, 60));
    let (one, other, clock) = (shared.limiter(), shared.limiter(), &*shared.clock);
    send(&one, 10).await;
    let before = fs::read_to_string(shared.file()).unwrap();
    one.observe(None, StatusCode::OK, &left(990, 50, clock), clock.now());
    assert_eq!(fs::read_to_string(shared.file()).unwrap(), before, "what the books say is not written again");
    // Somebody elsewhere uses the same key.
    one.observe(None, StatusCode::OK, &left(3, 50, clock), clock.now());
    send(&other, 2).await;
    assert_eq!(wait_of(&one, clock, None, Lane::Normal).await, 50, "one of three is a delete's");
}

#[tokio::test(start_paused = true)]
async fn the_reserve_for_deletes_is_one_for_all() {
    let shared = Shared::new(window(100, 60));
    let (poller, deleter, clock) = (shared.limiter(), shared.limiter(), &*shared.clock);
    let mut polls = JoinSet::new();
    for _ in 0..150 {
        let poller = poller.clone();
        polls.spawn(async move { poller.acquire(None, Lane::Normal).await.map(drop) });
    }
    clock.sleep(Duration::from_secs(1)).await;
    for n in 0..5 {
        assert_eq!(wait_of(&deleter, clock, None, Lane::Delete).await, 0, "delete {n} waited for the polls");
    }
    assert_eq!(wait_of(&deleter, clock, None, Lane::Delete).await, 59, "no reserve is endless");
    polls.abort_all();
}

#[tokio::test(start_paused = true)]
async fn a_line_that_a_dead_process_did_not_finish_does_no_harm() {
    for torn in ["s", "sent * 1 17672", "silent * 1 999", "left * 0", "\0\0\0\0\0\0", "level * -5 \u{fffd}"] {
        let shared = Shared::new(window(9, 60));
        send(&shared.limiter(), 4).await;
        OpenOptions::new().append(true).open(shared.file()).unwrap().write_all(torn.as_bytes()).unwrap();
        send(&shared.limiter(), 5).await;
        assert_eq!(shared.clock.passed().as_secs(), 0, "`{torn}` kept somebody waiting");
        let wait = wait_of(&shared.limiter(), &shared.clock, None, Lane::Delete).await;
        assert_eq!(wait, 60, "`{torn}` hid what was sent");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_log_is_shortened_and_nothing_that_matters_is_lost() {
    let keys = Rate::Tokens { capacity: 40, refill_milli: 1000 };
    let shared = Shared::new([window(200, 60), vec![Bucket { name: Some("keys"), rate: keys }]].concat());
    let limiters = [shared.limiter(), shared.limiter()];
    let (mut longest, clock) = (0, &shared.clock);
    let refused = Hint { retry_after: Some(Duration::from_secs(1)), ..Hint::default() };
    for _ in 0..20_000 {
        for limiter in &limiters {
            limiter.observe(Some("images"), StatusCode::TOO_MANY_REQUESTS, &refused, clock.now());
        }
        longest = longest.max(fs::metadata(shared.file()).unwrap().len());
    }
    let sent = demand_on(&limiters, clock, 12, Lane::Normal, Duration::from_secs(600)).await;
    assert_within(&sent, 200, Duration::from_secs(60));
    clock.sleep(Duration::from_secs(61)).await;
    for _ in 0..20 {
        drop(limiters[0].acquire(Some("keys"), Lane::Normal).await.unwrap());
    }
    for _ in 0..4000 {
        limiters[1].observe(Some("images"), StatusCode::TOO_MANY_REQUESTS, &refused, clock.now());
    }
    longest = longest.max(fs::metadata(shared.file()).unwrap().len());
    assert!((100 << 10..140 << 10).contains(&longest), "the log had {longest} bytes");
    let log = fs::read_to_string(shared.file()).unwrap();
    assert!(log.contains("level keys "), "the end of the test came before the log was shortened");
    let mut at_once = 0;
    let late = shared.limiter();
    let before = clock.passed();
    while clock.passed() == before {
        drop(late.acquire(Some("keys"), Lane::Normal).await.unwrap());
        at_once += 1;
    }
    assert!((10..=20).contains(&at_once), "{at_once} of what was left of 40 tokens went at once");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_keeps_the_log_to_itself_stops_the_others_for_seconds_only() {
    let shared = Shared::new(window(9, 60));
    let limiter = shared.limiter();
    send(&limiter, 2).await;
    let held = fs::File::open(shared.file()).unwrap();
    held.lock().unwrap();
    limiter.observe(None, StatusCode::OK, &left(5, 30, &*shared.clock), shared.clock.now());
    assert_eq!(wait_of(&limiter, &shared.clock, None, Lane::Normal).await, 3);
    send(&limiter, 3).await;
    assert_eq!(shared.clock.passed().as_secs(), 3, "from then on it counts for itself");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_kept_costs_only_the_sharing() {
    let shared = Shared::new(window(9, 60));
    fs::write(shared.folder(), "a file where the folder should be").unwrap();
    let limiter = shared.limiter();
    send(&limiter, 8).await;
    assert_eq!(wait_of(&limiter, &shared.clock, None, Lane::Delete).await, 0);
    assert_eq!(wait_of(&limiter, &shared.clock, None, Lane::Delete).await, 60, "its own limits hold");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_thrown_away_is_begun_anew() {
    let shared = Shared::new(window(9, 60));
    let (one, other) = (shared.limiter(), shared.limiter());
    send(&one, 4).await;
    send(&other, 4).await;
    fs::remove_dir_all(shared.folder()).unwrap();
    send(&one, 9).await;
    assert_eq!(shared.clock.passed().as_secs(), 0);
    assert_eq!(wait_of(&other, &shared.clock, None, Lane::Delete).await, 60, "both are on the new log");
}

#[tokio::test(start_paused = true)]
async fn each_account_has_a_log_of_its_own_that_names_no_key() {
    let shared = Shared::new(window(9, 60));
    let ledgers = Ledgers::within(shared.folder());
    let (key, other_key) = ("s3cret".to_owned().into(), "an0ther".to_owned().into());
    for (whose, key) in [
        (["testcloud", "here"], Some(&key)),
        (["testcloud", "here"], Some(&other_key)),
        (["testcloud", "there"], Some(&key)),
        (["testcloud", "here"], None),
    ] {
        let limiter = Limiter::new(&shared.buckets, 16, ledgers.of(&whose, key), shared.clock.clone());
        send(&limiter, 8).await;
    }
    assert_eq!(shared.clock.passed().as_secs(), 0, "they share nothing");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(shared.folder()), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(shared.folder()).unwrap() {
        let path = entry.unwrap().path();
        let all = format!("{} {}", path.display(), fs::read_to_string(&path).unwrap());
        assert!(!all.contains("s3cret") && !all.contains("an0ther") && !all.contains("testcloud"), "{all}");
        assert_eq!(mode(path), 0o600);
        files += 1;
    }
    assert_eq!(files, 4);
    assert!(Ledgers::default().of(&["testcloud"], Some(&key)).is_none(), "without a folder nothing is written");
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_waiting_until_it_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Rate::Tokens { capacity: 20, refill_milli: 1000 };
    for buckets in [window(20, 60), account(tokens)] {
        let at = |hour: i64| {
            let clock = Arc::new(ManualClock::new(ManualClock::default().now() + SignedDuration::from_hours(hour)));
            let ledger = Ledgers::within(folder.path().to_owned()).of(&[&format!("{buckets:?}")], None);
            (Limiter::new(&buckets, 16, ledger, clock.clone()), clock)
        };
        let (before, _) = at(2);
        send(&before, 19).await;
        let (after, clock) = at(0);
        let start = clock.now();
        send(&after, 1).await;
        let waited = clock.now().duration_since(start).as_secs();
        assert!(waited <= 60, "{waited} s for {buckets:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_because_of_others_is_told() {
    let shared = Shared::new(window(5, 600));
    send(&shared.limiter(), 5).await;
    let late = shared.limiter();
    let error = late.acquire(None, Lane::Normal).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(shared.clock.passed().as_secs(), 0);
}
