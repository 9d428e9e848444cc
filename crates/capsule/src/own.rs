//! Servers of the user's own, at no provider that we know: recorded, looked at, and forgotten; never started or deleted.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::{
    Account, Addresses, Capabilities, Catalog, Descriptor, Disks, Error, ErrorKind, Instance, InstanceId,
    InstanceStatus, Leftovers, Lifecycle, Marking, Order, OwnLoader, Power, Provider, ProviderId, RawBody, Result,
    Scope, Statements, Tags,
};
use capsule_engine::Record;
use jiff::Timestamp;

/// Where servers of the user's own are, in an [`InstanceId`].
pub const OWN: ProviderId = ProviderId::new("own");

static DESCRIPTOR: Descriptor = Descriptor {
    id: OWN,
    name: "Your own",
    lifecycle: Lifecycle::Live,
    endpoint: "",
    settings: &[],
    key_help: "",
    docs: "",
    tariffs: &[],
};

static CAPABILITIES: Capabilities = Capabilities {
    kinds: &[],
    batch: 1,
    idempotent_create: false,
    graceful_stop: false,
    force_off: false,
    user_data_max: 0,
    name_rule: "anything",
    list_lag: Duration::ZERO,
    poll_interval: Duration::ZERO,
    ready_within: Duration::ZERO,
    ready_within_metal: Duration::ZERO,
};

/// A server at `host`, as the inventory keeps it.
pub fn instance(host: &str, name: &str, ip: IpAddr, now: Timestamp) -> Instance {
    let addresses = match ip {
        IpAddr::V4(ip) => Addresses { public_v4: vec![ip], ..Addresses::default() },
        IpAddr::V6(ip) => Addresses { public_v6: vec![ip], ..Addresses::default() },
    };
    Instance {
        id: InstanceId::new(OWN, "here", host),
        name: name.to_owned(),
        status: InstanceStatus::Running,
        native_status: "adopted".to_owned(),
        fault: None,
        plan: String::new(),
        image: None,
        addresses,
        tags: Tags::new(),
        created_at: Some(now),
        metadata: RawBody::empty(),
    }
}

/// A server of the inventory, as far as anybody knows it.
pub fn of(record: &Record) -> Instance {
    let seen = instance(&record.id.native, &record.name, IpAddr::from([0, 0, 0, 0]), record.created_at);
    Instance { addresses: record.addresses.clone(), tags: record.tags.clone(), ..seen }
}

/// Answers for them where the engine asks a provider.
#[derive(Debug)]
pub struct Own;

#[async_trait]
impl Provider for Own {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn verify(&self) -> Result<Account> {
        Err(unsupported("have no account"))
    }

    async fn catalog(&self) -> Result<Catalog> {
        Err(unsupported("have no catalogue"))
    }

    fn check(&self, _: &Order) -> Result<()> {
        Err(unsupported("cannot be ordered"))
    }

    async fn create(&self, _: &Order) -> Result<Vec<Instance>> {
        Err(unsupported("cannot be ordered"))
    }

    /// Nobody but the inventory knows them, and what is asked for here is on its way out of it.
    async fn get(&self, _: &InstanceId) -> Result<Option<Instance>> {
        Ok(None)
    }

    async fn list(&self, _: &Scope) -> Result<Vec<Instance>> {
        Ok(Vec::new())
    }

    async fn power(&self, _: &InstanceId, _: Power) -> Result<()> {
        Err(unsupported("cannot be switched from here"))
    }

    /// It stays as it is; the inventory forgets it.
    async fn delete(&self, _: &InstanceId) -> Result<()> {
        Ok(())
    }

    fn leftovers(&self) -> Option<&dyn Leftovers> {
        None
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
        None
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("Servers of your own {what}.")).with_hint(
        "Capsule looks at them with `capsule verify` and `capsule health`, and forgets them with `capsule delete`.",
    )
}
