//! One limiter per account: the vendor's documented limits, corrected by its headers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, Retry};

/// A documented limit.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// `None` for every call of the account, or the name that [`super::Call::bucket`] gives.
    pub name: Option<&'static str>,
    /// The limit.
    pub rate: Rate,
}

/// The shape of a limit.
#[derive(Debug, Clone, Copy)]
pub enum Rate {
    /// At most so many requests in any stretch of time this long.
    Window {
        /// Requests.
        requests: u32,
        /// Stretch.
        per: Duration,
    },
    /// A store of tokens, refilled steadily.
    Tokens {
        /// When full.
        capacity: u32,
        /// Added each second, in thousandths.
        refill_milli: u32,
    },
}

/// Which requests go first when little is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Looks and creates.
    Normal,
    /// May draw on the reserve: an end must never wait for polling.
    Delete,
}

/// What a vendor's headers say about its limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    /// Requests left.
    pub remaining: Option<u32>,
    /// Until when that holds.
    pub reset: Option<Timestamp>,
    /// Nothing may be sent before this has passed.
    pub retry_after: Option<Duration>,
}

/// The longest time that a header is believed about.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads `retry-after` (seconds or HTTP date) and `ratelimit-*` or `x-ratelimit-*` (remaining, and reset as epoch
/// seconds or seconds from now). Nonsense, such as negative numbers, is no hint.
pub fn common_hints(headers: &HeaderMap, now: Timestamp) -> Hint {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |short: &str, long: &str| {
        text(short).or_else(|| text(long)).and_then(|value| value.parse::<i64>().ok()).filter(|n| *n >= 0)
    };
    let remaining = number("ratelimit-remaining", "x-ratelimit-remaining").and_then(|n| u32::try_from(n).ok());
    let reset = number("ratelimit-reset", "x-ratelimit-reset").and_then(|n| {
        // An epoch of today has ten digits; a wait never has.
        if n > 1_000_000_000 {
            Timestamp::from_second(n).ok()
        } else {
            now.checked_add(SignedDuration::from_secs(n)).ok()
        }
    });
    let furthest = now + LONGEST;
    Hint {
        remaining,
        reset: reset.map(|at| at.min(furthest)),
        retry_after: text("retry-after").and_then(|value| retry_after(value, now)),
    }
}

fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let wait = match value.parse::<i64>() {
        Ok(seconds) => Duration::from_secs(u64::try_from(seconds).ok()?),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
            Duration::try_from(at.duration_since(now)).ok()?
        }
    };
    Some(wait.min(LONGEST))
}

/// Admits requests so that the account stays inside its limits.
#[derive(Debug)]
pub struct Limiter {
    state: Mutex<State>,
    slots: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    buckets: Vec<BucketState>,
    /// Nothing is sent before: the server said so.
    silent_until: Option<Timestamp>,
    /// What the headers said last, less what was sent since.
    told: Option<(u32, Timestamp)>,
}

#[derive(Debug)]
struct BucketState {
    name: Option<&'static str>,
    level: Level,
}

#[derive(Debug)]
enum Level {
    Window { limit: usize, per: SignedDuration, sent: VecDeque<Timestamp> },
    Tokens { capacity_milli: i64, refill_milli: i64, level_milli: i64, at: Timestamp },
}

/// How much of a limit only deletes may use: a twentieth, at least one where there are several.
fn reserve(limit: u64) -> u64 {
    if limit < 4 { 0 } else { (limit / 20).max(1) }
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct Permit {
    _slot: OwnedSemaphorePermit,
}

impl Limiter {
    /// A limiter whose buckets are full.
    pub fn new(buckets: &[Bucket], concurrency: usize, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let buckets = buckets
            .iter()
            .map(|bucket| BucketState {
                name: bucket.name,
                level: match bucket.rate {
                    Rate::Window { requests, per } => Level::Window {
                        limit: requests as usize,
                        per: SignedDuration::try_from(per).unwrap_or(SignedDuration::MAX),
                        sent: VecDeque::new(),
                    },
                    Rate::Tokens { capacity, refill_milli } => {
                        let full = i64::from(capacity) * 1000;
                        Level::Tokens {
                            capacity_milli: full,
                            refill_milli: i64::from(refill_milli),
                            level_milli: full,
                            at: now,
                        }
                    }
                },
            })
            .collect();
        Limiter {
            state: Mutex::new(State { buckets, silent_until: None, told: None }),
            slots: Arc::new(Semaphore::new(concurrency.max(1))),
            clock,
        }
    }

    /// Waits until a request may be sent, and counts it as sent.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`], unsent, when the wait would be longer than the caller's patience of two minutes: the
    /// error says how long.
    pub async fn acquire(&self, bucket: Option<&'static str>, lane: Lane) -> Result<Permit> {
        const PATIENCE: Duration = Duration::from_secs(120);
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        loop {
            let wait = {
                let mut state = self.state.lock().expect("no panic happens under this lock");
                match state.wait(bucket, lane, self.clock.now()) {
                    None => {
                        state.take(bucket, self.clock.now());
                        return Ok(Permit { _slot: slot });
                    }
                    Some(wait) => wait,
                }
            };
            if wait > PATIENCE {
                let message = format!("The account's request limit is used up for the next {} s.", wait.as_secs());
                return Err(Error::new(ErrorKind::RateLimited, message).with_retry(Retry::After(wait)));
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Learns from an answer.
    pub fn observe(&self, _bucket: Option<&'static str>, status: StatusCode, hint: &Hint, now: Timestamp) {
        let mut state = self.state.lock().expect("no panic happens under this lock");
        if let (Some(remaining), Some(reset)) = (hint.remaining, hint.reset) {
            // Answers overtake each other: only a lower number, or one about a later time, is news.
            let news = state.told.is_none_or(|(left, until)| until <= now || remaining < left || reset > until);
            if news {
                state.told = Some((remaining, reset));
            }
        }
        let refused = matches!(status.as_u16(), 429 | 503);
        if let (true, Some(wait)) = (refused, hint.retry_after) {
            let until = now + wait;
            state.silent_until = Some(state.silent_until.map_or(until, |earlier| earlier.max(until)));
        }
    }
}

impl State {
    /// How long until the request may go; `None` for now.
    fn wait(&mut self, bucket: Option<&'static str>, lane: Lane, now: Timestamp) -> Option<Duration> {
        let mut wait = SignedDuration::ZERO;
        if let Some(until) = self.silent_until {
            wait = wait.max(until.duration_since(now));
        }
        if let Some((left, until)) = self.told {
            let keep = if lane == Lane::Normal && left > 0 { 1 } else { 0 };
            if until > now && left <= keep {
                wait = wait.max(until.duration_since(now));
            }
        }
        for state in self.buckets.iter_mut().filter(|state| state.name.is_none() || state.name == bucket) {
            wait = wait.max(state.level.wait(lane, now));
        }
        (wait > SignedDuration::ZERO).then(|| Duration::try_from(wait).unwrap_or(LONGEST))
    }

    fn take(&mut self, bucket: Option<&'static str>, now: Timestamp) {
        if let Some((left, until)) = &mut self.told {
            *left = left.saturating_sub(1);
            if *until <= now {
                self.told = None;
            }
        }
        for state in self.buckets.iter_mut().filter(|state| state.name.is_none() || state.name == bucket) {
            state.level.take(now);
        }
    }
}

impl Level {
    fn wait(&mut self, lane: Lane, now: Timestamp) -> SignedDuration {
        match self {
            Level::Window { limit, per, sent } => {
                while sent.front().is_some_and(|first| now.duration_since(*first) >= *per) {
                    sent.pop_front();
                }
                let keep = if lane == Lane::Normal { reserve(*limit as u64) as usize } else { 0 };
                let usable = limit.saturating_sub(keep).max(1);
                if sent.len() < usable {
                    SignedDuration::ZERO
                } else {
                    sent[sent.len() - usable].duration_since(now) + *per
                }
            }
            Level::Tokens { capacity_milli, refill_milli, level_milli, at } => {
                let passed = i64::try_from(now.duration_since(*at).as_millis()).unwrap_or(i64::MAX).max(0);
                let added = passed.saturating_mul(*refill_milli) / 1000;
                if added > 0 {
                    *level_milli = level_milli.saturating_add(added).min(*capacity_milli);
                    *at = now;
                }
                let keep =
                    if lane == Lane::Normal { reserve((*capacity_milli / 1000) as u64) as i64 * 1000 } else { 0 };
                let missing = 1000 + keep - *level_milli;
                if missing <= 0 {
                    SignedDuration::ZERO
                } else {
                    SignedDuration::from_millis(missing * 1000 / (*refill_milli).max(1) + 1)
                }
            }
        }
    }

    fn take(&mut self, now: Timestamp) {
        match self {
            Level::Window { sent, .. } => sent.push_back(now),
            Level::Tokens { level_milli, .. } => *level_milli -= 1000,
        }
    }
}
