//! Results on stdout, everything else on stderr.

mod csv;
mod progress;
mod rendered;
mod table;

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use capsule_core::{Error, ErrorKind, Money, Price, Result};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use self::csv::Csv;
pub use self::progress::Progress;
pub use self::table::Table;
use crate::cli::Format;

/// How this run prints its result: stdout has one format from its first byte to its last.
static FORMAT: Mutex<Format> = Mutex::new(Format::Json);

/// Says how this run prints its result.
pub fn set_format(format: Format) {
    *FORMAT.lock().expect("no panic happens under this lock") = format;
}

/// Prints a command's one document, in whichever format for programs was asked for.
///
/// # Errors
/// [`ErrorKind::Config`] if stdout cannot be written, unless nobody reads it any more.
pub fn json(value: &impl Serialize) -> Result<()> {
    let written = || serde_json::to_string(value).expect("a result can be written as JSON");
    let format = *FORMAT.lock().expect("no panic happens under this lock");
    match format {
        Format::Csv => text(&rendered::csv(&written())),
        Format::Yaml => text(&rendered::yaml(&written())),
        Format::Table | Format::Json => document(value),
    }
}

/// Prints one JSON document, whatever was asked for.
///
/// # Errors
/// As [`json`].
pub fn document(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let written = serde_json::to_writer(&mut out, value)
        .map_err(std::io::Error::from)
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    unless_closed(written)
}

/// Prints text that ends its own lines.
///
/// # Errors
/// As [`json`].
pub fn text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    unless_closed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// A pipe whose reader has had enough, such as `head`, is no error.
fn unless_closed(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::Config, format!("The result cannot be printed: {error}.")))
        }
        _ => Ok(()),
    }
}

/// Where notes go instead of stderr.
static NOTES: OnceLock<fn(String)> = OnceLock::new();

/// From now on hands notes to `take`: for a program that Capsule is only a part of. Only the first call counts.
pub fn take_notes(take: fn(String)) {
    let _ = NOTES.set(take);
}

/// Tells the user something on stderr that is no result.
pub fn note(line: impl std::fmt::Display) {
    if let Some(take) = NOTES.get() {
        return take(line.to_string());
    }
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether stderr is a terminal, where progress can be drawn.
pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colour is wanted on stdout.
pub fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Sends traces to stderr: `-v` what is done, `-vv` every request. Never a secret or a body: nothing puts one in.
pub fn trace(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "capsule=info,capsule_engine=info,capsule_core=info",
        _ => "capsule=debug,capsule_engine=debug,capsule_core=debug,capsule_providers=debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(stderr_is_terminal())
        .with_target(false)
        .init();
}

/// How long ago, in one or two units: `12s`, `5m`, `3h10m`, `8d`.
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    match since {
        None => "-".to_owned(),
        Some(since) => duration(now.duration_since(since)),
    }
}

/// A length of time in one or two units.
pub fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) if minutes < 10 => format!("{minutes}m{:02}s", seconds % 60),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{:02}m", minutes % 60),
        (days, ..) => format!("{days}d"),
    }
}

/// A price per hour for people, or that it is unknown.
pub fn hourly(price: Option<&Price>) -> String {
    price.and_then(|price| price.hourly().ok()).map_or_else(|| "unknown".to_owned(), |money| rounded(money, 4))
}

/// A price per month for people, or that it is unknown.
pub fn monthly(price: Option<&Price>) -> String {
    price.and_then(|price| price.monthly().ok()).map_or_else(|| "unknown".to_owned(), |money| rounded(money, 2))
}

/// What so much time costs, for people, or that it is unknown.
pub fn for_time(price: Option<&Price>, time: Duration) -> String {
    price
        .and_then(|price| price.for_duration(time).ok())
        .map_or_else(|| "unknown".to_owned(), |money| rounded(money, 2))
}

/// What of a month's price is not the plan: `root disk of 8 0.64, public IPv4 3.65`; nothing where that is all.
pub fn beside(price: Option<&Price>) -> String {
    let Some(price) = price else { return String::new() };
    let parts = price.parts().into_iter().skip(1).filter_map(|part| {
        let many = part.count.map_or(String::new(), |count| format!(" of {count} GB"));
        let amount = part.price.setup.or_else(|| part.price.monthly().ok())?;
        Some(format!("{}{many} {:.2}", part.what, amount.amount()))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn rounded(money: Money, places: usize) -> String {
    format!("{money:.places$}")
}

/// MiB as people say it: `512 MB`, `4 GB`, `1.5 GB`.
pub fn memory(mib: u64) -> String {
    match (mib / 1024, mib % 1024) {
        (0, mib) => format!("{mib} MB"),
        (gib, 0) => format!("{gib} GB"),
        (gib, rest) => format!("{gib}.{} GB", rest * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let cases = [(5, "5s"), (65, "1m05s"), (600, "10m"), (11_400, "3h10m"), (700_000, "8d")];
        for (seconds, expected) in cases {
            assert_eq!(duration(SignedDuration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn memory_is_said_as_people_say_it() {
        assert_eq!((memory(512), memory(4096), memory(1536)), ("512 MB".into(), "4 GB".into(), "1.5 GB".into()));
    }
}
