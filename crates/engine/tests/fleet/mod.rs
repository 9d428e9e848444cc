//! What the provider shows set against the journal: orphans, the vanished, and an inventory read back from tags.

use std::sync::Arc;
use std::time::Duration;

use capsule_core::{
    ErrorKind, Instance, InstanceId, Leftover, LeftoverKind, MadeFor, OwnerId, PublicKey, SshKey, Tags, Token,
};
use capsule_engine::{Adopt, AfterEvent, DeployRequest, Engine, Kind, OperationFilter, Silent, Survey};

use super::cloud::{Bench, CLOUD, Fault, request};

/// A server of ours that no journal knows.
fn stray(bench: &Bench, name: &str, token: &Token) -> Instance {
    bench.cloud.bear(name, Tags::new().at_birth(&bench.owner, token), "small", false)
}

async fn survey(engine: &Engine) -> Survey {
    engine.survey(&CLOUD).await.unwrap()
}

fn names(survey: &Survey) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
    (
        survey.orphans.iter().map(|server| server.name.as_str()).collect(),
        survey.pending.iter().map(|server| server.name.as_str()).collect(),
        survey.gone.iter().map(|record| record.name.as_str()).collect(),
    )
}

#[tokio::test]
async fn only_what_nothing_explains_is_an_orphan() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    stray(&bench, "stray", &Token::random());
    bench.cloud.bear("foreign", Tags::new().at_birth(&OwnerId::random(), &Token::random()), "small", false);
    bench.cloud.clock.advance(Duration::from_secs(10));
    assert_eq!(names(&survey(&engine).await), (vec![], vec!["stray"], vec![]), "it is younger than the list's lag");
    bench.cloud.clock.advance(Duration::from_secs(30));
    assert_eq!(names(&survey(&engine).await), (vec!["stray"], vec![], vec![]));
}

#[tokio::test]
async fn what_an_open_operation_may_have_made_is_no_orphan_and_is_not_adopted() {
    let bench = Bench::new();
    bench.cloud.script([Fault::LoseReply]);
    let die: AfterEvent = Arc::new(|n| assert!(n != 2, "crash"));
    let engine = bench.try_open(Some(die)).await.unwrap();
    tokio::spawn(async move { engine.deploy(request(&["web"]), &Silent).await }).await.unwrap_err();
    let engine = bench.open().await;
    // It died before the call; what was sent by another process all the same carries the token of the journal's line.
    let open = engine.operations(&OperationFilter { open: true, ..Default::default() }).await.unwrap().remove(0);
    let events = engine.operation(&open.id).await.unwrap().events;
    let token = events.iter().find_map(|entry| match &entry.event {
        capsule_engine::event::Event::CreateSent { token, .. } => Some(token.clone()),
        _ => None,
    });
    let made = stray(&bench, "web", &token.unwrap());
    bench.cloud.clock.advance(Duration::from_secs(3600));
    let found = survey(&engine).await;
    assert_eq!(names(&found), (vec![], vec!["web"], vec![]));
    assert!(found.pending[0].why.contains(open.id.as_str()), "{:?}", found.pending);
    let refused = engine.adopt(made, Adopt::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.hint().is_some_and(|hint| hint.contains(open.id.as_str())), "{refused:?}");
    engine.resume(None, &Silent).await.unwrap();
    assert_eq!(engine.inventory().await.unwrap().len(), 1);
    assert_eq!(bench.cloud.living().len(), 1);
}

#[tokio::test]
async fn a_server_that_the_provider_says_is_gone_is_recorded_and_its_name_is_free() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web", "db"]), &Silent).await.unwrap();
    bench.cloud.clock.advance(Duration::from_secs(3600));
    let vanish = |name: &str| {
        let long_ago = jiff::Timestamp::UNIX_EPOCH;
        let mut world = bench.cloud.world.lock().unwrap();
        world.servers.iter_mut().find(|server| server.name == name).unwrap().deleted = Some(long_ago);
    };
    vanish("web");
    let found = survey(&engine).await;
    assert_eq!(names(&found), (vec![], vec![], vec!["web"]));
    assert_eq!(engine.inventory().await.unwrap().len(), 2, "a look changes nothing");
    assert_eq!(engine.record_gone(&found.gone).await.unwrap(), [found.gone[0].id.clone()]);
    assert!(engine.record_gone(&found.gone).await.unwrap().is_empty(), "once is enough");
    let left: Vec<String> = engine.inventory().await.unwrap().into_iter().map(|record| record.name).collect();
    assert_eq!(left, ["db"]);
    let told = engine.operations(&OperationFilter::default()).await.unwrap().remove(0);
    assert_eq!((told.kind, told.is_open()), (Kind::Vanished, false));
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    // What somebody deletes at this moment is left to that operation.
    vanish("db");
    let gone = survey(&engine).await.gone;
    let die: AfterEvent = Arc::new(|n| assert!(n != 1, "crash"));
    let (other, id) = (bench.try_open(Some(die)).await.unwrap(), gone[0].id.clone());
    tokio::spawn(async move { other.destroy(&id, &Silent).await }).await.unwrap_err();
    assert!(engine.record_gone(&gone).await.unwrap().is_empty());
    assert!(names(&survey(&engine).await).2.is_empty());
}

#[tokio::test]
async fn what_is_too_young_to_be_shown_is_not_gone() {
    let bench = Bench::with_lag(Duration::from_secs(25));
    let engine = bench.open().await;
    let deploy = capsule_engine::DeployRequest { wait: capsule_engine::Wait::None, ..request(&["web"]) };
    engine.deploy(deploy, &Silent).await.unwrap();
    let found = survey(&engine).await;
    assert_eq!(names(&found), (vec![], vec![], vec![]), "the list does not show it yet");
}

#[tokio::test]
async fn the_inventory_is_read_back_once() {
    let bench = Bench::new();
    let tokens = [Token::random(), Token::random()];
    let older = stray(&bench, "web", &tokens[0]);
    bench.cloud.clock.advance(Duration::from_secs(1));
    let newer = stray(&bench, "web", &tokens[0]);
    stray(&bench, "web", &tokens[1]);
    bench.cloud.bear("foreign", Tags::new(), "small", false);
    bench.cloud.clock.advance(Duration::from_secs(60));
    let engine = bench.open().await;
    assert!(engine.is_untouched().await.unwrap());
    let heard = std::sync::atomic::AtomicUsize::new(0);
    let rebuilt = engine.rebuild(&CLOUD, &|n| heard.store(n, std::sync::atomic::Ordering::Relaxed)).await.unwrap();
    let named: Vec<&str> = rebuilt.taken.iter().map(|record| record.name.as_str()).collect();
    assert_eq!((named, rebuilt.known), (vec!["web", "web-2", "web-3"], 0));
    assert_eq!(rebuilt.doubles, [[older.id.clone(), newer.id]]);
    assert_eq!(heard.into_inner(), 3);
    let record = engine.find("web").await.unwrap();
    assert!(record.rebuilt && !record.foreign && record.price.is_none());
    assert_eq!((record.id, record.token), (older.id, Some(tokens[0].clone())));
    assert_eq!(names(&survey(&engine).await), (vec![], vec![], vec![]));

    let before = engine.operations(&OperationFilter::default()).await.unwrap().len();
    let again = engine.rebuild(&CLOUD, &|_| {}).await.unwrap();
    assert_eq!((again.taken.len(), again.known), (0, 3));
    assert_eq!(engine.operations(&OperationFilter::default()).await.unwrap().len(), before);
    assert!(!engine.is_untouched().await.unwrap());
    // What was read back can be deleted as any other.
    engine.destroy(&record_id(&engine, "web-3").await, &Silent).await.unwrap();
    assert_eq!(bench.cloud.living().len(), 3);
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIkHZrkeKKMhB3o7qZcGhj7hKWTVsQOTZ/uPaMhJXyUH me@here";
const OLD_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMUSzFaRMGgcD/C8hv/WxNXaXPQRQHcPTRaVREi+IvD6 me@there";

/// Says that the vendor shows these without a server.
fn left(bench: &Bench, things: &[(&str, LeftoverKind, MadeFor)]) {
    let one = |(name, kind, made_for): &(&str, LeftoverKind, MadeFor)| Leftover {
        id: InstanceId::new(CLOUD, "here", *name),
        kind: *kind,
        name: (*name).to_owned(),
        made_for: made_for.clone(),
        size_gib: None,
        price: None,
    };
    bench.cloud.world.lock().unwrap().leftovers = things.iter().map(one).collect();
}

/// The names of what a survey calls left over.
async fn left_over(engine: &Engine) -> Vec<String> {
    survey(engine).await.leftovers.unwrap().into_iter().map(|left| left.name).collect()
}

fn material(line: &str) -> String {
    line.parse::<PublicKey>().unwrap().material().to_owned()
}

/// Its token, as the journal has it.
async fn token_of(engine: &Engine, name: &str) -> MadeFor {
    MadeFor::Token(engine.find(name).await.unwrap().token.unwrap())
}

#[tokio::test]
async fn what_living_and_coming_servers_need_is_not_left_over() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web", "old"]), &Silent).await.unwrap();
    let (here, gone) = (token_of(&engine, "web").await, token_of(&engine, "old").await);
    // Both came by one call: while one of them lives, nothing of it is left over.
    assert_eq!(here, gone);
    let volume = |made_for: &MadeFor| [("disk", LeftoverKind::Volume, made_for.clone())];
    left(&bench, &volume(&here));
    assert!(left_over(&engine).await.is_empty());
    engine.destroy(&record_id(&engine, "old").await, &Silent).await.unwrap();
    assert!(left_over(&engine).await.is_empty());
    engine.destroy(&record_id(&engine, "web").await, &Silent).await.unwrap();
    assert_eq!(left_over(&engine).await, ["disk"]);

    // A call that nobody heard of again may still make what it belongs to.
    bench.cloud.script([Fault::LoseReply]);
    let die: AfterEvent = Arc::new(|n| assert!(n != 2, "crash"));
    let other = bench.try_open(Some(die)).await.unwrap();
    tokio::spawn(async move { other.deploy(request(&["coming"]), &Silent).await }).await.unwrap_err();
    let open = engine.operations(&OperationFilter { open: true, ..Default::default() }).await.unwrap().remove(0);
    let sent = engine.operation(&open.id).await.unwrap().events.into_iter().find_map(|entry| match entry.event {
        capsule_engine::event::Event::CreateSent { token, .. } => Some(MadeFor::Token(token)),
        _ => None,
    });
    left(&bench, &volume(&sent.unwrap()));
    assert!(left_over(&engine).await.is_empty());
}

#[tokio::test]
async fn a_tag_without_an_owner_is_left_over_only_where_this_journal_made_it() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine.deploy(request(&["web"]), &Silent).await.unwrap();
    let ours = token_of(&engine, "web").await;
    let stranger = MadeFor::Token(Token::random());
    left(
        &bench,
        &[
            ("our tag", LeftoverKind::Tag, ours),
            ("a stranger's tag", LeftoverKind::Tag, stranger.clone()),
            // It bears our owner tag, whoever wrote the journal that knew its token.
            ("a lost journal's disk", LeftoverKind::Volume, stranger),
        ],
    );
    assert_eq!(left_over(&engine).await, ["a lost journal's disk"]);
    engine.destroy(&record_id(&engine, "web").await, &Silent).await.unwrap();
    assert_eq!(left_over(&engine).await, ["our tag", "a lost journal's disk"]);
}

#[tokio::test]
async fn a_key_is_left_over_when_no_server_there_or_coming_can_have_it() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let keys = [KEY, OLD_KEY].map(material);
    let both = [("key", &keys[0]), ("old key", &keys[1])];
    left(&bench, &both.map(|(name, key)| (name, LeftoverKind::SshKey, MadeFor::PublicKey(key.clone()))));
    let with = |name, line: &str| DeployRequest { ssh_keys: vec![SshKey::Public(line.to_owned())], ..request(&[name]) };
    engine.deploy(with("web", KEY), &Silent).await.unwrap();
    engine.deploy(with("old", OLD_KEY), &Silent).await.unwrap();
    bench.cloud.clock.advance(Duration::from_secs(3600));
    assert!(left_over(&engine).await.is_empty());
    let old_key = MadeFor::PublicKey(keys[1].clone());
    let leftover = bench.cloud.world.lock().unwrap().leftovers.iter().find(|left| left.made_for == old_key).cloned();
    let leftover = leftover.unwrap();
    let refused = engine.remove_leftover(&leftover).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "an order names it: {refused}");
    engine.destroy(&record_id(&engine, "old").await, &Silent).await.unwrap();
    assert_eq!(left_over(&engine).await, ["old key"]);

    // With which keys an orphan was made, no journal says: it may be any.
    let orphan = stray(&bench, "stray", &Token::random());
    bench.cloud.clock.advance(Duration::from_secs(3600));
    assert!(left_over(&engine).await.is_empty());
    // And so it stays when it is adopted, until it is gone.
    engine.adopt(orphan, Adopt::default()).await.unwrap();
    assert!(left_over(&engine).await.is_empty());
    engine.destroy(&record_id(&engine, "stray").await, &Silent).await.unwrap();
    assert_eq!(left_over(&engine).await, ["old key"]);
    engine.remove_leftover(&leftover).await.unwrap();
    assert!(left_over(&engine).await.is_empty());
}

async fn record_id(engine: &Engine, name: &str) -> capsule_core::InstanceId {
    engine.find(name).await.unwrap().id
}

#[tokio::test]
async fn what_was_marked_is_found_after_the_journal_is_lost() {
    let bench = Bench::new();
    let legacy =
        bench.cloud.bear("legacy", [("env".to_owned(), "prod".to_owned())].into_iter().collect(), "small", false);
    bench.cloud.clock.advance(Duration::from_secs(3600));
    let engine = bench.open().await;
    let error = engine.mark(&legacy.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "what is written down nowhere is not marked");
    engine.adopt(legacy.clone(), Adopt { foreign: true, ..Default::default() }).await.unwrap();
    assert!(engine.mark(&legacy.id).await.unwrap());
    assert!(!engine.mark(&legacy.id).await.unwrap(), "it has the tag");
    assert_eq!(names(&survey(&engine).await), (vec![], vec![], vec![]));
    let shown = bench.cloud.living().remove(0);
    assert_eq!((shown.tags.owner(), shown.tags.get("env")), (Some(bench.owner.as_str()), Some("prod")));

    let mut elsewhere = Bench::new();
    (elsewhere.cloud, elsewhere.owner) = (Arc::clone(&bench.cloud), bench.owner.clone());
    let engine = elsewhere.open().await;
    assert_eq!(names(&survey(&engine).await).0, ["legacy"]);
    let rebuilt = engine.rebuild(&CLOUD, &|_| {}).await.unwrap();
    assert_eq!(rebuilt.taken.iter().map(|record| &record.id).collect::<Vec<_>>(), [&legacy.id]);
}

#[tokio::test]
async fn tags_that_somebody_changed_meanwhile_are_named() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let own: Tags = [("env".to_owned(), "prod".to_owned())].into_iter().collect();
    let forget: [fn(&mut Tags); 2] = [
        |tags| *tags = [(capsule_core::tags::OWNER.to_owned(), tags.owner().unwrap().to_owned())].into_iter().collect(),
        |tags| *tags = Tags::new(),
    ];
    for (meddle, words) in forget.into_iter().zip(["had before: env=prod", "does not show our tag"]) {
        bench.cloud.world.lock().unwrap().meddles = Some(meddle);
        let server = bench.cloud.bear(words, own.clone(), "small", false);
        bench.cloud.clock.advance(Duration::from_secs(60));
        engine.adopt(server.clone(), Adopt { foreign: true, ..Default::default() }).await.unwrap();
        let error = engine.mark(&server.id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains(words), "{error}");
    }
    let theirs = bench.cloud.bear("theirs", Tags::new().at_birth(&OwnerId::random(), &Token::random()), "small", false);
    bench.cloud.clock.advance(Duration::from_secs(60));
    engine.adopt(theirs.clone(), Adopt { foreign: true, ..Default::default() }).await.unwrap();
    let error = engine.mark(&theirs.id).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.hint().is_some_and(|hint| hint.contains("capsule-owner")));
}
