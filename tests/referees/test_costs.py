"""What `capsule cost` writes for others: a bill that FOCUS's own validator takes, and a page that a browser shows."""

import csv
import decimal
import html.parser
import json
import os
import re
import subprocess

import pytest

from processes import ROOT, program

VALIDATOR = ROOT / ".venv-focus"
# What the simulated vendors do, in the validator's words.
SUPPORTED = [
    "USAGE_MEASUREMENT_SUPPORTED",
    "REGION_SUPPORTED",
    "TAGGING_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
]
# An invoice's number has to be null without an invoice and not null with one. The validator cannot tell and reports the
# half that does not hold, whatever stands there; that one of them holds is a rule of its own (InvoiceId-C-003-C).
EITHER = {"InvoiceId-C-005-C"}
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def costs(capsule_binary, tmp_path_factory):
    """A home with a few servers and a budget of a hostile name, what `cost` says and writes of it, and how to ask more."""
    home = tmp_path_factory.mktemp("costs")
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def capsule(*args):
        command = [capsule_binary, "--sandbox", "--home", str(home / "home"), "-o", "json", *args]
        return subprocess.run(command, env=env, check=True, capture_output=True, timeout=120).stdout

    for provider in ["digitalocean", "vultr", "scaleway"]:
        capsule("deploy", f"web-{provider}", "--provider", provider)
    capsule("budget", "set", "<script>x</script>", "--monthly", "100 USD", "--scope", "provider:vultr")
    files = ["--focus", str(home / "focus.csv"), "--html", str(home / "page.html"), "--csv", str(home / "sums.csv")]
    return home, json.loads(capsule("cost", *files)), capsule


def test_focus_validator_takes_the_bill(costs):
    home, said, _ = costs
    with open(home / "focus.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 3
    billed = sum(decimal.Decimal(row["BilledCost"]) for row in rows if row["BillingCurrency"] == "USD")
    assert abs(billed - decimal.Decimal(said["total"]["actual"]["USD"])) < decimal.Decimal("0.00001")
    assert broken_rules(home / "focus.csv") == EITHER
    rows[0]["BilledCost"] = ""
    rows[1]["BillingCurrency"] = "dollars"
    with open(home / "wrong.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    broken = broken_rules(home / "wrong.csv")
    columns = {rule.split("-")[0] for rule in broken - EITHER}
    assert {"BilledCost", "BillingCurrency"} <= columns, "the validator takes anything"


# Written for the Python of the validator's environment, which has pyarrow.
READ_PARQUET = """
import json, sys
import pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1])
kinds = {field.name: str(field.type) for field in table.schema}
print(json.dumps({"kinds": kinds, "rows": table.to_pylist()}, default=str))
"""


def test_pyarrow_reads_the_bill_as_parquet(costs):
    home, _, capsule = costs
    said = json.loads(capsule("cost", "--focus", str(home / "focus.parquet")))
    python = program(str(VALIDATOR / "bin" / "python"), "Run `./test.sh referees`, which installs it.")
    command = [python, "-c", READ_PARQUET, str(home / "focus.parquet")]
    read = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    with open(home / "focus.csv", newline="") as file:
        bill = list(csv.DictReader(file))
    assert list(read["kinds"]) == list(bill[0]), "other columns than in the CSV"
    kinds = {"BilledCost": "decimal128(38, 10)", "ConsumedQuantity": "decimal128(38, 3)", "Tags": "string"}
    kinds["ChargePeriodStart"] = "timestamp[ms, tz=UTC]"
    assert {name: read["kinds"][name] for name in kinds} == kinds
    billed = sum(decimal.Decimal(row["BilledCost"]) for row in read["rows"] if row["BillingCurrency"] == "USD")
    assert abs(billed - decimal.Decimal(said["total"]["actual"]["USD"])) < decimal.Decimal("0.00001")
    # What does not change as time passes is the same in both, and what is empty in the CSV is null.
    same = ["ResourceId", "ResourceName", "RegionId", "BillingCurrency", "ChargeClass", "InvoiceId", "Tags"]
    of_csv = [[row[name] or None for name in same] for row in bill]
    assert [[row[name] for name in same] for row in read["rows"][: len(bill)]] == of_csv
    assert broken_rules(home / "focus.parquet") == EITHER


def broken_rules(path):
    """The rules of FOCUS 1.2 that a file breaks, as the validator names them."""
    validator = program(str(VALIDATOR / "bin" / "focus-validator"), "Run `./test.sh referees`, which installs it.")
    # It finds its own list of currencies from where it is installed.
    place = next((VALIDATOR / "lib").glob("python*/site-packages"))
    command = [validator, "--data-file", str(path), "--validate-version", "1.2", "--block-download"]
    command += ["--applicability-criteria", ",".join(SUPPORTED)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    passed = set(re.findall(r"✅ ([A-Za-z]+-[CD]-\d+-[MCO])", said))
    assert len(passed) > 50, f"the validator judged nothing:\n{said}"
    return set(re.findall(r"❌ ([A-Za-z]+-[CD]-\d+-[MCO])", said))


class Numbers(html.parser.HTMLParser):
    """The exact amounts of the page's first table, by group."""

    def __init__(self):
        super().__init__()
        self.table, self.key, self.groups, self.tags = None, None, {}, []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag == "table":
            self.table = attrs.get("id")
        if tag == "tr":
            self.key = attrs.get("data-key")
        if tag == "td" and self.table == "groups" and attrs.get("class") in ("actual", "forecast"):
            amounts = {key[5:].upper(): value for key, value in attrs.items() if key.startswith("data-")}
            self.groups.setdefault(self.key, {})[attrs["class"]] = amounts


def test_a_browser_shows_the_numbers_of_the_json(costs):
    home, said, _ = costs
    browser = program("chromium", "Run `./test.sh referees`, which installs it.")
    url = (home / "page.html").as_uri()

    def chromium(*args):
        command = [browser, *CHROMIUM, f"--user-data-dir={home / 'profile'}", *args, url]
        return subprocess.run(command, check=True, capture_output=True, timeout=90).stdout.decode()

    page = Numbers()
    page.feed(chromium("--dump-dom"))
    expected = {group["key"]: {what: group[what] for what in ("actual", "forecast")} for group in said["groups"]}
    expected["total"] = said["total"]
    assert page.groups == expected
    assert "script" not in page.tags
    assert page.tags.count("rect") > 3, "no bars"
    chromium(f"--screenshot={home / 'page.png'}", "--window-size=1100,1400")
    picture = (home / "page.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) > 20_000
