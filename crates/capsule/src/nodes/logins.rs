//! Signatures that log into nodes: each is like a private key, and lies in one file that nobody else can read.

use std::path::PathBuf;

use capsule_core::{Error, ErrorKind, Result};
use capsule_xnode::{Owner, Session};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::settings::{Home, keep, lock};

/// `logins.json`: what wallets signed.
#[derive(Debug, Clone)]
pub struct Logins {
    home: Home,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    owner: Owner,
    domain: String,
    at: i64,
    signature: String,
}

impl Logins {
    /// The logins of a home.
    pub fn new(home: Home) -> Self {
        Logins { home }
    }

    /// Keeps a login in place of an earlier one for the same wallet and name; answers the file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be written.
    pub fn keep(&self, session: &Session) -> Result<PathBuf> {
        self.home.create()?;
        let _alone = lock(&self.home.join("logins.lock"))?;
        let mut all = self.read()?;
        all.retain(|stored| stored.owner != session.owner || stored.domain != session.domain);
        all.push(Stored {
            owner: session.owner,
            domain: session.domain.clone(),
            at: session.at.as_second(),
            signature: session.signature().expose_secret().to_owned(),
        });
        keep(&self.path(), &serde_json::to_vec_pretty(&all).expect("logins can be written as JSON"))?;
        Ok(self.path())
    }

    /// The login for a name; of `owner`, where the owner is known. Checked anew.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be understood.
    pub fn find(&self, owner: Option<Owner>, domain: &str) -> Result<Option<Session>> {
        let mine = |stored: &&Stored| stored.domain == domain && owner.is_none_or(|owner| stored.owner == owner);
        let all = self.read()?;
        let Some(stored) = all.iter().rfind(mine) else { return Ok(None) };
        let at = Timestamp::from_second(stored.at).map_err(|_| self.damaged())?;
        Session::new(stored.owner, domain, at, stored.signature.clone().into()).map(Some).map_err(|_| self.damaged())
    }

    fn path(&self) -> PathBuf {
        self.home.join("logins.json")
    }

    fn read(&self) -> Result<Vec<Stored>> {
        match std::fs::read(self.path()) {
            // What serde would say could quote the signature.
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| self.damaged()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => {
                Err(Error::new(ErrorKind::Config, format!("{} cannot be read: {error}.", self.path().display())))
            }
        }
    }

    fn damaged(&self) -> Error {
        Error::new(ErrorKind::Config, format!("{} cannot be understood.", self.path().display()))
            .with_hint("Delete it and log in again with `capsule xnode login`.")
    }
}
