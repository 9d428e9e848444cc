//! Instances once they are there: looking at them, their power, their end.

use jiff::Timestamp;
use serde_json::json;

use super::call::{Call, moment, page};
use super::error::AwsError;
use super::filter::Filters;
use super::launch::Launch;
use super::xml::Xml;
use super::{data, network, tags, volumes};
use crate::machine::{Change, Machine, State, later};

/// Terminated instances stay on the list for about so long.
const TOMBSTONE_MS: u64 = 3_600_000;
/// Status checks pass so long after the start.
const CHECKS_MS: u64 = 120_000;

/// The vendor's number and word for a state.
type Word = (u16, &'static str);

fn state(machine: &Machine, now: Timestamp) -> Word {
    match machine.status_at(now) {
        State::Queued | State::Building | State::Booting | State::Starting => (0, "pending"),
        // A reboot does not show.
        State::Running | State::Rebooting => (16, "running"),
        State::Deleting => (32, "shutting-down"),
        State::Gone | State::Failed => (48, "terminated"),
        State::Stopping => (64, "stopping"),
        State::Stopped => (80, "stopped"),
    }
}

fn launch_of(machine: &Machine) -> Result<Launch, AwsError> {
    // The world's file can be edited by hand.
    serde_json::from_value(machine.extra.clone()).map_err(|error| {
        AwsError::new(500, "InternalError", format!("The instance {} is not one of EC2's: {error}", machine.id))
    })
}

/// Whether the API still knows of it.
fn known(call: &Call<'_, '_>, machine: &Machine) -> bool {
    let forgotten = machine.gone_at().map(|gone| later(gone, call.scaled_ms(TOMBSTONE_MS)));
    machine.region == call.region && forgotten.is_none_or(|forgotten| call.now() < forgotten)
}

/// The instances named by `InstanceId.N`: all of them, or an error that names what is missing.
fn named<'c>(call: &'c Call<'_, '_>) -> Result<Vec<&'c Machine>, AwsError> {
    let ids = call.params.texts("InstanceId");
    if let Some(bad) = ids.iter().find(|id| !id.starts_with("i-") || !id[2..].bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(AwsError::bad(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{bad}\" (expecting \"i-...\")"),
        ));
    }
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for id in ids {
        match call.view.machine(&call.account, id).filter(|machine| known(call, machine)) {
            Some(machine) => found.push(machine),
            None => missing.push(id),
        }
    }
    match missing.as_slice() {
        [] => Ok(found),
        [one] => Err(not_found(format!("The instance ID '{one}' does not exist"))),
        many => Err(not_found(format!("The instance IDs '{}' do not exist", many.join(", ")))),
    }
}

fn not_found(message: String) -> AwsError {
    AwsError::bad("InvalidInstanceID.NotFound", message)
}

const FILTERS: [&str; 12] = [
    "instance-id",
    "instance.group-id",
    "instance-state-name",
    "instance-state-code",
    "instance-type",
    "image-id",
    "availability-zone",
    "client-token",
    "key-name",
    "reservation-id",
    "tag-key",
    "ip-address",
];

fn values(machine: &Machine, now: Timestamp, filter: &str) -> Vec<String> {
    let extra = |key: &str| machine.extra[key].as_str().map(str::to_owned).into_iter().collect();
    match filter {
        "instance-id" => vec![machine.id.clone()],
        // A terminated instance is behind none any more.
        "instance.group-id" if machine.status_at(now) == State::Gone => Vec::new(),
        "instance.group-id" => launch_of(machine).map(|launch| launch.groups).unwrap_or_default(),
        "instance-state-name" => vec![state(machine, now).1.to_owned()],
        "instance-state-code" => vec![state(machine, now).0.to_string()],
        "instance-type" => vec![machine.plan.clone()],
        "image-id" => vec![machine.image.clone()],
        "availability-zone" => extra("zone"),
        "client-token" => extra("client_token"),
        "key-name" => extra("key_name"),
        "reservation-id" => extra("reservation"),
        "ip-address" => public_ip(machine, now).into_iter().collect(),
        _ => tags::values(&machine.tags, filter),
    }
}

/// DescribeInstances.
pub(super) fn describe(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let call = &*call;
    let now = call.now();
    let filters = Filters::read(call.params, &FILTERS)?;
    let passes = |machine: &&Machine| known(call, machine) && filters.pass(|name| values(machine, now, name));
    let page = if call.params.at("InstanceId").is_some() {
        if call.params.text("MaxResults").is_some() {
            return Err(AwsError::combination(
                "The parameter instancesSet cannot be used with the parameter maxResults",
            ));
        }
        page(call.params, 5..=1000, named(call)?, passes)?
    } else {
        page(call.params, 5..=1000, call.view.machines(&call.account), passes)?
    };
    let reservations = reservations(&page.items);
    let mut xml = Xml::default();
    xml.set("reservationSet", &reservations, |xml, reservation| reservation_body(xml, call, reservation));
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// Instances of one order, one beside the other.
pub(super) fn reservations<'m>(machines: &[&'m Machine]) -> Vec<Vec<&'m Machine>> {
    let same = |a: &&Machine, b: &&Machine| a.extra["reservation"] == b.extra["reservation"];
    machines.chunk_by(same).map(<[_]>::to_vec).collect()
}

/// What stands in a reservation, which is also the whole answer of RunInstances.
pub(super) fn reservation_body(xml: &mut Xml, call: &Call<'_, '_>, machines: &[&Machine]) {
    let reservation = machines.first().and_then(|machine| machine.extra["reservation"].as_str()).unwrap_or_default();
    xml.text("reservationId", reservation).text("ownerId", call.owner()).set("groupSet", [(); 0], |_, ()| {});
    xml.set("instancesSet", machines, |xml, machine| {
        if let Ok(launch) = launch_of(machine) {
            instance(xml, call, machine, &launch);
        }
    });
}

/// The public address, which only a running instance has.
fn public_ip(machine: &Machine, now: Timestamp) -> Option<String> {
    let has = matches!(machine.status_at(now), State::Running | State::Rebooting)
        && machine.extra["public_ip"].as_bool().unwrap_or(false);
    has.then(|| machine.ipv4.to_string())
}

fn dashed(address: impl std::fmt::Display) -> String {
    address.to_string().replace('.', "-")
}

fn instance(xml: &mut Xml, call: &Call<'_, '_>, machine: &Machine, launch: &Launch) {
    let now = call.now();
    let (code, word) = state(machine, now);
    let here = code != 48;
    let public = public_ip(machine, now);
    let region = &call.region;
    let private_dns = format!("ip-{}.{region}.compute.internal", dashed(machine.private_ipv4));
    let public_dns = public.as_ref().map(|ip| format!("ec2-{}.{region}.compute.amazonaws.com", dashed(ip)));
    xml.text("instanceId", &machine.id).text("imageId", &machine.image);
    xml.within("instanceState", |xml| {
        xml.text("code", code).text("name", word);
    });
    xml.text("privateDnsName", if here { private_dns.as_str() } else { "" });
    xml.text("dnsName", public_dns.as_deref().unwrap_or_default());
    xml.text("reason", reason(machine, launch, now));
    xml.maybe("keyName", launch.key_name.as_ref());
    xml.text("amiLaunchIndex", launch.index).within("productCodes", |_| {});
    xml.text("instanceType", &machine.plan).text("launchTime", moment(launch.launched_at));
    xml.within("placement", |xml| {
        xml.text("availabilityZone", &launch.zone).text("groupName", "").text("tenancy", "default");
    });
    xml.within("monitoring", |xml| {
        xml.text("state", "disabled");
    });
    if here {
        xml.text("subnetId", call.subnet(&launch.zone)).text("vpcId", call.vpc());
        xml.text("privateIpAddress", machine.private_ipv4).maybe("ipAddress", public.as_ref());
        xml.text("sourceDestCheck", true);
    }
    xml.set("groupSet", launch.groups.iter().filter(|_| here), |xml, id| {
        xml.text("groupId", id).text("groupName", network::group_name(call, id));
    });
    if let Some((code, message)) = state_reason(machine, launch, now) {
        xml.within("stateReason", |xml| {
            xml.text("code", code).text("message", message);
        });
    }
    xml.text("architecture", data::architecture(&machine.plan));
    xml.text("rootDeviceType", "ebs").text("rootDeviceName", &launch.root_device);
    xml.set("blockDeviceMapping", launch.volumes.iter().filter(|_| here), |xml, (device, id)| {
        xml.text("deviceName", device);
        volumes::attachment(xml, call, id);
    });
    xml.text("virtualizationType", "hvm").text("clientToken", &launch.client_token);
    tags::set(xml, &machine.tags);
    xml.text("hypervisor", "xen");
    xml.within("networkInterfaceSet", |xml| {
        if here {
            xml.within("item", |xml| interface(xml, call, machine, launch, public.as_deref()));
        }
    });
    xml.text("ebsOptimized", false).text("enaSupport", true);
    xml.within("metadataOptions", |xml| {
        xml.text("state", if code == 0 { "pending" } else { "applied" }).text("httpTokens", &launch.http_tokens);
        xml.text("httpPutResponseHopLimit", launch.hop_limit).text("httpEndpoint", "enabled");
    });
    xml.text("platformDetails", "Linux/UNIX").text("usageOperation", "RunInstances");
    xml.text("usageOperationUpdateTime", moment(machine.born_at));
}

fn interface(xml: &mut Xml, call: &Call<'_, '_>, machine: &Machine, launch: &Launch, public: Option<&str>) {
    let owner = call.owner();
    let association = |xml: &mut Xml| {
        if let Some(ip) = public {
            xml.within("association", |xml| {
                let dns = format!("ec2-{}.{}.compute.amazonaws.com", dashed(ip), call.region);
                xml.text("publicIp", ip).text("publicDnsName", dns).text("ipOwnerId", "amazon");
            });
        }
    };
    xml.text("networkInterfaceId", data::id("eni", &[&machine.id])).text("subnetId", call.subnet(&launch.zone));
    xml.text("vpcId", call.vpc()).text("description", "").text("ownerId", owner).text("status", "in-use");
    xml.text("privateIpAddress", machine.private_ipv4).text("sourceDestCheck", true);
    xml.set("groupSet", &launch.groups, |xml, id| {
        xml.text("groupId", id).text("groupName", network::group_name(call, id));
    });
    xml.within("attachment", |xml| {
        xml.text("attachmentId", data::id("eni-attach", &[&machine.id])).text("deviceIndex", 0);
        xml.text("status", "attached").text("attachTime", moment(machine.born_at)).text("deleteOnTermination", true);
    });
    association(xml);
    xml.set("privateIpAddressesSet", [machine.private_ipv4], |xml, ip| {
        xml.text("privateIpAddress", ip).text("primary", true);
        association(xml);
    });
    xml.text("interfaceType", "interface");
}

const LAUNCH_FAILED: (&str, &str) =
    ("Server.InsufficientInstanceCapacity", "Server.InsufficientInstanceCapacity: Insufficient capacity to launch.");

fn reason(machine: &Machine, launch: &Launch, now: Timestamp) -> String {
    match machine.status_at(now) {
        State::Failed => LAUNCH_FAILED.1.to_owned(),
        State::Stopping | State::Stopped | State::Deleting | State::Gone => launch.reason.clone(),
        _ => String::new(),
    }
}

fn state_reason(machine: &Machine, launch: &Launch, now: Timestamp) -> Option<(&'static str, &'static str)> {
    match machine.status_at(now) {
        State::Failed => Some(LAUNCH_FAILED),
        State::Queued | State::Building | State::Booting | State::Starting => Some(("pending", "pending")),
        _ if reason(machine, launch, now).is_empty() => None,
        _ => Some(("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")),
    }
}

/// DescribeInstanceStatus.
pub(super) fn describe_status(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let call = &*call;
    let now = call.now();
    let all = call.params.flag("IncludeAllInstances")?;
    let filters =
        Filters::read(call.params, &["instance-state-name", "instance-state-code", "availability-zone", "tag-key"])?;
    let passes = |machine: &&Machine| {
        known(call, machine)
            && (all || state(machine, now).1 == "running")
            && filters.pass(|name| values(machine, now, name))
    };
    let page = if call.params.at("InstanceId").is_some() {
        page(call.params, 5..=1000, named(call)?, passes)?
    } else {
        page(call.params, 5..=1000, call.view.machines(&call.account), passes)?
    };
    let mut xml = Xml::default();
    xml.set("instanceStatusSet", page.items, |xml, machine| {
        let (code, word) = state(machine, now);
        let health = match machine.status_at(now) {
            State::Running if now >= later(machine.timeline.since(now), call.scaled_ms(CHECKS_MS)) => "ok",
            State::Running | State::Rebooting => "initializing",
            _ => "not-applicable",
        };
        xml.text("instanceId", &machine.id);
        xml.text("availabilityZone", machine.extra["zone"].as_str().unwrap_or_default());
        xml.within("instanceState", |xml| {
            xml.text("code", code).text("name", word);
        });
        for check in ["systemStatus", "instanceStatus"] {
            xml.within(check, |xml| {
                xml.text("status", health).set("details", [health; 1].iter().filter(|_| code == 16), |xml, health| {
                    let word = if *health == "ok" { "passed" } else { health };
                    xml.text("name", "reachability").text("status", word);
                });
            });
        }
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// Does `change` to every named instance, or to none if one of them does not allow it. Those `same` are left alone.
fn change(
    call: &mut Call<'_, '_>,
    change: Change,
    same: &[&str],
    refused: impl Fn(&Machine, &str) -> Option<AwsError>,
) -> Result<Vec<(String, Word)>, AwsError> {
    let now = call.now();
    let mut before = Vec::new();
    for machine in named(call)? {
        let (code, word) = state(machine, now);
        if let Some(error) = refused(machine, word) {
            return Err(error);
        }
        before.push((machine.id.clone(), (code, word)));
    }
    if before.is_empty() {
        return Err(AwsError::missing("InstanceId"));
    }
    let account = call.account.clone();
    for (id, (_, word)) in before.iter().filter(|(_, (_, word))| !same.contains(word)) {
        call.view.change(&account, id, change);
        let bits = call.view.bits();
        if let Some(machine) = call.view.machine_mut(&account, id) {
            match change {
                // Each start gets another public address.
                Change::Start => {
                    let [.., last_but_one, last] = machine.ipv4.octets();
                    let third = u8::try_from(bits & 0xff).unwrap_or(0);
                    let fourth = if third == last_but_one { last ^ 1 } else { last };
                    machine.ipv4 = std::net::Ipv4Addr::new(198, 18, third, fourth);
                    machine.extra["launched_at"] = json!(now);
                    machine.extra["reason"] = json!("");
                }
                Change::Stop | Change::Delete if *word != "stopped" => {
                    machine.extra["reason"] =
                        json!(format!("User initiated ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT")));
                }
                _ => {}
            }
        }
    }
    Ok(before)
}

/// The answer of start, stop and terminate: what each was and is.
fn changes(call: &Call<'_, '_>, before: &[(String, Word)]) -> Xml {
    let mut xml = Xml::default();
    xml.set("instancesSet", before, |xml, (id, was)| {
        let is = call.view.machine(&call.account, id).map_or(*was, |machine| state(machine, call.now()));
        xml.text("instanceId", id);
        for (name, (code, word)) in [("currentState", is), ("previousState", *was)] {
            xml.within(name, |xml| {
                xml.text("code", code).text("name", word);
            });
        }
    });
    xml
}

fn incorrect(message: String) -> Option<AwsError> {
    Some(AwsError::bad("IncorrectInstanceState", message))
}

/// StartInstances.
pub(super) fn start(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let before = change(call, Change::Start, &["running", "pending"], |machine, word| match word {
        "stopped" | "running" | "pending" => None,
        _ => incorrect(format!("The instance '{}' is not in a state from which it can be started.", machine.id)),
    })?;
    Ok(changes(call, &before))
}

/// StopInstances.
pub(super) fn stop(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let before = change(call, Change::Stop, &["stopped", "stopping"], |machine, word| match word {
        "running" | "stopped" | "stopping" => None,
        _ => incorrect(format!("The instance '{}' is not in a state from which it can be stopped.", machine.id)),
    })?;
    Ok(changes(call, &before))
}

/// RebootInstances.
pub(super) fn reboot(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    change(call, Change::Reboot, &[], |machine, word| match word {
        "running" => None,
        _ => incorrect(format!("This instance '{}' is not in the 'running' state.", machine.id)),
    })?;
    let mut xml = Xml::default();
    xml.text("return", true);
    Ok(xml)
}

/// TerminateInstances. Once more on a terminated one is fine.
pub(super) fn terminate(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let before = change(call, Change::Delete, &["shutting-down", "terminated"], |machine, _| {
        machine.extra["protected"].as_bool().unwrap_or(false).then(|| {
            let message = format!(
                "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try \
                 again.",
                machine.id
            );
            AwsError::bad("OperationNotPermitted", message)
        })
    })?;
    for (id, _) in &before {
        volumes::die_with(call, id);
    }
    Ok(changes(call, &before))
}
