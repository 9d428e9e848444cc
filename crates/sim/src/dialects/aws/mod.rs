//! Amazon Web Services: EC2's Query API, and the few calls to STS, SSM, Service Quotas, the Price List and Cost Explorer
//! that go with it.
//!
//! Modelled: Signature Version 4 with its region and service, instances with client tokens, tags, root and extra volumes,
//! key pairs, security groups, the default network of each region, images, types, offers, the prices of servers and of their disks, costs by month, service and kind of record (hours late; usage alone), paging, dry runs,
//! the vendor's error codes, request throttling for each action and region.
//!
//! Not modelled: networks of one's own, network interfaces apart from the first, elastic addresses (there are none),
//! snapshots, images of one's own, spot, launch templates, IAM policies (a known key may do everything), the throttling
//! that counts instances instead of requests.

mod call;
mod costs;
mod data;
mod error;
mod filter;
mod images;
mod instances;
mod keys;
mod launch;
mod network;
mod offers;
mod query;
mod services;
mod sigv4;
mod tags;
mod volumes;
mod xml;

use std::time::Duration;

use capsule_core::ProviderId;
use jiff::Timestamp;
use serde_json::json;

use self::call::Call;
use self::error::AwsError;
use self::query::Params;
use self::sigv4::Claim;
use self::xml::Xml;
use crate::catalog::{Catalog, Plan};
use crate::dialect::{Dialect, Listing, Mishap, Rehearsal};
use crate::limit::{Limit, Shape};
use crate::machine::{Machine, MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, Cloud, View};
use crate::{OTHER_AWS_ACCESS_KEY, OTHER_AWS_SECRET_KEY, SANDBOX_AWS_ACCESS_KEY, SANDBOX_AWS_SECRET_KEY};

/// The dialect.
#[derive(Debug)]
pub(crate) struct Aws;

/// The session token that goes with a temporary key: the `AKIA...` of an account written `ASIA...`, and its secret.
const SESSION_TOKEN: &str = "sandbox-session-token";

/// How far the client's clock may be off.
const SKEW: Duration = Duration::from_secs(300);

/// How long things take for a virtual machine, roughly as observed: `pending` for about ten seconds, off in half a minute.
const PACE: Pace = Pace {
    queued_ms: 1_000,
    building_ms: 4_000,
    booting_ms: 5_000,
    stopping_ms: 25_000,
    starting_ms: 10_000,
    rebooting_ms: 20_000,
    deleting_ms: 30_000,
};

/// The same for a whole machine, which takes minutes to boot.
const PACE_METAL: Pace = Pace {
    building_ms: 60_000,
    booting_ms: 240_000,
    stopping_ms: 240_000,
    starting_ms: 300_000,
    rebooting_ms: 300_000,
    deleting_ms: 300_000,
    ..PACE
};

type Action = fn(&mut Call<'_, '_>) -> Result<Xml, AwsError>;

/// What a bucket holds, and how much flows back each second.
type Bucket = Option<(u32, u32)>;

/// Whatever only looks: the vendor's documented example.
const LOOK: Bucket = Some((100, 20));
/// RunInstances, as far as it is known.
const RUN: Bucket = Some((5, 2));
/// What counts instances there and requests here, which is the same for one instance each.
const POWER: Bucket = Some((1000, 20));
/// No number is published.
const OPEN: Bucket = None;

/// Every EC2 action: its name for faults and the ledger, its throttling, and what it does.
const EC2_ACTIONS: &[(&str, Bucket, Action)] = &[
    ("ec2.RunInstances", RUN, launch::run),
    ("ec2.DescribeInstances", LOOK, instances::describe),
    ("ec2.DescribeInstanceStatus", LOOK, instances::describe_status),
    ("ec2.StartInstances", POWER, instances::start),
    ("ec2.StopInstances", POWER, instances::stop),
    ("ec2.RebootInstances", POWER, instances::reboot),
    ("ec2.TerminateInstances", POWER, instances::terminate),
    ("ec2.CreateTags", OPEN, tags::create),
    ("ec2.DeleteTags", OPEN, tags::delete),
    ("ec2.DescribeTags", LOOK, tags::describe),
    ("ec2.DescribeRegions", LOOK, offers::describe_regions),
    ("ec2.DescribeAvailabilityZones", LOOK, offers::describe_zones),
    ("ec2.DescribeInstanceTypes", LOOK, offers::describe_types),
    ("ec2.DescribeInstanceTypeOfferings", LOOK, offers::describe_offerings),
    ("ec2.DescribeImages", LOOK, images::describe),
    ("ec2.ImportKeyPair", OPEN, keys::import),
    ("ec2.DescribeKeyPairs", LOOK, keys::describe),
    ("ec2.DeleteKeyPair", OPEN, keys::delete),
    ("ec2.CreateSecurityGroup", OPEN, network::create_group),
    ("ec2.AuthorizeSecurityGroupIngress", OPEN, network::authorize_ingress),
    ("ec2.DescribeSecurityGroups", LOOK, network::describe_groups),
    ("ec2.DeleteSecurityGroup", OPEN, network::delete_group),
    ("ec2.DescribeVpcs", LOOK, network::describe_vpcs),
    ("ec2.DescribeSubnets", LOOK, network::describe_subnets),
    ("ec2.DescribeAddresses", LOOK, network::describe_addresses),
    ("ec2.DescribeVolumes", LOOK, volumes::describe),
    ("ec2.DeleteVolume", OPEN, volumes::delete),
];

/// The other services' calls.
const OTHER_ACTIONS: [&str; 6] = [
    "sts.GetCallerIdentity",
    "ssm.GetParameter",
    "ssm.GetParameters",
    "pricing.GetProducts",
    "ce.GetCostAndUsage",
    "servicequotas.GetServiceQuota",
];

/// How many actions are throttled.
const THROTTLED: usize = {
    let (mut n, mut throttled) = (0, 0);
    while n < EC2_ACTIONS.len() {
        throttled += EC2_ACTIONS[n].1.is_some() as usize;
        n += 1;
    }
    throttled
};

/// One bucket for each of them; the caller's name holds the region, so there is one for each region too. EC2 never says
/// how long to wait.
static LIMITS: [Limit; THROTTLED] = {
    let nothing = Shape::Tokens { capacity: 0, refill: 0 };
    let mut limits = [Limit { name: "", operations: &[], shape: nothing, says_retry_after: false }; THROTTLED];
    let (mut n, mut at) = (0, 0);
    while n < EC2_ACTIONS.len() {
        if let Some((capacity, refill)) = EC2_ACTIONS[n].1 {
            limits[at].name = EC2_ACTIONS[n].0;
            limits[at].operations = std::slice::from_ref(&EC2_ACTIONS[n].0);
            limits[at].shape = Shape::Tokens { capacity, refill };
            at += 1;
        }
        n += 1;
    }
    limits
};

/// Whose API is asked, which decides how answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Ec2,
    Sts,
    /// SSM, Service Quotas, the Price List and Cost Explorer.
    Json,
}

impl Service {
    /// By the credential scope, or the host where there is none. On loopback the host says nothing.
    fn of(request: &Request) -> (Service, &str) {
        let host = request.base.split("://").last().unwrap_or_default();
        let named = |name: &str| match name {
            "sts" => Some((Service::Sts, "sts")),
            "ssm" => Some((Service::Json, "ssm")),
            "servicequotas" => Some((Service::Json, "servicequotas")),
            "pricing" | "api" => Some((Service::Json, "pricing")),
            "ce" => Some((Service::Json, "ce")),
            _ => None,
        };
        let claimed = Claim::read(request).map_or(host.split('.').next().unwrap_or_default(), |claim| claim.service);
        named(claimed).unwrap_or((Service::Ec2, "ec2"))
    }

    fn answer(self, action: &str, request_id: &str, body: &Xml) -> Response {
        let text = if self == Service::Sts {
            xml::sts_answer(action, request_id, body)
        } else {
            xml::ec2_answer(action, request_id, body)
        };
        Response::xml(200, text)
    }

    fn refusal(self, request_id: &str, error: &AwsError) -> Response {
        match self {
            Service::Ec2 => Response::xml(error.status, xml::ec2_error(request_id, error)),
            Service::Sts => Response::xml(error.status, xml::sts_error(request_id, error)),
            Service::Json => {
                let body = json!({ "__type": error.code, "message": error.message }).to_string();
                Response::text(error.status, "application/x-amz-json-1.1", body)
                    .with_header("x-amzn-requestid", request_id)
            }
        }
    }
}

impl Dialect for Aws {
    fn provider(&self) -> ProviderId {
        ProviderId::new("aws")
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("access_key", SANDBOX_AWS_ACCESS_KEY), ("secret_key", SANDBOX_AWS_SECRET_KEY)]
    }

    fn hosts(&self) -> &'static [&'static str] {
        &[
            "ec2.*.amazonaws.com",
            "sts.*.amazonaws.com",
            "sts.amazonaws.com",
            "ssm.*.amazonaws.com",
            "servicequotas.*.amazonaws.com",
            "ce.us-east-1.amazonaws.com",
            "api.pricing.us-east-1.amazonaws.com",
            "api.pricing.eu-central-1.amazonaws.com",
            "api.pricing.ap-south-1.amazonaws.com",
        ]
    }

    fn catalog(&self) -> &'static Catalog {
        &data::CATALOG
    }

    fn price(&self, plan: &Plan, region: &str) -> (String, String) {
        (data::hourly_in(plan, region), String::new())
    }

    fn disk_price(&self, region: &str) -> &'static str {
        data::gp3_in(region)
    }

    fn other_credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("access_key", OTHER_AWS_ACCESS_KEY), ("secret_key", OTHER_AWS_SECRET_KEY)]
    }

    fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            create: "ec2.RunInstances",
            lists: &[
                Listing { kind: MachineKind::Virtual, operation: "ec2.DescribeInstances", page: 1000, first_pages: 1 },
                Listing {
                    kind: MachineKind::BareMetal,
                    operation: "ec2.DescribeInstances",
                    page: 1000,
                    first_pages: 1,
                },
            ],
            regions: &["us-east-1"],
            is_slow: true,
        }
    }

    fn pace(&self, kind: MachineKind) -> Pace {
        match kind {
            MachineKind::Virtual => PACE,
            MachineKind::BareMetal => PACE_METAL,
        }
    }

    fn accounts(&self) -> Vec<Account> {
        vec![
            Account::new(self.provider(), "sandbox", SANDBOX_AWS_ACCESS_KEY, Some(SANDBOX_AWS_SECRET_KEY)),
            Account::new(self.provider(), "other", OTHER_AWS_ACCESS_KEY, Some(OTHER_AWS_SECRET_KEY)),
        ]
    }

    fn limits(&self) -> &'static [Limit] {
        &LIMITS
    }

    fn operation(&self, request: &Request) -> &'static str {
        let (service, name) = Service::of(request);
        let action = match service {
            Service::Json => {
                request.header("x-amz-target").and_then(|target| target.split('.').nth(1)).map(str::to_owned)
            }
            _ => pairs(request).into_iter().find(|(name, _)| name == "Action").map(|(_, action)| action),
        };
        let action = action.unwrap_or_default();
        let known = EC2_ACTIONS.iter().map(|(name, ..)| *name).chain(OTHER_ACTIONS);
        known.into_iter().find(|known| *known == format!("{name}.{action}")).unwrap_or("unknown")
    }

    fn caller(&self, request: &Request) -> Option<String> {
        Claim::read(request).map(|claim| format!("{} {}", claim.access_key, claim.region))
    }

    fn lets_in(&self, cloud: &Cloud, machine: &Machine, port: u16, now: Timestamp) -> bool {
        let groups: Vec<String> = serde_json::from_value(machine.extra["groups"].clone()).unwrap_or_default();
        network::lets_in(cloud, &groups, port, now)
    }

    fn handle(&self, request: &Request, view: &mut View<'_>) -> Response {
        let (service, _) = Service::of(request);
        let request_id = request_id(request, view);
        match self.answer(service, request, view, &request_id) {
            Ok(response) => response,
            Err(error) => service.refusal(&request_id, &error),
        }
    }

    fn error(&self, request: &Request, mishap: Mishap) -> Response {
        let (service, _) = Service::of(request);
        let error = match (mishap, service) {
            (Mishap::NoCapacity, _) => AwsError::new(
                500,
                "InsufficientInstanceCapacity",
                "We currently do not have sufficient capacity in the Availability Zone you requested. Our system will be \
                 working on provisioning additional capacity."
                    .to_owned(),
            ),
            // How long to wait is not said: EC2 sends no Retry-After.
            (Mishap::RateLimited(_), Service::Ec2) => {
                AwsError::new(503, "RequestLimitExceeded", "Request limit exceeded.".to_owned())
            }
            (Mishap::RateLimited(_), Service::Sts) => AwsError::bad("Throttling", "Rate exceeded"),
            (Mishap::RateLimited(_), Service::Json) => AwsError::bad("ThrottlingException", "Rate exceeded"),
            (Mishap::Status(status), _) => {
                let (code, message) = match status {
                    401 => ("AuthFailure", "AWS was not able to validate the provided access credentials"),
                    403 => ("UnauthorizedOperation", "You are not authorized to perform this operation."),
                    429 => ("Throttling", "Rate exceeded"),
                    400..=499 => ("InvalidRequest", "The request received was invalid."),
                    503 => ("Unavailable", "The service is unavailable. Please try again shortly."),
                    _ => ("InternalError", "An internal error has occurred"),
                };
                AwsError::new(status, code, message.to_owned())
            }
        };
        service.refusal("00000000-0000-4000-a000-000000000000", &error)
    }
}

impl Aws {
    fn answer(
        &self,
        service: Service,
        request: &Request,
        view: &mut View<'_>,
        request_id: &str,
    ) -> Result<Response, AwsError> {
        let (known, region) = authenticate(service, request, view)?;
        let (account, machine_limit) = (known.name.clone(), known.machine_limit);
        let operation = self.operation(request);
        if service == Service::Json {
            let answer = match operation {
                "ce.GetCostAndUsage" => costs::get_cost_and_usage(&account, view, request)?,
                _ => services::json(operation, &region, machine_limit, request)?,
            };
            let response = Response::text(200, "application/x-amz-json-1.1", answer.to_string());
            return Ok(response.with_header("x-amzn-requestid", request_id));
        }
        let params = Params::from_pairs(pairs(request))?;
        let action = params.required("Action")?.to_owned();
        let expected = if service == Service::Sts { "2011-06-15" } else { "2016-11-15" };
        let version = params.required("Version")?;
        let unknown = || {
            let message = format!("The action {action} is not valid for this web service.");
            AwsError::bad("InvalidAction", message)
        };
        if version != expected {
            return Err(unknown());
        }
        if operation == "sts.GetCallerIdentity" {
            if request.header("accept") == Some("application/json") {
                let body = services::caller_identity_json(&account, request_id).to_string();
                return Ok(Response::text(200, "application/json", body));
            }
            let mut xml = Xml::default();
            for (name, value) in services::caller_identity(&account) {
                xml.text(name, value);
            }
            return Ok(service.answer(&action, request_id, &xml));
        }
        let run = EC2_ACTIONS.iter().find(|(name, ..)| *name == operation).ok_or_else(unknown)?.2;
        let dry_run = params.flag("DryRun")?;
        if dry_run && operation != "ec2.RunInstances" {
            return Err(dry_run_passed());
        }
        let xml = run(&mut Call { params: &params, view, account, machine_limit, region })?;
        Ok(service.answer(&action, request_id, &xml))
    }
}

/// A dry run that would have gone well is told so by an error.
fn dry_run_passed() -> AwsError {
    AwsError::new(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.".to_owned())
}

/// The parameters of a Query call, wherever they stand.
fn pairs(request: &Request) -> Vec<(String, String)> {
    let mut pairs = request.query.clone();
    pairs.extend(request.form());
    pairs
}

/// Whose request this is and for which region.
fn authenticate<'v>(
    service: Service,
    request: &Request,
    view: &'v View<'_>,
) -> Result<(&'v Account, String), AwsError> {
    let unknown_key = || match service {
        Service::Ec2 => {
            AwsError::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials".to_owned())
        }
        Service::Sts => AwsError::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.".to_owned(),
        ),
        Service::Json => {
            AwsError::bad("UnrecognizedClientException", "The security token included in the request is invalid.")
        }
    };
    let mismatch = |message: &str| AwsError::new(403, "SignatureDoesNotMatch", message.to_owned());
    let Some(claim) = Claim::read(request) else {
        return Err(match service {
            Service::Ec2 => unknown_key(),
            _ => AwsError::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token".to_owned()),
        });
    };
    // A temporary key is an account's key under another name, and worth nothing without its token.
    let token = request.header("x-amz-security-token");
    let (key, wanted) = match claim.access_key.strip_prefix("ASIA") {
        Some(rest) => (format!("AKIA{rest}"), Some(SESSION_TOKEN)),
        None => (claim.access_key.to_owned(), None),
    };
    let account = view.account(&key).filter(|_| token == wanted).ok_or_else(unknown_key)?;
    let skew = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", claim.moment)
        .and_then(|time| time.to_datetime())
        .and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC))
        .map(|signed| signed.timestamp().duration_since(view.now()).unsigned_abs())
        .map_err(|_| mismatch("Date must be in ISO-8601 'basic format'."))?;
    if skew > SKEW {
        let code = if service == Service::Ec2 { "RequestExpired" } else { "SignatureDoesNotMatch" };
        let status = if service == Service::Ec2 { 400 } else { 403 };
        return Err(AwsError::new(status, code, "Request has expired.".to_owned()));
    }
    let host = request.base.split("://").last().unwrap_or_default();
    let scope_fits = host.strip_suffix(".amazonaws.com").is_none_or(|host| {
        host == "sts" || host.strip_prefix("api.").unwrap_or(host) == format!("{}.{}", claim.service, claim.region)
    });
    if !scope_fits {
        return Err(mismatch("Credential should be scoped to a valid region and to the service that is asked."));
    }
    if !claim.holds(request, account.secret.as_deref().unwrap_or_default()) {
        return Err(mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        ));
    }
    // The price list is kept in a few places, whatever regions an account uses.
    if claim.service != "pricing" && !data::enabled(claim.region) {
        return Err(unknown_key());
    }
    Ok((account, claim.region.to_owned()))
}

/// Reads must not mark the world as changed, so the id is made of the request and the moment.
fn request_id(request: &Request, view: &View<'_>) -> String {
    use sha2::{Digest, Sha256};
    let of = format!("{} {}", view.now(), request.header("authorization").unwrap_or_default());
    let hex = sigv4::hex(&Sha256::digest(of));
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
