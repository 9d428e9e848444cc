//! The way to the database: connections, schema, and what its errors mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use capsule_core::{Error, ErrorKind, OwnerId, Result};
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Transaction};

use super::turn::{LOOK_MS, Turn, is_locked};
use super::{damaged, text};

/// Where the journal is.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file, made if it is missing, readable by its owner alone.
    Sqlite(PathBuf),
    /// PostgreSQL, as `postgres://USER:PASSWORD@HOST:PORT/NAME`. Secret, because of the password.
    Url(SecretString),
}

impl Database {
    /// The database that a URL names.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for one that is not PostgreSQL's; it does not quote the URL.
    pub fn parse(url: SecretString) -> Result<Self> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| url.expose_secret().starts_with(scheme)) {
            return Ok(Database::Url(url));
        }
        Err(Error::new(ErrorKind::Config, "The journal's database is not given as a URL of PostgreSQL.")
            .with_hint("It looks like postgres://USER:PASSWORD@HOST:5432/NAME."))
    }

    /// Whose servers these are for everybody who keeps the journal there: the first to come says who, the others join.
    /// Those that must not meet, such as real and simulated clouds, come under different `name`s.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn installation(&self, name: &str, own: &OwnerId) -> Result<OwnerId> {
        let (pool, is_sqlite) = connect(self).await?;
        let (key, failed) = (format!("installation {name}"), |error| store("open", error));
        let mut tx = Turn::new(is_sqlite, None).begin(&pool).await?;
        make_meta(&mut tx, is_sqlite).await?;
        let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(&key).bind(own.as_str()).execute(&mut *tx).await.map_err(failed)?;
        let row = sqlx::query("SELECT value FROM meta WHERE key = $1").bind(&key).fetch_one(&mut *tx).await;
        let owner = text(&row.map_err(failed)?, "value")?.parse();
        tx.commit().await.map_err(failed)?;
        pool.close().await;
        owner
    }
}

/// Name and id of each living server in a journal's file, by name, for whoever completes a word at a prompt: the file is
/// neither made nor brought up to date.
///
/// # Errors
/// [`ErrorKind::Store`].
pub async fn names(path: &Path) -> Result<Vec<(String, String)>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    sqlx::any::install_default_drivers();
    let failed = |error| store("read", error);
    let url = sqlite_url(path)?;
    let mut connection = AnyConnection::connect(&url).await.map_err(failed)?;
    let sql = "SELECT name, id FROM instance WHERE id IS NOT NULL AND gone_at IS NULL ORDER BY name";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.map_err(failed)?;
    rows.iter().map(|row| Ok((text(row, "name")?, text(row, "id")?))).collect()
}

/// The schema, one numbered file for each step. Never change one that was released: add the next.
const MIGRATIONS: [&str; 2] =
    [include_str!("../../migrations/0001_journal.sql"), include_str!("../../migrations/0002_budget.sql")];

/// What keeps two processes from migrating one PostgreSQL at one time: any number that only we lock.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(4857104)";

/// A pool of connections, and whether they are SQLite's.
///
/// # Errors
/// [`ErrorKind::Store`]: missing rights, locked, no database.
pub(super) async fn connect(database: &Database) -> Result<(AnyPool, bool)> {
    sqlx::any::install_default_drivers();
    let (url, is_sqlite) = match database {
        Database::Sqlite(path) => (sqlite_url(path)?, true),
        Database::Url(url) => (url.expose_secret().to_owned(), url.expose_secret().starts_with("sqlite:")),
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
    // Milliseconds to wait for another process that opens or closes the file; from then on readers wait for nobody.
    connection.execute("PRAGMA busy_timeout = 5000").await?;
    write_ahead(connection).await?;
    for statement in ["PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON", "SELECT COUNT(*) FROM sqlite_schema"] {
        connection.execute(statement).await?;
    }
    // How writers wait is told beside `Turn`.
    sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA busy_timeout = {LOOK_MS}"))).execute(connection).await.map(drop)
}

/// Of two that open a new file at once SQLite turns one away without any wait, since both read it and want it for
/// themselves: that one waits in line for a turn to write, and asks again.
async fn write_ahead(connection: &mut AnyConnection) -> sqlx::Result<()> {
    for _ in 0..OPEN_TRIES {
        match connection.execute("PRAGMA journal_mode = WAL").await {
            Err(error) if is_locked(&error) => {}
            done => return done.map(drop),
        }
        connection.execute("BEGIN IMMEDIATE").await?;
        connection.execute("ROLLBACK").await?;
    }
    connection.execute("PRAGMA journal_mode = WAL").await.map(drop)
}

/// So often a new file is asked for again: more than programs are started at once.
const OPEN_TRIES: u32 = 100;

/// Whether the schema is the present one. It nearly always is, and then no command needs to wait for its turn to write.
pub(super) async fn is_current(pool: &AnyPool) -> bool {
    let row = sqlx::query("SELECT value FROM meta WHERE key = 'schema'").fetch_optional(pool).await;
    row.ok().flatten().and_then(|row| text(&row, "value").ok()) == Some(MIGRATIONS.len().to_string())
}

/// Brings the schema up to date.
///
/// # Errors
/// [`ErrorKind::Store`] for a journal of a newer version.
pub(super) async fn migrate(tx: &mut Transaction<'static, Any>, is_sqlite: bool) -> Result<()> {
    make_meta(tx, is_sqlite).await?;
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

/// Makes the table that says what the others are like, and keeps others from migrating meanwhile.
async fn make_meta(tx: &mut Transaction<'static, Any>, is_sqlite: bool) -> Result<()> {
    if !is_sqlite {
        tx.execute(MIGRATION_LOCK).await.map_err(|error| store("migrate", error))?;
    }
    let meta = "CREATE TABLE IF NOT EXISTS meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)";
    tx.execute(meta).await.map(drop).map_err(|error| store("migrate", error))
}

/// What the database says, in a sentence for users.
pub(super) fn store(doing: &str, error: sqlx::Error) -> Error {
    const RIGHTS: &str =
        "Check that the journal and its folder belong to you and can be written, or use another --home.";
    const UNREACHABLE: &str =
        "Check that the database runs and can be reached, then go on with `capsule resume`: what was written is safe.";
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    let (what, hint) = match (&error, code.len()) {
        // SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html: SQLite's codes are never as long.
        (_, 5) => match by_sql_state(&code) {
            Some(known) => known,
            None => return unforeseen(doing, &error, UNREACHABLE),
        },
        (_, 1..) => match by_result_code(&code, RIGHTS) {
            Some(known) => known,
            None => return unforeseen(doing, &error, RIGHTS),
        },
        (sqlx::Error::PoolTimedOut, _) => ("did not answer in time", LOCKED),
        (sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed, _) => {
            return unforeseen(doing, &error, UNREACHABLE);
        }
        _ => return unforeseen(doing, &error, RIGHTS),
    };
    Error::new(ErrorKind::Store, format!("The journal {what}."))
        .with_operation(format!("journal.{doing}"))
        .with_hint(hint)
}

const LOCKED: &str = "Wait until the other process is done, then try again.";
const DISK: &str = "Make room on the disk, then go on with `capsule resume`: what was written is safe.";

fn unforeseen(doing: &str, error: &sqlx::Error, hint: &str) -> Error {
    Error::new(ErrorKind::Store, format!("The journal failed ({doing}): {error}.")).with_hint(hint)
}

/// SQLite's result codes, https://sqlite.org/rescode.html: the low byte is the primary one.
fn by_result_code(code: &str, rights: &'static str) -> Option<(&'static str, &'static str)> {
    const DAMAGED: &str = "Keep the file for a repair and use another --home meanwhile.";
    Some(match code.parse::<u32>().ok()? & 0xff {
        5 | 6 => ("is locked by another process", LOCKED),
        13 => ("cannot be written because the disk is full", DISK),
        3 | 8 | 14 | 23 => ("cannot be opened or may not be written", rights),
        10 => ("cannot be read or written: the disk reports an error", rights),
        11 | 26 => ("is damaged or is no journal", DAMAGED),
        _ => return None,
    })
}

fn by_sql_state(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "28000" | "28P01" => ("is in a database that refuses the user or the password", "Check both in its URL."),
        "3D000" => (
            "is in a database that does not exist",
            "Make it with `createdb NAME`; Capsule makes its own tables in it.",
        ),
        "42501" => (
            "is in a database where this user lacks a right",
            "The user must be allowed to make and use tables in the schema: `GRANT ALL ON SCHEMA public TO ...`.",
        ),
        "53100" => ("cannot be written because the disk is full", DISK),
        "53300" => (
            "is in a database that has no connection free",
            "Raise its `max_connections`, or run fewer processes; then go on with `capsule resume`.",
        ),
        "40001" | "40P01" | "55P03" => ("is locked by another process", LOCKED),
        "57P01" | "57P02" | "57P03" => (
            "is in a database that is starting or shutting down",
            "Go on with `capsule resume` once it is up: what was written is safe.",
        ),
        _ => return None,
    })
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
