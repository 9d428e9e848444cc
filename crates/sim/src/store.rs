//! Where the world lies: in memory, or in a file that separate processes share.
//!
//! With a file, each access takes an exclusive lock on a sibling `.lock` file, reads what others wrote, and writes what
//! it changed before anyone is answered: a client that is killed loses no effect. Files are replaced whole by renaming,
//! so none is ever half written. Request counts lie in a second, small file, since every look changes them; it also
//! carries the world's generation, by which a process sees that it has to read again. The generation is written before
//! the world: dying in between costs the others one reading, never a change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use capsule_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limit::Traffic;
use crate::world::World;

/// What an access changed, and so has to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    Nothing,
    Traffic,
    World,
}

/// The world and its traffic.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) world: World,
    pub(crate) traffic: Traffic,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    world: PathBuf,
    traffic: PathBuf,
    lock: PathBuf,
}

impl Store {
    pub(crate) fn in_memory(world: World) -> Self {
        Store { world, traffic: Traffic::default(), files: None }
    }

    /// The world in the file at `path`, or `fresh`, written there.
    pub(crate) fn open(path: &Path, fresh: World) -> Result<Self> {
        let sibling = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let files = Files { world: path.to_owned(), traffic: sibling(".traffic"), lock: sibling(".lock") };
        let mut store = Store { world: fresh, traffic: Traffic::default(), files: Some(files) };
        store.access(|store| {
            let files = store.files.as_ref().expect("it was set above");
            match read(&files.world)? {
                Some(world) => store.world = world,
                None => return Ok(((), Wrote::World)),
            }
            Ok(((), Wrote::Nothing))
        })?;
        Ok(store)
    }

    /// Runs `work` on the newest state, and writes what it says it changed.
    pub(crate) fn access<T>(&mut self, work: impl FnOnce(&mut Store) -> Result<(T, Wrote)>) -> Result<T> {
        let Some(lock_path) = self.files.as_ref().map(|files| files.lock.clone()) else {
            return work(self).map(|(out, _)| out);
        };
        let lock = private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(&lock_path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| failed("locked", &lock_path, &error))?;
        let out = self.refresh().and_then(|()| work(self)).and_then(|(out, wrote)| {
            self.save(wrote)?;
            Ok(out)
        });
        if out.is_err() {
            // What was changed here and not written must not be seen: the next access reads again.
            self.traffic.generation = u64::MAX;
        }
        drop(lock);
        out
    }

    fn refresh(&mut self) -> Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        let Some(traffic) = read::<Traffic>(&files.traffic)? else { return Ok(()) };
        if traffic.generation != self.traffic.generation
            && let Some(world) = read(&files.world)?
        {
            self.world = world;
        }
        self.traffic = traffic;
        Ok(())
    }

    fn save(&mut self, wrote: Wrote) -> Result<()> {
        let Some(files) = &self.files else { return Ok(()) };
        if wrote == Wrote::World {
            self.traffic.generation += 1;
        }
        if wrote != Wrote::Nothing {
            write(&files.traffic, &self.traffic)?;
        }
        if wrote == Wrote::World {
            write(&files.world, &self.world)?;
        }
        Ok(())
    }
}

fn failed(what: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Store, format!("The simulated world's file {} cannot be {what}: {error}.", path.display()))
        .with_hint("`capsule sandbox reset` starts a new world.")
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed("understood", path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, &error)),
    }
}

/// Whoever holds the lock is alone, so the temporary file needs no name of its own.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let bytes = serde_json::to_vec(value).map_err(|error| failed("written", path, &error))?;
    private(OpenOptions::new().create(true).truncate(true).write(true))
        .open(&new)
        .and_then(|mut file: File| file.write_all(&bytes))
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| failed("written", path, &error))
}

/// Readable by their user alone: user-data can hold secrets even in a simulation.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
