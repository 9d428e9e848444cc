//! What the processes of one machine have sent under one account: a log that each of them reads before it sends.
//!
//! # Guarantees
//! - Whoever holds the lock on the log knows every request that was sent before, by whomever, and every wait that a
//!   vendor asked anyone for.
//! - A process that dies takes nothing along: the system gives its lock back, and of a line that it did not finish, what
//!   is left is unreadable or about a time long past.
//!
//! # Assumptions
//! - One clock and file locks that work: one machine, one local file system.
//!
//! # Caveats
//! - Lines are not forced to the disk. After a loss of power the log may be too short; the vendor's headers then tell.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Where the ledgers of all accounts lie. By default nowhere: then each process counts for itself alone.
#[derive(Debug, Clone, Default)]
pub struct Ledgers {
    folder: Option<PathBuf>,
}

impl Ledgers {
    /// Ledgers in this folder, which is made when the first request is sent.
    pub fn within(folder: PathBuf) -> Self {
        Ledgers { folder: Some(folder) }
    }

    /// The ledger of whom the vendor counts requests for: `whose` names vendor, host and whatever else its limits go by,
    /// and `key` the account, unless it counts by address. The file's name tells neither.
    pub fn of(&self, whose: &[&str], key: Option<&SecretString>) -> Option<Ledger> {
        let mut name = Sha256::new();
        for part in whose.iter().copied().chain(key.map(ExposeSecret::expose_secret)) {
            name.update((part.len() as u64).to_be_bytes());
            name.update(part);
        }
        let name = name.finalize().iter().take(16).fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
        Some(Ledger { path: self.folder.as_ref()?.join(name), log: None })
    }
}

/// The log of one account.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    log: Option<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    /// How much of it was read or written by us.
    known: u64,
    /// Whether nothing of it was read yet.
    unread: bool,
    /// Whether it ends in a line that was not finished.
    torn: bool,
    /// At which length it is to be shortened.
    shorten_at: u64,
}

/// A log is left alone below this length.
const SMALL: u64 = 128 << 10;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Of which limit: its name, or `None` for what binds every call.
    pub(super) limit: Option<String>,
    pub(super) what: What,
    pub(super) at: Timestamp,
}

/// What a line says about its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A request was sent.
    Sent,
    /// Until then the vendor has so many left.
    Left(u32),
    /// Until then the vendor wants to hear nothing.
    Silent,
    /// The store of tokens held so many millionths; stands only in a log that was shortened.
    Level(i64),
}

impl Line {
    /// The time comes last and always has its thirteen digits: cut short anywhere, it is of the last century.
    fn write(&self, text: &mut String) {
        let limit = self.limit.as_deref().unwrap_or("*");
        let (word, number) = match self.what {
            What::Sent => ("sent", 1),
            What::Left(left) => ("left", i64::from(left)),
            What::Silent => ("silent", 1),
            What::Level(level) => ("level", level),
        };
        // Rounded up: a request is never taken for older than it is.
        let at = self.at.as_microsecond().saturating_add(999) / 1000;
        writeln!(text, "{word} {limit} {number} {at}").expect("a String takes any text");
    }

    fn read(line: &str) -> Option<Line> {
        let mut words = line.split(' ');
        let (word, limit, number) = (words.next()?, words.next()?, words.next()?.parse::<i64>().ok()?);
        let at = Timestamp::from_millisecond(words.next()?.parse().ok()?).ok()?;
        let what = match word {
            "sent" => What::Sent,
            "left" => What::Left(u32::try_from(number).ok()?),
            "silent" => What::Silent,
            "level" => What::Level(number),
            _ => return None,
        };
        let limit = (limit != "*").then(|| limit.to_owned());
        words.next().is_none().then_some(Line { limit, what, at })
    }
}

impl Ledger {
    /// Locks the log and reads what is new in it; `None` while another process has it.
    pub(super) fn turn(&mut self, now: Timestamp) -> io::Result<Option<Turn<'_>>> {
        loop {
            let log = match self.log.take() {
                Some(log) => log,
                None => Log::open(&self.path, now)?,
            };
            let log = self.log.insert(log);
            if !log.lock()? {
                return Ok(None);
            }
            let meta = log.file.metadata()?;
            // Another process has put a shorter one in its place, or somebody has thrown it away.
            if meta.nlink() == 0 || meta.len() < log.known {
                self.log = None;
                continue;
            }
            break;
        }
        let log = self.log.as_mut().expect("the loop ends with an open log");
        let (afresh, news) = (log.unread, log.read()?);
        Ok(Some(Turn { path: &self.path, log, afresh, news }))
    }
}

/// The log while nobody else reads or writes it.
pub(super) struct Turn<'a> {
    path: &'a Path,
    log: &'a mut Log,
    /// Whether what is known from earlier turns is to be forgotten: `news` has all of it.
    pub(super) afresh: bool,
    /// What was written since the last turn.
    pub(super) news: Vec<Line>,
}

impl Turn<'_> {
    /// Adds lines; asks for all lines that still matter, `whole`, when the log has become too long.
    pub(super) fn write(&mut self, lines: &[Line], whole: impl FnOnce() -> Vec<Line>) -> io::Result<()> {
        let mut text = String::new();
        if self.log.torn {
            text.push('\n');
        }
        lines.iter().for_each(|line| line.write(&mut text));
        self.log.file.write_all(text.as_bytes())?;
        self.log.known += text.len() as u64;
        self.log.torn = false;
        if self.log.known > self.log.shorten_at { self.replace(&whole()) } else { Ok(()) }
    }

    /// Puts a log of these lines in the place of this one. Whoever waits for the lock sees that this one is no more.
    fn replace(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = String::new();
        lines.iter().for_each(|line| line.write(&mut text));
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&fresh, self.path)?;
        let known = text.len() as u64;
        let file = OpenOptions::new().read(true).append(true).open(self.path)?;
        // The old file is unlocked as it is closed here.
        *self.log = Log { file, known, unread: false, torn: false, shorten_at: SMALL.max(2 * known) };
        Ok(())
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // A lock that cannot be given back goes with the file.
        let _ = self.log.file.unlock();
    }
}

impl Log {
    fn open(path: &Path, now: Timestamp) -> io::Result<Log> {
        let folder = path.parent().unwrap_or(path);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        if file.metadata()?.len() == 0 {
            sweep(folder, now);
        }
        Ok(Log { file, known: 0, unread: true, torn: false, shorten_at: SMALL })
    }

    /// Whoever has the lock gives it back within microseconds: it is worth a few looks.
    fn lock(&self) -> io::Result<bool> {
        for _ in 0..100 {
            match self.file.try_lock() {
                Ok(()) => return Ok(true),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    fn read(&mut self) -> io::Result<Vec<Line>> {
        let length = self.file.metadata()?.len();
        let mut bytes = vec![0; usize::try_from(length - self.known).unwrap_or(0)];
        self.file.read_exact_at(&mut bytes, self.known)?;
        self.known = length;
        self.unread = false;
        if let Some(last) = bytes.last() {
            self.torn = *last != b'\n';
        }
        // Whoever writes holds the lock to the end of the line: one that is not whole is a dead process's.
        Ok(String::from_utf8_lossy(&bytes).lines().filter_map(Line::read).collect())
    }
}

/// Removes what no process has written to for longer than any limit is counted: the ledgers of keys long gone.
fn sweep(folder: &Path, now: Timestamp) {
    const OLD: SignedDuration = SignedDuration::from_hours(48);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|meta| meta.modified()).ok();
        let written = written.and_then(|at| Timestamp::try_from(at).ok());
        if written.is_some_and(|at| now.duration_since(at) > OLD) {
            // What cannot be removed stays.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// How long to wait for a lock that another process holds.
pub(super) const BUSY: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_short_says_nothing_about_today() {
        let at = Timestamp::constant(1_767_225_600, 0);
        let long_past = at - SignedDuration::from_hours(24 * 365 * 10);
        for what in [What::Sent, What::Left(120), What::Silent, What::Level(99_000_000)] {
            for limit in [None, Some("keys".to_owned())] {
                let line = Line { limit, what, at };
                let mut text = String::new();
                line.write(&mut text);
                let text = text.trim_end();
                assert_eq!(Line::read(text), Some(line));
                for end in 0..text.len() {
                    let rest = Line::read(&text[..end]);
                    assert!(rest.as_ref().is_none_or(|line| line.at < long_past), "`{}` is {rest:?}", &text[..end]);
                }
            }
        }
    }
}
