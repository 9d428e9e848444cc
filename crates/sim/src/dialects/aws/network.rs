//! Security groups, and the default network that every region has.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::{Call, page};
use super::data;
use super::error::AwsError;
use super::filter::Filters;
use super::query::Params;
use super::tags;
use super::xml::Xml;
use crate::guest::CLIENT;
use crate::world::{Cloud, Resource};

/// The kind of resource.
pub(super) const GROUP: &str = "security-group";

/// What comes in through a group: one protocol, one span of ports, one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    id: String,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or `-1` for all.
    protocol: String,
    from_port: Option<i64>,
    to_port: Option<i64>,
    source: Source,
    description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    V4(String),
    V6(String),
    Group(String),
}

impl Rule {
    fn same_as(&self, other: &Rule) -> bool {
        (&self.protocol, self.from_port, self.to_port, &self.source)
            == (&other.protocol, other.from_port, other.to_port, &other.source)
    }
}

/// A group, made by the user or there from the start.
struct Group {
    id: String,
    name: String,
    description: String,
    rules: Vec<Rule>,
    tags: std::collections::BTreeMap<String, String>,
}

fn group_of(resource: &Resource) -> Group {
    Group {
        id: resource.id.clone(),
        name: resource.name.clone(),
        description: resource.data["description"].as_str().unwrap_or_default().to_owned(),
        rules: serde_json::from_value(resource.data["rules"].clone()).unwrap_or_default(),
        tags: resource.tags.clone(),
    }
}

/// The default group first. It lets in only what comes from itself.
fn all(call: &Call<'_, '_>) -> Vec<Group> {
    let id = call.default_group();
    let itself = Rule {
        id: data::id("sgr", &[&id]),
        protocol: "-1".to_owned(),
        from_port: None,
        to_port: None,
        source: Source::Group(id.clone()),
        description: None,
    };
    let changed = call.view.resource(&call.account, GROUP, &id).map(group_of);
    let default = changed.unwrap_or_else(|| Group {
        id: id.clone(),
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
        rules: vec![itself],
        tags: std::collections::BTreeMap::new(),
    });
    let made = call.view.resources(&call.account, GROUP);
    let made = made.filter(|group| group.region.as_deref() == Some(&call.region) && group.id != id).map(group_of);
    std::iter::once(default).chain(made).collect()
}

fn not_found(id: &str) -> AwsError {
    AwsError::bad("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
}

/// A group's name; the id again if it is gone.
pub(super) fn group_name(call: &Call<'_, '_>, id: &str) -> String {
    if id == call.default_group() {
        return "default".to_owned();
    }
    call.view.resource(&call.account, GROUP, id).map_or(id.to_owned(), |group| group.name.clone())
}

/// Whether one of an instance's groups lets TCP in at `port` from the sandbox's clients. The default group, as long as
/// nobody changed it, lets nobody in.
pub(super) fn lets_in(cloud: &Cloud, groups: &[String], port: u16, now: Timestamp) -> bool {
    let kept = cloud.resources.get(GROUP);
    let kept = groups.iter().filter_map(|id| kept?.get(id)).filter(|group| group.lives_at(now));
    kept.flat_map(|group| group_of(group).rules).any(|rule| {
        let port = i64::from(port);
        let in_span = rule.from_port.is_none_or(|from| from == -1 || from <= port)
            && rule.to_port.is_none_or(|to| to == -1 || port <= to);
        match (rule.protocol.as_str(), &rule.source) {
            ("-1", Source::V4(range)) => holds(range, CLIENT),
            ("tcp", Source::V4(range)) => in_span && holds(range, CLIENT),
            _ => false,
        }
    })
}

/// Whether an address is of a range such as `10.0.0.0/8`.
fn holds(range: &str, address: Ipv4Addr) -> bool {
    let parsed = range.split_once('/').and_then(|(network, bits)| {
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        Some((network.parse::<Ipv4Addr>().ok()?, bits))
    });
    parsed
        .is_some_and(|(network, bits)| (network.to_bits() ^ address.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0)
}

/// The ids of the groups that an order names, by id or by name, on the instance or on its interface.
pub(super) fn find_groups(
    call: &Call<'_, '_>,
    params: &Params,
    interface: Option<&Params>,
) -> Result<Vec<String>, AwsError> {
    let (ids, names) = (params.texts("SecurityGroupId"), params.texts("SecurityGroup"));
    if interface.is_some() && (!ids.is_empty() || !names.is_empty() || params.text("SubnetId").is_some()) {
        return Err(AwsError::combination(
            "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request",
        ));
    }
    let known = all(call);
    let mut found = Vec::new();
    for id in ids.into_iter().chain(interface.map(|interface| interface.texts("SecurityGroupId")).unwrap_or_default()) {
        found.push(known.iter().find(|group| group.id == id).ok_or_else(|| not_found(id))?.id.clone());
    }
    for name in names {
        found.push(known.iter().find(|group| group.name == name).ok_or_else(|| not_found(name))?.id.clone());
    }
    if found.is_empty() {
        found.push(call.default_group());
    }
    Ok(found)
}

/// The group that a call is about.
fn the_group(call: &Call<'_, '_>) -> Result<Group, AwsError> {
    let (id, name) = (call.params.text("GroupId"), call.params.text("GroupName"));
    let wanted = id.or(name).ok_or_else(|| AwsError::missing("GroupId"))?;
    let mut groups = all(call).into_iter();
    groups
        .find(|group| Some(group.id.as_str()) == id || (id.is_none() && group.name == wanted))
        .ok_or_else(|| not_found(wanted))
}

/// CreateSecurityGroup.
pub(super) fn create_group(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let params = call.params;
    let (name, description) = (params.required("GroupName")?, params.required("GroupDescription")?);
    let plain = |text: &str| {
        text.len() <= 255 && text.chars().all(|c| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c))
    };
    if !plain(name) || !plain(description) || name.starts_with("sg-") {
        return Err(AwsError::invalid(format!(
            "Invalid security group name or description: '{name}'. Character sets beyond ASCII are not supported, and names \
             may not begin with 'sg-'."
        )));
    }
    let vpc = call.vpc();
    if let Some(other) = params.text("VpcId").filter(|id| *id != vpc) {
        return Err(AwsError::bad("InvalidVpcID.NotFound", format!("The vpc ID '{other}' does not exist")));
    }
    if all(call).iter().any(|group| group.name == name) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(AwsError::bad("InvalidGroup.Duplicate", message));
    }
    let given = tags::at_birth(params, "security-group")?;
    let id = call.fresh_id("sg");
    let data = json!({ "description": description, "rules": [] });
    let mut resource = Resource::new(&call.account, &id, name, call.now(), data);
    resource.region = Some(call.region.clone());
    resource.tags.clone_from(&given);
    call.view.put_resource(GROUP, resource);
    let mut xml = Xml::default();
    xml.text("return", true).text("groupId", id);
    tags::set(&mut xml, &given);
    Ok(xml)
}

/// AuthorizeSecurityGroupIngress: all rules or none.
pub(super) fn authorize_ingress(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let mut group = the_group(call)?;
    let mut wanted = Vec::new();
    let permissions = call.params.members("IpPermissions");
    // One rule may also be written without a list.
    let permissions = if permissions.is_empty() { vec![call.params] } else { permissions };
    for permission in permissions {
        wanted.extend(read_permission(call, permission)?);
    }
    if wanted.is_empty() {
        return Err(AwsError::missing("ipPermissions"));
    }
    for rule in &mut wanted {
        if group.rules.iter().any(|known| known.same_as(rule)) {
            let message = format!("the specified rule {:?} already exists", rule.source);
            return Err(AwsError::bad("InvalidPermission.Duplicate", message));
        }
        rule.id = call.fresh_id("sgr");
        group.rules.push(rule.clone());
    }
    let (account, now) = (call.account.clone(), call.now());
    let data = json!({ "description": group.description, "rules": group.rules });
    match call.view.resource_mut(&account, GROUP, &group.id) {
        Some(resource) => resource.data = data,
        // The default group is written down once it is no longer as it was.
        None => {
            let mut resource = Resource::new(&account, &group.id, &group.name, now, data);
            resource.region = Some(call.region.clone());
            call.view.put_resource(GROUP, resource);
        }
    }
    let owner = call.owner();
    let mut xml = Xml::default();
    xml.text("return", true).set("securityGroupRuleSet", &wanted, |xml, rule| {
        xml.text("securityGroupRuleId", &rule.id).text("groupId", &group.id).text("groupOwnerId", owner);
        xml.text("isEgress", false).text("ipProtocol", &rule.protocol);
        xml.text("fromPort", rule.from_port.unwrap_or(-1)).text("toPort", rule.to_port.unwrap_or(-1));
        match &rule.source {
            Source::V4(cidr) => xml.text("cidrIpv4", cidr),
            Source::V6(cidr) => xml.text("cidrIpv6", cidr),
            Source::Group(id) => xml.within("referencedGroupInfo", |xml| {
                xml.text("groupId", id).text("userId", owner);
            }),
        };
        xml.maybe("description", rule.description.as_ref());
    });
    Ok(xml)
}

fn read_permission(call: &Call<'_, '_>, permission: &Params) -> Result<Vec<Rule>, AwsError> {
    let protocol = match permission.required("IpProtocol")? {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        known @ ("tcp" | "udp" | "icmp" | "icmpv6" | "-1") => known,
        other => return Err(AwsError::invalid(format!("Invalid value '{other}' for IP protocol. Unknown protocol."))),
    };
    let ports = (permission.number("FromPort")?, permission.number("ToPort")?);
    let (from_port, to_port) = match (protocol, ports) {
        ("-1", _) => (None, None),
        ("tcp" | "udp", (Some(from), Some(to))) if (0..=65_535).contains(&from) && (from..=65_535).contains(&to) => {
            ports
        }
        ("tcp" | "udp", (None, _) | (_, None)) => return Err(AwsError::missing("fromPort")),
        ("tcp" | "udp", (Some(from), Some(to))) => {
            return Err(AwsError::invalid(format!(
                "Invalid value for portRange. Must specify both from and to ports: {from}-{to}"
            )));
        }
        _ => (ports.0.or(Some(-1)), ports.1.or(Some(-1))),
    };
    let mut sources = Vec::new();
    let bad = |cidr: &str| AwsError::invalid(format!("CIDR block {cidr} is malformed"));
    for (list, name) in [("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6")] {
        let direct: Vec<&Params> = permission.at(name).map(|_| permission).into_iter().collect();
        for range in permission.members(list).into_iter().chain(direct) {
            let cidr = range.required(name)?;
            let (address, length) = cidr.split_once('/').ok_or_else(|| bad(cidr))?;
            let length: u8 = length.parse().map_err(|_| bad(cidr))?;
            let source = match address.parse().map_err(|_| bad(cidr))? {
                std::net::IpAddr::V4(_) if name == "CidrIp" && length <= 32 => Source::V4(cidr.to_owned()),
                std::net::IpAddr::V6(_) if name == "CidrIpv6" && length <= 128 => Source::V6(cidr.to_owned()),
                _ => return Err(bad(cidr)),
            };
            sources.push((source, range.text("Description")));
        }
    }
    for pair in permission.members("Groups") {
        let id = pair.required("GroupId")?;
        if !all(call).iter().any(|group| group.id == id) {
            return Err(not_found(id));
        }
        sources.push((Source::Group(id.to_owned()), pair.text("Description")));
    }
    let rule = |(source, description): (Source, Option<&str>)| Rule {
        id: String::new(),
        protocol: protocol.to_owned(),
        from_port,
        to_port,
        source,
        description: description.map(str::to_owned),
    };
    Ok(sources.into_iter().map(rule).collect())
}

/// DescribeSecurityGroups: an id or name that is asked for and missing is an error.
pub(super) fn describe_groups(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let call = &*call;
    let params = call.params;
    let filters = Filters::read(params, &["group-id", "group-name", "vpc-id", "description", "tag-key"])?;
    let (ids, names) = (params.texts("GroupId"), params.texts("GroupName"));
    let groups = all(call);
    let missing = ids
        .iter()
        .find(|id| !groups.iter().any(|group| group.id == **id))
        .or_else(|| names.iter().find(|name| !groups.iter().any(|group| group.name == **name)));
    if let Some(missing) = missing {
        return Err(not_found(missing));
    }
    let vpc = call.vpc();
    let page = page(params, 5..=1000, groups, |group| {
        ((ids.is_empty() && names.is_empty())
            || ids.contains(&group.id.as_str())
            || names.contains(&group.name.as_str()))
            && filters.pass(|name| match name {
                "group-id" => vec![group.id.clone()],
                "group-name" => vec![group.name.clone()],
                "vpc-id" => vec![vpc.clone()],
                "description" => vec![group.description.clone()],
                tag => tags::values(&group.tags, tag),
            })
    })?;
    let mut xml = Xml::default();
    xml.set("securityGroupInfo", page.items, |xml, group| {
        xml.text("ownerId", call.owner()).text("groupId", &group.id).text("groupName", &group.name);
        xml.text("groupDescription", &group.description).text("vpcId", &vpc);
        // Rules of the same protocol and ports stand together.
        let mut spans: Vec<Vec<&Rule>> = Vec::new();
        for rule in &group.rules {
            let same = |span: &&mut Vec<&Rule>| {
                (&span[0].protocol, span[0].from_port, span[0].to_port)
                    == (&rule.protocol, rule.from_port, rule.to_port)
            };
            match spans.iter_mut().find(same) {
                Some(span) => span.push(rule),
                None => spans.push(vec![rule]),
            }
        }
        xml.set("ipPermissions", spans, |xml, span| permission(xml, call, &span));
        let anything = Rule {
            id: String::new(),
            protocol: "-1".to_owned(),
            from_port: None,
            to_port: None,
            source: Source::V4("0.0.0.0/0".to_owned()),
            description: None,
        };
        xml.set("ipPermissionsEgress", [&anything], |xml, rule| permission(xml, call, &[rule]));
        tags::set(xml, &group.tags);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn permission(xml: &mut Xml, call: &Call<'_, '_>, rules: &[&Rule]) {
    xml.text("ipProtocol", &rules[0].protocol);
    xml.maybe("fromPort", rules[0].from_port).maybe("toPort", rules[0].to_port);
    let sources = || rules.iter().map(|rule| (&rule.source, rule.description.as_ref()));
    let groups =
        sources().filter_map(|(source, text)| if let Source::Group(id) = source { Some((id, text)) } else { None });
    xml.set("groups", groups, |xml, (id, text)| {
        xml.text("userId", call.owner()).text("groupId", id).maybe("description", text);
    });
    let v4 =
        sources().filter_map(|(source, text)| if let Source::V4(cidr) = source { Some((cidr, text)) } else { None });
    xml.set("ipRanges", v4, |xml, (cidr, text)| {
        xml.text("cidrIp", cidr).maybe("description", text);
    });
    let v6 =
        sources().filter_map(|(source, text)| if let Source::V6(cidr) = source { Some((cidr, text)) } else { None });
    xml.set("ipv6Ranges", v6, |xml, (cidr, text)| {
        xml.text("cidrIpv6", cidr).maybe("description", text);
    });
    xml.set("prefixListIds", [(); 0], |_, ()| {});
}

/// DeleteSecurityGroup: refused while an instance that is not yet terminated, or another group, refers to it.
pub(super) fn delete_group(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let group = the_group(call)?;
    let id = group.id;
    if id == call.default_group() {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(AwsError::bad("CannotDelete", message));
    }
    let now = call.now();
    let holds =
        |groups: &serde_json::Value| groups.as_array().is_some_and(|groups| groups.iter().any(|group| *group == id));
    let used =
        call.view.machines(&call.account).any(|machine| machine.lives_at(now) && holds(&machine.extra["groups"]));
    let referred = all(call)
        .iter()
        .any(|other| other.id != id && other.rules.iter().any(|rule| rule.source == Source::Group(id.clone())));
    if used || referred {
        return Err(AwsError::bad("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    let account = call.account.clone();
    if let Some(resource) = call.view.resource_mut(&account, GROUP, &id) {
        resource.gone_at = Some(now);
    }
    let mut xml = Xml::default();
    xml.text("return", true).text("groupId", id);
    Ok(xml)
}

/// DescribeVpcs: the default one.
pub(super) fn describe_vpcs(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let filters = Filters::read(call.params, &["vpc-id", "is-default", "isDefault", "state", "cidr", "tag-key"])?;
    let vpc = call.vpc();
    if let Some(other) = call.params.texts("VpcId").into_iter().find(|id| *id != vpc) {
        return Err(AwsError::bad("InvalidVpcID.NotFound", format!("The vpc ID '{other}' does not exist")));
    }
    let shown = filters.pass(|name| match name {
        "vpc-id" => vec![vpc.clone()],
        "is-default" | "isDefault" => vec!["true".to_owned()],
        "state" => vec!["available".to_owned()],
        "cidr" => vec!["172.31.0.0/16".to_owned()],
        _ => Vec::new(),
    });
    let mut xml = Xml::default();
    xml.set("vpcSet", shown.then_some(vpc), |xml, vpc| {
        xml.text("vpcId", vpc).text("ownerId", call.owner()).text("state", "available");
        xml.text("cidrBlock", "172.31.0.0/16").text("dhcpOptionsId", data::id("dopt", &[&call.region]));
        xml.text("instanceTenancy", "default").text("isDefault", true).set("tagSet", [(); 0], |_, ()| {});
    });
    Ok(xml)
}

/// DescribeSubnets: one for each zone.
pub(super) fn describe_subnets(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    const FILTERS: [&str; 8] = [
        "subnet-id",
        "vpc-id",
        "default-for-az",
        "defaultForAz",
        "availability-zone",
        "availability-zone-id",
        "state",
        "tag-key",
    ];
    let call = &*call;
    let filters = Filters::read(call.params, &FILTERS)?;
    let asked = call.params.texts("SubnetId");
    let subnets: Vec<(usize, data::Zone, String)> = data::zones(&call.region)
        .into_iter()
        .enumerate()
        .map(|(n, zone)| {
            let id = call.subnet(&zone.name);
            (n, zone, id)
        })
        .collect();
    if let Some(missing) = asked.iter().find(|id| !subnets.iter().any(|(.., subnet)| subnet == **id)) {
        return Err(AwsError::bad("InvalidSubnetID.NotFound", format!("The subnet ID '{missing}' does not exist")));
    }
    let page = page(call.params, 5..=1000, subnets, |(_, zone, id)| {
        (asked.is_empty() || asked.contains(&id.as_str()))
            && filters.pass(|name| match name {
                "subnet-id" => vec![id.clone()],
                "vpc-id" => vec![call.vpc()],
                "default-for-az" | "defaultForAz" => vec!["true".to_owned()],
                "availability-zone" => vec![zone.name.clone()],
                "availability-zone-id" => vec![zone.id.clone()],
                "state" => vec!["available".to_owned()],
                _ => Vec::new(),
            })
    })?;
    let mut xml = Xml::default();
    xml.set("subnetSet", page.items, |xml, (n, zone, id)| {
        xml.text("subnetId", id).text("state", "available").text("vpcId", call.vpc()).text("ownerId", call.owner());
        xml.text("cidrBlock", format!("172.31.{}.0/20", n * 16)).text("availableIpAddressCount", 4091);
        xml.text("availabilityZone", zone.name).text("availabilityZoneId", zone.id);
        xml.text("defaultForAz", true).text("mapPublicIpOnLaunch", true).text("assignIpv6AddressOnCreation", false);
        xml.set("tagSet", [(); 0], |_, ()| {});
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// DescribeAddresses: there are none, for none can be allocated.
pub(super) fn describe_addresses(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    Filters::read(call.params, &["allocation-id", "instance-id", "public-ip", "domain", "tag-key"])?;
    if let Some(id) = call.params.texts("AllocationId").first() {
        return Err(AwsError::bad("InvalidAllocationID.NotFound", format!("The allocation ID '{id}' does not exist")));
    }
    if let Some(ip) = call.params.texts("PublicIp").first() {
        return Err(AwsError::bad("InvalidAddress.NotFound", format!("Address '{ip}' not found.")));
    }
    let mut xml = Xml::default();
    xml.set("addressesSet", [(); 0], |_, ()| {});
    Ok(xml)
}
