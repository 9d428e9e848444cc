//! The simulator itself: one request in, one outcome out.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use capsule_core::http::Transport;
use capsule_core::{Clock, Error, ErrorKind, Net, ProviderId, Result};

use crate::dialect::{Dialect, Mishap};
use crate::dialects::dialects;
use crate::fault::{Fault, What};
use crate::guest::{Guest, Name, SandboxNet, Setting, Surroundings, Trouble, authority};
use crate::invoice::{Bill, bills};
use crate::late::lateness;
use crate::ledger::Ledger;
use crate::store::{Store, Wrote};
use crate::transport::InProcess;
use crate::wire::{Request, Response};
use crate::world::{Quirks, View, World};

/// How a world is made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many times as fast as in nature machines live.
    pub speed: u32,
    /// What ids are derived from.
    pub seed: u64,
    /// Whether the vendors' documented request limits hold.
    pub limits: bool,
}

impl Default for Options {
    /// Natural speed, limits on.
    fn default() -> Self {
        Options { speed: 1, seed: 1, limits: true }
    }
}

/// The simulated clouds. Clones are the same world.
#[derive(Clone)]
pub struct Sim {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dialects: Vec<Arc<dyn Dialect>>,
    options: Options,
    store: Mutex<Store>,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer, and how much of it arrives.
    Answer(Response, Delivery),
    /// No connection was made.
    Refused,
    /// The connection ended without an answer.
    Lost,
}

/// How much of an answer arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All.
    Whole,
    /// Half, and then the connection ends; the length was not announced.
    Reset,
    /// Half of the length that was announced.
    Truncated,
}

/// A body that makes no sense.
pub(crate) const GARBAGE: &[u8] = b"{\"<html>\": [\xff\xfe";

/// Longer than any client waits, in seconds.
const FOR_EVER: u32 = 24 * 3600;

impl Sim {
    /// A world in memory.
    pub fn in_memory(clock: Arc<dyn Clock>, options: Options) -> Self {
        let dialects = dialects();
        let store = Store::in_memory(World::new(&dialects, options.speed, options.seed));
        Sim { shared: Arc::new(Shared { clock, dialects, options, store: Mutex::new(store) }) }
    }

    /// The world in the file at `path`, which separate processes may share; made if it is missing. An existing world
    /// keeps its speed and seed.
    ///
    /// # Errors
    /// When the file cannot be read, understood or written.
    pub fn open(path: &Path, clock: Arc<dyn Clock>, options: Options) -> Result<Self> {
        let dialects = dialects();
        let store = Store::open(path, World::new(&dialects, options.speed, options.seed))?;
        let sim = Sim { shared: Arc::new(Shared { clock, dialects, options, store: Mutex::new(store) }) };
        if !sim.look(|world| world.knows(&sim.shared.dialects))? {
            sim.edit(|world| world.welcome(&sim.shared.dialects))?;
        }
        Ok(sim)
    }

    /// The way in for clients of this process: requests to the vendors' own hosts end up here.
    pub fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(InProcess::new(self.clone()))
    }

    /// The network that the servers' addresses are on. Connections end when it is dropped.
    pub fn net(&self) -> Arc<dyn Net> {
        Arc::new(SandboxNet::new(self.clone()))
    }

    /// The certificate, in DER, of the authority that signs for names in this world: to be trusted by its clients.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn authority(&self) -> Result<Vec<u8>> {
        authority(self.look(|world| world.seed)?)
    }

    /// Lets a name lead to those addresses from now on; to none, and it is no name any more.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn set_name(&self, name: &str, addresses: &[IpAddr]) -> Result<()> {
        let (name, since) = (name.trim_end_matches('.').to_ascii_lowercase(), self.shared.clock.now());
        self.edit(|world| match addresses {
            [] => drop(world.names.remove(&name)),
            addresses => drop(world.names.insert(name, Name { addresses: addresses.to_vec(), since })),
        })
    }

    /// A server from inside, now; `None` if there never was one of that id.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn guest(&self, provider: &str, id: &str) -> Result<Option<Guest>> {
        self.guest_with(&ProviderId::from(provider.to_owned()), id, &[])
    }

    /// The same, with what is wrong with it for the moment.
    pub(crate) fn guest_with(&self, provider: &ProviderId, id: &str, troubles: &[Trouble]) -> Result<Option<Guest>> {
        let Some(dialect) = self.shared.dialects.iter().find(|dialect| dialect.provider() == *provider) else {
            return Ok(None);
        };
        let found = self.look(|world| {
            let machine = world.machine(provider.as_str(), id)?.clone();
            Some((machine, world.speed, world.seed, world.names.clone()))
        })?;
        let Some((machine, speed, seed, names)) = found else { return Ok(None) };
        let catalog = dialect.catalog();
        let (plan, image) = (catalog.plan(&machine.plan), catalog.image(&machine.image));
        let around = Surroundings {
            speed,
            seed,
            names,
            memory_mib: plan.map_or(0, |plan| plan.memory_mib),
            disk_gib: plan.map_or(0, |plan| plan.disk_gib),
            vcpus: plan.map_or(0, |plan| plan.vcpus),
            // `any` stands for an image with builds of which the vendor picks the right one.
            is_x86_64: image.is_none_or(|image| matches!(image.arch, "x86_64" | "any")),
            troubles: troubles.to_vec(),
        };
        Ok(Some(Guest::new(machine, around)))
    }

    /// The server that has a public address now, and whether what comes to `port` is let in.
    pub(crate) fn server_at(&self, address: IpAddr, port: u16) -> Result<Option<(ProviderId, String, bool)>> {
        let now = self.shared.clock.now();
        self.look(|world| {
            let machine = world.machine_at(address, now)?;
            let dialect = self.shared.dialects.iter().find(|dialect| dialect.provider() == machine.provider)?;
            let cloud = world.clouds.get(machine.provider.as_str())?;
            Some((machine.provider.clone(), machine.id.clone(), dialect.lets_in(cloud, machine, port, now)))
        })
    }

    /// Something that was set through a node's manager.
    pub(crate) fn change_node(&self, provider: &ProviderId, id: &str, change: Setting) -> Result<()> {
        self.edit(|world| {
            let cloud = world.clouds.get_mut(provider.as_str());
            if let Some(machine) = cloud.and_then(|cloud| cloud.machines.get_mut(id)) {
                machine.node.changes.push(change);
            }
        })
    }

    /// The clock it lives by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// Lets something go wrong.
    ///
    /// # Errors
    /// When the fault names a provider that is not simulated, or the world's file cannot be used.
    pub fn inject(&self, fault: Fault) -> Result<()> {
        self.inject_all(vec![fault])
    }

    /// Lets several things go wrong, or none if one of them cannot.
    ///
    /// # Errors
    /// As [`inject`](Sim::inject).
    pub fn inject_all(&self, faults: Vec<Fault>) -> Result<()> {
        let known: Vec<ProviderId> = self.shared.dialects.iter().map(|dialect| dialect.provider()).collect();
        let stranger = faults.iter().filter_map(|fault| fault.provider.as_ref()).find(|own| !known.contains(own));
        if let Some(stranger) = stranger {
            let names: Vec<&str> = known.iter().map(ProviderId::as_str).collect();
            return Err(Error::new(ErrorKind::Invalid, format!("No simulated cloud is called `{stranger}`."))
                .with_hint(format!("There are {}; `*` stands for all of them.", names.join(", "))));
        }
        self.access(|store| {
            store.world.faults.extend(faults);
            Ok(((), Wrote::World))
        })
    }

    /// Takes back every fault.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn clear_faults(&self) -> Result<()> {
        self.access(|store| {
            store.world.faults.clear();
            Ok(((), Wrote::World))
        })
    }

    /// The books, now.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn ledger(&self) -> Result<Ledger> {
        let now = self.shared.clock.now();
        self.access(|store| Ok((Ledger::of(&store.world, &store.traffic.counts, now), Wrote::Nothing)))
    }

    /// What the vendors would write on their invoices for every server so far, now.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn invoice(&self) -> Result<Vec<Bill>> {
        let now = self.shared.clock.now();
        self.look(|world| bills(world, &self.shared.dialects, now))
    }

    /// Looks at the world.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn look<T>(&self, see: impl FnOnce(&World) -> T) -> Result<T> {
        self.access(|store| Ok((see(&store.world), Wrote::Nothing)))
    }

    /// Changes the world behind the vendors' backs: another account, a lower limit, a server nobody ordered.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> Result<T> {
        self.access(|store| Ok((change(&mut store.world), Wrote::World)))
    }

    /// Starts again with an empty world of the same speed and seed; counts and faults are gone too.
    ///
    /// # Errors
    /// When the world's file cannot be used.
    pub fn reset(&self) -> Result<()> {
        self.access(|store| {
            store.world = World::new(&self.shared.dialects, store.world.speed, store.world.seed);
            store.traffic.clear();
            Ok(((), Wrote::World))
        })
    }

    /// Everything that touches the world goes through here, and finds done what was due before.
    pub(crate) fn access<T>(&self, work: impl FnOnce(&mut Store) -> Result<(T, Wrote)>) -> Result<T> {
        self.store().access(|store| {
            let caught_up = self.catch_up(store);
            let (out, wrote) = work(store)?;
            Ok((out, if caught_up { Wrote::World } else { wrote }))
        })
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A dialect that panicked in a test must not hide its message behind a second panic.
        self.shared.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One request to one vendor, with everything that goes wrong on its way.
    pub(crate) async fn exchange(&self, dialect: &dyn Dialect, request: &Request) -> Outcome {
        let provider = dialect.provider();
        let operation = dialect.operation(request);
        let due = match self.due(&provider, operation) {
            Ok(due) => due,
            Err(error) => return broken(&error),
        };
        let answer = || match lateness(&due) {
            Some(wait) => self.postpone(dialect, request, operation, wait, &due),
            None => self.answer(dialect, request, operation, &due),
        };
        self.through(&provider, operation, &due, answer).await
    }

    /// What comes of an exchange under the faults that are `due`; `answer` is asked as often as the
    /// request arrives.
    pub(crate) async fn through(
        &self,
        provider: &ProviderId,
        operation: &str,
        due: &[What],
        answer: impl Fn() -> Result<Response>,
    ) -> Outcome {
        if due.contains(&What::RefuseConnect) {
            return Outcome::Refused;
        }
        self.delay(due).await;
        if due.contains(&What::LoseRequest) {
            return self.lost(provider, operation);
        }
        if due.contains(&(What::Hang { after_effect: false })) {
            self.hang().await;
            return self.lost(provider, operation);
        }
        if due.contains(&What::Duplicate)
            && let Err(error) = answer()
        {
            return broken(&error);
        }
        let response = match answer() {
            Ok(response) => response,
            Err(error) => return broken(&error),
        };
        if due.contains(&(What::Hang { after_effect: true })) {
            self.hang().await;
            return self.lost(provider, operation);
        }
        if due.contains(&What::LoseReplyAfterEffect) {
            return self.lost(provider, operation);
        }
        let delivery = if due.contains(&What::ResetMidBody) {
            Delivery::Reset
        } else if due.contains(&What::Truncate) {
            Delivery::Truncated
        } else {
            Delivery::Whole
        };
        Outcome::Answer(response, delivery)
    }

    /// What faults ask to be waited.
    pub(crate) async fn delay(&self, due: &[What]) {
        for what in due {
            if let What::Slow(wait) = what {
                self.shared.clock.sleep(*wait).await;
            }
        }
    }

    /// What goes wrong with this request.
    pub(crate) fn due(&self, provider: &ProviderId, operation: &str) -> Result<Vec<What>> {
        self.access(|store| {
            let faults = &mut store.world.faults;
            let concerned: Vec<_> = faults.iter_mut().filter(|fault| fault.concerns(provider, operation)).collect();
            let wrote = if concerned.is_empty() { Wrote::Nothing } else { Wrote::World };
            let due = concerned.into_iter().filter_map(|fault| fault.strikes().then(|| fault.what.clone())).collect();
            Ok((due, wrote))
        })
    }

    /// Counted, admitted, done, and written down: all under one lock.
    fn answer(&self, dialect: &dyn Dialect, request: &Request, operation: &str, due: &[What]) -> Result<Response> {
        let provider = dialect.provider();
        let now = self.shared.clock.now();
        self.access(|store| {
            let Store { world, traffic, .. } = store;
            let mut used = Vec::new();
            let mut refusal = refusal(dialect, request, due);
            if self.shared.options.limits && refusal.is_none() {
                let caller = dialect.caller(request).unwrap_or_default();
                match traffic.admit(dialect.limits(), &provider, &caller, operation, now) {
                    Ok(usages) => used = usages,
                    Err(usage) => {
                        let wait = Duration::try_from(usage.reset.duration_since(now)).unwrap_or_default();
                        let wait = usage.limit.says_retry_after.then_some(wait);
                        refusal = Some(dialect.error(request, Mishap::RateLimited(wait)));
                        used = vec![usage];
                    }
                }
            }
            let mut wrote = Wrote::Traffic;
            let mut response = match refusal {
                Some(response) => response,
                None => {
                    let mut view = View::new(world, dialect, now, quirks(due));
                    let response = dialect.handle(request, &mut view);
                    if view.changed() {
                        wrote = Wrote::World;
                    }
                    response
                }
            };
            if let Some(usage) = used.iter().min_by_key(|usage| usage.remaining) {
                dialect.tell_usage(&mut response, usage);
            }
            for what in due {
                match what {
                    What::Status { code, after_effect: true } => {
                        response = dialect.error(request, Mishap::Status(*code));
                    }
                    What::Garbage => response.body = Bytes::from_static(GARBAGE),
                    _ => {}
                }
            }
            if !is_silent(due) {
                traffic.count(&provider, operation, Some(response.status));
            }
            tracing::debug!(%provider, operation, status = response.status, "simulated");
            Ok((response, wrote))
        })
    }

    /// Waits in small steps: a manual clock then stops where the client's patience ends.
    pub(crate) async fn hang(&self) {
        for _ in 0..FOR_EVER {
            self.shared.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// Counts a request and the status of its answer.
    pub(crate) fn count(&self, provider: &ProviderId, operation: &str, status: Option<u16>) -> Result<()> {
        self.access(|store| {
            store.traffic.count(provider, operation, status);
            Ok(((), Wrote::Traffic))
        })
    }

    fn lost(&self, provider: &ProviderId, operation: &str) -> Outcome {
        match self.count(provider, operation, None) {
            Ok(()) => Outcome::Lost,
            Err(error) => broken(&error),
        }
    }
}

/// Whether an answer that was made does not arrive, and so is counted as none.
pub(crate) fn is_silent(due: &[What]) -> bool {
    due.iter().any(|what| matches!(what, What::LoseReplyAfterEffect | What::Hang { .. }))
}

/// The answer of a fault that refuses the request before anything is done.
pub(crate) fn refusal(dialect: &dyn Dialect, request: &Request, due: &[What]) -> Option<Response> {
    due.iter()
        .find_map(|what| match what {
            What::Status { code, after_effect: false } => Some(Mishap::Status(*code)),
            What::RateLimit(wait) => Some(Mishap::RateLimited(*wait)),
            What::NoCapacity => Some(Mishap::NoCapacity),
            _ => None,
        })
        .map(|mishap| dialect.error(request, mishap))
}

pub(crate) fn quirks(due: &[What]) -> Quirks {
    let mut quirks = Quirks::default();
    for what in due {
        match what {
            What::LateFailure => quirks.late_failure = true,
            What::ListLag(wait) => quirks.list_lag_ms = ms(wait),
            What::ReadLag(wait) => quirks.read_lag_ms = ms(wait),
            What::Node(trouble) => quirks.troubles.push(*trouble),
            _ => {}
        }
    }
    quirks
}

pub(crate) fn ms(wait: &Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// The simulator itself does not work: no vendor's answer, so that nobody takes it for one.
fn broken(error: &Error) -> Outcome {
    tracing::error!(%error, "the simulator failed");
    Outcome::Answer(Response::text(500, "text/plain; charset=utf-8", error.to_string()), Delivery::Whole)
}
