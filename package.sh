#!/usr/bin/env bash
# Builds a Debian package with completions and manual pages: ./package.sh [PROFILE [built]], release unless said otherwise;
# `built` takes the program that is there.
#
# Needs cargo-deb (`cargo install cargo-deb`). The package is left in the folder `debian` of cargo's target. Its maintainer is
# whoever builds it, as for other packages of Debian: $DEBFULLNAME and $DEBEMAIL.
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
if [ -z "${DEBFULLNAME:-}" ] || [ -z "${DEBEMAIL:-}" ]; then
    echo "package.sh: nobody stands behind this package: DEBFULLNAME and DEBEMAIL name its maintainer." >&2
fi
maintainer="${DEBFULLNAME:-The Capsule developers} <${DEBEMAIL:-capsule@localhost}>"
version=$("$built" --version)
gzip -9n <CHANGELOG.md >"$made/changelog.gz"
# Debian wants a history of the package beside that of the program.
cat >"$made/changelog" <<END
capsule (${version#capsule }-1) unstable; urgency=medium

  * Built from its source; changelog.gz has what users notice.

 -- $maintainer  $(date -R ${SOURCE_DATE_EPOCH:+-d "@$SOURCE_DATE_EPOCH"})
END
cargo deb --package capsule --locked --quiet --no-build --profile "$profile" --strip ${fast:+"$fast"} --maintainer "$maintainer"
