#[path = "../../tests/postgres/mod.rs"]
mod postgres;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use capsule_core::InstanceStatus;
use sqlx::{AnyConnection, ConnectOptions, Connection, Executor};

use self::postgres::Postgres;
use super::*;
use crate::event::Server;

const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);
const LATER: Timestamp = Timestamp::constant(1_767_225_700, 0);

/// An empty database.
struct Place {
    database: Database,
    url: String,
    _home: Option<tempfile::TempDir>,
}

impl Place {
    fn sqlite() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal.db");
        let url = format!("sqlite://{}?mode=rwc", path.display());
        Place { database: Database::Sqlite(path), url, _home: Some(home) }
    }

    fn postgres() -> Self {
        let url = Postgres::shared().database();
        Place { database: Database::parse(url.clone().into()).unwrap(), url, _home: None }
    }

    async fn open(&self, owner: &OwnerId, worker: &str) -> Result<Journal> {
        Journal::open(&self.database, owner.clone(), worker.to_owned(), None).await
    }

    async fn execute(&self, sql: &'static str) {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::sqlite()).await })*
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::Place::postgres()).await })*
        }
    };
}

on_both! {
    eight_workers_claim_200_operations_without_a_double
    who_was_replaced_cannot_write_any_more
    eight_at_once_under_one_key_are_one_operation
    eight_at_once_for_one_name_are_one_server
    eight_first_openings_at_once_make_one_schema
    who_comes_later_joins_the_installation
    an_older_journal_opens_and_a_newer_one_is_refused
    a_journal_of_schema_1_opens_with_all_that_is_in_it
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

fn deploy(name: &str, key: Option<&str>) -> Begin {
    let sample = Entry::parse(include_str!("../../samples/journal/v1/intended_deploy.json")).unwrap();
    let Event::Intended { intent: Intent::Deploy(mut deploy) } = sample.event else { panic!("it is a deploy") };
    deploy.names = vec![name.to_owned()];
    let key = key.map(|key| Key { key: key.to_owned(), digest: "d".to_owned() });
    Begin { id: OperationId::random(), intent: Intent::Deploy(deploy), key, part: 0 }
}

/// Intends 200 operations that everybody may claim, and lets eight workers claim them by this statement; how often each
/// was claimed.
async fn claims(place: &Place, sql: &'static str) -> BTreeMap<String, usize> {
    let owner = OwnerId::random();
    let journal = place.open(&owner, "first").await.unwrap();
    journal.intend((0..200).map(destroy).collect(), NOW, Timestamp::UNIX_EPOCH).await.unwrap();
    let mut workers = Vec::new();
    for n in 0..8 {
        let journal = place.open(&owner, &format!("worker-{n}")).await.unwrap();
        workers.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            loop {
                match journal.claim_by(sql, NOW, LATER).await.unwrap() {
                    Some(row) => claimed.push(text(&row, "id").unwrap()),
                    None if journal.is_any_free(NOW).await.unwrap() => {}
                    None => return claimed,
                }
            }
        }));
    }
    let mut claims: BTreeMap<String, usize> = BTreeMap::new();
    for worker in workers {
        for id in worker.await.unwrap() {
            *claims.entry(id).or_default() += 1;
        }
    }
    claims
}

async fn eight_workers_claim_200_operations_without_a_double(place: Place) {
    let claims = claims(&place, CLAIM_NEXT).await;
    assert_eq!(claims.len(), 200);
    assert!(claims.values().all(|count| *count == 1), "{claims:?}");
}

/// Shows what the guard of [`CLAIM_NEXT`] is for.
#[tokio::test]
async fn without_its_guard_postgres_claims_rows_twice() {
    const UNGUARDED: &str = "UPDATE operation SET lease_owner = $1, lease_until = $2, version = version + 1 \
                             WHERE id = (SELECT id FROM operation WHERE owner = $3 AND is_open = 1 AND lease_until < $4 \
                                         ORDER BY created_at, id LIMIT 1) \
                             RETURNING id, version";
    assert_eq!(CLAIM_NEXT.replace("AND is_open = 1 AND lease_until < $4 RETURNING", "RETURNING"), UNGUARDED);
    let claims = claims(&Place::postgres(), UNGUARDED).await;
    assert_eq!(claims.len(), 200);
    let doubles = claims.values().filter(|count| **count > 1).count();
    assert!(doubles > 0, "no row was claimed twice: either the guard is not needed or this test shows nothing");
}

async fn who_was_replaced_cannot_write_any_more(place: Place) {
    let owner = OwnerId::random();
    let (first, second) = (place.open(&owner, "1").await.unwrap(), place.open(&owner, "2").await.unwrap());
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

async fn eight_at_once_under_one_key_are_one_operation(place: Place) {
    let owner = OwnerId::random();
    let mut workers = Vec::new();
    for n in 0..8 {
        let journal = place.open(&owner, &n.to_string()).await.unwrap();
        workers.push(tokio::spawn(async move {
            match journal.intend(vec![deploy("web", Some("k"))], NOW, LATER).await.unwrap() {
                Begun::New(held) => (true, held[0].id.clone()),
                Begun::Before(ids) => (false, ids[0].clone()),
            }
        }));
    }
    let mut answers = Vec::new();
    for worker in workers {
        answers.push(worker.await.unwrap());
    }
    assert_eq!(answers.iter().filter(|(is_new, _)| *is_new).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|(_, id)| *id == answers[0].1), "{answers:?}");
}

async fn eight_at_once_for_one_name_are_one_server(place: Place) {
    let owner = OwnerId::random();
    let mut workers = Vec::new();
    for n in 0..8 {
        let journal = place.open(&owner, &n.to_string()).await.unwrap();
        let intend = async move { journal.intend(vec![deploy("web", None)], NOW, LATER).await.map(drop) };
        workers.push(tokio::spawn(intend));
    }
    let mut refused = Vec::new();
    for worker in workers {
        refused.extend(worker.await.unwrap().err());
    }
    assert_eq!(refused.len(), 7);
    assert!(refused.iter().all(|error| error.kind() == ErrorKind::Conflict), "{refused:?}");
}

async fn eight_first_openings_at_once_make_one_schema(place: Place) {
    let owner = OwnerId::random();
    let opened = futures_util::future::join_all((0..8).map(|_| place.open(&owner, "1"))).await;
    assert!(opened.iter().all(Result::is_ok), "{:?}", opened.iter().filter_map(|o| o.as_ref().err()).next());
}

async fn who_comes_later_joins_the_installation(place: Place) {
    let (first, second) = (OwnerId::random(), OwnerId::random());
    assert_eq!(place.database.installation("clouds", &first).await.unwrap(), first);
    assert_eq!(place.database.installation("clouds", &second).await.unwrap(), first);
    assert_eq!(place.database.installation("sandbox", &second).await.unwrap(), second);
    place.open(&first, "1").await.expect("it becomes a journal all the same");
}

async fn an_older_journal_opens_and_a_newer_one_is_refused(place: Place) {
    let owner = OwnerId::random();
    place.execute("CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)").await;
    place.execute("INSERT INTO meta VALUES ('schema', '0')").await;
    drop(place.open(&owner, "1").await.expect("schema 0 is migrated"));
    drop(place.open(&owner, "1").await.expect("the present schema opens"));
    place.execute("UPDATE meta SET value = '99' WHERE key = 'schema'").await;
    let error = place.open(&owner, "1").await.err().expect("99 is newer");
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.message().contains("99") && error.hint().unwrap().contains("newer"), "{error:?}");
}

async fn a_journal_of_schema_1_opens_with_all_that_is_in_it(place: Place) {
    place.execute(include_str!("../../migrations/0001_journal.sql")).await;
    place.execute(include_str!("../../samples/journal/schema-1.sql")).await;
    let owner = "j9ys81y30wvr2h3m".parse().unwrap();
    let journal = place.open(&owner, "1").await.unwrap();
    let records = journal.records(true).await.unwrap();
    assert_eq!(records.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["web"]);
    assert!(records[0].price.is_some() && records[0].token.is_some(), "{records:?}");
    let names = |stored: &Stored| stored.state.intent.names();
    let all = journal.operations(&OperationFilter::default()).await.unwrap();
    assert_eq!(all.iter().flat_map(names).collect::<Vec<_>>(), ["db", "web"]);
    let held = journal.claim_next(Timestamp::MAX, Timestamp::MAX).await.unwrap().expect("one of them is open");
    assert!(held.state.doubt_in_words().is_some(), "{:?}", held.state.step);
    assert!(journal.claim_next(Timestamp::MAX, Timestamp::MAX).await.unwrap().is_none());
}

#[tokio::test]
async fn what_keeps_postgres_from_answering_is_one_clear_error() {
    const SECRET: &str = "hunter2-CANARY";
    let url = Postgres::shared().database();
    let missing = url.replacen("/postgres?", "/missing?", 1).replacen("capsule@", &format!("capsule:{SECRET}@"), 1);
    let nowhere = format!("postgres://capsule:{SECRET}@localhost/x?host=/nowhere");
    for (url, word) in [(missing, "does not exist"), (nowhere, "failed (open)")] {
        let database = Database::parse(url.into()).unwrap();
        assert!(!format!("{database:?}").contains(SECRET));
        let error =
            Journal::open(&database, OwnerId::random(), "1".into(), None).await.err().expect("it cannot be opened");
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.message().contains(word) && error.hint().is_some(), "{error:?}");
        assert!(!format!("{error:?}").contains(SECRET));
    }
    for url in ["mysql://root:hunter2-CANARY@localhost/x", "hunter2-CANARY", ""] {
        let error = Database::parse(url.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error:?}").contains(SECRET) && error.hint().unwrap().contains("postgres://"), "{error:?}");
    }
}

#[tokio::test]
async fn a_restart_of_postgres_loses_nothing_that_was_written() {
    let server = Postgres::start(&[]);
    let place = Place { database: Database::parse(server.database().into()).unwrap(), url: String::new(), _home: None };
    let journal = place.open(&OwnerId::random(), "1").await.unwrap();
    let Begun::New(mut held) = journal.intend(vec![destroy(1)], NOW, LATER).await.unwrap() else { panic!("it is new") };
    let mut under_way = journal.begin().await.unwrap();
    under_way.execute("UPDATE operation SET version = 99").await.unwrap();
    server.order("restart");
    let error = store("write", under_way.commit().await.expect_err("its connection is gone"));
    assert!(error.hint().unwrap().contains("capsule resume"), "{error:?}");
    let gone = Event::Gone { id: InstanceId::new("testcloud", "here", "1") };
    journal.append(&mut held[0], gone, NOW).await.expect("the next one has a new connection");
    assert_eq!(journal.entries(&held[0].id).await.unwrap().len(), 2);
}

async fn sqlite(path: &Path) -> Result<Journal> {
    Journal::open(&Database::Sqlite(path.to_owned()), OwnerId::random(), "1".to_owned(), None).await
}

#[tokio::test]
async fn only_its_owner_can_read_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a folder?&%").join("journal.db");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let journal = sqlite(&path).await.unwrap();
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
        let error = sqlite(path).await.err().expect("it cannot be opened");
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.message().contains(word) && error.hint().is_some(), "{}: {error:?}", path.display());
    }
}

#[tokio::test]
async fn a_locked_journal_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let journal = sqlite(&path).await.unwrap();
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
    let journal = sqlite(&path).await.unwrap();
    journal.intend(vec![destroy(1)], NOW, NOW).await.unwrap();
    // The smallest page count that SQLite accepts is the present one: from now on the disk is full.
    sqlx::query("PRAGMA max_page_count = 1").fetch_all(&journal.pool).await.unwrap();
    let error = journal.intend((2..200).map(destroy).collect(), NOW, NOW).await.err().expect("it is full");
    assert_eq!(error.message(), "The journal cannot be written because the disk is full.");
    assert_eq!(journal.operations(&OperationFilter::default()).await.unwrap().len(), 1);
}
