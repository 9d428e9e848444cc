//! When a call is sent again, and what an answer means for that.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::{Class, Reply, redact};
use crate::clock::Clock;
use crate::error::{Effect, Error, ErrorKind, Retry};

/// What a vendor's error body says. What it leaves open, the status table fills in.
#[derive(Debug, Default)]
pub struct Diagnosis {
    /// The kind, where the vendor's code or text tells more than the status.
    pub kind: Option<ErrorKind>,
    /// The vendor's code.
    pub code: Option<String>,
    /// The vendor's sentence; shown to users, so never a whole body.
    pub message: Option<String>,
    /// What the user can do.
    pub hint: Option<String>,
    /// The vendor's request id, where it stands in the body.
    pub request_id: Option<String>,
    /// `None` where the vendor is known to answer so only without having done anything.
    pub effect: Option<Effect>,
    /// Whether asking again helps, where that differs from the status table.
    pub retry: Option<Retry>,
}

/// When and how often to try again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Retries after the first attempt.
    pub retries: u32,
    /// The upper bound of the first wait; it doubles from there.
    pub base: Duration,
    /// The upper bound of any wait of ours.
    pub cap: Duration,
    /// The longest wait of the server's that is waited out here; beyond it the error goes up, to be tried again later.
    pub longest_hint: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            retries: 3,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            longest_hint: Duration::from_secs(90),
        }
    }
}

impl RetryPolicy {
    pub(super) fn waits(&self) -> Waits<'_> {
        Waits { policy: self, used: 0 }
    }
}

pub(super) struct Waits<'a> {
    policy: &'a RetryPolicy,
    used: u32,
}

impl Waits<'_> {
    /// How long to wait before the next attempt, if there is to be one.
    pub(super) fn next(&mut self, retry: Retry, clock: &dyn Clock) -> Option<Duration> {
        if self.used >= self.policy.retries {
            return None;
        }
        let bound = self.policy.base.saturating_mul(1 << self.used.min(16)).min(self.policy.cap);
        self.used += 1;
        match retry {
            Retry::Never => None,
            Retry::Backoff => Some(clock.jitter(bound)),
            Retry::After(wait) if wait > self.policy.longest_hint => None,
            // All clients were told the same moment: a little jitter on top keeps them from coming at once.
            Retry::After(wait) => Some(wait + clock.jitter(self.policy.base)),
        }
    }
}

/// Keeps a failing vendor from being sent three times the load: retries draw on what successes earn.
#[derive(Debug)]
pub(super) struct Budget(AtomicI64);

impl Budget {
    const FULL: i64 = 500;
    const RETRY: i64 = 5;
    const SUCCESS: i64 = 1;

    /// Takes the price of one retry; `false` if it cannot be paid.
    pub(super) fn withdraw(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left >= Self::RETRY).then_some(left - Self::RETRY)
            })
            .is_ok()
    }

    /// Puts back what a success earns.
    pub(super) fn refund(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some((left + Self::SUCCESS).min(Self::FULL)));
    }
}

impl Default for Budget {
    fn default() -> Self {
        Budget(AtomicI64::new(Self::FULL))
    }
}

/// The status table: kind, whether asking again helps, whether it may have happened.
fn by_status(status: StatusCode) -> (ErrorKind, Retry, Effect) {
    use ErrorKind::*;
    match status.as_u16() {
        401 => (Unauthenticated, Retry::Never, Effect::None),
        403 => (Forbidden, Retry::Never, Effect::None),
        404 | 410 => (NotFound, Retry::Never, Effect::None),
        408 => (Timeout, Retry::Backoff, Effect::Unknown),
        409 | 412 | 423 => (Conflict, Retry::Never, Effect::None),
        429 => (RateLimited, Retry::Backoff, Effect::None),
        400..=499 => (Invalid, Retry::Never, Effect::None),
        500 | 502 | 503 | 504 => (Unavailable, Retry::Backoff, Effect::Unknown),
        _ => (Unavailable, Retry::Never, Effect::Unknown),
    }
}

/// What an unsuccessful answer comes to: the error, and whether this call is to be sent again.
pub(super) fn judge(reply: &Reply, said: Diagnosis, wait: Option<Duration>) -> (Error, bool) {
    let class = reply.class;
    let (kind, retry, effect) = by_status(reply.status);
    let kind = said.kind.unwrap_or(kind);
    let retry = match (said.retry.unwrap_or(retry), wait) {
        (Retry::Never, _) => Retry::Never,
        (_, Some(wait)) => Retry::After(wait),
        (retry, None) => retry,
    };
    let effect = if class == Class::Read { Effect::None } else { said.effect.unwrap_or(effect) };
    let says = said.message.map(|text| redact::sentence(&text)).filter(|text| !text.is_empty());
    let message = match says {
        Some(text) => format!("{} refused {}: {text}.", reply.provider, reply.operation),
        None => format!("{} answered {} to {}.", reply.provider, reply.status, reply.operation),
    };
    // What somebody else answered in the vendor's place, the vendor may answer later.
    let later = if kind == ErrorKind::Protocol && retry == Retry::Never { Retry::Backoff } else { retry };
    let mut error = reply.error(kind, message).with_retry(later).with_effect(effect);
    if let Some(hint) = said.hint.or_else(|| default_hint(kind, reply)) {
        error = error.with_hint(hint);
    }
    if let Some(code) = said.code {
        error = error.with_native_code(code);
    }
    if let Some(id) = said.request_id {
        error = error.with_request_id(id);
    }
    // The one rule: what may have happened is not sent again from here.
    let again = retry != Retry::Never && (class != Class::Effectful || effect == Effect::None);
    (error, again)
}

fn default_hint(kind: ErrorKind, reply: &Reply) -> Option<String> {
    match kind {
        ErrorKind::Unauthenticated => Some(format!(
            "The key is wrong or expired. Set a new one with `capsule provider login {}`.",
            reply.provider
        )),
        ErrorKind::Forbidden => Some(
            "The key works but lacks a right for this call; give it that right in the provider's console.".to_owned(),
        ),
        ErrorKind::RateLimited => Some("Wait a little, or run fewer things at once under this key.".to_owned()),
        _ => None,
    }
}
