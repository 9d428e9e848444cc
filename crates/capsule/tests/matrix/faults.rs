//! Everything that goes wrong with one request.

use std::time::Duration;

use capsule_core::Capabilities;
use capsule_sim::What;

/// Something that goes wrong from one request on, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(crate) whats: Vec<What>,
    pub(crate) times: u32,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words: Vec<String> = self.whats.iter().map(ToString::to_string).collect();
        write!(f, "{}x{}", words.join("+"), self.times)
    }
}

fn trouble(whats: &[What], times: u32) -> Trouble {
    Trouble { whats: whats.to_vec(), times }
}

/// What can befall any request. To one that changes nothing it is all one whether it was done before it failed.
pub(crate) fn anywhere(changes: bool) -> Vec<Trouble> {
    let mut once = vec![
        What::RefuseConnect,
        What::LoseRequest,
        What::ResetMidBody,
        What::Garbage,
        What::Hang { after_effect: false },
        What::RateLimit(None),
        What::RateLimit(Some(Duration::from_secs(7))),
        What::RateLimit(Some(Duration::from_secs(300))),
    ];
    once.extend([500, 502, 503, 504].map(|code| What::Status { code, after_effect: false }));
    // A storm outlasts what the HTTP core repeats by itself.
    let mut storms = vec![
        What::RefuseConnect,
        What::RateLimit(None),
        What::RateLimit(Some(Duration::from_secs(7))),
        What::RateLimit(Some(Duration::from_secs(300))),
        What::Status { code: 503, after_effect: false },
    ];
    if changes {
        once.extend([What::LoseReplyAfterEffect, What::Truncate, What::Duplicate, What::Hang { after_effect: true }]);
        once.extend([500, 502, 503, 504].map(|code| What::Status { code, after_effect: true }));
        storms.extend([What::LoseReplyAfterEffect, What::Status { code: 502, after_effect: true }]);
    }
    let storms = storms.into_iter().map(|what| trouble(&[what], 9));
    once.into_iter().map(|what| trouble(&[what], 1)).chain(storms).collect()
}

/// What befalls the request that makes a server.
pub(crate) fn at_birth(capabilities: &Capabilities) -> Vec<Trouble> {
    let lost = What::LoseReplyAfterEffect;
    let within = capabilities.list_lag.saturating_sub(Duration::from_secs(1));
    vec![
        trouble(&[What::LateFailure], 1),
        trouble(&[What::LateFailure, lost.clone()], 1),
        trouble(&[What::ListLag(within)], 1),
        trouble(&[What::ReadLag(within)], 1),
        trouble(&[What::ListLag(within), What::ReadLag(within), lost.clone()], 1),
        trouble(&[What::ListLag(within), What::Status { code: 502, after_effect: true }], 1),
    ]
}

/// What befalls the operation that makes a server, and no other.
pub(crate) fn out_of_stock() -> Vec<Trouble> {
    vec![trouble(&[What::NoCapacity], 1), trouble(&[What::NoCapacity], 1000)]
}

/// Lists that hide a server for longer than the provider is known to, or the second of two calls that arrived: then there
/// may be two, and both can be found.
pub(crate) fn beyond(capabilities: &Capabilities) -> Vec<Trouble> {
    let within = capabilities.list_lag.saturating_sub(Duration::from_secs(1));
    let beyond = capabilities.list_lag + Duration::from_secs(300);
    let lost = What::LoseReplyAfterEffect;
    vec![
        trouble(&[What::ListLag(beyond), lost.clone()], 1),
        trouble(&[What::ListLag(beyond), What::ReadLag(beyond), lost], 1),
        trouble(&[What::ListLag(within), What::Duplicate], 1),
    ]
}

/// What is combined with a death: the doubts.
pub(crate) fn with_death() -> Vec<Trouble> {
    vec![
        trouble(&[What::LoseReplyAfterEffect], 1),
        trouble(&[What::Status { code: 502, after_effect: false }], 1),
        trouble(&[What::Duplicate], 1),
    ]
}
