"""botocore's model, AWS's own description of its services, judges every request of our driver."""

import base64
import contextlib
import json
import re
import urllib.parse

import boto3
import botocore.serialize
import botocore.session
import botocore.validate
import pytest

from processes import ROOT, Driver
from recorder import Listener
from vendors import OWNER, TOKEN, ordered

REGION = "us-east-1"
KEY_ID, SECRET = "AKIASANDBOX000000000", "sandbox/secret/access/key/0000000000000000"
# Which service a form's version and a JSON target's prefix belong to.
VERSIONS = {"2016-11-15": "ec2", "2011-06-15": "sts"}
TARGETS = {
    "AmazonSSM": "ssm",
    "AWSPriceListService": "pricing",
    "ServiceQuotasV20190624": "service-quotas",
    "AWSInsightsIndexService": "ce",
}


@pytest.fixture(scope="module")
def models():
    """`models(service)`: the service as botocore describes it."""
    session = botocore.session.get_session()
    loaded = {}
    return lambda service: loaded.setdefault(service, session.get_service_model(service))


def wire_name(protocol, name, shape):
    """What a member is called in a form."""
    written = shape.serialization
    if protocol == "ec2":
        called = written.get("name", name)
        return written.get("queryName", called[:1].upper() + called[1:])
    return written.get("name", name)


def read(protocol, shape, fields):
    """A form's fields, by their dotted names, as what botocore would be told; fails for a name that it does not have."""
    if shape.type_name == "structure":
        members = {wire_name(protocol, name, member): (name, member) for name, member in shape.members.items()}
        groups = {}
        for path, value in fields.items():
            head, _, rest = path.partition(".")
            assert head in members, f"{shape.name} has no member {path}"
            groups.setdefault(head, {})[rest] = value
        return {members[head][0]: read(protocol, members[head][1], inner) for head, inner in groups.items()}
    if shape.type_name == "list":
        groups = {}
        for path, value in fields.items():
            number, _, rest = path.partition(".")
            groups.setdefault(int(number), {})[rest] = value
        assert sorted(groups) == list(range(1, len(groups) + 1)), f"{shape.name} is numbered {sorted(groups)}"
        return [read(protocol, shape.member, groups[number]) for number in sorted(groups)]
    ((rest, value),) = fields.items()
    assert not rest, f"{shape.name} is a single value and has no {rest}"
    if shape.type_name in ("integer", "long"):
        return int(value)
    if shape.type_name == "boolean":
        return {"true": True, "false": False}[value]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    return value


def check_words(shape, value):
    """Fails for a word that is none of those that may stand there."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            check_words(shape.members[name], inner)
    elif shape.type_name == "list":
        for inner in value:
            check_words(shape.member, inner)
    elif getattr(shape, "enum", None):
        assert value in shape.enum, f"{shape.name} is none of {value}"


def judge(models, headers, body):
    """The operation that a request is for; fails unless it is one that the model allows."""
    target = headers.get("x-amz-target")
    if target:
        prefix, name = target.split(".")
        service, asked = TARGETS[prefix], json.loads(body)
    else:
        form = urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True)
        fields = dict(form)
        assert len(fields) == len(form), f"a field comes twice: {form}"
        service, name = VERSIONS[fields.pop("Version")], fields.pop("Action")
    operation = models(service).operation_model(name)
    if not target:
        asked = read(operation.service_model.protocol, operation.input_shape, fields) if fields else {}
    report = botocore.validate.ParamValidator().validate(asked, operation.input_shape)
    assert not report.has_errors(), f"{service} {name} {asked}: {report.generate_report()}"
    check_words(operation.input_shape, asked)
    protocol = "json" if target else operation.service_model.protocol
    sent = botocore.serialize.create_serializer(protocol).serialize_to_request(asked, operation)
    # It allows no more than what botocore itself would send.
    if target:
        assert all(headers[name.lower()] == value for name, value in sent["headers"].items())
    else:
        ours = {**fields, "Action": name, "Version": operation.service_model.api_version}
        assert {key: str(value) for key, value in sent["body"].items()} == ours
    return f"{service} {name}"


def written_calls():
    """The operations that the driver writes."""
    folder = ROOT / "crates/providers/src/aws/api"
    text = "".join(path.read_text() for path in sorted(folder.glob("*.rs")))
    found = re.findall(r'(?:Call::post\(|look\()\s*"(\w+)\.(\w+)"', text)
    # One more is within `look` itself.
    assert len(found) == len(re.findall(r"Call::post\(|(?<!fn )look\(", text)) - 1, "a call is written in another way"
    return {f"{service.replace('servicequotas', 'service-quotas')} {name}" for service, name in found}


def foreign(url, **changes):
    """A server that somebody made with boto3, of an image that everybody has."""
    ec2 = boto3.client(
        "ec2", endpoint_url=url, region_name=REGION, aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET
    )
    filters = [{"Name": "name", "Values": ["ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-*"]}]
    image = ec2.describe_images(Owners=["099720109477"], Filters=filters)["Images"][0]["ImageId"]
    order = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    return ec2, image, ec2.run_instances(**{**order, **changes})["Instances"][0]["InstanceId"]


def test_every_request_is_one_that_the_model_has(sandbox, models, wait_until, table):
    with contextlib.closing(Listener(sandbox["aws"])) as listener:
        settings = {"access_key": KEY_ID, "secret_key": SECRET, "region": REGION}
        with Driver("aws", listener.url, settings) as driver:
            live(driver, sandbox["aws"], wait_until)
        counts = {}
        for request in listener.asked:
            operation = judge(models, request.headers, request.body.decode())
            # botocore asks for no kind of answer; STS takes a wish for JSON at its word.
            assert request.headers.get("accept", "*/*") == "*/*", operation
            counts[operation] = counts.get(operation, 0) + 1
    lines = [f"{count:5}  {operation}" for operation, count in sorted(counts.items())]
    table(["aws: requests that botocore's model allows", *lines])
    assert set(counts) == written_calls(), "a call that is added to the driver must be added here"


def live(driver, url, wait_until):
    """Every call of the trait, in every state that makes the driver send something else."""
    driver.ok("verify")
    driver.ok("catalog")
    spec = {"plan": "t3.micro", "region": REGION, "image": "ubuntu-24.04", "disk_gib": 20}
    (made,) = driver.ok("create", **ordered(["web"], **spec))
    server = made["id"]

    def shows(status):
        return lambda: driver.ok("get", id=server)["status"] == status

    wait_until("a server that runs", shows("running"))
    for scope in ("all", {"owner": OWNER}, {"token": TOKEN}):
        driver.ok("list", scope=scope)
    driver.ok("power", id=server, to="reboot")
    driver.ok("power", id=server, to="off")
    wait_until("a server that is off", shows("stopped"))
    driver.ok("power", id=server, to="on")
    wait_until("a server that runs again", shows("running"))
    driver.ok("power", id=server, to="force_off")
    driver.ok("statement")
    driver.ok("invoiced", month="2026-01-01")

    tags = [{"Key": "capsule-owner", "Value": OWNER}, {"Key": "capsule-token", "Value": TOKEN[::-1]}]
    # Its disk outlives it, as one does whose server was ended in the console.
    disk = [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}]
    ec2, image, other = foreign(
        url, BlockDeviceMappings=disk, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )
    driver.ok("mark", id=f"aws/{REGION}/{other}", owner=OWNER)
    ec2.terminate_instances(InstanceIds=[other])
    # By number, without a key, user-data and a disk's size.
    bare = {"image": image, "disk_gib": None, "ssh_keys": [], "user_data": None, "tags": {}}
    order = ordered(["bare"], **{**spec, **bare})
    order["order"]["token"] = TOKEN[1:] + TOKEN[0]
    (second,) = driver.ok("create", **order)
    for one in (second["id"], server):
        wait_until("an end", lambda one=one: "ok" in driver.call("delete", id=one))

    def left():
        return {one["kind"] for one in driver.ok("leftovers", owner=OWNER)}

    wait_until("a disk and a key that are left", lambda: left() == {"volume", "ssh_key"})
    driver.ok("remove_leftovers", owner=OWNER)
    assert left() == set()


NONSENSE = [
    ("Action=DescribeInstances&Version=2016-11-15&Filters.1.Name=a", "has no member"),
    ("Action=DescribeInstances&Version=2016-11-15&InstanceId.2=i-1", "is numbered"),
    ("Action=RunInstances&Version=2016-11-15&MinCount=1&ImageId=ami-1", "MaxCount"),
    ("Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1&InstanceType=t0.huge", "is none of"),
    ("Action=StopInstances&Version=2016-11-15&InstanceId.1=i-1&Force=yes", "yes"),
]


@pytest.mark.parametrize(("body", "why"), NONSENSE)
def test_what_the_model_does_not_have_is_noticed(models, body, why):
    """The referee itself."""
    with pytest.raises((AssertionError, KeyError), match=why):
        judge(models, {}, body)
