//! Amazon Web Services. The official signing crate signs, so that the simulator's own check has a judge.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine;
use bytes::Bytes;
use capsule_core::http::Transport;
use capsule_core::{Clock, ManualClock};
use capsule_sim::{
    Fault, OTHER_AWS_ACCESS_KEY, OTHER_AWS_SECRET_KEY, Options, SANDBOX_AWS_ACCESS_KEY, SANDBOX_AWS_SECRET_KEY, Sim,
    What,
};
use futures_util::StreamExt;
use serde_json::{Value, json};

/// A client of one region.
#[derive(Clone)]
struct Client {
    transport: Arc<dyn Transport>,
    clock: Arc<ManualClock>,
    region: String,
    credentials: Credentials,
}

struct Reply {
    status: u16,
    body: String,
}

impl Reply {
    /// The text of every element of that name, in order.
    fn all(&self, element: &str) -> Vec<&str> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        self.body.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
    }

    fn first(&self, element: &str) -> &str {
        self.all(element).first().copied().unwrap_or_else(|| panic!("no {element} in {}", self.body))
    }

    /// Status and code of a refusal.
    fn refused(&self) -> (u16, &str) {
        (self.status, self.first("Code"))
    }

    /// The state of the first instance.
    fn state(&self) -> &str {
        self.first("instanceState").split("<name>").nth(1).unwrap().split('<').next().unwrap()
    }
}

impl Client {
    fn region(&self, region: &str) -> Self {
        Client { region: region.to_owned(), ..self.clone() }
    }

    fn key(&self, key: &str, secret: &str, token: Option<&str>) -> Self {
        let credentials = Credentials::new(key, secret, token.map(str::to_owned), None, "test");
        Client { credentials, ..self.clone() }
    }

    async fn try_send(&self, service: &str, request: http::request::Builder, body: String) -> Option<Reply> {
        let mut request = request.body(Bytes::from(body)).unwrap();
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::from(self.clock.now()))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let (method, uri) = (request.method().as_str(), request.uri().to_string());
        let signable = SignableRequest::new(method, uri, headers, SignableBody::Bytes(request.body())).unwrap();
        let signature = sign(signable, &params).unwrap().into_parts().0;
        signature.apply_to_request_http1x(&mut request);
        let (head, mut chunks) = self.transport.send(request).await.ok()?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.ok()?);
        }
        Some(Reply { status: head.status.as_u16(), body: String::from_utf8(body).unwrap() })
    }

    async fn try_ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Option<Reply> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", "2016-11-15").extend_pairs(parameters);
        let request = http::Request::post(format!("https://ec2.{}.amazonaws.com/", self.region))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        self.try_send("ec2", request, form.finish()).await
    }

    async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.try_ec2(action, parameters).await.unwrap_or_else(|| panic!("{action} got no answer"))
    }

    async fn json(&self, service: &str, host: &str, target: &str, body: Value) -> (u16, Value) {
        let request = http::Request::post(format!("https://{host}/"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target);
        let reply = self.try_send(service, request, body.to_string()).await.unwrap();
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    /// The current Ubuntu 24.04 for x86.
    async fn image(&self) -> String {
        let name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";
        let host = format!("ssm.{}.amazonaws.com", self.region);
        let (_, found) = self.json("ssm", &host, "AmazonSSM.GetParameter", json!({ "Name": name })).await;
        found["Parameter"]["Value"].as_str().unwrap().to_owned()
    }

    /// Orders one small server with some parameters more; the same name twice means the last.
    async fn run(&self, more: &[(&str, &str)]) -> Option<Reply> {
        let image = self.image().await;
        let mut parameters =
            vec![("ImageId", image.as_str()), ("InstanceType", "t3.micro"), ("MinCount", "1"), ("MaxCount", "1")];
        parameters.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        parameters.extend(more);
        self.try_ec2("RunInstances", &parameters).await
    }

    async fn instance(&self, id: &str) -> Reply {
        self.ec2("DescribeInstances", &[("InstanceId.1", id)]).await
    }
}

fn world() -> (Sim, Arc<ManualClock>, Client) {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let credentials = Credentials::new(SANDBOX_AWS_ACCESS_KEY, SANDBOX_AWS_SECRET_KEY, None, None, "test");
    let client =
        Client { transport: sim.transport(), clock: clock.clone(), region: "us-east-1".to_owned(), credentials };
    (sim, clock, client)
}

fn seconds(clock: &ManualClock, seconds: u64) {
    clock.advance(Duration::from_secs(seconds));
}

#[tokio::test]
async fn an_instance_lives_and_ends() {
    let (sim, clock, client) = world();
    let made = client
        .run(&[
            ("TagSpecification.1.ResourceType", "instance"),
            ("TagSpecification.1.Tag.1.Key", "capsule-owner"),
            ("TagSpecification.1.Tag.1.Value", "me"),
            ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
            ("BlockDeviceMapping.1.Ebs.VolumeSize", "20"),
        ])
        .await
        .unwrap();
    assert_eq!((made.status, made.state()), (200, "pending"));
    assert!(made.all("ipAddress").is_empty());
    let id = made.first("instanceId").to_owned();
    assert_eq!(id.len(), 19);

    seconds(&clock, 10);
    let running = client.instance(&id).await;
    assert_eq!(running.state(), "running");
    let address = running.first("ipAddress").to_owned();
    let health = client.ec2("DescribeInstanceStatus", &[("InstanceId.1", &id)]).await;
    assert!(health.first("systemStatus").contains("initializing"));
    seconds(&clock, 120);
    let health = client.ec2("DescribeInstanceStatus", &[("InstanceId.1", &id)]).await;
    assert!(health.first("systemStatus").contains("<status>ok</status>"));

    let stopping = client.ec2("StopInstances", &[("InstanceId.1", &id)]).await;
    assert!(stopping.first("currentState").contains("<code>64</code><name>stopping</name>"));
    assert!(stopping.first("previousState").contains("running"));
    let early = client.ec2("StartInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(early.refused(), (400, "IncorrectInstanceState"));
    seconds(&clock, 25);
    let stopped = client.instance(&id).await;
    assert_eq!((stopped.state(), stopped.all("ipAddress").len()), ("stopped", 0));
    client.ec2("StartInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(client.instance(&id).await.state(), "pending");
    seconds(&clock, 10);
    assert_ne!(client.instance(&id).await.first("ipAddress"), address, "each start gets another address");
    assert!(client.ec2("RebootInstances", &[("InstanceId.1", &id)]).await.body.contains("<return>true</return>"));
    assert_eq!(client.instance(&id).await.state(), "running", "a reboot does not show");

    assert_eq!(sim.ledger().unwrap().living().len(), 2, "the instance and its disk");
    client.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(client.instance(&id).await.state(), "shutting-down");
    seconds(&clock, 30);
    assert_eq!(client.instance(&id).await.state(), "terminated");
    assert_eq!(client.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await.status, 200);
    assert!(sim.ledger().unwrap().living().is_empty());
    seconds(&clock, 3600);
    assert_eq!(client.instance(&id).await.refused(), (400, "InvalidInstanceID.NotFound"));
    assert!(client.ec2("DescribeInstances", &[]).await.all("instanceId").is_empty());
}

#[tokio::test]
async fn a_client_token_makes_one_order_in_each_region() {
    let (sim, _, client) = world();
    sim.inject(Fault::once("aws", "ec2.RunInstances", What::LoseReplyAfterEffect)).unwrap();
    for what in [What::ListLag(Duration::from_secs(60)), What::ReadLag(Duration::from_secs(60))] {
        sim.inject(Fault::once("aws", "ec2.RunInstances", what)).unwrap();
    }
    let token = ("ClientToken", "one");
    assert!(client.run(&[token]).await.is_none());
    assert!(client.ec2("DescribeInstances", &[]).await.all("instanceId").is_empty(), "lists lag");
    let again = client.run(&[token]).await.unwrap();
    let id = again.first("instanceId").to_owned();
    assert_eq!(client.instance(&id).await.refused(), (400, "InvalidInstanceID.NotFound"), "reads lag");
    assert_eq!(client.run(&[token]).await.unwrap().first("instanceId"), id);
    let other = client.run(&[token, ("InstanceType", "t3.small")]).await.unwrap();
    assert_eq!(other.refused(), (400, "IdempotentParameterMismatch"));
    let machines = || sim.ledger().unwrap().births.iter().filter(|birth| birth.kind == "machine").count();
    assert_eq!(machines(), 1);
    assert_ne!(client.region("eu-west-1").run(&[token]).await.unwrap().first("instanceId"), id);
    assert_eq!(machines(), 2);
    let dry = client.run(&[("ClientToken", "two"), ("DryRun", "true")]).await.unwrap();
    assert_eq!(dry.refused(), (412, "DryRunOperation"));
    assert_eq!(machines(), 2);
}

#[tokio::test]
async fn lists_come_in_pages_and_filters_choose() {
    let (_, _, client) = world();
    let many = [("MinCount", "12"), ("MaxCount", "12")];
    let tag = [
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "env"),
        ("TagSpecification.1.Tag.1.Value", "a,b<c>"),
    ];
    let made = client.run(&many).await.unwrap();
    let tagged = client.run(&tag).await.unwrap().first("instanceId").to_owned();
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = client.ec2("DescribeInstances", &[("MaxResults", "5"), ("NextToken", &token)]).await;
        seen.extend(page.all("instanceId").into_iter().map(str::to_owned));
        match page.all("nextToken").first() {
            Some(next) => token = (*next).to_owned(),
            None => break,
        }
    }
    assert_eq!(seen[..12], made.all("instanceId"));
    assert_eq!(seen[12..], [tagged.as_str()]);
    for (name, value, expected) in [
        ("tag:env", "a,b<c>", vec![tagged.as_str()]),
        ("tag-key", "en?", vec![&tagged]),
        ("tag:env", "other", vec![]),
        ("instance-state-name", "running", vec![]),
        ("instance-id", "i-0123456789abcdef0", vec![]),
    ] {
        let found = client.ec2("DescribeInstances", &[("Filter.1.Name", name), ("Filter.1.Value.1", value)]).await;
        assert_eq!(found.all("instanceId"), expected, "{name}={value}");
    }
    for (parameters, code) in [
        (&[("MaxResults", "4")][..], "InvalidParameterValue"),
        (&[("MaxResults", "5"), ("InstanceId.1", &tagged)], "InvalidParameterCombination"),
        (&[("InstanceId.1", "i-0123456789abcdef0")], "InvalidInstanceID.NotFound"),
        (&[("InstanceId.1", "web-1")], "InvalidInstanceID.Malformed"),
        (&[("Filter.1.Name", "nonsense"), ("Filter.1.Value.1", "x")], "InvalidParameterValue"),
    ] {
        assert_eq!(client.ec2("DescribeInstances", parameters).await.refused(), (400, code), "{parameters:?}");
    }
    assert!(client.region("eu-west-1").ec2("DescribeInstances", &[]).await.all("instanceId").is_empty());
    let other = client.key(OTHER_AWS_ACCESS_KEY, OTHER_AWS_SECRET_KEY, None);
    assert!(other.ec2("DescribeInstances", &[]).await.all("instanceId").is_empty());
    assert_eq!(other.instance(&tagged).await.refused(), (400, "InvalidInstanceID.NotFound"));
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let (sim, clock, client) = world();
    let too_long = base64::prelude::BASE64_STANDARD.encode("x".repeat(16_385));
    for (parameter, value, code) in [
        ("ImageId", "ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("ImageId", "ubuntu", "InvalidAMIID.Malformed"),
        ("ImageId", "", "MissingParameter"),
        ("InstanceType", "x9.huge", "InvalidParameterValue"),
        ("InstanceType", "t4g.micro", "InvalidParameterValue"),
        ("MinCount", "2", "InvalidParameterValue"),
        ("MaxCount", "many", "InvalidParameterValue"),
        ("KeyName", "nobody's", "InvalidKeyPair.NotFound"),
        ("SecurityGroupId.1", "sg-0123456789abcdef0", "InvalidGroup.NotFound"),
        ("SubnetId", "subnet-0123456789abcdef0", "InvalidSubnetID.NotFound"),
        ("Placement.AvailabilityZone", "us-east-1x", "InvalidParameterValue"),
        ("UserData", "!", "InvalidUserData.Malformed"),
        ("UserData", &too_long, "InvalidParameterValue"),
        ("MetadataOptions.HttpTokens", "perhaps", "InvalidParameterValue"),
        ("ClientToken", &"t".repeat(65), "InvalidParameterValue"),
        ("Action", "Again", "MalformedQueryString"),
    ] {
        let refused = client.run(&[(parameter, value)]).await.unwrap();
        assert_eq!(refused.refused(), (400, code), "{parameter}={value}");
        seconds(&clock, 1);
    }
    let metal =
        client.run(&[("InstanceType", "m7i.large"), ("Placement.AvailabilityZone", "us-east-1f")]).await.unwrap();
    assert_eq!(metal.refused(), (400, "Unsupported"));
    sim.edit(|world| world.accounts.iter_mut().for_each(|account| account.machine_limit = 2)).unwrap();
    assert_eq!(
        client.run(&[("MinCount", "3"), ("MaxCount", "3")]).await.unwrap().refused(),
        (400, "VcpuLimitExceeded")
    );
    let some = client.run(&[("MaxCount", "3")]).await.unwrap();
    assert_eq!(some.all("amiLaunchIndex"), ["0", "1"], "as many as the quota leaves");
    sim.inject(Fault::once("aws", "ec2.RunInstances", What::NoCapacity)).unwrap();
    assert_eq!(client.run(&[]).await.unwrap().refused(), (500, "InsufficientInstanceCapacity"));
    assert_eq!(sim.ledger().unwrap().births.len(), 4, "two instances and their disks");
}

#[tokio::test]
async fn signatures_are_checked() {
    let (_, clock, client) = world();
    let ask = |client: Client| async move { client.ec2("DescribeRegions", &[]).await };
    assert_eq!(ask(client.clone()).await.all("regionName").len(), 7);
    let wrong = client.key(SANDBOX_AWS_ACCESS_KEY, "wrong", None);
    assert_eq!(ask(wrong).await.refused(), (403, "SignatureDoesNotMatch"));
    let stranger = client.key("AKIASTRANGER00000000", SANDBOX_AWS_SECRET_KEY, None);
    assert_eq!(ask(stranger.clone()).await.refused(), (401, "AuthFailure"));
    let temporary = SANDBOX_AWS_ACCESS_KEY.replace("AKIA", "ASIA");
    let session = client.key(&temporary, SANDBOX_AWS_SECRET_KEY, Some("sandbox-session-token"));
    assert_eq!(ask(session).await.status, 200);
    assert_eq!(ask(client.key(&temporary, SANDBOX_AWS_SECRET_KEY, None)).await.refused(), (401, "AuthFailure"));
    assert_eq!(ask(client.region("af-south-1")).await.refused(), (401, "AuthFailure"), "a region that is off");

    let slow = Client { clock: Arc::new(ManualClock::default()), ..client.clone() };
    seconds(&clock, 299);
    assert_eq!(ask(slow.clone()).await.status, 200);
    seconds(&clock, 2);
    assert_eq!(ask(slow).await.refused(), (400, "RequestExpired"));

    let sts = |client: Client, region: &'static str| async move {
        let request = http::Request::get(format!(
            "https://sts.{region}.amazonaws.com/?Version=2011-06-15&Action=GetCallerIdentity"
        ));
        client.try_send("sts", request, String::new()).await.unwrap()
    };
    assert_eq!(sts(client.clone(), "us-east-1").await.first("Account"), "123456789012");
    assert_eq!(sts(client.clone(), "eu-west-1").await.refused(), (403, "SignatureDoesNotMatch"), "another region's");
    assert_eq!(sts(stranger, "us-east-1").await.refused(), (403, "InvalidClientTokenId"));
}

#[tokio::test]
async fn each_action_is_throttled_in_each_region() {
    let (_, clock, client) = world();
    let mut refused = None;
    for _ in 0..5 {
        assert_eq!(client.run(&[]).await.unwrap().status, 200);
    }
    for _ in 0..2 {
        refused = client.run(&[]).await;
    }
    assert_eq!(refused.unwrap().refused(), (503, "RequestLimitExceeded"));
    assert_eq!(client.ec2("DescribeInstances", &[]).await.all("instanceId").len(), 5);
    assert_eq!(client.region("eu-west-1").run(&[]).await.unwrap().status, 200);
    seconds(&clock, 1);
    assert_eq!(client.run(&[]).await.unwrap().status, 200);
    assert_eq!(client.run(&[]).await.unwrap().status, 200);
    assert_eq!(client.run(&[]).await.unwrap().status, 503);
}

#[tokio::test]
async fn only_what_a_group_lets_in_comes_through() {
    let (sim, clock, client) = world();
    let group = client.ec2("CreateSecurityGroup", &[("GroupName", "web"), ("GroupDescription", "web")]).await;
    let group = group.first("groupId").to_owned();
    let default = client.run(&[]).await.unwrap().first("instanceId").to_owned();
    let web = client.run(&[("SecurityGroupId.1", &group)]).await.unwrap().first("instanceId").to_owned();
    clock.advance(Duration::from_secs(60));
    let net = sim.net();
    let lets_in = async |id: &str, port: u16| {
        let address = sim.look(|world| world.machine("aws", id).unwrap().ipv4).unwrap();
        tokio::select! {
            dialed = net.dial((address, port).into()) => dialed.map(drop).map_err(|error| error.kind()),
            () = clock.until(clock.now() + Duration::from_secs(5)) => Err(std::io::ErrorKind::TimedOut),
        }
    };
    let refused = Err(std::io::ErrorKind::ConnectionRefused);
    let dropped = Err(std::io::ErrorKind::TimedOut);
    for port in [22, 443] {
        assert_eq!([lets_in(&default, port).await, lets_in(&web, port).await], [dropped, dropped]);
    }
    // Not from elsewhere, not another protocol; but from everywhere.
    for (protocol, range, comes_through) in
        [("tcp", "10.0.0.0/8", false), ("udp", "0.0.0.0/0", false), ("tcp", "203.0.113.0/24", true)]
    {
        let rule = [
            ("GroupId", group.as_str()),
            ("IpPermissions.1.IpProtocol", protocol),
            ("IpPermissions.1.FromPort", "443"),
            ("IpPermissions.1.ToPort", "443"),
            ("IpPermissions.1.IpRanges.1.CidrIp", range),
        ];
        assert_eq!(client.ec2("AuthorizeSecurityGroupIngress", &rule).await.status, 200, "{range}");
        assert_eq!(lets_in(&web, 443).await, if comes_through { refused } else { dropped }, "{protocol} {range}");
    }
    assert_eq!([lets_in(&web, 22).await, lets_in(&default, 443).await], [dropped, dropped]);
}

#[tokio::test]
async fn a_group_is_held_until_the_instance_is_terminated() {
    let (_, clock, client) = world();
    let create = [("GroupName", "web"), ("GroupDescription", "for the web")];
    let group = client.ec2("CreateSecurityGroup", &create).await.first("groupId").to_owned();
    assert_eq!(client.ec2("CreateSecurityGroup", &create).await.refused(), (400, "InvalidGroup.Duplicate"));
    let open = [
        ("GroupId", group.as_str()),
        ("IpPermissions.1.IpProtocol", "tcp"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
    ];
    assert_eq!(client.ec2("AuthorizeSecurityGroupIngress", &open).await.first("cidrIpv4"), "0.0.0.0/0");
    let twice = client.ec2("AuthorizeSecurityGroupIngress", &open).await;
    assert_eq!(twice.refused(), (400, "InvalidPermission.Duplicate"));
    let id = client.run(&[("SecurityGroupId.1", &group)]).await.unwrap().first("instanceId").to_owned();
    let delete = [("GroupId", group.as_str())];
    assert_eq!(client.ec2("DeleteSecurityGroup", &delete).await.refused(), (400, "DependencyViolation"));
    client.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await;
    assert_eq!(client.ec2("DeleteSecurityGroup", &delete).await.refused(), (400, "DependencyViolation"));
    seconds(&clock, 30);
    assert_eq!(client.ec2("DeleteSecurityGroup", &delete).await.status, 200);
    assert_eq!(client.ec2("DeleteSecurityGroup", &delete).await.refused(), (400, "InvalidGroup.NotFound"));
}

#[tokio::test]
async fn a_disk_beside_the_root_stays_and_costs() {
    let (sim, clock, client) = world();
    let disk = [
        ("BlockDeviceMapping.1.DeviceName", "/dev/sdf"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "5"),
        ("TagSpecification.1.ResourceType", "volume"),
        ("TagSpecification.1.Tag.1.Key", "capsule-owner"),
        ("TagSpecification.1.Tag.1.Value", "me"),
    ];
    let id = client.run(&disk).await.unwrap().first("instanceId").to_owned();
    let mine = [("Filter.1.Name", "tag:capsule-owner"), ("Filter.1.Value.1", "me")];
    assert_eq!(client.ec2("DescribeVolumes", &mine).await.all("size"), ["8", "5"]);
    client.ec2("TerminateInstances", &[("InstanceId.1", &id)]).await;
    seconds(&clock, 30);
    let left = client.ec2("DescribeVolumes", &mine).await;
    assert_eq!((left.all("size"), left.first("status")), (vec!["5"], "available"));
    assert_eq!(sim.ledger().unwrap().orphans("me").len(), 1);
    let volume = [("VolumeId", left.first("volumeId"))];
    assert_eq!(client.ec2("DeleteVolume", &volume).await.status, 200);
    assert_eq!(client.ec2("DeleteVolume", &volume).await.refused(), (400, "InvalidVolume.NotFound"));
    assert!(sim.ledger().unwrap().living().is_empty());
}

#[tokio::test]
async fn a_failed_launch_says_why_and_leaves_nothing() {
    let (sim, clock, client) = world();
    sim.inject(Fault::once("aws", "ec2.RunInstances", What::LateFailure)).unwrap();
    let made = client.run(&[]).await.unwrap();
    assert_eq!(made.state(), "pending");
    seconds(&clock, 5);
    let failed = client.instance(made.first("instanceId")).await;
    assert_eq!(failed.state(), "terminated");
    assert!(failed.first("stateReason").contains("<code>Server.InsufficientInstanceCapacity</code>"));
    assert!(sim.ledger().unwrap().living().is_empty());
}

#[tokio::test]
async fn prices_and_images_can_be_looked_up() {
    let (_, _, client) = world();
    let filters: Vec<Value> = [("instanceType", "t3.micro"), ("regionCode", "eu-west-1"), ("capacitystatus", "Used")]
        .map(|(field, value)| json!({ "Type": "TERM_MATCH", "Field": field, "Value": value }))
        .into();
    let body = json!({ "ServiceCode": "AmazonEC2", "Filters": filters });
    let host = "api.pricing.us-east-1.amazonaws.com";
    let (status, list) = client.json("pricing", host, "AWSPriceListService.GetProducts", body).await;
    assert_eq!((status, list["PriceList"].as_array().unwrap().len()), (200, 1));
    let product: Value = serde_json::from_str(list["PriceList"][0].as_str().unwrap()).unwrap();
    assert_eq!(product["product"]["attributes"]["instanceType"], "t3.micro");
    assert!(product["terms"]["OnDemand"].to_string().contains("\"pricePerUnit\":{\"USD\":\"0.0113984000\"}"));
    let quota = json!({ "ServiceCode": "ec2", "QuotaCode": "L-1216C47A" });
    let host = "servicequotas.us-east-1.amazonaws.com";
    let (_, quota) = client.json("servicequotas", host, "ServiceQuotasV20190624.GetServiceQuota", quota).await;
    assert_eq!(quota["Quota"]["Value"], 40_000.0);
    let stranger = client.key("AKIASTRANGER00000000", "x", None);
    let ssm = "ssm.us-east-1.amazonaws.com";
    let (status, refused) = stranger.json("ssm", ssm, "AmazonSSM.GetParameter", json!({ "Name": "/x" })).await;
    assert_eq!((status, &refused["__type"]), (400, &json!("UnrecognizedClientException")));
    let (status, missing) = client.json("ssm", ssm, "AmazonSSM.GetParameter", json!({ "Name": "/x" })).await;
    assert_eq!((status, &missing["__type"]), (400, &json!("ParameterNotFound")));
    let noble = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*";
    let by_name = [("Filter.1.Name", "name"), ("Filter.1.Value.1", noble), ("Owner.1", "099720109477")];
    let images = client.ec2("DescribeImages", &by_name).await;
    assert_eq!(images.all("imageId").last().copied(), Some(client.image().await.as_str()));
    assert_eq!(client.ec2("DescribeImages", &by_name[..2]).await.all("imageId").len(), 3, "anybody may use a name");
    assert_eq!(client.ec2("DescribeInstanceTypes", &[("MaxResults", "5")]).await.all("instanceType").len(), 5);
}
