//! A cloud in memory whose every misbehaviour is scripted, and an engine over it with a real journal and no real time.

#[path = "../postgres/mod.rs"]
mod postgres;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{
    Account, Addresses, Capabilities, Catalog, Clock, Descriptor, Disks, Effect, Error, ErrorKind, Instance,
    InstanceId, InstanceStatus, Leftover, Leftovers, Lifecycle, ManualClock, Marking, Order, OwnLoader, OwnerId,
    PlanKind, Power, Provider, ProviderId, RawBody, Result, Retry, Scope, Statements, SystemClock, Tags, tags,
};
use capsule_engine::{
    AfterEvent, Database, DeployRequest, Engine, Look, OnFailure, Options, Placement, Prospect, Providers, Readiness,
    Wait, Watched,
};
use jiff::{SignedDuration, Timestamp};

pub(crate) const CLOUD: ProviderId = ProviderId::new("testcloud");
pub(crate) const OTHER_CLOUD: ProviderId = ProviderId::new("othercloud");

static DESCRIPTOR: Descriptor = Descriptor {
    id: CLOUD,
    name: "Testcloud",
    lifecycle: Lifecycle::Live,
    endpoint: "https://cloud.test",
    settings: &[],
    key_help: "",
    docs: "",
    tariffs: &[],
};

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::Virtual],
    batch: 2,
    idempotent_create: false,
    graceful_stop: true,
    force_off: true,
    user_data_max: 1024,
    name_rule: "anything",
    list_lag: Duration::from_secs(30),
    poll_interval: Duration::from_secs(5),
    ready_within: Duration::from_secs(600),
    ready_within_metal: Duration::from_secs(3600),
};

/// What goes wrong with one create call.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The servers are made; the answer is lost.
    LoseReply,
    /// The servers are made so long after the call was begun: the vendor had it wait for its turn.
    Slow(Duration),
    /// 502, and nothing is made.
    BadGateway,
    /// Each server is made twice; the answer is lost.
    Double,
    /// The call arrives twice, each makes the servers, and the second answer comes.
    Twice,
    /// The call arrives twice; the first makes the servers, and the second is refused.
    TwiceRefused(Error),
    /// 502, and the servers are made much later.
    Late,
    /// Only the first server is made; the answer is lost.
    MakeOne,
    /// Nothing is made, and the vendor says so.
    Refuse(Error),
    /// The server is made and fails.
    Stillborn,
    /// No answer before that cloud was asked for a server; then nothing is made.
    Await(Arc<TestCloud>),
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) id: InstanceId,
    pub(crate) name: String,
    pub(crate) tags: Tags,
    pub(crate) plan: String,
    pub(crate) born: Timestamp,
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) stillborn: bool,
    pub(crate) is_off: bool,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) servers: Vec<Server>,
    pub(crate) faults: VecDeque<Option<Fault>>,
    pub(crate) creates: usize,
    pub(crate) lists: usize,
    pub(crate) gets: usize,
    pub(crate) refuse_delete: bool,
    /// What somebody else makes of a server's tags right after it was marked.
    pub(crate) meddles: Option<fn(&mut Tags)>,
    /// What the vendor says that its servers left behind.
    pub(crate) leftovers: Vec<Leftover>,
}

pub(crate) struct TestCloud {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) world: Mutex<World>,
    pub(crate) lag: Duration,
    pub(crate) boots_in: Duration,
}

impl fmt::Debug for TestCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestCloud")
    }
}

fn passed(since: Timestamp, now: Timestamp, time: Duration) -> bool {
    now.duration_since(since) >= SignedDuration::try_from(time).unwrap()
}

impl TestCloud {
    pub(crate) fn living(&self) -> Vec<Server> {
        let world = self.world.lock().unwrap();
        world.servers.iter().filter(|server| server.deleted.is_none()).cloned().collect()
    }

    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.world.lock().unwrap().faults = faults.into_iter().map(Some).collect();
    }

    fn show(&self, server: &Server) -> Option<Instance> {
        let now = self.clock.now();
        let is_gone = server.deleted.is_some_and(|at| passed(at, now, Duration::from_secs(10)));
        if is_gone || !passed(server.born, now, self.lag) {
            return None;
        }
        let is_up = passed(server.born, now, self.boots_in);
        let status = match () {
            () if server.deleted.is_some() => InstanceStatus::Deleting,
            () if server.stillborn => InstanceStatus::Failed,
            () if server.is_off => InstanceStatus::Stopped,
            () if is_up => InstanceStatus::Running,
            () => InstanceStatus::Provisioning,
        };
        let addresses = Addresses { public_v4: vec![[192, 0, 2, 1].into()], ..Addresses::default() };
        Some(Instance {
            id: server.id.clone(),
            name: server.name.clone(),
            status,
            native_status: status.to_string(),
            fault: server.stillborn.then(|| "the host is on fire".to_owned()),
            plan: server.plan.clone(),
            image: None,
            addresses: if is_up { addresses } else { Addresses::default() },
            tags: server.tags.clone(),
            created_at: Some(server.born),
            metadata: RawBody::empty(),
        })
    }

    pub(crate) fn bear(&self, name: &str, tags: Tags, plan: &str, stillborn: bool) -> Instance {
        let mut world = self.world.lock().unwrap();
        let server = Server {
            id: InstanceId::new(CLOUD, "here", format!("srv-{}", world.servers.len() + 1)),
            name: name.to_owned(),
            tags,
            plan: plan.to_owned(),
            born: self.clock.now(),
            deleted: None,
            stillborn,
            is_off: false,
        };
        world.servers.push(server.clone());
        drop(world);
        let mut shown = self.show(&Server { born: Timestamp::UNIX_EPOCH, ..server.clone() }).expect("it is old enough");
        shown.created_at = Some(server.born);
        if self.boots_in > Duration::ZERO && !stillborn {
            shown.status = InstanceStatus::Provisioning;
            shown.addresses = Addresses::default();
        }
        shown
    }

    fn with<T>(&self, id: &InstanceId, change: impl FnOnce(&mut Server) -> T) -> Option<T> {
        let mut world = self.world.lock().unwrap();
        world.servers.iter_mut().find(|server| server.id == *id).map(change)
    }
}

pub(crate) fn bad_gateway() -> Error {
    Error::new(ErrorKind::Unavailable, "The vendor answered 502.")
        .with_http_status(502)
        .with_effect(Effect::Unknown)
        .with_retry(Retry::Backoff)
}

#[async_trait]
impl Provider for TestCloud {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        Ok(Account { id: "me".into(), status: None, quotas: vec![], notes: vec![] })
    }

    async fn catalog(&self) -> Result<Catalog> {
        Ok(Catalog {
            provider: CLOUD,
            at: self.clock.now(),
            regions: vec![],
            plans: vec![],
            images: vec![],
            offers: vec![],
        })
    }

    fn check(&self, order: &Order) -> Result<()> {
        match order.names.iter().find(|name| name.contains(&order.spec.plan)) {
            None => Ok(()),
            Some(name) => {
                Err(Error::new(ErrorKind::Invalid, format!("`{name}` is no name for a {}.", order.spec.plan)))
            }
        }
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        let fault = {
            let mut world = self.world.lock().unwrap();
            world.creates += 1;
            world.faults.pop_front().flatten()
        };
        let tags = order.spec.tags.at_birth(&order.owner, &order.token);
        let make = |names: &[String], stillborn| -> Vec<Instance> {
            names.iter().map(|name| self.bear(name, tags.clone(), &order.spec.plan, stillborn)).collect()
        };
        match fault {
            None => Ok(make(&order.names, false)),
            Some(Fault::Slow(wait)) => {
                self.clock.sleep(wait).await;
                Ok(make(&order.names, false))
            }
            Some(Fault::Stillborn) => Ok(make(&order.names, true)),
            Some(Fault::Refuse(error)) => Err(error),
            Some(Fault::Await(cloud)) => {
                // In real time: what is awaited has to be written down first, and a disk may be slow.
                let mut looks = 0;
                while cloud.world.lock().unwrap().creates == 0 && looks < 30_000 {
                    looks += 1;
                    SystemClock.sleep(Duration::from_millis(1)).await;
                }
                Err(Error::new(ErrorKind::Invalid, "Too late."))
            }
            Some(Fault::BadGateway) => Err(bad_gateway()),
            Some(Fault::LoseReply) => {
                make(&order.names, false);
                Err(bad_gateway())
            }
            Some(Fault::Late) => {
                make(&order.names, false);
                for server in &mut self.world.lock().unwrap().servers {
                    server.born += SignedDuration::from_secs(155);
                }
                Err(bad_gateway())
            }
            Some(Fault::Double) => {
                make(&order.names, false);
                self.clock.advance(Duration::from_secs(1));
                make(&order.names, false);
                Err(bad_gateway())
            }
            Some(Fault::Twice) => {
                make(&order.names, false);
                Ok(make(&order.names, false))
            }
            Some(Fault::TwiceRefused(error)) => {
                make(&order.names, false);
                Err(error)
            }
            Some(Fault::MakeOne) => {
                make(&order.names[..1], false);
                Err(bad_gateway())
            }
        }
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        self.world.lock().unwrap().gets += 1;
        Ok(self.with(id, |server| server.clone()).and_then(|server| self.show(&server)))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let servers = {
            let mut world = self.world.lock().unwrap();
            world.lists += 1;
            world.servers.clone()
        };
        Ok(servers.iter().filter(|server| scope.holds(&server.tags)).filter_map(|server| self.show(server)).collect())
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let set = |server: &mut Server| server.is_off = matches!(to, Power::Off | Power::ForceOff);
        self.with(id, set).ok_or_else(|| Error::new(ErrorKind::NotFound, "No such server."))
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        if self.world.lock().unwrap().refuse_delete {
            return Err(Error::new(ErrorKind::Forbidden, "The key may not delete."));
        }
        let now = self.clock.now();
        let is_young = self.with(id, |server| !passed(server.born, now, self.lag)).unwrap_or(true);
        if !is_young {
            self.with(id, |server| server.deleted.get_or_insert(now).to_owned());
        }
        Ok(())
    }

    fn leftovers(&self) -> Option<&dyn Leftovers> {
        Some(self)
    }

    fn statements(&self) -> Option<&dyn Statements> {
        None
    }

    fn own_loader(&self) -> Option<&dyn OwnLoader> {
        None
    }

    fn disks(&self) -> Option<&dyn Disks> {
        None
    }

    fn marking(&self) -> Option<&dyn Marking> {
        Some(self)
    }
}

#[async_trait]
impl Marking for TestCloud {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        let meddles = self.world.lock().unwrap().meddles;
        self.with(id, |server| {
            server.tags.insert(tags::OWNER, owner.as_str());
            meddles.iter().for_each(|meddle| meddle(&mut server.tags));
        })
        .ok_or_else(|| id.not_there("servers.get"))
    }
}

#[async_trait]
impl Leftovers for TestCloud {
    async fn leftovers(&self, _: &OwnerId) -> Result<Vec<Leftover>> {
        Ok(self.world.lock().unwrap().leftovers.clone())
    }

    async fn remove(&self, leftover: &Leftover) -> Result<()> {
        self.world.lock().unwrap().leftovers.retain(|left| left.id != leftover.id);
        Ok(())
    }
}

struct Both {
    cloud: Arc<TestCloud>,
    other: Arc<TestCloud>,
}

#[async_trait]
impl Providers for Both {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        let cloud = if *id == CLOUD { &self.cloud } else { &self.other };
        Ok(Arc::clone(cloud) as Arc<dyn Provider>)
    }
}

/// Stages, and what follows once they are passed.
pub(crate) type Script = (Vec<(&'static str, u64)>, Option<Prospect>);

/// Judges by a script: each stage is passed so long after the server had its address, then this follows.
#[derive(Debug)]
pub(crate) struct Judge {
    clock: Arc<ManualClock>,
    pub(crate) script: Mutex<Script>,
}

#[async_trait]
impl Readiness for Judge {
    async fn look(&self, watched: &Watched) -> Look {
        let since = watched.passed_at("address").expect("only what has an address is watched");
        let (stages, end) = self.script.lock().unwrap().clone();
        let due = |seconds: &u64| passed(since, self.clock.now(), Duration::from_secs(*seconds));
        let all = stages.iter().all(|(_, seconds)| due(seconds));
        let reached = stages.iter().filter(|(stage, seconds)| due(seconds) && watched.passed_at(stage).is_none());
        Look {
            reached: reached.map(|(stage, _)| (*stage).to_owned()).collect(),
            prospect: end.filter(|_| all).unwrap_or_else(|| Prospect::Wait("being installed".to_owned())),
        }
    }
}

/// A cloud and another one, one journal, one clock; engines come and go.
pub(crate) struct Bench {
    pub(crate) cloud: Arc<TestCloud>,
    pub(crate) other: Arc<TestCloud>,
    pub(crate) owner: OwnerId,
    pub(crate) judge: Arc<Judge>,
    database: Database,
    _home: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_lag(Duration::from_secs(8))
    }

    pub(crate) fn with_lag(lag: Duration) -> Self {
        let clock = Arc::new(ManualClock::default());
        let cloud = || {
            let (clock, world) = (Arc::clone(&clock), Mutex::default());
            Arc::new(TestCloud { clock, world, lag, boots_in: Duration::from_secs(40) })
        };
        let judge = Arc::new(Judge { clock: Arc::clone(&clock), script: Mutex::default() });
        let home = tempfile::tempdir().unwrap();
        let database = match env!("CARGO_CRATE_NAME").ends_with("_on_postgres") {
            true => Database::parse(postgres::Postgres::shared().database().into()).unwrap(),
            false => Database::Sqlite(home.path().join("journal.db")),
        };
        Bench { cloud: cloud(), other: cloud(), owner: OwnerId::random(), judge, database, _home: home }
    }

    pub(crate) async fn try_open(&self, after_event: Option<AfterEvent>) -> Result<Engine> {
        Engine::open(Options {
            database: self.database.clone(),
            owner: self.owner.clone(),
            clock: Arc::clone(&self.cloud.clock) as Arc<dyn Clock>,
            providers: Arc::new(Both { cloud: Arc::clone(&self.cloud), other: Arc::clone(&self.other) }),
            pace: 1,
            worker: "test".into(),
            readiness: Some(Arc::clone(&self.judge) as Arc<dyn Readiness>),
            notice: None,
            after_event,
        })
        .await
    }

    pub(crate) async fn open(&self) -> Engine {
        self.try_open(None).await.unwrap()
    }
}

pub(crate) fn request(names: &[&str]) -> DeployRequest {
    let placement = Placement {
        provider: CLOUD,
        region: "here".into(),
        plan: "small".into(),
        image: "ubuntu-24.04".into(),
        kind: PlanKind::Virtual,
        disk_gib: None,
        price: None,
    };
    DeployRequest {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        placements: vec![placement.clone(), Placement { plan: "large".into(), ..placement }],
        ssh_keys: vec![],
        user_data: None,
        tags: [("env".to_owned(), "test".to_owned())].into_iter().collect(),
        idempotency_key: None,
        asked: None,
        wait: Wait::Running,
        timeout: None,
        on_failure: OnFailure::Delete,
        goal: None,
    }
}
