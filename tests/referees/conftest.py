"""What every referee test shares: the servers, and the tables printed at the end."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request

import boto3
import pytest

from contract import Contract
from processes import CONTRACTS, HERE, TARGET, Driver, free_port, program, running
from recorder import Recorder

TABLES = pytest.StashKey[list]()


@contextlib.contextmanager
def described(provider, log, upstream=None):
    """Prism on a vendor's description, with a recorder in front of it.

    Alone it answers from the description's examples and refuses what breaks it. With an `upstream` it passes requests
    on and only notes what breaks the description, in either direction: see `Recorder.violations`.
    """
    binary = program(str(HERE / "node_modules" / ".bin" / "prism"), "Run `./test.sh referees`, which installs it.")
    contract, port = Contract(CONTRACTS / f"{provider}.openapi.json"), free_port()
    mode = ["proxy", str(contract.path), upstream] if upstream else ["mock", str(contract.path), "--errors"]
    command = [binary, *mode, "-h", "127.0.0.1", "-p", str(port)]
    # It reads and compiles the description for up to half a minute.
    with running(command, url=f"http://127.0.0.1:{port}/", log=log, seconds=120):
        recorder = Recorder(contract, port)
        try:
            yield recorder
        finally:
            recorder.close()


@pytest.fixture(scope="session")
def prism_mock(tmp_path_factory):
    """`prism_mock(provider)`: a vendor played by Prism from the description's examples."""
    with contextlib.ExitStack() as stack:
        yield lambda provider: stack.enter_context(described(provider, tmp_path_factory.mktemp("prism") / "log"))


@pytest.fixture(scope="module")
def prism(prism_mock, request):
    """The vendor that the file names as its `PROVIDER`."""
    return prism_mock(request.module.PROVIDER)


@pytest.fixture
def connect(prism, request):
    """A driver that asks it, with the file's `SETTINGS` and `BASE` path; a fresh one, which has learnt nothing yet."""
    file = request.module
    return lambda: Driver(file.PROVIDER, prism.url + file.BASE, file.SETTINGS)


@pytest.fixture(scope="module")
def seen(prism, table, request):
    """Operation -> how many requests Prism found valid, over all tests of a file."""
    counts = {}
    yield counts
    lines = [f"{request.module.PROVIDER}: requests that passed the vendor's description"]
    table(lines + [f"{count:5}  {operation}" for operation, count in sorted(counts.items())])


@pytest.fixture
def judged(prism, seen, request):
    """After the test: no request broke the description, or named what it has no word for and the file's `BEYOND`
    neither."""
    yield
    assert prism.exchanges, "nothing was sent"
    assert not prism.violations(), "\n".join(prism.violations())
    undeclared = prism.undeclared(getattr(request.module, "BEYOND", {}))
    assert not undeclared, "\n".join(undeclared)
    for exchange in prism.exchanges:
        seen[str(exchange.operation)] = seen.get(str(exchange.operation), 0) + 1


@pytest.fixture
def prism_proxy(tmp_path):
    """`prism_proxy(provider, upstream)`: Prism between a client and a simulator."""
    with contextlib.ExitStack() as stack:
        yield lambda provider, upstream: stack.enter_context(described(provider, tmp_path / "prism.log", upstream))


@pytest.fixture(scope="session")
def capsule_binary():
    return program(str(TARGET / "capsule"), "Run `cargo build -p capsule`.")


@contextlib.contextmanager
def serving(capsule_binary, tmp_path, *options, speed=100):
    """`capsule sandbox serve`: provider -> URL of its simulated API, without the version path."""
    command = [capsule_binary, "-o", "json", "sandbox", "serve", "--port", "0", "--speed", str(speed), *options]
    env = clean(tmp_path)
    with open(tmp_path / "serve.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=env)
    try:
        # The document may span lines: it is read until it is whole.
        text, serving = "", None
        while serving is None:
            line = process.stdout.readline().decode()
            assert line, f"sandbox serve ended: {(tmp_path / 'serve.log').read_text()}"
            text += line
            with contextlib.suppress(ValueError):
                serving = json.loads(text)["serving"]
        yield {entry["provider"]: entry["url"] for entry in serving}
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def clean(tmp_path):
    """The environment of a `capsule` that nothing else of this machine's may reach."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CAPSULE_HOME": str(tmp_path / "home")}


@pytest.fixture
def sandbox(capsule_binary, tmp_path):
    """Simulated clouds of this test's own: provider -> URL."""
    with serving(capsule_binary, tmp_path, "--memory") as urls:
        yield urls


@pytest.fixture
def shared_sandbox(capsule_binary, tmp_path):
    """The same for other clients and for `capsule(*arguments)`, which gives the finished process with what it printed."""

    def capsule(*arguments):
        command = [capsule_binary, "--sandbox", "-o", "json", *arguments]
        return subprocess.run(command, env=clean(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    # What is in doubt is looked for until minutes have passed there.
    with serving(capsule_binary, tmp_path, speed=400) as urls:
        yield urls, capsule


@pytest.fixture(scope="session")
def wait_until():
    """`wait_until(what, probe)` asks until `probe()` is true, for 30 s at most; gives what it said."""

    def wait(what, probe):
        deadline = time.monotonic() + 30
        while not (found := probe()):
            assert time.monotonic() < deadline, f"waited 30 s in vain for {what}"
            time.sleep(0.1)
        return found

    return wait


# moto knows no Ubuntu 24.04. It gets three: the newest of Canonical's is the one to take, the newest of all is a trap.
UBUNTU = "099720109477"
IMAGES = {
    "ami-0b1000000000000a1": (UBUNTU, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250101", 2025),
    "ami-0b1000000000000a2": (UBUNTU, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260101", 2026),
    "ami-0b1000000000000a3": (
        "999999999999",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260601",
        2027,
    ),
}
NEWEST = "ami-0b1000000000000a2"


def moto_images():
    """`IMAGES` as moto reads them."""
    return [
        {
            "ami_id": image,
            "name": name,
            "description": name,
            "owner_id": owner,
            "public": True,
            "virtualization_type": "hvm",
            "architecture": "x86_64",
            "state": "available",
            "platform": None,
            "image_type": "machine",
            "hypervisor": "xen",
            "root_device_name": "/dev/sda1",
            "root_device_type": "ebs",
            "sriov": "simple",
            "creation_date": f"{year}-01-01T00:00:00.000Z",
        }
        for image, (owner, name, year) in IMAGES.items()
    ]


class Moto:
    """moto's server, with its checks of types, keys, images and signatures on, and one user who may do everything."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.image = NEWEST
        iam = boto3.client(
            "iam", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
        )
        iam.create_user(UserName="capsule")
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
        iam.put_user_policy(UserName="capsule", PolicyName="everything", PolicyDocument=policy)
        key = iam.create_access_key(UserName="capsule")["AccessKey"]
        self.access_key, self.secret_key = key["AccessKeyId"], key["SecretAccessKey"]
        # From here on every request is checked.
        reset = urllib.request.Request(f"{self.url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        urllib.request.urlopen(reset).close()

    def client(self, service="ec2", secret=None):
        """boto3, which shares no code with Capsule."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret or self.secret_key,
        )


@pytest.fixture
def moto(tmp_path):
    port = free_port()
    images = tmp_path / "images.json"
    images.write_text(json.dumps(moto_images()))
    checks = {
        "MOTO_AMIS_PATH": str(images),
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
        "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
        "MOTO_ENABLE_AMI_VALIDATION": "true",
        # What it records on request stays out of the tree.
        "MOTO_RECORDER_FILEPATH": str(tmp_path / "moto_recording"),
    }
    server = os.path.join(os.path.dirname(sys.executable), "moto_server")
    command = [program(server, "Run `./test.sh referees`, which installs it."), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, url=f"http://127.0.0.1:{port}/moto-api/", log=tmp_path / "moto.log", env=checks):
        yield Moto(port)


@pytest.fixture(scope="session")
def table(request):
    """`table(lines)` prints lines after the last test."""
    return request.config.stash.setdefault(TABLES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for lines in config.stash.get(TABLES, []):
        terminalreporter.section(lines[0])
        for line in lines[1:]:
            terminalreporter.line(line)
