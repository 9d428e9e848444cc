"""boto3, AWS's own SDK, works on the simulated EC2."""

import base64
import datetime
import json

import boto3
import botocore.config
import botocore.exceptions
import pytest

REGION = "us-east-1"
UBUNTU = "099720109477"
# What the sandbox takes; a simulated cloud has nothing to protect.
KEY_ID, SECRET = "AKIASANDBOX000000000", "sandbox/secret/access/key/0000000000000000"


@pytest.fixture
def aws(sandbox):
    """`aws(service, secret=...)`: boto3 against the sandbox, without retries that would hide a failure."""

    def client(service="ec2", secret=SECRET, region=REGION):
        return boto3.client(
            service,
            endpoint_url=sandbox["aws"],
            region_name=region,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=secret,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )

    return client


def ubuntu(ec2):
    filters = [
        {"Name": "name", "Values": ["ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"]},
        {"Name": "architecture", "Values": ["x86_64"]},
        {"Name": "state", "Values": ["available"]},
    ]
    images = ec2.describe_images(Owners=[UBUNTU], Filters=filters)["Images"]
    return max(images, key=lambda image: image["CreationDate"])["ImageId"]


def run(ec2, count=1, **changes):
    tags = [{"Key": "Name", "Value": "web"}, {"Key": "env", "Value": "test"}]
    order = {
        "ImageId": ubuntu(ec2),
        "InstanceType": "t3.micro",
        "MinCount": count,
        "MaxCount": count,
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    }
    return [one["InstanceId"] for one in ec2.run_instances(**{**order, **changes})["Instances"]]


def state(ec2, instance):
    (group,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    return group["Instances"][0]["State"]["Name"]


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(**arguments)
    return raised.value.response["Error"]["Code"]


def test_an_instance_lives_from_order_to_end(aws, wait_until):
    ec2 = aws()
    assert aws("sts").get_caller_identity()["Arn"].startswith("arn:aws:")
    assert REGION in [region["RegionName"] for region in ec2.describe_regions()["Regions"]]
    name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
    assert aws("ssm").get_parameter(Name=name)["Parameter"]["Value"] == ubuntu(ec2)

    (instance,) = run(ec2, UserData="#cloud-config\n", MetadataOptions={"HttpTokens": "required"})

    def reach(wanted):
        wait_until(f"the state {wanted}", lambda: state(ec2, instance) == wanted)

    reach("running")
    (group,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    found = group["Instances"][0]
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {"Name": "web", "env": "test"}
    assert found["PublicIpAddress"] and found["PrivateIpAddress"]
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])["Volumes"]
    assert [volume["State"] for volume in volumes] == ["in-use"]

    ec2.stop_instances(InstanceIds=[instance])
    reach("stopped")
    ec2.start_instances(InstanceIds=[instance])
    reach("running")
    ec2.reboot_instances(InstanceIds=[instance])
    ec2.terminate_instances(InstanceIds=[instance])
    reach("terminated")
    # Again is no error, and nothing that was billed is left.
    ec2.terminate_instances(InstanceIds=[instance])
    assert ec2.describe_volumes()["Volumes"] == []


def test_pages_and_filters_show_every_instance_once(aws):
    ec2 = aws()
    made = run(ec2, count=13, ClientToken="one-order")
    # The token makes the order the same order.
    assert sorted(run(ec2, count=13, ClientToken="one-order")) == sorted(made)
    assert refused(run, ec2=ec2, count=12, ClientToken="one-order") == "IdempotentParameterMismatch"

    for filters in (
        [],
        [{"Name": "tag:env", "Values": ["test"]}],
        [{"Name": "client-token", "Values": ["one-order"]}],
        [{"Name": "instance-state-name", "Values": ["pending", "running"]}],
    ):
        pages = list(
            ec2.get_paginator("describe_instances").paginate(Filters=filters, PaginationConfig={"PageSize": 5})
        )
        found = [one["InstanceId"] for page in pages for group in page["Reservations"] for one in group["Instances"]]
        assert sorted(found) == sorted(made), filters
        assert len(pages) >= 3, filters
    types = ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 5})
    names = [one["InstanceType"] for page in types for one in page["InstanceTypes"]]
    assert "t3.micro" in names and len(names) == len(set(names))
    # Another region is another place.
    assert aws(region="eu-central-1").describe_instances()["Reservations"] == []


def test_keys_and_groups_outlive_no_rule(aws, wait_until):
    ec2 = aws()
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me@example.com"
    ec2.import_key_pair(KeyName="me", PublicKeyMaterial=public.encode())
    assert refused(ec2.import_key_pair, KeyName="me", PublicKeyMaterial=public.encode()) == "InvalidKeyPair.Duplicate"
    group = ec2.create_security_group(GroupName="web", Description="ports of an xNode")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    (shown,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert shown["IpPermissions"][0]["FromPort"] == 22

    (instance,) = run(ec2, KeyName="me", SecurityGroupIds=[group])
    assert refused(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.terminate_instances(InstanceIds=[instance])
    wait_until("its end", lambda: state(ec2, instance) == "terminated")
    ec2.delete_security_group(GroupId=group)
    ec2.delete_key_pair(KeyName="me")
    assert ec2.describe_key_pairs()["KeyPairs"] == []


def test_errors_are_the_vendors_own(aws):
    ec2 = aws()
    assert refused(aws(secret="wrong").describe_instances) == "SignatureDoesNotMatch"
    assert refused(ec2.describe_instances, InstanceIds=["i-0123456789abcdef0"]) == "InvalidInstanceID.NotFound"
    assert refused(ec2.terminate_instances, InstanceIds=["i-0123456789abcdef0"]) == "InvalidInstanceID.NotFound"
    assert refused(run, ec2=ec2, ImageId="ami-0123456789abcdef0") == "InvalidAMIID.NotFound"
    assert refused(run, ec2=ec2, KeyName="nobody") == "InvalidKeyPair.NotFound"
    assert refused(run, ec2=ec2, InstanceType="t99.mega") in ("InvalidInstanceType", "InvalidParameterValue")
    large = base64.b64encode(b"x" * 20_000).decode()
    assert refused(run, ec2=ec2, UserData=large).startswith("Invalid")
    assert ec2.describe_instances()["Reservations"] == []


def test_prices_and_costs_are_read(aws):
    pricing = aws("pricing")
    filters = {"regionCode": "eu-central-1", "productFamily": "Storage", "volumeApiName": "gp3"}
    found = pricing.get_products(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()],
    )["PriceList"]
    (product,) = [json.loads(text) for text in found]
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert (dimension["unit"], dimension["pricePerUnit"]) == ("GB-Mo", {"USD": "0.0952"})

    ce, today = aws("ce"), datetime.date.today()
    first = today.replace(day=1)
    next_first = (first + datetime.timedelta(days=32)).replace(day=1)
    asked = {"Granularity": "MONTHLY", "Metrics": ["UnblendedCost"]}
    period = {"Start": str(first), "End": str(next_first)}
    (month,) = ce.get_cost_and_usage(TimePeriod=period, **asked)["ResultsByTime"]
    # Hours late: of servers that are minutes old nothing is known.
    assert month["Total"]["UnblendedCost"] == {"Amount": "0", "Unit": "USD"}
    assert month["Estimated"]
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        ce.get_cost_and_usage(TimePeriod={**period, "End": str(next_first + datetime.timedelta(days=40))}, **asked)
    assert refused.value.response["Error"]["Code"] == "ValidationException"
