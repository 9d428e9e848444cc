//! Looking at many servers at once: one round of looks per provider and interval, however many wait for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use capsule_core::{Clock, Error, Instance, InstanceId, OwnerId, Place, PlanKind, Provider, Result, Scope, Token};
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::flow::{Timing, later};

/// With more servers than this to look at, one list is cheaper than a get for each.
const FEW: usize = 3;
/// So many create calls are under way at once at one provider.
const CREATES_AT_ONCE: usize = 16;

/// A connected provider and the looks at it.
pub(crate) struct Cloud {
    /// The driver.
    pub(crate) provider: Arc<dyn Provider>,
    /// Its times.
    pub(crate) timing: Timing,
    /// A turn for each create call: a provider that is slow or throttled keeps no other waiting.
    pub(crate) creates: Semaphore,
    clock: Arc<dyn Clock>,
    owner: OwnerId,
    wanted: Mutex<BTreeMap<InstanceId, Want>>,
    /// Held by the one that waits and looks on behalf of all.
    round: tokio::sync::Mutex<Round>,
    /// The last list of all that is ours, for each place.
    ours: Mutex<BTreeMap<Place, Arc<Ours>>>,
    /// How many such lists were begun.
    begun: AtomicU64,
    /// Held by the one that lists on behalf of those who ask for tokens.
    turn: tokio::sync::Mutex<()>,
    /// How many operations are under way here.
    busy: AtomicUsize,
}

/// A list of all that is ours in some places.
struct Ours {
    number: u64,
    began: Timestamp,
    /// What it showed beside the servers that were waited for.
    others: Result<Vec<Instance>>,
}

/// A server that somebody waits for.
struct Want {
    waiters: usize,
    place: Place,
    /// Since when it is known to be there.
    since: Timestamp,
}

#[derive(Default)]
struct Round {
    number: u64,
    at: Option<Timestamp>,
    seen: HashMap<InstanceId, Result<Option<Instance>>>,
}

/// What a server looked like.
pub(crate) struct Sight {
    /// Of which round; ask with it for a later one.
    pub(crate) round: u64,
    /// When the round began.
    pub(crate) at: Timestamp,
    /// The server; `None` when the provider does not show it.
    pub(crate) seen: Result<Option<Instance>>,
}

/// Keeps a server among those looked at for as long as somebody waits.
struct Wanted<'a>(&'a Cloud, &'a InstanceId);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let mut wanted = self.0.wanted.lock().expect("no panic happens under this lock");
        if let Some(want) = wanted.get_mut(self.1) {
            want.waiters -= 1;
            if want.waiters == 0 {
                wanted.remove(self.1);
            }
        }
    }
}

/// An operation under way at a cloud.
pub(crate) struct Busy(Arc<Cloud>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Cloud {
    pub(crate) fn new(provider: Arc<dyn Provider>, timing: Timing, clock: Arc<dyn Clock>, owner: OwnerId) -> Self {
        Cloud {
            provider,
            timing,
            creates: Semaphore::new(CREATES_AT_ONCE),
            clock,
            owner,
            wanted: Mutex::default(),
            round: tokio::sync::Mutex::default(),
            ours: Mutex::default(),
            begun: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
            busy: AtomicUsize::new(0),
        }
    }

    /// Counts an operation that is under way here, for as long as this lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }

    /// What carries one of these tokens, each sent to its place, beside the servers that are waited for, by a list begun
    /// after `after`. Where many operations are under way, one list serves them all: none is begun soon after another, so
    /// that whoever comes to doubt within one interval waits for the same. `even_half` shows as well what is only half made:
    /// a driver that can go on with it leaves it out of a look by token.
    pub(crate) async fn under(
        &self,
        sent: &[(Token, Place)],
        after: Timestamp,
        even_half: bool,
    ) -> Result<Vec<Instance>> {
        let before = self.begun.load(Ordering::SeqCst);
        let turn = self.turn.lock().await;
        if let Some(shown) = self.shown(sent, before, after) {
            return shown;
        }
        if let ([(token, place)], true) = (sent, !even_half && self.busy.load(Ordering::SeqCst) <= FEW) {
            drop(turn);
            return self.provider.list(&Scope::TokenIn(token.clone(), place.clone())).await;
        }
        self.clock.sleep(self.until_next_list(sent)).await;
        if let Some(shown) = self.shown(sent, before, after) {
            return shown;
        }
        self.list_ours(&BTreeSet::new(), sent.iter().map(|(_, place)| place.clone()).collect()).await?;
        self.shown(sent, before, after).unwrap_or_else(|| Ok(Vec::new()))
    }

    /// A little more than the interval after the last list of all that is ours in these places: where servers are waited
    /// for as well, the next round's list comes first and serves here too.
    fn until_next_list(&self, sent: &[(Token, Place)]) -> Duration {
        let ours = self.ours.lock().expect("no panic happens under this lock");
        let last = sent.iter().filter_map(|(_, place)| ours.get(place)).map(|ours| ours.began).max();
        let due = last.map(|began| later(began, self.interval() * 6 / 5));
        due.and_then(|due| Duration::try_from(due.duration_since(self.clock.now())).ok()).unwrap_or_default()
    }

    /// What the last lists of all that is ours in these places showed under these tokens, if they are new enough.
    fn shown(&self, sent: &[(Token, Place)], before: u64, after: Timestamp) -> Option<Result<Vec<Instance>>> {
        let ours = self.ours.lock().expect("no panic happens under this lock");
        let mut shown = Vec::new();
        for (token, place) in sent {
            let listed = ours.get(place).filter(|ours| ours.number > before || ours.began > after)?;
            match &listed.others {
                Ok(others) => {
                    shown.extend(others.iter().filter(|other| other.tags.token() == Some(token.as_str())).cloned())
                }
                Err(error) => return Some(Err(error.clone())),
            }
        }
        Some(Ok(shown))
    }

    /// Lists all that is ours in these places and gives those that are waited for.
    async fn list_ours(
        &self,
        wanted: &BTreeSet<InstanceId>,
        places: BTreeSet<Place>,
    ) -> Result<HashMap<InstanceId, Instance>> {
        let (number, began) = (self.begun.fetch_add(1, Ordering::SeqCst) + 1, self.clock.now());
        let listed = self.provider.list(&Scope::OwnerIn(self.owner.clone(), places.clone())).await;
        let (others, listed) = match listed {
            Ok(found) => {
                let (listed, others) = found.into_iter().partition::<Vec<_>, _>(|one| wanted.contains(&one.id));
                (Ok(others), Ok(listed.into_iter().map(|instance| (instance.id.clone(), instance)).collect()))
            }
            Err(error) => (Err(error.clone()), Err(error)),
        };
        let mut ours = self.ours.lock().expect("no panic happens under this lock");
        let fresh = Arc::new(Ours { number, began, others });
        for place in places {
            if ours.get(&place).is_none_or(|known| known.number < number) {
                ours.insert(place, Arc::clone(&fresh));
            }
        }
        listed
    }

    /// The server of that kind, known since `since`, as the first round after `round` shows it. Waits for the interval;
    /// whoever comes first looks for all.
    pub(crate) async fn look(&self, id: &InstanceId, kind: Option<PlanKind>, since: Timestamp, round: u64) -> Sight {
        let place = Place { region: id.region.clone(), kind };
        self.wanted
            .lock()
            .expect("no panic happens under this lock")
            .entry(id.clone())
            .or_insert(Want { waiters: 0, place, since })
            .waiters += 1;
        let _wanted = Wanted(self, id);
        let mut current = self.round.lock().await;
        if let (Some(at), Some(seen)) = (current.at, current.seen.get(id))
            && current.number > round
        {
            return Sight { round: current.number, at, seen: seen.clone() };
        }
        let due = later(current.at.unwrap_or_else(|| self.clock.now()), self.interval());
        let wait = Duration::try_from(due.duration_since(self.clock.now())).unwrap_or_default();
        self.clock.sleep(wait).await;
        let at = self.clock.now();
        let seen = self.look_at_all().await;
        *current = Round { number: current.number + 1, at: Some(at), seen };
        let seen = current.seen.get(id).cloned().unwrap_or_else(|| Err(not_looked_at(id)));
        Sight { round: current.number, at, seen }
    }

    /// While orders queue up, because there are many or the account is throttled, the end is not near and requests are
    /// better spent on them.
    fn interval(&self) -> Duration {
        let queued = self.creates.available_permits() == 0;
        self.timing.poll_interval * if queued { 3 } else { 1 }
    }

    async fn look_at_all(&self) -> HashMap<InstanceId, Result<Option<Instance>>> {
        let (mut ids, mut young, mut places) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let now = self.clock.now();
        for (id, want) in &*self.wanted.lock().expect("no panic happens under this lock") {
            ids.push(id.clone());
            places.insert(want.place.clone());
            if now < later(want.since, self.timing.list_lag) {
                young.insert(id.clone());
            }
        }
        if ids.len() <= FEW {
            return self.look_at_each(ids).await;
        }
        match self.list_ours(&ids.iter().cloned().collect(), places).await {
            Ok(mut listed) => {
                // What the list leaves out is asked for by its id: foreign servers are not in it. What is too young for
                // anything to be concluded need not be asked for.
                let settled = |id: &InstanceId| listed.contains_key(id) || young.contains(id);
                let (shown, missing): (Vec<_>, Vec<_>) = ids.into_iter().partition(settled);
                let mut seen = self.look_at_each(missing).await;
                seen.extend(shown.into_iter().map(|id| {
                    let instance = listed.remove(&id);
                    (id, Ok(instance))
                }));
                seen
            }
            Err(error) => ids.into_iter().map(|id| (id, Err(error.clone()))).collect(),
        }
    }

    async fn look_at_each(&self, ids: Vec<InstanceId>) -> HashMap<InstanceId, Result<Option<Instance>>> {
        let looks = ids.into_iter().map(|id| async move {
            let seen = self.provider.get(&id).await;
            (id, seen)
        });
        join_all(looks).await.into_iter().collect()
    }
}

fn not_looked_at(id: &InstanceId) -> Error {
    Error::new(capsule_core::ErrorKind::Unavailable, format!("`{id}` was not looked at."))
}
