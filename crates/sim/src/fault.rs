//! What goes wrong, when.
//!
//! On the command line and over TCP a fault is one word, `PROVIDER:OPERATION:WHAT@NTHxTIMES`:
//!
//! | text | meaning |
//! |---|---|
//! | `digitalocean:droplets.create:lose-reply` | the first create happens, but its answer never arrives |
//! | `*:*:status=503@2x3` | the second to fourth request of anything is refused with 503 |
//! | `vultr:*:slow=250msx*` | every request takes a quarter of a second longer |
//! | `vultr:instances.create:closed-https` | the next server's ports 80 and 443 stay closed: see [`guest`](crate::guest) |
//! | `*:node.dial:hang@1x3` | the next three connections to servers are never made |
//!
//! `@NTH` is 1 and `xTIMES` is 1 unless said otherwise; `x*` is for ever. Faults that are due at once act together.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use capsule_core::{Error, ErrorKind, ProviderId, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::guest::{Trouble, is_node_operation};

/// A thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The connection is refused; over TCP, closed before the request is read.
    RefuseConnect,
    /// The request is lost on its way: the connection ends, and nothing was done.
    LoseRequest,
    /// It is done, and then the connection ends without an answer.
    LoseReplyAfterEffect,
    /// It is done, and the connection ends in the middle of the answer's body.
    ResetMidBody,
    /// It is done, and the body ends short of the length that was announced.
    Truncate,
    /// It is done, and the answer is a success whose body makes no sense.
    Garbage,
    /// An HTTP status with the vendor's error body.
    Status {
        /// The status.
        code: u16,
        /// Whether the request is done first.
        after_effect: bool,
    },
    /// It arrives twice, as when something on the way sends it again, and the second answer is the one that comes.
    Duplicate,
    /// It is done so long after it arrived, and answered at once, as if it had failed: with 503, or what a status after
    /// the effect says; a lost reply and a hang keep even that back.
    Late(Duration),
    /// Too many requests, to come back after so long, if that is said.
    RateLimit(Option<Duration>),
    /// It takes longer.
    Slow(Duration),
    /// No answer ever comes.
    Hang {
        /// Whether the request is done first.
        after_effect: bool,
    },
    /// Servers that are made are missing from lists for so long.
    ListLag(Duration),
    /// Servers that are made cannot be looked up by id for so long.
    ReadLag(Duration),
    /// Nothing of the kind left.
    NoCapacity,
    /// Servers are accepted, and cannot be made after all.
    LateFailure,
    /// Servers that are made do not become good nodes; or, at `node.dial`, one connection meets such a node.
    Node(Trouble),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::RefuseConnect => f.write_str("refuse"),
            What::LoseRequest => f.write_str("lose-request"),
            What::LoseReplyAfterEffect => f.write_str("lose-reply"),
            What::ResetMidBody => f.write_str("reset"),
            What::Truncate => f.write_str("truncate"),
            What::Garbage => f.write_str("garbage"),
            What::Status { code, after_effect: false } => write!(f, "status={code}"),
            What::Status { code, after_effect: true } => write!(f, "status-after={code}"),
            What::Duplicate => f.write_str("duplicate"),
            What::Late(wait) => write!(f, "late={}", Span(*wait)),
            What::RateLimit(None) => f.write_str("rate-limit"),
            What::RateLimit(Some(wait)) => write!(f, "rate-limit={}", Span(*wait)),
            What::Slow(wait) => write!(f, "slow={}", Span(*wait)),
            What::Hang { after_effect: false } => f.write_str("hang"),
            What::Hang { after_effect: true } => f.write_str("hang-after"),
            What::ListLag(wait) => write!(f, "list-lag={}", Span(*wait)),
            What::ReadLag(wait) => write!(f, "read-lag={}", Span(*wait)),
            What::NoCapacity => f.write_str("no-capacity"),
            What::LateFailure => f.write_str("late-failure"),
            What::Node(Trouble::NoInstaller) => f.write_str("no-installer"),
            What::Node(Trouble::SlowInstall(ms)) => write!(f, "slow-install={}", Span(Duration::from_millis(*ms))),
            What::Node(Trouble::DeadInstall) => f.write_str("dead-install"),
            What::Node(Trouble::ClosedHttps) => f.write_str("closed-https"),
            What::Node(Trouble::ExpiredCertificate) => f.write_str("expired-certificate"),
            What::Node(Trouble::NewCertificate) => f.write_str("new-certificate"),
            What::Node(Trouble::Unclaimed) => f.write_str("unclaimed"),
        }
    }
}

const WORDS: &str = "refuse, lose-request, lose-reply, reset, truncate, garbage, duplicate, late=TIME, \
                     status=CODE, status-after=CODE, rate-limit, rate-limit=TIME, slow=TIME, hang, hang-after, list-lag=TIME, \
                     read-lag=TIME, no-capacity, late-failure, no-installer, slow-install=TIME, dead-install, \
                     closed-https, expired-certificate, new-certificate and unclaimed; a TIME looks like 250ms, 30s or 5m";

impl FromStr for What {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("`{text}` is not something that can go wrong: {why}."))
                .with_hint(format!("What can go wrong: {WORDS}."))
        };
        let (word, argument) = match text.split_once('=') {
            Some((word, argument)) => (word, Some(argument)),
            None => (text, None),
        };
        let time = || {
            let text = argument.ok_or_else(|| bad("it needs a time"))?;
            text.parse::<Span>().map(|span| span.0).map_err(|()| bad("the time is not one"))
        };
        let code = || {
            let text = argument.ok_or_else(|| bad("it needs a status code"))?;
            text.parse().ok().filter(|code| (200..600).contains(code)).ok_or_else(|| bad("the status code is not one"))
        };
        let takes_argument = matches!(
            word,
            "status" | "status-after" | "late" | "rate-limit" | "slow" | "list-lag" | "read-lag" | "slow-install"
        );
        if argument.is_some() && !takes_argument {
            return Err(bad("it takes no argument, or there is no such word"));
        }
        Ok(match word {
            "refuse" => What::RefuseConnect,
            "lose-request" => What::LoseRequest,
            "lose-reply" => What::LoseReplyAfterEffect,
            "reset" => What::ResetMidBody,
            "truncate" => What::Truncate,
            "garbage" => What::Garbage,
            "status" => What::Status { code: code()?, after_effect: false },
            "status-after" => What::Status { code: code()?, after_effect: true },
            "duplicate" => What::Duplicate,
            "late" => What::Late(time()?),
            "rate-limit" => What::RateLimit(argument.map(|_| time()).transpose()?),
            "slow" => What::Slow(time()?),
            "hang" => What::Hang { after_effect: false },
            "hang-after" => What::Hang { after_effect: true },
            "list-lag" => What::ListLag(time()?),
            "read-lag" => What::ReadLag(time()?),
            "no-capacity" => What::NoCapacity,
            "late-failure" => What::LateFailure,
            "no-installer" => What::Node(Trouble::NoInstaller),
            "slow-install" => What::Node(Trouble::slow_install(time()?)),
            "dead-install" => What::Node(Trouble::DeadInstall),
            "closed-https" => What::Node(Trouble::ClosedHttps),
            "expired-certificate" => What::Node(Trouble::ExpiredCertificate),
            "new-certificate" => What::Node(Trouble::NewCertificate),
            "unclaimed" => What::Node(Trouble::Unclaimed),
            _ => return Err(bad("there is no such word")),
        })
    }
}

/// A time as people write it: `250ms`, `30s`, `5m`.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            ms if ms % 1000 != 0 => write!(f, "{ms}ms"),
            ms if ms % 60_000 != 0 || ms == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{}m", ms / 60_000),
        }
    }
}

impl FromStr for Span {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(())?;
        let (number, unit) = text.split_at(unit_at);
        let number: u64 = number.parse().map_err(|_| ())?;
        let ms = match unit {
            "ms" => Some(number),
            "s" => number.checked_mul(1000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            _ => None,
        };
        // A year is as good as for ever, and leaves room for adding.
        Ok(Span(Duration::from_millis(ms.filter(|ms| *ms <= 366 * 24 * 3_600_000).ok_or(())?)))
    }
}

/// A thing that goes wrong at some requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where; everywhere if open.
    pub provider: Option<ProviderId>,
    /// At which operation, such as `droplets.create`; at any of the vendor's if open.
    pub operation: Option<String>,
    /// How many matching requests go well first.
    pub skip: u32,
    /// How many then do not; all of them if open.
    pub times: Option<u32>,
    /// What happens to them.
    pub what: What,
    /// How many matching requests there have been.
    pub seen: u32,
}

impl Fault {
    /// Goes wrong once, at the next request of that operation.
    pub fn once(provider: impl Into<ProviderId>, operation: &str, what: What) -> Self {
        let (provider, operation) = (Some(provider.into()), Some(operation.to_owned()));
        Fault { provider, operation, skip: 0, times: Some(1), what, seen: 0 }
    }

    /// Whether it concerns such a request.
    pub fn concerns(&self, provider: &ProviderId, operation: &str) -> bool {
        !self.is_spent()
            && self.provider.as_ref().is_none_or(|own| own == provider)
            && self.operation.as_ref().map_or(!is_node_operation(operation), |own| own == operation)
    }

    /// Counts a request that it concerns; whether it goes wrong.
    pub fn strikes(&mut self) -> bool {
        self.seen = self.seen.saturating_add(1);
        self.seen > self.skip
    }

    /// Whether it will never act again.
    pub fn is_spent(&self) -> bool {
        self.times.is_some_and(|times| self.seen >= self.skip.saturating_add(times))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.provider.as_ref().map_or("*", ProviderId::as_str);
        write!(f, "{provider}:{}:{}@{}", self.operation.as_deref().unwrap_or("*"), self.what, self.skip + 1)?;
        match self.times {
            Some(1) => Ok(()),
            Some(times) => write!(f, "x{times}"),
            None => f.write_str("x*"),
        }
    }
}

impl FromStr for Fault {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("fault `{text}`: {why}.")).with_hint(
                "Write PROVIDER:OPERATION:WHAT@NTHxTIMES, such as digitalocean:droplets.create:lose-reply@1.",
            )
        };
        let mut parts = text.trim().splitn(3, ':');
        let (Some(provider), Some(operation), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it does not have three parts"));
        };
        if provider.is_empty() || operation.is_empty() {
            return Err(bad("provider and operation may be `*`, but not empty"));
        }
        let open = |part: &str| (part != "*").then(|| part.to_owned());
        let (rest, times) = match rest.rsplit_once('x') {
            Some((head, "*")) => (head, None),
            // An `x` that no number follows belongs to a word.
            Some((head, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
                (head, Some(number.parse().map_err(|_| bad("the number of times is too large"))?))
            }
            _ => (rest, Some(1)),
        };
        let (what, nth) = match rest.split_once('@') {
            Some((what, nth)) => (what, nth.parse::<u32>().map_err(|_| bad("what follows @ is not a number"))?),
            None => (rest, 1),
        };
        if nth == 0 || times == Some(0) {
            return Err(bad("requests are counted from 1"));
        }
        Ok(Fault {
            provider: open(provider).map(ProviderId::from),
            operation: open(operation),
            skip: nth - 1,
            times,
            what: what.parse::<What>().map_err(|error| error.context(format!("fault `{text}` cannot be used")))?,
            seen: 0,
        })
    }
}

/// In files a fault is its text and its count: `["digitalocean:droplets.create:lose-reply@1", 0]`.
impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        (self.to_string(), self.seen).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let (text, seen) = <(String, u32)>::deserialize(deserializer)?;
        let fault: Fault = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Fault { seen, ..fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_fault_are_the_same_thing() {
        for text in [
            "digitalocean:droplets.create:lose-reply@1",
            "*:*:status=503@2x3",
            "vultr:*:slow=250ms@1x*",
            "aws:instances.run:status-after=500@1",
            "linode:*:rate-limit=2m@4",
            "*:droplets.list:hang-after@1",
            "*:*:list-lag=30s@1x*",
            "*:*:refuse@1x2",
            "aws:instances.run:slow-install=20m@1",
            "*:node.dial:new-certificate@1x*",
            "vultr:instances.create:duplicate@1",
            "vultr:instances.create:late=90s@1",
            "*:*:rate-limit@1x20",
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            let json = serde_json::to_string(&fault).unwrap();
            assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        }
        assert_eq!("a:b:reset".parse::<Fault>().unwrap().to_string(), "a:b:reset@1");
    }

    #[test]
    fn wrong_text_says_what_is_wrong() {
        for (text, why) in [
            ("lose-reply", "three parts"),
            ("a::reset", "not empty"),
            ("a:b:reset@0", "counted from 1"),
            ("a:b:reset@x", "not a number"),
            ("a:b:resetx0", "counted from 1"),
            ("a:b:explode", "no such word"),
            ("a:b:slow", "needs a time"),
            ("a:b:slow=3", "not one"),
            ("a:b:slow=99999999999999999999s", "not one"),
            ("a:b:status=99", "not one"),
            ("a:b:reset=1", "takes no argument"),
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn it_strikes_at_the_nth_and_then_so_often() {
        let mut fault: Fault = "a:b:reset@2x2".parse().unwrap();
        let a = ProviderId::new("a");
        assert!(!fault.concerns(&ProviderId::new("z"), "b") && !fault.concerns(&a, "z"));
        let mut struck = Vec::new();
        while fault.concerns(&a, "b") {
            struck.push(fault.strikes());
        }
        assert_eq!(struck, [false, true, true]);
    }
}
