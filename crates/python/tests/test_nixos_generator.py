"""The NixOS generator: its contract, and that what it writes is Nix whatever goes in."""

import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest
from capsule_package import _nix
from capsule_package import nixos_generator as module
from capsule_package._presets import PRESETS
from capsule_package.nixos_generator import NixOSConfigGenerator
from signatures import signature

NASTY = "a \"b\" \\ ${c} $${d} ''e'' \n newline \t tab ; } #"


@pytest.fixture
def generator() -> NixOSConfigGenerator:
    return NixOSConfigGenerator()


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "NixOSConfigGenerator": "(capsule_dir=None)",
        "NixOSConfigGenerator.generate_configuration_nix": "(self, profile, hostname='nixos', username='user')",
        "NixOSConfigGenerator.generate_home_manager": "(self, profile, username='user')",
        "NixOSConfigGenerator.generate_flake_nix": "(self, profile, hostname='nixos', username='user')",
        "NixOSConfigGenerator.generate_hardware_config": "(self)",
        "NixOSConfigGenerator.generate_all": "(self, profile, output_dir, hostname='nixos', username='user')",
        "validate_config": "(config_path)",
        "test_in_vm": "(config_dir)",
    }.items(),
)
def test_signature(name: str, expected: str) -> None:
    assert signature(module, name) == expected


def test_its_folder_is_capsules_home(files: Path, tmp_path: Path) -> None:
    assert NixOSConfigGenerator().capsule_dir == files
    assert NixOSConfigGenerator(tmp_path).presets_dir == tmp_path / "presets"


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_is_valid_nix(generator: NixOSConfigGenerator, tmp_path: Path, preset: str) -> None:
    files = generator.generate_all({"presets": [preset]}, tmp_path)
    for name, path in files.items():
        if name.endswith(".nix"):
            assert valid(path) == [], name


def test_all_files_are_written(generator: NixOSConfigGenerator, tmp_path: Path) -> None:
    files = generator.generate_all({}, tmp_path / "out", hostname="web-1", username="dev")
    assert list(files) == ["configuration.nix", "home.nix", "flake.nix", "hardware-configuration.nix", "README.md"]
    for name, path in files.items():
        assert path == tmp_path / "out" / name and path.is_file()
    readme = files["README.md"].read_text()
    assert "/etc/nixos#web-1" in readme and "users.users.dev." in readme


def test_the_release_is_that_of_xnodes_and_can_be_another(generator: NixOSConfigGenerator) -> None:
    assert "nixpkgs/nixos-25.05" in generator.generate_flake_nix({})
    assert "home-manager/release-25.05" in generator.generate_flake_nix({})
    generator.release = "24.05"
    texts = (
        generator.generate_configuration_nix({}),
        generator.generate_home_manager({}),
        generator.generate_flake_nix({}),
    )
    for text in texts:
        assert "24.05" in text and "25.05" not in text


def test_stacks_of_a_profile_come_with_what_they_need_and_once(generator: NixOSConfigGenerator) -> None:
    text = generator.generate_configuration_nix(
        {"stacks": ["machine-learning", "docker"], "presets": ["python"], "custom_packages": ["git", "jq", "jq"]}
    )
    assert text.index("pkgs.python3\n") < text.index("pkgs.python3Packages.numpy")
    for package in ("git", "jq", "python3"):
        assert text.count(f"    pkgs.{package}\n") == 1
    assert '"docker"' in text and "virtualisation.docker.enable = true;" in text
    assert '"docker"' not in generator.generate_configuration_nix({})


def test_home_has_the_editor_and_what_presets_bring(generator: NixOSConfigGenerator) -> None:
    text = generator.generate_home_manager({"presets": ["github", "devtools"], "editor": "emacs"}, username="dev")
    for part in ('EDITOR = "emacs"', "programs.git", "programs.direnv", '"/home/dev"', 'home.username = "dev"'):
        assert part in text
    assert "programs.git" not in generator.generate_home_manager({})


def test_presets_in_the_folder_add_and_replace(generator: NixOSConfigGenerator, files: Path) -> None:
    (files / "presets").mkdir()
    (files / "presets" / "mine.yml").write_text("description: Mine\npackages: [zellij]\ndependencies: [docker]\n")
    (files / "presets" / "docker.yml").write_text("packages: [podman]\n")
    text = generator.generate_configuration_nix({"presets": ["mine"]})
    assert "pkgs.podman" in text and "pkgs.zellij" in text and "# Mine" in text
    assert "virtualisation" not in text


def test_presets_that_need_each_other_end(generator: NixOSConfigGenerator, files: Path) -> None:
    (files / "presets").mkdir()
    (files / "presets" / "a.yml").write_text("packages: [zellij]\ndependencies: [b]\n")
    (files / "presets" / "b.yml").write_text("packages: [jq]\ndependencies: [a]\n")
    text = generator.generate_configuration_nix({"presets": ["a"]})
    assert text.index("pkgs.jq") < text.index("pkgs.zellij")


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        ({"presets": ["nope"]}, "no preset 'nope'"),
        ({"presets": ["../../etc/passwd"]}, "no preset"),
        ({"presets": "docker"}, "`presets` has to be a list of names"),
        ({"stacks": [1]}, "`stacks` has to be a list of names"),
        ({"custom_packages": ["jq; evil"]}, "package 'jq; evil'"),
    ],
)
def test_bad_profiles_are_named_and_nothing_is_written(
    generator: NixOSConfigGenerator, tmp_path: Path, profile: Dict[str, Any], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        generator.generate_all(profile, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["- a", "packages: 7", "a: ["])
def test_a_preset_that_cannot_be_read_is_named(generator: NixOSConfigGenerator, files: Path, text: str) -> None:
    (files / "presets").mkdir()
    (files / "presets" / "bad.yml").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yml is no preset"):
        generator.generate_configuration_nix({"presets": ["bad"]})


def test_hardware_is_a_template_elsewhere(generator: NixOSConfigGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "A template" in generator.generate_hardware_config()


def test_hardware_is_asked_of_nixos(
    generator: NixOSConfigGenerator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program(tmp_path / "nixos-generate-config", 'echo "{ $1 }"')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert generator.generate_hardware_config() == "{ --show-hardware-config }\n"
    program(tmp_path / "nixos-generate-config", "exit 1")
    assert "A template" in generator.generate_hardware_config()


# Defect 32 of the original


def test_defect_32_each_option_is_defined_once(generator: NixOSConfigGenerator, tmp_path: Path) -> None:
    text = generator.generate_configuration_nix({"presets": list(PRESETS)})
    assert text.count("allowedTCPPorts") == 1
    assert "networking.firewall.allowedTCPPorts = [ 22 80 443 ];" in text
    (tmp_path / "all.nix").write_text(text)
    assert valid(tmp_path / "all.nix") == []


def test_defect_32_whatever_is_in_a_profile_it_stays_a_text(generator: NixOSConfigGenerator, tmp_path: Path) -> None:
    profile = {"description": NASTY, "editor": NASTY, "custom_packages": ["7zz", "if", "python3Packages.black"]}
    files = generator.generate_all(profile, tmp_path, hostname="1st", username="_dev")
    for name in ("configuration.nix", "home.nix", "flake.nix"):
        assert valid(files[name]) == [], name
    text = files["configuration.nix"].read_text()
    assert (
        'pkgs."7zz"' in text and 'pkgs."if"' in text and 'nixosConfigurations."1st"' in files["flake.nix"].read_text()
    )


@pytest.mark.parametrize("hostname", ["", "-a", "a-", "a.b", "a_b", "a" * 64, 'a"; evil = "', "${a}", "a\n", "ä"])
def test_defect_32_hosts_that_are_none_are_refused(generator: NixOSConfigGenerator, hostname: str) -> None:
    for generate in (generator.generate_configuration_nix, generator.generate_flake_nix):
        with pytest.raises(ValueError, match="hostname"):
            generate({}, hostname)


@pytest.mark.parametrize("username", ["", "Dev", "1a", "a b", "a.b", "root", "a" * 32, "a = {}; users.users.b", "a\n"])
def test_defect_32_users_that_are_none_are_refused(generator: NixOSConfigGenerator, username: str) -> None:
    for generate in (generator.generate_configuration_nix, generator.generate_flake_nix):
        with pytest.raises(ValueError, match="username"):
            generate({}, "nixos", username)
    with pytest.raises(ValueError, match="username"):
        generator.generate_home_manager({}, username)


@pytest.mark.parametrize("package", ["", "a b", "a;b", "a..b", ".a", "a\n", "${a}", '"a"', "a/b", "(import ./x)"])
def test_defect_32_packages_that_are_none_are_refused(generator: NixOSConfigGenerator, package: str) -> None:
    for generate in (generator.generate_configuration_nix, generator.generate_home_manager):
        with pytest.raises(ValueError, match="package"):
            generate({"custom_packages": [package]})


@pytest.mark.parametrize("text", ["", "plain", NASTY, "$", "\\$", '"', "\r\n", "${", "ä€", "a\\n"])
def test_defect_32_a_string_stands_for_itself(text: str) -> None:
    needs_nix()
    expression = f"{{ value = {_nix.string(text)}; }}"
    command = ["nix-instantiate", "--eval", "--strict", "--json", "--attr", "value", "--expr", expression]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == text


def test_defect_32_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        _nix.string("a\0b")


# Validation

BAD = {
    "{ a = 1; a = 2; }": "a",
    "{ a.b = 1; a = { b = 2; }; }": "b",
    "{ a = 1; a.b = 2; }": "a",
    "{ a.b = 1; a = 2; }": "a",
    '{ "a b".c = 1; "a b".c = 2; }': "c",
    "{ x = { a = 1; a = 2; }; }": "a",
    "{ x = y: { a = 1; a = 2; }; y = 1; }": "a",
    "{ a = ; }": "",
    "{ a = [ ; }": "",
    "{ a = 1 }": "",
    '{ a = "unfinished; }': "",
    "}": "",
}
GOOD = [
    "{ a.b = 1; a.c = 2; }",
    "{ a = { b = 1; }; a.c = 2; }",
    "{ a.b.c = 1; a.b.d = 2; }",
    "{ x = { a = 1; }; y = { a = 2; }; }",
    "{ config, pkgs, ... }: { a = with pkgs; [ b c ]; }",
    "x: { inherit x; inherit (x) y; z = rec { a = 1; b = a; }; }",
    "let a = 1; in { b = a; }",
]


@pytest.mark.parametrize("source", list(BAD))
@pytest.mark.parametrize("way", ["nix-instantiate", "tree-sitter"])
def test_what_is_no_nix_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, source: str) -> None:
    by(way, monkeypatch)
    (tmp_path / "bad.nix").write_text(source)
    ok, errors = module.validate_config(tmp_path / "bad.nix")
    assert not ok
    assert BAD[source] in " ".join(errors) != ""


@pytest.mark.parametrize("source", GOOD)
@pytest.mark.parametrize("way", ["nix-instantiate", "tree-sitter"])
def test_what_is_nix_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, source: str) -> None:
    by(way, monkeypatch)
    (tmp_path / "good.nix").write_text(source)
    assert module.validate_config(tmp_path / "good.nix") == (True, [])


def test_without_a_reader_nothing_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(_nix, "_READER", ("no_such_module", "tree_sitter_nix"))
    (tmp_path / "good.nix").write_text("{ }")
    ok, errors = module.validate_config(tmp_path / "good.nix")
    assert not ok and "Nothing here can read Nix" in errors[0]


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert module.validate_config(tmp_path / "none.nix") == (
        False,
        [f"Configuration file not found: {tmp_path / 'none.nix'}"],
    )


def test_a_virtual_machine_needs_nixos_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    assert module.test_in_vm(tmp_path) is False
    assert "there is no" in caplog.text
    (tmp_path / "configuration.nix").write_text("{ }")
    assert module.test_in_vm(tmp_path) is False
    assert "nixos-rebuild is not here" in caplog.text


def test_a_virtual_machine_is_built_by_nixos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "configuration.nix").write_text("{ }")
    program(tmp_path / "nixos-rebuild", f'[ "$*" = "build-vm -I nixos-config={tmp_path}/configuration.nix" ]')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert module.test_in_vm(tmp_path) is True
    program(tmp_path / "nixos-rebuild", "echo no such option >&2; exit 1")
    with caplog.at_level(logging.WARNING):
        assert module.test_in_vm(tmp_path) is False
    assert "no such option" in caplog.text


def valid(path: Path) -> List[str]:
    """What is wrong with a file, by Nix itself and by the reader that stands in for it."""
    needs_nix()
    ok, errors = module.validate_config(path)
    assert ok == (errors == [])
    by_reader = _nix.check_syntax(path.read_text())
    assert by_reader is not None, "tree-sitter-nix is missing"
    return [*errors, *by_reader]


def by(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "tree-sitter":
        assert _nix.check_syntax("{ }") == [], "tree-sitter-nix is missing"
        monkeypatch.setenv("PATH", "")
    else:
        needs_nix()


def needs_nix() -> None:
    assert shutil.which("nix-instantiate"), "nix-instantiate is missing; on Debian it is in the package nix-bin"


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
