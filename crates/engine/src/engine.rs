//! The facade: every way to start, continue and read operations.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{
    Clock, Error, ErrorKind, Instance, InstanceId, InstanceStatus, OwnerId, Power, Provider, ProviderId, Result,
    SshKey, Tags, nearest,
};
use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::budget::{Budget, Standing};
use crate::event::{Deploy, Intent, Server};
use crate::flow::{Timing, later};
use crate::journal::{Begin, Begun, Database, Held, Journal, Key, Stored};
use crate::ledger::{Account, accounts};
use crate::operation::{Deployed, Dice, Observer, OnFailure, Operation, OperationId, Outcome, Record, Update, Wait};
use crate::order;
use crate::placement::Placement;
use crate::poll::Cloud;
use crate::readiness::Readiness;
use crate::run::Run;
use crate::state::State;
use crate::turns::one_at_the_journal;

/// How long a process may be silent before another one goes on with its operations.
const LEASE: Duration = Duration::from_secs(30);
/// No pace makes it shorter: a busy machine must not lose its leases.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);
/// How long a deletion is waited for.
const DELETE_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Where drivers come from.
#[async_trait]
pub trait Providers: Send + Sync + 'static {
    /// The driver of this cloud, with the user's settings.
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>>;
}

/// Called with n after this process committed its n-th event. For crash tests.
pub type AfterEvent = Arc<dyn Fn(u64) + Send + Sync>;

/// Called with a sentence for the user about what is waited for.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// Everything an engine needs.
#[derive(Clone)]
pub struct Options {
    /// Where the journal is.
    pub database: Database,
    /// Whose servers these are.
    pub owner: OwnerId,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The clouds.
    pub providers: Arc<dyn Providers>,
    /// Divides poll intervals, list lag and back-off: 1 in earnest, more in a sandbox whose time runs faster.
    pub pace: u32,
    /// What to call this process where the journal says who works on what, such as `host:1234`.
    pub worker: String,
    /// Who judges whether a server became what it was made for; without one nothing can be waited for beyond running.
    pub readiness: Option<Arc<dyn Readiness>>,
    /// Who tells the user that other processes keep the journal busy.
    pub notice: Option<Notice>,
    /// For crash tests.
    pub after_event: Option<AfterEvent>,
}

/// What to make.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    /// One server for each, all different.
    pub names: Vec<String>,
    /// Where: the first is tried first, the next when there is no capacity or no quota.
    pub placements: Vec<Placement>,
    /// Keys to log in with.
    pub ssh_keys: Vec<SshKey>,
    /// Text for cloud-init.
    pub user_data: Option<String>,
    /// The user's tags.
    pub tags: Tags,
    /// A second request under the same key re-attaches to the first one.
    pub idempotency_key: Option<String>,
    /// What the user asked for, in a stable text, to tell the same request from another under one key. `None`: the
    /// fields above (without prices); set it where placements were chosen from a catalogue that may change.
    pub asked: Option<String>,
    /// What to wait for.
    pub wait: Wait,
    /// How long this call waits, beside what the provider itself needs; then the rest is still running. Nothing is
    /// given up for impatience.
    pub timeout: Option<Duration>,
    /// What becomes of a server that does not come up.
    pub on_failure: OnFailure,
    /// What the servers are to become, for the [`Readiness`] that judges it; needed to wait for [`Wait::Ready`].
    pub goal: Option<Value>,
}

/// Which operations to show.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// Only those that are not over.
    pub open: bool,
    /// Only those about a server of this name.
    pub name: Option<String>,
    /// At most so many, the newest.
    pub limit: Option<u32>,
}

/// One installation's operations and servers. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) journal: Journal,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pace: u32,
    pub(crate) readiness: Option<Arc<dyn Readiness>>,
    pub(crate) dice: Dice,
    pub(crate) owner: OwnerId,
    providers: Arc<dyn Providers>,
    clouds: Mutex<HashMap<ProviderId, Arc<Cloud>>>,
}

/// What came of the try to take an operation.
enum Taken {
    Held(Box<Held>),
    /// It is over, or somebody else is at work on it.
    Other(Box<Stored>),
}

impl Engine {
    /// Opens the journal, making or migrating it as needed.
    ///
    /// # Errors
    /// [`ErrorKind::Store`]: unreadable, locked, full, or written by a newer version.
    pub async fn open(options: Options) -> Result<Engine> {
        Engine::open_with(options, Dice::System).await
    }

    /// The same for simulations: ids and tokens follow from a seed, so that a run can be repeated exactly.
    ///
    /// # Errors
    /// As [`open`](Engine::open).
    pub async fn open_seeded(options: Options, seed: u64) -> Result<Engine> {
        Engine::open_with(options, Dice::Seeded(seed.into())).await
    }

    async fn open_with(options: Options, dice: Dice) -> Result<Engine> {
        // Two processes may be given one name, and a process started anew must not be taken for the one that died.
        let worker = format!("{}/{}", options.worker, dice.operation_id());
        let (database, owner) = (&options.database, options.owner.clone());
        let journal = Journal::open(database, owner, worker, options.after_event, options.notice).await?;
        let inner = Inner {
            journal,
            clock: options.clock,
            pace: options.pace.max(1),
            readiness: options.readiness,
            dice,
            owner: options.owner,
            providers: options.providers,
            clouds: Mutex::default(),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    /// Whether a statement is on its way to the journal: a simulation waits for that, and for nothing else.
    pub fn is_writing(&self) -> bool {
        self.inner.journal.is_busy()
    }

    /// Makes one server for each name, each exactly once, and answers one outcome for each.
    ///
    /// # Errors
    /// Only when nothing was begun: [`ErrorKind::Conflict`] for a name or key that is taken, [`ErrorKind::Invalid`],
    /// [`ErrorKind::Store`], or a provider that cannot be connected to. What fails later is an outcome.
    pub async fn deploy(&self, request: DeployRequest, observer: &dyn Observer) -> Result<Vec<Deployed>> {
        if request.wait == Wait::Ready && (self.inner.readiness.is_none() || request.goal.is_none()) {
            let message = "Nothing says what the server is to become, so nothing beyond running can be waited for.";
            return Err(Error::new(ErrorKind::Invalid, message).with_hint("Wait until it runs."));
        }
        let (placements, refusals) = order::acceptable(&request, &*self.inner.providers).await?;
        if let Some(refusal) = refusals.into_iter().next().filter(|_| placements.is_empty()) {
            return Err(refusal);
        }
        let mut batch = usize::MAX;
        for placement in &placements {
            batch = batch.min(self.inner.cloud(&placement.provider).await?.provider.capabilities().batch.max(1));
        }
        let key = request.idempotency_key.as_ref().map(|key| Key { key: key.clone(), digest: digest(&request) });
        let begins = request.names.chunks(batch).zip(0..).map(|(names, part)| Begin {
            id: self.inner.dice.operation_id(),
            intent: self.intent(&request, names, &placements),
            key: key.clone(),
            part,
        });
        let now = self.inner.clock.now();
        let give_up_at = request.timeout.map(|timeout| later(now, timeout));
        match self.inner.journal.intend(begins.collect(), now, self.inner.lease_from(now)).await? {
            Begun::New(held) => Ok(self.inner.run_all(held, observer, give_up_at).await),
            Begun::Before(ids) => self.inner.resume(&ids, observer, give_up_at, Patience::WhileItLives).await,
        }
    }

    /// What is written down of an order of these names.
    fn intent(&self, request: &DeployRequest, names: &[String], placements: &[Placement]) -> Intent {
        Intent::Deploy(Box::new(Deploy {
            owner: self.inner.owner.clone(),
            names: names.to_vec(),
            placements: placements.to_vec(),
            ssh_keys: request.ssh_keys.clone(),
            user_data: request.user_data.clone(),
            tags: request.tags.clone(),
            on_failure: request.on_failure,
            wait: request.wait,
            goal: request.goal.clone(),
        }))
    }

    /// Ends a server, ours or not, and waits until the provider says that it is gone.
    ///
    /// # Errors
    /// Only when nothing was begun.
    pub async fn destroy(&self, id: &InstanceId, observer: &dyn Observer) -> Result<Outcome> {
        let give_up_at = Some(later(self.inner.clock.now(), DELETE_WITHIN));
        if let Some(open) = self.inner.journal.open_about("destroy", id).await? {
            return self.inner.resume(&[open], observer, give_up_at, Patience::Once).await.and_then(only);
        }
        let mut server = self.inner.known(id).await?;
        // Once it was shown, its absence after the deletion is no lag, and nobody has to wait for that.
        let shown = self.inner.cloud(&id.provider).await?.provider.get(id).await;
        server.shown = shown.is_ok_and(|instance| instance.is_some_and(|instance| is_more_than_ordered(&instance)));
        self.inner.run_one(Intent::Destroy { server }, observer, give_up_at).await
    }

    /// Changes the power of a server.
    ///
    /// # Errors
    /// Only when nothing was begun.
    pub async fn power(&self, id: &InstanceId, to: Power, wait: Wait, observer: &dyn Observer) -> Result<Outcome> {
        let server = self.inner.known(id).await?;
        self.inner.run_one(Intent::Power { server, to, wait }, observer, None).await
    }

    /// Goes on with one operation, or with all that are not over.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Store`].
    pub async fn resume(&self, id: Option<&OperationId>, observer: &dyn Observer) -> Result<Vec<Outcome>> {
        if let Some(id) = id {
            return self.inner.resume(std::slice::from_ref(id), observer, None, Patience::Once).await;
        }
        let mut held = Vec::new();
        loop {
            let now = self.inner.clock.now();
            match self.inner.journal.claim_next(now, self.inner.lease_from(now)).await? {
                Some(claimed) => held.push(claimed),
                None => break,
            }
        }
        let mine: Vec<OperationId> = held.iter().map(|held| held.id.clone()).collect();
        let mut outcomes = self.inner.run_all(held, observer, None).await;
        // What is left is held by another process, alive or dead: its lease tells in time.
        let open = self.inner.journal.operations(&OperationFilter { open: true, ..Default::default() }).await?;
        let left: Vec<OperationId> = open.into_iter().map(|row| row.id).filter(|id| !mine.contains(id)).collect();
        outcomes.extend(self.inner.resume(&left, observer, None, Patience::Once).await?);
        Ok(outcomes)
    }

    /// Gives back all that this process works on, for whoever goes on with it, and says what that is: for an end in the
    /// middle of things.
    ///
    /// # Errors
    /// [`ErrorKind::Store`]; then the leases run out by themselves.
    pub async fn let_go(&self) -> Result<Vec<OperationId>> {
        self.inner.journal.release_all().await
    }

    /// The same for calls of this engine that were dropped before they were done, in a process that goes on: what its
    /// other calls work on stays with them.
    ///
    /// # Errors
    /// As [`let_go`](Engine::let_go); a second call tries again.
    pub async fn let_go_of_dropped(&self) -> Result<Vec<OperationId>> {
        self.inner.journal.release_dropped().await
    }

    /// Operations, newest first, without their events.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn operations(&self, filter: &OperationFilter) -> Result<Vec<Operation>> {
        let now = self.inner.clock.now();
        let rows = self.inner.journal.operations(filter).await?;
        let mut operations: Vec<Operation> = rows.into_iter().map(|row| show(row, now)).collect();
        if let Some(name) = &filter.name {
            operations.retain(|operation| operation.names.contains(name));
        }
        if let Some(limit) = filter.limit.and_then(|limit| usize::try_from(limit).ok()) {
            operations.truncate(limit);
        }
        Ok(operations)
    }

    /// One operation with its events.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Store`].
    pub async fn operation(&self, id: &OperationId) -> Result<Operation> {
        let row = self.inner.stored(id).await?;
        let mut operation = show(row, self.inner.clock.now());
        operation.events = self.inner.journal.entries(id).await?;
        Ok(operation)
    }

    /// The servers of the inventory, by name: the living.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn inventory(&self) -> Result<Vec<Record>> {
        self.inner.journal.records(false).await
    }

    /// Every server that ever was in the inventory, the gone ones too.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn history(&self) -> Result<Vec<Record>> {
        self.inner.journal.records(true).await
    }

    /// How each budget stands, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Store`]. A budget that cannot be reckoned says so itself.
    pub async fn budgets(&self) -> Result<Vec<Standing>> {
        self.inner.journal.standings(self.inner.clock.now()).await
    }

    /// Whether the budgets would let these orders through now, all of them together. Nothing is written down.
    ///
    /// # Errors
    /// Those with which [`deploy`](Engine::deploy) would refuse them for a budget's sake; [`ErrorKind::Store`].
    pub async fn admits(&self, requests: &[DeployRequest]) -> Result<()> {
        let wanted: Vec<Intent> =
            requests.iter().map(|request| self.intent(request, &request.names, &request.placements)).collect();
        self.inner.journal.admits(&wanted, self.inner.clock.now()).await
    }

    /// Sets a budget, or changes the one of its name.
    ///
    /// # Errors
    /// With nothing changed: [`ErrorKind::Invalid`], also where a rate to the currency of what is there is missing, or
    /// [`ErrorKind::Conflict`] for a scope that has its budget already.
    pub async fn set_budget(&self, budget: &Budget) -> Result<()> {
        self.inner.journal.set_budget(budget, self.inner.clock.now()).await
    }

    /// Removes a budget.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the nearest name.
    pub async fn remove_budget(&self, name: &str) -> Result<()> {
        if self.inner.journal.remove_budget(name).await? {
            return Ok(());
        }
        let budgets = self.inner.journal.budgets().await?;
        let known = budgets.iter().map(|budget| budget.name.as_str());
        Err(Error::new(ErrorKind::NotFound, format!("There is no budget `{name}`."))
            .with_hint(nearest::hint(name, known)))
    }

    /// What each server that ever was in the inventory has been, for what it cost.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        let (records, switched) = (self.inner.journal.records(true).await?, self.inner.journal.switched().await?);
        Ok(accounts(records, &switched))
    }

    /// The living server with this id, name or unique prefix of either.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the nearest name, [`ErrorKind::Conflict`] with the candidates.
    pub async fn find(&self, text: &str) -> Result<Record> {
        let mut records = self.inventory().await?;
        let exact = |record: &Record| record.name == text || record.id.native == text || record.id.to_string() == text;
        let named: Vec<usize> = (0..records.len()).filter(|&index| exact(&records[index])).collect();
        let starts = |record: &Record| {
            [&record.name, &record.id.native, &record.id.to_string()].iter().any(|word| word.starts_with(text))
        };
        let hits = match named.is_empty() && !text.is_empty() {
            true => (0..records.len()).filter(|&index| starts(&records[index])).collect(),
            false => named,
        };
        match hits[..] {
            [index] => Ok(records.swap_remove(index)),
            [] => {
                let names = records.iter().map(|record| record.name.as_str());
                Err(Error::new(ErrorKind::NotFound, format!("There is no server `{text}` in the inventory."))
                    .with_hint(nearest::hint(text, names)))
            }
            _ => {
                let candidates = hits.iter().map(|&index| format!("`{}` ({})", records[index].name, records[index].id));
                let candidates: Vec<String> = candidates.collect();
                Err(Error::new(ErrorKind::Conflict, format!("`{text}` names more than one server."))
                    .with_hint(format!("Say which: {}.", candidates.join(", "))))
            }
        }
    }
}

impl Inner {
    /// The provider, connected once.
    pub(crate) async fn cloud(&self, id: &ProviderId) -> Result<Arc<Cloud>> {
        let mut clouds = self.clouds.lock().await;
        if let Some(cloud) = clouds.get(id) {
            return Ok(Arc::clone(cloud));
        }
        let provider = self.providers.provider(id).await?;
        let timing = Timing::new(provider.capabilities(), self.pace);
        let cloud = Arc::new(Cloud::new(provider, timing, Arc::clone(&self.clock), self.owner.clone()));
        clouds.insert(id.clone(), Arc::clone(&cloud));
        Ok(cloud)
    }

    fn lease(&self) -> Duration {
        (LEASE / self.pace).max(SHORTEST_LEASE)
    }

    fn lease_from(&self, now: Timestamp) -> Timestamp {
        later(now, self.lease())
    }

    pub(crate) async fn run_one(
        &self,
        intent: Intent,
        observer: &dyn Observer,
        give_up_at: Option<Timestamp>,
    ) -> Result<Outcome> {
        let now = self.clock.now();
        let begin = Begin { id: self.dice.operation_id(), intent, key: None, part: 0 };
        match self.journal.intend(vec![begin], now, self.lease_from(now)).await? {
            Begun::New(held) => only(self.run_all(held, observer, give_up_at).await),
            Begun::Before(ids) => self.resume(&ids, observer, give_up_at, Patience::WhileItLives).await.and_then(only),
        }
    }

    /// Carries all of them out at once, and keeps their leases meanwhile.
    async fn run_all(&self, held: Vec<Held>, observer: &dyn Observer, give_up_at: Option<Timestamp>) -> Vec<Outcome> {
        let runs = held.into_iter().map(|held| Run::new(self, held, observer, give_up_at).finish());
        let runs = async {
            match self.dice.is_seeded() {
                true => one_at_the_journal(runs, || self.journal.is_busy()).await,
                false => join_all(runs).await,
            }
        };
        tokio::select! {
            biased;
            outcomes = runs => outcomes.into_iter().flatten().collect(),
            never = self.keep_leases() => match never {},
        }
    }

    async fn keep_leases(&self) -> std::convert::Infallible {
        loop {
            self.clock.until(later(self.clock.now(), self.lease() / 3)).await;
            // A lease that cannot be renewed runs out, and the next append of its operation is refused: nothing is lost.
            if let Err(error) = self.journal.renew(self.lease_from(self.clock.now())).await {
                tracing::debug!(%error, "leases could not be renewed");
            }
        }
    }

    async fn resume(
        &self,
        ids: &[OperationId],
        observer: &dyn Observer,
        give_up_at: Option<Timestamp>,
        patience: Patience,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        let mut held = Vec::new();
        let take_all = async {
            for id in ids {
                match self.take(id, observer, give_up_at, patience).await? {
                    Taken::Held(taken) => held.push(*taken),
                    Taken::Other(row) => {
                        let busy = (!row.state.is_over()).then(|| at_work(&row));
                        outcomes.extend(self.outcomes(id, &row.state, busy.as_ref(), &HashMap::new()).await);
                    }
                }
            }
            Ok::<(), Error>(())
        };
        // The lease of one may take longer to run out than those of the others last.
        tokio::select! {
            biased;
            taken = take_all => taken?,
            never = self.keep_leases() => match never {},
        }
        outcomes.extend(self.run_all(held, observer, give_up_at).await);
        Ok(outcomes)
    }

    /// Takes an operation; waits for the lease of a process that may be dead, once or while that process lives.
    async fn take(
        &self,
        id: &OperationId,
        observer: &dyn Observer,
        give_up_at: Option<Timestamp>,
        patience: Patience,
    ) -> Result<Taken> {
        let mut lease_until = None;
        loop {
            let now = self.clock.now();
            if let Some(held) = self.journal.claim(id, now, self.lease_from(now)).await? {
                return Ok(Taken::Held(Box::new(held)));
            }
            let row = self.stored(id).await?;
            let is_enough = match patience {
                Patience::Once => lease_until.is_some_and(|seen| row.lease_until > seen),
                Patience::WhileItLives => give_up_at.is_some_and(|at| now >= at),
            };
            if row.state.is_over() || is_enough {
                return Ok(Taken::Other(Box::new(row)));
            }
            let is_news = lease_until.is_none();
            lease_until = Some(row.lease_until);
            for member in row.state.members.iter().filter(|_| is_news) {
                observer.on(&Update {
                    operation: id.clone(),
                    name: member.name.clone(),
                    stage: row.state.stage_of(member),
                    instance: member.id().cloned(),
                    message: format!("waiting to see whether {} still works on it", worker_of(&row)),
                    at: now,
                });
            }
            let lease = Duration::try_from(row.lease_until.duration_since(now)).unwrap_or_default();
            let wait = match patience {
                Patience::Once => lease,
                // It may be done long before.
                Patience::WhileItLives => lease.min(LOOK_AGAIN),
            };
            self.clock.sleep(wait + Duration::from_millis(1)).await;
        }
    }

    async fn stored(&self, id: &OperationId) -> Result<Stored> {
        self.journal.operation(id).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("There is no operation {id}."))
                .with_hint("`capsule ops` shows those that there are.")
        })
    }

    /// A server by its id: from the inventory, or else from its provider.
    async fn known(&self, id: &InstanceId) -> Result<Server> {
        let record = self.journal.record(id).await?;
        if let Some(record) = record.filter(|record| record.gone_at.is_none()) {
            return Ok(Server::from(record));
        }
        let instance = self.cloud(&id.provider).await?.provider.get(id).await?.ok_or_else(|| not_known(id))?;
        Ok(Server::seen(&instance.name, &instance))
    }

    /// What an operation came to, one outcome for each of its names.
    pub(crate) async fn outcomes(
        &self,
        id: &OperationId,
        state: &State,
        why: Option<&Error>,
        seen: &HashMap<InstanceId, Instance>,
    ) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(state.members.len());
        for member in &state.members {
            let server = member.id().cloned();
            let record = match &server {
                Some(server) => self.journal.record(server).await.ok().flatten(),
                None => None,
            };
            let instance = server.as_ref().and_then(|server| seen.get(server)).cloned();
            outcomes.push(Outcome {
                operation: id.clone(),
                kind: state.intent.kind(),
                name: member.name.clone(),
                id: server,
                record,
                instance: instance.filter(|_| !member.is_gone()),
                placement: state.placement_of(member).cloned(),
                stages: state.stages_of(member),
                finish: state.finish(id, member, why.map(Error::message)),
            });
        }
        outcomes
    }
}

/// How long to wait for an operation that another process may be working on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// For its lease to run out. If it is renewed instead, the process lives, and goes on alone.
    Once,
    /// Until it is done, or dies: whoever asks for the same a second time wants what comes of it.
    WhileItLives,
}

/// How often to look whether another process is done.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What was asked for, as a short text: the same for the same request. Prices are left out, they change meanwhile.
fn digest(request: &DeployRequest) -> String {
    let mut placements = request.placements.clone();
    for placement in &mut placements {
        placement.price = None;
    }
    let body = match &request.asked {
        Some(asked) => asked.clone(),
        None => {
            let mut parts = vec![
                serde_json::json!(request.names),
                serde_json::json!(placements),
                serde_json::json!(request.ssh_keys),
                serde_json::json!(request.user_data),
                serde_json::json!(request.tags),
                serde_json::json!(request.on_failure),
            ];
            // Only where there is one: the digests of earlier requests stay what they were.
            parts.extend(request.goal.clone());
            Value::Array(parts).to_string()
        }
    };
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn show(row: Stored, now: Timestamp) -> Operation {
    let worker = row.lease_owner.filter(|_| row.lease_until >= now && !row.state.is_over());
    Operation {
        kind: row.state.intent.kind(),
        names: row.state.intent.names(),
        instances: row.state.members.iter().filter_map(|member| member.id().cloned()).collect(),
        provider: row.state.provider().cloned(),
        stage: row.state.stage(),
        // While the process that sent the call lives, the call is on its way and nothing is in doubt yet.
        doubt: row.state.doubt_in_words().filter(|_| worker.is_none() || row.state.last_error.is_some()),
        error: row.state.error().cloned(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        next_at: row.state.next_at(),
        worker,
        events: Vec::new(),
        id: row.id,
    }
}

/// Whether a provider shows the server itself. What is only on its way it may know from the order: once that is done, its
/// lists can lag, and absent does not mean gone.
fn is_more_than_ordered(instance: &Instance) -> bool {
    instance.status != InstanceStatus::Provisioning || instance.addresses.primary().is_some()
}

fn at_work(row: &Stored) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} is at work on operation {}.", worker_of(row), row.id))
}

fn worker_of(row: &Stored) -> &str {
    row.lease_owner.as_deref().unwrap_or("another process")
}

pub(crate) fn not_known(id: &InstanceId) -> Error {
    Error::new(ErrorKind::NotFound, format!("There is no server {id}."))
        .with_hint("`capsule list` shows those that there are.")
}

fn only(mut outcomes: Vec<Outcome>) -> Result<Outcome> {
    outcomes.pop().ok_or_else(|| Error::new(ErrorKind::Store, "The operation concerns no server."))
}
