//! From a server that runs to one that does what it was made for, judged by somebody who knows what that is.

use std::fmt;

use async_trait::async_trait;
use capsule_core::{Addresses, Error, InstanceId, PlanKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operation::OnFailure;

/// The stage that is passed when the provider says that the server runs.
pub const ACTIVE: &str = "active";
/// The stage that is passed when the server has an address to look at.
pub const ADDRESS: &str = "address";

/// A stage that a server has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Which: [`ACTIVE`], [`ADDRESS`], then words of the one that judges.
    pub stage: String,
    /// When that was seen.
    pub at: Timestamp,
}

/// A server that runs, has an address and is watched until it is ready.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its name in the inventory.
    pub name: String,
    /// Where it is.
    pub id: InstanceId,
    /// Its addresses.
    pub addresses: Addresses,
    /// What kind of machine it is, where known.
    pub kind: Option<PlanKind>,
    /// What it is to become, as [`crate::DeployRequest::goal`] said it.
    pub goal: Value,
    /// The stages passed so far, in order; [`ACTIVE`] and [`ADDRESS`] at least.
    pub passed: Vec<Passed>,
    /// Why it may never start what is put on its disk: the provider refused for good to let it.
    pub hindrance: Option<Error>,
}

impl Watched {
    /// When it passed a stage.
    pub fn passed_at(&self, stage: &str) -> Option<Timestamp> {
        self.passed.iter().find(|passed| passed.stage == stage).map(|passed| passed.at)
    }
}

/// What one look told.
#[derive(Debug, Clone)]
pub struct Look {
    /// Stages passed since the last look, in order.
    pub reached: Vec<String>,
    /// What follows.
    pub prospect: Prospect,
}

/// What follows from a look.
#[derive(Debug, Clone)]
pub enum Prospect {
    /// Look again; for people, a short sentence without a period.
    Wait(String),
    /// It does what it was made for.
    Ready,
    /// It will not, or not in time.
    Failed {
        /// Why, and what to do next.
        error: Error,
        /// Whether it is deleted or stays.
        fate: OnFailure,
    },
}

/// Who judges whether a server became what it was made for. The engine does not know what that is.
///
/// A look tells what is to be seen now and may be repeated at will; what was passed is in the journal, so another process
/// goes on watching where this one stopped.
#[async_trait]
pub trait Readiness: fmt::Debug + Send + Sync + 'static {
    /// Looks at the server once. That nothing can be seen is a [`Prospect`] as well.
    async fn look(&self, watched: &Watched) -> Look;
}
