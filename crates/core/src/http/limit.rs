//! One limiter per account: the vendor's documented limits, corrected by its headers.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ledger::{BUSY, Ledger, Line, Turn, What};
use crate::clock::{Clock, later};
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

impl FromStr for Rate {
    type Err = Error;

    /// Reads `250/min`, `20/3s` or, for a store of tokens, `50/s burst 20`.
    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (rate, burst) = match text.split_once(" burst ") {
                Some((rate, burst)) => (rate, Some(burst.trim().parse::<u32>().ok()?)),
                None => (text, None),
            };
            let (requests, per) = rate.trim().split_once('/')?;
            let requests: u32 = requests.parse().ok()?;
            let digits = per.find(|c: char| !c.is_ascii_digit())?;
            let count = if digits == 0 { 1 } else { per[..digits].parse::<u32>().ok()? };
            let unit = match &per[digits..] {
                "s" => 1,
                "min" => 60,
                "h" => 3600,
                _ => return None,
            };
            let seconds = count.checked_mul(unit).filter(|seconds| *seconds > 0 && requests > 0)?;
            let refill_milli = u32::try_from(u64::from(requests) * 1000 / u64::from(seconds)).ok()?;
            Some(match burst {
                None => Rate::Window { requests, per: Duration::from_secs(seconds.into()) },
                Some(capacity) if capacity > 0 && refill_milli > 0 => Rate::Tokens { capacity, refill_milli },
                Some(_) => return None,
            })
        };
        parse().ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("`{text}` is no request limit."))
                .with_hint("Write it like 250/min, 20/3s or, where a burst may come first, 50/s burst 20.")
        })
    }
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

impl Hint {
    /// How long the vendor wants to be left alone after an answer of that status: `retry-after`, or else, after a 429
    /// for a spent limit, until the reset.
    pub fn wait(&self, status: StatusCode, now: Timestamp) -> Option<Duration> {
        let spent = status == StatusCode::TOO_MANY_REQUESTS && self.remaining.unwrap_or(0) == 0;
        let reset = || self.reset.filter(|_| spent).and_then(|at| Duration::try_from(at.duration_since(now)).ok());
        self.retry_after.or_else(reset).map(|wait| wait.min(LONGEST))
    }
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
            Some(later(now, Duration::from_secs(n.unsigned_abs())))
        }
    });
    let furthest = later(now, LONGEST);
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

/// Admits requests so that the account stays inside its limits, together with the other processes on its ledger.
#[derive(Debug)]
pub struct Limiter {
    books: Mutex<Books>,
    /// One for each request under way.
    slots: Arc<Semaphore>,
    /// One fewer: what only looks or creates never holds the last slot.
    normal_slots: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Books {
    state: State,
    /// Where the other processes write what they send; `None` where there is none, or none that works.
    ledger: Option<Ledger>,
    buckets: Vec<Bucket>,
}

#[derive(Debug, Default)]
struct State {
    /// What binds every call.
    account: Limit,
    /// What binds, beside that, the calls that name it.
    named: BTreeMap<String, Limit>,
}

/// One limit: what is documented, and what the server said.
#[derive(Debug, Default)]
struct Limit {
    levels: Vec<Level>,
    /// Nothing is sent before: the server said so.
    silent_until: Option<Timestamp>,
    /// What the headers said last, less what was sent since, and until when.
    told: Option<(u32, Timestamp)>,
    /// When the vendor refused the last time, for how long, and how much it answered after that.
    refused: Option<Refused>,
    /// What two refusals in a row have taught, and until when it is believed.
    learned: Option<(Level, Timestamp)>,
}

#[derive(Debug)]
struct Refused {
    at: Timestamp,
    until: Timestamp,
    answered: u32,
}

#[derive(Debug)]
enum Level {
    /// When the requests of the last stretch were sent, the oldest first.
    Window { limit: usize, per: SignedDuration, sent: VecDeque<Timestamp> },
    /// Counted in millionths, so that every millisecond adds a whole number.
    Tokens { capacity: i64, refill_milli: i64, level: i64, at: Timestamp },
}

const TOKEN: i64 = 1_000_000;

/// How much longer than documented a window is kept to, at most: what leaves in time may arrive too early.
const JITTER: Duration = Duration::from_millis(250);

/// The same for a store of tokens, which is refilled from when the first request arrives and not from when it left: what
/// comes in this time is left in the store.
const JITTER_MS: i64 = 50;

/// How long a limit that the vendor does not tell is believed to be what it was.
const LEARNED_FOR: Duration = Duration::from_secs(300);

/// How much of a limit only deletes may use: a twentieth, at least one, and nothing where one would be much.
fn reserve(limit: usize) -> usize {
    if limit < 10 { 0 } else { (limit / 20).max(1) }
}

/// The right to have one request under way.
#[derive(Debug)]
pub struct Permit {
    _normal: Option<OwnedSemaphorePermit>,
    _slot: OwnedSemaphorePermit,
}

impl Limiter {
    /// A limiter whose buckets are full, or as empty as the ledger says.
    pub fn new(buckets: &[Bucket], concurrency: usize, ledger: Option<Ledger>, clock: Arc<dyn Clock>) -> Self {
        let books = Books { buckets: buckets.to_vec(), state: State::full(buckets), ledger };
        Limiter {
            books: Mutex::new(books),
            slots: Arc::new(Semaphore::new(concurrency.max(1))),
            normal_slots: Arc::new(Semaphore::new(concurrency.saturating_sub(1).max(1))),
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
        let patience = later(self.clock.now(), PATIENCE);
        let mut busy = 0;
        loop {
            let now = self.clock.now();
            // Others may have sent more than is known here, so this wait is none too long.
            let wait = self.books().state.wait(bucket, lane, now);
            if let Some(wait) = wait {
                if later(now, wait) > patience {
                    let message = format!("The account's request limit is used up for the next {} s.", wait.as_secs());
                    return Err(Error::new(ErrorKind::RateLimited, message)
                        .with_retry(Retry::After(wait))
                        .with_hint("Wait a little, or run fewer things at once under this key."));
                }
                self.clock.sleep(wait).await;
                continue;
            }
            // The slot comes last: whoever waits for the limit must not keep a delete from its slot.
            let permit = self.slot(lane).await;
            let taken = self.books().take(bucket, lane, &*self.clock, busy);
            match taken {
                Taken::Yes => return Ok(permit),
                // Others have gone ahead in the meantime.
                Taken::No => {}
                Taken::Busy => {
                    drop(permit);
                    busy += 1;
                    self.clock.sleep(BUSY).await;
                }
            }
        }
    }

    async fn slot(&self, lane: Lane) -> Permit {
        let open = "the semaphores are never closed";
        let normal = match lane {
            Lane::Normal => Some(self.normal_slots.clone().acquire_owned().await.expect(open)),
            Lane::Delete => None,
        };
        Permit { _normal: normal, _slot: self.slots.clone().acquire_owned().await.expect(open) }
    }

    /// Learns from an answer. What its headers say concerns the limit that the call named, or else the account's: a
    /// route with a limit of its own (a list of SSH keys, the creation of servers) reports that one.
    pub fn observe(&self, bucket: Option<&'static str>, status: StatusCode, hint: &Hint, now: Timestamp) {
        let mut books = self.books();
        let limit = books.state.limit(bucket);
        let (what, at) = match hint.wait(status, now) {
            Some(wait) if matches!(status.as_u16(), 429 | 503) => {
                let until = later(now, wait);
                if status == StatusCode::TOO_MANY_REQUESTS {
                    limit.learn(now, until);
                }
                limit.silent_until = limit.silent_until.max(Some(until));
                (What::Silent, until)
            }
            _ => {
                if let Some(refused) = limit.refused.as_mut().filter(|refused| refused.until <= now) {
                    refused.answered += 1;
                }
                let (Some(left), Some(reset)) = (hint.remaining, hint.reset) else { return };
                // What the books say as well need not be written into them.
                let more = limit.room(now).is_none_or(|room| i64::from(left) < room);
                if !limit.hear(left, reset, now) || !more {
                    return;
                }
                (What::Left(left), reset)
            }
        };
        books.tell(Line { limit: bucket.map(str::to_owned), what, at }, now);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no panic happens under this lock")
    }
}

/// Whether a request was counted as sent.
enum Taken {
    Yes,
    No,
    /// Another process has the ledger.
    Busy,
}

impl Books {
    /// Counts a request as sent, if it may be sent now.
    fn take(&mut self, bucket: Option<&'static str>, lane: Lane, clock: &dyn Clock, busy: u32) -> Taken {
        /// After some three seconds: a process that has the ledger for so long is not at work but stopped.
        const STOPPED: u32 = 3000;
        let why = match self.try_take(bucket, lane, clock) {
            Ok(Taken::Busy) if busy >= STOPPED => std::io::ErrorKind::WouldBlock.into(),
            Ok(taken) => return taken,
            Err(error) => error,
        };
        self.go_on_alone(&why);
        self.try_take(bucket, lane, clock).unwrap_or(Taken::No)
    }

    fn try_take(&mut self, bucket: Option<&'static str>, lane: Lane, clock: &dyn Clock) -> std::io::Result<Taken> {
        let Books { buckets, state, ledger } = self;
        let mut turn = None;
        if let Some(ledger) = ledger {
            turn = ledger.turn(clock.now())?;
            let Some(turn) = &turn else { return Ok(Taken::Busy) };
            state.catch_up(turn, buckets, clock.now());
        }
        let now = clock.now();
        if state.wait(bucket, lane, now).is_some() {
            return Ok(Taken::No);
        }
        state.bound(bucket).for_each(|limit| limit.take(now, now));
        if let Some(turn) = &mut turn {
            let names = std::iter::once(None).chain(bucket.map(Some));
            let sent = names.map(|name| Line { limit: name.map(str::to_owned), what: What::Sent, at: now });
            turn.write(&sent.collect::<Vec<_>>(), || state.lines())?;
        }
        Ok(Taken::Yes)
    }

    /// Writes a word of the vendor's down for the others. If that cannot be done now they will hear it themselves.
    fn tell(&mut self, line: Line, now: Timestamp) {
        let Books { buckets, state, ledger } = self;
        let Some(ledger) = ledger else { return };
        let told = ledger.turn(now).and_then(|turn| {
            let Some(mut turn) = turn else { return Ok(()) };
            state.catch_up(&turn, buckets, now);
            state.read(&line, now);
            turn.write(&[line], || state.lines())
        });
        if let Err(error) = told {
            self.go_on_alone(&error);
        }
    }

    /// A ledger that cannot be used costs no more than the sharing.
    fn go_on_alone(&mut self, why: &std::io::Error) {
        tracing::warn!(ledger = ?self.ledger, error = %why, "this process counts its requests for itself");
        self.ledger = None;
    }
}

impl State {
    fn full(buckets: &[Bucket]) -> Self {
        let mut state = State::default();
        for bucket in buckets {
            state.limit(bucket.name).levels.push(Level::full(bucket.rate));
        }
        state
    }

    fn limit(&mut self, name: Option<&str>) -> &mut Limit {
        match name {
            None => &mut self.account,
            Some(name) => self.named.entry(name.to_owned()).or_default(),
        }
    }

    /// The limits that bind a call.
    fn bound(&mut self, bucket: Option<&'static str>) -> impl Iterator<Item = &mut Limit> {
        let named = bucket.and_then(|name| self.named.get_mut(name));
        std::iter::once(&mut self.account).chain(named)
    }

    /// How long until the call may go; `None` for now.
    fn wait(&mut self, bucket: Option<&'static str>, lane: Lane, now: Timestamp) -> Option<Duration> {
        let wait = self.bound(bucket).map(|limit| limit.wait(lane, now)).max().unwrap_or_default();
        (wait > SignedDuration::ZERO).then(|| Duration::try_from(wait).unwrap_or(LONGEST))
    }

    /// Takes in what others wrote since the last turn.
    fn catch_up(&mut self, turn: &Turn<'_>, buckets: &[Bucket], now: Timestamp) {
        if turn.afresh {
            *self = State::full(buckets);
        }
        turn.news.iter().for_each(|line| self.read(line, now));
    }

    fn read(&mut self, line: &Line, now: Timestamp) {
        let limit = self.limit(line.limit.as_deref());
        match line.what {
            What::Sent => limit.take(line.at.min(now), now),
            What::Left(left) => _ = limit.hear(left, line.at, now),
            What::Silent => limit.silent_until = limit.silent_until.max(Some(line.at.min(later(now, LONGEST)))),
            What::Level(level) => limit.levels.iter_mut().for_each(|at| at.set(level, line.at.min(now))),
        }
    }

    /// All that others need to know.
    fn lines(&self) -> Vec<Line> {
        let named = self.named.iter().map(|(name, limit)| (Some(name), limit));
        std::iter::once((None, &self.account))
            .chain(named)
            .flat_map(|(name, limit)| limit.lines().map(move |(what, at)| Line { limit: name.cloned(), what, at }))
            .collect()
    }
}

impl Limit {
    /// Takes in how many the vendor has left until the reset; whether that is news.
    fn hear(&mut self, remaining: u32, reset: Timestamp, now: Timestamp) -> bool {
        let reset = reset.min(later(now, LONGEST));
        // Answers overtake each other: until the time is over, only a lower number is news.
        let news = reset > now && self.told.is_none_or(|(left, until)| until <= now || remaining < left);
        if news {
            self.told = Some((remaining, reset));
        }
        news
    }

    /// Takes a lesson from a refusal that is to be waited out until `until`: what the vendor answered between the one before
    /// and this one, if that was only a moment ago, is what it allows in such a time.
    fn learn(&mut self, now: Timestamp, until: Timestamp) {
        match &self.refused {
            // It was sent before the vendor refused another one.
            Some(before) if now < before.until => return,
            Some(Refused { at, until, answered: answered @ 1.. }) => {
                let (per, asked) = (now.duration_since(*at), until.duration_since(*at));
                if per <= asked * 2
                    && let Ok(per) = Duration::try_from(per)
                {
                    let level = Level::full(Rate::Window { requests: *answered, per });
                    self.learned = Some((level, later(now, LEARNED_FOR)));
                }
            }
            _ => {}
        }
        self.refused = Some(Refused { at: now, until, answered: 0 });
    }

    /// The limits that are known now, of the vendor's or by experience.
    fn levels(&mut self, now: Timestamp) -> impl Iterator<Item = &mut Level> {
        let learned = self.learned.as_mut().filter(|(_, until)| now < *until).map(|(level, _)| level);
        self.levels.iter_mut().chain(learned)
    }

    fn wait(&mut self, lane: Lane, now: Timestamp) -> SignedDuration {
        let silent = self.silent_until.map(|until| until.duration_since(now));
        let keep = if lane == Lane::Normal { 1 } else { 0 };
        let told = self.told.filter(|(left, _)| *left <= keep).map(|(_, until)| until.duration_since(now));
        let known = self.levels(now).map(|level| level.wait(lane, now)).max();
        [silent, told, known].into_iter().flatten().max().unwrap_or_default()
    }

    /// How many requests the documented limit leaves now; `None` where there is none.
    fn room(&mut self, now: Timestamp) -> Option<i64> {
        self.levels.iter_mut().map(|level| level.room(now)).min()
    }

    /// Counts a request that was sent at `at`.
    fn take(&mut self, at: Timestamp, now: Timestamp) {
        if let Some((left, _)) = &mut self.told {
            *left = left.saturating_sub(1);
        }
        self.levels(now).for_each(|level| level.take(at, now));
    }

    fn lines(&self) -> impl Iterator<Item = (What, Timestamp)> {
        let windows = self.levels.iter().filter_map(|level| match level {
            Level::Window { sent, .. } => Some(sent),
            Level::Tokens { .. } => None,
        });
        let tokens = self.levels.iter().filter_map(|level| match level {
            Level::Tokens { level, at, .. } => Some((What::Level(*level), *at)),
            Level::Window { .. } => None,
        });
        // The longest window remembers the most, and of several stores the lowest speaks for all.
        let sent = windows.max_by_key(|sent| sent.len()).into_iter().flatten().map(|at| (What::Sent, *at));
        let level = tokens.min_by_key(|(what, _)| if let What::Level(level) = what { *level } else { 0 });
        let told = self.told.map(|(left, until)| (What::Left(left), until));
        sent.chain(level).chain(told).chain(self.silent_until.map(|until| (What::Silent, until)))
    }
}

impl Level {
    fn full(rate: Rate) -> Self {
        match rate {
            Rate::Window { requests, per } => Level::Window {
                limit: requests as usize,
                // One request may travel faster than another.
                per: SignedDuration::try_from(per + JITTER.min(per / 20)).unwrap_or(SignedDuration::MAX),
                sent: VecDeque::new(),
            },
            Rate::Tokens { capacity, refill_milli } => Level::Tokens {
                capacity: i64::from(capacity) * TOKEN,
                refill_milli: i64::from(refill_milli).max(1),
                level: i64::from(capacity) * TOKEN,
                at: Timestamp::UNIX_EPOCH,
            },
        }
    }

    /// Brings it up to date, and says how many requests it leaves.
    fn room(&mut self, now: Timestamp) -> i64 {
        match self {
            Level::Window { limit, per, sent } => {
                while sent.front().is_some_and(|first| now.duration_since(*first) >= *per) {
                    sent.pop_front();
                }
                i64::try_from(limit.saturating_sub(sent.len())).unwrap_or(i64::MAX)
            }
            Level::Tokens { capacity, refill_milli, level, at } => {
                // Only whole milliseconds are counted; the rest of one stays for the next look.
                let passed = i64::try_from(now.duration_since(*at).as_millis()).unwrap_or(i64::MAX).max(0);
                *level = level.saturating_add(passed.saturating_mul(*refill_milli)).min(*capacity);
                *at = at.checked_add(SignedDuration::from_millis(passed)).unwrap_or(now);
                *level / TOKEN
            }
        }
    }

    fn wait(&mut self, lane: Lane, now: Timestamp) -> SignedDuration {
        let keep = |limit: usize| if lane == Lane::Normal { reserve(limit) } else { 0 };
        self.set_back(now);
        self.room(now);
        match self {
            Level::Window { limit, per, sent } => {
                let usable = limit.saturating_sub(keep(*limit)).max(1);
                match sent.len().checked_sub(usable) {
                    None => SignedDuration::ZERO,
                    Some(first_to_leave) => per.saturating_sub(now.duration_since(sent[first_to_leave])),
                }
            }
            Level::Tokens { capacity, refill_milli, level, .. } => {
                let kept = i64::try_from(keep(usize::try_from(*capacity / TOKEN).unwrap_or(0))).unwrap_or(0);
                let slack = (*refill_milli * JITTER_MS).min(*capacity / 4);
                let missing = ((TOKEN * (1 + kept) + slack).min(*capacity) - *level).max(0);
                SignedDuration::from_millis((missing + *refill_milli - 1) / *refill_milli)
            }
        }
    }

    fn take(&mut self, at: Timestamp, now: Timestamp) {
        match self {
            // It has left already.
            Level::Window { per, .. } if now.duration_since(at) >= *per => {}
            Level::Window { sent, .. } => {
                let last = sent.back().copied();
                sent.push_back(last.map_or(at, |last| last.max(at)));
            }
            Level::Tokens { .. } => {
                self.room(at);
                if let Level::Tokens { level, .. } = self {
                    *level -= TOKEN;
                }
            }
        }
    }

    /// Leaves nothing in the future if the machine's clock was set back: that would be waited for.
    fn set_back(&mut self, now: Timestamp) {
        match self {
            Level::Window { sent, .. } => {
                sent.iter_mut().rev().take_while(|at| **at > now).for_each(|at| *at = now);
            }
            Level::Tokens { at, .. } => *at = now.min(*at),
        }
    }

    /// What another process left in the store.
    fn set(&mut self, millionths: i64, then: Timestamp) {
        if let Level::Tokens { capacity, level, at, .. } = self {
            (*level, *at) = (millionths.min(*capacity), then);
        }
    }
}
