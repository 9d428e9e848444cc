//! Clouds in one process: one [`World`], several dialects, faults and a ledger.
//!
//! The world owns accounts, machines, side resources and faults. A [`Dialect`] speaks one vendor's API over it: it
//! routes, authenticates, validates, pages and renders; it never starts a task. What a machine is doing follows from its
//! timeline and the time alone, so half an hour of bare-metal installation passes at once under a manual clock.
//!
//! The same world is reached in process, through [`Sim::transport`], and over TCP, through [`Sim::serve`]; it lies in
//! memory, or in a file that separate processes share.
//!
//! # What is modelled
//! Accounts and wrong keys, a small catalog with real names and prices, the life of a server from order to end, its
//! addresses and tags, SSH keys, the vendor's checks and error bodies for the calls that Capsule makes, paging, and the
//! documented request limits. What stands at a server's addresses, up to the xNode that its user-data makes of it: see
//! [`guest`]. On request, the ways in which clouds and networks fail: see [`fault`].
//!
//! # What is not
//! No guest runs: user-data is read, not executed, and a server answers what would follow from it. No stock runs out
//! unless a fault says so. The [`ledger`] says what was alive, when, and the `invoice` what that
//! costs, which is what balances and previews show. Calls that Capsule does not
//! make are answered with the vendor's "not found".

pub mod catalog;
pub mod dialect;
pub mod dialects;
pub mod fault;
pub mod guest;
pub mod invoice;
pub mod late;
pub mod ledger;
pub mod limit;
pub mod machine;
mod serve;
mod shelf;
mod sim;
mod store;
mod transport;
pub mod wire;
pub mod world;

pub use dialect::{Dialect, Listing, Mishap, Rehearsal};
pub use dialects::{credentials, dialect, dialects};
pub use fault::{Fault, What};
pub use guest::{Guest, Install, Loader, Stage, Trouble};
pub use invoice::Bill;
pub use late::Late;
pub use ledger::{Birth, Ledger};
pub use machine::{Change, Machine, MachineKind, Pace, State, Timeline};
pub use serve::Serving;
pub use shelf::{Keyed, Shelf};
pub use sim::{Options, Sim};
pub use wire::{Request, Response};
pub use world::{Account, Draft, Resource, View, World};

/// The key that every simulated cloud takes.
pub const SANDBOX_KEY: &str = "sandbox";
/// The key of a second account, for what must not be seen or touched with the first.
pub const OTHER_KEY: &str = "sandbox-other";
/// The project of the account of [`SANDBOX_KEY`], where a cloud has such.
pub const SANDBOX_PROJECT: &str = "5a4d0000-0000-4000-8000-000000000001";
/// The project of the account of [`OTHER_KEY`].
pub const OTHER_PROJECT: &str = "5a4d0000-0000-4000-8000-000000000002";
/// The access key id that simulated AWS takes.
pub const SANDBOX_AWS_ACCESS_KEY: &str = "AKIASANDBOX000000000";
/// The secret to [`SANDBOX_AWS_ACCESS_KEY`].
pub const SANDBOX_AWS_SECRET_KEY: &str = "sandbox/secret/access/key/0000000000000000";
/// The access key id of the second AWS account.
pub const OTHER_AWS_ACCESS_KEY: &str = "AKIASANDBOXOTHER0000";
/// The secret to [`OTHER_AWS_ACCESS_KEY`].
pub const OTHER_AWS_SECRET_KEY: &str = "sandbox/other/secret/access/key/0000000000";
