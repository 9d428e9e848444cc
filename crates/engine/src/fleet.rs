//! What the providers show set against what the journal knows: servers that nothing explains, servers that are gone,
//! and an inventory read back from the tags.

use std::collections::{BTreeMap, HashMap, HashSet};

use capsule_core::{
    Error, ErrorKind, Instance, InstanceId, InstanceStatus, Leftover, LeftoverKind, MadeFor, Price, ProviderId,
    PublicKey, Result, Scope, SshKey, Tags, Token, tags,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::engine::{Engine, OperationFilter};
use crate::event::{Intent, Server};
use crate::flow::{Timing, later};
use crate::journal::Stored;
use crate::operation::{OperationId, Record, Silent};

/// So many servers that a list left out are asked for at once.
const GETS_AT_ONCE: usize = 16;

/// How to adopt.
#[derive(Debug, Clone, Default)]
pub struct Adopt {
    /// Its name in the inventory; `None` for the vendor's.
    pub name: Option<String>,
    /// Whether a server without our owner tag may be adopted.
    pub foreign: bool,
    /// What it costs, where known.
    pub price: Option<Price>,
    /// What it is meant to be, for whoever looks at it.
    pub goal: Option<Value>,
    /// Tags that the inventory has beside those at the vendor, which win.
    pub tags: Tags,
}

/// What one provider shows of ours, set against the journal.
#[derive(Debug)]
pub struct Survey {
    /// Which provider.
    pub provider: ProviderId,
    /// When the look began.
    pub at: Timestamp,
    /// Servers with our owner tag that neither the inventory nor an operation explains.
    pub orphans: Vec<Instance>,
    /// Such servers of which nothing is concluded yet.
    pub pending: Vec<Pending>,
    /// Servers of the inventory that the provider, asked by id, says are gone.
    pub gone: Vec<Record>,
    /// What create made beside servers that are no more, or why that could not be learned.
    pub leftovers: Result<Vec<Leftover>>,
}

/// A server of which nothing is concluded yet.
#[derive(Debug, Clone, Serialize)]
pub struct Pending {
    /// Which.
    pub id: InstanceId,
    /// Its name at the vendor.
    pub name: String,
    /// Why not, without a period.
    pub why: String,
}

/// What a provider's tags gave back to the inventory.
#[derive(Debug)]
pub struct Rebuilt {
    /// Servers that were taken in.
    pub taken: Vec<Record>,
    /// How many of the provider's servers were in the inventory before.
    pub known: usize,
    /// What was left out.
    pub pending: Vec<Pending>,
    /// Servers that share token and name: one create call that the vendor carried out twice.
    pub doubles: Vec<Vec<InstanceId>>,
}

/// What explains a server.
struct Known {
    living: HashSet<InstanceId>,
    gone: HashMap<InstanceId, Timestamp>,
    tokens: HashMap<Token, OperationId>,
    ids: HashMap<InstanceId, OperationId>,
}

impl Known {
    fn of(open: &[Stored], records: &[Record]) -> Self {
        let tokens = open.iter().flat_map(|row| row.state.tokens().map(|token| (token.clone(), row.id.clone())));
        let ids = open.iter().flat_map(|row| row.state.ids().map(|id| (id.clone(), row.id.clone())));
        let gone = |record: &Record| record.gone_at.map(|at| (record.id.clone(), at));
        Known {
            living: records.iter().filter(|r| r.gone_at.is_none()).map(|r| r.id.clone()).collect(),
            gone: records.iter().filter_map(gone).collect(),
            tokens: tokens.collect(),
            ids: ids.collect(),
        }
    }

    /// The operation that is not over and that a server belongs to.
    fn operation_of(&self, instance: &Instance) -> Option<&OperationId> {
        let token = || instance.tags.token().and_then(|token| token.parse::<Token>().ok());
        self.ids.get(&instance.id).or_else(|| self.tokens.get(&token()?))
    }

    /// Why nothing can be concluded of a server that a list begun at `at` shows.
    fn pending(&self, instance: &Instance, at: Timestamp, timing: &Timing) -> Option<String> {
        if let Some(operation) = self.operation_of(instance) {
            return Some(format!("operation {operation} is not over"));
        }
        if instance.status == InstanceStatus::Deleting {
            return Some("it is being deleted".to_owned());
        }
        let gone = self.gone.get(&instance.id).filter(|gone| at < later(**gone, timing.list_lag));
        gone.map(|_| "it was deleted a moment ago, and the list lags".to_owned())
    }
}

impl Engine {
    /// Takes a server that is there into the inventory; one that is in it already is answered as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for a taken name or a server that an operation is at work on, [`ErrorKind::Forbidden`] for
    /// a foreign server not asked for as one.
    pub async fn adopt(&self, instance: Instance, how: Adopt) -> Result<Record> {
        let existing = self.inner.journal.record(&instance.id).await?;
        if let Some(record) = existing.filter(|record| record.gone_at.is_none()) {
            return Ok(record);
        }
        let foreign = !instance.is_owned_by(&self.inner.owner);
        if foreign && !how.foreign {
            let message = format!("{} was not made by this installation.", instance.id);
            return Err(
                Error::new(ErrorKind::Forbidden, message).with_hint("Say so if you want to adopt it all the same.")
            );
        }
        let known = Known::of(&self.open_operations().await?, &[]);
        if let Some(operation) = known.operation_of(&instance) {
            let message = format!("{} belongs to operation {operation}, which is not over.", instance.id);
            return Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
                "Go on with that one: `capsule resume {operation}`. It takes its servers in by itself."
            )));
        }
        let intent = adoption(&instance, foreign, how);
        self.inner.run_one(intent, &Silent, None).await?;
        self.inner.journal.record(&instance.id).await?.ok_or_else(|| crate::engine::not_known(&instance.id))
    }

    /// Writes down what a server of the inventory is meant to be from now on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Store`].
    pub async fn describe(&self, id: &InstanceId, goal: Value) -> Result<()> {
        match self.inner.journal.describe(id, goal).await? {
            true => Ok(()),
            false => Err(crate::engine::not_known(id)),
        }
    }

    /// Sets what a provider shows of ours against the journal. Changes nothing.
    ///
    /// # Errors
    /// The provider's, when it does not answer whole: then nothing is concluded about it.
    pub async fn survey(&self, provider: &ProviderId) -> Result<Survey> {
        let cloud = self.inner.cloud(provider).await?;
        let at = self.inner.clock.now();
        let listed = cloud.provider.list(&Scope::Owner(self.inner.owner.clone())).await?;
        let leftovers = match cloud.provider.leftovers() {
            Some(leftovers) => leftovers.leftovers(&self.inner.owner).await,
            None => Ok(Vec::new()),
        };
        // The journal is read after the list, operations before servers: whatever the list shows was written down before
        // it was sent, and an operation that ends meanwhile leaves its servers in the inventory.
        let open = self.open_operations().await?;
        let records = self.inner.journal.records(true).await?;
        let known = Known::of(&open, &records);

        let missing = missing(&listed, &records, &known, provider, at, &cloud.timing);
        let (mut orphans, mut pending) = (Vec::new(), Vec::new());
        for instance in listed.into_iter().filter(|instance| !known.living.contains(&instance.id)) {
            let young = instance.created_at.is_some_and(|made| at < later(made, cloud.timing.list_lag));
            let young = young.then(|| "it is too young for anything to be concluded".to_owned());
            match known.pending(&instance, at, &cloud.timing).or(young) {
                Some(why) => pending.push(Pending { id: instance.id, name: instance.name, why }),
                None => orphans.push(instance),
            }
        }
        let gone: Vec<Option<Record>> = stream::iter(missing)
            .map(|record| {
                let cloud = &cloud;
                async move { Ok::<_, Error>(cloud.provider.get(&record.id).await?.is_none().then_some(record)) }
            })
            .buffered(GETS_AT_ONCE)
            .try_collect()
            .await?;
        let gone: Vec<Record> = gone.into_iter().flatten().collect();
        // What is made at this moment has no server yet, and what the inventory still has may only not be listed.
        let lives = |record: &&Record| record.gone_at.is_none() && !gone.iter().any(|gone| gone.id == record.id);
        let living: HashSet<&Token> = records.iter().filter(lives).filter_map(|record| record.token.as_ref()).collect();
        let over: HashSet<&Token> = records.iter().filter_map(|record| record.token.as_ref()).collect();
        let keys = match &leftovers {
            Ok(leftovers) if leftovers.iter().any(|left| left.kind == LeftoverKind::SshKey) => {
                // Who made those that nothing explains, and with which keys, is not known.
                let unexplained = !orphans.is_empty() || !pending.is_empty();
                if unexplained { KeysInUse::Any } else { self.keys_in_use(provider).await? }
            }
            _ => KeysInUse::Any,
        };
        let is_left = |left: &Leftover| match &left.made_for {
            MadeFor::Token(token) if known.tokens.contains_key(token) || living.contains(token) => false,
            // It bears nobody's name: only what stood in this journal is ours.
            MadeFor::Token(token) => left.kind != LeftoverKind::Tag || over.contains(token),
            MadeFor::PublicKey(key) => !keys.has(key),
        };
        let leftovers = leftovers.map(|mut leftovers| {
            leftovers.retain(is_left);
            leftovers
        });
        Ok(Survey { provider: provider.clone(), at, orphans, pending, gone, leftovers })
    }

    /// The keys that servers of ours may have, or that servers which are being made get: as their orders say.
    async fn keys_in_use(&self, provider: &ProviderId) -> Result<KeysInUse> {
        let mut keys = HashSet::new();
        for state in self.inner.journal.arrivals().await? {
            match &state.intent {
                Intent::Deploy(deploy) => keys.extend(deploy.ssh_keys.iter().filter_map(material)),
                // Its order is not in this journal.
                Intent::Adopt { server, foreign: false, .. } if server.id.provider == *provider => {
                    return Ok(KeysInUse::Any);
                }
                _ => {}
            }
        }
        Ok(KeysInUse::These(keys))
    }

    /// Deletes what a [`survey`](Engine::survey) found without its server; a missing one is Ok.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for a key that an order names meanwhile; the provider's.
    pub async fn remove_leftover(&self, leftover: &Leftover) -> Result<()> {
        let cloud = self.inner.cloud(&leftover.id.provider).await?;
        // The token of an operation that is over is never sent again; a key may be.
        if let MadeFor::PublicKey(key) = &leftover.made_for
            && self.keys_in_use(&leftover.id.provider).await?.has(key)
        {
            let message =
                format!("The key {} is needed again: a server that is there or in the making has it.", leftover.name);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        match cloud.provider.leftovers() {
            Some(leftovers) => leftovers.remove(leftover).await,
            None => {
                Err(Error::new(ErrorKind::Unsupported, format!("Nothing is left over at {}.", leftover.id.provider)))
            }
        }
    }

    /// Writes down that servers of the inventory are gone, as a [`survey`](Engine::survey) found; their names are free
    /// again. Nothing is sent. Those that somebody deletes at this moment are left to that operation.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn record_gone(&self, gone: &[Record]) -> Result<Vec<InstanceId>> {
        let servers = gone.iter().cloned().map(Server::from).collect();
        let recorded = self.inner.journal.record_vanished(servers, self.inner.clock.now(), &self.inner.dice).await?;
        Ok(recorded.into_iter().map(|server| server.id).collect())
    }

    /// Takes every server of ours at a provider into the inventory, from its tags alone; `taken` hears how many so far.
    /// What is in the inventory stays as it is, so that a second call changes nothing.
    ///
    /// # Errors
    /// The provider's, when it does not answer whole, or [`ErrorKind::Store`].
    pub async fn rebuild(&self, provider: &ProviderId, taken: &(dyn Fn(usize) + Sync)) -> Result<Rebuilt> {
        let cloud = self.inner.cloud(provider).await?;
        let at = self.inner.clock.now();
        let listed = cloud.provider.list(&Scope::Owner(self.inner.owner.clone())).await?;
        let open = self.open_operations().await?;
        let known = Known::of(&open, &self.inner.journal.records(true).await?);

        let doubles = doubles(&listed);
        let (mut intents, mut pending, mut fresh) = (Vec::new(), Vec::new(), HashSet::new());
        let mut before = 0;
        for instance in &listed {
            if known.living.contains(&instance.id) {
                before += 1;
            } else if let Some(why) = known.pending(instance, at, &cloud.timing) {
                pending.push(Pending { id: instance.id.clone(), name: instance.name.clone(), why });
            } else {
                fresh.insert(instance.id.clone());
                let mut intent = adoption(instance, false, Adopt::default());
                if let Intent::Adopt { rebuilt, .. } = &mut intent {
                    *rebuilt = true;
                }
                intents.push(intent);
            }
        }
        self.inner.journal.take_in(intents, self.inner.clock.now(), &self.inner.dice, taken).await?;
        let mut records = self.inner.journal.records(false).await?;
        records.retain(|record| fresh.contains(&record.id));
        Ok(Rebuilt { taken: records, known: before, pending, doubles })
    }

    /// Whether nothing was ever written down here.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn is_untouched(&self) -> Result<bool> {
        Ok(self.operations(&OperationFilter { limit: Some(1), ..Default::default() }).await?.is_empty())
    }

    async fn open_operations(&self) -> Result<Vec<Stored>> {
        self.inner.journal.operations(&OperationFilter { open: true, ..Default::default() }).await
    }
}

/// Which keys servers of ours have, as far as that is known.
enum KeysInUse {
    /// It may be any.
    Any,
    /// These, without their comments.
    These(HashSet<String>),
}

impl KeysInUse {
    fn has(&self, material: &str) -> bool {
        match self {
            KeysInUse::Any => true,
            KeysInUse::These(keys) => keys.contains(material),
        }
    }
}

/// The text of a key without its comment; a key that the user gave the vendor under a name is none of ours.
fn material(key: &SshKey) -> Option<String> {
    match key {
        SshKey::Public(line) => line.parse::<PublicKey>().ok().map(|key| key.material().to_owned()),
        SshKey::Existing(_) => None,
    }
}

/// The records that a list left out although it must have shown them.
fn missing(
    listed: &[Instance],
    records: &[Record],
    known: &Known,
    provider: &ProviderId,
    at: Timestamp,
    timing: &Timing,
) -> Vec<Record> {
    let shown: HashSet<&InstanceId> = listed.iter().map(|instance| &instance.id).collect();
    let lacks = |record: &&Record| {
        record.gone_at.is_none()
            && record.id.provider == *provider
            && !shown.contains(&record.id)
            && !known.ids.contains_key(&record.id)
            && at >= later(record.known_since.unwrap_or(record.created_at), timing.list_lag)
    };
    records.iter().filter(lacks).cloned().collect()
}

/// What takes a server into the inventory.
fn adoption(instance: &Instance, foreign: bool, how: Adopt) -> Intent {
    let mut own = how.tags;
    instance.tags.iter().for_each(|(key, value)| own.insert(key, value));
    Intent::Adopt {
        server: Server::seen(how.name.as_deref().unwrap_or(&instance.name), instance),
        tags: own
            .iter()
            .filter(|(key, _)| !tags::RESERVED.contains(key))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        token: instance.tags.token().and_then(|token| token.parse().ok()),
        foreign,
        price: how.price.map(Box::new),
        goal: how.goal,
        rebuilt: false,
    }
}

/// Servers that share token and name, the oldest first.
fn doubles(listed: &[Instance]) -> Vec<Vec<InstanceId>> {
    let mut twins: BTreeMap<(&str, &str), Vec<&Instance>> = BTreeMap::new();
    for instance in listed {
        if let Some(token) = instance.tags.token() {
            twins.entry((token, &instance.name)).or_default().push(instance);
        }
    }
    let mut doubles: Vec<Vec<&Instance>> = twins.into_values().filter(|twins| twins.len() > 1).collect();
    for twins in &mut doubles {
        twins.sort_by_key(|instance| (instance.created_at.unwrap_or(Timestamp::MAX), instance.id.clone()));
    }
    doubles.into_iter().map(|twins| twins.into_iter().map(|instance| instance.id.clone()).collect()).collect()
}
