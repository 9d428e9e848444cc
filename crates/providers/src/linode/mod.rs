#![doc = include_str!("README.md")]

mod api;
mod billing;
mod convert;
mod invoices;
mod marking;
mod statement;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use capsule_core::http::{Bucket, Client, ClientConfig, HeaderKey, Rate};
use capsule_core::{
    Account, Capabilities, Catalog, Clock, Connect, Descriptor, Disks, Effect, Error, ErrorKind, Instance, InstanceId,
    Leftovers, Lifecycle, Marking, Order, OwnLoader, PlanKind, Power, Provider, ProviderId, Result, Scope, Setting,
    Settings, Statements, missing_is_ok,
};
use futures_util::future::try_join4;
use secrecy::{ExposeSecret, SecretString};

use self::api::{Api, Filter};
use crate::{Connecting, Elsewhere, Resource};

/// Who it is.
pub static DESCRIPTOR: Descriptor = Descriptor {
    id: ProviderId::new("linode"),
    name: "Linode",
    lifecycle: Lifecycle::Live,
    endpoint: "https://api.linode.com/v4",
    settings: &[
        Setting {
            key: "api_key",
            env: &["LINODE_API_KEY", "LINODE_TOKEN"],
            secret: true,
            required: true,
            help: "A personal access token from https://cloud.linode.com/profile/tokens.",
        },
        Setting {
            key: "direct_disk",
            env: &["LINODE_DIRECT_DISK"],
            secret: false,
            required: false,
            help: "`no` leaves the configuration profiles of xNodes as the vendor makes them.",
        },
    ],
    key_help: "Make a personal access token at https://cloud.linode.com/profile/tokens with read and write access to \
        Linodes and read access to Images. The user behind it must be unrestricted: others may not tag servers.",
    docs: "https://techdocs.akamai.com/linode-api/reference/api",
    tariffs: &[&billing::VIRTUAL],
};

/// How other programs know its servers:
/// <https://registry.terraform.io/providers/linode/linode/latest/docs/resources/instance#import>.
pub(crate) static ELSEWHERE: Elsewhere = Elsewhere {
    caveat: Some(
        "Its configuration must name each disk and profile as they are: Terraform removes a disk that is left out, with its data.",
    ),
    ..Elsewhere::new("linode/linode", |id| Resource { kind: "linode_instance", id: id.native.clone() })
};

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::Virtual],
    batch: 1,
    idempotent_create: false,
    graceful_stop: true,
    force_off: false,
    user_data_max: 65_535,
    name_rule: "3 to 64 letters, digits, dots, dashes and underscores, a letter first, a letter or digit last, and no \
        two equal marks in a row",
    list_lag: Duration::from_secs(30),
    poll_interval: Duration::from_secs(5),
    ready_within: Duration::from_secs(600),
    ready_within_metal: Duration::from_secs(600),
};

/// Brings the driver to life. Checks the settings; sends nothing.
pub fn connect(connect: Connect) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Linode::new(connect)?) as Arc<dyn Provider>) })
}

#[derive(Debug)]
struct Linode {
    api: Api,
    clock: Arc<dyn Clock>,
    regions: Vec<String>,
    /// Whether configuration profiles are set to `linode/direct-disk` where that is asked for.
    direct_disk: bool,
}

impl Linode {
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
            buckets: vec![
                window(None, 1600, 60),
                window(Some(api::LISTS), 200, 60),
                window(Some(api::IMAGES), 20, 60),
                window(Some(api::CREATES), 20, 15),
            ],
            own_limit: settings.limit,
            ledger: ledgers.of(&[DESCRIPTOR.id.as_str(), base.as_str()], Some(key)),
            diagnose: convert::diagnose,
            ..ClientConfig::new(&DESCRIPTOR.id, base, Arc::new(auth))
        };
        Ok(Linode {
            direct_disk: wants_direct_disk(&settings)?,
            api: Api::new(Client::new(config, transport, clock.clone())?, settings.lean),
            clock,
            regions: settings.regions,
        })
    }

    /// Whose server keeps an order from its name: if it carries the order's own token, an earlier try came through.
    async fn namesake(&self, order: &Order, name: &str, taken: Error) -> Result<Vec<Instance>> {
        match self.api.linodes(Some(Filter::Label(name)), convert::instance).await {
            Ok(listed) => match listed.into_iter().find(|server| server.name == name) {
                Some(server) if server.tags.token() == Some(order.token.as_str()) => Ok(vec![server]),
                Some(_) => Err(taken),
                // Taken, and nobody has it: then it is not shown yet, and may be this order's own.
                None => Err(taken.with_effect(Effect::Unknown)),
            },
            Err(_) => Err(taken.with_effect(Effect::Unknown)),
        }
    }

    /// The state of a server that has to be there.
    async fn present(&self, id: &InstanceId) -> Result<Instance> {
        self.get(id).await?.ok_or_else(|| id.not_there("instances.get"))
    }
}

/// The setting `direct_disk`: yes unless it says no.
fn wants_direct_disk(settings: &Settings) -> Result<bool> {
    match settings.get("direct_disk").map(|value| value.expose_secret().trim().to_lowercase()).as_deref() {
        None | Some("" | "yes" | "true" | "1") => Ok(true),
        Some("no" | "false" | "0") => Ok(false),
        Some(_) => Err(Error::new(ErrorKind::Config, "linode: `direct_disk` is neither `yes` nor `no`.")
            .with_provider(&DESCRIPTOR.id)),
    }
}

/// A password for the new server's root that nobody ever learns: it is sent once and forgotten. 256 random bits, and a
/// tail that has what any rule about passwords can ask for.
fn root_password() -> SecretString {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    format!("{}.aA1", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)).into()
}

#[async_trait]
impl Provider for Linode {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        let (profile, scopes) = self.api.profile().await?;
        let grants = if profile.restricted == Some(true) { Some(self.api.grants().await) } else { None };
        Ok(convert::account(profile, scopes.as_deref(), grants))
    }

    async fn catalog(&self) -> Result<Catalog> {
        let at = self.clock.now();
        let (regions, types, stock, images) =
            try_join4(self.api.regions(), self.api.types(), self.api.availability(), self.api.images()).await?;
        Ok(convert::catalog(at, &self.regions, regions, types, &stock, images))
    }

    fn check(&self, order: &Order) -> Result<()> {
        convert::check(order).map(drop)
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        let (name, tags) = convert::check(order)?;
        let password = root_password();
        match self.api.create(&convert::new_linode(order, name, tags, &password)?, convert::instance).await {
            Ok(made) => Ok(vec![made]),
            Err(refused) if convert::is_name_taken(&refused) => self.namesake(order, name, refused).await,
            Err(error) => Err(error),
        }
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        self.api.linode(convert::linode_id(id)?, convert::instance).await
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let tag = convert::scope_tag(scope)?;
        let listed = self.api.linodes(tag.as_deref().map(Filter::Tag), convert::instance).await?;
        Ok(scope.gather(listed, &self.regions))
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let number = convert::linode_id(id)?;
        let job = convert::job(id, to)?;
        if !convert::takes(id, &self.present(id).await?.native_status, job)? {
            return Ok(());
        }
        match self.api.run(number, job).await {
            // It may have got there between our look and our request; the vendor then refuses.
            Err(refused) if matches!(refused.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                if convert::takes(id, &self.present(id).await?.native_status, job)? { Err(refused) } else { Ok(()) }
            }
            answered => answered,
        }
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        missing_is_ok(self.api.delete(convert::linode_id(id)?).await)
    }

    fn leftovers(&self) -> Option<&dyn Leftovers> {
        None
    }

    fn statements(&self) -> Option<&dyn Statements> {
        Some(self)
    }

    fn own_loader(&self) -> Option<&dyn OwnLoader> {
        self.direct_disk.then_some(self)
    }

    fn disks(&self) -> Option<&dyn Disks> {
        None
    }

    fn marking(&self) -> Option<&dyn Marking> {
        Some(self)
    }
}

#[async_trait]
impl OwnLoader for Linode {
    async fn start_from_own_disk(&self, id: &InstanceId) -> Result<()> {
        let number = convert::linode_id(id)?;
        let set = async {
            let profiles = self.api.configs(number).await?;
            if profiles.is_empty() {
                return Err(convert::no_profile(id));
            }
            for profile in &profiles {
                if let Some(change) = convert::direct_disk(profile) {
                    self.api.update_config(number, profile.id, &change).await?;
                }
            }
            Ok(())
        };
        set.await.map_err(|error| convert::not_direct(id, error))
    }
}

#[cfg(test)]
mod tests;
