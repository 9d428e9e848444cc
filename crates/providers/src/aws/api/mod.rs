//! What goes over the wire: one client per service and region, and one function per vendor call.

mod costs;
mod ec2;
mod pricing;
mod quotas;
mod ssm;
mod sts;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use capsule_core::http::{Bucket, Call, Client, ClientConfig, Ledgers, Rate, Reply, RetryPolicy, Transport};
use capsule_core::{Clock, Connect, Error, ErrorKind, Result};
use serde::Deserialize;
use url::Url;

pub(super) use self::costs::{Costs, RecordCost, ServiceCost};
pub(super) use self::ec2::{
    Attachment, Instance, InstanceType, Item, MOST_VALUES, MachineImage, RunInstances, SecurityGroup, Tag, Volume,
};
pub(super) use self::pricing::PricedProduct;
use super::convert;
use super::credentials::Keys;
use super::query::{Form, json_of};
use super::sign::Signer;

/// One of the vendor's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Service {
    Ec2,
    Sts,
    Ssm,
    Pricing,
    Quotas,
    Costs,
}

impl Service {
    /// As it stands in signatures.
    fn signing_name(self) -> &'static str {
        match self {
            Service::Ec2 => "ec2",
            Service::Sts => "sts",
            Service::Ssm => "ssm",
            Service::Pricing => "pricing",
            Service::Quotas => "servicequotas",
            Service::Costs => "ce",
        }
    }

    /// Where it answers for a region: <https://docs.aws.amazon.com/general/latest/gr/rande.html>.
    fn endpoint(self, region: &str) -> String {
        let tail = if region.starts_with("cn-") { ".cn" } else { "" };
        match self {
            Service::Pricing => format!("https://api.pricing.{region}.amazonaws.com{tail}"),
            _ => format!("https://{}.{region}.amazonaws.com{tail}", self.signing_name()),
        }
    }

    /// The documented limits, each for one account and region. What is marked (?) in the contract is taken at its
    /// lower end: <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>.
    fn buckets(self) -> Vec<Bucket> {
        let bucket = |name, capacity, refill: u32| Bucket {
            name: Some(name),
            rate: Rate::Tokens { capacity, refill_milli: refill * 1000 },
        };
        match self {
            Service::Ec2 => vec![bucket(DESCRIBE, 100, 20), bucket(RUN, 5, 2), bucket(END, 1000, 20)],
            _ => Vec::new(),
        }
    }
}

/// Every call that only looks.
const DESCRIBE: &str = "Describe";
/// RunInstances.
const RUN: &str = "RunInstances";
/// Terminate, start and stop.
const END: &str = "TerminateInstances";

/// The kind of disk that servers boot from.
pub(super) const ROOT_DISK: &str = "gp3";

/// All calls to the vendor.
pub(super) struct Api {
    keys: Arc<Keys>,
    /// Stands in for every service, as the emulators do.
    endpoint: Option<Url>,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
    ledgers: Ledgers,
    limit: Option<Rate>,
    /// Whether lists leave the bodies out.
    lean: bool,
    clients: Mutex<HashMap<(Service, String), Client>>,
}

impl Api {
    pub(super) fn new(keys: Keys, endpoint: Option<Url>, connect: Connect) -> Api {
        let Connect { settings, transport, clock, ledgers } = connect;
        let (keys, limit, lean) = (Arc::new(keys), settings.limit, settings.lean);
        Api { keys, endpoint, transport, clock, ledgers, limit, lean, clients: Mutex::default() }
    }

    /// The clock that everything goes by.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Whether another host answers instead of the vendor's.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.endpoint.is_some()
    }

    /// Asks by form, and renders the answer as JSON.
    async fn query(&self, service: Service, region: &str, call: Call, form: Form) -> Result<Answer> {
        let call = call.body("application/x-www-form-urlencoded; charset=utf-8", form.into_body());
        let reply = self.client(service, region)?.send(call).await?;
        let json = json_of(reply.text()?)
            .map_err(|why| reply.protocol(format!("an answer that Capsule cannot read ({why})")))?;
        Ok(Answer { json, reply })
    }

    /// Asks EC2.
    async fn ec2(&self, region: &str, call: Call, form: Form) -> Result<Answer> {
        self.query(Service::Ec2, region, call, form).await
    }

    fn client(&self, service: Service, region: &str) -> Result<Client> {
        let mut clients = self.clients.lock().expect("no panic happens under this lock");
        if let Some(client) = clients.get(&(service, region.to_owned())) {
            return Ok(client.clone());
        }
        let client = self.connect(service, region)?;
        clients.insert((service, region.to_owned()), client.clone());
        Ok(client)
    }

    fn connect(&self, service: Service, region: &str) -> Result<Client> {
        if !is_region(region) {
            return Err(Error::new(ErrorKind::Invalid, format!("`{region}` is not an AWS region."))
                .with_provider(convert::PROVIDER)
                .with_hint("Regions look like eu-central-1; `capsule regions --provider aws` shows them."));
        }
        let base = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => capsule_core::http::parse_base("endpoint", &service.endpoint(region))?,
        };
        let signer = Signer { keys: self.keys.clone(), service: service.signing_name(), region: region.to_owned() };
        let vendor = convert::PROVIDER;
        let whose = [vendor.as_str(), base.as_str(), service.signing_name(), region, self.keys.account()];
        let config = ClientConfig {
            buckets: service.buckets(),
            own_limit: self.limit,
            ledger: self.ledgers.of(&whose, None),
            diagnose: convert::diagnose,
            // The vendor's own programs ask for no kind. Asked for JSON, STS answers in JSON what is XML otherwise:
            // <https://github.com/ex-aws/ex_aws_sts/issues/8>.
            accept: "*/*",
            request_id: "x-amzn-requestid",
            // Throttled calls come without a Retry-After; the vendor asks for a second to start with. Emulators mostly
            // have neither prices nor quotas, and it is no use asking them twice.
            retry: RetryPolicy {
                retries: match service {
                    // Each is paid for.
                    Service::Costs => 0,
                    Service::Pricing | Service::Quotas if self.is_elsewhere() => 0,
                    _ => 3,
                },
                base: Duration::from_secs(1),
                cap: Duration::from_secs(60),
                ..RetryPolicy::default()
            },
            ..ClientConfig::new(convert::PROVIDER, base, Arc::new(signer))
        };
        Client::new(config, self.transport.clone(), self.clock.clone())
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// An XML answer, rendered as JSON.
struct Answer {
    json: String,
    reply: Reply,
}

impl Answer {
    /// Reads it.
    fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_str(&self.json).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &dyn fmt::Display) -> Error {
        self.reply.protocol(format!("an answer that Capsule cannot read ({error})"))
    }
}

/// Whether a text may be a region. It becomes a part of the host: nothing but a region's letters may get there.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
