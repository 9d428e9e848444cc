//! From a server that runs to an xNode, as it shows from outside: a pure judge over what each look saw.
//!
//! No node ever reports to anyone, so these marks are all there is. That the old system answers on port 22 until the
//! installer replaces it, and that all ports are closed meanwhile, is inferred from how the installer works.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use capsule_core::{Error, ErrorKind, PlanKind, Result, nearest};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::claim::Claim;
use crate::config::shown;
use crate::sight::{Pin, Port, Sight, Web};

/// A stage that shows from outside, in the order in which they are passed. A stage may pass unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The old system answers, and runs the installer.
    InstallStarted,
    /// All ports are closed: the installer runs in memory.
    Kexec,
    /// TLS answers on port 443.
    TlsUp,
    /// A stranger is sent to the login.
    Claimed,
    /// Claimed, with a login that answers and a certificate that holds.
    Healthy,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 5] = [Stage::InstallStarted, Stage::Kexec, Stage::TlsUp, Stage::Claimed, Stage::Healthy];

    /// The word in the journal, in JSON and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::InstallStarted => "install_started",
            Stage::Kexec => "kexec",
            Stage::TlsUp => "tls_up",
            Stage::Claimed => "claimed",
            Stage::Healthy => "healthy",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("There is no stage {}.", shown(text)))
                .with_hint(nearest::hint(text, Stage::ALL.iter().map(|stage| stage.as_str())))
        })
    }
}

/// How long each stage may take, counted from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Seconds from the address until the old system answers.
    pub install_started: u64,
    /// Seconds from there until the installer has replaced it.
    pub kexec: u64,
    /// Seconds from there until TLS answers.
    pub tls_up: u64,
    /// Seconds from there until a stranger is sent to the login.
    pub claimed: u64,
    /// Seconds from there until all is well.
    pub healthy: u64,
}

impl Limits {
    /// The limits for a kind of machine. People are told 10 minutes for a virtual machine and 30 for a whole one; these
    /// leave room.
    pub fn of(kind: Option<PlanKind>) -> Limits {
        match kind {
            Some(PlanKind::BareMetal) => {
                Limits { install_started: 1800, kexec: 1800, tls_up: 3600, claimed: 900, healthy: 900 }
            }
            _ => Limits { install_started: 600, kexec: 900, tls_up: 1800, claimed: 600, healthy: 600 },
        }
    }

    /// The limit of one stage.
    pub fn get(&self, stage: Stage) -> Duration {
        Duration::from_secs(match stage {
            Stage::InstallStarted => self.install_started,
            Stage::Kexec => self.kexec,
            Stage::TlsUp => self.tls_up,
            Stage::Claimed => self.claimed,
            Stage::Healthy => self.healthy,
        })
    }

    /// Another limit for one stage.
    pub fn set(&mut self, stage: Stage, seconds: u64) {
        *match stage {
            Stage::InstallStarted => &mut self.install_started,
            Stage::Kexec => &mut self.kexec,
            Stage::TlsUp => &mut self.tls_up,
            Stage::Claimed => &mut self.claimed,
            Stage::Healthy => &mut self.healthy,
        } = seconds;
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::of(None)
    }
}

/// What happened to a server before this look.
#[derive(Debug, Clone)]
pub struct History {
    /// When it got its address.
    pub address_at: Timestamp,
    /// The stages that it passed, and when.
    pub passed: Vec<(Stage, Timestamp)>,
    /// Why it may never start what the installer puts on its disk.
    pub hindrance: Option<Error>,
}

impl History {
    fn at(&self, stage: Stage) -> Option<Timestamp> {
        self.passed.iter().find(|(passed, _)| *passed == stage).map(|(_, at)| *at)
    }

    /// The last stage passed before `stage`, or the address.
    fn before(&self, stage: Stage) -> Timestamp {
        let earlier = self.passed.iter().filter(|(passed, _)| *passed < stage).map(|(_, at)| *at);
        earlier.max().unwrap_or(self.address_at)
    }
}

/// What a look means.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Stages passed since the last look, in order.
    pub reached: Vec<Stage>,
    /// What follows.
    pub end: End,
}

/// What follows from a look.
#[derive(Debug, Clone)]
pub enum End {
    /// Look again; for people, a short sentence without a period.
    Wait(String),
    /// It is a claimed, healthy xNode.
    Healthy,
    /// It stopped on its way: why, most likely, and what to do next.
    Stuck(Error),
    /// It is up and obeys anyone.
    Unclaimed(Error),
}

/// How long the old system may answer before that is worth a word.
const SLOW_START: SignedDuration = SignedDuration::from_mins(5);

/// What `sight` means for the server called `name`. `pace` divides all times.
pub fn judge(name: &str, history: &History, sight: &Sight, limits: &Limits, pace: u32, now: Timestamp) -> Judgement {
    let mut reached = Vec::new();
    let late = |stage: Stage, since: Timestamp| is_late(limits.get(stage), pace, since, now);
    let wait = |words: String| End::Wait(words);
    let end = match &sight.web {
        Web::Tls { certificate, answer } => {
            if history.at(Stage::TlsUp).is_none() {
                reached.push(Stage::TlsUp);
            }
            let since = history.at(Stage::TlsUp).unwrap_or(now);
            match answer.claim {
                Some(Claim::Unclaimed) => End::Unclaimed(unclaimed(name)),
                _ if certificate.not_after <= now => End::Stuck(expired(name, certificate.not_after)),
                Some(Claim::Claimed) => {
                    if history.at(Stage::Claimed).is_none() {
                        reached.push(Stage::Claimed);
                    }
                    let since = history.at(Stage::Claimed);
                    match (since, answer.login) {
                        // Twice in a row: what flaps is not healthy.
                        (Some(_), true) => {
                            if history.at(Stage::Healthy).is_none() {
                                reached.push(Stage::Healthy);
                            }
                            End::Healthy
                        }
                        (Some(since), false) if late(Stage::Healthy, since) => End::Stuck(no_login(name)),
                        (_, true) => wait("claimed, looking once more".to_owned()),
                        (_, false) => wait("claimed, its login does not answer yet".to_owned()),
                    }
                }
                Some(Claim::Unclear) | None if late(Stage::Claimed, since) => End::Stuck(unclear(name, &answer.words)),
                Some(Claim::Unclear) | None => wait(format!("TLS is up, the manager is not yet: {}", answer.words)),
            }
        }
        Web::Changed { known, seen } => End::Stuck(changed(name, known, &seen.pin)),
        Web::Shut(_) | Web::NoTls(_) if sight.ssh == Port::Unreachable => {
            wait("there is no way to it from here; is this machine's network up?".to_owned())
        }
        Web::NoTls(why) => match late(Stage::TlsUp, history.before(Stage::TlsUp)) {
            true => End::Stuck(no_tls(name, why)),
            false => wait(format!("port 443 is open, TLS is not up yet: {why}")),
        },
        Web::Shut(_) if history.at(Stage::TlsUp).is_some() => {
            match late(Stage::Claimed, history.before(Stage::Claimed)) {
                true => End::Stuck(shut_again(name)),
                false => wait("port 443 is shut again; it may be restarting".to_owned()),
            }
        }
        Web::Shut(_) if sight.ssh == Port::Open => {
            let started = history.at(Stage::InstallStarted);
            if started.is_none() && history.at(Stage::Kexec).is_none() {
                reached.push(Stage::InstallStarted);
            }
            let since = history.at(Stage::Kexec).or(started).unwrap_or(now);
            let age = now.duration_since(since);
            match late(Stage::Kexec, since) {
                true => End::Stuck(never_started(name, since, now)),
                false if age * i32::try_from(pace).unwrap_or(1) >= SLOW_START => {
                    wait("still the old system; the install may not have started".to_owned())
                }
                false => wait("the old system answers, the installer is being fetched".to_owned()),
            }
        }
        Web::Shut(_) => match (history.at(Stage::InstallStarted), history.at(Stage::Kexec)) {
            (_, Some(since)) if late(Stage::TlsUp, since) => {
                End::Stuck(never_came_back(name, history.hindrance.as_ref()))
            }
            (_, Some(_)) => wait("all ports closed, the installer runs in memory".to_owned()),
            (Some(_), None) => {
                reached.push(Stage::Kexec);
                wait("all ports closed, the installer runs in memory".to_owned())
            }
            // Port 22 may be closed to us: then no stage before TLS shows, and its time must be left for all of them.
            (None, None) => {
                let all = [Stage::InstallStarted, Stage::Kexec, Stage::TlsUp].map(|stage| limits.get(stage));
                match is_late(all.iter().sum(), pace, history.address_at, now) {
                    true if history.hindrance.is_some() => {
                        End::Stuck(never_came_back(name, history.hindrance.as_ref()))
                    }
                    true => End::Stuck(nothing_answers(name)),
                    false => wait("nothing answers yet".to_owned()),
                }
            }
        },
    };
    Judgement { reached, end }
}

fn is_late(limit: Duration, pace: u32, since: Timestamp, now: Timestamp) -> bool {
    let limit = SignedDuration::try_from(limit / pace.max(1)).unwrap_or(SignedDuration::MAX);
    now.duration_since(since) >= limit
}

/// The alarm about a node that obeys anyone.
pub(crate) fn unclaimed(name: &str) -> Error {
    let message =
        format!("ALARM: `{name}` is an xNode that nobody owns. It answers strangers: whoever finds it is root on it.");
    Error::new(ErrorKind::Conflict, message).with_hint(
        "The installer did not read the owner. Do not put anything on it; deploy anew with the installer version pinned.",
    )
}

/// The alarm about a server that shows another key than the one it was known by.
pub(crate) fn changed(name: &str, known: &Pin, seen: &Pin) -> Error {
    let message = format!(
        "ALARM: `{name}` shows another key than the one it was known by ({seen:.16}, was {known:.16}). It was installed anew, or \
         somebody else answers in its place."
    );
    Error::new(ErrorKind::Conflict, message).with_hint(
        "Nothing secret was sent. If you installed it anew yourself, `capsule verify NAME --trust-new` takes the new key.",
    )
}

fn stuck(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::Timeout, message).with_hint(hint)
}

fn never_started(name: &str, since: Timestamp, now: Timestamp) -> Error {
    let minutes = now.duration_since(since).as_mins();
    let message = format!(
        "`{name}` is still the old system: port 22 answers after {minutes} minutes, so the install of XnodeOS never started or failed at once."
    );
    stuck(
        message,
        "Most likely the installer could not be downloaded, or cloud-init did not run. Log in and read xnodeos.log in /tmp \
         and `cloud-init status --long`, or see the provider's console.",
    )
}

fn never_came_back(name: &str, hindrance: Option<&Error>) -> Error {
    let message = format!("`{name}` went down for the install of XnodeOS and never opened port 443");
    if let Some(hindrance) = hindrance {
        let way_out = hindrance.hint().unwrap_or("See the provider's console.");
        return stuck(format!("{message}. Most likely it does not start from its own disk: {hindrance}"), way_out);
    }
    stuck(
        format!("{message}."),
        "Most likely the installer failed in memory (too little memory, no TPM for encrypted disks, Nix that does not build), or a \
         firewall closes port 443. Nothing but the provider's console shows which.",
    )
}

fn nothing_answers(name: &str) -> Error {
    stuck(
        format!("`{name}` has an address, and nothing ever answered there, on port 22 or on port 443."),
        "Most likely it does not boot, or a firewall closes both ports. See the provider's console and its firewall.",
    )
}

fn no_tls(name: &str, why: &str) -> Error {
    stuck(
        format!("`{name}` has port 443 open, and what answers there is no TLS: {why}."),
        "It may be another program than an xNode's. See the provider's console.",
    )
}

fn shut_again(name: &str) -> Error {
    stuck(
        format!("`{name}` answered on port 443 once and does not any more."),
        "Most likely it restarts over and over, or a firewall came up. See the provider's console.",
    )
}

fn unclear(name: &str, words: &str) -> Error {
    stuck(
        format!("`{name}` has TLS up, but its manager neither asks for a login nor obeys: {words}."),
        "Most likely the manager or its login did not start. See the provider's console.",
    )
}

fn no_login(name: &str) -> Error {
    stuck(
        format!("`{name}` sends strangers to its login, and the login does not answer."),
        "Nobody can get in, its owner neither. See the provider's console.",
    )
}

/// What is wrong with a node whose certificate has ended.
pub(crate) fn expired(name: &str, at: Timestamp) -> Error {
    stuck(
        format!("`{name}` shows a certificate that expired at {at}."),
        "Most likely the node's clock is wrong. See the provider's console, or install it anew.",
    )
}

#[cfg(test)]
mod tests;
