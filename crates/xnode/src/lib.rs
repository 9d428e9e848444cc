//! From a server to an xNode: what the server is told at birth, and how its owner proves to be the owner.
//!
//! An xNode is a server whose system was replaced by XnodeOS. The user-data composed here makes that happen at the
//! first boot. Everything in this crate is a function of values: no file, no network, no clock.
//!
//! - [`XnodeConfig`] says whose the node is. Each of its fields is of a type that only a checked text becomes.
//! - [`fit`] says, before money is spent, whether a plan and an image can carry XnodeOS at all.
//! - [`user_data`] is the text for cloud-init; [`merge`] joins it with a text of the user's own.
//! - [`Claim`] is what a node's answer to a stranger proves: guarded, or open to anyone.
//! - [`login_text`] is what the owner's wallet signs, and [`verify`] checks what it signed.

mod claim;
mod config;
mod encode;
mod fit;
mod owner;
mod signature;
mod user_data;

pub use claim::{CLAIM_PATH, Claim};
pub use config::{Domain, Email, InitialConfig, InstallerUrl, UserPassword, Version, XnodeConfig};
pub use fit::{Fit, MIN_DISK_GIB, fit};
pub use owner::Owner;
pub use signature::{LOCAL_DOMAIN, login_text, verify};
pub use user_data::{merge, user_data};
