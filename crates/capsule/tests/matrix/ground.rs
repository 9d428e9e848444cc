//! One simulated cloud, one journal, one clock: engines come and go, and everything can be put back to where a case began.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::{ByteStream, Ledgers, SendError, Transport};
use capsule_core::{
    Clock, Connect, ManualClock, OwnerId, PlanKind, Provider, ProviderId, Result, SettingValue, Settings,
};
use capsule_engine::{Database, Engine, Placement, Providers, Request};
use capsule_sim::{Ledger, Machine, Resource, Sim, World};
use jiff::Timestamp;

/// A provider, or the whole machines of one: they are ordered and looked at by other calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) provider: &'static str,
    pub(crate) kind: PlanKind,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metal = if self.kind == PlanKind::BareMetal { "-metal" } else { "" };
        f.pad(&format!("{}{metal}", self.provider))
    }
}

/// Where an engine dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Right after its n-th journal event is committed.
    AfterEvent(u64),
    /// When its n-th request is about to leave.
    BeforeRequest(u32),
    /// When the n-th request has taken effect and before its answer is read.
    AfterRequest(u32),
}

/// The panic of an engine that dies: no bug.
struct Dead;

/// Whether a task ended by [`Death`].
pub(crate) fn is_dead(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Dead>()
}

/// The state of everything at one moment.
#[derive(Clone)]
pub(crate) struct Moment {
    world: World,
    at: Timestamp,
    files: BTreeMap<String, Vec<u8>>,
}

/// The place of one case.
pub(crate) struct Ground {
    pub(crate) subject: Subject,
    pub(crate) sim: Sim,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) owner: OwnerId,
    dir: tempfile::TempDir,
}

impl Ground {
    pub(crate) fn new(subject: Subject, owner: OwnerId, moment: Option<&Moment>) -> Self {
        let clock = Arc::new(moment.map_or_else(ManualClock::default, |moment| ManualClock::new(moment.at)));
        let sim = Sim::in_memory(clock.clone(), capsule_sim::Options::default());
        // Memory where the machine has a file system in it: the journal syncs at every event.
        let shm = Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        let ground = Ground { subject, sim, clock, owner, dir: dir.unwrap() };
        if let Some(moment) = moment {
            ground.sim.edit(|world| world.clone_from(&moment.world)).unwrap();
            for (name, bytes) in &moment.files {
                std::fs::write(ground.dir.path().join(name), bytes).unwrap();
            }
        }
        ground
    }

    /// What can be gone back to. Nothing may be under way.
    pub(crate) fn moment(&self) -> Moment {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(self.dir.path()).unwrap().map(std::result::Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            // The index of the log is made anew from the log.
            if !name.ends_with("-shm") {
                files.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
        Moment { world: self.sim.look(World::clone).unwrap(), at: self.clock.now(), files }
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal.db")
    }

    /// A new process: an engine on the journal, with drivers that know nothing yet.
    pub(crate) async fn process(&self, death: Option<Death>, watches: bool) -> Process {
        let wire = Arc::new(Wire::new(&self.sim, death, watches));
        let drivers = Arc::new(Drivers { wire: wire.clone(), clock: self.clock.clone() });
        let nth = if let Some(Death::AfterEvent(n)) = death { Some(n) } else { None };
        let events = Arc::new(AtomicU64::new(0));
        let seen = events.clone();
        let options = capsule_engine::Options {
            database: Database::Sqlite(self.journal()),
            owner: self.owner.clone(),
            clock: self.clock.clone(),
            providers: drivers.clone(),
            pace: 1,
            worker: "matrix".to_owned(),
            readiness: None,
            notice: None,
            after_event: Some(Arc::new(move |n| {
                seen.store(n, Ordering::SeqCst);
                if nth == Some(n) {
                    resume_unwind(Box::new(Dead));
                }
            })),
        };
        Process { engine: Engine::open(options).await.unwrap(), drivers, wire, events }
    }

    /// A driver of its own.
    pub(crate) async fn driver(&self) -> Arc<dyn Provider> {
        let drivers = Drivers { wire: Arc::new(Wire::new(&self.sim, None, false)), clock: self.clock.clone() };
        drivers.provider(&ProviderId::from(self.subject.provider)).await.unwrap()
    }

    /// What the world knows of each server that ever was.
    pub(crate) fn machines(&self) -> Vec<Machine> {
        self.sim.look(|world| world.clouds.values().flat_map(|cloud| cloud.machines.iter().cloned()).collect()).unwrap()
    }

    /// Whether no server lives.
    pub(crate) fn is_empty(&self) -> bool {
        let now = self.clock.now();
        !self.machines().iter().any(|machine| machine.lives_at(now))
    }

    /// What there is beside servers and costs, or carries our mark: how many of each kind.
    pub(crate) fn side(&self) -> BTreeMap<String, usize> {
        let (now, owner) = (self.clock.now(), self.owner.as_str());
        let mut side = BTreeMap::new();
        self.sim
            .look(|world| {
                for (kind, shelf) in world.clouds.values().flat_map(|cloud| &cloud.resources) {
                    let marked = |r: &Resource| r.tags.iter().any(|(k, v)| k.contains(owner) || v.contains(owner));
                    let living = shelf.iter().filter(|r| r.lives_at(now) && (r.billed || marked(r))).count();
                    // A key belongs to every server that was given it.
                    if living > 0 && kind != "key-pair" {
                        side.insert(kind.clone(), living);
                    }
                }
            })
            .unwrap();
        side
    }

    /// The two cheapest places that sell such a server.
    pub(crate) async fn placements(&self) -> Vec<Placement> {
        let catalog = self.driver().await.catalog().await.unwrap();
        let request = Request {
            providers: vec![self.subject.provider.into()],
            image: "ubuntu-24.04".to_owned(),
            kind: Some(self.subject.kind),
            ..Request::default()
        };
        let mut placements = capsule_engine::choose(&request, &[catalog]).unwrap().placements;
        let region = placements[0].region.clone();
        placements.retain(|placement| placement.region == region);
        placements.truncate(2);
        placements
    }
}

/// An engine and its drivers.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) wire: Arc<Wire>,
    /// How many journal events it committed.
    pub(crate) events: Arc<AtomicU64>,
}

/// The way to the simulator, with a counter and a place to die.
pub(crate) struct Wire {
    sim: Sim,
    inner: Arc<dyn Transport>,
    death: Option<Death>,
    sent: AtomicU32,
    /// Whether it notes what each request did.
    watches: bool,
    notes: Mutex<Vec<Note>>,
}

/// What one request did.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    /// Such as `droplets.create`.
    pub(crate) operation: String,
    /// How many servers it made.
    pub(crate) births: usize,
    /// Whether it changed anything.
    pub(crate) changes: bool,
}

impl Wire {
    fn new(sim: &Sim, death: Option<Death>, watches: bool) -> Self {
        let (sent, notes) = (AtomicU32::new(0), Mutex::default());
        Wire { sim: sim.clone(), inner: sim.transport(), death, sent, watches, notes }
    }

    /// What each request did, if it was watched.
    pub(crate) fn notes(&self) -> Vec<Note> {
        self.notes.lock().unwrap().clone()
    }

    async fn watched(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let look = || {
            let books = self.sim.ledger().unwrap();
            let world = self.sim.look(|world| serde_json::to_string(&world.clouds).unwrap()).unwrap();
            (books, world)
        };
        let (books, world) = look();
        let answer = self.inner.send(request).await;
        let (books_after, world_after) = look();
        let counted = books_after.requests.iter().find(|(key, count)| books.requests.get(*key) != Some(count));
        let machines = |books: &Ledger| books.births.iter().filter(|birth| birth.kind == "machine").count();
        self.notes.lock().unwrap().push(Note {
            operation: counted.and_then(|(key, _)| key.split(' ').nth(1)).unwrap_or_default().to_owned(),
            births: machines(&books_after) - machines(&books),
            changes: world != world_after,
        });
        answer
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let n = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
        if self.death == Some(Death::BeforeRequest(n)) {
            resume_unwind(Box::new(Dead));
        }
        let answer = if self.watches { self.watched(request).await } else { self.inner.send(request).await };
        if self.death == Some(Death::AfterRequest(n)) {
            resume_unwind(Box::new(Dead));
        }
        answer
    }
}

/// Connects drivers to the simulator.
pub(crate) struct Drivers {
    wire: Arc<Wire>,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Providers for Drivers {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        let values = capsule_sim::credentials(id.as_str())
            .into_iter()
            .map(|(key, value)| (key.to_owned(), SettingValue { value: value.into(), source: "test".to_owned() }))
            .collect();
        let regions = home(id.as_str()).iter().map(|region| (*region).to_owned()).collect();
        let settings = Settings { values, regions, force_retired: true, ..Settings::default() };
        let ledgers = Ledgers::default();
        let connect = Connect { settings, transport: self.wire.clone(), clock: self.clock.clone(), ledgers };
        (capsule_providers::find(id.as_str())?.connect)(connect).await
    }
}

/// One region where a list asks each region by itself: the others would only repeat it.
fn home(provider: &str) -> &'static [&'static str] {
    match provider {
        "aws" => &["us-east-1"],
        "scaleway" => &["fr-par-1"],
        _ => &[],
    }
}
