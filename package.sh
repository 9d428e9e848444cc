#!/usr/bin/env bash
# Builds a Debian package with completions and manual pages: ./package.sh [PROFILE [built]], release unless said otherwise;
# `built` takes the program that is there.
#
# Needs cargo-deb (`cargo install cargo-deb`). The package is left in the folder `debian` of cargo's target.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

profile="${1:-release}"
built="${CARGO_TARGET_DIR:-target}/$([ "$profile" = dev ] && echo debug || echo "$profile")/capsule"
# Where crates/capsule/Cargo.toml says that it is.
made=target/package

[ "${2:-}" = built ] || cargo build --package capsule --locked --quiet --profile "$profile"
rm -rf "$made"
mkdir -p "$made"
for shell in bash zsh fish; do "$built" completions "$shell" >"$made/$shell"; done
"$built" man --dir "$made/man"
# What tests install need not be small.
fast=$([ "$profile" = release ] || echo --fast)
cargo deb --package capsule --locked --quiet --no-build --profile "$profile" --strip ${fast:+"$fast"}
