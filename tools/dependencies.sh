#!/usr/bin/env bash
# Checks what the crates depend on: nothing unused, no forbidden crate, licence or source, and no crate with a known
# vulnerability. The last needs the advisory database, which is a git repository: where it can't be fetched, an older copy
# is used, and without any copy the check says loudly that it did not happen.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'dependencies: %s\n' "$*" >&2; }

# The workspace's lock is held to its manifests by `--locked` builds; the fuzz targets' lock, by nothing else.
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null ||
  { say "fuzz/Cargo.lock does not fit. Run 'cargo metadata --manifest-path fuzz/Cargo.toml' and commit it"; exit 1; }

machete=$(tools/provision.sh --cargo-tool cargo-machete)
deny=$(tools/provision.sh --cargo-tool cargo-deny)

"$machete" --with-metadata
"$deny" check bans licenses sources

copies=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
copy=$(compgen -G "$copies/advisory-db-*/.git" || true)
if "$deny" fetch db >/dev/null 2>&1; then
  "$deny" --offline check advisories
elif [ -n "$copy" ]; then
  say "the advisory database can't be fetched; using the copy of $(git --git-dir "$copy" log -1 --format=%cs)"
  "$deny" --offline check advisories
else
  say "WARNING: ADVISORIES WERE NOT CHECKED: https://github.com/RustSec/advisory-db can't be reached and $copies has no copy." \
    "Run 'cargo deny fetch db' where it can be reached, and copy that folder"
fi
