//! Where the promises are tried: what the registry and the dialects know, a new provider included.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use capsule_core::http::{HttpTransport, Ledgers, Transport};
use capsule_core::tags::RESERVED;
use capsule_core::{Clock, Connect, InstanceId, ManualClock, OwnerId, PlanKind, ProviderId, SettingValue, Settings};
use capsule_sim::{
    Dialect, Fault, Listing, Loader, Machine, MachineKind, Options, Serving, Sim, State, Timeline, What, World,
};
use libtest_mimic::Failed;
use url::Url;

use crate::ground::{Ground, Witness};

/// A cloud, or what stands in for it.
#[async_trait]
pub(crate) trait Target: Send + Sync {
    /// The provider's id.
    fn provider(&self) -> &'static str;

    /// What kind of target: `sim`, `moto` ...
    fn name(&self) -> &'static str;

    /// What it orders.
    fn kind(&self) -> PlanKind;

    /// Bullets that it cannot show, each with the reason.
    fn except(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// A place for one trial.
    async fn ground(&self) -> Result<Ground, Failed>;
}

/// Every target: each provider of the registry with each kind of server that it sells, in this process and behind a port.
pub(crate) fn targets() -> Vec<Arc<dyn Target>> {
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for tcp in [false, true] {
        for entry in capsule_providers::all() {
            let provider = entry.descriptor.id.as_str();
            // One without a dialect is missed by `every_provider_has_a_target`.
            let Some(dialect) = capsule_sim::dialect(provider) else { continue };
            for listing in dialect.rehearsal().lists {
                targets.push(Arc::new(Simulated { provider, dialect: dialect.clone(), listing, tcp }));
            }
        }
    }
    targets
}

type Keys = Vec<(&'static str, &'static str)>;

/// The same settings with a secret that nobody has.
fn strange(keys: &Keys) -> Keys {
    let secret = if keys.iter().any(|(key, _)| *key == "secret_key") { "secret_key" } else { "api_key" };
    keys.iter().map(|(key, value)| (*key, if *key == secret { "not-a-key" } else { value })).collect()
}

/// The simulator under a clock that nobody waits for, in this process or behind a port of this machine.
struct Simulated {
    provider: &'static str,
    dialect: Arc<dyn Dialect>,
    /// What is ordered is of its kind.
    listing: &'static Listing,
    tcp: bool,
}

#[async_trait]
impl Target for Simulated {
    fn provider(&self) -> &'static str {
        self.provider
    }

    fn name(&self) -> &'static str {
        match (self.kind(), self.tcp) {
            (PlanKind::Virtual, false) => "sim",
            (PlanKind::Virtual, true) => "sim-tcp",
            (PlanKind::BareMetal, false) => "sim-metal",
            (PlanKind::BareMetal, true) => "sim-tcp-metal",
        }
    }

    fn kind(&self) -> PlanKind {
        match self.listing.kind {
            MachineKind::Virtual => PlanKind::Virtual,
            MachineKind::BareMetal => PlanKind::BareMetal,
        }
    }

    async fn ground(&self) -> Result<Ground, Failed> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let sim = Sim::in_memory(clock.clone(), Options::default());
        let entry = capsule_providers::find(self.provider)?;
        let serving = if self.tcp { Some(sim.serve(0).await?) } else { None };
        let transport = match &serving {
            Some(_) => Arc::new(HttpTransport::new()) as Arc<dyn Transport>,
            None => sim.transport(),
        };
        let endpoint = match serving.as_ref().and_then(|serving| serving.base(self.provider)) {
            // The version path stands in the provider's own endpoint.
            Some(base) => Some(Url::parse(&base)?.join(Url::parse(entry.descriptor.endpoint)?.path())?),
            None => None,
        };
        let rehearsal = self.dialect.rehearsal();
        let connect = |keys: Keys| {
            let values: BTreeMap<_, _> = keys
                .into_iter()
                .map(|(key, value)| (key.to_owned(), SettingValue { value: value.into(), source: "test".to_owned() }))
                .collect();
            let regions = rehearsal.regions.iter().map(|region| (*region).to_owned()).collect();
            // The simulator sells what a retired provider no longer does.
            let settings =
                Settings { values, regions, endpoint: endpoint.clone(), force_retired: true, ..Settings::default() };
            let ledgers = Ledgers::default();
            (entry.connect)(Connect { settings, transport: transport.clone(), clock: clock.clone(), ledgers })
        };
        Ok(Ground {
            provider: connect(self.dialect.credentials()).await?,
            stranger: connect(strange(&self.dialect.credentials())).await?,
            other: Some(connect(self.dialect.other_credentials()).await?),
            clock,
            kind: self.kind(),
            owner: OwnerId::random(),
            neighbour: OwnerId::random(),
            page: self.listing.page,
            witness: Box::new(Books {
                sim,
                _serving: serving,
                provider: self.provider.into(),
                listing: self.listing,
                seeds: rehearsal.is_slow,
            }),
        })
    }
}

/// The simulator's own books.
struct Books {
    sim: Sim,
    /// It listens for as long as this lives.
    _serving: Option<Serving>,
    provider: ProviderId,
    listing: &'static Listing,
    /// Whether many servers are put into the world at once.
    seeds: bool,
}

fn machine<'w>(world: &'w World, id: &InstanceId) -> Option<&'w Machine> {
    world.clouds.get(id.provider.as_str())?.machines.iter().find(|machine| is_own(id, &machine.id))
}

impl Books {
    /// Changes a machine behind the driver's back.
    fn change(&self, id: &InstanceId, change: impl FnOnce(&mut Machine)) -> Result<(), Failed> {
        self.sim
            .edit(|world| {
                let cloud = world.clouds.entry(self.provider.to_string()).or_default();
                let own = cloud.machines.iter().find(|machine| is_own(id, &machine.id))?.id.clone();
                cloud.machines.get_mut(&own).map(change)
            })?
            .ok_or_else(|| "the simulator does not know the server".into())
    }
}

#[async_trait]
impl Witness for Books {
    async fn billed(&self, owner: &OwnerId) -> Result<Vec<String>, Failed> {
        let ledger = self.sim.ledger()?;
        Ok(ledger.orphans(owner.as_str()).iter().map(|birth| format!("{} {}", birth.kind, birth.id)).collect())
    }

    async fn everything(&self) -> Result<Vec<String>, Failed> {
        let ledger = self.sim.ledger()?;
        Ok(ledger.living().iter().map(|birth| format!("{} {}", birth.kind, birth.id)).collect())
    }

    async fn user_data(&self, id: &InstanceId) -> Result<Option<String>, Failed> {
        Ok(self.sim.look(|world| machine(world, id)?.user_data.clone())?)
    }

    async fn starts_from_own_disk(&self, id: &InstanceId) -> Result<bool, Failed> {
        let loader = self.sim.look(|world| machine(world, id).map(|machine| machine.node.loader))?;
        Ok(loader.ok_or_else(|| format!("the simulator does not know {id}"))? != Loader::Host)
    }

    async fn words(&self, id: &InstanceId) -> Result<Vec<String>, Failed> {
        let word = |(key, value): (&String, &String)| format!("{key} {value}").trim_end().to_owned();
        let words = self.sim.look(|world| machine(world, id).map(|machine| machine.tags.iter().map(word).collect()))?;
        words.ok_or_else(|| format!("the simulator does not know {id}").into())
    }

    async fn unmark(&self, id: &InstanceId) -> Result<(), Failed> {
        self.change(id, |machine| machine.tags.retain(|word, _| RESERVED.iter().all(|ours| !word.starts_with(ours))))
    }

    async fn break_later_pages(&self) -> Result<(), Failed> {
        let what = What::Status { code: 500, after_effect: false };
        let fault = Fault::once(&self.provider, self.listing.operation, what);
        Ok(self.sim.inject(Fault { skip: self.listing.first_pages, times: None, ..fault })?)
    }

    fn is_disposable(&self) -> bool {
        true
    }

    async fn vanish(&self, id: &InstanceId) -> Result<(), Failed> {
        let now = self.sim.clock().now();
        self.change(id, |machine| machine.timeline = Timeline::new(now, State::Gone))
    }

    async fn multiply(&self, like: &InstanceId, names: &[String]) -> Result<Option<Vec<String>>, Failed> {
        if !self.seeds {
            return Ok(None);
        }
        let twins = self.sim.edit(|world| {
            let machines = &mut world.clouds.entry(self.provider.to_string()).or_default().machines;
            let born = machines.get(&like.native).cloned()?;
            let twins = names.iter().zip(1u32..).map(|(name, number)| {
                // As long as the original and of the same alphabet.
                let head = &born.id[..born.id.len() - 6];
                Machine { id: format!("{head}{number:06x}"), name: name.clone(), ..born.clone() }
            });
            let twins: Vec<Machine> = twins.collect();
            let natives = twins.iter().map(|twin| twin.id.clone()).collect();
            twins.into_iter().for_each(|twin| machines.push(twin));
            Some(natives)
        })?;
        Ok(Some(twins.ok_or("the simulator does not know the first server")?))
    }
}

/// Whether `own` is the vendor's own id of a server: a driver may write a kind before it.
fn is_own(id: &InstanceId, own: &str) -> bool {
    id.native == own || id.native.strip_suffix(own).is_some_and(|kind| kind.ends_with('-'))
}
