//! The clouds that Capsule can rent servers from: a folder each, and the registry.
//!
//! Every folder has the same shape: `README.md` (the module's documentation: quirks and links), `mod.rs` (descriptor,
//! capabilities and `impl Provider`, which reads like an index), `api.rs` (the vendor's wire structs and one function per
//! call), `convert.rs` (wire to core and back, pure: the status table and the error table), `samples/` (bodies in the
//! vendor's recorded shape).

#![deny(clippy::float_arithmetic)]

pub mod aws;
pub mod digitalocean;
mod elsewhere;
pub mod equinix;
pub mod hivelocity;
pub mod linode;
mod registry;
pub mod scaleway;
#[cfg(test)]
mod script;
pub mod templates;
pub mod vultr;

pub use elsewhere::{Elsewhere, Resource};
pub use registry::{Connecting, Entry, all, find};
