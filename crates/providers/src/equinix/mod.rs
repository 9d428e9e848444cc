#![doc = include_str!("README.md")]

mod api;
mod billing;
mod convert;
mod invoices;
mod leftovers;
mod marking;
mod statement;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::{Client, ClientConfig, HeaderKey};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Disks, Effect, Error, ErrorKind, Instance, InstanceId,
    Leftovers, Lifecycle, Marking, Order, OwnLoader, OwnerId, PlanKind, Power, Provider, ProviderId, PublicKey, Result,
    Scope, Setting, SshKey, Statements, missing_is_ok,
};
use futures_util::future::{try_join_all, try_join4};
use http::HeaderName;
use jiff::civil::Date;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use self::api::Api;
use crate::{Connecting, Elsewhere, Resource};

/// Who it is.
pub static DESCRIPTOR: Descriptor = Descriptor {
    id: ProviderId::new("equinix"),
    name: "Equinix Metal",
    lifecycle: Lifecycle::Retired { on: Date::constant(2026, 6, 30), instead: "vultr or hivelocity (bare metal)" },
    endpoint: "https://api.equinix.com/metal/v1",
    settings: &[
        Setting {
            key: "api_key",
            env: &["EQUINIX_API_KEY", "METAL_AUTH_TOKEN"],
            secret: true,
            required: true,
            help: "A user's or a project's API key.",
        },
        Setting {
            key: "project_id",
            env: &["EQUINIX_PROJECT_ID", "METAL_PROJECT_ID"],
            secret: false,
            required: true,
            help: "The project that servers belong to, a UUID: it stands in the address of the project's page in the \
                console, under Project Settings > General, and in what `metal project list` prints.",
        },
    ],
    key_help: "New keys are no longer given out. For a stand-in, take a key that may read and write in the project.",
    docs: "https://deploy.equinix.com/developers/api/metal/",
    tariffs: &[&billing::BARE_METAL],
};

/// How other programs know its servers. Today's page has no section about the import; older ones, and the vendor's guide for
/// those who came from its earlier provider, name the device's id:
/// <https://registry.terraform.io/providers/equinix/equinix/latest/docs/resources/metal_device>.
pub(crate) static ELSEWHERE: Elsewhere =
    Elsewhere::new("equinix/equinix", |id| Resource { kind: "equinix_metal_device", id: id.native.clone() });

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::BareMetal],
    batch: 1,
    idempotent_create: false,
    graceful_stop: false,
    force_off: true,
    // (unsure) The vendor states no limit; this is what the others take.
    user_data_max: 64 << 10,
    name_rule: "1 to 63 letters, digits, dots and dashes, with a letter or digit at both ends",
    // No delay was ever seen, and none is ruled out (unsure).
    list_lag: Duration::from_secs(60),
    poll_interval: Duration::from_secs(15),
    ready_within: Duration::from_secs(3600),
    ready_within_metal: Duration::from_secs(3600),
};

/// Brings the driver to life. Checks the settings; sends nothing.
pub fn connect(connect: Connect) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Equinix::new(connect)?) as Arc<dyn Provider>) })
}

#[derive(Debug)]
struct Equinix {
    api: Api,
    clock: Arc<dyn Clock>,
    regions: Vec<String>,
    /// Ids of the keys that the project is known to hold. The lock is held while one is looked for, so that many creates
    /// at once list the keys once and make none twice.
    keys: Mutex<HashMap<String, String>>,
}

impl Equinix {
    fn new(Connect { settings, transport, clock, ledgers }: Connect) -> Result<Self> {
        let key = settings.require(&DESCRIPTOR, "api_key")?;
        let project = settings.require(&DESCRIPTOR, "project_id")?.expose_secret().trim().to_owned();
        convert::check_project(&project)?;
        let auth = HeaderKey::new(HeaderName::from_static("x-auth-token"), "", key)
            .map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
        let base = match &settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => capsule_core::http::parse_base("endpoint", DESCRIPTOR.endpoint)?,
        };
        // The vendor publishes no limits: 16 requests at once, and less when it answers 429 or its headers say so.
        let config = ClientConfig {
            own_limit: settings.limit,
            ledger: ledgers.of(&[DESCRIPTOR.id.as_str(), base.as_str()], Some(key)),
            diagnose: convert::diagnose,
            ..ClientConfig::new(&DESCRIPTOR.id, base, Arc::new(auth))
        };
        let switched_off = settings.endpoint.is_none() && !settings.force_retired;
        let api = Api::new(Client::new(config, transport, clock.clone())?, project, settings.lean, switched_off);
        Ok(Equinix { api, clock, regions: settings.regions, keys: Mutex::default() })
    }

    /// The vendor's id of a key, which the project is given first if it does not have it.
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
        *known = listed.into_iter().filter_map(|key| Some((material(&key.key)?, key.id))).collect();
        Ok(())
    }

    /// What can be wrong with an order before it is sent, that nobody takes it first of all; gives its tags as the vendor's
    /// words.
    fn acceptable(&self, order: &Order) -> Result<Vec<String>> {
        if self.api.is_switched_off() {
            return Err(convert::takes_no_orders());
        }
        convert::check(order)
    }

    /// A device that has to be there.
    async fn present(&self, id: &InstanceId) -> Result<Instance> {
        self.get(id).await?.ok_or_else(|| id.not_there("devices.get"))
    }
}

#[async_trait]
impl Provider for Equinix {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        self.api.project().await.map(convert::account)
    }

    async fn catalog(&self) -> Result<Catalog> {
        let (at, api) = (self.clock.now(), &self.api);
        let (plans, metros, systems, capacity) =
            try_join4(api.plans(), api.metros(), api.systems(), api.capacity()).await?;
        Ok(convert::catalog(at, &self.regions, plans, metros, systems, &capacity))
    }

    fn check(&self, order: &Order) -> Result<()> {
        self.acceptable(order).map(drop)
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        let tags = self.acceptable(order)?;
        let keys = try_join_all(order.spec.ssh_keys.iter().map(|key| self.ssh_key(key, &order.owner))).await?;
        let made = self.api.create_device(&convert::new_device(order, keys, tags)?, convert::instance).await;
        if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::Invalid) {
            // One reason for a refusal is a key that was removed at the vendor meanwhile.
            self.keys.lock().await.clear();
        }
        made.map(|device| vec![device])
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        let seen = self.api.device(convert::device_id(id)?, convert::instance).await?;
        Ok(seen.filter(convert::is_there))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let tag = convert::scope_tag(scope)?;
        let mut found = self.api.devices(tag.as_deref(), convert::instance).await?;
        found.retain(convert::is_there);
        Ok(scope.gather(found, &self.regions))
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let native = convert::device_id(id)?;
        let Some(what) = convert::power_action(id, self.present(id).await?.status, to)? else { return Ok(()) };
        match self.api.act(native, what).await {
            // It may have got there between our look and our request; the vendor then refuses.
            Err(refused) if refused.kind() == ErrorKind::Conflict => {
                match convert::power_action(id, self.present(id).await?.status, to)? {
                    None => Ok(()),
                    Some(_) => Err(refused),
                }
            }
            answered => answered,
        }
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        missing_is_ok(self.api.delete_device(convert::device_id(id)?).await)
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
