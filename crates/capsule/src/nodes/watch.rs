//! The engine's question whether a server is ready, answered by those who know what an xNode is.

use async_trait::async_trait;
use capsule_engine::readiness::{ACTIVE, ADDRESS};
use capsule_engine::{Look, Prospect, Readiness, Watched};
use capsule_xnode::{End, Endpoint, History, LOCAL_DOMAIN, Outside, Sight, Stage, Trust, Untrusted, Web, judge};

use super::{Goal, Pins};

/// Watches servers become xNodes.
#[derive(Debug)]
pub struct Watch {
    /// The way to them.
    pub outside: Outside,
    /// What they are known by.
    pub pins: Pins,
    /// Divides all limits.
    pub pace: u32,
}

#[async_trait]
impl Readiness for Watch {
    async fn look(&self, watched: &Watched) -> Look {
        let nothing = |why: String| Look { reached: Vec::new(), prospect: Prospect::Wait(why) };
        let goal: Goal = match serde_json::from_value(watched.goal.clone()) {
            Ok(goal) => goal,
            Err(error) => return nothing(format!("what it should be cannot be read: {error}")),
        };
        let Some(ip) = watched.addresses.primary() else { return nothing("waiting for an address".to_owned()) };
        let trust = match self.pins.known(&watched.id) {
            Ok(Some(known)) if watched.passed_at(ACTIVE).is_none_or(|at| at <= known.since) => Trust::Pinned(known.pin),
            // Vendors use a machine, and its id, again: a key from before it ran for us is of an earlier server.
            Ok(Some(_)) => match self.pins.forget(&watched.id) {
                Ok(()) => Trust::Anyone,
                Err(error) => return nothing(error.message().trim_end_matches('.').to_owned()),
            },
            Ok(None) => Trust::Anyone,
            Err(error) => return nothing(error.message().trim_end_matches('.').to_owned()),
        };
        let at = Endpoint { ip, host: LOCAL_DOMAIN.to_owned() };
        let sight = match capsule_xnode::look(&self.outside, &at, &trust).await {
            Ok(sight) => sight,
            Err(Untrusted(why)) => return nothing(why),
        };
        let now = self.outside.now();
        let stages = watched.passed.iter().filter_map(|passed| Some((passed.stage.parse::<Stage>().ok()?, passed.at)));
        let history = History { address_at: watched.passed_at(ADDRESS).unwrap_or(now), passed: stages.collect() };
        let judgement = judge(&watched.name, &history, &sight, &goal.limits(watched.kind), self.pace, now);
        // Known from the first answer as an owned node: what obeyed anyone before may be anyone's.
        if (judgement.reached.contains(&Stage::Claimed)
            || history.passed.iter().any(|(stage, _)| *stage == Stage::Claimed))
            && let Sight { web: Web::Tls { certificate, .. }, .. } = &sight
            && let Err(error) = self.pins.first(&watched.id, &certificate.pin, now)
        {
            return nothing(error.message().trim_end_matches('.').to_owned());
        }
        let prospect = match judgement.end {
            End::Wait(words) => Prospect::Wait(words),
            End::Healthy => Prospect::Ready,
            End::Stuck(error) => Prospect::Failed { error, fate: goal.on_stuck },
            End::Unclaimed(error) => Prospect::Failed { error, fate: goal.on_unclaimed },
        };
        Look { reached: judgement.reached.into_iter().map(|stage| stage.as_str().to_owned()).collect(), prospect }
    }
}
