//! The keys that nodes are known by: pinned at the first use, in a file of ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use capsule_core::{Error, ErrorKind, InstanceId, Result};
use capsule_xnode::Pin;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::{Home, keep};

/// `pins.json`: server to the key it is known by.
#[derive(Debug, Clone)]
pub struct Pins {
    home: Home,
}

/// A key that a node is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The key.
    pub pin: Pin,
    /// When it was seen first.
    pub since: Timestamp,
}

type Known = BTreeMap<String, Pinned>;

impl Pins {
    /// The pins of a home.
    pub fn new(home: Home) -> Self {
        Pins { home }
    }

    /// The key that a server is known by.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file is there and cannot be understood: then nothing is known, and nothing is trusted.
    pub fn known(&self, id: &InstanceId) -> Result<Option<Pinned>> {
        Ok(read(&self.path())?.remove(&id.to_string()))
    }

    /// Knows a server by this key from now on, unless it is known by one already; answers the one that holds.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be written.
    pub fn first(&self, id: &InstanceId, pin: &Pin, now: Timestamp) -> Result<Pinned> {
        self.change(|known| {
            known.entry(id.to_string()).or_insert_with(|| Pinned { pin: pin.clone(), since: now }).clone()
        })
    }

    /// Forgets the key of a server: it was installed anew, or is no more.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the file cannot be written.
    pub fn forget(&self, id: &InstanceId) -> Result<()> {
        if self.known(id)?.is_none() {
            return Ok(());
        }
        self.change(|known| drop(known.remove(&id.to_string())))
    }

    fn path(&self) -> PathBuf {
        self.home.join("pins.json")
    }

    /// Reads, changes and replaces the file while no other process does.
    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> Result<T> {
        self.home.create()?;
        let _alone = crate::settings::lock(&self.home.join("pins.lock"))?;
        let mut known = read(&self.path())?;
        let answer = change(&mut known);
        keep(&self.path(), &serde_json::to_vec_pretty(&known).expect("pins can be written as JSON"))?;
        Ok(answer)
    }
}

fn read(path: &Path) -> Result<Known> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(ErrorKind::Config, format!("{} cannot be understood: {error}.", path.display()))
                .with_hint("Restore it from a backup. Without it, nodes cannot be told from somebody in their place.")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Known::new()),
        Err(error) => Err(Error::new(ErrorKind::Config, format!("{} cannot be read: {error}.", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_stays_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let pins = Pins::new(Home::locate(Some(dir.path())).unwrap());
        let id = InstanceId::new("testcloud", "here", "1");
        let (one, two) = (Pin::of_key(b"one"), Pin::of_key(b"two"));
        assert_eq!(pins.known(&id).unwrap(), None);
        let first = pins.first(&id, &one, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(pins.first(&id, &two, Timestamp::MAX).unwrap(), first);
        assert_eq!(pins.known(&id).unwrap().unwrap().pin, one);
        pins.forget(&id).unwrap();
        assert_eq!(pins.first(&id, &two, Timestamp::UNIX_EPOCH).unwrap().pin, two);
        // What cannot be read is not taken for an empty file.
        std::fs::write(dir.path().join("pins.json"), "{").unwrap();
        assert_eq!(pins.known(&id).unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(pins.first(&id, &two, Timestamp::UNIX_EPOCH).unwrap_err().kind(), ErrorKind::Config);
    }
}
