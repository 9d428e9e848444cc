#![doc = include_str!("README.md")]

mod api;
mod billing;
mod buy;
mod convert;
mod invoices;
mod leftovers;
mod marking;
mod offers;
mod orders;
mod statement;
mod views;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::{Bucket, Client, ClientConfig, HeaderKey, Rate};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Disks, ErrorKind, Instance, InstanceId, InstanceStatus,
    Leftovers, Lifecycle, Marking, Order, OwnLoader, PlanKind, Power, Provider, ProviderId, Result, Scope, Setting,
    Statements,
};
use futures_util::future::{try_join, try_join_all};
use http::HeaderName;

use self::api::{Api, Family};
use self::orders::Memory;
use crate::{Connecting, Elsewhere, Resource};

/// Who it is.
pub static DESCRIPTOR: Descriptor = Descriptor {
    id: ProviderId::new("hivelocity"),
    name: "Hivelocity",
    lifecycle: Lifecycle::Live,
    endpoint: "https://core.hivelocity.net/api/v2",
    settings: &[Setting {
        key: "api_key",
        env: &["HIVELOCITY_API_KEY"],
        secret: true,
        required: true,
        help: "An API key from https://my.hivelocity.net/account.",
    }],
    key_help: "Make a key at https://my.hivelocity.net/account for a contact who may see and order devices, cancel them, \
        switch their power, see orders and manage ssh keys. Keys can be bound to addresses and can expire.",
    docs: "https://developers.hivelocity.net/reference/introduction",
    tariffs: &[&billing::VIRTUAL, &billing::BARE_METAL],
};

/// How other programs know its servers. The vendor's Terraform provider has one resource for them, which reads
/// `/bare-metal-devices/ID` alone; that it takes an id for the import is not on its page, but in its source:
/// <https://github.com/hivelocity/terraform-provider-hivelocity/blob/master/hivelocity/resource_bare_metal_device.go>.
pub(crate) static ELSEWHERE: Elsewhere = Elsewhere {
    kinds: &[PlanKind::BareMetal],
    ..Elsewhere::new("hivelocity/hivelocity", |id| Resource {
        kind: "hivelocity_bare_metal_device",
        id: id.native.clone(),
    })
};

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::Virtual, PlanKind::BareMetal],
    batch: 10,
    idempotent_create: false,
    // Whether a shutdown asks the guest is not documented.
    graceful_stop: false,
    force_off: false,
    // The vendor names no limit; this is ours.
    user_data_max: 64 << 10,
    name_rule: "1 to 210 lower-case letters, digits, dots and dashes, each part between dots 1 to 63 long with a letter or \
        digit at both ends",
    list_lag: Duration::from_secs(1200),
    poll_interval: Duration::from_secs(30),
    ready_within: Duration::from_secs(1800),
    ready_within_metal: Duration::from_secs(3600),
};

/// Brings the driver to life. Checks the settings; sends nothing.
pub fn connect(connect: Connect) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Hivelocity::new(connect)?) as Arc<dyn Provider>) })
}

#[derive(Debug)]
struct Hivelocity {
    api: Api,
    clock: Arc<dyn Clock>,
    regions: Vec<String>,
    memory: Mutex<Memory>,
    /// Where servers of a plan are ordered, as far as that was looked up. The lock is held while it is, so that many
    /// creates at once look once.
    families: tokio::sync::Mutex<HashMap<u64, Family>>,
    /// Ids of the keys that the account is known to hold. The lock is held while one is looked for, so that many creates
    /// at once give a new key once.
    keys: tokio::sync::Mutex<HashMap<String, u64>>,
}

impl Hivelocity {
    fn new(Connect { settings, transport, clock, ledgers }: Connect) -> Result<Self> {
        let key = settings.require(&DESCRIPTOR, "api_key")?;
        let auth = HeaderKey::new(HeaderName::from_static("x-api-key"), "", key)
            .map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
        let base = match &settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => capsule_core::http::parse_base("endpoint", DESCRIPTOR.endpoint)?,
        };
        let hour = Rate::Window { requests: 3600, per: Duration::from_secs(3600) };
        let config = ClientConfig {
            buckets: vec![Bucket { name: None, rate: hour }],
            own_limit: settings.limit,
            // Counted for each address, whatever the key.
            ledger: ledgers.of(&[DESCRIPTOR.id.as_str(), base.as_str()], None),
            diagnose: convert::diagnose,
            ..ClientConfig::new(&DESCRIPTOR.id, base, Arc::new(auth))
        };
        Ok(Hivelocity {
            api: Api::new(Client::new(config, transport, clock.clone())?, settings.lean),
            clock,
            regions: settings.regions,
            memory: Mutex::default(),
            families: tokio::sync::Mutex::default(),
            keys: tokio::sync::Mutex::default(),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().expect("no panic happens under this lock")
    }

    /// The state of a server that has to be there.
    async fn present(&self, id: &InstanceId) -> Result<Instance> {
        self.get(id).await?.ok_or_else(|| id.not_there("devices.get"))
    }
}

#[async_trait]
impl Provider for Hivelocity {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        Ok(convert::account(self.api.profile().await?))
    }

    async fn catalog(&self) -> Result<Catalog> {
        let at = self.clock.now();
        let stock = try_join_all(offers::GROUPS.map(|group| self.api.stock(group)));
        let (stock, locations) = try_join(stock, self.api.locations()).await?;
        let stock: Vec<api::Stock> = stock.into_iter().flatten().collect();
        let systems = offers::speakers(&stock)
            .into_iter()
            .map(|(product, family)| async move { Ok((family, self.api.systems(product).await?)) });
        let systems = try_join_all(systems).await?;
        Ok(offers::catalog(at, &self.regions, stock, locations, systems))
    }

    fn check(&self, order: &Order) -> Result<()> {
        convert::check(order).map(drop)
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        let product = convert::check(order)?;
        let family = self.family(product).await?;
        let key = match order.spec.ssh_keys.first() {
            Some(key) => Some(self.ssh_key(key, &order.owner).await?),
            None => None,
        };
        let now = self.clock.now();
        let devices = convert::new_devices(order, product, key, now)?;
        let made = match self.api.create(family, &devices, |device, raw| (device, raw)).await {
            Ok(made) => made,
            Err(refused) if refused.kind() == ErrorKind::Invalid => {
                return Err(self.why_refused(order, product, refused).await);
            }
            Err(error) => return Err(error),
        };
        let mut memory = self.memory();
        let born = made.into_iter().enumerate().map(|(place, (device, raw))| {
            let (id, number) = (device.device_id, device.order_id);
            let instance = convert::born(order, place, device, raw, now);
            memory.ordered(id, number, &instance);
            instance
        });
        Ok(born.collect())
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        let device = convert::device_id(id)?;
        if let Some(instance) = self.look(device).await? {
            return Ok(Some(instance));
        }
        let is_new = !self.memory().was_shown(device);
        match self.absent(device).await? {
            // Its order may have ended between the two looks.
            None if is_new => self.look(device).await,
            known => Ok(known),
        }
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let (orders, mut found) = match scope.token() {
            // Orders first: what is done between the two looks is then in both, never in neither. Much hangs on it here.
            Some(_) => (self.api.orders_in_progress().await?, self.shown().await?),
            None => try_join(self.api.orders_in_progress(), self.shown()).await?,
        };
        let shown: HashSet<u64> = found.iter().filter_map(|instance| instance.id.native.parse().ok()).collect();
        found.retain(|instance| scope.holds(&instance.tags));
        found.extend(self.to_come(scope, &orders, &shown).await?);
        if let (Some(token), true) = (scope.token(), found.is_empty()) {
            self.must_not_be_ordered(token, &orders)?;
        }
        found.retain(|instance| self.regions.is_empty() || self.regions.contains(&instance.id.region));
        Ok(found)
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let device = convert::device_id(id)?;
        let Some(action) = convert::power_action(id, self.present(id).await?.status, to)? else {
            return Ok(());
        };
        match self.api.power(device, action).await {
            // Switching to the state it is in is refused: it may have got there since our look.
            Err(refused) if matches!(refused.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                match convert::power_action(id, self.present(id).await?.status, to)? {
                    None => Ok(()),
                    Some(_) => Err(refused),
                }
            }
            answered => answered,
        }
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        let device = convert::device_id(id)?;
        if !self.memory().was_shown(device) {
            // Learns in which collection it is.
            self.look(device).await?;
        }
        for family in self.places(device) {
            let Err(error) = self.api.cancel(*family, device).await else {
                self.memory().ended(device);
                return Ok(());
            };
            match error.kind() {
                ErrorKind::NotFound => continue,
                ErrorKind::Conflict if error.http_status() == Some(409) => return Ok(()),
                // Not ours or no longer there, cancelled before, or really an error: a look tells.
                ErrorKind::Unauthenticated | ErrorKind::Unavailable | ErrorKind::Conflict => {}
                _ => return Err(error),
            }
            match self.look(device).await {
                Ok(None) => {}
                Ok(Some(instance)) if instance.status == InstanceStatus::Deleting => return Ok(()),
                _ => return Err(error),
            }
        }
        let left = match self.look(device).await? {
            Some(instance) => Some(instance),
            None => match self.absent(device).await {
                // An order that does not tell what it is for is no reason to keep what the vendor calls missing.
                Err(undecided) if undecided.kind() == ErrorKind::Conflict => None,
                found => found?,
            },
        };
        match left.map(|instance| instance.status) {
            None | Some(InstanceStatus::Deleting | InstanceStatus::Failed) => {
                self.memory().ended(device);
                Ok(())
            }
            Some(status) => Err(convert::cannot_end(id, status)),
        }
    }

    fn leftovers(&self) -> Option<&dyn Leftovers> {
        Some(self)
    }

    fn statements(&self) -> Option<&dyn Statements> {
        Some(self)
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

#[cfg(test)]
mod tests;
