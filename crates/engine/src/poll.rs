//! Looking at many servers at once: one round of looks per provider and interval, however many wait for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use capsule_core::{Clock, Error, Instance, InstanceId, OwnerId, Provider, Result, Scope};
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
}

/// A server that somebody waits for.
struct Want {
    waiters: usize,
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
        }
    }

    /// The server, known since `since`, as the first round after `round` shows it. Waits for the interval; whoever
    /// comes first looks for all.
    pub(crate) async fn look(&self, id: &InstanceId, since: Timestamp, round: u64) -> Sight {
        self.wanted
            .lock()
            .expect("no panic happens under this lock")
            .entry(id.clone())
            .or_insert(Want { waiters: 0, since })
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
        let (mut ids, mut young) = (Vec::new(), BTreeSet::new());
        let now = self.clock.now();
        for (id, want) in &*self.wanted.lock().expect("no panic happens under this lock") {
            ids.push(id.clone());
            if now < later(want.since, self.timing.list_lag) {
                young.insert(id.clone());
            }
        }
        if ids.len() <= FEW {
            return self.look_at_each(ids).await;
        }
        match self.provider.list(&Scope::Owner(self.owner.clone())).await {
            Ok(found) => {
                let mut listed: HashMap<InstanceId, Instance> =
                    found.into_iter().map(|instance| (instance.id.clone(), instance)).collect();
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
