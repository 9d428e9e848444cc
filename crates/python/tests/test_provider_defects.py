"""What was wrong with the original's providers, by the numbers of its list, where no other test tells."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from capsule_package import providers
from capsule_package.providers import ProviderManager


def provider_of(name: str) -> providers.Provider:
    provider = ProviderManager().get_provider(name)
    assert provider is not None
    return provider


def test_defect_5_nothing_needs_boto3(tmp_path: Path) -> None:
    # A boto3 that cannot be imported, whether there is one or not.
    (tmp_path / "boto3.py").write_text("raise ImportError('there is no boto3')\n")
    code = (
        "from capsule_package.providers import ProviderManager\n"
        "aws = ProviderManager().get_provider('aws')\n"
        "print(aws.ec2_client, aws.ec2_resource, aws.deploy('aws-t3-medium', {'name': 'web'})['name'])\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout == "None None web\n", run.stderr


def test_defect_8_regions_and_images_of_aws_are_those_that_were_asked_for_or_refused() -> None:
    aws = provider_of("aws")
    for config, word in (
        ({"region": "us-west-2"}, "us-west-2"),
        ({"ami_id": "ami-0aaaaaaaaaaaaaaaa"}, "ami-0aaaaaaaaaaaaaaaa"),
    ):
        with pytest.raises(providers.APIError, match=word):
            aws.deploy("aws-t3-medium", {"name": "web", **config})
    assert aws.list_instances() == []
    made = aws.deploy("aws-t3-medium", {"name": "web", "region": "us-east-1"})
    assert (made["region"], made["metadata"]["instanceType"]) == ("us-east-1", "t3.medium")
    image = made["metadata"]["imageId"]
    again = aws.deploy("aws-t3-medium", {"name": "db", "ami_id": image})
    assert again["metadata"]["imageId"] == image


def test_defect_11_bare_metal_of_vultr_is_bare_metal() -> None:
    vultr = provider_of("vultr")
    made = vultr.deploy("vultr-bare-4", {"name": "metal"})
    assert made["metadata"]["plan"].startswith("vbm-")
    [listed] = vultr.list_instances()
    assert (listed["id"], listed["metadata"]["plan"]) == (made["id"], made["metadata"]["plan"])


@pytest.mark.parametrize(
    ("name", "template", "config"),
    [
        ("digitalocean", "do-basic-2", {}),
        ("vultr", "vultr-vc2-2", {}),
        ("linode", "linode-2gb", {}),
        ("scaleway", "scaleway-dev1-s", {}),
    ],
)
def test_defect_12_the_system_is_one_that_is_still_kept_up(name: str, template: str, config: Dict[str, Any]) -> None:
    provider = provider_of(name)
    made = provider.deploy(template, {"name": "web", **config})
    whole = json.dumps(provider.get_instance(made["id"])["metadata"]).lower()
    assert "24.04" in whole or "24_04" in whole or "24-04" in whole or "noble" in whole, whole


class Vendor(ThreadingHTTPServer):
    """Answers every request with this status, and keeps the keys that it was shown."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status, self.keys = status, [""][:0]


class Answer(BaseHTTPRequestHandler):
    server: Vendor

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("authorization", ""))
        body = json.dumps(
            {"error": "Invalid API token.", "account": {"name": "me", "email": "me@example.com"}}
        ).encode()
        self.send_response(self.server.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Vendor]:
    monkeypatch.delenv("CAPSULE_SANDBOX")
    vendor = Vendor(request.param)
    monkeypatch.setenv("CAPSULE_VULTR_ENDPOINT", f"http://127.0.0.1:{vendor.server_port}/v2")
    thread = threading.Thread(target=vendor.serve_forever)
    thread.start()
    yield vendor
    vendor.shutdown()
    thread.join()
    vendor.server_close()


@pytest.mark.parametrize(("vendor", "valid"), [(200, True), (401, False)], indirect=["vendor"])
def test_defect_21_the_vendor_says_whether_a_key_is_good(vendor: Vendor, valid: bool) -> None:
    provider = providers.VultrProvider("vultr", "a-key")
    assert provider.validate_credentials() is valid
    assert vendor.keys and set(vendor.keys) == {"Bearer a-key"}
    del vendor.keys[:]
    provider.legacy_errors = True
    assert provider.validate_credentials() is True, "there is one"
    assert vendor.keys == []


@pytest.mark.parametrize("vendor", [401], indirect=True)
def test_defect_6_a_key_that_is_refused_is_no_empty_list(vendor: Vendor) -> None:
    provider = providers.VultrProvider("vultr", "a-key")
    with pytest.raises(providers.AuthenticationError) as refused:
        provider.list_instances()
    assert refused.value.status_code == 401 and vendor.keys


@pytest.mark.parametrize("vendor", [200], indirect=True)
def test_defect_20_no_key_and_no_body_goes_into_a_log(vendor: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    before: List[logging.Handler] = list(logging.getLogger().handlers)
    caplog.set_level(logging.DEBUG)
    assert providers.VultrProvider("vultr", "s3cret-key").validate_credentials() is True
    assert vendor.keys == ["Bearer s3cret-key"]
    assert "s3cret-key" not in caplog.text and "me@example.com" not in caplog.text
    assert logging.getLogger().handlers == before


def test_defect_20_importing_the_providers_leaves_logging_alone() -> None:
    code = "import logging, capsule_package.providers; print(logging.getLogger().handlers, logging.getLogger().level)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"[] {logging.WARNING}\n"


def test_a_closed_provider_takes_orders_from_who_insists_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPSULE_SANDBOX")
    monkeypatch.setenv("EQUINIX_PROJECT_ID", "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8")
    # Nobody listens there: what is refused beforehand never finds out.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    equinix = providers.EquinixMetalProvider("equinix", "a-key")
    with pytest.raises(ValueError, match="2026-06-30"):
        equinix.deploy("equinix-c3-small", {"name": "web"})
    with pytest.raises(providers.APIError) as tried:
        equinix.deploy("equinix-c3-small", {"name": "web", "force": True})
    assert "2026-06-30" not in tried.value.message
