//! From a server to an xNode: what the server is told at birth, what shows from outside that it became one, and how its
//! owner proves to be the owner.
//!
//! An xNode is a server whose system was replaced by XnodeOS. The user-data composed here makes that happen at the
//! first boot. Everything but [`Outside`] and what goes through it is a function of values: no file, no network, no clock.
//!
//! - [`XnodeConfig`] says whose the node is. Each of its fields is of a type that only a checked text becomes.
//! - [`fit`] says, before money is spent, whether a plan and an image can carry XnodeOS at all.
//! - [`user_data`] is the text for cloud-init; [`merge`] joins it with a text of the user's own.
//! - [`look`] looks at a server once, and [`judge`] says which [`Stage`] that is and what follows.
//! - [`Claim`] is what a node's answer to a stranger proves: guarded, or open to anyone.
//! - [`probe`] and [`Watcher`] say how a node is that should be up, and [`Manager`] what it tells its owner.
//! - [`login_text`] is what the owner's wallet signs, and [`verify`] checks what it signed.

mod claim;
mod config;
mod encode;
mod fit;
mod health;
mod look;
mod manager;
mod outside;
mod owner;
mod sight;
mod signature;
mod stage;
mod user_data;

pub use claim::{CLAIM_PATH, Claim};
pub use config::{Domain, Email, InitialConfig, InstallerUrl, UserPassword, Version, XnodeConfig};
pub use fit::{Fit, Lack, MIN_DISK_GIB, Refusal, fit};
pub use health::{Health, Probe, Watcher, ends_soon, is_own_outage, own_outage, probe};
pub use look::{Untrusted, look};
pub use manager::{Core, Disk, Manager, Memory, Session, Usage};
pub use outside::{Authorities, Endpoint, Outside, Reply, Trouble, Trust};
pub use owner::Owner;
pub use sight::{Answer, Certificate, Pin, Port, Sight, Web};
pub use signature::{LOCAL_DOMAIN, login_text, verify};
pub use stage::{End, History, Judgement, Limits, Stage, judge};
pub use user_data::{merge, user_data};
