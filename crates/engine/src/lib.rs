//! Journal, operations, placement and inventory, over any [`capsule_core::Provider`]: no vendor has a name in here.
//!
//! [`Engine`] is the facade. Whatever costs money goes through one loop: the journal's events are folded into a
//! [`State`](state::State), a pure function says what is to be done next, the loop does it and appends what came of it.
//! **Resuming is running**: there is no recovery code, an operation found half-way is folded and goes on.
//!
//! # Guarantees
//! - Nothing is sent before the line that says so is committed; every server carries the token of its line from birth.
//! - A create call of unknown outcome is not sent again before it can have no outcome any more: the time in which a vendor
//!   carries out what arrived, and its `list_lag`, have passed since the call can have arrived last, and a list begun after
//!   that does not show its token.
//! - A name is reserved with the intent, and is free again only when the provider says that its server is gone.
//! - A worker whose operation was taken over can write nothing more about it.
//!
//! # Caveats
//! - A create call that a vendor carries out later than that leaves a double. The token is looked for a last time before
//!   the operation ends; what comes later still carries our owner tag.

#![deny(clippy::float_arithmetic)]

pub mod budget;
pub mod engine;
pub mod event;
pub mod fleet;
pub mod ledger;
pub mod operation;
pub mod placement;
pub mod readiness;
pub mod reconcile;
pub mod state;

mod flow;
mod journal;
mod marking;
mod order;
mod poll;
mod run;
mod turns;

pub use engine::{AfterEvent, DeployRequest, Engine, Notice, OperationFilter, Options, Providers};
pub use fleet::{Adopt, Pending, Rebuilt, Survey};
pub use journal::{Database, names};
pub use operation::{
    Deployed, Finish, Kind, Observer, OnFailure, Operation, OperationId, Outcome, Record, Silent, Stage, Update, Wait,
};
pub use order::acceptable;
pub use placement::{Continent, Excluded, Miss, Placement, Ranking, Request, Share, Spread, choose, spread};
pub use readiness::{Look, Passed, Prospect, Readiness, Watched};
