"""What `capsule` hands to other programs: those programs read it, and the Debian package installs."""

import json
import os
import subprocess

import hcl2
import pytest

from processes import ROOT, TARGET, program

OWNER = "eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"


@pytest.fixture(scope="module")
def capsule(capsule_binary, tmp_path_factory):
    """`capsule(arg, ...)`: the output of one run, on a home with servers at four providers, one of them an xNode."""
    home = tmp_path_factory.mktemp("elsewhere")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "CAPSULE_HOME": str(home / "home"), "CAPSULE_SANDBOX": "1"}

    def run(*args):
        return subprocess.run(
            [capsule_binary, *args], env=env, check=True, capture_output=True, timeout=120, text=True
        ).stdout

    run("deploy", "web", "--provider", "digitalocean", "--min-cpu", "1", "--tag", "env=prod")
    run("deploy", "db.1", "--provider", "aws", "--min-cpu", "1", "--image", "debian-12")
    run("deploy", "paris", "--provider", "scaleway", "--min-cpu", "1", "--bare")
    run("deploy", "node", "--provider", "vultr", "--owner", OWNER)
    run.env = env
    return run


def servers(capsule):
    return {server["name"]: server for server in json.loads(capsule("-o", "json", "inventory"))["servers"]}


def test_ansible_runs_the_inventory_by_itself(capsule, capsule_binary, tmp_path):
    script = tmp_path / "capsule.sh"
    script.write_text(f'#!/bin/sh\nexec {capsule_binary} inventory --ansible "$@"\n')
    script.chmod(0o755)
    ansible = program(str(ROOT / ".venv" / "bin" / "ansible-inventory"), "Run `./test.sh referees`, which installs it.")
    env = capsule.env | {"ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1", "LC_ALL": "C.UTF-8"}
    command = [ansible, "-i", str(script), "--list"]
    ran = subprocess.run(command, env=env, check=True, capture_output=True, timeout=120, text=True)
    assert "WARNING" not in ran.stderr, ran.stderr
    read = json.loads(ran.stdout)
    assert set(read["_meta"]["hostvars"]) == {"web", "db.1", "paris", "node"}
    assert read["provider_digitalocean"]["hosts"] == ["web"]
    assert read["tag_env_prod"]["hosts"] == ["web"]
    assert read["xnode"]["hosts"] == ["node"]
    web = read["_meta"]["hostvars"]["web"]
    assert web["ansible_host"] == servers(capsule)["web"]["addresses"]["public_v4"][0]
    assert web["ansible_user"] == "root"


def test_ssh_takes_the_hosts(capsule, tmp_path):
    config = tmp_path / "config"
    config.write_text(capsule("ssh-config"))
    known = servers(capsule)
    for name, user in [("web", "root"), ("db.1", "admin")]:
        ran = subprocess.run(
            ["ssh", "-G", "-F", str(config), name], check=True, capture_output=True, timeout=30, text=True
        )
        read = dict(line.split(" ", 1) for line in ran.stdout.splitlines() if " " in line)
        assert (read["hostname"], read["user"]) == (known[name]["addresses"]["public_v4"][0], user)
    assert "Host node" not in config.read_text()


def test_a_parser_of_hcl_reads_the_imports(capsule):
    read = hcl2.loads(capsule("export", "terraform"))
    text = json.dumps(read)
    for server in servers(capsule).values():
        assert server["id"].rsplit("/", 1)[1] in text
    assert len(read["import"]) == 4
    for kind in ["digitalocean_droplet.web", "aws_instance.db_1", "scaleway_instance_server.paris", "vultr_instance.node"]:
        assert kind in text
    for source in ["digitalocean/digitalocean", "hashicorp/aws", "scaleway/scaleway"]:
        assert source in text


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The Debian package installed below a folder of its own, by dpkg itself."""
    env = os.environ | {"PATH": f"{TARGET.parent / 'tools' / 'bin'}:{os.environ['PATH']}"}
    env |= {"DEBFULLNAME": "A Builder", "DEBEMAIL": "builder@example.com"}
    subprocess.run([str(ROOT / "package.sh"), "dev", "built"], env=env, check=True, timeout=600)
    (deb,) = (TARGET.parent / "debian").glob("capsule_*.deb")
    root = tmp_path_factory.mktemp("root")
    (root / "var/lib/dpkg/updates").mkdir(parents=True)
    (root / "var/lib/dpkg/info").mkdir()
    (root / "var/lib/dpkg/status").touch()
    # What it depends on is not in that folder; some machines leave manuals out of every install.
    options = [f"--root={root}", "--force-depends", "--path-include=/usr/share/*"]
    as_root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    subprocess.run([*as_root, "dpkg", *options, "--install", str(deb)], check=True, timeout=120)
    return root


def test_the_package_installs_and_its_program_runs(package):
    said = subprocess.run(
        [str(package / "usr/bin/capsule"), "--version"], check=True, capture_output=True, timeout=30, text=True
    )
    assert said.stdout.startswith("capsule ")
    status = (package / "var/lib/dpkg/status").read_text()
    assert "Package: capsule" in status and "libc6" in status


def test_manual_pages_open(package):
    env = os.environ | {"MANPATH": str(package / "usr/share/man"), "MANPAGER": "cat", "LC_ALL": "C.UTF-8"}
    for page, words in [("capsule", "deploy"), ("capsule-deploy", "--max-hourly"), ("capsule-import-inventory", "--adopt")]:
        ran = subprocess.run(["man", page], env=env, check=True, capture_output=True, timeout=30, text=True)
        assert words in ran.stdout.replace("\u2010", "-"), ran.stdout


def test_bash_completes_a_living_name(package, capsule):
    script = package / "usr/share/bash-completion/completions/capsule"
    line = 'source "$0"; COMP_WORDS=(capsule show ""); COMP_CWORD=2; "$1" capsule "" show; printf "%s\\n" "${COMPREPLY[@]}"'
    text = script.read_text()
    # `complete ... -F NAME capsule` says which function it is.
    name = text.split("-F ")[1].split()[0]
    env = capsule.env | {"PATH": f"{package / 'usr/bin'}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["bash", "-c", line, str(script), name], env=env, check=True, capture_output=True, timeout=60, text=True
    )
    assert "web" in ran.stdout.split() and "db.1" in ran.stdout.split(), ran


def test_zsh_completes_a_living_name_at_the_first_try(package, capsule):
    """As its own loader does: the file is the body of a function, which is called for the first time."""
    zsh = program("zsh", "Run `./test.sh referees`, which installs it.")
    line = (
        'fpath=("$1"); autoload -Uz _capsule; compdef() { :; }; _describe() { print -l -- "${(P@)3}"; }; '
        'words=(capsule show ""); CURRENT=3; _capsule'
    )
    env = capsule.env | {"PATH": f"{package / 'usr/bin'}:{os.environ['PATH']}"}
    folder = str(package / "usr/share/zsh/vendor-completions")
    ran = subprocess.run(
        [zsh, "-f", "-c", line, "zsh", folder], env=env, check=True, capture_output=True, timeout=60, text=True
    )
    shown = [line.split(":")[0] for line in ran.stdout.splitlines()]
    assert {"web", "db.1", "node"} <= set(shown) and not ran.stderr, ran


def test_fish_completes_a_living_name(package, capsule):
    fish = program("fish", "Run `./test.sh referees`, which installs it.")
    script = package / "usr/share/fish/vendor_completions.d/capsule.fish"
    env = capsule.env | {"PATH": f"{package / 'usr/bin'}:{os.environ['PATH']}"}
    line = f'source {script}; complete -C "capsule show "'
    ran = subprocess.run(
        [fish, "--no-config", "-c", line], env=env, check=True, capture_output=True, timeout=60, text=True
    )
    shown = dict(line.split("\t", 1) for line in ran.stdout.splitlines() if "\t" in line)
    assert shown["web"].startswith("digitalocean/") and shown["db.1"].startswith("aws/"), ran


def test_manual_pages_are_written_as_the_formatter_wants_them(package):
    pages = sorted((package / "usr/share/man/man1").glob("*.1.gz"))
    assert len(pages) > 40
    env = os.environ | {"LC_ALL": "C.UTF-8"}
    for page in pages:
        command = ["man", "--warnings", "--local-file", "--troff-device=utf8", "--ditroff", str(page)]
        ran = subprocess.run(command, env=env, check=True, capture_output=True, timeout=30)
        assert not ran.stderr, (page.name, ran.stderr)


def test_debians_own_judge_of_packages_finds_nothing(package):
    (deb,) = (TARGET.parent / "debian").glob("capsule_*.deb")
    judge = program("lintian", "Run `./test.sh referees`, which installs it.")
    ran = subprocess.run(
        [judge, "--no-cfg", "--allow-root", "--fail-on", "error,warning", str(deb)],
        capture_output=True, timeout=120, text=True,
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran
