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
        let history = History {
            address_at: watched.passed_at(ADDRESS).unwrap_or(now),
            passed: stages.collect(),
            hindrance: watched.hindrance.clone(),
        };
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{IpAddr, SocketAddr};
    use std::sync::Arc;

    use capsule_core::{Addresses, InstanceId, ManualClock, Net};
    use capsule_engine::Passed;
    use capsule_xnode::{Authorities, Pin};
    use jiff::{SignedDuration, Timestamp};
    use tokio::net::TcpStream;

    use super::*;
    use crate::settings::Home;

    /// A network on which nothing listens.
    #[derive(Debug)]
    struct Closed;

    #[async_trait]
    impl Net for Closed {
        async fn dial(&self, _: SocketAddr) -> io::Result<TcpStream> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }

        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn the_key_of_an_earlier_server_with_the_same_id_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let pins = Pins::new(Home::locate(Some(dir.path())).unwrap());
        let clock = Arc::new(ManualClock::default());
        let ran = clock_now(&clock);
        let outside = Outside::new(Arc::new(Closed), clock.clone(), Authorities::Given(Vec::new()));
        let watch = Watch { outside, pins: pins.clone(), pace: 1 };
        let watched = |id: &InstanceId| Watched {
            name: "web".into(),
            id: id.clone(),
            addresses: Addresses { public_v4: vec![[192, 0, 2, 1].into()], ..Addresses::default() },
            kind: None,
            goal: Goal::existing(None, None).to_value(),
            passed: vec![Passed { stage: ACTIVE.into(), at: ran }, Passed { stage: ADDRESS.into(), at: ran }],
            hindrance: None,
        };
        let hour = SignedDuration::from_hours(1);
        for (n, since, stays) in [("1", ran - hour, false), ("2", ran, true), ("3", ran + hour, true)] {
            let id = InstanceId::new("testcloud", "here", n);
            pins.first(&id, &Pin::of_key(b"key"), since).unwrap();
            let look = watch.look(&watched(&id)).await;
            assert!(matches!(look.prospect, Prospect::Wait(_)), "{look:?}");
            assert_eq!(pins.known(&id).unwrap().is_some(), stays, "pinned at {since}");
        }
    }

    fn clock_now(clock: &ManualClock) -> Timestamp {
        capsule_core::Clock::now(clock)
    }
}
