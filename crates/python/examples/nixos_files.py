"""NixOS files from a profile, checked before anybody installs them."""

import sys
from pathlib import Path

from capsule_package.nixos_generator import NixOSConfigGenerator, validate_config

profile = {
    "description": "Full-stack development environment",
    "presets": ["python", "nodejs", "docker", "github", "webserver"],
    "custom_packages": ["tmux", "jq"],
    "editor": "vim",
}
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "nixos")
files = NixOSConfigGenerator().generate_all(profile, folder, hostname="devbox", username="developer")
for name, path in files.items():
    if name.endswith(".nix"):
        ok, errors = validate_config(path)
        print(f"{name}: {'valid' if ok else errors}")
