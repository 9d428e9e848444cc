//! The limiter under demand: never too much, hardly too little, and deletes always through.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::{Bucket, Hint, Lane, Limiter, Rate};
use capsule_core::{Clock, ErrorKind, ManualClock, Retry};
use futures_util::FutureExt;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

/// The runtime's paused time: it passes only when every task waits, so many tasks share one truth.
#[derive(Debug)]
pub(crate) struct PausedClock {
    start: Timestamp,
    origin: tokio::time::Instant,
}

impl PausedClock {
    #[allow(clippy::disallowed_methods, reason = "the runtime's time, which is paused")]
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(PausedClock { start: ManualClock::default().now(), origin: tokio::time::Instant::now() })
    }

    pub(crate) fn passed(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[async_trait]
#[allow(clippy::disallowed_methods, reason = "the runtime's time, which is paused")]
impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        self.start + self.passed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn until(&self, at: Timestamp) {
        tokio::time::sleep(Duration::try_from(at.duration_since(self.now())).unwrap_or_default()).await;
    }
}

pub(crate) fn account(rate: Rate) -> Vec<Bucket> {
    vec![Bucket { name: None, rate }]
}

pub(crate) fn window(requests: u32, seconds: u64) -> Vec<Bucket> {
    account(Rate::Window { requests, per: Duration::from_secs(seconds) })
}

const OK: StatusCode = StatusCode::OK;

/// When requests went out while `tasks` tasks always had one more to send.
async fn demand(buckets: &[Bucket], tasks: usize, lane: Lane, lasting: Duration) -> Vec<Duration> {
    let clock = PausedClock::new();
    let limiter = Arc::new(Limiter::new(buckets, 16, None, clock.clone()));
    demand_on(&[limiter], &clock, tasks, lane, lasting).await
}

/// The same with tasks that are spread over limiters, for that long from now.
pub(crate) async fn demand_on(
    limiters: &[Arc<Limiter>],
    clock: &Arc<PausedClock>,
    tasks: usize,
    lane: Lane,
    lasting: Duration,
) -> Vec<Duration> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut all = JoinSet::new();
    let end = clock.passed() + lasting;
    for n in 0..tasks {
        let (limiter, clock, sent) = (limiters[n % limiters.len()].clone(), clock.clone(), sent.clone());
        let late = lasting * u32::try_from(n).unwrap() / (2 * u32::try_from(tasks).unwrap());
        all.spawn(async move {
            // They join one after another, so that some come while the others wait.
            clock.sleep(late).await;
            while clock.passed() < end {
                // Who is told to come back later does so; under such demand some are.
                let Ok(_permit) = limiter.acquire(None, lane).await else { continue };
                sent.lock().unwrap().push(clock.passed());
                clock.sleep(Duration::from_millis(30)).await;
            }
        });
    }
    while let Some(task) = all.join_next().await {
        task.unwrap();
    }
    let mut sent = sent.lock().unwrap().clone();
    sent.retain(|at| *at < end);
    sent
}

pub(crate) fn assert_within(sent: &[Duration], requests: u32, per: Duration) {
    for both in sent.windows(requests as usize + 1) {
        let stretch = *both.last().unwrap() - both[0];
        assert!(stretch >= per, "{} went out within {stretch:?}, {requests} may within {per:?}", both.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_is_never_exceeded_and_hardly_wasted() {
    for (requests, seconds, lane) in [
        (250, 60, Lane::Normal),
        (30, 1, Lane::Normal),
        (10, 60, Lane::Normal),
        (5, 10, Lane::Delete),
        (1, 2, Lane::Normal),
    ] {
        let per = Duration::from_secs(seconds);
        let windows = 10;
        let sent = demand(&window(requests, seconds), 12, lane, per * windows).await;
        assert_within(&sent, requests, per);
        let allowed = (requests * windows) as usize;
        assert!(sent.len() * 10 >= allowed * 9, "{} of {allowed} were used", sent.len());
    }
}

/// Whether a full store has a token for each that arrives.
fn assert_tokens(arrived: &[Duration], capacity: u32, refill_milli: u32) {
    // In millionths of a token.
    let (mut level, mut last) = (u128::from(capacity) * 1_000_000, Duration::ZERO);
    for at in arrived {
        let earned = (*at - last).as_millis() * u128::from(refill_milli);
        level = (level + earned).min(u128::from(capacity) * 1_000_000);
        assert!(level >= 1_000_000, "one arrived at {at:?}, with {level} millionths of a token there");
        (level, last) = (level - 1_000_000, *at);
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_never_overdrawn_and_hardly_wasted() {
    const SECONDS: u64 = 200;
    for (capacity, refill_milli, tasks) in [(50, 10_000, 12), (100, 20_000, 40), (1, 300, 3), (20, 333, 12)] {
        let rate = Rate::Tokens { capacity, refill_milli };
        let lasting = Duration::from_secs(SECONDS);
        let sent = demand(&account(rate), tasks, Lane::Normal, lasting).await;
        assert_tokens(&sent, capacity, refill_milli);
        // The first ones are long on their way: they have to connect. So the vendor's store begins to be refilled later.
        if capacity > 1 {
            let arrived: Vec<_> = sent.iter().map(|at| (*at).max(Duration::from_millis(50))).collect();
            assert_tokens(&arrived, capacity, refill_milli);
        }
        let allowed = (SECONDS * u64::from(refill_milli) / 1000) as usize;
        assert!(sent.len() * 10 >= allowed * 9, "{} of {allowed} were used", sent.len());
    }
}

#[tokio::test(start_paused = true)]
async fn looking_often_loses_no_tokens() {
    // A third of a token each second, looked at every 7 ms: rounding down each time would lose a seventh and more.
    let clock = PausedClock::new();
    let limiter = Limiter::new(&account(Rate::Tokens { capacity: 1, refill_milli: 333 }), 1, None, clock.clone());
    let mut sent = 0;
    for _ in 0..(60_000 / 7) {
        clock.sleep(Duration::from_millis(7)).await;
        sent += u32::from(limiter.acquire(None, Lane::Normal).now_or_never().is_some());
    }
    assert!((19..=21).contains(&sent), "{sent} of 20 were sent");
}

#[tokio::test(start_paused = true)]
async fn a_delete_goes_through_while_polling_is_starved() {
    let clock = PausedClock::new();
    let limiter = Arc::new(Limiter::new(&window(100, 60), 4, None, clock.clone()));
    let mut polls = JoinSet::new();
    for _ in 0..150 {
        let limiter = limiter.clone();
        polls.spawn(async move { limiter.acquire(None, Lane::Normal).await.map(drop) });
    }
    clock.sleep(Duration::from_secs(1)).await;
    // 95 polls are through and the others wait for the window; five requests are kept for deletes.
    for _ in 0..5 {
        drop(limiter.acquire(None, Lane::Delete).await.unwrap());
    }
    assert_eq!(clock.passed().as_secs(), 1, "a delete waited for the polls");
    drop(limiter.acquire(None, Lane::Delete).await.unwrap());
    assert_eq!(clock.passed().as_secs(), 60, "no reserve is endless");
    polls.abort_all();
}

#[tokio::test(start_paused = true)]
async fn a_delete_finds_a_slot_while_polls_hang() {
    let clock = PausedClock::new();
    let limiter = Arc::new(Limiter::new(&[], 4, None, clock.clone()));
    let mut polls = JoinSet::new();
    for _ in 0..10 {
        let (limiter, clock) = (limiter.clone(), clock.clone());
        polls.spawn(async move {
            let _permit = limiter.acquire(None, Lane::Normal).await.unwrap();
            clock.sleep(Duration::from_secs(30)).await;
        });
    }
    clock.sleep(Duration::from_secs(1)).await;
    let _permit = limiter.acquire(None, Lane::Delete).await.unwrap();
    assert_eq!(clock.passed().as_secs(), 1);
    polls.abort_all();
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_allowed_number_are_under_way() {
    let clock = PausedClock::new();
    let limiter = Arc::new(Limiter::new(&[], 4, None, clock.clone()));
    let under_way = Arc::new(Mutex::new((0usize, 0usize)));
    let mut all = JoinSet::new();
    for n in 0..40 {
        let (limiter, clock, under_way) = (limiter.clone(), clock.clone(), under_way.clone());
        all.spawn(async move {
            let lane = if n % 2 == 0 { Lane::Delete } else { Lane::Normal };
            let _permit = limiter.acquire(None, lane).await.unwrap();
            {
                let mut state = under_way.lock().unwrap();
                state.0 += 1;
                state.1 = state.1.max(state.0);
            }
            clock.sleep(Duration::from_secs(1)).await;
            under_way.lock().unwrap().0 -= 1;
        });
    }
    while let Some(task) = all.join_next().await {
        task.unwrap();
    }
    assert_eq!(under_way.lock().unwrap().1, 4);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_retry_after_is_over() {
    let clock = PausedClock::new();
    let limiter = Arc::new(Limiter::new(&[], 16, None, clock.clone()));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let mut all = JoinSet::new();
    for n in 0..60u64 {
        let (limiter, clock, sent) = (limiter.clone(), clock.clone(), sent.clone());
        all.spawn(async move {
            clock.sleep(Duration::from_millis(n * 100)).await;
            let lane = if n % 5 == 0 { Lane::Delete } else { Lane::Normal };
            let _permit = limiter.acquire(None, lane).await.unwrap();
            sent.lock().unwrap().push(clock.passed());
        });
    }
    clock.sleep(Duration::from_millis(1050)).await;
    let refused = |seconds| Hint { retry_after: Some(Duration::from_secs(seconds)), ..Hint::default() };
    limiter.observe(None, StatusCode::TOO_MANY_REQUESTS, &refused(20), clock.now());
    // A shorter word, and an answer that overtook the refusal, do not end it.
    limiter.observe(None, StatusCode::SERVICE_UNAVAILABLE, &refused(2), clock.now());
    limiter.observe(None, OK, &Hint::default(), clock.now());
    while let Some(task) = all.join_next().await {
        task.unwrap();
    }
    let sent = sent.lock().unwrap();
    assert_eq!(sent.iter().filter(|at| at.as_millis() <= 1050).count(), 11, "sent before the refusal");
    let early: Vec<_> = sent.iter().filter(|at| (1051..21_050).contains(&at.as_millis())).collect();
    assert!(early.is_empty(), "sent while silence was asked for: {early:?}");
    assert_eq!(sent.len(), 60, "and all are sent in the end");
}

/// Whom the vendor tells nothing but when to come back: eight always want to send one more.
#[tokio::test(start_paused = true)]
async fn a_limit_that_nobody_tells_is_learned_from_two_refusals() {
    // A full store of ten, five more each second; in millionths.
    const TOKEN: u128 = 1_000_000;
    let clock = PausedClock::new();
    let limiter = Arc::new(Limiter::new(&[], 16, None, clock.clone()));
    let store = Arc::new(Mutex::new((10 * TOKEN, Duration::ZERO)));
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let answered = Arc::new(Mutex::new(0u32));
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let (limiter, clock, store) = (limiter.clone(), clock.clone(), store.clone());
        let (refusals, answered) = (refusals.clone(), answered.clone());
        all.spawn(async move {
            while clock.passed() < Duration::from_secs(60) {
                let _permit = limiter.acquire(None, Lane::Normal).await.unwrap();
                let granted = {
                    let (mut store, now) = (store.lock().unwrap(), clock.passed());
                    let level = (store.0 + (now - store.1).as_millis() * 5000).min(10 * TOKEN);
                    *store = (level.checked_sub(TOKEN).unwrap_or(level), now);
                    level >= TOKEN
                };
                clock.sleep(Duration::from_millis(5)).await;
                if granted {
                    *answered.lock().unwrap() += 1;
                    limiter.observe(None, OK, &Hint::default(), clock.now());
                } else {
                    refusals.lock().unwrap().push(clock.passed());
                    let hint = Hint { retry_after: Some(Duration::from_secs(1)), ..Hint::default() };
                    limiter.observe(None, StatusCode::TOO_MANY_REQUESTS, &hint, clock.now());
                }
            }
        });
    }
    while let Some(task) = all.join_next().await {
        task.unwrap();
    }
    let (refusals, answered) = (refusals.lock().unwrap(), *answered.lock().unwrap());
    assert!(refusals.len() <= 2 * 8, "what was under way, twice: {refusals:?}");
    assert!(refusals.last().is_some_and(|last| last.as_secs() < 3), "and then no more: {refusals:?}");
    assert!(answered * 10 >= 300 * 9, "{answered} of some 300 were answered");
}

pub(crate) fn left(remaining: u32, reset_in: i64, clock: &dyn Clock) -> Hint {
    let reset = clock.now() + SignedDuration::from_secs(reset_in);
    Hint { remaining: Some(remaining), reset: Some(reset), retry_after: None }
}

/// How long the next request waits.
pub(crate) async fn wait_of(limiter: &Limiter, clock: &PausedClock, bucket: Option<&'static str>, lane: Lane) -> u64 {
    let before = clock.passed();
    drop(limiter.acquire(bucket, lane).await.unwrap());
    (clock.passed() - before).as_secs()
}

#[tokio::test(start_paused = true)]
async fn what_the_headers_say_is_left_is_kept_to_until_the_reset() {
    let clock = PausedClock::new();
    let limiter = Limiter::new(&window(1000, 60), 16, None, clock.clone());
    limiter.observe(None, OK, &left(4, 50, &*clock), clock.now());
    let mut waits = Vec::new();
    for _ in 0..5 {
        waits.push(wait_of(&limiter, &clock, None, Lane::Normal).await);
    }
    // Of four, the last is a delete's.
    assert_eq!(waits, [0, 0, 0, 50, 0]);
    limiter.observe(None, OK, &left(1, 50, &*clock), clock.now());
    assert_eq!(wait_of(&limiter, &clock, None, Lane::Delete).await, 0);
    assert_eq!(wait_of(&limiter, &clock, None, Lane::Delete).await, 50, "nothing at all is left");
}

#[tokio::test(start_paused = true)]
async fn answers_that_overtake_each_other_do_not_give_back_what_is_spent() {
    let clock = PausedClock::new();
    let limiter = Limiter::new(&[], 16, None, clock.clone());
    for remaining in [3, 0, 2, 1] {
        limiter.observe(None, OK, &left(remaining, 40, &*clock), clock.now());
    }
    // Seconds are rounded, so the same reset can look later.
    limiter.observe(None, OK, &left(5, 41, &*clock), clock.now());
    assert_eq!(wait_of(&limiter, &clock, None, Lane::Normal).await, 40);
    // The next period's word holds, and a late one of the last period does not.
    limiter.observe(None, OK, &left(2, 40, &*clock), clock.now());
    limiter.observe(None, OK, &left(0, -1, &*clock), clock.now());
    assert_eq!(wait_of(&limiter, &clock, None, Lane::Normal).await, 0);
    assert_eq!(wait_of(&limiter, &clock, None, Lane::Normal).await, 40);
}

#[tokio::test(start_paused = true)]
async fn a_hint_binds_the_limit_it_is_about() {
    let clock = PausedClock::new();
    let keys = Rate::Window { requests: 10, per: Duration::from_secs(60) };
    let limiter = Limiter::new(&[Bucket { name: Some("keys"), rate: keys }], 16, None, clock.clone());
    let (named, refused) = (Some("keys"), StatusCode::TOO_MANY_REQUESTS);
    limiter.observe(named, OK, &left(0, 30, &*clock), clock.now());
    assert_eq!(wait_of(&limiter, &clock, None, Lane::Normal).await, 0);
    assert_eq!(wait_of(&limiter, &clock, Some("images"), Lane::Normal).await, 0);
    assert_eq!(wait_of(&limiter, &clock, named, Lane::Normal).await, 30);
    // A limit that only the headers know of holds as well.
    limiter.observe(Some("images"), refused, &left(0, 30, &*clock), clock.now());
    assert_eq!(wait_of(&limiter, &clock, named, Lane::Normal).await, 0);
    assert_eq!(wait_of(&limiter, &clock, Some("images"), Lane::Normal).await, 30);
    // The account's binds every call.
    limiter.observe(None, refused, &left(0, 30, &*clock), clock.now());
    assert_eq!(wait_of(&limiter, &clock, named, Lane::Normal).await, 30);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_two_minutes_without_a_word() {
    let clock = PausedClock::new();
    let limiter = Limiter::new(&window(1, 125), 16, None, clock.clone());
    drop(limiter.acquire(None, Lane::Normal).await.unwrap());
    let error = limiter.acquire(None, Lane::Normal).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::After(Duration::from_millis(125_250))));
    assert_eq!(clock.passed().as_secs(), 0, "it says so at once");
}

#[test]
fn a_limit_is_read_as_people_write_it() {
    let window = |requests, seconds| Some(Rate::Window { requests, per: Duration::from_secs(seconds) });
    for (text, expected) in [
        ("250/min", window(250, 60)),
        ("5000/h", window(5000, 3600)),
        ("20/3s", window(20, 3)),
        ("20/s", window(20, 1)),
        ("50/s burst 20", Some(Rate::Tokens { capacity: 20, refill_milli: 50_000 })),
        ("1/3s burst 2", Some(Rate::Tokens { capacity: 2, refill_milli: 333 })),
        ("", None),
        ("20", None),
        ("20/", None),
        ("20/3", None),
        ("0/s", None),
        ("20/0s", None),
        ("-1/s", None),
        ("20/day", None),
        ("20/s burst 0", None),
        ("20/s burst", None),
        ("1/9999999999s", None),
        ("20/9999999h", None),
    ] {
        let read = text.parse::<Rate>();
        assert_eq!(format!("{:?}", read.as_ref().ok()), format!("{:?}", expected.as_ref()), "{text}");
        if let Err(error) = read {
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.hint().is_some());
        }
    }
}
