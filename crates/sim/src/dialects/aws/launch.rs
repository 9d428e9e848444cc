//! RunInstances.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::data::{self, Ami};
use super::error::AwsError;
use super::instances::{reservation_body, reservations};
use super::query::Params;
use super::xml::Xml;
use super::{dry_run_passed, keys, network, tags, volumes};
use crate::catalog::Plan;
use crate::machine::{Machine, later};
use crate::world::{Draft, Resource};

/// What only EC2 knows of a server: [`Machine::extra`](crate::Machine::extra).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) reservation: String,
    /// Its place in the order.
    pub(super) index: u32,
    pub(super) client_token: String,
    pub(super) zone: String,
    pub(super) groups: Vec<String>,
    pub(super) key_name: Option<String>,
    /// Device names and volume ids, the root disk first.
    pub(super) volumes: Vec<(String, String)>,
    pub(super) root_device: String,
    pub(super) http_tokens: String,
    pub(super) hop_limit: i64,
    /// Whether only another call can make it terminable.
    pub(super) protected: bool,
    pub(super) public_ip: bool,
    /// When it was last started.
    pub(super) launched_at: Timestamp,
    /// Why it is not running, for people.
    pub(super) reason: String,
}

/// The kind of resource that remembers a client token: what was asked with it, and what came of it.
const CLIENT_TOKEN: &str = "client-token";

#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    fingerprint: String,
    instances: Vec<String>,
}

/// A disk to be made with an instance.
struct Disk {
    device: String,
    size_gib: i64,
    kind: String,
    dies_with_instance: bool,
    encrypted: bool,
}

/// An order that was found to be in order.
struct Order {
    plan: &'static Plan,
    ami: Ami,
    count: u32,
    zone: String,
    groups: Vec<String>,
    key_name: Option<String>,
    user_data: Option<String>,
    disks: Vec<Disk>,
    instance_tags: BTreeMap<String, String>,
    volume_tags: BTreeMap<String, String>,
    http_tokens: String,
    hop_limit: i64,
    protected: bool,
    public_ip: bool,
}

/// Makes instances, or answers with those that the same client token made before.
pub(super) fn run(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let token = client_token(call.params)?;
    let remembered_as = format!("{} {} {token}", call.account, call.region);
    let fingerprint = call.params.fingerprint(&["ClientToken"]);
    if !token.is_empty()
        && let Some(known) = call.view.resource(&call.account, CLIENT_TOKEN, &remembered_as)
    {
        return repeat(call, known, &fingerprint);
    }
    let order = check(call)?;
    if call.params.flag("DryRun")? {
        return Err(dry_run_passed());
    }
    let instances = make(call, &order, &token);
    if !token.is_empty() {
        let data = json!(Remembered { fingerprint, instances: instances.clone() });
        let resource = Resource::new(&call.account, remembered_as, "", call.now(), data);
        call.view.put_resource(CLIENT_TOKEN, resource);
    }
    Ok(answer(call, &instances))
}

fn client_token(params: &Params) -> Result<String, AwsError> {
    let token = params.text("ClientToken").unwrap_or_default();
    if token.len() > 64 || !token.is_ascii() {
        return Err(AwsError::invalid("Invalid value for clientToken: at most 64 ASCII characters are allowed."));
    }
    Ok(token.to_owned())
}

fn repeat(call: &Call<'_, '_>, known: &Resource, fingerprint: &str) -> Result<Xml, AwsError> {
    let known: Option<Remembered> = serde_json::from_value(known.data.clone()).ok();
    match known {
        Some(known) if known.fingerprint == fingerprint => Ok(answer(call, &known.instances)),
        _ => Err(AwsError::bad(
            "IdempotentParameterMismatch",
            "The client token you have provided has already been used with different request parameters. Please try again \
             with a different token.",
        )),
    }
}

/// The reservation, whatever lag lists have: who made an instance is told about it.
fn answer(call: &Call<'_, '_>, ids: &[String]) -> Xml {
    let made: Vec<_> = ids.iter().filter_map(|id| call.view.machine_born(id)).collect();
    let mut xml = Xml::default();
    for reservation in reservations(&made) {
        reservation_body(&mut xml, call, &reservation);
    }
    xml
}

fn check(call: &Call<'_, '_>) -> Result<Order, AwsError> {
    let params = call.params;
    let ami = find_image(call, params.required("ImageId")?)?;
    let plan = find_type(call, params.text("InstanceType").unwrap_or("m1.small"), &ami)?;
    let count = count(call, params)?;
    let zone = find_zone(call, params, plan)?;
    let key_name = params.text("KeyName").map(str::to_owned);
    if let Some(name) = &key_name {
        keys::find(call, name)?;
    }
    let interface = params.members("NetworkInterface").into_iter().next();
    let groups = network::find_groups(call, params, interface)?;
    let public_ip = interface.map_or(Ok(true), |interface| match interface.text("AssociatePublicIpAddress") {
        None => Ok(true),
        Some(_) => interface.flag("AssociatePublicIpAddress"),
    })?;
    let hop_limit = params.number("MetadataOptions.HttpPutResponseHopLimit")?.unwrap_or(2);
    if !(1..=64).contains(&hop_limit) {
        return Err(AwsError::invalid("Invalid value for HttpPutResponseHopLimit. Must be between 1 and 64."));
    }
    let one_of = |path: &str, words: &[&str]| match params.text(path) {
        Some(word) if !words.contains(&word) => {
            Err(AwsError::invalid(format!("Invalid value '{word}' for {path}. Valid values are {}.", words.join(", "))))
        }
        word => Ok(word.unwrap_or(words[0]).to_owned()),
    };
    one_of("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?;
    one_of("MetadataOptions.HttpEndpoint", &["enabled", "disabled"])?;
    Ok(Order {
        disks: disks(params, &ami)?,
        user_data: user_data(params)?,
        instance_tags: tags::at_birth(params, "instance")?,
        volume_tags: tags::at_birth(params, "volume")?,
        http_tokens: one_of("MetadataOptions.HttpTokens", &["optional", "required"])?,
        protected: params.flag("DisableApiTermination")?,
        plan,
        ami,
        count,
        zone,
        groups,
        key_name,
        hop_limit,
        public_ip,
    })
}

fn find_image(call: &Call<'_, '_>, id: &str) -> Result<Ami, AwsError> {
    if let Some(name) = id.strip_prefix("resolve:ssm:") {
        return data::ami_of_parameter(&call.region, name)
            .ok_or_else(|| AwsError::invalid(format!("Parameter '{name}' could not be resolved to an image.")));
    }
    if !id.starts_with("ami-") {
        return Err(AwsError::bad("InvalidAMIID.Malformed", format!("Invalid id: \"{id}\" (expecting \"ami-...\")")));
    }
    data::amis(&call.region)
        .into_iter()
        .find(|ami| ami.id == id)
        .ok_or_else(|| AwsError::bad("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist")))
}

fn find_type(call: &Call<'_, '_>, name: &str, ami: &Ami) -> Result<&'static Plan, AwsError> {
    let plan = data::CATALOG
        .plan(name)
        .ok_or_else(|| AwsError::invalid(format!("Invalid value '{name}' for InstanceType.")))?;
    if !plan.sold_in(&call.region) {
        return Err(AwsError::bad(
            "Unsupported",
            "The requested configuration is currently not supported. Please check the documentation for supported \
             configurations.",
        ));
    }
    let architecture = data::architecture(name);
    if architecture != ami.of.arch {
        return Err(AwsError::invalid(format!(
            "The architecture '{architecture}' of the specified instance type does not match the architecture '{}' of the \
             specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.",
            ami.of.arch
        )));
    }
    Ok(plan)
}

/// How many are made: as many as the quota leaves, between the two counts.
fn count(call: &Call<'_, '_>, params: &Params) -> Result<u32, AwsError> {
    let read = |name| params.number(name)?.ok_or_else(|| AwsError::missing(name));
    let (min, max) = (read("MinCount")?, read("MaxCount")?);
    if min < 1 || max < min {
        return Err(AwsError::invalid(format!(
            "Invalid value '{max}' for maxCount. Must be 1 or more, and not less than minCount '{min}'."
        )));
    }
    let now = call.now();
    let here = |machine: &&Machine| machine.region == call.region && machine.lives_at(now);
    let living = call.view.machines(&call.account).filter(here).count();
    let limit = call.machine_limit;
    let left = i64::from(limit) - i64::try_from(living).unwrap_or(i64::MAX);
    let granted = max.min(left);
    if granted < min {
        return Err(AwsError::bad(
            "VcpuLimitExceeded",
            format!(
                "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance \
                 bucket that the specified instance type belongs to. Please visit \
                 http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
            ),
        ));
    }
    u32::try_from(granted).map_err(|_| AwsError::invalid(format!("Invalid value '{max}' for maxCount.")))
}

fn find_zone(call: &Call<'_, '_>, params: &Params, plan: &Plan) -> Result<String, AwsError> {
    let interface = params.members("NetworkInterface").into_iter().next();
    let subnet = params.text("SubnetId").or_else(|| interface?.text("SubnetId"));
    let zones = data::zones(&call.region);
    let wanted = match (subnet, params.text("Placement.AvailabilityZone")) {
        (Some(subnet), zone) => {
            let found = zones.iter().find(|zone| call.subnet(&zone.name) == subnet).ok_or_else(|| {
                AwsError::bad("InvalidSubnetID.NotFound", format!("The subnet ID '{subnet}' does not exist"))
            })?;
            if zone.is_some_and(|zone| zone != found.name) {
                return Err(AwsError::invalid("The specified subnet is not in the specified Availability Zone."));
            }
            Some(found)
        }
        (None, Some(name)) => Some(
            zones
                .iter()
                .find(|zone| zone.name == name)
                .ok_or_else(|| AwsError::invalid(format!("Invalid availability zone: [{name}]")))?,
        ),
        (None, None) => None,
    };
    let offered = data::offered_in(plan, &call.region);
    match wanted {
        Some(zone) if offered.contains(zone) => Ok(zone.name.clone()),
        None if !offered.is_empty() => Ok(offered[0].name.clone()),
        _ => {
            let others: Vec<&str> = offered.iter().map(|zone| zone.name.as_str()).collect();
            Err(AwsError::bad(
                "Unsupported",
                format!(
                    "Your requested instance type ({}) is not supported in your requested Availability Zone ({}). Please \
                     retry your request by not specifying an Availability Zone or choosing {}.",
                    plan.id,
                    wanted.map_or("", |zone| &zone.name),
                    others.join(", ")
                ),
            ))
        }
    }
}

fn user_data(params: &Params) -> Result<Option<String>, AwsError> {
    const MAX: usize = 16 * 1024;
    let Some(encoded) = params.text("UserData") else { return Ok(None) };
    // Line breaks are what `base64` writes without being asked.
    let encoded: String = encoded.split_ascii_whitespace().collect();
    let bytes = BASE64
        .decode(encoded)
        .map_err(|_| AwsError::bad("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."))?;
    if bytes.len() > MAX {
        return Err(AwsError::invalid("User data is limited to 16384 bytes"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The root disk, changed as the order says, and the others.
fn disks(params: &Params, ami: &Ami) -> Result<Vec<Disk>, AwsError> {
    let smallest = i64::try_from(ami.of.min_disk_gib).unwrap_or(i64::MAX);
    let mut disks = vec![Disk {
        device: ami.root_device().to_owned(),
        size_gib: smallest,
        kind: "gp3".to_owned(),
        dies_with_instance: true,
        encrypted: false,
    }];
    for mapping in params.members("BlockDeviceMapping") {
        let device = mapping.required("DeviceName").map_err(|_| AwsError::missing("BlockDeviceMapping.DeviceName"))?;
        let is_root = device == ami.root_device();
        let bad = |message: String| Err(AwsError::bad("InvalidBlockDeviceMapping", message));
        let size_gib = match mapping.number("Ebs.VolumeSize")? {
            Some(size) if !(1..=16_384).contains(&size) => return bad(format!("Volume size {size} is not valid.")),
            Some(size) if is_root && size < smallest => {
                return bad(format!("Volume of size {size}GB is smaller than snapshot, expect size >= {smallest}GB"));
            }
            Some(size) => size,
            None if is_root => smallest,
            None => return bad(format!("The device '{device}' has neither a size nor a snapshot.")),
        };
        let kind = mapping.text("Ebs.VolumeType").unwrap_or("gp3");
        if !["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"].contains(&kind) {
            return Err(AwsError::invalid(format!("Invalid value '{kind}' for VolumeType.")));
        }
        // AWS documents both defaults for disks beside the root. Here they stay, which is what leaves a bill behind.
        let dies_with_instance = match mapping.text("Ebs.DeleteOnTermination") {
            None => is_root,
            Some(_) => mapping.flag("Ebs.DeleteOnTermination")?,
        };
        let encrypted = mapping.flag("Ebs.Encrypted")?;
        let disk = Disk { device: device.to_owned(), size_gib, kind: kind.to_owned(), dies_with_instance, encrypted };
        match disks.iter_mut().find(|disk| disk.device == device) {
            Some(root) if is_root => *root = disk,
            Some(_) => return bad(format!("Duplicate device name '{device}' in the block device mapping.")),
            None => disks.push(disk),
        }
    }
    Ok(disks)
}

/// Makes every instance of an order; the ids.
fn make(call: &mut Call<'_, '_>, order: &Order, token: &str) -> Vec<String> {
    let reservation = call.fresh_id("r");
    let zone_number = data::zones(&call.region).iter().position(|zone| zone.name == order.zone).unwrap_or(0);
    let now = call.now();
    let mut ids = Vec::new();
    for index in 0..order.count {
        let id = call.fresh_id("i");
        let disks: Vec<(String, String)> =
            order.disks.iter().map(|disk| (disk.device.clone(), call.fresh_id("vol"))).collect();
        let launch = Launch {
            reservation: reservation.clone(),
            index,
            client_token: token.to_owned(),
            zone: order.zone.clone(),
            groups: order.groups.clone(),
            key_name: order.key_name.clone(),
            volumes: disks.clone(),
            root_device: order.ami.root_device().to_owned(),
            http_tokens: order.http_tokens.clone(),
            hop_limit: order.hop_limit,
            protected: order.protected,
            public_ip: order.public_ip,
            launched_at: now,
            reason: String::new(),
        };
        let draft = Draft {
            id: id.clone(),
            name: order.instance_tags.get("Name").cloned().unwrap_or_default(),
            plan: order.plan.id.to_owned(),
            region: call.region.clone(),
            image: order.ami.id.clone(),
            kind: order.plan.kind,
            tags: order.instance_tags.clone(),
            user_data: order.user_data.clone(),
            ssh_keys: order.key_name.iter().cloned().collect(),
            extra: json!(launch),
        };
        let account = call.account.clone();
        let born = call.view.create(&account, draft);
        // Where the launch will fail, the disks go with it.
        let (fails_at, host) = (born.gone_at(), born.private_ipv4.octets());
        if let Some(machine) = call.view.machine_mut(&account, &id) {
            // Four more bits for the zone make it an address of the zone's default subnet.
            let third = u8::try_from(zone_number * 16).unwrap_or(0) + host[2] % 16;
            machine.private_ipv4 = Ipv4Addr::new(172, 31, third, host[3].clamp(4, 254));
        }
        for (disk, (_, volume)) in order.disks.iter().zip(disks) {
            let data = json!(volumes::Volume {
                size_gib: disk.size_gib,
                kind: disk.kind.clone(),
                zone: order.zone.clone(),
                instance: Some(id.clone()),
                device: disk.device.clone(),
                dies_with_instance: disk.dies_with_instance,
                encrypted: disk.encrypted,
                attached_at: later(now, call.scaled_ms(1000)),
            });
            let mut resource = Resource::new(&account, volume, "", now, data);
            resource.region = Some(call.region.clone());
            resource.billed = true;
            resource.tags = order.volume_tags.clone();
            resource.gone_at = fails_at;
            call.view.put_resource(volumes::VOLUME, resource);
        }
        ids.push(id);
    }
    ids
}
