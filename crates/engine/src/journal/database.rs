//! The way to the database: connections, schema, and what its errors mean.

use std::path::Path;
use std::time::Duration;

use capsule_core::{Error, ErrorKind, Result};
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, Transaction};

use super::{damaged, text};
use crate::engine::Database;

/// The schema, one numbered file for each step. Never change one that was released: add the next.
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001_journal.sql")];

/// A pool of connections, and whether they are SQLite's.
///
/// # Errors
/// [`ErrorKind::Store`]: missing rights, locked, no database.
pub(super) async fn connect(database: &Database) -> Result<(AnyPool, bool)> {
    sqlx::any::install_default_drivers();
    let (url, is_sqlite) = match database {
        Database::Sqlite(path) => (sqlite_url(path)?, true),
        Database::Url(url) => (url.clone(), url.starts_with("sqlite:")),
    };
    // The pool tries again for as long as its time allows, whatever the error: the first connection speaks for it.
    let mut first = AnyConnection::connect(&url).await.map_err(|error| store("open", error))?;
    if is_sqlite {
        set_up(&mut first).await.map_err(|error| store("open", error))?;
    }
    let pool = AnyPoolOptions::new()
        // One writer is all that SQLite has; waiting in our own queue is fair, waiting on its lock is not.
        .max_connections(if is_sqlite { 1 } else { 10 })
        .acquire_timeout(Duration::from_secs(30))
        .after_connect(move |connection, _| {
            Box::pin(async move { if is_sqlite { set_up(connection).await } else { Ok(()) } })
        })
        .connect_lazy(&url)
        .map_err(|error| store("open", error))?;
    // The first connection closes second: the last one to leave would tidy the files up, only to have them made again.
    drop(pool.acquire().await.map_err(|error| store("open", error))?);
    first.close().await.map_err(|error| store("open", error))?;
    Ok((pool, is_sqlite))
}

async fn set_up(connection: &mut AnyConnection) -> sqlx::Result<()> {
    for pragma in [
        // Milliseconds that a write waits for another process.
        "PRAGMA busy_timeout = 5000",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ] {
        connection.execute(pragma).await?;
    }
    Ok(())
}

/// Whether the schema is the present one. It nearly always is, and then no command needs to wait for its turn to write.
pub(super) async fn is_current(pool: &AnyPool) -> bool {
    let row = sqlx::query("SELECT value FROM meta WHERE key = 'schema'").fetch_optional(pool).await;
    row.ok().flatten().and_then(|row| text(&row, "value").ok()) == Some(MIGRATIONS.len().to_string())
}

/// Brings the schema up to date.
///
/// # Errors
/// [`ErrorKind::Store`] for a journal of a newer version.
pub(super) async fn migrate(tx: &mut Transaction<'static, Any>) -> Result<()> {
    let meta = "CREATE TABLE IF NOT EXISTS meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)";
    tx.execute(meta).await.map_err(|error| store("migrate", error))?;
    let row = sqlx::query("SELECT value FROM meta WHERE key = 'schema'").fetch_optional(&mut **tx).await;
    let row = row.map_err(|error| store("read", error))?;
    let is_new = row.is_none();
    let version: usize = match row {
        Some(row) => text(&row, "value")?.parse().map_err(|_| damaged("its schema version is not a number"))?,
        None => 0,
    };
    if version > MIGRATIONS.len() {
        let message =
            format!("The journal has schema {version}, and this version of Capsule knows up to {}.", MIGRATIONS.len());
        return Err(Error::new(ErrorKind::Store, message)
            .with_hint("A newer Capsule wrote it: use that version, or another --home."));
    }
    for migration in &MIGRATIONS[version..] {
        sqlx::raw_sql(*migration).execute(&mut **tx).await.map_err(|error| store("migrate", error))?;
    }
    let write = if is_new {
        "INSERT INTO meta (key, value) VALUES ('schema', $1)"
    } else {
        "UPDATE meta SET value = $1 WHERE key = 'schema'"
    };
    if version < MIGRATIONS.len() {
        let write = sqlx::query(write).bind(MIGRATIONS.len().to_string()).execute(&mut **tx).await;
        write.map_err(|error| store("migrate", error))?;
    }
    Ok(())
}

/// What the database says, in a sentence for users.
pub(super) fn store(doing: &str, error: sqlx::Error) -> Error {
    const LOCKED: &str = "Wait until the other process is done, then try again.";
    const DISK: &str = "Make room on the disk, then go on with `capsule resume`: what was written is safe.";
    const RIGHTS: &str =
        "Check that the journal and its folder belong to you and can be written, or use another --home.";
    const DAMAGED: &str = "Keep the file for a repair and use another --home meanwhile.";
    let code = error.as_database_error().and_then(|error| error.code());
    // SQLite's result codes, https://sqlite.org/rescode.html: the low byte is the primary one.
    let primary = code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    let (what, hint) = match primary {
        Some(5 | 6) => ("is locked by another process", LOCKED),
        Some(13) => ("cannot be written because the disk is full", DISK),
        Some(3 | 8 | 14 | 23) => ("cannot be opened or may not be written", RIGHTS),
        Some(10) => ("cannot be read or written: the disk reports an error", RIGHTS),
        Some(11 | 26) => ("is damaged or is no journal", DAMAGED),
        _ if matches!(error, sqlx::Error::PoolTimedOut) => ("did not answer in time", LOCKED),
        _ => {
            let message = format!("The journal failed ({doing}): {error}.");
            return Error::new(ErrorKind::Store, message).with_hint(RIGHTS);
        }
    };
    Error::new(ErrorKind::Store, format!("The journal {what}."))
        .with_operation(format!("journal.{doing}"))
        .with_hint(hint)
}

/// The URL of a file that only its owner may read.
fn sqlite_url(path: &Path) -> Result<String> {
    let failed = |why: String| {
        Error::new(ErrorKind::Store, format!("The journal {} cannot be opened: {why}.", path.display()))
            .with_hint("Check that the folder exists and belongs to you, or use another --home.")
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let mut options = std::fs::OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(path).map_err(|error| failed(error.to_string()))?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(|error| failed(error.to_string()))?;
    }
    // Without a leading slash the URL would take the first folder for a host.
    let path = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
    let text = path.to_str().ok_or_else(|| failed("its path is not valid Unicode".to_owned()))?;
    let mut url = String::from("sqlite://");
    for byte in text.bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url.push_str("?mode=rwc");
    Ok(url)
}
