use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use capsule_core::InstanceStatus;
use sqlx::{ConnectOptions, Executor};

use super::*;
use crate::event::Server;

const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);
const LATER: Timestamp = Timestamp::constant(1_767_225_700, 0);

async fn open(path: &Path, owner: &OwnerId, worker: &str) -> Result<Journal> {
    Journal::open(&Database::Sqlite(path.to_owned()), owner.clone(), worker.to_owned(), None).await
}

fn destroy(n: usize) -> Begin {
    let server = Server {
        name: format!("web-{n}"),
        id: InstanceId::new("testcloud", "here", n.to_string()),
        status: InstanceStatus::Running,
        addresses: Addresses::default(),
        plan: String::new(),
        image: None,
        created_at: None,
        shown: false,
    };
    Begin { id: OperationId::random(), intent: Intent::Destroy { server }, key: None, part: 0 }
}

async fn execute(path: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sql).await.unwrap();
}

#[tokio::test]
async fn eight_workers_claim_200_operations_without_a_double() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let owner = OwnerId::random();
    let journal = open(&path, &owner, "first").await.unwrap();
    // A lease that has run out: everybody may claim.
    journal.intend((0..200).map(destroy).collect(), NOW, Timestamp::UNIX_EPOCH).await.unwrap();
    let mut workers = Vec::new();
    for n in 0..8 {
        let journal = open(&path, &owner, &format!("worker-{n}")).await.unwrap();
        workers.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            while let Some(held) = journal.claim_next(NOW, LATER).await.unwrap() {
                claimed.push(held.id);
            }
            claimed
        }));
    }
    let mut claims: BTreeMap<OperationId, usize> = BTreeMap::new();
    for worker in workers {
        for id in worker.await.unwrap() {
            *claims.entry(id).or_default() += 1;
        }
    }
    assert_eq!(claims.len(), 200);
    assert!(claims.values().all(|count| *count == 1), "{claims:?}");
}

#[tokio::test]
async fn who_was_replaced_cannot_write_any_more() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let owner = OwnerId::random();
    let (first, second) = (open(&path, &owner, "1").await.unwrap(), open(&path, &owner, "2").await.unwrap());
    let Begun::New(mut held) = first.intend(vec![destroy(1)], NOW, NOW).await.unwrap() else { panic!("it is new") };
    let mut held = held.remove(0);
    let id = held.id.clone();
    assert!(second.claim(&id, NOW, LATER).await.unwrap().is_none(), "the lease still holds");
    let mut taken = second.claim(&id, LATER, LATER).await.unwrap().expect("the lease ran out");
    let gone = || Event::Gone { id: InstanceId::new("testcloud", "here", "1") };
    assert_eq!(first.append(&mut held, gone(), LATER).await.unwrap_err().kind(), ErrorKind::Conflict);
    second.append(&mut taken, gone(), LATER).await.unwrap();
    assert_eq!(second.entries(&id).await.unwrap().len(), 2);
    let error = second.append(&mut taken, gone(), LATER).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "an illegal event is refused before it is written: {error}");
}

#[tokio::test]
async fn an_older_journal_opens_and_a_newer_one_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let owner = OwnerId::random();
    execute_new(&path).await;
    drop(open(&path, &owner, "1").await.expect("schema 0 is migrated"));
    drop(open(&path, &owner, "1").await.expect("the present schema opens"));
    execute(&path, "UPDATE meta SET value = '99' WHERE key = 'schema'").await;
    let error = open(&path, &owner, "1").await.err().expect("99 is newer");
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.message().contains("99") && error.hint().unwrap().contains("newer"), "{error:?}");
}

async fn execute_new(path: &Path) {
    std::fs::write(path, "").unwrap();
    execute(path, "CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)").await;
    execute(path, "INSERT INTO meta VALUES ('schema', '0')").await;
}

#[tokio::test]
async fn only_its_owner_can_read_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a folder?&%").join("journal.db");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let journal = open(&path, &OwnerId::random(), "1").await.unwrap();
    journal.intend(vec![destroy(1)], NOW, NOW).await.unwrap();
    for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn what_is_no_journal_is_one_clear_error() {
    let home = tempfile::tempdir().unwrap();
    let garbage = home.path().join("garbage.db");
    std::fs::write(&garbage, "this is no database, and long enough to be looked at as one".repeat(20)).unwrap();
    for (path, word) in [
        (garbage.as_path(), "damaged"),
        (home.path(), "cannot be opened"),
        (&home.path().join("no/x"), "cannot be opened"),
    ] {
        let error = open(path, &OwnerId::random(), "1").await.err().expect("it cannot be opened");
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.message().contains(word) && error.hint().is_some(), "{}: {error:?}", path.display());
    }
}

#[tokio::test]
async fn a_locked_journal_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let owner = OwnerId::random();
    let journal = open(&path, &owner, "1").await.unwrap();
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("PRAGMA busy_timeout = 1").execute(&journal.pool).await.unwrap();
    let error = journal.intend(vec![destroy(1)], NOW, NOW).await.err().expect("it is locked");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Store, "The journal is locked by another process."));
}

#[tokio::test]
async fn a_full_disk_says_so_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let journal = open(&path, &OwnerId::random(), "1").await.unwrap();
    journal.intend(vec![destroy(1)], NOW, NOW).await.unwrap();
    // The smallest page count that SQLite accepts is the present one: from now on the disk is full.
    sqlx::query("PRAGMA max_page_count = 1").fetch_all(&journal.pool).await.unwrap();
    let error = journal.intend((2..200).map(destroy).collect(), NOW, NOW).await.err().expect("it is full");
    assert_eq!(error.message(), "The journal cannot be written because the disk is full.");
    assert_eq!(journal.operations(&OperationFilter::default()).await.unwrap().len(), 1);
}
