#[path = "../../tests/postgres/mod.rs"]
mod postgres;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use capsule_core::{InstanceStatus, Tags};
use sqlx::{AnyConnection, ConnectOptions, Connection, Executor};

use self::postgres::Postgres;
use super::*;
use crate::event::Server;
use crate::flow::later;
use crate::operation::Dice;

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
        Journal::open(&self.database, owner.clone(), worker.to_owned(), None, None).await
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
    who_tries_again_after_a_conflict_writes_nothing_twice
    eight_at_once_for_one_name_are_one_server
    what_was_dropped_is_given_back_and_nothing_else
    eight_first_openings_at_once_make_one_schema
    a_thousand_servers_are_taken_in_while_others_write
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
        known_since: None,
        shown: false,
        not_yet: None,
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
    let gone = || Event::Gone { id: InstanceId::new("testcloud", "here", "1"), asked: None };
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

/// One request of three operations comes from eight processes at once: whoever finds a part written starts over, and then
/// there are three operations of one event each, all of one process.
async fn who_tries_again_after_a_conflict_writes_nothing_twice(place: Place) {
    let owner = OwnerId::random();
    let mut workers = Vec::new();
    for n in 0..8 {
        let journal = place.open(&owner, &n.to_string()).await.unwrap();
        workers.push(tokio::spawn(async move {
            let parts = (0..3).map(|part| Begin { part, ..deploy(&format!("web-{part}"), Some("k")) }).collect();
            match journal.intend(parts, NOW, LATER).await.unwrap() {
                Begun::New(held) => held.into_iter().map(|held| held.id).collect(),
                Begun::Before(ids) => ids,
            }
        }));
    }
    let mut answers: Vec<Vec<OperationId>> = Vec::new();
    for worker in workers {
        answers.push(worker.await.unwrap());
    }
    let journal = place.open(&owner, "last").await.unwrap();
    let mut written = Vec::new();
    for id in &answers[0] {
        written.push((id.clone(), journal.entries(id).await.unwrap().len()));
    }
    assert!(answers.iter().all(|ids| *ids == answers[0]), "{answers:?}");
    assert_eq!(journal.operations(&OperationFilter::default()).await.unwrap().len(), 3);
    assert!(written.len() == 3 && written.iter().all(|(_, events)| *events == 1), "{written:?}");
    // An event that met a conflict is not there, and is written once by the one that holds the operation now.
    let mut stale = journal.claim(&answers[0][0], LATER, NOW).await.unwrap();
    assert!(stale.is_none(), "the lease holds until then");
    let later = later(LATER, std::time::Duration::from_secs(1));
    stale = journal.claim(&answers[0][0], later, LATER).await.unwrap();
    let other = place.open(&owner, "other").await.unwrap();
    let mut held = other.claim(&answers[0][0], later, LATER).await.unwrap().expect("the lease ran out again");
    let sent = || Event::CreateSent { token: capsule_core::Token::random(), placement: 0, names: vec!["web-0".into()] };
    let mut stale = stale.expect("it is free");
    for _ in 0..2 {
        let refused = journal.append(&mut stale, sent(), later).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
    other.append(&mut held, sent(), later).await.unwrap();
    assert_eq!(journal.entries(&answers[0][0]).await.unwrap().len(), 2);
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

/// Of three operations one is dropped, one is let go and one is still worked on.
async fn what_was_dropped_is_given_back_and_nothing_else(place: Place) {
    let owner = OwnerId::random();
    let (journal, other) = (place.open(&owner, "1").await.unwrap(), place.open(&owner, "2").await.unwrap());
    let Begun::New(held) = journal.intend((1..4).map(destroy).collect(), NOW, LATER).await.unwrap() else {
        panic!("they are new")
    };
    let ids: Vec<OperationId> = held.iter().map(|held| held.id.clone()).collect();
    let Ok([dropped, mut let_go, kept]) = <[Held; 3]>::try_from(held) else { panic!("there are three") };
    drop(dropped);
    journal.release(&mut let_go).await.unwrap();
    drop(let_go);
    assert!(other.claim(&ids[0], NOW, LATER).await.unwrap().is_none(), "the lease holds");
    assert_eq!(journal.release_dropped().await.unwrap(), ids[..1]);
    assert!(other.claim(&kept.id, NOW, LATER).await.unwrap().is_none(), "it is worked on");
    assert!(other.claim(&ids[1], NOW, LATER).await.unwrap().is_some());
    let theirs = other.claim(&ids[0], NOW, LATER).await.unwrap().expect("it was given back");
    assert!(journal.release_dropped().await.unwrap().is_empty(), "once is enough");
    drop(theirs);
    assert_eq!(other.release_dropped().await.unwrap().len(), 2, "what was claimed counts as what was begun");
    assert!(journal.claim(&ids[0], NOW, LATER).await.unwrap().is_some());
}

async fn eight_first_openings_at_once_make_one_schema(place: Place) {
    let owner = OwnerId::random();
    let opened = futures_util::future::join_all((0..8).map(|_| place.open(&owner, "1"))).await;
    assert!(opened.iter().all(Result::is_ok), "{:?}", opened.iter().filter_map(|o| o.as_ref().err()).next());
}

fn adopt(n: usize, name: &str) -> Intent {
    let Begin { intent: Intent::Destroy { server }, .. } = destroy(n) else { panic!("it is a destroy") };
    let server = Server { name: name.to_owned(), ..server };
    let token = Some(capsule_core::Token::random());
    Intent::Adopt { server, tags: Tags::new(), token, foreign: false, price: None, goal: None, rebuilt: true }
}

/// Two processes take one provider's servers in at the same time, more than share a transaction, and a third one orders.
async fn a_thousand_servers_are_taken_in_while_others_write(place: Place) {
    const SERVERS: usize = 1010;
    let owner = OwnerId::random();
    let intents: Vec<Intent> = (0..SERVERS).map(|n| adopt(n, "web")).collect();
    let (one, two) = (place.open(&owner, "1").await.unwrap(), place.open(&owner, "2").await.unwrap());
    let three = place.open(&owner, "3").await.unwrap();
    let heard = std::sync::Mutex::new(Vec::new());
    let tell = |n| heard.lock().unwrap().push(n);
    let orders = async {
        for n in 0..5 {
            three.intend(vec![deploy(&format!("db-{n}"), None)], NOW, LATER).await?;
        }
        Ok(())
    };
    let (first, second, ordered) = tokio::join!(
        one.take_in(intents.clone(), NOW, &Dice::System, &tell),
        two.take_in(intents.clone(), NOW, &Dice::System, &|_| {}),
        orders
    );
    for done in [first, second, ordered] {
        done.unwrap();
    }
    let records = three.records(false).await.unwrap();
    let names: std::collections::BTreeSet<&str> = records.iter().map(|record| record.name.as_str()).collect();
    let ids: std::collections::BTreeSet<String> = records.iter().map(|record| record.id.to_string()).collect();
    assert_eq!((records.len(), names.len(), ids.len()), (SERVERS, SERVERS, SERVERS));
    assert!(records.iter().all(|record| record.rebuilt));
    let all = three.operations(&OperationFilter::default()).await.unwrap();
    assert_eq!(all.len(), SERVERS + 5, "one operation for each, whoever was first");
    assert_eq!(three.entries(&records[0].operation).await.unwrap().len(), 2);
    let heard = heard.into_inner().unwrap();
    assert!(heard.is_sorted() && heard.len() == SERVERS.div_ceil(500), "{heard:?}");

    // And they vanish together: each once, but for the one that somebody deletes at this moment.
    let servers: Vec<Server> = records.into_iter().map(Server::from).collect();
    let busy = Begin { intent: Intent::Destroy { server: servers[7].clone() }, ..destroy(0) };
    three.intend(vec![busy], NOW, LATER).await.unwrap();
    let (first, second) = tokio::join!(
        one.record_vanished(servers.clone(), LATER, &Dice::System),
        two.record_vanished(servers.clone(), LATER, &Dice::System)
    );
    assert_eq!(first.unwrap().len() + second.unwrap().len(), SERVERS - 1);
    let left = three.records(false).await.unwrap();
    assert_eq!(left.iter().map(|record| &record.id).collect::<Vec<_>>(), [&servers[7].id]);
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
        let error = Journal::open(&database, OwnerId::random(), "1".into(), None, None)
            .await
            .err()
            .expect("it cannot be opened");
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
    let gone = Event::Gone { id: InstanceId::new("testcloud", "here", "1"), asked: None };
    journal.append(&mut held[0], gone, NOW).await.expect("the next one has a new connection");
    assert_eq!(journal.entries(&held[0].id).await.unwrap().len(), 2);
}

async fn sqlite(path: &Path) -> Result<Journal> {
    Journal::open(&Database::Sqlite(path.to_owned()), OwnerId::random(), "1".to_owned(), None, None).await
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

/// SQLite turns one of two away that set a new file's mode at once. Tasks of one thread take turns and seldom meet there.
#[test]
fn programs_that_start_at_once_make_one_new_file_together() {
    const PROGRAMS: usize = 8;
    for round in 0..40 {
        let home = tempfile::tempdir().unwrap();
        let database = Database::Sqlite(home.path().join("journal.db"));
        let start = std::sync::Barrier::new(PROGRAMS);
        let open = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            start.wait();
            runtime.block_on(database.installation("clouds", &OwnerId::random()))
        };
        let owners: Vec<Result<OwnerId>> = std::thread::scope(|scope| {
            let programs: Vec<_> = (0..PROGRAMS).map(|_| scope.spawn(open)).collect();
            programs.into_iter().map(|program| program.join().unwrap()).collect()
        });
        let first = owners[0].as_ref().expect("it opens");
        assert!(owners.iter().all(|owner| owner.as_ref().is_ok_and(|owner| owner == first)), "{round}: {owners:?}");
    }
}

#[tokio::test]
async fn a_journal_that_stays_locked_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let mut journal = sqlite(&path).await.unwrap();
    journal.turn.most = 3;
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    for _ in 0..2 {
        let error = journal.intend(vec![destroy(1)], NOW, NOW).await.err().expect("it is locked");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Store, "The journal is locked by another process."));
        assert!(error.hint().is_some(), "{error:?}");
    }
    other.execute("COMMIT").await.unwrap();
    journal.intend(vec![destroy(1)], NOW, NOW).await.expect("it is free again");
}

/// Every way to write meets a file that another process is writing, tells so once, and writes once when it is free.
#[tokio::test]
async fn a_busy_journal_is_waited_for_and_written_once() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("journal.db");
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let notice: Notice = std::sync::Arc::new(move |text| told.send(text.to_owned()).unwrap());
    let database = Database::Sqlite(path.clone());
    let mut journal = Journal::open(&database, OwnerId::random(), "1".to_owned(), None, Some(notice)).await.unwrap();
    journal.turn.tell_after = 2;
    let mut other = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    macro_rules! while_busy {
        ($write:expr) => {{
            other.execute("BEGIN IMMEDIATE").await.unwrap();
            let freed = async {
                let told = heard.recv().await.unwrap();
                assert!(told.contains("another process"), "{told}");
                other.execute("COMMIT").await.unwrap();
            };
            tokio::join!($write, freed).0.unwrap()
        }};
    }
    let Begun::New(mut held) = while_busy!(journal.intend(vec![destroy(1)], NOW, NOW)) else { panic!("it is new") };
    let held = &mut held[0];
    let gone = Event::Gone { id: InstanceId::new("testcloud", "here", "1"), asked: None };
    while_busy!(journal.append(held, gone, NOW));
    while_busy!(journal.renew(LATER));
    while_busy!(journal.release(held));
    assert!(while_busy!(journal.claim(&held.id, NOW, LATER)).is_some());
    assert_eq!(while_busy!(journal.release_all()), std::slice::from_ref(&held.id));
    assert!(while_busy!(journal.claim_next(NOW, LATER)).is_some());
    assert!(!while_busy!(journal.remove_budget("none")));
    assert_eq!(journal.entries(&held.id).await.unwrap().len(), 2);
    assert_eq!(journal.operations(&OperationFilter::default()).await.unwrap().len(), 1);
    assert!(heard.try_recv().is_err(), "who waited was told once");
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
