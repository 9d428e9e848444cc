//! Wire to core and back, without I/O: the status table, the error table, plans. Prices are in `prices.rs`.

use capsule_core::http::{Diagnosis, Reply};
use capsule_core::{
    Addresses, Architecture, Effect, ErrorKind, Gpu, Image, Instance, InstanceId, InstanceStatus, Plan, PlanKind,
    ProviderId, Quota, Region, Retry, Tags,
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;

use super::api;
use super::query::{json_of, or_default};

/// Our name for it.
pub(super) const PROVIDER: ProviderId = ProviderId::new("aws");

/// The tag that the console shows as the name.
pub(super) const NAME: &str = "Name";

// ---- status ----

/// What the vendor's state is in our words. Codes have a high byte that means nothing to us.
const STATES: [(u32, &str, InstanceStatus); 6] = [
    (0, "pending", InstanceStatus::Provisioning),
    (16, "running", InstanceStatus::Running),
    (32, "shutting-down", InstanceStatus::Deleting),
    (48, "terminated", InstanceStatus::Deleting),
    (64, "stopping", InstanceStatus::Running),
    (80, "stopped", InstanceStatus::Stopped),
];

/// Ends that somebody wanted. A terminated server with another reason, or a stopped one with a reason of the vendor's,
/// never became or no longer is a working server.
const WANTED_ENDS: [&str; 3] = ["", "Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown"];

/// Stops by these are faults, as are all whose code begins with `Server.`.
const CLIENT_FAULTS: [&str; 2] = ["Client.InternalError", "Client.VolumeLimitExceeded"];

/// A server's state, the vendor's word for it, and what went wrong if something did.
fn status(instance: &api::Instance) -> (InstanceStatus, String, Option<String>) {
    let state = &instance.instance_state;
    let row = match state.code {
        Some(code) => STATES.iter().find(|(known, ..)| *known == code & 0xff),
        None => STATES.iter().find(|(_, name, _)| *name == state.name),
    };
    let native = if state.name.is_empty() { row.map_or("", |(_, name, _)| name) } else { &state.name }.to_owned();
    let status = row.map_or(InstanceStatus::Unknown, |(.., status)| *status);
    match fault(instance) {
        Some(fault) => (InstanceStatus::Failed, native, Some(fault)),
        None => (status, native, None),
    }
}

fn fault(instance: &api::Instance) -> Option<String> {
    let reason = instance.state_reason.as_ref()?;
    let code = reason.code.as_str();
    let faulty = match low_byte(instance) {
        Some(48) => !WANTED_ENDS.contains(&code) && !code.starts_with("Server.Spot"),
        Some(80) => code.starts_with("Server.") || CLIENT_FAULTS.contains(&code),
        _ => false,
    };
    // Messages mostly begin with the code.
    let said = reason.message.strip_prefix(code).map_or(reason.message.as_str(), |rest| rest.trim_start_matches(": "));
    faulty.then(|| if said.is_empty() { code.to_owned() } else { format!("{said} ({code})") })
}

fn low_byte(instance: &api::Instance) -> Option<u32> {
    let state = &instance.instance_state;
    state.code.map(|code| code & 0xff).or_else(|| STATES.iter().find(|row| row.1 == state.name).map(|row| row.0))
}

/// Whether it is over: the vendor shows terminated servers for about an hour.
pub(super) fn is_terminated(instance: &api::Instance) -> bool {
    low_byte(instance) == Some(48)
}

/// Whether it ended without ever having worked.
pub(super) fn is_failed_launch(instance: &api::Instance) -> bool {
    is_terminated(instance) && fault(instance).is_some()
}

// ---- servers ----

/// The server in our words.
pub(super) fn instance(region: &str, item: api::Item) -> Instance {
    let api::Item { instance: native, raw } = item;
    let (status, native_status, fault) = status(&native);
    let mut tags = tags(&native);
    let name = tags.get(NAME).filter(|name| !name.is_empty()).unwrap_or(&native.instance_id).to_owned();
    tags = tags.iter().filter(|(key, _)| *key != NAME).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let interfaces = &native.network_interface_set;
    let addresses = Addresses {
        public_v4: native.ip_address.iter().filter_map(|ip| ip.parse().ok()).collect(),
        public_v6: interfaces
            .iter()
            .flat_map(|interface| &interface.ipv6_addresses_set)
            .filter_map(|ip| ip.ipv6_address.parse().ok())
            .collect(),
        private: native.private_ip_address.iter().filter_map(|ip| ip.parse().ok()).collect(),
    };
    // The launch time moves with every start; the first interface was plugged in at birth and stays.
    let plugged = interfaces.iter().filter_map(|interface| interface.attachment.as_ref()?.attach_time.as_deref());
    let times = plugged.chain(native.launch_time.as_deref());
    Instance {
        id: InstanceId::new(PROVIDER, region, native.instance_id),
        name,
        status,
        native_status,
        fault,
        plan: native.instance_type,
        image: native.image_id,
        addresses,
        tags,
        created_at: times.filter_map(|time| time.parse::<Timestamp>().ok()).min(),
        metadata: raw,
    }
}

/// All tags of a server as the vendor shows them, [`NAME`] among them.
pub(super) fn tags(instance: &api::Instance) -> Tags {
    instance.tag_set.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

// ---- errors ----

/// One row of the error table: kind; whether asking again helps and whether it may have happened, where the status
/// table would say something else; what the user can do.
type Verdict = (ErrorKind, Option<Retry>, Option<Effect>, Option<&'static str>);

const AGAIN: Option<Retry> = Some(Retry::Backoff);
const NEVER: Option<Retry> = Some(Retry::Never);
const NOTHING_DONE: Option<Effect> = Some(Effect::None);

const CLOCK_HINT: &str = "Check this machine's clock: AWS takes no request that is more than 5 minutes off.";
const ACCOUNT_HINT: &str = "The account itself is not ready: open the AWS console and finish what it asks for.";
const QUOTA_HINT: &str =
    "Ask for more under Service Quotas in the AWS console, or delete servers that you no longer need.";
const STOCK_HINT: &str = "Try another instance type or another region, or try later.";
const COSTS_HINT: &str = "Switch Cost Explorer on in the AWS console; its first figures come a day later.";
const PROTECTED_HINT: &str = "Turn off termination or stop protection in the AWS console first.";

/// The vendor's codes. What is not here goes by the HTTP status.
fn verdict(code: &str) -> Option<Verdict> {
    use ErrorKind::*;
    Some(match code {
        "AuthFailure"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "ExpiredTokenException" => (Unauthenticated, NEVER, NOTHING_DONE, None),
        "RequestExpired" => (Unauthenticated, NEVER, NOTHING_DONE, Some(CLOCK_HINT)),
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => (Forbidden, NEVER, NOTHING_DONE, None),
        "OptInRequired" | "PendingVerification" | "Blocked" => (Forbidden, NEVER, NOTHING_DONE, Some(ACCOUNT_HINT)),
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" | "Unsupported" => {
            (NoCapacity, NEVER, NOTHING_DONE, Some(STOCK_HINT))
        }
        "VcpuLimitExceeded"
        | "InstanceLimitExceeded"
        | "AddressLimitExceeded"
        | "VolumeLimitExceeded"
        | "MaxSpotInstanceCountExceeded"
        | "SecurityGroupLimitExceeded" => (Quota, NEVER, NOTHING_DONE, Some(QUOTA_HINT)),
        "InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed" => (NotFound, NEVER, NOTHING_DONE, None),
        "IncorrectInstanceState" | "IncorrectState" | "DependencyViolation" | "VolumeInUse" | "ResourceInUse" => {
            (Conflict, AGAIN, NOTHING_DONE, None)
        }
        // These say that somebody was here before.
        "InvalidGroup.Duplicate" | "InvalidKeyPair.Duplicate" | "InvalidPermission.Duplicate" => {
            (Conflict, NEVER, NOTHING_DONE, None)
        }
        "OperationNotPermitted" => (Conflict, NEVER, NOTHING_DONE, Some(PROTECTED_HINT)),
        // The token has made a server already, only another one: whoever asks must look for it.
        "IdempotentParameterMismatch" => (Conflict, NEVER, Some(Effect::Unknown), None),
        "DryRunOperation" => (Conflict, NEVER, NOTHING_DONE, None),
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "Client.RequestLimitExceeded" => {
            (RateLimited, AGAIN, NOTHING_DONE, None)
        }
        "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable" => {
            (Unavailable, AGAIN, Some(Effect::Unknown), None)
        }
        "LimitExceededException" => (RateLimited, AGAIN, NOTHING_DONE, None),
        "DataUnavailableException" => (Unavailable, NEVER, NOTHING_DONE, Some(COSTS_HINT)),
        "ParameterNotFound" => (NotFound, NEVER, NOTHING_DONE, None),
        "VPCIdNotSpecified" | "MissingParameter" | "UnsupportedOperation" => (Invalid, NEVER, NOTHING_DONE, None),
        // InvalidAMIID.NotFound, InvalidInstanceType, InvalidParameterValue and their like.
        code if code.starts_with("Invalid") => (Invalid, NEVER, NOTHING_DONE, None),
        _ => return None,
    })
}

/// Reads an error body: EC2's XML, that of STS, or the JSON of SSM and Price List.
pub(super) fn diagnose(reply: &Reply) -> Diagnosis {
    let text = std::str::from_utf8(&reply.body).unwrap_or_default();
    let said = said(text);
    let (kind, retry, effect, hint) = match verdict(&said.code) {
        Some((kind, retry, effect, hint)) => (Some(kind), retry, effect, hint),
        None => (None, None, None, None),
    };
    Diagnosis {
        kind,
        // Messages about rights carry a long encoded part that nobody can read.
        message: Some(
            said.message.split(" Encoded authorization failure message").next().unwrap_or_default().to_owned(),
        )
        .filter(|message| !message.is_empty()),
        code: Some(said.code).filter(|code| !code.is_empty()),
        hint: hint.map(str::to_owned),
        request_id: said.request_id,
        effect,
        retry,
    }
}

#[derive(Debug, Default, PartialEq)]
struct Said {
    code: String,
    message: String,
    request_id: Option<String>,
}

fn said(body: &str) -> Said {
    #[derive(Deserialize)]
    struct Xml {
        #[serde(rename = "Errors", default, deserialize_with = "or_default")]
        errors: Vec<Fault>,
        #[serde(rename = "Error")]
        error: Option<Fault>,
        #[serde(rename = "RequestID", alias = "RequestId")]
        request_id: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fault {
        #[serde(default, deserialize_with = "or_default")]
        code: String,
        #[serde(default, deserialize_with = "or_default")]
        message: String,
    }
    #[derive(Deserialize)]
    struct Json {
        #[serde(rename = "__type")]
        kind: String,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    if let Ok(json) = serde_json::from_str::<Json>(body) {
        // The type may stand behind a namespace and a hash.
        let code = json.kind.rsplit('#').next().unwrap_or_default().to_owned();
        return Said { code, message: json.message.unwrap_or_default(), request_id: None };
    }
    let xml = json_of(body).ok().and_then(|json| serde_json::from_str::<Xml>(&json).ok());
    xml.and_then(|xml| {
        let fault = xml.errors.into_iter().next().or(xml.error)?;
        Some(Said { code: fault.code, message: fault.message, request_id: xml.request_id })
    })
    .unwrap_or_default()
}

// ---- catalogue ----

/// The account's limit in our words; `None` for a number that is no count.
pub(super) fn vcpu_quota(region: &str, limit: Decimal) -> Option<Quota> {
    let name = format!("standard on-demand vCPUs in {region}");
    limit.trunc().to_u64().map(|limit| Quota { name, limit, used: None })
}

/// Regions by code: name and country. Others show their code: <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html>.
const REGIONS: [(&str, &str, &str); 34] = [
    ("af-south-1", "Cape Town", "ZA"),
    ("ap-east-1", "Hong Kong", "HK"),
    ("ap-east-2", "Taipei", "TW"),
    ("ap-northeast-1", "Tokyo", "JP"),
    ("ap-northeast-2", "Seoul", "KR"),
    ("ap-northeast-3", "Osaka", "JP"),
    ("ap-south-1", "Mumbai", "IN"),
    ("ap-south-2", "Hyderabad", "IN"),
    ("ap-southeast-1", "Singapore", "SG"),
    ("ap-southeast-2", "Sydney", "AU"),
    ("ap-southeast-3", "Jakarta", "ID"),
    ("ap-southeast-4", "Melbourne", "AU"),
    ("ap-southeast-5", "Malaysia", "MY"),
    ("ap-southeast-6", "New Zealand", "NZ"),
    ("ap-southeast-7", "Thailand", "TH"),
    ("ca-central-1", "Canada Central", "CA"),
    ("ca-west-1", "Calgary", "CA"),
    ("eu-central-1", "Frankfurt", "DE"),
    ("eu-central-2", "Zurich", "CH"),
    ("eu-north-1", "Stockholm", "SE"),
    ("eu-south-1", "Milan", "IT"),
    ("eu-south-2", "Spain", "ES"),
    ("eu-west-1", "Ireland", "IE"),
    ("eu-west-2", "London", "GB"),
    ("eu-west-3", "Paris", "FR"),
    ("il-central-1", "Tel Aviv", "IL"),
    ("me-central-1", "UAE", "AE"),
    ("me-south-1", "Bahrain", "BH"),
    ("mx-central-1", "Mexico", "MX"),
    ("sa-east-1", "São Paulo", "BR"),
    ("us-east-1", "N. Virginia", "US"),
    ("us-east-2", "Ohio", "US"),
    ("us-west-1", "N. California", "US"),
    ("us-west-2", "Oregon", "US"),
];

/// The region in our words.
pub(super) fn region(id: &str) -> Region {
    let known = REGIONS.iter().find(|(code, ..)| *code == id);
    Region {
        id: id.to_owned(),
        name: known.map_or(id, |(_, name, _)| name).to_owned(),
        country: known.map(|(.., country)| (*country).to_owned()),
        available: true,
    }
}

/// Whether a word has the form of a region's code: `eu-west-3`, `us-gov-west-1`. No other vendor's code has, and new regions
/// need not be known here.
pub(super) fn is_region(word: &str) -> bool {
    const SIDES: [&str; 9] =
        ["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];
    let parts: Vec<&str> = word.split('-').collect();
    let [area, .., side, number] = parts[..] else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() > 2 && area.bytes().all(|byte| byte.is_ascii_lowercase()) && SIDES.contains(&side) && is_number
}

/// The instruction set that servers of this type are made with; `None` for those that run no Linux of ours.
pub(super) fn architecture(native: &api::InstanceType) -> Option<Architecture> {
    let has = |name: &str| native.processor_info.supported_architectures.iter().any(|word| word == name);
    if has("arm64") { Some(Architecture::Arm64) } else { has("x86_64").then_some(Architecture::X86_64) }
}

/// The vendor's word for an instruction set, in image names and in filters.
pub(super) fn architecture_words(architecture: Architecture) -> (&'static str, &'static str) {
    match architecture {
        Architecture::X86_64 => ("amd64", "x86_64"),
        Architecture::Arm64 => ("arm64", "arm64"),
    }
}

/// The plan in our words; `None` for what Capsule cannot rent: no known architecture, or no size.
pub(super) fn plan(native: &api::InstanceType) -> Option<Plan> {
    let gpus = &native.gpu_info.gpus;
    Some(Plan {
        id: native.instance_type.clone(),
        name: native.instance_type.clone(),
        kind: if native.bare_metal == Some(true) { PlanKind::BareMetal } else { PlanKind::Virtual },
        architecture: architecture(native)?,
        vcpus: native.v_cpu_info.default_v_cpus?,
        memory_mib: native.memory_info.size_in_mib?,
        // Local disks come on top; the root disk is always bought apart.
        disk_gib: native.instance_storage_info.total_size_in_gb.unwrap_or(0),
        disk_elastic: true,
        transfer_gib: None,
        gpu: gpus.first().map(|first| Gpu {
            model: format!("{} {}", first.manufacturer, first.name).trim().to_owned(),
            count: gpus.iter().filter_map(|gpu| gpu.count).sum(),
        }),
    })
}

/// An operating system and how its images are found.
#[derive(Debug)]
pub(super) struct System {
    /// Our name for it, and the image id in our catalogue.
    pub os: &'static str,
    pub name: &'static str,
    /// The vendor of the images: the only account whose images of that name are believed.
    pub owner: &'static str,
    /// The name of the SSM parameter; `{arch}` is `amd64` or `arm64`. All of them are (?) in our notes, which is why
    /// a missing parameter leads to a search by name.
    pub parameter: &'static str,
    /// The image's name for a search.
    pub pattern: &'static str,
}

/// The systems that can be ordered by name.
pub(super) const SYSTEMS: [System; 3] = [
    System {
        os: "ubuntu-24.04",
        name: "Ubuntu 24.04 LTS",
        owner: "099720109477",
        parameter: "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id",
        pattern: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-*",
    },
    System {
        os: "ubuntu-22.04",
        name: "Ubuntu 22.04 LTS",
        owner: "099720109477",
        parameter: "/aws/service/canonical/ubuntu/server/22.04/stable/current/{arch}/hvm/ebs-gp2/ami-id",
        pattern: "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server-*",
    },
    System {
        os: "debian-12",
        name: "Debian 12",
        owner: "136693071363",
        parameter: "/aws/service/debian/release/12/latest/{arch}",
        pattern: "debian-12-{arch}-*",
    },
];

/// The images that can be ordered by name: the build that fits region and instance type is picked at create.
pub(super) fn images() -> Vec<Image> {
    let image = |system: &System| Image {
        id: system.os.to_owned(),
        name: system.name.to_owned(),
        os: Some(system.os.to_owned()),
        architecture: None,
        kind: None,
        regions: Vec::new(),
        cloud_init: true,
    };
    SYSTEMS.iter().map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(code: u32, name: &str, reason: &str) -> api::Instance {
        let json = serde_json::json!({
            "instanceId": "i-1", "instanceState": { "code": code.to_string(), "name": name },
            "stateReason": { "code": reason, "message": format!("{reason}: it says") },
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_state_has_a_word() {
        use InstanceStatus::*;
        let cases = [
            (0, "pending", "pending", Provisioning),
            (16, "running", "", Running),
            (272, "running", "", Running),
            (32, "shutting-down", "Client.UserInitiatedShutdown", Deleting),
            (48, "terminated", "Client.UserInitiatedShutdown", Deleting),
            (48, "terminated", "Client.InstanceInitiatedShutdown", Deleting),
            (48, "terminated", "Server.SpotInstanceTermination", Deleting),
            (48, "terminated", "Server.InsufficientInstanceCapacity", Failed),
            (48, "terminated", "Client.VolumeLimitExceeded", Failed),
            (48, "terminated", "Client.InvalidSnapshot.NotFound", Failed),
            (64, "stopping", "Client.UserInitiatedShutdown", Running),
            (80, "stopped", "Client.UserInitiatedShutdown", Stopped),
            (80, "stopped", "Server.InternalError", Failed),
            (80, "stopped", "Client.InternalError", Failed),
            (80, "stopped", "Client.VolumeLimitExceeded", Failed),
            (96, "hibernating", "", Unknown),
        ];
        for (code, name, reason, expected) in cases {
            let (status, word, fault) = status(&native(code, name, reason));
            assert_eq!((status, word.as_str()), (expected, name), "{code} {reason}");
            assert_eq!(fault.is_some(), expected == Failed, "{code} {reason}");
            if let Some(fault) = fault {
                assert_eq!(fault, format!("it says ({reason})"));
            }
        }
    }

    #[test]
    fn every_code_has_a_class() {
        use ErrorKind::*;
        let classes: [(&[&str], ErrorKind); 9] = [
            (
                &["AuthFailure", "SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken", "RequestExpired"],
                Unauthenticated,
            ),
            (&["UnauthorizedOperation", "OptInRequired", "PendingVerification", "Blocked"], Forbidden),
            (&["InsufficientInstanceCapacity", "InsufficientHostCapacity", "Unsupported"], NoCapacity),
            (
                &[
                    "VcpuLimitExceeded",
                    "InstanceLimitExceeded",
                    "AddressLimitExceeded",
                    "VolumeLimitExceeded",
                    "MaxSpotInstanceCountExceeded",
                ],
                Quota,
            ),
            (
                &[
                    "InvalidAMIID.NotFound",
                    "InvalidAMIID.Malformed",
                    "InvalidAMIID.Unavailable",
                    "InvalidKeyPair.NotFound",
                    "InvalidSubnetID.NotFound",
                    "InvalidGroup.NotFound",
                    "InvalidInstanceType",
                    "InvalidParameterValue",
                    "InvalidParameterCombination",
                    "MissingParameter",
                    "InvalidUserData.Malformed",
                    "VPCIdNotSpecified",
                ],
                Invalid,
            ),
            (&["InvalidInstanceID.NotFound"], NotFound),
            (
                &[
                    "IncorrectInstanceState",
                    "IncorrectState",
                    "DependencyViolation",
                    "VolumeInUse",
                    "ResourceInUse",
                    "OperationNotPermitted",
                    "IdempotentParameterMismatch",
                    "DryRunOperation",
                ],
                Conflict,
            ),
            (&["RequestLimitExceeded", "Throttling", "Client.RequestLimitExceeded"], RateLimited),
            (&["InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable"], Unavailable),
        ];
        for (codes, kind) in classes {
            for code in codes {
                let row = verdict(code).unwrap_or_else(|| panic!("{code} is in the contract"));
                assert_eq!(row.0, kind, "{code}");
                // Only these leave it open whether a server was made.
                let open = kind == Unavailable || *code == "IdempotentParameterMismatch";
                assert_eq!(row.2 == Some(Effect::Unknown), open, "{code}");
            }
        }
        assert!(verdict("SomethingNew").is_none());
    }

    #[test]
    fn every_envelope_is_opened() {
        let cases = [
            (
                include_str!("samples/error_ec2.xml"),
                "InvalidInstanceID.NotFound",
                Some("ea966190-f9aa-478e-9ede-example"),
            ),
            (include_str!("samples/error_sts.xml"), "InvalidClientTokenId", Some("b25f48e8-84fd-11e6-80d9-example")),
            (include_str!("samples/error_ssm.json"), "ParameterNotFound", None),
        ];
        for (body, code, request_id) in cases {
            let said = said(body);
            assert_eq!((said.code.as_str(), said.request_id.as_deref()), (code, request_id));
            assert!(!said.message.is_empty());
        }
        for body in ["", "<html><body>Bad gateway</body></html>", "{}", "<Response><Errors/></Response>"] {
            assert_eq!(said(body), Said::default(), "{body}");
        }
    }

    #[test]
    fn plans_are_read() {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Types {
            instance_type_set: Vec<api::InstanceType>,
        }
        let json = json_of(include_str!("samples/describe_instance_types.xml")).unwrap();
        let types: Types = serde_json::from_str(&json).unwrap();
        let plans: Vec<_> = types.instance_type_set.iter().map(plan).collect();
        let micro = plans[0].as_ref().unwrap();
        assert_eq!((micro.id.as_str(), micro.vcpus, micro.memory_mib, micro.disk_gib), ("t3.micro", 2, 1024, 0));
        assert_eq!((micro.kind, micro.architecture), (PlanKind::Virtual, Architecture::X86_64));
        let metal = plans[1].as_ref().unwrap();
        assert_eq!((metal.kind, metal.disk_gib), (PlanKind::BareMetal, 1800));
        assert_eq!(metal.gpu, Some(Gpu { model: "NVIDIA T4".to_owned(), count: 8 }));
        assert_eq!(plans[2].as_ref().unwrap().architecture, Architecture::Arm64);
        assert_eq!(plans[3], None, "a Mac is no server of ours");
    }
}
