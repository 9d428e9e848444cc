//! What stands at a server's addresses: the system it was ordered with, an installer at work, or an xNode.
//!
//! Nothing runs for it. What a server is at a moment follows from its life, its user-data, what was changed on the node
//! since, and the time: see [`Guest::stage_at`]. At natural speed a virtual server is a node about ten minutes after it
//! runs, bare metal about thirty; a world's speed divides that.
//!
//! | stage | port 22 | 80 | 443 |
//! |---|---|---|---|
//! | [`Dark`](Stage::Dark), [`Dead`](Stage::Dead), [`Installing`](Stage::Installing) | closed | closed | closed |
//! | [`Ubuntu`](Stage::Ubuntu) | greets | closed | closed |
//! | [`Starting`](Stage::Starting) | closed | redirects | TLS, 502 |
//! | [`Ready`](Stage::Ready) | closed | redirects | the manager, behind its login if it has an owner |
//!
//! Whether there will be a node, and whose, is read out of the user-data: as cloud-init reads it, and then by a real
//! shell parser, without running any of it. The names that the installer reads decide: an owner under another name is
//! none. Less than 2 GB of memory, or encryption, ends in the dark, and so does a server whose vendor starts it with a
//! [`Loader`] of the host's: the installed system has to start from its own disk.
//!
//! [`Sim::net`](crate::Sim::net) leads there. Every connection gets a loopback socket of its own, made when it is asked
//! for, so ten thousand servers cost nothing. Certificates are derived from the world's seed and the server: they are the
//! same in every process. With a domain that the world's [names](crate::World::names) lead to the server they are
//! signed by [`Sim::authority`](crate::Sim::authority); otherwise by themselves.
//!
//! Other programs get there through [`Serving::network`](crate::Serving), an HTTP proxy.
//!
//! # What goes wrong
//! [`Trouble`]s are built into servers by faults at the operation that makes them, or hold for single connections by
//! faults at `node.dial`. Connections and requests have operations of their own: `node.dial`, `node.login`,
//! `node.os_get`, `node.os_set`, `node.usage`, `node.request`, `node.other`, and `net.resolve`, which no provider owns.
//! A fault concerns these only when it names them; `*` stands for the vendors' APIs alone.
//!
//! # What is not modelled
//! The manager's other routes, the second line's routes altogether, containers, reboots from inside, `regex:` owners,
//! and disks: attached volumes are neither wiped nor in the way.

mod cloud_init;
mod installer;
mod life;
mod login;
mod manager;
mod net;
pub(crate) mod proxy;
mod shell;
mod tls;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use installer::{Install, Line, Told};
pub(crate) use life::Surroundings;
pub use life::{Guest, Stage};
pub(crate) use net::{SandboxNet, is_node_operation};
pub(crate) use tls::authority;

/// The address that clients of the sandbox come from, for firewalls and access lists.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The name that every node answers to.
pub const LOCAL_DOMAIN: &str = "manager.xnode.local";

/// Something about a server that keeps it from becoming a good node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The installer's address answers 404.
    NoInstaller,
    /// The installation takes so much longer, in milliseconds.
    SlowInstall(u64),
    /// The installation starts and never ends.
    DeadInstall,
    /// A firewall drops what comes to ports 80 and 443.
    ClosedHttps,
    /// Its certificates have expired.
    ExpiredCertificate,
    /// It shows other certificates than before.
    NewCertificate,
    /// The owner does not arrive.
    Unclaimed,
}

impl Trouble {
    /// That the installation takes so much longer.
    pub fn slow_install(by: Duration) -> Self {
        Trouble::SlowInstall(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What a server starts when it is switched on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loader {
    /// Whatever its own disk holds.
    #[default]
    OwnDisk,
    /// The system that it was ordered with, by a loader of the host's; nothing else is found.
    Host,
    /// Whatever its own disk holds, when it starts after that time. The system that it was ordered with has no loader of
    /// its own.
    OwnDiskSince(Timestamp),
}

/// What happened to a node since it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What is wrong with it.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
    /// What starts it.
    #[serde(default)]
    pub loader: Loader,
    /// What was set through its manager, in order; each is a request, counted from 1.
    #[serde(default)]
    pub changes: Vec<Setting>,
}

/// What a `POST /os/set` asked for. What is open stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// When it was asked for.
    pub at: Timestamp,
    /// When it holds.
    pub done_at: Timestamp,
    /// The whole Nix configuration.
    pub flake: Option<String>,
    /// Whose the node is.
    pub xnode_owner: Option<String>,
    /// The name it answers to.
    pub domain: Option<String>,
    /// For certificates.
    pub acme_email: Option<String>,
    /// For the console.
    pub user_passwd: Option<String>,
}

/// Where a name leads to, in the sandbox's own name service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The addresses, in order.
    pub addresses: Vec<IpAddr>,
    /// Since when.
    pub since: Timestamp,
}

impl fmt::Display for Name {
    /// A blank before each address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addresses.iter().try_for_each(|address| write!(f, " {address}"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Dark => "dark",
            Stage::Ubuntu => "ubuntu",
            Stage::Installing => "installing",
            Stage::Dead => "dead",
            Stage::Starting => "starting",
            Stage::Ready => "ready",
        })
    }
}
