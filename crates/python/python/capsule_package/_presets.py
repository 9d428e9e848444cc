"""What each technology stack of a profile stands for on NixOS: packages by their names in nixpkgs, and options.

The stacks are those of the original, whose lists had Debian's package names.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Tuple


@dataclass(frozen=True)
class Preset:
    """A stack. `options` are NixOS options as (path, value), a value being a bool, text, number or list of these."""

    description: str
    packages: Tuple[str, ...] = ()
    dependencies: Tuple[str, ...] = ()
    options: Tuple[Tuple[str, Any], ...] = ()
    ports: Tuple[int, ...] = ()
    groups: Tuple[str, ...] = field(default=())


BASE = Preset("Base tools", ("git", "curl", "wget", "vim", "htop", "unzip"))

PRESETS: Dict[str, Preset] = {
    "base": BASE,
    "cli-tools": Preset("Command line tools", ("jq", "ripgrep", "fzf", "bat", "fd", "tree")),
    "cuda": Preset(
        "NVIDIA CUDA",
        ("cudaPackages.cudatoolkit",),
        options=(("nixpkgs.config.allowUnfree", True), ("services.xserver.videoDrivers", ["nvidia"])),
    ),
    "database": Preset(
        "PostgreSQL and Redis",
        ("postgresql", "redis"),
        options=(("services.postgresql.enable", True), ('services.redis.servers."".enable', True)),
    ),
    "devtools": Preset("Development tools", ("gnumake", "cmake", "gcc", "gdb", "strace", "direnv")),
    "docker": Preset(
        "Docker and Docker Compose",
        ("docker-compose",),
        options=(("virtualisation.docker.enable", True), ("virtualisation.docker.enableOnBoot", True)),
        groups=("docker",),
    ),
    "github": Preset("GitHub's command line", ("gh",)),
    "golang": Preset("Go", ("go", "gopls")),
    "machine-learning": Preset(
        "Machine learning in Python",
        tuple(
            f"python3Packages.{name}" for name in ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "notebook")
        ),
        ("python",),
    ),
    "monitoring": Preset(
        "Prometheus and Grafana",
        ("iotop", "iftop", "sysstat"),
        options=(("services.prometheus.enable", True), ("services.grafana.enable", True)),
    ),
    "nodejs": Preset("Node.js", ("nodejs",)),
    "ollama": Preset("Models on this machine", ("ollama",), options=(("services.ollama.enable", True),)),
    "python": Preset("Python 3", ("python3", "python3Packages.pip", "python3Packages.virtualenv")),
    "rust": Preset("Rust", ("rustc", "cargo", "rustfmt", "clippy", "rust-analyzer")),
    "security": Preset("Fail2ban", ("lynis",), options=(("services.fail2ban.enable", True),)),
    "webserver": Preset("Nginx", options=(("services.nginx.enable", True),), ports=(80, 443)),
}
