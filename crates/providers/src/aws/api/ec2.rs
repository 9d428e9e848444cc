//! EC2: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Welcome.html>. Each function is one action.

use capsule_core::http::{Call, Lane, page};
use capsule_core::{Bodied, Error, ErrorKind, RawBody, Result, Tags};
use serde::Deserialize;

use super::{Answer, Api, DESCRIBE, END, ROOT_DISK, RUN, is_region};
use crate::aws::query::{Form, or_default, parsed};

const VERSION: &str = "2016-11-15";

/// So many values a filter takes. (unsure) Not in a source that could be read.
pub(in crate::aws) const MOST_VALUES: usize = 200;

/// A server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct Instance {
    pub instance_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub image_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub instance_type: String,
    #[serde(default, deserialize_with = "or_default")]
    pub instance_state: State,
    #[serde(default, deserialize_with = "or_default")]
    pub state_reason: Option<StateReason>,
    /// Of the last start, not of the birth.
    #[serde(default, deserialize_with = "or_default")]
    pub launch_time: Option<String>,
    /// The public IPv4 address, whatever its name says.
    #[serde(default, deserialize_with = "or_default")]
    pub ip_address: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub private_ip_address: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub network_interface_set: Vec<NetworkInterface>,
    /// The firewalls that it is behind.
    #[serde(default, deserialize_with = "or_default")]
    pub group_set: Vec<GroupId>,
    #[serde(default, deserialize_with = "or_default")]
    pub tag_set: Vec<Tag>,
}

/// A firewall, from a server's side.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct GroupId {
    #[serde(default, deserialize_with = "or_default")]
    pub group_id: String,
}

/// A server's state; the code's low byte counts.
#[derive(Debug, Default, Deserialize)]
pub(in crate::aws) struct State {
    #[serde(default, deserialize_with = "parsed")]
    pub code: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
}

/// Why a server is in its state.
#[derive(Debug, Deserialize)]
pub(in crate::aws) struct StateReason {
    #[serde(default, deserialize_with = "or_default")]
    pub code: String,
    #[serde(default, deserialize_with = "or_default")]
    pub message: String,
}

/// A server's way into the network.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct NetworkInterface {
    #[serde(default, deserialize_with = "or_default")]
    pub ipv6_addresses_set: Vec<Ipv6Address>,
    #[serde(default, deserialize_with = "or_default")]
    pub attachment: Option<InterfaceAttachment>,
}

/// One of its IPv6 addresses, which are all public.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct Ipv6Address {
    #[serde(default, deserialize_with = "or_default")]
    pub ipv6_address: String,
}

/// When it was plugged in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct InterfaceAttachment {
    #[serde(default, deserialize_with = "or_default")]
    pub attach_time: Option<String>,
}

/// A label.
#[derive(Debug, Deserialize)]
pub(in crate::aws) struct Tag {
    #[serde(default, deserialize_with = "or_default")]
    pub key: String,
    #[serde(default, deserialize_with = "or_default")]
    pub value: String,
}

/// A server and, unless it comes from a list without bodies, the rendering of its element.
#[derive(Debug)]
pub(in crate::aws) struct Item {
    pub instance: Instance,
    pub raw: RawBody,
}

impl From<Instance> for Item {
    fn from(instance: Instance) -> Self {
        Item { instance, raw: RawBody::empty() }
    }
}

impl From<Bodied<'_, Instance>> for Item {
    fn from(Bodied(instance, raw): Bodied<'_, Instance>) -> Self {
        Item { instance, raw: RawBody::new(raw.to_owned()) }
    }
}

/// A region of the account.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct Region {
    pub region_name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub opt_in_status: Option<String>,
}

/// A kind of server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct InstanceType {
    pub instance_type: String,
    #[serde(default, deserialize_with = "parsed")]
    pub bare_metal: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    pub v_cpu_info: VCpuInfo,
    #[serde(default, deserialize_with = "or_default")]
    pub memory_info: MemoryInfo,
    #[serde(default, deserialize_with = "or_default")]
    pub processor_info: ProcessorInfo,
    #[serde(default, deserialize_with = "or_default")]
    pub instance_storage_info: InstanceStorageInfo,
    #[serde(default, deserialize_with = "or_default")]
    pub gpu_info: GpuInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct VCpuInfo {
    #[serde(default, deserialize_with = "parsed")]
    pub default_v_cpus: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct MemoryInfo {
    #[serde(rename = "sizeInMiB", default, deserialize_with = "parsed")]
    pub size_in_mib: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct ProcessorInfo {
    #[serde(default, deserialize_with = "or_default")]
    pub supported_architectures: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct InstanceStorageInfo {
    #[serde(rename = "totalSizeInGB", default, deserialize_with = "parsed")]
    pub total_size_in_gb: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub(in crate::aws) struct GpuInfo {
    #[serde(default, deserialize_with = "or_default")]
    pub gpus: Vec<GpuDevice>,
}

#[derive(Debug, Deserialize)]
pub(in crate::aws) struct GpuDevice {
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub manufacturer: String,
    #[serde(default, deserialize_with = "parsed")]
    pub count: Option<u32>,
}

/// What a server boots.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct MachineImage {
    pub image_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub creation_date: String,
    #[serde(default, deserialize_with = "or_default")]
    pub root_device_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub block_device_mapping: Vec<DeviceMapping>,
}

impl MachineImage {
    /// How large its root disk is at least; `None` where it does not say.
    pub(in crate::aws) fn root_gib(&self) -> Option<u64> {
        let root = self.root_device_name.as_ref()?;
        let mapping = self.block_device_mapping.iter().find(|mapping| mapping.device_name == *root)?;
        mapping.ebs.as_ref()?.volume_size
    }
}

/// A disk that comes with an image.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct DeviceMapping {
    #[serde(default, deserialize_with = "or_default")]
    device_name: String,
    #[serde(default, deserialize_with = "or_default")]
    ebs: Option<Ebs>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ebs {
    #[serde(default, deserialize_with = "parsed")]
    volume_size: Option<u64>,
}

/// A firewall.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct SecurityGroup {
    pub group_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub group_name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub tag_set: Vec<Tag>,
}

/// A public key of a region.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct KeyPair {
    pub key_pair_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub key_name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub public_key: String,
}

/// A disk.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct Volume {
    pub volume_id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub volume_type: String,
    #[serde(default, deserialize_with = "or_default")]
    pub status: String,
    /// In GiB.
    #[serde(default, deserialize_with = "parsed")]
    pub size: Option<u64>,
    /// Of kinds that have a baseline: the baseline, or what is paid for.
    #[serde(default, deserialize_with = "parsed")]
    pub iops: Option<u64>,
    /// In MiB a second.
    #[serde(default, deserialize_with = "parsed")]
    pub throughput: Option<u64>,
    #[serde(default, deserialize_with = "or_default")]
    pub attachment_set: Vec<Attachment>,
    #[serde(default, deserialize_with = "or_default")]
    pub tag_set: Vec<Tag>,
}

/// What a disk hangs on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct Attachment {
    #[serde(default, deserialize_with = "or_default")]
    pub instance_id: String,
    #[serde(default, deserialize_with = "parsed")]
    pub delete_on_termination: Option<bool>,
}

/// What RunInstances is told. Always exactly one server.
#[derive(Debug)]
pub(in crate::aws) struct RunInstances<'a> {
    pub client_token: &'a str,
    pub image: &'a MachineImage,
    pub instance_type: &'a str,
    pub key_name: Option<&'a str>,
    pub group_id: &'a str,
    pub disk_gib: Option<u64>,
    /// Base64.
    pub user_data: Option<&'a str>,
    pub tags: &'a Tags,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "I: Deserialize<'de>")]
struct InstancesPage<I> {
    #[serde(default, deserialize_with = "or_default")]
    reservation_set: Vec<Reservation<I>>,
    #[serde(default, deserialize_with = "or_default")]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "I: Deserialize<'de>")]
struct Reservation<I> {
    #[serde(default, deserialize_with = "or_default")]
    instances_set: Vec<I>,
}

/// A list in an answer, whatever it is called.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Set<T> {
    #[serde(
        alias = "regionInfo",
        alias = "instanceTypeSet",
        alias = "imagesSet",
        alias = "vpcSet",
        alias = "securityGroupInfo",
        alias = "volumeSet",
        alias = "keySet",
        default,
        deserialize_with = "or_default"
    )]
    set: Vec<T>,
    #[serde(rename = "nextToken", default, deserialize_with = "or_default")]
    next_token: Option<String>,
}

/// An answer that says no more than yes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Returned {
    #[serde(rename = "return", default, deserialize_with = "parsed")]
    ok: Option<bool>,
}

fn form(action: &str) -> Form {
    Form::new(action, VERSION)
}

fn look(operation: &'static str) -> Call {
    Call::post(operation, "/").read().bucket(DESCRIBE)
}

impl Answer {
    /// The servers of one page, each read as an `I`, and the token of the next.
    fn items<'a, I: Deserialize<'a> + Into<Item>>(&'a self) -> Result<(Vec<Item>, Option<String>)> {
        let page: InstancesPage<I> = self.read()?;
        let items = page.reservation_set.into_iter().flat_map(|reservation| reservation.instances_set);
        Ok((items.map(Into::into).collect(), page.next_token))
    }
}

impl Api {
    /// Every server that all filters let through: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>.
    pub(in crate::aws) async fn describe_instances(&self, region: &str, filters: &[(&str, &str)]) -> Result<Vec<Item>> {
        page::chained("servers", |token| async move {
            let mut form = form("DescribeInstances").with("MaxResults", 1000).maybe("NextToken", token);
            for ((name, value), number) in filters.iter().zip(1..) {
                form = form.filter(number, name, &[value]);
            }
            let answer = self.ec2(region, look("ec2.DescribeInstances"), form).await?;
            if self.lean { answer.items::<Instance>() } else { answer.items::<Bodied<'_, Instance>>() }
        })
        .await
    }

    /// One server, tombstones included; `None` when the vendor knows no such id.
    pub(in crate::aws) async fn describe_instance(&self, region: &str, id: &str, lane: Lane) -> Result<Option<Item>> {
        let form = form("DescribeInstances").with("InstanceId.1", id);
        match self.ec2(region, look("ec2.DescribeInstances").lane(lane), form).await {
            Ok(answer) => Ok(answer.items::<Bodied<'_, Instance>>()?.0.pop()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes one server: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>.
    pub(in crate::aws) async fn run_instances(&self, region: &str, run: &RunInstances<'_>) -> Result<Item> {
        let mut form = form("RunInstances")
            .with("ClientToken", run.client_token)
            .with("MinCount", 1)
            .with("MaxCount", 1)
            .with("ImageId", &run.image.image_id)
            .with("InstanceType", run.instance_type)
            .maybe("KeyName", run.key_name)
            .with("SecurityGroupId.1", run.group_id)
            .maybe("UserData", run.user_data)
            .with("InstanceInitiatedShutdownBehavior", "stop")
            // Without a token nothing inside reads the server's secrets; containers are one hop further away.
            .with("MetadataOptions.HttpTokens", "required")
            .with("MetadataOptions.HttpPutResponseHopLimit", 2)
            .tags(1, "instance", run.tags)
            .tags(2, "volume", run.tags);
        // Under a wrong device name the size would buy a second disk, so without the right one nothing is said.
        if let Some(device) = &run.image.root_device_name {
            form = form
                .with("BlockDeviceMapping.1.DeviceName", device)
                .with("BlockDeviceMapping.1.Ebs.DeleteOnTermination", true)
                .with("BlockDeviceMapping.1.Ebs.VolumeType", ROOT_DISK)
                .maybe("BlockDeviceMapping.1.Ebs.VolumeSize", run.disk_gib);
        }
        let answer = self.ec2(region, Call::post("ec2.RunInstances", "/").bucket(RUN), form).await?;
        let made: Reservation<Bodied<'_, Instance>> = answer.read()?;
        let made = made.instances_set.into_iter().next().ok_or_else(|| answer.unreadable(&"it names no server"))?;
        Ok(made.into())
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StartInstances.html>.
    pub(in crate::aws) async fn start_instances(&self, region: &str, id: &str) -> Result<()> {
        let call = Call::post("ec2.StartInstances", "/").idempotent().bucket(END);
        self.ec2(region, call, form("StartInstances").with("InstanceId.1", id)).await.map(drop)
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html>.
    pub(in crate::aws) async fn stop_instances(&self, region: &str, id: &str, force: bool) -> Result<()> {
        let call = Call::post("ec2.StopInstances", "/").idempotent().bucket(END);
        self.ec2(region, call, form("StopInstances").with("InstanceId.1", id).with("Force", force)).await.map(drop)
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RebootInstances.html>.
    pub(in crate::aws) async fn reboot_instances(&self, region: &str, id: &str) -> Result<()> {
        let call = Call::post("ec2.RebootInstances", "/").idempotent();
        self.ec2(region, call, form("RebootInstances").with("InstanceId.1", id)).await.map(drop)
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html>.
    pub(in crate::aws) async fn terminate_instances(&self, region: &str, id: &str) -> Result<()> {
        let call = Call::post("ec2.TerminateInstances", "/").idempotent().lane(Lane::Delete).bucket(END);
        self.ec2(region, call, form("TerminateInstances").with("InstanceId.1", id)).await.map(drop)
    }

    /// Adds a tag to an instance, or gives the one under that key another value:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html>.
    pub(in crate::aws) async fn create_tag(&self, region: &str, id: &str, key: &str, value: &str) -> Result<()> {
        let form = form("CreateTags").with("ResourceId.1", id).with("Tag.1.Key", key).with("Tag.1.Value", value);
        self.ec2(region, Call::post("ec2.CreateTags", "/").idempotent(), form).await.map(drop)
    }

    /// Regions that the account may use: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html>.
    pub(in crate::aws) async fn describe_regions(&self, region: &str) -> Result<Vec<Region>> {
        let answer = self.ec2(region, look("ec2.DescribeRegions"), form("DescribeRegions")).await?;
        let regions = answer.read::<Set<Region>>()?.set;
        // Lists ask each of them: what is none here was nobody's input.
        if let Some(odd) = regions.iter().find(|region| !is_region(&region.region_name)) {
            return Err(answer.reply.protocol(format!("a region called `{}`", odd.region_name)));
        }
        let enabled = |region: &Region| region.opt_in_status.as_deref() != Some("not-opted-in");
        Ok(regions.into_iter().filter(enabled).collect())
    }

    /// Kinds of server in a region, or the one asked for: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypes.html>.
    pub(in crate::aws) async fn describe_instance_types(
        &self,
        region: &str,
        only: Option<&str>,
    ) -> Result<Vec<InstanceType>> {
        page::chained("instance types", |token| async move {
            let form = match only {
                Some(name) => form("DescribeInstanceTypes").with("InstanceType.1", name),
                None => form("DescribeInstanceTypes")
                    .with("MaxResults", 100)
                    .filter(1, "supported-usage-class", &["on-demand"])
                    .filter(2, "supported-virtualization-type", &["hvm"]),
            };
            let form = form.maybe("NextToken", token);
            let answer = self.ec2(region, look("ec2.DescribeInstanceTypes"), form).await?;
            let page: Set<InstanceType> = answer.read()?;
            Ok((page.set, page.next_token))
        })
        .await
    }

    /// The image with this id: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>.
    pub(in crate::aws) async fn describe_image(&self, region: &str, id: &str) -> Result<Option<MachineImage>> {
        Ok(self.describe_images(region, &[id.to_owned()]).await?.pop())
    }

    /// The images with these ids.
    pub(in crate::aws) async fn describe_images(&self, region: &str, ids: &[String]) -> Result<Vec<MachineImage>> {
        let form = ids
            .iter()
            .zip(1..)
            .fold(form("DescribeImages"), |form, (id, n): (_, usize)| form.with(format_args!("ImageId.{n}"), id));
        let answer = self.ec2(region, look("ec2.DescribeImages"), form).await?;
        Ok(answer.read::<Set<MachineImage>>()?.set)
    }

    /// Images of one owner by name. The owner is always set: anybody may give an image any name.
    pub(in crate::aws) async fn search_images(
        &self,
        region: &str,
        owner: &str,
        name: &str,
        architectures: &[&str],
    ) -> Result<Vec<MachineImage>> {
        let form = form("DescribeImages")
            .with("Owner.1", owner)
            .filter(1, "name", &[name])
            .filter(2, "architecture", architectures)
            .filter(3, "state", &["available"])
            .filter(4, "root-device-type", &["ebs"])
            .filter(5, "virtualization-type", &["hvm"]);
        let answer = self.ec2(region, look("ec2.DescribeImages"), form).await?;
        Ok(answer.read::<Set<MachineImage>>()?.set)
    }

    /// The network that comes with the account: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcs.html>.
    pub(in crate::aws) async fn default_vpc(&self, region: &str) -> Result<Option<String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Vpc {
            vpc_id: String,
        }
        let form = form("DescribeVpcs").filter(1, "is-default", &["true"]);
        let answer = self.ec2(region, look("ec2.DescribeVpcs"), form).await?;
        Ok(answer.read::<Set<Vpc>>()?.set.pop().map(|vpc| vpc.vpc_id))
    }

    /// Uploads a public key: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportKeyPair.html>.
    pub(in crate::aws) async fn import_key_pair(
        &self,
        region: &str,
        name: &str,
        base64: &str,
        tags: &Tags,
    ) -> Result<()> {
        let form = form("ImportKeyPair").with("KeyName", name).with("PublicKeyMaterial", base64);
        let form = form.tags(1, "key-pair", tags);
        self.ec2(region, Call::post("ec2.ImportKeyPair", "/").idempotent(), form).await.map(drop)
    }

    /// Keys that carry a tag, with their text:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeKeyPairs.html>.
    pub(in crate::aws) async fn key_pairs_tagged(&self, region: &str, key: &str, value: &str) -> Result<Vec<KeyPair>> {
        let form = form("DescribeKeyPairs").with("IncludePublicKey", true).filter(1, &format!("tag:{key}"), &[value]);
        Ok(self.ec2(region, look("ec2.DescribeKeyPairs"), form).await?.read::<Set<KeyPair>>()?.set)
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteKeyPair.html>.
    pub(in crate::aws) async fn delete_key_pair(&self, region: &str, id: &str) -> Result<()> {
        let call = Call::post("ec2.DeleteKeyPair", "/").idempotent().lane(Lane::Delete);
        let answer = self.ec2(region, call, form("DeleteKeyPair").with("KeyPairId", id)).await?;
        answer.accepted()
    }

    /// A new firewall: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>.
    pub(in crate::aws) async fn create_security_group(
        &self,
        region: &str,
        vpc: &str,
        name: &str,
        tags: &Tags,
    ) -> Result<SecurityGroup> {
        let form = form("CreateSecurityGroup")
            .with("GroupName", name)
            .with("GroupDescription", "Made by Capsule for its servers, and deleted with the last one")
            .with("VpcId", vpc)
            .tags(1, "security-group", tags);
        let call = Call::post("ec2.CreateSecurityGroup", "/").idempotent();
        self.ec2(region, call, form).await?.read()
    }

    /// Lets in SSH, HTTP, HTTPS and pings from everywhere:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html>.
    pub(in crate::aws) async fn open_security_group(&self, region: &str, group: &str) -> Result<()> {
        let mut form = form("AuthorizeSecurityGroupIngress").with("GroupId", group);
        // Echo requests are type 8, and 128 for IPv6; -1 is any code.
        let rules = [
            ("tcp", 22, 22, true, true),
            ("tcp", 80, 80, true, true),
            ("tcp", 443, 443, true, true),
            ("icmp", 8, -1, true, false),
            ("icmpv6", 128, -1, false, true),
        ];
        for ((protocol, from, to, v4, v6), n) in rules.into_iter().zip(1..) {
            let head = format!("IpPermissions.{n}");
            form = form
                .with(format_args!("{head}.IpProtocol"), protocol)
                .with(format_args!("{head}.FromPort"), from)
                .with(format_args!("{head}.ToPort"), to)
                .maybe(format_args!("{head}.IpRanges.1.CidrIp"), v4.then_some("0.0.0.0/0"))
                .maybe(format_args!("{head}.Ipv6Ranges.1.CidrIpv6"), v6.then_some("::/0"));
        }
        let call = Call::post("ec2.AuthorizeSecurityGroupIngress", "/").idempotent();
        self.ec2(region, call, form).await.map(drop)
    }

    /// Firewalls that all filters let through: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html>.
    pub(in crate::aws) async fn describe_security_groups(
        &self,
        region: &str,
        filters: &[(&str, &str)],
    ) -> Result<Vec<SecurityGroup>> {
        page::chained("security groups", |token| async move {
            let mut form = form("DescribeSecurityGroups").with("MaxResults", 1000).maybe("NextToken", token);
            for ((name, value), number) in filters.iter().zip(1..) {
                form = form.filter(number, name, &[value]);
            }
            let answer = self.ec2(region, look("ec2.DescribeSecurityGroups"), form).await?;
            let page: Set<SecurityGroup> = answer.read()?;
            Ok((page.set, page.next_token))
        })
        .await
    }

    /// Whether a server that is not terminated is behind a firewall. Asks for few: it may be behind thousands.
    pub(in crate::aws) async fn is_in_use(&self, region: &str, group: &str) -> Result<bool> {
        /// More than a filtered list ever takes for its first server.
        const MOST_PAGES: usize = 100;
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let form = form("DescribeInstances")
                .with("MaxResults", 5)
                .maybe("NextToken", next)
                .filter(1, "instance.group-id", &[group])
                .filter(2, "instance-state-name", &["pending", "running", "shutting-down", "stopping", "stopped"]);
            let answer = self.ec2(region, look("ec2.DescribeInstances").lane(Lane::Delete), form).await?;
            let (items, more) = answer.items::<Instance>()?;
            if !items.is_empty() {
                return Ok(true);
            }
            if more.is_none() {
                return Ok(false);
            }
            next = more;
        }
        Err(Error::new(ErrorKind::Protocol, format!("The servers in {group} have no last page."))
            .with_provider(crate::aws::convert::PROVIDER)
            .with_operation("ec2.DescribeInstances"))
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html>.
    pub(in crate::aws) async fn delete_security_group(&self, region: &str, group: &str) -> Result<()> {
        let call = Call::post("ec2.DeleteSecurityGroup", "/").idempotent().lane(Lane::Delete);
        let answer = self.ec2(region, call, form("DeleteSecurityGroup").with("GroupId", group)).await?;
        answer.accepted()
    }

    /// Disks that carry a tag.
    pub(in crate::aws) async fn volumes_tagged(&self, region: &str, key: &str, value: &str) -> Result<Vec<Volume>> {
        self.describe_volumes(region, &format!("tag:{key}"), &[value]).await
    }

    /// Disks that hang on any of these servers; at most [`MOST_VALUES`].
    pub(in crate::aws) async fn volumes_of(&self, region: &str, servers: &[&str]) -> Result<Vec<Volume>> {
        self.describe_volumes(region, "attachment.instance-id", servers).await
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVolumes.html>
    async fn describe_volumes(&self, region: &str, filter: &str, values: &[&str]) -> Result<Vec<Volume>> {
        page::chained("volumes", |token| async move {
            let form = form("DescribeVolumes").with("MaxResults", 500).maybe("NextToken", token);
            let answer = self.ec2(region, look("ec2.DescribeVolumes"), form.filter(1, filter, values)).await?;
            let page: Set<Volume> = answer.read()?;
            Ok((page.set, page.next_token))
        })
        .await
    }

    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVolume.html>.
    pub(in crate::aws) async fn delete_volume(&self, region: &str, volume: &str) -> Result<()> {
        let call = Call::post("ec2.DeleteVolume", "/").idempotent().lane(Lane::Delete);
        let answer = self.ec2(region, call, form("DeleteVolume").with("VolumeId", volume)).await?;
        answer.accepted()
    }
}

impl Answer {
    /// Fails for `<return>false</return>`; an answer without the word is a yes.
    fn accepted(&self) -> Result<()> {
        match self.read::<Returned>()?.ok {
            Some(false) => Err(self.unreadable(&"it says neither yes nor why not")),
            _ => Ok(()),
        }
    }
}
