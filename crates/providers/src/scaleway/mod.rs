#![doc = include_str!("README.md")]

mod api;
mod billing;
mod convert;
mod disks;
mod invoices;
mod leftovers;
mod making;
mod marking;
mod offers;
mod removal;
mod statement;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::{Client, ClientConfig, HeaderKey};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Disks, Error, ErrorKind, Instance, InstanceId,
    InstanceStatus, Leftovers, Lifecycle, Marking, Order, OwnLoader, PlanKind, Power, Provider, ProviderId, RawBody,
    Result, Scope, Setting, Statements,
};
use futures_util::future::{OptionFuture, join, try_join, try_join_all};
use http::HeaderName;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use self::api::Api;
use self::convert::Seen;
use self::offers::Shelf;
use crate::{Connecting, Elsewhere, Resource};

/// Who it is.
pub static DESCRIPTOR: Descriptor = Descriptor {
    id: ProviderId::new("scaleway"),
    name: "Scaleway",
    lifecycle: Lifecycle::Live,
    endpoint: "https://api.scaleway.com",
    settings: &[
        Setting {
            key: "api_key",
            env: &["SCALEWAY_API_KEY", "SCW_SECRET_KEY"],
            secret: true,
            required: true,
            help: "The secret key of an API key from https://console.scaleway.com/iam/api-keys, a UUID.",
        },
        Setting {
            key: "project_id",
            env: &["SCALEWAY_PROJECT_ID", "SCW_DEFAULT_PROJECT_ID"],
            secret: false,
            required: true,
            help: "The project that new servers belong to, a UUID: copy it from https://console.scaleway.com/project/\
                settings, or read it with `scw config get default-project-id`.",
        },
        Setting {
            key: "access_key",
            env: &["SCW_ACCESS_KEY"],
            secret: false,
            required: false,
            help: "The access key beside the secret key (SCW...): with it `capsule provider check scaleway` tells whose \
                key it is.",
        },
    ],
    key_help: "Make an API key at https://console.scaleway.com/iam/api-keys for a user or application whose policy has \
        InstancesFullAccess, BlockStorageFullAccess and SSHKeysFullAccess in the project.",
    docs: "https://www.scaleway.com/en/developers/api/instances/",
    tariffs: &[&billing::VIRTUAL],
};

/// How other programs know its servers:
/// <https://registry.terraform.io/providers/scaleway/scaleway/latest/docs/resources/instance_server#import>.
pub(crate) static ELSEWHERE: Elsewhere = Elsewhere::new("scaleway/scaleway", |id| Resource {
    kind: "scaleway_instance_server",
    id: format!("{}/{}", id.region, id.native),
});

/// The zones that a word stands for.
pub(crate) fn regions(word: &str) -> Vec<String> {
    convert::zones_of(word).into_iter().map(str::to_owned).collect()
}

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::Virtual],
    batch: 1,
    idempotent_create: false,
    graceful_stop: true,
    force_off: false,
    // The limit is not documented (unsure); what stays below 64 KiB has always been taken.
    user_data_max: (64 << 10) - 1,
    name_rule: "1 to 63 letters, digits, dots and dashes, with a letter or digit at both ends",
    list_lag: Duration::from_secs(60),
    poll_interval: Duration::from_secs(5),
    ready_within: Duration::from_secs(600),
    ready_within_metal: Duration::from_secs(600),
};

/// Brings the driver to life. Checks the settings; sends nothing.
pub fn connect(connect: Connect) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Scaleway::new(connect)?) as Arc<dyn Provider>) })
}

#[derive(Debug)]
struct Scaleway {
    api: Api,
    clock: Arc<dyn Clock>,
    project: String,
    access_key: Option<String>,
    zones: Vec<&'static str>,
    /// The project's keys, as far as they were looked at. The lock is held while they are, so that many creates at once
    /// list them once.
    keys: Mutex<Vec<api::SshKey>>,
}

impl Scaleway {
    fn new(Connect { settings, transport, clock, ledgers }: Connect) -> Result<Self> {
        let key = settings.require(&DESCRIPTOR, "api_key")?;
        let project = settings.require(&DESCRIPTOR, "project_id")?.expose_secret().trim().to_owned();
        let access_key = settings.get("access_key").map(|key| key.expose_secret().trim().to_owned());
        let auth = HeaderKey::new(HeaderName::from_static("x-auth-token"), "", key)
            .map_err(|error| error.with_provider(&DESCRIPTOR.id))?;
        let base = match &settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => capsule_core::http::parse_base("endpoint", DESCRIPTOR.endpoint)?,
        };
        // The vendor publishes no limits: 16 requests at once, and less when it answers 429.
        let config = ClientConfig {
            own_limit: settings.limit,
            ledger: ledgers.of(&[DESCRIPTOR.id.as_str(), base.as_str()], Some(key)),
            diagnose: convert::diagnose,
            ..ClientConfig::new(&DESCRIPTOR.id, base, Arc::new(auth))
        };
        let api = Api::new(Client::new(config, transport, clock.clone())?, settings.lean);
        let zones = convert::zones(&settings.regions)?;
        Ok(Scaleway { api, clock, project, access_key, zones, keys: Mutex::default() })
    }

    async fn see(&self, id: &InstanceId) -> Result<Option<Seen>> {
        convert::check_id(id)?;
        self.api.server(id, |server, raw| convert::seen(&id.region, server, raw)).await
    }

    /// The state of a server that has to be there.
    async fn present(&self, id: &InstanceId) -> Result<Seen> {
        self.see(id).await?.ok_or_else(|| id.not_there("servers.get"))
    }

    async fn list_zone(&self, zone: &str, scope: &Scope) -> Result<Vec<Seen>> {
        let tag = convert::scope_tag(scope)?;
        let turn = |server: api::Server<'_>, raw: RawBody| convert::seen(zone, server, raw);
        let found = self.api.servers(zone, tag.as_deref(), turn).await;
        Ok(convert::gather(found.map_err(|error| zone_failed(zone, error))?, scope))
    }

    /// Whether a server must not start yet: it was made, and its user-data never arrived.
    async fn is_half_made(&self, seen: &Seen) -> Result<bool> {
        if !seen.may_be_half_made() {
            return Ok(false);
        }
        let keys = self.api.user_data_keys(&seen.instance.id).await?;
        Ok(!keys.iter().any(|key| key == convert::CLOUD_INIT))
    }
}

/// Names the zone in an error: what lies there is missing, so nothing is shown.
fn zone_failed(zone: &str, error: Error) -> Error {
    error.context(format!("What is in {zone} is missing, so the list is not shown"))
}

#[async_trait]
impl Provider for Scaleway {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        let zone = self.zones.first().copied().unwrap_or("fr-par-1");
        let key: OptionFuture<_> = self.access_key.as_deref().map(|key| self.api.api_key(key)).into();
        let (probed, key) = join(self.api.probe(zone, &self.project), key).await;
        probed?;
        Ok(convert::account(&self.project, key))
    }

    async fn catalog(&self) -> Result<Catalog> {
        let at = self.clock.now();
        let shelves = try_join_all(self.zones.iter().map(|zone| async {
            let (types, stock) = try_join(self.api.server_types(zone), self.api.availability(zone))
                .await
                .map_err(|error| zone_failed(zone, error))?;
            Ok(Shelf { zone, types, stock })
        }));
        let images = async {
            let images = self.api.images().await?.into_iter().filter(offers::is_system);
            try_join_all(images.map(|image| async {
                let builds = self.api.local_images(&image.label).await?;
                Ok((image, builds))
            }))
            .await
        };
        let (shelves, images) = try_join(shelves, images).await?;
        Ok(offers::catalog(at, shelves, images))
    }

    fn check(&self, order: &Order) -> Result<()> {
        convert::check(order, &self.zones).map(drop)
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        let tags = convert::check(order, &self.zones)?;
        self.ensure_keys(&order.spec.ssh_keys, &order.owner).await.map_err(|error| making::before(order, error))?;
        Ok(vec![self.make(order, &tags).await?])
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        Ok(self.see(id).await?.map(|seen| seen.instance))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let zones = scope.regions().unwrap_or_else(|| self.zones.iter().map(|zone| (*zone).to_owned()).collect());
        let found = try_join_all(zones.iter().map(|zone| self.list_zone(zone, scope))).await?;
        let mut found: Vec<Seen> = found.into_iter().flatten().collect();
        if scope.token().is_some() {
            let half = try_join_all(found.iter().map(|seen| self.is_half_made(seen))).await?;
            // Half made is not made: to say so makes the engine send the order again, which then goes on with it. Beside
            // one that is whole it is a double, however old: it can never start, so it is the one to be deleted.
            if half.iter().all(|half| *half) {
                return Ok(Vec::new());
            }
            for (seen, _) in found.iter_mut().zip(half).filter(|(_, half)| *half) {
                seen.instance.status = InstanceStatus::Failed;
                seen.instance.fault = Some("it never got its user-data".to_owned());
            }
        }
        Ok(found.into_iter().map(|seen| seen.instance).collect())
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let seen = self.present(id).await?;
        let Some(action) = convert::power_action(&seen, to)? else { return Ok(()) };
        if to == Power::On && self.is_half_made(&seen).await? {
            return Err(convert::lacks_user_data(id));
        }
        match self.api.act(id, action).await {
            // It may have got there between our look and our request; the vendor then refuses.
            Err(refused) if matches!(refused.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                match convert::power_action(&self.present(id).await?, to)? {
                    None => Ok(()),
                    Some(_) => Err(refused),
                }
            }
            answered => answered,
        }
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        self.remove(id).await
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
        Some(self)
    }

    fn marking(&self) -> Option<&dyn Marking> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
