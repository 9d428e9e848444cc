//! How a node is, from what its looks saw: pure, and slow to alarm.

use std::fmt;

use capsule_core::{Error, ErrorKind};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::sight::{Certificate, Port, Sight, Web};
use crate::stage::{changed, expired, unclaimed};

/// Self-signed certificates and those of authorities are worth a word when they end within this.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What one look says about a node that should be up.
#[derive(Debug, Clone)]
pub enum Probe {
    /// It is claimed and answers.
    Good(Certificate),
    /// It obeys anyone: an alarm at once.
    Unclaimed(Error),
    /// Something else is wrong that does not pass by itself: an alarm at once as well.
    Alarm(Error),
    /// It does not answer as it should, this time; why.
    Bad(String),
    /// There is no way to it from here: this says nothing about it.
    Offline,
}

/// What `sight` says about the node called `name`.
pub fn probe(name: &str, sight: &Sight, now: Timestamp) -> Probe {
    match &sight.web {
        Web::Changed { known, seen } => Probe::Alarm(changed(name, known, &seen.pin)),
        Web::Tls { answer, .. } if answer.claim == Some(Claim::Unclaimed) => Probe::Unclaimed(unclaimed(name)),
        Web::Tls { certificate, .. } if certificate.not_after <= now => {
            Probe::Alarm(expired(name, certificate.not_after))
        }
        Web::Tls { certificate, answer } => match (answer.claim, answer.login) {
            (Some(Claim::Claimed), true) => Probe::Good(certificate.clone()),
            (Some(Claim::Claimed), false) => Probe::Bad("its login does not answer".to_owned()),
            _ => Probe::Bad(answer.words.clone()),
        },
        Web::NoTls(why) => Probe::Bad(format!("port 443 is open and speaks no TLS: {why}")),
        Web::Shut(Port::Unreachable) => Probe::Offline,
        Web::Shut(_) if sight.ssh == Port::Open => {
            Probe::Bad("port 443 is closed and port 22 answers: it is no xNode, or not yet".to_owned())
        }
        Web::Shut(Port::Silent) => Probe::Bad("port 443 does not answer".to_owned()),
        Web::Shut(_) => Probe::Bad("port 443 is closed".to_owned()),
    }
}

/// Whether a certificate ends soon.
pub fn ends_soon(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.not_after.duration_since(now) < SOON
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not known yet.
    Unknown,
    /// Claimed, and it answers.
    Up,
    /// It failed, but not often enough to say that it is down.
    Shaky,
    /// It failed several times in a row.
    Down,
    /// Unclaimed, another key, or an expired certificate.
    Alarm,
}

impl Health {
    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Shaky => "shaky",
            Health::Down => "down",
            Health::Alarm => "alarm",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the looks at one node came to. One that fails does not make it down, one that succeeds does not make it up again.
#[derive(Debug, Clone)]
pub struct Watcher {
    health: Health,
    good: u32,
    bad: u32,
}

impl Watcher {
    /// So many bad looks in a row make it down.
    pub const DOWN_AFTER: u32 = 3;
    /// So many good ones in a row make it up again.
    pub const UP_AFTER: u32 = 2;

    /// Nothing was seen yet.
    pub fn new() -> Self {
        Watcher { health: Health::Unknown, good: 0, bad: 0 }
    }

    /// How it is.
    pub fn health(&self) -> Health {
        self.health
    }

    /// One more look.
    pub fn note(&mut self, probe: &Probe) -> Health {
        match probe {
            Probe::Offline => {}
            Probe::Alarm(_) | Probe::Unclaimed(_) => {
                (self.good, self.bad) = (0, 0);
                self.health = Health::Alarm;
            }
            Probe::Good(_) => {
                (self.good, self.bad) = (self.good + 1, 0);
                if self.health == Health::Unknown || self.health == Health::Shaky || self.good >= Self::UP_AFTER {
                    self.health = Health::Up;
                }
            }
            Probe::Bad(_) => {
                (self.good, self.bad) = (0, self.bad + 1);
                self.health = match self.health {
                    Health::Down => Health::Down,
                    _ if self.bad >= Self::DOWN_AFTER => Health::Down,
                    // An alarm is not over because the node hides.
                    Health::Alarm => Health::Alarm,
                    _ => Health::Shaky,
                };
            }
        }
        self.health
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Watcher::new()
    }
}

/// Whether it is this machine that is cut off rather than the nodes: nothing is to be reached, none of the nodes and not
/// what should always be. `anchors`: whether each of those was reached; without any, nobody can tell.
pub fn is_own_outage(probes: &[Probe], anchors: &[bool]) -> bool {
    let answered = |probe: &Probe| matches!(probe, Probe::Good(_) | Probe::Alarm(_) | Probe::Unclaimed(_));
    if probes.iter().any(answered) || anchors.contains(&true) {
        return false;
    }
    !probes.is_empty() && (!anchors.is_empty() || probes.iter().all(|probe| matches!(probe, Probe::Offline)))
}

/// That this machine is cut off.
pub fn own_outage() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "This machine seems to be offline: nothing can be reached from it, no node and no provider.",
    )
    .with_hint("Nothing is concluded about the nodes. Check this machine's network, then ask again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::{Answer, Pin};

    const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

    fn certificate(days: i64) -> Certificate {
        let not_after = NOW + SignedDuration::from_hours(days * 24);
        Certificate { pin: Pin::of_key(b"key"), not_before: Timestamp::UNIX_EPOCH, not_after }
    }

    fn good() -> Probe {
        Probe::Good(certificate(90))
    }

    fn bad() -> Probe {
        Probe::Bad("port 443 is closed".into())
    }

    fn alarm() -> Probe {
        Probe::Unclaimed(unclaimed("web"))
    }

    #[test]
    fn one_failed_look_is_not_down_and_one_good_look_is_not_up_again() {
        use Health::*;
        // g good, b bad, a alarm, o offline -> the health after each
        let table: [(&str, &[Health]); 8] = [
            ("g", &[Up]),
            ("gbg", &[Up, Shaky, Up]),
            ("gbbb", &[Up, Shaky, Shaky, Down]),
            ("bbbgg", &[Shaky, Shaky, Down, Down, Up]),
            ("bbbgbgg", &[Shaky, Shaky, Down, Down, Down, Down, Up]),
            ("gooob", &[Up, Up, Up, Up, Shaky]),
            ("gabbgg", &[Up, Alarm, Alarm, Alarm, Alarm, Up]),
            ("ooo", &[Unknown, Unknown, Unknown]),
        ];
        for (looks, expected) in table {
            let mut watcher = Watcher::new();
            let found: Vec<Health> = looks
                .chars()
                .map(|look| match look {
                    'g' => watcher.note(&good()),
                    'b' => watcher.note(&bad()),
                    'a' => watcher.note(&alarm()),
                    _ => watcher.note(&Probe::Offline),
                })
                .collect();
            assert_eq!(found, expected, "{looks}");
        }
    }

    #[test]
    fn an_own_outage_is_told_from_the_fleets() {
        let off = || Probe::Offline;
        let table: [(Vec<Probe>, &[bool], bool); 9] = [
            (vec![], &[], false),
            (vec![bad(), bad()], &[false], true),
            (vec![bad(), bad()], &[false, true], false),
            (vec![bad(), good()], &[false], false),
            (vec![bad(), alarm()], &[false], false),
            // Without anything that should always be there, silence is the nodes' own.
            (vec![bad(), bad()], &[], false),
            (vec![off(), off()], &[], true),
            (vec![off(), bad()], &[], false),
            (vec![off()], &[true], false),
        ];
        for (probes, anchors, expected) in table {
            assert_eq!(is_own_outage(&probes, anchors), expected, "{probes:?} {anchors:?}");
        }
    }

    #[test]
    fn sights_become_probes() {
        let tls = |claim, login, days| Web::Tls {
            certificate: certificate(days),
            answer: Answer { claim, login, words: "it answered 502".into() },
        };
        let changed = Web::Changed { known: Pin::of_key(b"old"), seen: certificate(9) };
        let table = [
            (Port::Closed, tls(Some(Claim::Claimed), true, 9), "good"),
            (Port::Closed, tls(Some(Claim::Claimed), false, 9), "bad: its login does not answer"),
            (Port::Closed, tls(Some(Claim::Unclear), false, 9), "bad: it answered 502"),
            (Port::Closed, tls(None, false, 9), "bad: it answered 502"),
            (
                Port::Closed,
                tls(Some(Claim::Unclaimed), false, 9),
                "unclaimed: ALARM: `web` is an xNode that nobody owns",
            ),
            (Port::Closed, tls(Some(Claim::Claimed), true, 0), "alarm: `web` shows a certificate that expired"),
            (Port::Closed, changed, "alarm: ALARM: `web` shows another key"),
            (Port::Closed, Web::Shut(Port::Closed), "bad: port 443 is closed"),
            (Port::Closed, Web::Shut(Port::Silent), "bad: port 443 does not answer"),
            (Port::Open, Web::Shut(Port::Closed), "bad: port 443 is closed and port 22 answers"),
            (Port::Closed, Web::NoTls("no".into()), "bad: port 443 is open and speaks no TLS"),
            (Port::Unreachable, Web::Shut(Port::Unreachable), "offline"),
        ];
        for (ssh, web, expected) in table {
            let found = match probe("web", &Sight { ssh, web }, NOW) {
                Probe::Good(_) => "good".to_owned(),
                Probe::Unclaimed(error) => format!("unclaimed: {error}"),
                Probe::Alarm(error) => format!("alarm: {error}"),
                Probe::Bad(why) => format!("bad: {why}"),
                Probe::Offline => "offline".to_owned(),
            };
            assert!(found.starts_with(expected), "{found} instead of {expected}");
        }
        assert!(ends_soon(&certificate(13), NOW) && !ends_soon(&certificate(15), NOW));
    }
}
