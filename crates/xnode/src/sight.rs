//! What one look at a server from outside sees.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::claim::Claim;

/// What a port did when it was knocked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Port {
    /// It took the connection.
    Open,
    /// It refused.
    Closed,
    /// It said nothing in time.
    Silent,
    /// There is no way there from here: this says nothing about the server.
    Unreachable,
}

/// What one look saw.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Port 22, where the old system answers. An xNode has none.
    pub ssh: Port,
    /// Port 443.
    pub web: Web,
}

/// What port 443 showed.
#[derive(Debug, Clone)]
pub enum Web {
    /// Not open.
    Shut(Port),
    /// Open, but no TLS, and why.
    NoTls(String),
    /// TLS with another key than the one that is known.
    Changed {
        /// The known one.
        known: Pin,
        /// What it shows now.
        seen: Certificate,
    },
    /// TLS.
    Tls {
        /// Whose.
        certificate: Certificate,
        /// What was answered to a stranger.
        answer: Answer,
    },
}

/// What a stranger was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it says about the owner; `None` without an answer.
    pub claim: Option<Claim>,
    /// Whether the login page answers.
    pub login: bool,
    /// For people: a short sentence without a period.
    pub words: String,
}

/// What matters of a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its key.
    pub pin: Pin,
    /// When it begins to hold.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// A public key by its SHA-256, as 64 hexadecimal digits. Whoever shows the key again is the same server.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pin(String);

impl Pin {
    /// The pin of a key in the form that certificates hold it in (SubjectPublicKeyInfo, DER).
    pub fn of_key(spki: &[u8]) -> Pin {
        Pin(Sha256::digest(spki).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}
