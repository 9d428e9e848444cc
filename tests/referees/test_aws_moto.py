"""moto is an EC2 that we did not write: the `capsule` binary works on it, and boto3 is asked what is there."""

import base64
import json
import os
import re
import subprocess
import urllib.request

import botocore.exceptions
import botocore.session
import botocore.validate
import pytest

from processes import ROOT

REGION = "us-east-1"


@pytest.fixture
def capsule(capsule_binary, moto, tmp_path):
    """`capsule(*arguments)` runs the binary against moto and gives its JSON; another exit code than `code` fails."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CAPSULE_HOME": str(tmp_path / "home"),
        "CAPSULE_AWS_ENDPOINT": moto.url,
        "AWS_ACCESS_KEY_ID": moto.access_key,
        "AWS_SECRET_ACCESS_KEY": moto.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def run(*arguments, code=0, **changes):
        done = subprocess.run(
            [capsule_binary, "-o", "json", *arguments],
            env={**env, **changes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        secrets = [moto.secret_key, *changes.values()]
        assert not [secret for secret in secrets if secret in done.stdout + done.stderr], "a secret was shown"
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def instances(ec2, *states):
    """What boto3 sees in these states."""
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": list(states)}] if states else []
    )
    return [instance for page in pages for group in page["Reservations"] for instance in group["Instances"]]


def test_costs_are_asked_for_once_and_as_the_model_says(capsule, moto):
    def post(path, body=None):
        data = json.dumps(body or {}).encode()
        urllib.request.urlopen(urllib.request.Request(moto.url + path, data=data, method="POST")).read()

    metric = {"UnblendedCost": {"Amount": "12.3456789", "Unit": "USD"}}
    group = {"Keys": ["EC2 - Other"], "Metrics": metric}
    result = {"ResultsByTime": [{"Total": {}, "Groups": [group], "Estimated": True}]}
    post("/moto-api/static/ce/cost-and-usage-results", {"results": [result]})
    post("/moto-api/recorder/reset-recording")
    post("/moto-api/recorder/start-recording")
    answer = capsule("cost", "--reconcile", "--paid-queries")
    post("/moto-api/recorder/stop-recording")
    recorded = urllib.request.urlopen(moto.url + "/moto-api/recorder/download-recording").read().decode()
    (row,) = answer["providers"]
    assert row["statement"]["charged"] == {"amount": "12.3456789", "currency": "USD"}
    assert row["statement"]["lines"][0]["what"] == "EC2 - Other"

    requests = [json.loads(line) for line in recorded.splitlines() if line]
    bodies = [request["body"] for request in requests if "GetCostAndUsage" in str(request["headers"])]
    assert len(bodies) == 1, "each request is paid for"
    shape = botocore.session.get_session().get_service_model("ce").operation_model("GetCostAndUsage").input_shape
    report = botocore.validate.ParamValidator().validate(json.loads(base64.b64decode(bodies[0])), shape)
    assert not report.has_errors(), report.generate_report()


def test_a_server_lives_once_from_deploy_to_delete(capsule, moto):
    ec2 = moto.client()
    home = ["--provider", "aws", "--region", REGION]
    # moto wants each disk's size; EC2 takes the image's.
    order = ["deploy", "web", *home, "--plan", "t3.micro", "--min-disk", "20", "--bare", "--tag", "env=test"]
    capsule(*order)

    (instance,) = instances(ec2)
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert instance["State"]["Name"] == "running"
    assert (instance["InstanceType"], instance["ImageId"]) == ("t3.micro", moto.image)
    assert (tags["Name"], tags["env"]) == ("web", "test")
    assert tags["capsule-owner"] and tags["capsule-token"]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"

    listed = capsule("list", *home)
    assert [server["name"] for server in listed["instances"]] == ["web"]
    assert listed["instances"][0]["native_id"] == instance["InstanceId"]

    capsule("stop", "web")
    assert [found["State"]["Name"] for found in instances(ec2)] == ["stopped"]
    capsule("start", "web")
    assert [found["State"]["Name"] for found in instances(ec2)] == ["running"]
    # The same name again is refused, and nothing is made.
    capsule(*order, code=1)
    assert len(instances(ec2)) == 1

    capsule("delete", "web", "--yes")
    assert instances(ec2, "pending", "running", "stopping", "stopped") == []
    # What create made beside it is gone as well.
    groups = [group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]]
    assert [name for name in groups if name != "default"] == []
    assert ec2.describe_volumes()["Volumes"] == []
    assert capsule("list", *home)["instances"] == []


def test_a_server_that_somebody_else_made_is_tagged_and_keeps_its_tags(capsule, moto):
    ec2 = moto.client()
    own = [{"Key": "Name", "Value": "legacy"}, {"Key": "team", "Value": "a & b"}]
    tags = [{"ResourceType": "instance", "Tags": own}]
    (made,) = ec2.run_instances(
        ImageId=moto.image, InstanceType="t3.micro", MinCount=1, MaxCount=1, TagSpecifications=tags
    )["Instances"]
    (adopted,) = capsule("adopt", f"aws/{REGION}/{made['InstanceId']}", "--foreign", "--tag")["adopted"]
    assert (adopted["name"], adopted["foreign"]) == ("legacy", True)
    found = {tag["Key"]: tag["Value"] for tag in instances(ec2, "running")[0]["Tags"]}
    assert (found.pop("Name"), found.pop("team"), list(found)) == ("legacy", "a & b", ["capsule-owner"])
    (listed,) = capsule("list", "--provider", "aws", "--region", REGION)["instances"]
    assert listed["tags"] == {"capsule-owner": found["capsule-owner"], "team": "a & b"}
    capsule("delete", "legacy", "--yes")
    assert instances(ec2, "pending", "running", "stopping", "stopped") == []


def test_a_wrong_secret_is_refused_with_exit_4(capsule, moto):
    with pytest.raises(botocore.exceptions.ClientError, match="AuthFailure"):
        moto.client(secret="wrong" * 8).describe_instances()
    capsule("list", "--provider", "aws", "--region", REGION, code=4, AWS_SECRET_ACCESS_KEY="wrong" * 8)


def test_the_driver_alone(moto):
    """The trait's calls one by one: a Rust test that needs moto's address."""
    command = ["cargo", "test", "--locked", "--all-features", "-p", "capsule-providers", "--test", "referee_moto"]
    env = {
        "CAPSULE_MOTO_URL": moto.url,
        "CAPSULE_MOTO_IMAGE": moto.image,
        "AWS_ACCESS_KEY_ID": moto.access_key,
        "AWS_SECRET_ACCESS_KEY": moto.secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^test result: ok. [1-9]", done.stdout, re.MULTILINE), done.stdout
    assert instances(moto.client(), "pending", "running", "stopping", "stopped") == []
