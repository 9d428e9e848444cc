//! The driver against a script of the vendor's answers.

use std::collections::HashMap;
use std::collections::VecDeque;

use bytes::Bytes;
use capsule_core::http::Ledgers;
use capsule_core::http::transport::{ByteStream, SendError, Transport, whole};
use capsule_core::{Effect, ExtraKind, InstanceSpec, ManualClock, OwnerId, SettingValue, SshKey, Tags, Token};
use proptest::prelude::*;

use super::*;

mod teardown;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUyyLjK8xLVs7m8xLpLbYmSoOgNv3dcCQ7Vq6yFLgwe me";
const OK: &str = "<R><return>true</return></R>";
const VPC: &str = "<R><vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet></R>";
const GROUP: &str = "<R><return>true</return><groupId>sg-1</groupId></R>";
/// The owner's, made by another order, and a stranger's.
const GROUPS: &str = "<R><securityGroupInfo><item><groupId>sg-1</groupId><groupName>capsule-0123456789abcdef</groupName></item>\
                      <item><groupId>sg-9</groupId><groupName>web</groupName></item></securityGroupInfo></R>";
const NONE: &str = "<R><requestId>1</requestId></R>";

/// Answers each action in turn; the last answer to an action stands for all that follow.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<HashMap<String, VecDeque<(u16, String)>>>,
    seen: Mutex<Vec<(String, String)>>,
}

impl Script {
    fn new(answers: &[(&str, u16, &str)]) -> Arc<Script> {
        let script = Script::default();
        for (action, status, body) in answers {
            let mut map = script.answers.lock().unwrap();
            map.entry((*action).to_owned()).or_default().push_back((*status, (*body).to_owned()));
        }
        Arc::new(script)
    }

    /// How often an action was asked for.
    fn count(&self, action: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|(seen, _)| seen == action).count()
    }

    /// What an action was last asked with.
    fn last(&self, action: &str) -> String {
        let seen = self.seen.lock().unwrap();
        seen.iter().rev().find(|(name, _)| name == action).map(|(_, body)| body.clone()).unwrap_or_default()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let action = match request.headers().get("x-amz-target") {
            Some(target) => target.to_str().unwrap().rsplit('.').next().unwrap().to_owned(),
            None => body.strip_prefix("Action=").unwrap().split('&').next().unwrap().to_owned(),
        };
        self.seen.lock().unwrap().push((action.clone(), format!("{} {body}", request.uri())));
        let mut answers = self.answers.lock().unwrap();
        let (status, body) = match answers.get_mut(&action) {
            Some(queue) if queue.len() > 1 => queue.pop_front().unwrap(),
            Some(queue) => queue[0].clone(),
            None => (400, error("NotInTheScript")),
        };
        Ok(http::Response::builder().status(status).body(whole(body)).unwrap())
    }
}

fn error(code: &str) -> String {
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>Because.</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
    )
}

/// One server in this state, of the sample's owner and token.
fn server(id: &str, code: u32, reason: &str) -> String {
    format!(
        "<R><reservationSet><item><instancesSet><item><instanceId>{id}</instanceId><instanceState><code>{code}</code></instanceState>\
         <stateReason><code>{reason}</code></stateReason><tagSet><item><key>capsule-token</key><value>0123456789abcdefghjkmnpqrs</value></item>\
         <item><key>capsule-owner</key><value>0123456789abcdef</value></item></tagSet>\
         </item></instancesSet></item></reservationSet></R>"
    )
}

fn driver(script: &Arc<Script>, regions: &[&str]) -> Aws {
    let mut settings = Settings { regions: regions.iter().map(|r| (*r).to_owned()).collect(), ..Settings::default() };
    for (key, value) in [("access_key", "AKID"), ("secret_key", "secret")] {
        let value = SettingValue { value: value.into(), source: "test".to_owned() };
        settings.values.insert(key.to_owned(), value);
    }
    let clock = Arc::new(ManualClock::default());
    Aws::new(Connect { settings, transport: script.clone(), clock, ledgers: Ledgers::default() }).unwrap()
}

fn order() -> Order {
    let mut tags = Tags::new();
    tags.insert("team", "a");
    Order {
        token: "0123456789abcdefghjkmnpqrs".parse().unwrap(),
        again: false,
        owner: "0123456789abcdef".parse().unwrap(),
        names: vec!["web".to_owned()],
        spec: InstanceSpec {
            plan: "t3.micro".to_owned(),
            region: "eu-west-1".to_owned(),
            image: "ubuntu-24.04".to_owned(),
            disk_gib: Some(40),
            ssh_keys: vec![SshKey::Public(KEY.to_owned())],
            user_data: Some("#cloud-config".to_owned()),
            tags,
        },
    }
}

fn id() -> InstanceId {
    InstanceId::new("aws", "eu-west-1", "i-1")
}

const IMAGES: &str = include_str!("samples/describe_images.xml");
const MADE: &str = include_str!("samples/run_instances.xml");
const TYPES: &str = include_str!("samples/describe_instance_types.xml");

fn creating(run: (u16, &str)) -> Vec<(&str, u16, &str)> {
    vec![
        ("DescribeInstanceTypes", 200, TYPES),
        ("GetParameter", 200, r#"{"Parameter":{"Name":"x","Value":"ami-0abcdef1234567890"}}"#),
        ("DescribeImages", 200, IMAGES),
        ("ImportKeyPair", 200, NONE),
        ("DescribeVpcs", 200, VPC),
        ("CreateSecurityGroup", 200, GROUP),
        ("AuthorizeSecurityGroupIngress", 200, OK),
        ("DeleteSecurityGroup", 200, OK),
        ("RunInstances", run.0, run.1),
        ("DescribeInstances", 200, NONE),
    ]
}

#[tokio::test]
async fn create_says_all_in_one_call() {
    let script = Script::new(&creating((200, MADE)));
    let made = driver(&script, &[]).create(&order()).await.unwrap().remove(0);
    assert_eq!((made.name.as_str(), made.status), ("web", InstanceStatus::Provisioning));
    assert_eq!(made.id.to_string(), "aws/eu-west-1/i-0abcdef1234567890");
    let sent = script.last("RunInstances");
    for part in [
        "https://ec2.eu-west-1.amazonaws.com/ ",
        "&Version=2016-11-15&",
        "&ClientToken=0123456789abcdefghjkmnpqrs&MinCount=1&MaxCount=1&ImageId=ami-0abcdef1234567890&InstanceType=t3.micro&",
        "&KeyName=capsule-",
        "&SecurityGroupId.1=sg-1&",
        "&UserData=I2Nsb3VkLWNvbmZpZw%3D%3D&",
        "&MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=2&",
        "&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true&\
         BlockDeviceMapping.1.Ebs.VolumeType=gp3&BlockDeviceMapping.1.Ebs.VolumeSize=40",
        "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=web&",
        ".Key=capsule-owner&TagSpecification.1.Tag.2.Value=0123456789abcdef&",
        "&TagSpecification.2.ResourceType=volume&",
    ] {
        assert!(sent.contains(part), "{part} is missing in {sent}");
    }
    assert!(script.last("CreateSecurityGroup").contains("TagSpecification.1.ResourceType=security-group&"));
    let rules = script.last("AuthorizeSecurityGroupIngress");
    // An xNode needs 80 and 443 as well: the account's own default group lets nothing in.
    for (nth, port) in [(1, 22), (2, 80), (3, 443)] {
        let rule = format!(
            "IpPermissions.{nth}.FromPort={port}&IpPermissions.{nth}.ToPort={port}&IpPermissions.{nth}.IpRanges.1.CidrIp=0.0.0.0%2F0\
             &IpPermissions.{nth}.Ipv6Ranges.1.CidrIpv6=%3A%3A%2F0"
        );
        assert!(rules.contains(&rule), "{rules}");
    }
    assert_eq!(script.count("DeleteSecurityGroup"), 0);
}

#[tokio::test]
async fn without_a_parameter_the_newest_image_is_searched() {
    let mut answers = creating((200, MADE));
    answers[1] = ("GetParameter", 400, include_str!("samples/error_ssm.json"));
    let script = Script::new(&answers);
    let aws = driver(&script, &[]);
    aws.create(&order()).await.unwrap();
    assert!(script.last("DescribeImages").contains("Owner.1=099720109477&"));
    assert!(script.last("RunInstances").contains("ImageId=ami-0abcdef1234567890&"));
    aws.create(&order()).await.unwrap();
    assert_eq!(script.count("DescribeImages"), 1, "what was found is kept");
}

#[tokio::test]
async fn what_is_there_already_is_used() {
    let (key, group, rule) =
        (error("InvalidKeyPair.Duplicate"), error("InvalidGroup.Duplicate"), error("InvalidPermission.Duplicate"));
    let mut answers = creating((200, MADE));
    answers[3] = ("ImportKeyPair", 400, &key);
    answers[5] = ("CreateSecurityGroup", 400, &group);
    answers[6] = ("AuthorizeSecurityGroupIngress", 400, &rule);
    let found = "<R><securityGroupInfo><item><groupId>sg-2</groupId></item></securityGroupInfo></R>";
    answers.push(("DescribeSecurityGroups", 200, found));
    let script = Script::new(&answers);
    driver(&script, &[]).create(&order()).await.unwrap();
    assert!(
        script
            .last("DescribeSecurityGroups")
            .contains("Value.1=capsule-0123456789abcdef&Filter.2.Name=vpc-id&Filter.2.Value.1=vpc-1")
    );
    assert!(script.last("RunInstances").contains("SecurityGroupId.1=sg-2&"));
}

#[tokio::test]
async fn a_refused_create_leaves_nothing_and_a_doubtful_one_everything() {
    let cases = [
        (500, "InsufficientInstanceCapacity", ErrorKind::NoCapacity, Effect::None, 1),
        (400, "VcpuLimitExceeded", ErrorKind::Quota, Effect::None, 1),
        (503, "RequestLimitExceeded", ErrorKind::RateLimited, Effect::None, 4),
        (500, "InternalError", ErrorKind::Unavailable, Effect::Unknown, 1),
        (400, "IdempotentParameterMismatch", ErrorKind::Conflict, Effect::Unknown, 1),
    ];
    for (status, code, kind, effect, sent) in cases {
        let body = error(code);
        let script = Script::new(&creating((status, &body)));
        let refused = driver(&script, &[]).create(&order()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.effect()), (kind, effect), "{code}");
        assert_eq!(refused.request_id(), Some("r-1"));
        assert_eq!(script.count("RunInstances"), sent, "{code}");
        assert_eq!(script.count("DeleteSecurityGroup"), usize::from(effect == Effect::None), "{code}");
    }
}

#[tokio::test]
async fn what_is_too_young_is_waited_for() {
    let (group, key) = (error("InvalidGroup.NotFound"), error("InvalidKeyPair.NotFound"));
    let mut answers = creating((400, &group));
    answers.extend([("RunInstances", 400, key.as_str()), ("RunInstances", 200, MADE)]);
    let script = Script::new(&answers);
    driver(&script, &[]).create(&order()).await.unwrap();
    assert_eq!(script.count("RunInstances"), 3);

    let script = Script::new(&creating((400, &key)));
    let mut order = order();
    order.spec.ssh_keys = vec![SshKey::Existing("nobody-has-this".to_owned())];
    let refused = driver(&script, &[]).create(&order).await.unwrap_err();
    assert_eq!((refused.kind(), script.count("RunInstances")), (ErrorKind::Invalid, 1));
}

#[tokio::test]
async fn many_launches_share_what_one_has_prepared() {
    let script = Script::new(&creating((200, MADE)));
    let aws = driver(&script, &[]);
    let orders: Vec<Order> = (0..20).map(|_| Order { token: Token::random(), ..order() }).collect();
    let made = futures_util::future::join_all(orders.iter().map(|order| aws.create(order))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    for (action, sent) in [
        ("DescribeInstanceTypes", 1),
        ("GetParameter", 1),
        ("DescribeImages", 1),
        ("ImportKeyPair", 1),
        ("DescribeVpcs", 1),
        ("CreateSecurityGroup", 1),
        ("AuthorizeSecurityGroupIngress", 1),
        ("RunInstances", 20),
    ] {
        assert_eq!(script.count(action), sent, "{action}");
    }
}

#[tokio::test]
async fn trouble_before_the_order_made_no_server() {
    let body = error("InternalError");
    let mut answers = creating((200, MADE));
    answers[4] = ("DescribeVpcs", 500, &body);
    let script = Script::new(&answers);
    let refused = driver(&script, &[]).create(&order()).await.unwrap_err();
    assert_eq!((refused.effect(), script.count("RunInstances")), (Effect::None, 0));
}

#[tokio::test]
async fn wrong_orders_send_nothing() {
    let wrong: [fn(&mut Order); 10] = [
        |order| order.names.push("two".to_owned()),
        |order| order.names[0] = String::new(),
        |order| order.spec.plan = String::new(),
        |order| order.spec.image = " ".to_owned(),
        |order| order.spec.region = "eu west".to_owned(),
        |order| order.spec.user_data = Some("x".repeat((16 << 10) + 1)),
        |order| order.spec.ssh_keys.push(SshKey::Existing("b".to_owned())),
        |order| order.spec.tags.insert("aws:x", ""),
        |order| order.spec.tags.insert("k", "v".repeat(257)),
        |order| order.spec.image = "windows-95".to_owned(),
    ];
    for (number, change) in wrong.into_iter().enumerate() {
        let script = Script::new(&creating((200, MADE)));
        let mut order = order();
        change(&mut order);
        let refused = driver(&script, &[]).create(&order).await.unwrap_err();
        assert_eq!((refused.kind(), refused.effect()), (ErrorKind::Invalid, Effect::None), "{number}");
        assert!(script.seen.lock().unwrap().is_empty(), "{number}");
    }
}

#[tokio::test]
async fn no_default_network_says_what_to_do() {
    let mut answers = creating((200, MADE));
    answers[4] = ("DescribeVpcs", 200, "<R><vpcSet/></R>");
    let refused = driver(&Script::new(&answers), &[]).create(&order()).await.unwrap_err();
    assert!(refused.hint().unwrap().contains("create-default-vpc --region eu-west-1"));
}

#[tokio::test]
async fn servers_are_read_whole() {
    let script = Script::new(&[("DescribeInstances", 200, include_str!("samples/describe_instances.xml"))]);
    let shown = driver(&script, &[]).get(&id()).await.unwrap().unwrap();
    assert_eq!((shown.name.as_str(), shown.plan.as_str()), ("Server & Co", "t3.micro"));
    assert_eq!(shown.created_at.unwrap().to_string(), "2026-01-22T17:17:30Z", "not the time of the last start");
    assert_eq!(shown.addresses.public_v4[0].to_string(), "54.194.252.215");
    assert_eq!(shown.addresses.public_v6[0].to_string(), "2001:db8:1234:1a2b::123");
    assert_eq!(shown.addresses.private[0].to_string(), "192.168.1.88");
    assert_eq!((shown.tags.token(), shown.tags.get("empty")), (Some("0123456789abcdefghjkmnpqrs"), Some("")));
    let metadata: serde_json::Value = serde_json::from_str(shown.metadata.get()).unwrap();
    assert_eq!(metadata["blockDeviceMapping"][0]["ebs"]["volumeId"], "vol-1234567890abcdef0");
}

#[tokio::test]
async fn lists_span_regions_and_fail_whole() {
    let regions = "<R><regionInfo><item><regionName>eu-west-1</regionName><optInStatus>opt-in-not-required</optInStatus></item>\
                   <item><regionName>me-south-1</regionName><optInStatus>not-opted-in</optInStatus></item>\
                   <item><regionName>us-east-1</regionName></item></regionInfo></R>";
    let (one, gone, refused) = (server("i-1", 16, ""), server("i-2", 48, ""), error("UnauthorizedOperation"));
    let script = Script::new(&[
        ("DescribeRegions", 200, regions),
        ("DescribeInstances", 200, &one),
        ("DescribeInstances", 200, &gone),
        ("DescribeInstances", 403, &refused),
    ]);
    let aws = driver(&script, &[]);
    let owner: OwnerId = "0123456789abcdef".parse().unwrap();
    let listed = aws.list(&Scope::Owner(owner)).await.unwrap();
    assert_eq!(listed.iter().map(|i| i.id.native.as_str()).collect::<Vec<_>>(), ["i-1"]);
    assert_eq!(script.count("DescribeInstances"), 2);
    assert!(
        script
            .last("DescribeInstances")
            .contains("Filter.1.Name=tag%3Acapsule-owner&Filter.1.Value.1=0123456789abcdef")
    );
    let failed = aws.list(&Scope::Token(Token::random())).await.unwrap_err();
    assert!(failed.message().starts_with("AWS region "), "{failed}");
}

#[tokio::test]
async fn a_region_that_the_vendor_garbles_is_not_called_the_users() {
    let regions = "<R><regionInfo><item><regionName>no such thing</regionName></item></regionInfo></R>";
    let failed = driver(&Script::new(&[("DescribeRegions", 200, regions)]), &[]).list(&Scope::All).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Protocol, "{failed}");
}

#[tokio::test]
async fn lists_follow_the_token() {
    let first = server("i-1", 16, "").replace("</R>", "<nextToken>more</nextToken></R>");
    let second = server("i-2", 80, "");
    let script = Script::new(&[("DescribeInstances", 200, &first), ("DescribeInstances", 200, &second)]);
    let listed = driver(&script, &["eu-west-1"]).list(&Scope::All).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(script.last("DescribeInstances").contains("&NextToken=more"));
}

#[tokio::test]
async fn missing_is_none_and_ok_and_not_found() {
    let missing = include_str!("samples/error_ec2.xml");
    let script = Script::new(&[("DescribeInstances", 400, missing), ("StartInstances", 400, missing)]);
    let aws = driver(&script, &[]);
    assert!(aws.get(&id()).await.unwrap().is_none());
    aws.delete(&id()).await.unwrap();
    assert_eq!(aws.power(&id(), Power::On).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_failed_launch_is_shown_until_it_is_deleted() {
    let failed = server("i-1", 48, "Server.InsufficientInstanceCapacity");
    let script = Script::new(&[
        ("DescribeInstances", 200, &failed),
        ("DescribeVolumes", 200, NONE),
        ("DescribeSecurityGroups", 200, NONE),
    ]);
    let aws = driver(&script, &["eu-west-1"]);
    let shown = aws.get(&id()).await.unwrap().unwrap();
    assert_eq!(shown.status, InstanceStatus::Failed);
    assert!(shown.fault.unwrap().contains("Server.InsufficientInstanceCapacity"));
    assert!(aws.list(&Scope::All).await.unwrap().is_empty());
    aws.delete(&id()).await.unwrap();
    assert!(aws.get(&id()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_power_conflict_is_looked_into() {
    let refused = error("IncorrectInstanceState");
    let cases = [
        (Power::On, 16, None),
        (Power::On, 0, None),
        (Power::On, 64, Some(ErrorKind::Conflict)),
        (Power::On, 48, Some(ErrorKind::NotFound)),
        (Power::Off, 64, None),
        (Power::ForceOff, 80, None),
        (Power::Off, 0, Some(ErrorKind::Conflict)),
        (Power::Reboot, 80, Some(ErrorKind::Conflict)),
    ];
    for (to, code, expected) in cases {
        let state = server("i-1", code, "");
        let script = Script::new(&[
            ("StartInstances", 400, &refused),
            ("StopInstances", 400, &refused),
            ("RebootInstances", 400, &refused),
            ("DescribeInstances", 200, &state),
        ]);
        let answer = driver(&script, &[]).power(&id(), to).await;
        assert_eq!(answer.err().map(|error| error.kind()), expected, "{to} in {code}");
    }
}

#[tokio::test]
async fn the_catalogue_prices_what_it_can() {
    let regions = "<R><regionInfo><item><regionName>eu-west-1</regionName></item><item><regionName>us-east-1</regionName></item></regionInfo></R>";
    let denied = r#"{"__type":"AccessDeniedException","Message":"no"}"#;
    let prices = include_str!("samples/get_products.json");
    let disk = include_str!("samples/get_products_disk.json");
    let parameters = r#"{"Parameters":[{"Value":"ami-0abcdef1234567890"}],"InvalidParameters":[]}"#;
    let nothing = r#"{"PriceList":[]}"#;
    // The hour of a server, the month of a GiB and the size of the root disk: without one of them there is no price.
    for (servers, disk, images, hourly) in [
        ((200, prices), (200, disk), (200, IMAGES), Some("0.0173643835616438356164383562 USD")),
        ((400, denied), (200, disk), (200, IMAGES), None),
        ((200, prices), (400, denied), (200, IMAGES), None),
        ((200, prices), (200, nothing), (200, IMAGES), None),
        ((200, prices), (200, disk), (200, NONE), None),
    ] {
        let script = Script::new(&[
            ("DescribeRegions", 200, regions),
            ("DescribeInstanceTypes", 200, TYPES),
            ("GetProducts", servers.0, servers.1),
            ("GetProducts", disk.0, disk.1),
            ("GetParameters", 200, parameters),
            ("DescribeImages", images.0, images.1),
        ]);
        let catalog = driver(&script, &["eu-west-1"]).catalog().await.unwrap();
        assert_eq!((catalog.regions.len(), catalog.plans.len(), catalog.offers.len()), (2, 3, 3));
        let offer = catalog.offer("t3.micro", "eu-west-1").unwrap();
        let price = offer.price.as_ref();
        assert_eq!(price.map(|price| price.hourly().unwrap().to_string()).as_deref(), hourly);
        let extras = price.map(|price| price.extras.iter().map(|extra| (extra.what, extra.count)).collect::<Vec<_>>());
        let named = vec![(ExtraKind::RootDisk, 8), (ExtraKind::PublicIpv4, 1)];
        assert_eq!(extras, hourly.map(|_| named), "each is named");
        assert_eq!(catalog.offer("m7g.large", "eu-west-1").unwrap().price, None);
        assert!(catalog.image_for("ubuntu-24.04", catalog.plan("m7g.large").unwrap(), "eu-west-1").is_some());
    }
}

#[tokio::test]
async fn the_disks_of_many_servers_take_few_requests() {
    let volume = |id: &str, size: &str, kind: &str, beyond: &str, on: &str| {
        format!(
            "<item><volumeId>{id}</volumeId><size>{size}</size><volumeType>{kind}</volumeType>{beyond}<attachmentSet>{on}\
             </attachmentSet></item>"
        )
    };
    let on = |server: &str, ends: bool| {
        format!("<item><instanceId>{server}</instanceId><deleteOnTermination>{ends}</deleteOnTermination></item>")
    };
    let base = "<iops>3000</iops><throughput>125</throughput>";
    let first = [
        volume("vol-1", "8", "gp3", base, &on("i-1", true)),
        volume("vol-2", "50", "gp3", "<iops>6000</iops>", &on("i-1", true)),
        volume("vol-3", "20", "io2", "<iops>100</iops>", &[on("i-1", false), on("i-9999", true)].concat()),
    ];
    let second = volume("vol-4", "30", "gp3", base, &on("i-2", false));
    let page = |volumes: &str, next: &str| format!("<R><volumeSet>{volumes}</volumeSet>{next}</R>");
    let script = Script::new(&[
        ("DescribeVolumes", 200, &page(&first.concat(), "<nextToken>more</nextToken>")),
        ("DescribeVolumes", 200, &page(&second, "")),
        ("DescribeVolumes", 200, NONE),
    ]);
    let ids: Vec<InstanceId> = (1..=201).map(|n| InstanceId::new("aws", "eu-west-1", format!("i-{n}"))).collect();
    let told = driver(&script, &["eu-west-1"]).disks().unwrap().of(&ids).await.unwrap();
    // Two hundred servers a question, of which the first has two pages.
    assert_eq!(script.count("DescribeVolumes"), 3);
    assert!(script.last("DescribeVolumes").contains("Filter.1.Name=attachment.instance-id&Filter.1.Value.1=i-"));
    assert_eq!(told.keys().map(|id| id.native.as_str()).collect::<Vec<_>>(), ["i-1", "i-2"]);
    let facts = |id: &InstanceId| -> Vec<(u64, &str, bool, bool)> {
        told[id].iter().map(|d| (d.bytes >> 30, d.kind.as_str(), d.is_usual, d.ends_with_server)).collect()
    };
    let beyond = "gp3 beyond its baseline";
    assert_eq!(facts(&ids[0]), [(8, "gp3", true, true), (50, beyond, false, true), (20, "io2", false, false)]);
    assert_eq!(facts(&ids[1]), [(30, "gp3", true, false)]);
    let refused = Script::new(&[("DescribeVolumes", 403, &error("UnauthorizedOperation"))]);
    let refused = driver(&refused, &["eu-west-1"]).disks().unwrap().of(&ids[..1]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
}

#[tokio::test]
async fn a_disk_too_small_for_its_image_is_refused_before_anything_is_made() {
    let script = Script::new(&creating((200, MADE)));
    let mut small = order();
    small.spec.disk_gib = Some(7);
    let refused = driver(&script, &[]).create(&small).await.unwrap_err();
    assert_eq!((refused.kind(), refused.effect()), (ErrorKind::Invalid, Effect::None));
    assert!(refused.hint().unwrap().contains("--min-disk 8"), "{refused:?}");
    assert_eq!(script.count("CreateSecurityGroup") + script.count("RunInstances"), 0);
}

#[tokio::test]
async fn the_account_is_named() {
    let who = "<R><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><Account>123456789012</Account></GetCallerIdentityResult></R>";
    let refused = error("UnauthorizedOperation");
    let quota = r#"{"Quota":{"QuotaCode":"L-1216C47A","Value":1920.0}}"#;
    let script = Script::new(&[
        ("GetCallerIdentity", 200, who),
        ("DescribeRegions", 200, NONE),
        ("DescribeRegions", 403, &refused),
        ("GetServiceQuota", 200, quota),
        ("GetServiceQuota", 400, r#"{"__type":"AccessDeniedException","message":"no"}"#),
    ]);
    let aws = driver(&script, &[]);
    let account = aws.verify().await.unwrap();
    assert_eq!((account.id.as_str(), account.notes.len()), ("arn:aws:iam::123456789012:user/me", 0));
    assert_eq!(account.quotas[0].limit, 1920);
    let account = aws.verify().await.unwrap();
    assert_eq!((account.notes.len(), account.quotas.len()), (2, 0), "what cannot be read is said");
    assert!(script.last("GetCallerIdentity").starts_with("https://sts.us-east-1.amazonaws.com/ "));
    let wrong = Script::new(&[("GetCallerIdentity", 403, include_str!("samples/error_sts.xml"))]);
    assert_eq!(driver(&wrong, &[]).verify().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[test]
fn half_a_key_pair_is_refused() {
    let mut settings = Settings::default();
    let value = SettingValue { value: "AKID".into(), source: "test".to_owned() };
    settings.values.insert("access_key".to_owned(), value);
    let (clock, ledgers) = (Arc::new(ManualClock::default()), Ledgers::default());
    let connect = Connect { settings, transport: Script::new(&[]), clock, ledgers };
    assert_eq!(Aws::new(connect).unwrap_err().kind(), ErrorKind::Unauthenticated);
}

fn any_xml() -> impl Strategy<Value = String> {
    let names = [
        "reservationSet",
        "instancesSet",
        "item",
        "instanceId",
        "instanceState",
        "code",
        "tagSet",
        "ipAddress",
        "launchTime",
    ];
    let leaf = prop_oneof![Just(String::new()), "[ -;=?-~]{0,6}".prop_map(|text| text.replace('&', ""))];
    leaf.prop_recursive(6, 40, 4, move |inner| {
        prop::collection::vec((prop::sample::select(names.to_vec()), inner), 0..4)
            .prop_map(|parts| parts.iter().map(|(name, inside)| format!("<{name}>{inside}</{name}>")).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_answer_gives_servers_or_a_protocol_error(inside in any_xml()) {
        let script = Script::new(&[("DescribeInstances", 200, &format!("<R>{inside}</R>"))]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if let Err(error) = runtime.block_on(driver(&script, &["eu-west-1"]).list(&Scope::All)) {
            prop_assert_eq!(error.kind(), ErrorKind::Protocol);
        }
    }
}

#[test]
fn a_region_of_another_vendor_is_none_of_ours() {
    for ours in ["us-east-1", "us-gov-west-1", "eusc-de-east-1", "ap-southeast-7", "mx-central-1"] {
        assert_eq!(regions(ours), [ours]);
    }
    for theirs in ["nyc1", "us-east", "us-southeast", "fr-par-2", "TPA1", "da", "ewr", "us-east-", "-1", "east-1", ""] {
        assert!(regions(theirs).is_empty(), "{theirs}");
    }
}
