//! Time, only through here: nothing else in Capsule reads the clock or sleeps.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// Where time comes from.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now, UTC.
    fn now(&self) -> Timestamp;

    /// Returns once `duration` has passed.
    async fn sleep(&self, duration: Duration);

    /// Returns once the time is `at` or later. Used for time limits: unlike [`sleep`](Clock::sleep), a manual clock
    /// does not move itself forward for it.
    async fn until(&self, at: Timestamp);

    /// Anything from nothing to `bound`, to spread out those who were told to wait for the same time. A simulation draws
    /// it from its seed.
    fn jitter(&self, bound: Duration) -> Duration {
        // The standard library's hash keys are random enough to spread clients out, and nothing here is secret.
        let random = RandomState::new().build_hasher().finish();
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(if nanos == 0 { 0 } else { random % nanos })
    }
}

/// `duration` after `at`, or the end of time: adding never panics.
pub(crate) fn later(at: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// The runtime's timers stand still while the machine is suspended, and know nothing of a clock that is set.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
#[allow(clippy::disallowed_methods, reason = "the one place where real time enters")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn until(&self, at: Timestamp) {
        while self.now() < at {
            let left = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
            tokio::time::sleep(left.min(LONGEST_NAP)).await;
        }
    }
}

/// A clock that stands still until it is told to move; whoever sleeps on it moves it.
///
/// A test therefore never waits, and an hour of polling passes in no time.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
    moved: Notify,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        ManualClock { now: Mutex::new(start), moved: Notify::new() }
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        {
            let mut now = self.now.lock().expect("no panic happens under this lock");
            *now = later(*now, duration);
        }
        self.moved.notify_waiters();
    }
}

impl Default for ManualClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        ManualClock::new(Timestamp::constant(1_767_225_600, 0))
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("no panic happens under this lock")
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }

    async fn until(&self, at: Timestamp) {
        loop {
            let moved = self.moved.notified();
            if self.now() >= at {
                return;
            }
            moved.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_moves_a_manual_clock() {
        let clock = ManualClock::default();
        let start = clock.now();
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now().duration_since(start).as_secs(), 3600);
    }

    /// Whoever asks for a limit before anything else does nothing once it has passed.
    #[tokio::test]
    async fn a_time_that_has_passed_is_not_waited_for() {
        let past = SystemClock.now();
        tokio::select! {
            biased;
            () = SystemClock.until(past) => {}
            () = std::future::ready(()) => panic!("something else came first"),
        }
    }

    #[tokio::test]
    async fn a_time_limit_fires_only_when_the_time_has_come() {
        let clock = ManualClock::default();
        let limit = clock.now() + Duration::from_secs(30);
        tokio::select! {
            biased;
            () = clock.until(limit) => panic!("fired too early"),
            () = clock.sleep(Duration::from_secs(29)) => {}
        }
        clock.advance(Duration::from_secs(1));
        clock.until(limit).await;
    }
}
