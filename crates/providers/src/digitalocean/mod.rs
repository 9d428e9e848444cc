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
use capsule_core::http::{Bucket, Client, ClientConfig, HeaderKey, Rate};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Disks, Effect, Error, ErrorKind, Instance, InstanceId,
    Leftovers, Lifecycle, Marking, Order, OwnLoader, OwnerId, PlanKind, Power, Provider, ProviderId, PublicKey,
    RawBody, Result, Retry, Scope, Setting, Settings, SshKey, Statements, missing_is_ok,
};
use futures_util::future::{join, try_join, try_join_all, try_join3};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use self::api::{Api, Ident, Which};
use crate::{Connecting, Elsewhere, Resource};

/// Who it is.
pub static DESCRIPTOR: Descriptor = Descriptor {
    id: ProviderId::new("digitalocean"),
    name: "DigitalOcean",
    lifecycle: Lifecycle::Live,
    endpoint: "https://api.digitalocean.com/v2",
    settings: &[
        Setting {
            key: "api_key",
            env: &["DIGITALOCEAN_API_KEY", "DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"],
            secret: true,
            required: true,
            help: "A personal access token from https://cloud.digitalocean.com/account/api/tokens.",
        },
        Setting {
            key: "gpu_droplets",
            env: &["DIGITALOCEAN_GPU_DROPLETS"],
            secret: false,
            required: false,
            help: "`no` if the account never has GPU droplets: lists then take one request less.",
        },
    ],
    key_help: "Make a token at https://cloud.digitalocean.com/account/api/tokens with the rights account:read, \
        actions:read, droplet:create, droplet:read, droplet:update, droplet:delete, image:read, regions:read, \
        sizes:read, ssh_key:create, ssh_key:read, ssh_key:delete, tag:create, tag:read and tag:delete, or with full access.",
    docs: "https://docs.digitalocean.com/reference/api/digitalocean/",
    tariffs: &[&billing::VIRTUAL],
};

/// How other programs know its servers:
/// <https://registry.terraform.io/providers/digitalocean/digitalocean/latest/docs/resources/droplet#import>.
pub(crate) static ELSEWHERE: Elsewhere =
    Elsewhere::new("digitalocean/digitalocean", |id| Resource { kind: "digitalocean_droplet", id: id.native.clone() });

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::Virtual],
    batch: 10,
    idempotent_create: false,
    graceful_stop: true,
    force_off: true,
    user_data_max: 64 << 10,
    name_rule: "1 to 255 letters, digits, dots and dashes, with a letter or digit at both ends",
    list_lag: Duration::from_secs(120),
    poll_interval: Duration::from_secs(5),
    ready_within: Duration::from_secs(600),
    ready_within_metal: Duration::from_secs(600),
};

/// How long a power action is watched; longer ones go on without us.
const WATCH: Duration = Duration::from_secs(120);
/// How often.
const WATCH_INTERVAL: Duration = Duration::from_secs(3);

/// Brings the driver to life. Checks the settings; sends nothing.
pub fn connect(connect: Connect) -> Connecting {
    Box::pin(async move { Ok(Arc::new(DigitalOcean::new(connect)?) as Arc<dyn Provider>) })
}

#[derive(Debug)]
struct DigitalOcean {
    api: Api,
    clock: Arc<dyn Clock>,
    regions: Vec<String>,
    gpus: bool,
    /// Ids of the keys that the account is known to hold. The lock is held while one is looked for, so that many creates
    /// at once list the keys once: that call has a small limit of its own.
    keys: Mutex<HashMap<String, u64>>,
}

impl DigitalOcean {
    fn new(Connect { settings, transport, clock, ledgers }: Connect) -> Result<Self> {
        let key = settings.require(&DESCRIPTOR, "api_key")?;
        let auth = HeaderKey::bearer(key).map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
        let base = match &settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => capsule_core::http::parse_base("endpoint", DESCRIPTOR.endpoint)?,
        };
        let window = |name, requests, seconds| Bucket {
            name,
            rate: Rate::Window { requests, per: Duration::from_secs(seconds) },
        };
        let config = ClientConfig {
            buckets: vec![window(None, 5000, 3600), window(None, 250, 60), window(Some(api::KEYS), 10, 60)],
            own_limit: settings.limit,
            ledger: ledgers.of(&[DESCRIPTOR.id.as_str(), base.as_str()], Some(key)),
            diagnose: convert::diagnose,
            ..ClientConfig::new(&DESCRIPTOR.id, base, Arc::new(auth))
        };
        let api = Api::new(Client::new(config, transport, clock.clone())?, settings.lean);
        let gpus = wants_gpus(&settings)?;
        Ok(DigitalOcean { api, clock, regions: settings.regions, gpus, keys: Mutex::default() })
    }

    /// A droplet of a list.
    fn listed(droplet: api::Droplet<'_>, raw: RawBody) -> Instance {
        convert::instance(droplet, raw).0
    }

    /// The vendor leaves GPU droplets out of the plain list, and it is not documented whether a filter by tag finds them:
    /// so they are asked for apart and sorted out here.
    async fn gpu_droplets(&self) -> Result<Vec<Instance>> {
        if !self.gpus {
            return Ok(Vec::new());
        }
        let listed = self.api.droplets(Which::Gpus, Self::listed).await;
        listed.map_err(|error| error.context("The GPU droplets are missing, so the list is not shown"))
    }

    /// The vendor's name for a key, which it is given first if it does not have it.
    async fn ssh_key(&self, key: &SshKey, owner: &OwnerId) -> Result<Ident> {
        let line = match key {
            SshKey::Existing(name) => return Ok(convert::ident(name)),
            SshKey::Public(line) => line,
        };
        let key: PublicKey = line.parse().map_err(|error: Error| error.with_provider(&DESCRIPTOR.id))?;
        let mut known = self.keys.lock().await;
        if !known.contains_key(key.material()) {
            self.learn_keys(&mut known).await?;
        }
        if let Some(id) = known.get(key.material()) {
            return Ok(Ident::Number(*id));
        }
        let id = match self.api.create_key(&key.name_for(owner), line.trim()).await {
            Ok(made) => made.id,
            // Somebody else was quicker, or our own first try came through after all: then it is listed now.
            Err(refused) if matches!(refused.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                self.learn_keys(&mut known).await?;
                *known.get(key.material()).ok_or(refused)?
            }
            Err(error) => return Err(error),
        };
        known.insert(key.material().to_owned(), id);
        Ok(Ident::Number(id))
    }

    async fn learn_keys(&self, known: &mut HashMap<String, u64>) -> Result<()> {
        let listed = self.api.keys().await?;
        // A key of a kind that we cannot read is nobody's match.
        let material = |line: &str| line.parse::<PublicKey>().ok().map(|key| key.material().to_owned());
        *known = listed.iter().filter_map(|key| Some((material(&key.public_key)?, key.id))).collect();
        Ok(())
    }

    /// The state of a droplet that has to be there.
    async fn present(&self, id: &InstanceId) -> Result<Instance> {
        self.get(id).await?.ok_or_else(|| id.not_there("droplets.get"))
    }

    /// Waits until an accepted action has ended, within reason.
    async fn watch(&self, id: &InstanceId, mut action: api::Action) -> Result<()> {
        let until = self.clock.now() + WATCH;
        while action.status == "in-progress" && self.clock.now() < until {
            self.clock.sleep(WATCH_INTERVAL).await;
            // It was accepted: that we fail to watch it does not undo it.
            action = self.api.action(action.id).await.map_err(|error| error.with_effect(Effect::Unknown))?;
        }
        if action.status == "errored" {
            let message = format!("The action {} of {id} ended in error; DigitalOcean gives no reason.", action.what);
            return Err(Error::new(ErrorKind::Conflict, message)
                .with_provider(&DESCRIPTOR.id)
                .with_operation("droplets.action")
                .with_retry(Retry::Backoff)
                .with_effect(Effect::Unknown)
                .with_hint(
                    "Look at its console at DigitalOcean, or try again; `capsule stop --force` cuts the power.",
                ));
        }
        Ok(())
    }
}

/// The setting `gpu_droplets`: yes unless it says no.
fn wants_gpus(settings: &Settings) -> Result<bool> {
    match settings.get("gpu_droplets").map(|value| value.expose_secret().trim().to_lowercase()).as_deref() {
        None | Some("" | "yes" | "true" | "1") => Ok(true),
        Some("no" | "false" | "0") => Ok(false),
        Some(_) => Err(Error::new(ErrorKind::Config, "digitalocean: `gpu_droplets` is neither `yes` nor `no`.")
            .with_provider(&DESCRIPTOR.id)),
    }
}

#[async_trait]
impl Provider for DigitalOcean {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        let (account, used) = join(self.api.account(), self.api.droplet_count()).await;
        Ok(convert::account(account?, used))
    }

    async fn catalog(&self) -> Result<Catalog> {
        let at = self.clock.now();
        let (regions, sizes, images) = try_join3(self.api.regions(), self.api.sizes(), self.api.images()).await?;
        Ok(convert::catalog(at, &self.regions, regions, sizes, images))
    }

    fn check(&self, order: &Order) -> Result<()> {
        convert::check(order).map(drop)
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        let tags = convert::check(order)?;
        if !self.gpus && order.spec.plan.starts_with("gpu-") {
            return Err(Error::new(
                ErrorKind::Config,
                "digitalocean: GPU droplets are switched off by `gpu_droplets`.",
            )
            .with_provider(&DESCRIPTOR.id)
            .with_hint("Set it to `yes`: what Capsule makes it must be able to find again."));
        }
        let keys = try_join_all(order.spec.ssh_keys.iter().map(|key| self.ssh_key(key, &order.owner))).await?;
        let born = |droplet: api::Droplet<'_>, raw| {
            let (mut instance, _) = convert::instance(droplet, raw);
            instance.tags = convert::tags_at_birth(order);
            instance
        };
        let made = self.api.create_droplets(&convert::new_droplets(order, keys, tags), born).await;
        if made.as_ref().is_err_and(|error| error.kind() == ErrorKind::Invalid) {
            // One reason for a refusal is a key that was removed at the vendor meanwhile.
            self.keys.lock().await.clear();
        }
        made
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        let number = convert::droplet_id(id)?;
        let Some((mut instance, locked)) = self.api.droplet(number, convert::instance).await? else {
            return Ok(None);
        };
        if convert::is_unclear(&instance, locked, self.clock.now()) {
            match self.api.newest_action(number).await {
                Ok(newest) => convert::clarify(&mut instance, newest.as_ref()),
                // A key may lack the right to read actions: then the droplet's own word stands.
                Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(instance))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let tag = convert::scope_tag(scope)?;
        let which = tag.as_deref().map_or(Which::Plain, Which::Tagged);
        let listed = self.api.droplets(which, Self::listed);
        let (mut found, gpus) = try_join(listed, self.gpu_droplets()).await?;
        found.extend(gpus);
        Ok(scope.gather(found, &self.regions))
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let number = convert::droplet_id(id)?;
        let Some(what) = convert::power_action(id, self.present(id).await?.status, to)? else {
            return Ok(());
        };
        match self.api.act(number, what).await {
            Ok(action) => self.watch(id, action).await,
            // It may have got there between our look and our request; the vendor then refuses.
            Err(refused) if matches!(refused.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                match convert::power_action(id, self.present(id).await?.status, to)? {
                    None => Ok(()),
                    Some(_) => Err(refused),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        missing_is_ok(self.api.delete_droplet(convert::droplet_id(id)?).await)
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
