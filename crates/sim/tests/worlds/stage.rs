//! Time and turns: who goes on next is drawn from the seed, and nothing else decides.
//!
//! A process runs until all that it waits for is here: a time, or its turn. The journal is no such thing; whoever asks
//! it goes on with the answer before anybody else does. So one seed is one order of events, down to the last request.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{Clock, ManualClock};
use jiff::{SignedDuration, Timestamp};

/// SplitMix64: every bit of the result depends on every bit of the count.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Anything below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    /// True so often of a hundred times.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// The clock of a world, and the place where its processes wait.
#[derive(Debug)]
pub(crate) struct Stage {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    now: Timestamp,
    /// The process that runs.
    current: usize,
    next_wait: u64,
    waits: BTreeMap<u64, Wait>,
    dice: Dice,
}

#[derive(Debug)]
struct Wait {
    process: usize,
    until: Timestamp,
    waker: Option<Waker>,
    is_over: bool,
}

impl Stage {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let inner = Inner {
            now: ManualClock::default().now(),
            current: 0,
            next_wait: 0,
            waits: BTreeMap::new(),
            dice: Dice::new(seed),
        };
        Arc::new(Stage { inner: Mutex::new(inner) })
    }

    /// From now on this process waits, if anybody does.
    pub(crate) fn enter(&self, process: usize) {
        self.lock().current = process;
    }

    /// Lets others go first, or be killed here.
    pub(crate) async fn turn(&self) {
        let now = self.lock().now;
        Pause { stage: self, until: now, wait: None }.await;
    }

    /// Ends one wait: the earliest, drawn among several. Which process it was; `None` when nobody waits for anything.
    pub(crate) fn go_on(&self) -> Option<usize> {
        let mut inner = self.lock();
        let open = || inner.waits.iter().filter(|(_, wait)| !wait.is_over && wait.until < Timestamp::MAX);
        let earliest = open().map(|(_, wait)| wait.until).min()?;
        let due: Vec<u64> = open().filter(|(_, wait)| wait.until <= earliest).map(|(id, _)| *id).collect();
        let id = *inner.dice.pick(&due);
        inner.now = inner.now.max(earliest);
        let wait = inner.waits.get_mut(&id)?;
        wait.is_over = true;
        if let Some(waker) = wait.waker.take() {
            waker.wake();
        }
        Some(wait.process)
    }

    /// Lets time pass while nobody waits.
    pub(crate) fn advance(&self, by: Duration) {
        let mut inner = self.lock();
        inner.now = later(inner.now, by);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

struct Pause<'a> {
    stage: &'a Stage,
    until: Timestamp,
    wait: Option<u64>,
}

impl Future for Pause<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let mut inner = self.stage.lock();
        let id = match self.wait {
            Some(id) => id,
            None => {
                inner.next_wait += 1;
                let (id, process) = (inner.next_wait, inner.current);
                inner.waits.insert(id, Wait { process, until, waker: None, is_over: false });
                id
            }
        };
        let is_over = match inner.waits.get_mut(&id) {
            Some(wait) if !wait.is_over => {
                wait.waker = Some(context.waker().clone());
                false
            }
            _ => true,
        };
        drop(inner);
        self.wait = Some(id);
        if is_over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.wait {
            self.stage.lock().waits.remove(&id);
        }
    }
}

#[async_trait]
impl Clock for Stage {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    async fn sleep(&self, duration: Duration) {
        let until = later(self.now(), duration);
        Pause { stage: self, until, wait: None }.await;
    }

    async fn until(&self, at: Timestamp) {
        if self.now() < at {
            Pause { stage: self, until: at, wait: None }.await;
        }
    }

    fn jitter(&self, bound: Duration) -> Duration {
        let ms = self.lock().dice.below(u64::try_from(bound.as_millis()).unwrap_or(u64::MAX));
        Duration::from_millis(ms)
    }
}
