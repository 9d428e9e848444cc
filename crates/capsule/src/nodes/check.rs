//! One node, looked at until it is clear how it is.

use std::net::IpAddr;
use std::time::Duration;

use capsule_core::{Error, ErrorKind, InstanceId, Result};
use capsule_engine::Record;
use capsule_xnode::{
    Certificate, Endpoint, Health, Manager, Outside, Probe, Trust, Untrusted, Usage, Watcher, Web, probe,
};
use serde::Serialize;

use super::{Goal, Logins, Pins};

/// Between two looks at a node that did not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// A server of the inventory that is meant to be an xNode.
#[derive(Debug, Clone)]
pub struct Node {
    /// What the inventory says.
    pub record: Record,
    /// What it is meant to be.
    pub goal: Goal,
}

/// Why a node is believed to be itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// An authority vouches for its domain.
    ByAuthority,
    /// It shows the key that it was pinned by.
    ByPin,
    /// It is seen for the first time, and pinned from now on.
    FirstSeen,
}

impl Known {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Known::ByAuthority => "authority",
            Known::ByPin => "pinned",
            Known::FirstSeen => "first seen",
        }
    }
}

/// What a check came to.
#[derive(Debug)]
pub struct Checked {
    /// How it is.
    pub health: Health,
    /// What the last look said.
    pub probe: Probe,
    /// Its certificate, if it showed one that is taken.
    pub certificate: Option<Certificate>,
    /// Why it is believed to be itself.
    pub known: Option<Known>,
    /// Why its domain does not verify, where it has one that does not.
    pub domain_trouble: Option<String>,
    /// What it told its owner, where there is a login; that it did proves whose it is.
    pub usage: Option<Result<Usage>>,
}

/// The way to nodes, and what is known of them.
pub struct Checker {
    /// The way.
    pub outside: Outside,
    /// Their keys.
    pub pins: Pins,
    /// Their owner's logins.
    pub logins: Logins,
    /// Divides pauses.
    pub pace: u32,
}

/// What one look saw, and how.
struct Look {
    at: Endpoint,
    trust: Trust,
    web: capsule_xnode::Sight,
    domain_trouble: Option<String>,
}

impl Checker {
    /// Looks at a node until it is clear how it is: one look that fails says little, an alarm is one at once.
    ///
    /// # Errors
    /// When there is nothing to look at, or what is known of it cannot be read or written.
    pub async fn check(&self, node: &Node) -> Result<Checked> {
        let mut watcher = Watcher::new();
        loop {
            let checked = self.look(node, &mut watcher).await?;
            if checked.health != Health::Shaky {
                return Ok(checked);
            }
            self.outside.clock().sleep(PAUSE / self.pace.max(1)).await;
        }
    }

    /// Looks once, on behalf of somebody who goes on looking.
    ///
    /// # Errors
    /// As [`check`](Checker::check).
    pub async fn look(&self, node: &Node, watcher: &mut Watcher) -> Result<Checked> {
        let name = &node.record.name;
        let now = self.outside.now();
        let look = self.see(node).await?;
        let probe = probe(name, &look.web, now);
        let health = watcher.note(&probe);
        let certificate = match &look.web.web {
            Web::Tls { certificate, .. } => Some(certificate.clone()),
            _ => None,
        };
        let mut known = match look.trust {
            Trust::Authorities => Some(Known::ByAuthority),
            Trust::Pinned(_) => Some(Known::ByPin),
            Trust::Anyone => None,
        };
        if let (Probe::Good(certificate), None) = (&probe, known) {
            self.pins.first(&node.record.id, &certificate.pin, now)?;
            known = Some(Known::FirstSeen);
        }
        // To a node that is seen for the first time nothing secret is sent.
        let usage = match (&probe, &look.trust) {
            (Probe::Good(_), Trust::Pinned(_) | Trust::Authorities) => {
                match self.logins.find(node.goal.owner, &look.at.host)? {
                    Some(session) => {
                        let manager = Manager::login(&self.outside, &look.at, &look.trust, &session).await;
                        Some(match manager {
                            Ok(manager) => manager.usage().await,
                            Err(error) => Err(error),
                        })
                    }
                    None => None,
                }
            }
            _ => None,
        };
        let known = known.filter(|_| certificate.is_some());
        Ok(Checked { health, probe, certificate, known, domain_trouble: look.domain_trouble, usage })
    }

    /// Looks at it under its domain; where no authority vouches for that, under the name that every node answers to.
    async fn see(&self, node: &Node) -> Result<Look> {
        let ip = address(&node.record)?;
        let mut domain_trouble = None;
        if let Some(domain) = &node.goal.domain {
            let at = Endpoint::domain(ip, domain);
            match capsule_xnode::look(&self.outside, &at, &Trust::Authorities).await {
                Ok(web) => return Ok(Look { at, trust: Trust::Authorities, web, domain_trouble: None }),
                Err(Untrusted(why)) => domain_trouble = Some(why),
            }
        }
        let at = Endpoint::local(ip);
        let trust = self.trust(&node.record.id)?;
        let seen = capsule_xnode::look(&self.outside, &at, &trust).await;
        let web = seen.map_err(|Untrusted(why)| Error::new(ErrorKind::Unavailable, format!("{why}.")))?;
        Ok(Look { at, trust, web, domain_trouble })
    }

    fn trust(&self, id: &InstanceId) -> Result<Trust> {
        Ok(self.pins.known(id)?.map_or(Trust::Anyone, |known| Trust::Pinned(known.pin)))
    }

    /// A way to talk to a node's manager as its owner, if there is a login and it is known for sure.
    ///
    /// # Errors
    /// What the node says to the login.
    pub async fn manager(&self, node: &Node) -> Result<Option<Manager<'_>>> {
        let look = self.see(node).await?;
        if look.trust == Trust::Anyone {
            return Ok(None);
        }
        match self.logins.find(node.goal.owner, &look.at.host)? {
            Some(session) => Manager::login(&self.outside, &look.at, &look.trust, &session).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Where a node is looked at.
///
/// # Errors
/// [`ErrorKind::NotFound`] if it has no address.
pub fn address(record: &Record) -> Result<IpAddr> {
    record.addresses.primary().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("`{}` has no address to look at.", record.name))
            .with_hint("`capsule show` asks the provider for it.")
    })
}
