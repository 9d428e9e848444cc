//! What was asked how often, and whether it was too often.

use std::collections::BTreeMap;
use std::time::Duration;

use capsule_core::ProviderId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::machine::later;

/// A documented request limit, counted for each caller.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Tells limits of one dialect apart.
    pub name: &'static str,
    /// The operations that count together; empty for all.
    pub operations: &'static [&'static str],
    /// Its shape.
    pub shape: Shape,
    /// Whether a refusal says when to come back.
    pub says_retry_after: bool,
}

/// The shape of a limit.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// So many requests in any stretch of time.
    Window {
        /// Requests.
        requests: u32,
        /// The stretch.
        per: Duration,
    },
    /// A store of tokens.
    Tokens {
        /// When full.
        capacity: u32,
        /// Added each second.
        refill: u32,
    },
}

/// How much of a limit is used, after a request was counted or refused.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Which limit.
    pub limit: &'static Limit,
    /// The number of requests it allows.
    pub allowed: u32,
    /// How many are left.
    pub remaining: u32,
    /// When the next one is free again.
    pub reset: Timestamp,
    /// How long that is from now.
    pub wait: Duration,
}

/// Request counts. They are kept apart from the world because every look changes them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Which version of the world's file this goes with.
    pub generation: u64,
    /// Answers by `provider operation status`; the status of an answer that never came is `-`.
    pub counts: BTreeMap<String, u64>,
    /// What each caller has used of each limit.
    meters: BTreeMap<String, Meter>,
}

/// For a window: the requests in each sixtieth of it, by its start in ms. For tokens: `{time in ms: thousandths used}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Meter(BTreeMap<i64, u64>);

impl Traffic {
    /// Forgets everything but the generation.
    pub fn clear(&mut self) {
        *self = Traffic { generation: self.generation, ..Traffic::default() };
    }

    /// Counts an answer.
    pub fn count(&mut self, provider: &ProviderId, operation: &str, status: Option<u16>) {
        let status = status.map_or("-".to_owned(), |status| status.to_string());
        *self.counts.entry(format!("{provider} {operation} {status}")).or_default() += 1;
    }

    /// Takes one request out of every limit that holds for it.
    ///
    /// # Errors
    /// The limit that is used up; then nothing was taken.
    pub fn admit(
        &mut self,
        limits: &'static [Limit],
        provider: &ProviderId,
        caller: &str,
        operation: &str,
        now: Timestamp,
    ) -> Result<Vec<Usage>, Usage> {
        let mine = |limit: &&Limit| limit.operations.is_empty() || limit.operations.contains(&operation);
        let key = |limit: &Limit| format!("{provider} {caller} {}", limit.name);
        for limit in limits.iter().filter(mine) {
            let usage = self.meters.entry(key(limit)).or_default().usage(limit, now);
            if usage.remaining == 0 {
                return Err(usage);
            }
        }
        let mut all = Vec::new();
        for limit in limits.iter().filter(mine) {
            let meter = self.meters.entry(key(limit)).or_default();
            meter.take(limit, now);
            all.push(meter.usage(limit, now));
        }
        Ok(all)
    }
}

impl Meter {
    fn usage(&mut self, limit: &'static Limit, now: Timestamp) -> Usage {
        let now_ms = now.as_millisecond();
        let (allowed, used, reset_ms) = match limit.shape {
            Shape::Window { requests, per } => {
                let per = i64::try_from(per.as_millis()).unwrap_or(i64::MAX);
                self.0.retain(|start, _| start.saturating_add(per) > now_ms);
                let reset = self.0.first_key_value().map_or(now_ms, |(start, _)| start.saturating_add(per));
                (requests, self.0.values().sum::<u64>(), reset)
            }
            Shape::Tokens { capacity, refill } => {
                let refill = u64::from(refill.max(1));
                let (at, used) = self.0.first_key_value().map_or((now_ms, 0), |(at, used)| (*at, *used));
                let passed = u64::try_from(now_ms - at).unwrap_or(0);
                let left_used = used.saturating_sub(passed.saturating_mul(refill));
                self.0 = BTreeMap::from([(now_ms.max(at), left_used)]);
                let next = i64::try_from(1000 / refill + 1).unwrap_or(1000);
                (capacity, left_used.div_ceil(1000), now_ms.saturating_add(next))
            }
        };
        let remaining = u64::from(allowed).saturating_sub(used);
        let reset = Timestamp::from_millisecond(reset_ms).unwrap_or(later(now, 1000));
        Usage {
            limit,
            allowed,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset,
            wait: Duration::try_from(reset.duration_since(now)).unwrap_or_default(),
        }
    }

    fn take(&mut self, limit: &Limit, now: Timestamp) {
        let now_ms = now.as_millisecond();
        match limit.shape {
            Shape::Window { per, .. } => {
                let step = i64::try_from(per.as_millis() / 60).unwrap_or(i64::MAX).max(1);
                *self.0.entry(now_ms - now_ms.rem_euclid(step)).or_default() += 1;
            }
            Shape::Tokens { .. } => {
                if let Some(mut used) = self.0.first_entry() {
                    *used.get_mut() += 1000;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LIMITS: [Limit; 2] = [
        Limit {
            name: "all",
            operations: &[],
            shape: Shape::Window { requests: 3, per: Duration::from_secs(60) },
            says_retry_after: true,
        },
        Limit {
            name: "create",
            operations: &["create"],
            shape: Shape::Tokens { capacity: 2, refill: 1 },
            says_retry_after: false,
        },
    ];

    #[test]
    fn a_window_slides() {
        let (mut traffic, provider) = (Traffic::default(), ProviderId::new("a"));
        let at = |s: u64| later(Timestamp::UNIX_EPOCH, s * 1000);
        let mut ask = |caller: &str, s| traffic.admit(&LIMITS, &provider, caller, "look", at(s)).map(|_| ());
        assert!(ask("me", 0).is_ok() && ask("me", 10).is_ok() && ask("me", 20).is_ok());
        let refused = ask("me", 30).unwrap_err();
        assert_eq!((refused.limit.name, refused.reset, refused.wait), ("all", at(60), Duration::from_secs(30)));
        assert!(ask("you", 30).is_ok(), "each caller has its own");
        assert!(ask("me", 60).is_ok(), "the first one is a minute old");
        assert!(ask("me", 61).is_err());
    }

    #[test]
    fn tokens_come_back() {
        let (mut traffic, provider) = (Traffic::default(), ProviderId::new("a"));
        let at = |ms: u64| later(Timestamp::UNIX_EPOCH, 1_000_000 + ms);
        let mut ask = |ms| traffic.admit(&LIMITS[1..], &provider, "me", "create", at(ms)).is_ok();
        assert!(ask(0) && ask(0) && !ask(0));
        assert!(!ask(900), "not yet");
        assert!(ask(1_001) && !ask(1_002));
    }
}
