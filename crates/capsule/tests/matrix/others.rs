//! Servers that no order of ours explains: a second one under our token, and those of others that only look like ours.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use capsule_core::{Clock, ErrorKind, InstanceId, Order, OwnerId, Scope, Token, tags};
use capsule_engine::event::Event;
use capsule_engine::{Adopt, Engine, Finish, OperationFilter, Outcome, Placement, Silent};
use capsule_sim::{Fault, Machine, Resource, State, What};

use crate::faults::{self, Trouble};
use crate::flows::{Flow, is_done};
use crate::ground::{Death, Ground, Process, Subject, is_dead};
use crate::property::{self, Allowed};
use crate::{Shared, Tally};

/// How much later a double is born than the server that it is a double of.
const AFTER: Duration = Duration::from_secs(1);

/// A second server for each that lives, under the same token and name: what a call that arrives twice makes, at whatever
/// moment of a deploy, with lists that show it at once or as late as they may.
pub(crate) async fn doubles(subject: Subject, shared: &Shared) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for flow in [Flow::Deploy, Flow::DeploySeveral] {
        let deaths = deaths(subject, flow, shared).await;
        for (death, is_late) in deaths.iter().flat_map(|death| [(*death, false), (*death, true)]) {
            match double(subject, flow, shared, death, is_late).await {
                Ok(Some(())) => {
                    tally.cases += 1;
                    tally.done += 1;
                }
                Ok(None) => {}
                Err(why) => {
                    tally.cases += 1;
                    wrong.push(format!("{} {death:?} late={is_late}: {why}", flow.name()));
                }
            }
        }
    }
    judge(tally, &wrong)
}

fn judge(tally: Tally, wrong: &[String]) -> Result<Tally, String> {
    match (tally.cases, wrong) {
        (0, _) => Err("there was nothing to try".to_owned()),
        (_, []) => Ok(tally),
        (cases, wrong) => Err(format!("{} of {cases}:\n{}", wrong.len(), wrong.join("\n"))),
    }
}

/// Where a flow is stopped: after each of its events and after each request that makes a server.
async fn deaths(subject: Subject, flow: Flow, shared: &Shared) -> Vec<Death> {
    let ground = Ground::new(subject, OwnerId::random(), None);
    let (_, id) = flow.prepare(&ground, &shared.placements).await;
    let process = ground.process(None, true).await;
    flow.run(&ground, &process, &shared.placements, id).await.unwrap();
    let events = process.events.load(Ordering::SeqCst);
    let births = process.wire.notes().into_iter().enumerate().filter(|(_, note)| note.births > 0);
    let births = births.map(|(index, _)| Death::AfterRequest(u32::try_from(index).unwrap() + 1));
    (1..=events).map(Death::AfterEvent).chain(births).collect()
}

/// Runs a flow until its engine dies.
async fn until_dead(
    ground: &Arc<Ground>,
    flow: Flow,
    placements: &[Placement],
    id: Option<InstanceId>,
    death: Death,
) -> Result<(), String> {
    let process = Arc::new(ground.process(Some(death), false).await);
    let task = (process, ground.clone(), placements.to_vec());
    let ended = tokio::spawn(async move { flow.run(&task.1, &task.0, &task.2, id).await }).await;
    match ended.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(Ok(payload)) if is_dead(payload.as_ref()) => Ok(()),
        Err(Ok(payload)) => std::panic::resume_unwind(payload),
        Err(Err(_)) => Err("it was cancelled".to_owned()),
    }
}

/// Goes on with what is open, as the next command would.
async fn resumed(process: &Process) -> Result<Vec<Outcome>, String> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for _ in 0..5 {
        let open = OperationFilter { open: true, ..Default::default() };
        if process.engine.operations(&open).await.unwrap().is_empty() {
            break;
        }
        for outcome in process.engine.resume(None, &Silent).await.map_err(|error| error.to_string())? {
            outcomes.retain(|known| known.operation != outcome.operation || known.name != outcome.name);
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// Deletes what is found of ours and unexplained, as `capsule orphans --delete` does; which servers it was.
async fn cleaned(ground: &Ground, engine: &Engine) -> Result<Vec<InstanceId>, String> {
    let said = |error: capsule_core::Error| error.to_string();
    ground.clock.advance(Duration::from_secs(3600));
    let survey = engine.survey(&ground.subject.provider.into()).await.map_err(said)?;
    let mut deleted = Vec::new();
    for orphan in survey.orphans {
        let outcome = engine.destroy(&orphan.id, &Silent).await.map_err(said)?;
        if !is_done(&outcome) {
            return Err(format!("{} stays: {:?}", orphan.id, outcome.finish));
        }
        deleted.push(orphan.id);
    }
    for leftover in survey.leftovers.map_err(said)? {
        engine.remove_leftover(&leftover).await.map_err(said)?;
    }
    Ok(deleted)
}

/// One double of each server. `None` where the engine died before there was any.
async fn double(
    subject: Subject,
    flow: Flow,
    shared: &Shared,
    death: Death,
    is_late: bool,
) -> Result<Option<()>, String> {
    let ground = Arc::new(Ground::new(subject, OwnerId::random(), None));
    until_dead(&ground, flow, &shared.placements, None, death).await?;
    let first: Vec<Machine> = living(&ground);
    if first.is_empty() {
        return Ok(None);
    }
    let capabilities = ground.driver().await.capabilities().clone();
    let process = ground.process(None, false).await;
    let tokens = tokens(&process.engine).await;
    ground.clock.advance(AFTER);
    let lag = capabilities.list_lag.saturating_sub(AFTER);
    // What nobody looks for any more, because its order is over or the vendor itself runs a token once, is an orphan.
    let mut unseen = 0;
    let mut stay = Vec::new();
    for server in &first {
        let sent = tokens.iter().find(|sent| mentions(server, sent.token.as_str()));
        let sent = sent.ok_or_else(|| format!("{} carries no token of ours", server.id))?;
        unseen += usize::from(sent.is_over || (sent.answered && capabilities.idempotent_create));
        let token = &sent.token;
        // One that never got as far as its start is no server yet.
        let is_half = server.status_at(ground.clock.now()) == State::Stopped;
        let twin = twin(&ground, server, token, &shared.placements, if is_late { lag } else { Duration::ZERO }).await;
        if !(is_half && is_late) {
            stay.push(if is_half { twin } else { server.id.clone() });
        }
    }

    let outcomes = resumed(&process).await?;
    let before = living(&ground);
    if !is_late && before.len() != flow.names().len() + unseen {
        let ends: Vec<_> = outcomes.iter().map(|outcome| (&outcome.name, &outcome.finish)).collect();
        return Err(format!(
            "of {} and as many doubles, {unseen} of them unseen, {} live after resume: {ends:?}",
            first.len(),
            before.len()
        ));
    }
    let deleted = cleaned(&ground, &process.engine).await?;
    if before.len() - deleted.len() != flow.names().len() {
        return Err(format!("{} lived after resume, and orphans were {deleted:?}", before.len()));
    }
    let left = living(&ground);
    if let Some(lost) = stay.iter().find(|id| !left.iter().any(|machine| machine.id == **id)) {
        return Err(format!("{lost} was there first and is gone"));
    }
    let allowed = Allowed { doubles: true, orphans: false };
    property::check(flow, &ground, &process.engine, &shared.placements, &outcomes, allowed, &shared.side).await?;
    Ok(Some(()))
}

fn living(ground: &Ground) -> Vec<Machine> {
    let now = ground.clock.now();
    ground.machines().into_iter().filter(|machine| machine.lives_at(now)).collect()
}

/// A token that was sent.
struct Sent {
    token: Token,
    /// Whether its operation is over.
    is_over: bool,
    /// Whether its operation knows servers.
    answered: bool,
}

/// Every token that was sent.
async fn tokens(engine: &Engine) -> Vec<Sent> {
    let mut tokens = Vec::new();
    for operation in engine.operations(&OperationFilter::default()).await.unwrap() {
        let (is_over, answered) = (!operation.is_open(), !operation.instances.is_empty());
        for entry in engine.operation(&operation.id).await.unwrap().events {
            if let Event::CreateSent { token, .. } = entry.event {
                tokens.push(Sent { token, is_over, answered });
            }
        }
    }
    tokens
}

fn mentions<T: serde::Serialize>(thing: &T, word: &str) -> bool {
    serde_json::to_string(thing).unwrap().contains(word)
}

/// Says other words instead in a thing that has the first of them anywhere.
fn reworded<T: serde::Serialize + serde::de::DeserializeOwned>(thing: &mut T, mark: &str, words: &[(String, String)]) {
    let text = serde_json::to_string(thing).unwrap();
    if text.contains(mark) {
        let text = words.iter().fold(text, |text, (from, to)| text.replace(from, to));
        *thing = serde_json::from_str(&text).unwrap();
    }
}

/// Rewords, behind everybody's back, all that mentions `mark` in the cloud.
fn reword(ground: &Ground, mark: &str, words: &[(String, String)]) {
    let edited = ground.sim.edit(|world| {
        let cloud = world.clouds.get_mut(ground.subject.provider).unwrap();
        let ids: Vec<String> = cloud.machines.iter().map(|machine| machine.id.clone()).collect();
        ids.iter().for_each(|id| reworded(cloud.machines.get_mut(id).unwrap(), mark, words));
        for shelf in cloud.resources.values_mut() {
            // What is called by that word itself is the vendor's memory of it.
            let ids: Vec<String> = shelf
                .iter()
                .map(|resource| resource.id.clone())
                .filter(|id| !words.iter().any(|(from, _)| id.contains(from)))
                .collect();
            ids.iter().for_each(|id| reworded(shelf.get_mut(id).unwrap(), mark, words));
        }
    });
    edited.unwrap();
}

/// Makes one server, by the provider's own calls.
async fn made(ground: &Ground, placement: &Placement, owner: &OwnerId, token: &Token, name: &str) -> Machine {
    let order = Order {
        owner: owner.clone(),
        token: token.clone(),
        names: vec![name.to_owned()],
        ..Flow::order(ground, placement)
    };
    let (before, driver) = (ids(ground), ground.driver().await);
    // A driver of its own does not know what others have spent of the account's limit: it waits for its turn.
    for _ in 0..20 {
        match driver.create(&order).await {
            Err(error) if error.kind() == ErrorKind::RateLimited => ground.clock.advance(AFTER),
            made => {
                made.unwrap();
                break;
            }
        }
    }
    let machines = ground.machines();
    let mut fresh = machines.into_iter().filter(|machine| !before.contains(&machine.id));
    let machine = fresh.next().expect("it was made");
    assert!(fresh.next().is_none(), "one was ordered");
    machine
}

fn ids(ground: &Ground) -> BTreeSet<String> {
    ground.machines().into_iter().map(|machine| machine.id).collect()
}

/// A second server under the token and name of `server`, which lists leave out for so long; its id.
async fn twin(ground: &Ground, server: &Machine, token: &Token, placements: &[Placement], lag: Duration) -> String {
    let is_there = |placement: &&Placement| placement.plan == server.plan && placement.region == server.region;
    let placement = placements.iter().find(is_there).unwrap_or(&placements[0]);
    let (other, name) = (Token::random(), "the-second-one");
    let machine = made(ground, placement, &ground.owner, &other, name).await;
    let words = [(other.to_string(), token.to_string()), (name.to_owned(), server.name.clone())];
    reword(ground, other.as_str(), &words);
    let from = machine.born_at.checked_add(jiff::SignedDuration::try_from(lag).unwrap()).unwrap();
    let edited = ground.sim.edit(|world| {
        let machines = &mut world.clouds.get_mut(ground.subject.provider).unwrap().machines;
        let machine = machines.get_mut(&machine.id).unwrap();
        machine.listed_from = machine.listed_from.max(from);
    });
    edited.unwrap();
    machine.id
}

/// Servers of others in the account while each flow runs, is stopped at whatever moment and goes on, while orphans are
/// deleted, servers adopted and all of ours destroyed: those of another installation, of nobody, and such whose name, tag
/// or token begins or ends like ours or contains it.
pub(crate) async fn strangers(subject: Subject, shared: &Shared) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    let has_same_names = allows_same_names(subject, shared).await;
    for flow in Flow::ALL.into_iter().filter(|flow| *flow != Flow::DeployKeep) {
        for death in deaths(subject, flow, shared).await {
            tally.cases += 1;
            match among_strangers(subject, flow, shared, death, has_same_names).await {
                Ok(()) => tally.done += 1,
                Err(why) => wrong.push(format!("{} {death:?}: {why}", flow.name())),
            }
        }
    }
    judge(tally, &wrong)
}

/// Whether the provider takes two servers of one name.
async fn allows_same_names(subject: Subject, shared: &Shared) -> bool {
    let ground = Ground::new(subject, OwnerId::random(), None);
    let driver = ground.driver().await;
    assert!(driver.create(&Flow::order(&ground, &shared.placements[0])).await.is_ok());
    driver.create(&Flow::order(&ground, &shared.placements[0])).await.is_ok()
}

/// The servers of others and what they have beside them, as they were.
struct Strangers {
    machines: Vec<Machine>,
    beside: Vec<(String, Resource)>,
}

fn resources(ground: &Ground) -> Vec<(String, Resource)> {
    let now = ground.clock.now();
    let look = ground.sim.look(|world| {
        let shelves = world.clouds.get(ground.subject.provider).into_iter().flat_map(|cloud| &cloud.resources);
        let all = shelves.flat_map(|(kind, shelf)| shelf.iter().map(|one| (kind.clone(), one.clone())));
        all.filter(|(_, resource)| resource.lives_at(now)).collect()
    });
    look.unwrap()
}

impl Strangers {
    fn new() -> Self {
        Strangers { machines: Vec::new(), beside: Vec::new() }
    }

    /// One more, whose marks are made of ours: its owner and token, and what the words of its tags are called.
    async fn add(&mut self, ground: &Ground, placement: &Placement, name: &str, marks: [&str; 4]) {
        let [owner_key, owner, token_key, token] = marks;
        let (made_owner, made_token) = (OwnerId::random(), Token::random());
        let before: BTreeSet<(String, String)> =
            resources(ground).into_iter().map(|(kind, resource)| (kind, resource.id)).collect();
        let machine = made(ground, placement, &made_owner, &made_token, name).await;
        let words = [
            (tags::OWNER.to_owned(), owner_key.to_owned()),
            (tags::TOKEN.to_owned(), token_key.to_owned()),
            (made_owner.to_string(), owner.to_owned()),
            (made_token.to_string(), token.to_owned()),
        ];
        for mark in [made_token.as_str(), made_owner.as_str()] {
            reword(ground, mark, &words);
        }
        self.machines.extend(ground.machines().into_iter().filter(|one| one.id == machine.id));
        let beside = resources(ground).into_iter();
        self.beside.extend(beside.filter(|(kind, one)| !before.contains(&(kind.clone(), one.id.clone()))));
    }

    fn has(&self, id: &InstanceId) -> bool {
        self.machines.iter().any(|machine| property::is(id, machine))
    }

    /// Fails where one of them is not as it was.
    fn untouched(&self, ground: &Ground) -> Result<(), String> {
        let machines = ground.machines();
        let same = |was: &Machine, is: &Machine| {
            (&was.timeline, &was.tags, &was.name, &was.extra) == (&is.timeline, &is.tags, &is.name, &is.extra)
        };
        for was in &self.machines {
            let is = machines.iter().find(|machine| machine.id == was.id).unwrap();
            if !same(was, is) {
                return Err(format!("{} was {was:?} and is {is:?}", was.id));
            }
        }
        let there = resources(ground);
        for (kind, was) in &self.beside {
            let is = there.iter().find(|(is_kind, is)| is_kind == kind && is.id == was.id);
            if is.is_none_or(|(_, is)| is.tags != was.tags) {
                return Err(format!("the {kind} {} is not what it was", was.id));
            }
        }
        Ok(())
    }
}

async fn among_strangers(
    subject: Subject,
    flow: Flow,
    shared: &Shared,
    death: Death,
    has_same_names: bool,
) -> Result<(), String> {
    let ground = Arc::new(Ground::new(subject, OwnerId::random(), None));
    let (_, id) = flow.prepare(&ground, &shared.placements).await;
    let placement = &shared.placements[0];
    let (ours, other) = (ground.owner.to_string(), OwnerId::random().to_string());
    let mut strangers = Strangers::new();
    let [owner_key, token_key] = [tags::OWNER, tags::TOKEN];
    let longer = [format!("{ours}0"), format!("x{ours}"), ours[..15].to_owned()];
    let [mine, older] = [format!("my-{owner_key}"), format!("{owner_key}-old")];
    let owners = [
        (owner_key, other.as_str()),
        ("team", "blue"),
        (owner_key, longer[0].as_str()),
        (owner_key, longer[1].as_str()),
        (owner_key, longer[2].as_str()),
        (mine.as_str(), ours.as_str()),
        (older.as_str(), ours.as_str()),
    ];
    for (n, (key, owner)) in owners.into_iter().enumerate() {
        let token_key = if key == "team" { "shift" } else { token_key };
        let name = if has_same_names { "web".to_owned() } else { format!("web-{n}") };
        let token = Token::random().to_string();
        strangers.add(&ground, placement, &name, [key, owner, token_key, &token]).await;
    }
    until_dead(&ground, flow, &shared.placements, id, death).await?;
    // The tokens are known from here on.
    let process = ground.process(None, false).await;
    let tokens: Vec<Token> = tokens(&process.engine).await.into_iter().map(|sent| sent.token).collect();
    if let Some(token) = tokens.last() {
        let alike = [format!("{token}0"), format!("x{token}"), token.as_str()[..25].to_owned()];
        for (n, alike) in alike.iter().enumerate() {
            let name = if has_same_names { "web".to_owned() } else { format!("api-{n}") };
            strangers.add(&ground, placement, &name, [owner_key, &other, token_key, alike]).await;
        }
    }

    let outcomes = resumed(&process).await?;
    // To make the others' took a while: what had to be done by then may be too late, and says so.
    let is_late = |finish: &Finish| matches!(finish, Finish::Failed(error) if error.kind() == ErrorKind::Timeout);
    if let Some(outcome) = outcomes.iter().find(|outcome| !is_done(outcome) && !is_late(&outcome.finish)) {
        return Err(format!("it ended {:?}", outcome.finish));
    }
    // Orders under way may hide from a look by token what they are for.
    ground.clock.advance(Duration::from_secs(2 * 3600));
    let driver = ground.driver().await;
    let scopes = tokens.iter().map(|token| Scope::Token(token.clone())).chain([Scope::Owner(ground.owner.clone())]);
    for scope in scopes {
        let found = driver.list(&scope).await.map_err(|error| error.to_string())?;
        if let Some(found) = found.iter().find(|instance| strangers.has(&instance.id)) {
            return Err(format!("{} is listed as ours: {:?}", found.id, found.tags));
        }
    }
    let records = process.engine.inventory().await.unwrap();
    if let Some(record) = records.iter().find(|record| strangers.has(&record.id)) {
        return Err(format!("{} was taken into the inventory", record.id));
    }
    for instance in driver.list(&Scope::All).await.map_err(|error| error.to_string())? {
        if strangers.has(&instance.id) {
            match process.engine.adopt(instance, Adopt::default()).await {
                Err(error) if error.kind() == ErrorKind::Forbidden => {}
                adopted => return Err(format!("a stranger was adopted: {adopted:?}")),
            }
        }
    }
    strangers.untouched(&ground)?;

    cleaned(&ground, &process.engine).await?;
    for record in process.engine.inventory().await.unwrap() {
        let outcome = process.engine.destroy(&record.id, &Silent).await.map_err(|error| error.to_string())?;
        if !is_done(&outcome) {
            return Err(format!("{} stays: {:?}", record.id, outcome.finish));
        }
    }
    cleaned(&ground, &process.engine).await?;
    strangers.untouched(&ground)?;
    let left: Vec<String> = living(&ground).into_iter().map(|machine| machine.id).collect();
    let theirs: BTreeSet<&String> = strangers.machines.iter().map(|machine| &machine.id).collect();
    if left.iter().collect::<BTreeSet<_>>() != theirs {
        return Err(format!("{left:?} live, {theirs:?} are others'"));
    }
    let is_theirs = |kind: &str, id: &str| strangers.beside.iter().any(|(k, one)| k == kind && one.id == id);
    match resources(&ground).into_iter().find(|(kind, one)| one.billed && !is_theirs(kind, &one.id)) {
        Some((kind, one)) => Err(format!("the {kind} {} is left over", one.id)),
        None => Ok(()),
    }
}

/// Orders that all stop half-way at one time: each kind of request that makes something fails for every one of them, in
/// each way, and two processes go on with all of them at once.
pub(crate) async fn half_made(subject: Subject, shared: &Shared) -> Result<Tally, String> {
    let ground = Ground::new(subject, OwnerId::random(), None);
    let process = ground.process(None, true).await;
    Flow::DeploySeveral.run(&ground, &process, &shared.placements, None).await.unwrap();
    let changing = process.wire.notes().into_iter().filter(|note| note.changes).map(|note| note.operation);
    let changing: BTreeSet<String> = changing.collect();
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for operation in &changing {
        for trouble in faults::anywhere(true).into_iter().filter(|trouble| trouble.times == 1) {
            tally.cases += 1;
            match half(subject, shared, operation, &trouble).await {
                Ok(true) => tally.done += 1,
                Ok(false) => tally.failed += 1,
                Err(why) => wrong.push(format!("{trouble} at {operation}: {why}")),
            }
        }
    }
    judge(tally, &wrong)
}

/// Whether every server was made in the end.
async fn half(subject: Subject, shared: &Shared, operation: &str, trouble: &Trouble) -> Result<bool, String> {
    let flow = Flow::DeploySeveral;
    let ground = Ground::new(subject, OwnerId::random(), None);
    let fault = |what: &What| Fault {
        provider: Some(subject.provider.into()),
        operation: Some(operation.to_owned()),
        skip: 0,
        times: Some(u32::try_from(flow.names().len()).unwrap()),
        what: what.clone(),
        seen: 0,
    };
    ground.sim.inject_all(trouble.whats.iter().map(fault).collect()).unwrap();
    let process = ground.process(None, false).await;
    let mut outcomes =
        flow.run(&ground, &process, &shared.placements, None).await.map_err(|error| error.to_string())?;
    drop(process);
    let (one, other) = (ground.process(None, false).await, ground.process(None, false).await);
    for _ in 0..5 {
        let (these, those) = futures_util::future::join(resumed(&one), resumed(&other)).await;
        for outcome in these?.into_iter().chain(those?) {
            outcomes.retain(|known| known.operation != outcome.operation || known.name != outcome.name);
            outcomes.push(outcome);
        }
    }
    ground.sim.clear_faults().unwrap();
    // One that lost its turn to the other process says so.
    outcomes.retain(|outcome| !matches!(outcome.finish, Finish::StillRunning { .. }));
    let allowed = Allowed { doubles: trouble.whats.contains(&What::Duplicate), orphans: false };
    let checked =
        property::check(flow, &ground, &one.engine, &shared.placements, &outcomes, allowed, &shared.side).await;
    let ends = || outcomes.iter().map(|outcome| format!("{}: {:?}", outcome.name, outcome.finish)).collect::<Vec<_>>();
    checked.map_err(|why| format!("{why} {:?}", ends()))?;
    Ok(ground.machines().iter().filter(|machine| machine.lives_at(ground.clock.now())).count() == flow.names().len())
}
