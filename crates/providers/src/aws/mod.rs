#![doc = include_str!("README.md")]

mod api;
mod billing;
mod convert;
mod credentials;
mod disks;
mod groups;
mod launch;
mod leftovers;
mod marking;
mod offers;
mod prices;
mod query;
mod sign;
mod statement;
mod teardown;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::{Lane, parse_base};
use capsule_core::{
    Account, Capabilities, Catalog, Connect, Descriptor, Disks, Effect, Error, ErrorKind, Instance, InstanceId,
    InstanceStatus, Leftovers, Lifecycle, Marking, Order, OwnLoader, PlanKind, Power, Provider, Result, Scope, Setting,
    Settings, Statements, tags,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use secrecy::ExposeSecret;

use self::api::Api;
use self::credentials::Keys;
use crate::registry::Connecting;
use crate::{Elsewhere, Resource};

/// Who it is.
pub static DESCRIPTOR: Descriptor = Descriptor {
    id: convert::PROVIDER,
    name: "AWS EC2",
    lifecycle: Lifecycle::Live,
    endpoint: "https://ec2.{region}.amazonaws.com",
    settings: &[
        Setting {
            key: "access_key",
            env: &["AWS_ACCESS_KEY_ID"],
            secret: false,
            required: false,
            help: "The id of an access key. Without one the profile or the machine's role is used.",
        },
        Setting {
            key: "secret_key",
            env: &["AWS_SECRET_ACCESS_KEY"],
            secret: true,
            required: false,
            help: "The secret that goes with the access key.",
        },
        Setting {
            key: "session_token",
            env: &["AWS_SESSION_TOKEN"],
            secret: true,
            required: false,
            help: "Goes with temporary access keys only.",
        },
        Setting {
            key: "profile",
            env: &["AWS_PROFILE"],
            secret: false,
            required: false,
            help: "A profile of ~/.aws/config, single sign-on and assumed roles included.",
        },
        Setting {
            key: "region",
            env: &["AWS_REGION", "AWS_DEFAULT_REGION"],
            secret: false,
            required: false,
            help: "The region that is asked about the account and for its plans; us-east-1 if not set.",
        },
        Setting {
            key: "endpoint_url",
            env: &["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"],
            secret: false,
            required: false,
            help: "Another host that stands in for all services, such as an emulator.",
        },
    ],
    key_help: "Make an access key at https://console.aws.amazon.com/iam/ for a user with the policy AmazonEC2FullAccess, \
               and pricing:GetProducts, ssm:GetParameter and ssm:GetParameters for prices and current images.",
    docs: "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/",
    tariffs: &[&billing::VIRTUAL, &billing::BARE_METAL],
};

/// How other programs know its servers. Images let in a user of their own; an AMI's id does not tell which.
///
/// Without its region a server is looked for in the one that the Terraform provider is set to; with it from version 6 on:
/// <https://registry.terraform.io/providers/hashicorp/aws/latest/docs/guides/enhanced-region-support>.
pub(crate) static ELSEWHERE: Elsewhere = Elsewhere {
    user: "ubuntu",
    users: &[("debian", "admin")],
    versions: Some(">= 6.0"),
    ..Elsewhere::new("hashicorp/aws", |id| Resource {
        kind: "aws_instance",
        id: format!("{}@{}", id.native, id.region),
    })
};

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[PlanKind::Virtual, PlanKind::BareMetal],
    batch: 1,
    idempotent_create: true,
    graceful_stop: true,
    force_off: true,
    user_data_max: launch::USER_DATA_MAX,
    name_rule: launch::NAME_RULE,
    list_lag: Duration::from_secs(60),
    poll_interval: Duration::from_secs(5),
    ready_within: Duration::from_secs(10 * 60),
    ready_within_metal: Duration::from_secs(40 * 60),
};

/// Where the account is asked when the user names no region.
const FIRST_REGION: &str = "us-east-1";

pub(crate) use self::credentials::has_credentials;

/// The region that a word may stand for: none unless it looks like one, since the host of a region that does not exist
/// answers as if the key were wrong.
pub(crate) fn regions(word: &str) -> Vec<String> {
    if convert::is_region(word) { vec![word.to_owned()] } else { Vec::new() }
}

/// Brings the driver to life. Sends nothing.
pub fn connect(connect: Connect) -> Connecting {
    Box::pin(async move { Ok(Arc::new(Aws::new(connect)?) as Arc<dyn Provider>) })
}

/// AWS EC2 under one account.
#[derive(Debug)]
struct Aws {
    api: Api,
    /// The region for questions that belong to none.
    home: String,
    /// The regions that the user narrowed everything to; empty for all.
    only: Vec<String>,
    prepared: launch::Prepared,
    /// Failed launches that were deleted. The vendor shows them on for an hour, and nothing there says so.
    buried: Mutex<HashSet<InstanceId>>,
}

impl Aws {
    fn new(connect: Connect) -> Result<Aws> {
        let Settings { endpoint, regions, .. } = &connect.settings;
        let text = |key: &str| connect.settings.get(key).map(|value| value.expose_secret().trim().to_owned());
        let endpoint = match (endpoint, text("endpoint_url")) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(url)) => {
                Some(parse_base("endpoint_url", &url).map_err(|error| error.with_provider(convert::PROVIDER))?)
            }
            (None, None) => None,
        };
        let only = regions.clone();
        let home = text("region").filter(|region| !region.is_empty()).or_else(|| only.first().cloned());
        let home = home.unwrap_or_else(|| FIRST_REGION.to_owned());
        let keys = Keys::new(&connect, &home).map_err(|error| error.with_provider(convert::PROVIDER))?;
        let api = Api::new(keys, endpoint, connect);
        Ok(Aws { api, home, only, prepared: launch::Prepared::default(), buried: Mutex::default() })
    }

    /// The regions that a list spans.
    async fn regions(&self) -> Result<Vec<String>> {
        if !self.only.is_empty() {
            return Ok(self.only.clone());
        }
        let regions = self.api.describe_regions(&self.home).await?;
        Ok(regions.into_iter().map(|region| region.region_name).collect())
    }

    /// What a refused create really means: the host of a region that does not exist, or is not switched on, answers as if
    /// the key were wrong, or not at all.
    async fn explain(&self, region: &str, refused: Error) -> Error {
        if refused.effect() == Effect::Unknown
            || !matches!(refused.kind(), ErrorKind::Unauthenticated | ErrorKind::Unavailable)
        {
            return refused;
        }
        // If the regions cannot be read either, the first reason stands.
        let Ok(enabled) = self.api.describe_regions(&self.home).await else { return refused };
        if enabled.iter().any(|enabled| enabled.region_name == region) {
            return refused;
        }
        let known = enabled.iter().map(|enabled| enabled.region_name.as_str());
        Error::new(ErrorKind::Invalid, format!("AWS has no region `{region}` that this account has switched on."))
            .with_provider(convert::PROVIDER)
            .with_hint(capsule_core::nearest::hint(region, known))
    }

    async fn list_region(&self, region: String, scope: &Scope) -> Result<Vec<Instance>> {
        let filter = match scope {
            Scope::All => None,
            Scope::Owner(owner) | Scope::OwnerIn(owner, _) => Some((tags::OWNER, owner.as_str())),
            Scope::Token(token) | Scope::TokenIn(token, _) => Some((tags::TOKEN, token.as_str())),
        };
        let filter = filter.map(|(key, value)| (format!("tag:{key}"), value));
        let filters: Vec<_> = filter.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let items = self.api.describe_instances(&region, &filters).await;
        let items = items.map_err(|error| offers::in_region(&region, error))?;
        let living = items.into_iter().filter(|item| !convert::is_terminated(&item.instance));
        Ok(living.map(|item| convert::instance(&region, item)).collect())
    }

    fn is_buried(&self, id: &InstanceId) -> bool {
        self.buried.lock().expect("no panic happens under this lock").contains(id)
    }

    /// A refusal to change the power is none where the server is as wanted already, and where it is gone is another.
    async fn after_conflict(&self, id: &InstanceId, to: Power, error: Error) -> Result<()> {
        let Some(now) = self.get(id).await?.filter(|now| now.native_status != "terminated") else {
            return Err(error.with_kind(ErrorKind::NotFound));
        };
        match (to, now.status, now.native_status.as_str()) {
            (Power::On, InstanceStatus::Provisioning, _) | (Power::On, _, "running") => Ok(()),
            (Power::Off | Power::ForceOff, _, "stopping" | "stopped") => Ok(()),
            _ => Err(error),
        }
    }
}

#[async_trait]
impl Provider for Aws {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        let who = self.api.get_caller_identity(&self.home).await?;
        let mut notes = Vec::new();
        match self.api.describe_regions(&self.home).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                notes.push("The key may not call ec2:DescribeRegions, and so probably nothing of EC2.".to_owned());
            }
            Err(error) => return Err(error),
        }
        let mut quotas = Vec::new();
        match self.api.vcpu_quota(&self.home).await {
            Ok(limit) => quotas.extend(convert::vcpu_quota(&self.home, limit)),
            // Good to know, but no server needs it.
            Err(error) => notes.push(format!("The limit on virtual processors cannot be read. {}", error.message())),
        }
        let id = if who.arn.is_empty() { who.account } else { who.arn };
        Ok(Account { id, status: None, quotas, notes })
    }

    async fn catalog(&self) -> Result<Catalog> {
        let home = std::slice::from_ref(&self.home);
        offers::catalog(&self.api, &self.home, if self.only.is_empty() { home } else { &self.only }).await
    }

    fn check(&self, order: &Order) -> Result<()> {
        launch::check(order)
    }

    async fn create(&self, order: &Order) -> Result<Vec<Instance>> {
        match launch::launch(&self.api, &self.prepared, order).await {
            Ok(made) => Ok(vec![made]),
            Err(refused) => Err(self.explain(&order.spec.region, refused).await),
        }
    }

    async fn get(&self, id: &InstanceId) -> Result<Option<Instance>> {
        let item = self.api.describe_instance(&id.region, &id.native, Lane::Normal).await?;
        let shown = item.filter(|item| {
            !convert::is_terminated(&item.instance)
                || (convert::is_failed_launch(&item.instance) && !self.is_buried(id))
        });
        Ok(shown.map(|item| convert::instance(&id.region, item)))
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<Instance>> {
        let regions = match scope.regions() {
            Some(regions) => regions,
            None => self.regions().await?,
        };
        let lists: Vec<Vec<Instance>> = stream::iter(regions)
            .map(|region| self.list_region(region, scope))
            .buffered(offers::AT_ONCE)
            .try_collect()
            .await?;
        Ok(lists.into_iter().flatten().collect())
    }

    async fn power(&self, id: &InstanceId, to: Power) -> Result<()> {
        let (region, native) = (id.region.as_str(), id.native.as_str());
        let done = match to {
            Power::On => self.api.start_instances(region, native).await,
            Power::Off => self.api.stop_instances(region, native, false).await,
            Power::ForceOff => self.api.stop_instances(region, native, true).await,
            Power::Reboot => self.api.reboot_instances(region, native).await,
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Conflict => self.after_conflict(id, to, error).await,
            done => done,
        }
    }

    async fn delete(&self, id: &InstanceId) -> Result<()> {
        teardown::teardown(&self.api, &self.prepared.groups, id).await?;
        self.buried.lock().expect("no panic happens under this lock").insert(id.clone());
        Ok(())
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
