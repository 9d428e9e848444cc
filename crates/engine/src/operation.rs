//! What an operation is to those who start, watch and read one.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use capsule_core::{
    Addresses, Error, ErrorKind, Instance, InstanceId, InstanceStatus, PlanKind, Price, ProviderId, Result, Tags, Token,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Entry;
use crate::placement::Placement;
use crate::readiness::Passed;

/// Names one operation: ten lower-case letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(String);

impl OperationId {
    const LENGTH: usize = 10;

    /// A new one, from the operating system's random numbers.
    pub fn random() -> Self {
        let mut bytes = [0u8; Self::LENGTH];
        getrandom::fill(&mut bytes).expect("the operating system has random numbers");
        OperationId(word(&bytes))
    }

    /// The word itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where new operation ids and tokens come from.
#[derive(Debug)]
pub(crate) enum Dice {
    /// The operating system's random numbers.
    System,
    /// A seed, in simulations: who knows it knows what comes.
    Seeded(Mutex<u64>),
}

impl Dice {
    /// Whether this is a simulation.
    pub(crate) fn is_seeded(&self) -> bool {
        matches!(self, Dice::Seeded(_))
    }

    pub(crate) fn operation_id(&self) -> OperationId {
        match self {
            Dice::System => OperationId::random(),
            Dice::Seeded(state) => OperationId(word(&bytes::<{ OperationId::LENGTH }>(state))),
        }
    }

    pub(crate) fn token(&self) -> Token {
        match self {
            Dice::System => Token::random(),
            Dice::Seeded(state) => word(&bytes::<26>(state)).parse().expect("it is as long as a token"),
        }
    }
}

fn bytes<const N: usize>(state: &Mutex<u64>) -> [u8; N] {
    let mut state = state.lock().expect("no panic happens under this lock");
    std::array::from_fn(|_| {
        // Knuth's linear congruential generator: its top bits look random, and that is all that is asked of it.
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
}

fn word(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}

impl FromStr for OperationId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let good =
            text.len() == Self::LENGTH && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        good.then(|| OperationId(text.to_owned())).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("`{text}` is not an operation id."))
                .with_hint("They are ten lower-case letters and digits; `capsule ops` shows them.")
        })
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Make servers, by one create call.
    Deploy,
    /// End a server.
    Destroy,
    /// Start, stop or restart one.
    Power,
    /// Take a server that is there into the inventory.
    Adopt,
    /// Write down that a server of the inventory is gone, as its provider says.
    Vanished,
}

impl Kind {
    /// The word as JSON and tables show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Deploy => "deploy",
            Kind::Destroy => "destroy",
            Kind::Power => "power",
            Kind::Adopt => "adopt",
            Kind::Vanished => "vanished",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Written down, nothing sent.
    Intended,
    /// The create call is out.
    Creating,
    /// Nobody knows whether the create call took effect: the provider's list is being read.
    Looking,
    /// The server is there and on its way up.
    Starting,
    /// The server runs, and what it was made for is being installed on it.
    Installing,
    /// The vendor was asked to change the power.
    Powering,
    /// The vendor was asked to end it.
    Deleting,
    /// Over, as wanted.
    Done,
    /// Over, not as wanted.
    Failed,
}

impl Stage {
    /// The word as JSON and tables show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Intended => "intended",
            Stage::Creating => "creating",
            Stage::Looking => "looking",
            Stage::Starting => "starting",
            Stage::Installing => "installing",
            Stage::Powering => "powering",
            Stage::Deleting => "deleting",
            Stage::Done => "done",
            Stage::Failed => "failed",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Until the server does what it was made for.
    Ready,
    /// Until the server runs and has an address, or the power is as wanted.
    Running,
    /// Until the vendor has accepted.
    None,
}

/// What becomes of a server that does not come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is deleted, and stops costing.
    Delete,
    /// It stays, for a look at it, and goes on costing.
    Keep,
}

/// How it ended, or did not.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// As wanted.
    Done,
    /// Not as wanted, and over.
    Failed(Error),
    /// Not over, or nobody knows: `capsule resume OPERATION` goes on.
    StillRunning {
        /// A whole sentence.
        why: String,
    },
}

/// What an operation came to for one name.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The operation, to be resumed or read.
    pub operation: OperationId,
    /// What it was about.
    pub kind: Kind,
    /// The server's name.
    pub name: String,
    /// The server, once it has an id.
    pub id: Option<InstanceId>,
    /// What the inventory says about it, once it is there.
    pub record: Option<Record>,
    /// The server as last seen in this run.
    pub instance: Option<Instance>,
    /// Where it was made and at what price, where this operation made it.
    pub placement: Option<Placement>,
    /// When it was ordered and what it passed since, where it was watched on its way.
    pub stages: Vec<Passed>,
    /// How it ended.
    pub finish: Finish,
}

/// What a deploy came to for one name.
pub type Deployed = Outcome;

/// One server of the inventory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Where it is and what the vendor calls it.
    pub id: InstanceId,
    /// Its name, unique among the living.
    pub name: String,
    /// Its state when it was last seen.
    pub status: InstanceStatus,
    /// Its addresses then.
    pub addresses: Addresses,
    /// The vendor's plan id.
    pub plan: String,
    /// Shared or whole machine, where it was ordered here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PlanKind>,
    /// The image it was made from.
    pub image: Option<String>,
    /// The user's tags.
    pub tags: Tags,
    /// The price that was quoted when it was ordered.
    pub price: Option<Price>,
    /// What it was created under; `None` for adopted servers without one.
    pub token: Option<Token>,
    /// The operation that brought it here.
    pub operation: OperationId,
    /// Whether somebody else made it and it was adopted on request.
    pub foreign: bool,
    /// What it is meant to be, for whoever looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Value>,
    /// Whether it was read back from the provider's tags after its journal was lost: what was quoted, which operation
    /// made it and from what user-data is not known then.
    #[serde(default)]
    pub rebuilt: bool,
    /// When it was ordered or, if adopted, made.
    pub created_at: Timestamp,
    /// When its id was known, where that was later: an order may have waited for its turn at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_since: Option<Timestamp>,
    /// When it was last looked at and did not run yet, where it was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_running_at: Option<Timestamp>,
    /// When it was found to be gone.
    pub gone_at: Option<Timestamp>,
}

/// An operation as the journal has it.
#[derive(Debug, Clone, Serialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it is about.
    pub kind: Kind,
    /// The names of the servers concerned.
    pub names: Vec<String>,
    /// The servers concerned that have an id.
    pub instances: Vec<InstanceId>,
    /// The cloud that it is at, where one is chosen.
    pub provider: Option<ProviderId>,
    /// How far it is.
    pub stage: Stage,
    /// What is not known yet and why, a whole sentence; `None` when nothing is in doubt.
    pub doubt: Option<String>,
    /// Why it, or one of its servers, failed.
    pub error: Option<Error>,
    /// When it was intended.
    pub created_at: Timestamp,
    /// When its last event was written.
    pub updated_at: Timestamp,
    /// When it is worth trying again, if it waits for that.
    pub next_at: Option<Timestamp>,
    /// The process that works on it now.
    pub worker: Option<String>,
    /// All that happened; filled by [`crate::Engine::operation`], empty in lists.
    pub events: Vec<Entry>,
}

impl Operation {
    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Done | Stage::Failed)
    }
}

/// One step of progress.
#[derive(Debug, Clone)]
pub struct Update {
    /// The operation.
    pub operation: OperationId,
    /// The server's name.
    pub name: String,
    /// How far it is.
    pub stage: Stage,
    /// The server, once it has an id.
    pub instance: Option<InstanceId>,
    /// For people: a short sentence without a period.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// Who wants to know about progress.
pub trait Observer: Send + Sync {
    /// Called after each step was journaled, and while something is waited for.
    fn on(&self, update: &Update);
}

/// Wants to know nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _: &Update) {}
}
