"""NixOS configurations from profiles, as the original generated them.

A profile is a mapping: `description`, `presets` (or `stacks`), `custom_packages`, `editor`. What it names is checked
and escaped: a name that Nix could take for something else never reaches a file.

An xNode is configured by its owner through its manager; these files are for other NixOS machines, or for an xNode's
`INITIAL_CONFIG`. They follow the release that xNodes are built on.
"""

import logging
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple, Union

import yaml

from . import _store
from ._nix import attribute, check_syntax, comment, nix_list, string
from ._presets import BASE, PRESETS, Preset

logger = logging.getLogger(__name__)

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_USERNAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_VALIDATE_SECONDS = 30


class NixOSConfigGenerator:
    """Writes configurations.

    Attributes: `capsule_dir`, and `presets_dir` in it: `NAME.yml` there, with `description`, `packages` and
    `dependencies`, adds a preset or takes the place of one. `release` is NixOS's.
    """

    # What XnodeOS 1 is built on. The original's 24.05 gets no security updates any more.
    release = "25.05"

    def __init__(self, capsule_dir: Optional[Union[Path, str]] = None) -> None:
        self.capsule_dir = Path(capsule_dir) if capsule_dir else _store.home()
        self.presets_dir = self.capsule_dir / "presets"

    def generate_configuration_nix(
        self, profile: Mapping[str, Any], hostname: str = "nixos", username: str = "user"
    ) -> str:
        """The text of configuration.nix.

        Raises ValueError for a host, user, package or preset that cannot be meant.
        """
        _check_names(hostname, username)
        presets = self._presets(profile)
        ports = sorted({22, *(port for preset in presets.values() for port in preset.ports)})
        groups = dict.fromkeys(["wheel", "networkmanager", *(g for preset in presets.values() for g in preset.groups)])
        options = dict(option for preset in presets.values() for option in preset.options)
        lines = [
            *self._head(profile, "NixOS configuration"),
            "{ config, pkgs, ... }:",
            "",
            "{",
            "  imports = [ ./hardware-configuration.nix ];",
            "",
            "  boot.loader.systemd-boot.enable = true;",
            "  boot.loader.efi.canTouchEfiVariables = true;",
            "",
            f"  networking.hostName = {string(hostname)};",
            "  networking.networkmanager.enable = true;",
            "  networking.firewall.enable = true;",
            f"  networking.firewall.allowedTCPPorts = {nix_list(ports)};",
            "",
            '  time.timeZone = "UTC";',
            '  i18n.defaultLocale = "en_US.UTF-8";',
            "",
            f"  users.users.{attribute(username)} = {{",
            "    isNormalUser = true;",
            f"    extraGroups = {nix_list(list(groups))};",
            "    # Without a key here nobody gets in.",
            "    openssh.authorizedKeys.keys = [ ];",
            "  };",
            "",
            "  services.openssh.enable = true;",
            "  services.openssh.settings = {",
            '    PermitRootLogin = "no";',
            "    PasswordAuthentication = false;",
            "  };",
            "",
            *(f"  {path} = {_value(value)};" for path, value in options.items()),
            *([""] if options else []),
            *self._packages("environment.systemPackages", presets),
            "",
            '  nix.settings.experimental-features = [ "nix-command" "flakes" ];',
            "  nix.settings.auto-optimise-store = true;",
            "  nix.gc = {",
            "    automatic = true;",
            '    dates = "weekly";',
            '    options = "--delete-older-than 30d";',
            "  };",
            "",
            "  # The release of the first installation; it stays when the system is upgraded.",
            f"  system.stateVersion = {string(self.release)};",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def generate_home_manager(self, profile: Mapping[str, Any], username: str = "user") -> str:
        """The text of home.nix, for Home Manager. Raises ValueError as `generate_configuration_nix` does."""
        _check_names("nixos", username)
        presets = self._presets(profile)
        lines = [
            *self._head(profile, "Home Manager configuration"),
            "{ config, pkgs, ... }:",
            "",
            "{",
            f"  home.username = {string(username)};",
            f"  home.homeDirectory = {string('/home/' + username)};",
            f"  home.stateVersion = {string(self.release)};",
            "  programs.home-manager.enable = true;",
            "",
            *self._packages("home.packages", presets),
            "",
            "  programs.bash = {",
            "    enable = true;",
            '    shellAliases = { ll = "ls -la"; gs = "git status"; gd = "git diff"; };',
            "  };",
            f"  home.sessionVariables.EDITOR = {string(str(profile.get('editor') or 'vim'))};",
        ]
        if "github" in presets:
            lines += [
                "",
                "  programs.git = {",
                "    enable = true;",
                '    extraConfig = { init.defaultBranch = "main"; pull.rebase = false; };',
                "  };",
            ]
        if "devtools" in presets or "python" in presets:
            lines += ["", "  programs.direnv = {", "    enable = true;", "    nix-direnv.enable = true;", "  };"]
        return "\n".join([*lines, "}"]) + "\n"

    def generate_flake_nix(self, profile: Mapping[str, Any], hostname: str = "nixos", username: str = "user") -> str:
        """The text of flake.nix, of `release`. Raises ValueError for a host or user that cannot be meant."""
        _check_names(hostname, username)
        lines = [
            *self._head(profile, "Flake"),
            "{",
            f"  description = {string(str(profile.get('description') or 'NixOS, generated by Capsule'))};",
            "",
            "  inputs = {",
            f"    nixpkgs.url = {string(f'github:NixOS/nixpkgs/nixos-{self.release}')};",
            "    home-manager = {",
            f"      url = {string(f'github:nix-community/home-manager/release-{self.release}')};",
            '      inputs.nixpkgs.follows = "nixpkgs";',
            "    };",
            "  };",
            "",
            "  outputs = { self, nixpkgs, home-manager, ... }: {",
            f"    nixosConfigurations.{attribute(hostname)} = nixpkgs.lib.nixosSystem {{",
            '      system = "x86_64-linux";',
            "      modules = [",
            "        ./configuration.nix",
            "        home-manager.nixosModules.home-manager",
            "        {",
            "          home-manager.useGlobalPkgs = true;",
            "          home-manager.useUserPackages = true;",
            f"          home-manager.users.{attribute(username)} = import ./home.nix;",
            "        }",
            "      ];",
            "    };",
            "  };",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def generate_hardware_config(self) -> str:
        """The text of hardware-configuration.nix: of this machine where `nixos-generate-config` is, else a template."""
        program = shutil.which("nixos-generate-config")
        if program:
            done = _run([program, "--show-hardware-config"], timeout=_VALIDATE_SECONDS)
            if done is not None and done.returncode == 0 and done.stdout:
                return done.stdout
        return _HARDWARE

    def generate_all(
        self,
        profile: Mapping[str, Any],
        output_dir: Union[Path, str],
        hostname: str = "nixos",
        username: str = "user",
    ) -> Dict[str, Path]:
        """Writes all files and a README into a folder; their paths by name. Nothing is written if one cannot be."""
        texts = {
            "configuration.nix": self.generate_configuration_nix(profile, hostname, username),
            "home.nix": self.generate_home_manager(profile, username),
            "flake.nix": self.generate_flake_nix(profile, hostname, username),
            "hardware-configuration.nix": self.generate_hardware_config(),
            "README.md": _README.replace("HOSTNAME", hostname).replace("USERNAME", username),
        }
        paths = {name: Path(output_dir) / name for name in texts}
        for name, text in texts.items():
            _store.replace(paths[name], text)
        return paths

    def _head(self, profile: Mapping[str, Any], what: str) -> List[str]:
        about = comment(str(profile.get("description") or "custom configuration"))
        return [f"# {what}, generated by Capsule on {datetime.now():%Y-%m-%d %H:%M:%S}", f"# Profile: {about}", ""]

    def _packages(self, option: str, presets: Mapping[str, Preset]) -> List[str]:
        lines, seen = [f"  {option} = ["], set()
        for preset in presets.values():
            fresh = [package for package in dict.fromkeys(preset.packages) if package not in seen]
            seen.update(fresh)
            if fresh:
                lines.append(f"    # {comment(preset.description)}")
                lines += [f"    pkgs.{_package(package)}" for package in fresh]
        return [*lines, "  ];"]

    def _presets(self, profile: Mapping[str, Any]) -> Dict[str, Preset]:
        """The presets of a profile, each after those that it needs."""
        resolved: Dict[str, Preset] = {"base": BASE}
        named = [*_names(profile, "presets"), *_names(profile, "stacks")]
        for name in named:
            self._resolve(name, resolved, set())
        custom = _names(profile, "custom_packages")
        if custom:
            resolved["custom"] = Preset("Chosen by hand", tuple(custom))
        return resolved

    def _resolve(self, name: str, resolved: Dict[str, Preset], above: Set[str]) -> None:
        if name in resolved or name in above:
            return
        preset = self._preset(name)
        for needed in preset.dependencies:
            self._resolve(needed, resolved, above | {name})
        resolved[name] = preset

    def _preset(self, name: str) -> Preset:
        # The name becomes a path.
        path = self.presets_dir / f"{name}.yml"
        text = _store.read(path) if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) else None
        if text is not None:
            try:
                data = yaml.safe_load(text) or {}
                description = str(data.get("description") or name)
                packages, needs = _names(data, "packages"), _names(data, "dependencies")
            except (yaml.YAMLError, AttributeError, ValueError) as error:
                raise ValueError(f"{path} is no preset: {error}") from None
            return Preset(description, tuple(packages), tuple(needs))
        if name not in PRESETS:
            raise ValueError(f"There is no preset {name!r}. There are {', '.join(PRESETS)}, and files in presets_dir.")
        return PRESETS[name]


def validate_config(config_path: Union[Path, str]) -> Tuple[bool, List[str]]:
    """Whether a Nix file can be read, and what is wrong with it.

    `nix-instantiate` is asked if it is there; else the parser of the package `tree-sitter-nix`, with a look at names
    that are defined twice. Without either nothing is known, and that is the error.
    """
    path = Path(config_path)
    if not path.is_file():
        return False, [f"Configuration file not found: {path}"]
    program = shutil.which("nix-instantiate")
    if program:
        done = _run([program, "--parse", str(path.absolute())], timeout=_VALIDATE_SECONDS)
        if done is None:
            return False, [f"nix-instantiate did not end within {_VALIDATE_SECONDS} s."]
        return (True, []) if done.returncode == 0 else (False, [f"Syntax error: {_said(done.stderr)}"])
    errors = check_syntax(path.read_text(encoding="utf-8", errors="replace"))
    if errors is None:
        return False, ["Nothing here can read Nix: install nix, or `pip install tree-sitter tree-sitter-nix`."]
    return not errors, errors


def test_in_vm(config_dir: Union[Path, str]) -> bool:
    """Builds a virtual machine of the configuration in a folder; True if that worked.

    False, with the reason in the log, where it did not, or where `nixos-rebuild` is missing.
    """
    folder = Path(config_dir).absolute()
    path = folder / "configuration.nix"
    program = shutil.which("nixos-rebuild")
    if not path.is_file():
        logger.warning("No virtual machine was built: there is no %s.", path)
        return False
    if program is None:
        logger.warning("No virtual machine was built: the program nixos-rebuild is not here. It is part of NixOS.")
        return False
    done = _run([program, "build-vm", "-I", f"nixos-config={path}"], folder=folder)
    if done is not None and done.returncode != 0:
        logger.warning("No virtual machine was built: %s", _said(done.stderr))
    return done is not None and done.returncode == 0


# pytest takes it for a test where a test module imports it.
test_in_vm.__test__ = False  # type: ignore[attr-defined]


def _check_names(hostname: str, username: str) -> None:
    if not _HOSTNAME.fullmatch(hostname):
        raise ValueError(
            f"hostname {hostname!r}: letters, digits and dashes inside, at most 63. The domain is networking.domain."
        )
    if not _USERNAME.fullmatch(username):
        raise ValueError(f"username {username!r}: lower-case letters, digits, dashes and underscores, at most 31.")
    if username == "root":
        raise ValueError("username 'root': it is no ordinary user.")


def _names(data: Mapping[str, Any], key: str) -> List[str]:
    """A list of names in a profile or preset; a missing one is empty."""
    value = data.get(key) or []
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"`{key}` has to be a list of names, not {value!r}.")
    return list(value)


def _package(name: str) -> str:
    parts = name.split(".")
    if not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_+'-]*", part) for part in parts):
        raise ValueError(f"package {name!r}: a name from nixpkgs is meant, such as jq or python3Packages.numpy.")
    return ".".join(attribute(part) for part in parts)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return nix_list(value) if isinstance(value, list) else string(str(value))


def _said(text: str) -> str:
    """What a program of Nix said is wrong, without its warnings."""
    lines = [line for line in text.strip().splitlines() if line.strip() and not line.startswith("warning:")]
    return "\n".join(lines) or "it did not say why"


def _run(
    command: List[str], folder: Optional[Path] = None, timeout: Optional[float] = None
) -> Optional["subprocess.CompletedProcess[str]"]:
    """None if it did not end in time."""
    try:
        return subprocess.run(
            command, cwd=folder, timeout=timeout, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return None


_HARDWARE = """\
# A template: `nixos-generate-config` on the machine itself writes what it has.
{ config, lib, pkgs, modulesPath, ... }:

{
  imports = [ (modulesPath + "/profiles/qemu-guest.nix") ];

  boot.initrd.availableKernelModules = [ "ata_piix" "uhci_hcd" "virtio_pci" "sd_mod" "sr_mod" ];

  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
  fileSystems."/boot" = {
    device = "/dev/disk/by-label/boot";
    fsType = "vfat";
  };
  swapDevices = [ ];

  networking.useDHCP = lib.mkDefault true;
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
}
"""

_README = """\
# NixOS configuration

Generated by Capsule.

| file | holds |
|---|---|
| `configuration.nix` | the system |
| `home.nix` | a user's environment, for Home Manager |
| `flake.nix` | both, with their versions |
| `hardware-configuration.nix` | the machine |

1. On the machine: `nixos-generate-config --show-hardware-config > hardware-configuration.nix`.
2. Put your SSH key into `users.users.USERNAME.openssh.authorizedKeys.keys`: without one nobody gets in.
3. Copy all files to `/etc/nixos/` and run `sudo nixos-rebuild switch --flake /etc/nixos#HOSTNAME`.

`nixos-rebuild build-vm -I nixos-config=./configuration.nix` builds a virtual machine to try it in.
"""
