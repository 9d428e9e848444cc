//! The turn to write.
//!
//! SQLite has one writer at a time and no line to wait in: who finds the file locked looks again and again, ever more
//! seldom, and where another process writes without a pause its seldom looks find no gap. So it is told to look for a few
//! milliseconds only, and is asked again: hundreds of looks in a second find any gap. Within a process one waits on behalf
//! of all, and the others stand in line behind it.

use capsule_core::Result;
use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::Mutex;

use super::database::store;
use crate::engine::Notice;

/// Milliseconds that SQLite itself looks for a gap when it is asked once.
pub(super) const LOOK_MS: u64 = 20;

/// Gets one transaction after the other that may write.
pub(super) struct Turn {
    is_sqlite: bool,
    /// So many looks found no gap since the last one that did.
    in_vain: Mutex<u64>,
    /// After so many the user is told: a second.
    pub(super) tell_after: u64,
    /// After so many it is given up: a minute.
    pub(super) most: u64,
    notice: Option<Notice>,
}

impl Turn {
    pub(super) fn new(is_sqlite: bool, notice: Option<Notice>) -> Self {
        Turn { is_sqlite, in_vain: Mutex::new(0), tell_after: 1000 / LOOK_MS, most: 60_000 / LOOK_MS, notice }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        self.in_vain.try_lock().is_err()
    }

    /// A transaction that nobody else writes beside; nothing was written before it is there.
    ///
    /// # Errors
    /// [`capsule_core::ErrorKind::Store`]; for a file that stays locked, after a minute.
    pub(super) async fn begin(&self, pool: &AnyPool) -> Result<Transaction<'static, Any>> {
        if !self.is_sqlite {
            return pool.begin().await.map_err(|error| store("write", error));
        }
        let mut in_vain = self.in_vain.lock().await;
        loop {
            // A deferred transaction that reads first cannot wait for its turn to write.
            match pool.begin_with("BEGIN IMMEDIATE").await {
                Ok(begun) => {
                    *in_vain = 0;
                    return Ok(begun);
                }
                // Whoever stood in line behind one that gave up looks once.
                Err(error) if is_locked(&error) && *in_vain < self.most => *in_vain += 1,
                Err(error) => return Err(store("write", error)),
            }
            if let (true, Some(notice)) = (*in_vain == self.tell_after, &self.notice) {
                notice("The journal is being written by another process; waiting for it, for up to a minute.");
            }
        }
    }
}

/// SQLite's primary result codes for a file or a table that somebody else has locked, <https://sqlite.org/rescode.html>.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
}
