#![doc = include_str!("README.md")]

mod api;
mod billing;
mod convert;
mod invoices;
mod leftovers;
mod marking;
mod statement;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::{Bucket, Client, ClientConfig, HeaderKey, Rate};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Disks, Effect, Error, ErrorKind, Instance, InstanceId,
    InstanceStatus, Leftovers, Lifecycle, Marking, Order, OwnLoader, OwnerId, PlanKind, Power, Provider, ProviderId,
    PublicKey, RawBody, Result, Scope, Setting, SshKey, Statements, missing_is_ok,
};
use futures_util::future::{try_join, try_join_all, try_join4};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;

use self::api::{Api, Kind};
use self::convert::Ask;
use crate::{Connecting, Elsewhere, Resource};

/// Who it is.
pub static DESCRIPTOR: Descriptor = Descriptor {
    id: ProviderId::new("vultr"),
    name: "Vultr",
    lifecycle: Lifecycle::Live,
    endpoint: "https://api.vultr.com/v2",
    settings: &[Setting {
        key: "api_key",
        env: &["VULTR_API_KEY"],
        secret: true,
        required: true,
        help: "An API key from https://my.vultr.com/settings/#settingsapi.",
    }],
    key_help: "Enable the API at https://my.vultr.com/settings/#settingsapi and allow this machine's addresses there, \
        IPv4 and IPv6. The key of a sub-user needs the rights subscriptions_view, provisioning and subscriptions.",
    docs: "https://www.vultr.com/api/",
    tariffs: &[&billing::VIRTUAL, &billing::BARE_METAL],
};

/// How other programs know its servers:
/// <https://registry.terraform.io/providers/vultr/vultr/latest/docs/resources/instance#import>,
/// <https://registry.terraform.io/providers/vultr/vultr/latest/docs/resources/bare_metal_server#import>.
pub(crate) static ELSEWHERE: Elsewhere = Elsewhere {
    native: convert::uuid,
    ..Elsewhere::new("vultr/vultr", |id| Resource {
        kind: if convert::is_metal(id) { "vultr_bare_metal_server" } else { "vultr_instance" },
        id: convert::uuid(id).to_owned(),
    })
};

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::Virtual, PlanKind::BareMetal],
    batch: 1,
    idempotent_create: false,
    // (unsure) A halt was hard in the vendor's first API; for one line of plans it is now called graceful.
    graceful_stop: false,
    force_off: true,
    // (unsure) The vendor states no limit; this is what the others take.
    user_data_max: 64 << 10,
    name_rule: "1 to 63 letters, digits, dots and dashes, with a letter or digit at both ends",
    // (unsure) No delay is documented; two minutes is how long one should look before asking again.
    list_lag: Duration::from_secs(120),
    poll_interval: Duration::from_secs(5),
    ready_within: Duration::from_secs(900),
    ready_within_metal: Duration::from_secs(3600),
};

/// How many regions are asked at once what they have in stock.
const REGIONS_AT_ONCE: usize = 8;

/// Brings the driver to life. Checks the settings; sends nothing.
pub fn connect(connect: Connect) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Vultr::new(connect)?) as Arc<dyn Provider>) })
}

#[derive(Debug)]
struct Vultr {
    api: Api,
    clock: Arc<dyn Clock>,
    regions: Vec<String>,
    /// Ids of the keys that the account is known to hold. The lock is held while one is looked for, so that many creates
    /// at once list the keys once and make none twice.
    keys: Mutex<HashMap<String, String>>,
    /// The ids of bare metal plans, once they were asked for: an id itself does not tell, and is not to be parsed.
    metal_plans: Mutex<Option<HashSet<String>>>,
    /// Bare metal that was halted from here: the vendor does not show it.
    halted: std::sync::Mutex<HashSet<InstanceId>>,
}

impl Vultr {
    fn new(Connect { settings, transport, clock, ledgers }: Connect) -> Result<Self> {
        let key = settings.require(&DESCRIPTOR, "api_key")?;
        let auth = HeaderKey::bearer(key).map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
        let base = match &settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => capsule_core::http::parse_base("endpoint", DESCRIPTOR.endpoint)?,
        };
        let config = ClientConfig {
            buckets: vec![Bucket { name: None, rate: Rate::Window { requests: 30, per: Duration::from_secs(1) } }],
            own_limit: settings.limit,
            // Counted for each address, whatever the key.
            ledger: ledgers.of(&[DESCRIPTOR.id.as_str(), base.as_str()], None),
            diagnose: convert::diagnose,
            ..ClientConfig::new(&DESCRIPTOR.id, base, Arc::new(auth))
        };
        let api = Api::new(Client::new(config, transport, clock.clone())?, settings.lean);
        Ok(Vultr {
            api,
            clock,
            regions: settings.regions,
            keys: Mutex::default(),
            metal_plans: Mutex::default(),
            halted: std::sync::Mutex::default(),
        })
    }

    async fn servers(&self, kind: Kind) -> Result<Vec<Instance>> {
        self.api.servers(kind, |server, raw| self.seen(kind, server, raw)).await
    }

    /// A server as the vendor shows it; of bare metal, what we know beyond that.
    fn seen(&self, kind: Kind, server: api::Server<'_>, raw: RawBody) -> Instance {
        let mut instance = convert::instance(kind, server, raw);
        if kind == Kind::Metal && instance.status == InstanceStatus::Running && self.halted().contains(&instance.id) {
            instance.status = InstanceStatus::Stopped;
        }
        instance
    }

    fn halted(&self) -> std::sync::MutexGuard<'_, HashSet<InstanceId>> {
        self.halted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under which of its two APIs the vendor sells a plan.
    async fn kind_of(&self, plan: &str) -> Result<Kind> {
        let mut known = self.metal_plans.lock().await;
        let metal = match &mut *known {
            Some(metal) => metal,
            unknown => unknown.insert(self.api.metal_plans().await?.into_iter().map(|plan| plan.id).collect()),
        };
        Ok(if metal.contains(plan) { Kind::Metal } else { Kind::Virtual })
    }

    /// The vendor's id of a key, which it is given first if it does not have it.
    async fn ssh_key(&self, key: &SshKey, owner: &OwnerId) -> Result<String> {
        let line = match key {
            SshKey::Existing(id) => return Ok(id.clone()),
            SshKey::Public(line) => line,
        };
        let key: PublicKey = line.parse().map_err(|error: Error| error.with_provider(&DESCRIPTOR.id))?;
        let mut known = self.keys.lock().await;
        if !known.contains_key(key.material()) {
            self.learn_keys(&mut known).await?;
        }
        if let Some(id) = known.get(key.material()) {
            return Ok(id.clone());
        }
        let id = match self.api.create_key(&key.name_for(owner), line.trim()).await {
            Ok(made) => made.id,
            // It may have come through after all, and then it is listed now. Otherwise nothing was bought by it.
            Err(failed) => {
                let unmade = |error: Error| error.with_effect(Effect::None);
                self.learn_keys(&mut known).await.map_err(unmade)?;
                known.get(key.material()).cloned().ok_or_else(|| unmade(failed))?
            }
        };
        known.insert(key.material().to_owned(), id.clone());
        Ok(id)
    }

    async fn learn_keys(&self, known: &mut HashMap<String, String>) -> Result<()> {
        let listed = self.api.keys().await?;
        // A key of a kind that we cannot read is nobody's match.
        let material = |line: &str| line.parse::<PublicKey>().ok().map(|key| key.material().to_owned());
        *known = listed.into_iter().filter_map(|key| Some((material(&key.ssh_key)?, key.id))).collect();
        Ok(())
    }

    /// The state of a server that has to be there.
    async fn present(&self, id: &InstanceId) -> Result<InstanceStatus> {
        let seen = self.get(id).await?.ok_or_else(|| id.not_there("instances.get"))?;
        Ok(seen.status)
    }
}

#[async_trait]
impl Provider for Vultr {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        self.api.account().await.map(convert::account)
    }

    async fn catalog(&self) -> Result<Catalog> {
        let (at, api) = (self.clock.now(), &self.api);
        let (mut regions, plans, metal_plans, systems) =
            try_join4(api.regions(), api.plans(), api.metal_plans(), api.systems()).await?;
        regions.retain(|region| self.regions.is_empty() || self.regions.contains(&region.id));
        let ids: Vec<String> = regions.iter().map(|region| region.id.clone()).collect();
        let stock = stream::iter(ids)
            .map(|region| async move {
                let left = api.available(&region).await?;
                Ok((region, left.into_iter().collect()))
            })
            .buffer_unordered(REGIONS_AT_ONCE)
            .try_collect::<HashMap<String, HashSet<String>>>()
            .await?;
        *self.metal_plans.lock().await = Some(metal_plans.iter().map(|plan| plan.id.clone()).collect());
        Ok(convert::catalog(at, regions, plans, metal_plans, systems, &stock))
    }

    fn check(&self, order: &Order) -> Result<()> {
        convert::check(order).map(drop)
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        let tags = convert::check(order)?;
        let kind = self.kind_of(&order.spec.plan).await?;
        let keys = try_join_all(order.spec.ssh_keys.iter().map(|key| self.ssh_key(key, &order.owner))).await?;
        let body = convert::new_server(order, keys, tags)?;
        let made = self.api.create_server(kind, &body, |server, raw| convert::instance(kind, server, raw)).await;
        if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::Invalid) {
            // One reason for a refusal is a key that was removed at the vendor meanwhile.
            self.keys.lock().await.clear();
        }
        made.map(|server| vec![server])
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        let (kind, uuid) = convert::locate(id)?;
        self.api.server(kind, uuid, |server, raw| self.seen(kind, server, raw)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let of = async |kind, plans| if scope.spans(plans) { self.servers(kind).await } else { Ok(Vec::new()) };
        let (mut found, metals) =
            try_join(of(Kind::Virtual, PlanKind::Virtual), of(Kind::Metal, PlanKind::BareMetal)).await?;
        found.extend(metals);
        Ok(scope.gather(found, &self.regions))
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let (kind, uuid) = convert::locate(id)?;
        let Some(ask) = convert::power_call(id, kind, self.present(id).await?, to)? else { return Ok(()) };
        match ask {
            Ask::Start => self.api.start(kind, uuid).await?,
            Ask::Halt => self.api.halt(kind, uuid).await?,
            Ask::Reboot => self.api.reboot(kind, uuid).await?,
        }
        match (kind, ask) {
            (Kind::Metal, Ask::Halt) => self.halted().insert(id.clone()),
            _ => self.halted().remove(id),
        };
        Ok(())
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        let (kind, uuid) = convert::locate(id)?;
        missing_is_ok(self.api.delete_server(kind, uuid).await)
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
