#!/usr/bin/env bash
# Builds the programs of an earlier commit into target/upgrade, and upgrades the product from its charts to those of this
# checkout while agents post: tests/cluster/tests/operator/before.rs.
#
#   tests/upgrade.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/target/upgrade
commit=$(git rev-parse --quiet --verify "$1^{commit}") || {
  echo "upgrade.sh: FAILED: commit $1 is not in this clone: run 'git fetch --unshallow', or name another one in BEFORE" >&2
  exit 1
}

# The programs of the commit, each with everything in it. What they share with other commits is built once.
build() {
  rm -rf "$folder/tree" "$folder/commit"
  mkdir -p "$folder/tree" "$folder/bin"
  git archive "$commit" | tar -x -C "$folder/tree"
  RUSTFLAGS="-C target-feature=+crt-static" "${CARGO:-cargo}" build --locked --manifest-path "$folder/tree/Cargo.toml" \
    --target x86_64-unknown-linux-gnu --target-dir "$folder/build" -p boboyka-sidecar -p boboyka-operator
  cp "$folder"/build/x86_64-unknown-linux-gnu/debug/boboyka-{sidecar,operator} "$folder/bin/"
  echo "$commit" >"$folder/commit"
}

[ "$(cat "$folder/commit" 2>/dev/null)" = "$commit" ] || build
"${CARGO:-cargo}" test -p boboyka-cluster --test operator -- --ignored --nocapture an_upgrade_under_load
