#!/usr/bin/env bash
# All tests of Capsule, or a part of them: ./test.sh [lint|rust|referees|python]...
#
# Needs a Rust toolchain and a C compiler. What else the tests need comes from the package registries: Python packages
# into .venv, .venv-focus and .venv-python, Prism into tests/referees/node_modules, cargo-deny and cargo-deb into
# target/tools, and Debian packages where missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
# Tests that draw their cases draw the same ones each time, so that a red run is about what was changed. Others: any number.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-20261126}"
target="${CARGO_TARGET_DIR:-target}"
tools="$target/tools"

say() { printf '\n== [%4ds] %s\n' "$SECONDS" "$*"; }

die() {
    printf 'test.sh: %s\n' "$*" >&2
    exit 1
}

# install PACKAGE: from Debian.
install() {
    say "Debian package $1"
    command -v apt-get >/dev/null || die "install what Debian calls $1, then run this again."
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

# need COMMAND PACKAGE: installs the Debian package where the command is missing.
need() { command -v "$1" >/dev/null || install "$2"; }

# fresh STAMP FILE...: whether STAMP holds what the files hold, so that the install they describe is done.
fresh() {
    local stamp=$1
    shift
    [ -f "$stamp" ] && cmp -s "$stamp" <(cat "$@")
}

tool_deny() {
    local version=0.20.2
    [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" = "cargo-deny $version" ] && return
    say "cargo-deny $version"
    # Unoptimized: it builds in under three minutes on two cores and checks in a second all the same.
    cargo install --quiet --debug --locked --version "$version" --root "$tools" --target-dir "$tools/build" cargo-deny
    rm -rf "$tools/build"
}

tool_deb() {
    local version=3.8.0
    [ "$("$tools/bin/cargo-deb" --version 2>/dev/null)" = "$version" ] && return
    say "cargo-deb $version"
    # Unoptimized, as cargo-deny.
    cargo install --quiet --debug --locked --version "$version" --root "$tools" --target-dir "$tools/build" cargo-deb
    rm -rf "$tools/build"
}

# tool_python ENVIRONMENT REQUIREMENTS [FLAG...]
tool_python() {
    local stamp=$1/requirements.installed
    fresh "$stamp" "$2" && return
    need python3 python3
    say "Python packages of $2"
    # Debian keeps venv's parts in a package of their own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    python3 -m venv --clear "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check "${@:3}" -r "$2"
    cat "$2" >"$stamp"
}

tool_focus() {
    tool_python .venv-focus tests/referees/focus-requirements.txt --ignore-requires-python
    .venv-focus/bin/python tests/referees/focus_older_python.py
}

tool_prism() {
    local stamp=tests/referees/node_modules/.installed
    fresh "$stamp" tests/referees/package.json tests/referees/package-lock.json && return
    need node nodejs
    need npm npm
    say "Prism"
    # No package of it needs its install script.
    npm ci --prefix tests/referees --ignore-scripts --no-audit --no-fund --loglevel=error
    cat tests/referees/package.json tests/referees/package-lock.json >"$stamp"
}

lint() {
    say "Formatting"
    cargo fmt --all --check
    say "Clippy"
    cargo clippy --workspace --all-targets --all-features --locked --quiet -- -D warnings
    say "Documentation"
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked --quiet
    tool_deny
    say "Licences, bans and sources"
    # Advisories need a database that is not in a package registry: `cargo deny check advisories` where it can be had.
    "$tools/bin/cargo-deny" --log-level error check bans licenses sources
}

rust() {
    need cloud-init cloud-init
    # A terminal for the program.
    need script bsdutils
    # Debian keeps the server's programs out of the path; tests/postgres.sh finds them.
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need initdb postgresql
    say "Rust tests"
    cargo test --workspace --all-features --locked --quiet
}

referees() {
    tool_python .venv tests/referees/requirements.txt
    tool_focus
    tool_prism
    need chromium chromium
    tool_deb
    # cargo-deb asks it which libraries the program needs.
    need dpkg-shlibdeps dpkg-dev
    need ssh openssh-client
    need man man-db
    # What is packaged is tried by those who read it.
    need zsh zsh
    need fish fish
    need lintian lintian
    say "Programs for the referees"
    cargo build --workspace --all-features --locked --quiet --bins --examples
    say "Referees"
    .venv/bin/python -m pytest -p no:cacheprovider tests/referees
}

python() {
    tool_python .venv-python crates/python/tests/requirements.txt
    # What is generated for NixOS is read by Nix itself.
    need nix-instantiate nix-bin
    say "Python module"
    # With what the other parts build it with, so that nothing is built twice.
    cargo build --package capsule-python --features capsule/parquet --locked --quiet
    ln -sf "$(realpath "$target")/debug/lib_native.so" crates/python/python/capsule_package/_native.abi3.so
    say "Python package"
    .venv-python/bin/python -m pytest crates/python
}

command -v cargo >/dev/null || die "cargo is missing. Install the Rust toolchain first."
command -v cc >/dev/null || die "cc is missing. Install a C compiler first; on Debian it is in the package gcc."

[ "$#" -gt 0 ] || set -- lint rust referees python
for part in "$@"; do
    case "$part" in
    lint | rust | referees | python) ;;
    *) die "there is no part \`$part\`. The parts are lint, rust, referees and python." ;;
    esac
done
for part in "$@"; do "$part"; done
say "All passed: $*"
