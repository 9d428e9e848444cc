//! Where the promises are tried. A new provider is one line in [`targets`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use capsule_core::http::{HttpTransport, Ledgers, Transport};
use capsule_core::{Clock, Connect, InstanceId, ManualClock, OwnerId, PlanKind, ProviderId, SettingValue, Settings};
use capsule_sim::{
    Fault, Loader, Machine, OTHER_AWS_ACCESS_KEY, OTHER_AWS_SECRET_KEY, OTHER_KEY, OTHER_PROJECT, Options,
    SANDBOX_AWS_ACCESS_KEY, SANDBOX_AWS_SECRET_KEY, SANDBOX_KEY, SANDBOX_PROJECT, Serving, Sim, State, Timeline, What,
    World,
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

/// Every target.
pub(crate) fn targets() -> Vec<Arc<dyn Target>> {
    let clouds = [
        Simulated {
            provider: "digitalocean",
            keys: &[("api_key", SANDBOX_KEY)],
            stranger: &[("api_key", "not-a-key")],
            other: &[("api_key", OTHER_KEY)],
            list: "droplets.list",
            page: 200,
            first_requests: 1,
            regions: &[],
            seeds: false,
            except: &[],
            kind: PlanKind::Virtual,
            tcp: false,
        },
        Simulated {
            provider: "vultr",
            keys: &[("api_key", SANDBOX_KEY)],
            stranger: &[("api_key", "not-a-key")],
            other: &[("api_key", OTHER_KEY)],
            list: "instances.list",
            page: 500,
            first_requests: 1,
            regions: &[],
            seeds: false,
            except: &[],
            kind: PlanKind::Virtual,
            tcp: false,
        },
        Simulated {
            provider: "vultr",
            keys: &[("api_key", SANDBOX_KEY)],
            stranger: &[("api_key", "not-a-key")],
            other: &[("api_key", OTHER_KEY)],
            list: "metals.list",
            page: 500,
            first_requests: 1,
            regions: &[],
            seeds: false,
            except: &[],
            kind: PlanKind::BareMetal,
            tcp: false,
        },
        Simulated {
            provider: "aws",
            keys: &[("access_key", SANDBOX_AWS_ACCESS_KEY), ("secret_key", SANDBOX_AWS_SECRET_KEY)],
            stranger: &[("access_key", SANDBOX_AWS_ACCESS_KEY), ("secret_key", "not-the-secret")],
            other: &[("access_key", OTHER_AWS_ACCESS_KEY), ("secret_key", OTHER_AWS_SECRET_KEY)],
            list: "ec2.DescribeInstances",
            page: 1000,
            first_requests: 1,
            regions: &["us-east-1"],
            seeds: true,
            except: &[],
            kind: PlanKind::Virtual,
            tcp: false,
        },
        Simulated {
            provider: "aws",
            keys: &[("access_key", SANDBOX_AWS_ACCESS_KEY), ("secret_key", SANDBOX_AWS_SECRET_KEY)],
            stranger: &[("access_key", SANDBOX_AWS_ACCESS_KEY), ("secret_key", "not-the-secret")],
            other: &[("access_key", OTHER_AWS_ACCESS_KEY), ("secret_key", OTHER_AWS_SECRET_KEY)],
            list: "ec2.DescribeInstances",
            page: 1000,
            first_requests: 1,
            regions: &["us-east-1"],
            seeds: true,
            except: &[],
            kind: PlanKind::BareMetal,
            tcp: false,
        },
        Simulated {
            provider: "linode",
            keys: &[("api_key", SANDBOX_KEY)],
            stranger: &[("api_key", "not-a-key")],
            other: &[("api_key", OTHER_KEY)],
            list: "instances.list",
            page: 500,
            first_requests: 1,
            regions: &[],
            seeds: false,
            except: &[],
            kind: PlanKind::Virtual,
            tcp: false,
        },
        Simulated {
            provider: "hivelocity",
            keys: &[("api_key", SANDBOX_KEY)],
            stranger: &[("api_key", "not-a-key")],
            other: &[("api_key", OTHER_KEY)],
            // There are no pages: one of the lists that make up the whole fails instead.
            list: "devices.list",
            page: 20,
            first_requests: 0,
            regions: &[],
            seeds: false,
            except: &[],
            kind: PlanKind::Virtual,
            tcp: false,
        },
        Simulated {
            provider: "hivelocity",
            keys: &[("api_key", SANDBOX_KEY)],
            stranger: &[("api_key", "not-a-key")],
            other: &[("api_key", OTHER_KEY)],
            // There are no pages: one of the lists that make up the whole fails instead.
            list: "bare_metal_devices.list",
            page: 20,
            first_requests: 0,
            regions: &[],
            seeds: false,
            except: &[],
            kind: PlanKind::BareMetal,
            tcp: false,
        },
        Simulated {
            provider: "scaleway",
            keys: &[("api_key", SANDBOX_KEY), ("project_id", SANDBOX_PROJECT)],
            stranger: &[("api_key", "not-a-key"), ("project_id", SANDBOX_PROJECT)],
            other: &[("api_key", OTHER_KEY), ("project_id", OTHER_PROJECT)],
            list: "servers.list",
            page: 100,
            // One for each zone.
            first_requests: 10,
            regions: &[],
            seeds: false,
            except: &[],
            kind: PlanKind::Virtual,
            tcp: false,
        },
        Simulated {
            provider: "equinix",
            keys: &[("api_key", SANDBOX_KEY), ("project_id", SANDBOX_PROJECT)],
            stranger: &[("api_key", "not-a-key"), ("project_id", SANDBOX_PROJECT)],
            other: &[("api_key", OTHER_KEY), ("project_id", OTHER_PROJECT)],
            list: "devices.list",
            page: 1000,
            first_requests: 1,
            regions: &[],
            seeds: true,
            except: &[],
            kind: PlanKind::BareMetal,
            tcp: false,
        },
    ];
    let over_tcp = clouds.iter().map(|cloud| Simulated { tcp: true, ..*cloud });
    clouds.iter().copied().chain(over_tcp).map(|cloud| Arc::new(cloud) as Arc<dyn Target>).collect()
}

type Keys = &'static [(&'static str, &'static str)];

/// The simulator under a clock that nobody waits for, in this process or behind a port of this machine.
#[derive(Clone, Copy)]
struct Simulated {
    provider: &'static str,
    /// Settings that work.
    keys: Keys,
    /// Settings with a key that does not.
    stranger: Keys,
    /// Settings of another account.
    other: Keys,
    /// The operation that lists servers.
    list: &'static str,
    /// How many servers a page of it holds.
    page: usize,
    /// How many of its requests go well before a later page is asked for.
    first_requests: u32,
    /// The regions that the settings name; empty for all.
    regions: &'static [&'static str],
    /// Whether many servers are put into the world at once: one call each takes too long there.
    seeds: bool,
    except: &'static [(&'static str, &'static str)],
    /// What is ordered: a target tries one kind, and who sells both has two.
    kind: PlanKind,
    tcp: bool,
}

#[async_trait]
impl Target for Simulated {
    fn provider(&self) -> &'static str {
        self.provider
    }

    fn name(&self) -> &'static str {
        match (self.kind, self.tcp) {
            (PlanKind::Virtual, false) => "sim",
            (PlanKind::Virtual, true) => "sim-tcp",
            (PlanKind::BareMetal, false) => "sim-metal",
            (PlanKind::BareMetal, true) => "sim-tcp-metal",
        }
    }

    fn kind(&self) -> PlanKind {
        self.kind
    }

    fn except(&self) -> &'static [(&'static str, &'static str)] {
        self.except
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
        let connect = |keys: Keys| {
            let values: BTreeMap<_, _> = keys
                .iter()
                .map(|(key, value)| {
                    ((*key).to_owned(), SettingValue { value: (*value).into(), source: "test".to_owned() })
                })
                .collect();
            let regions = self.regions.iter().map(|region| (*region).to_owned()).collect();
            // The simulator sells what a retired provider no longer does.
            let settings =
                Settings { values, regions, endpoint: endpoint.clone(), force_retired: true, ..Settings::default() };
            let ledgers = Ledgers::default();
            (entry.connect)(Connect { settings, transport: transport.clone(), clock: clock.clone(), ledgers })
        };
        Ok(Ground {
            provider: connect(self.keys).await?,
            stranger: connect(self.stranger).await?,
            other: Some(connect(self.other).await?),
            clock,
            kind: self.kind,
            owner: OwnerId::random(),
            neighbour: OwnerId::random(),
            page: self.page,
            witness: Box::new(Books {
                sim,
                _serving: serving,
                provider: self.provider.into(),
                list: self.list,
                first_requests: self.first_requests,
                seeds: self.seeds,
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
    list: &'static str,
    first_requests: u32,
    seeds: bool,
}

fn machine<'w>(world: &'w World, id: &InstanceId) -> Option<&'w Machine> {
    world.clouds.get(id.provider.as_str())?.machines.iter().find(|machine| is_own(id, &machine.id))
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

    async fn break_later_pages(&self) -> Result<(), Failed> {
        let what = What::Status { code: 500, after_effect: false };
        let fault = Fault::once(&self.provider, self.list, what);
        Ok(self.sim.inject(Fault { skip: self.first_requests, times: None, ..fault })?)
    }

    fn is_disposable(&self) -> bool {
        true
    }

    async fn vanish(&self, id: &InstanceId) -> Result<(), Failed> {
        let now = self.sim.clock().now();
        self.sim
            .edit(|world| {
                let cloud = world.clouds.entry(self.provider.to_string()).or_default();
                let own = cloud.machines.iter().find(|machine| is_own(id, &machine.id))?.id.clone();
                cloud.machines.get_mut(&own)?.timeline = Timeline::new(now, State::Gone);
                Some(())
            })?
            .ok_or_else(|| "the simulator does not know the server".into())
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
