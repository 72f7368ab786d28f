#!/usr/bin/env bash
# Builds the programs of an earlier commit into target/upgrade, and upgrades the product from its charts to those of this
# checkout while agents post: tests/cluster/tests/operator/before.rs.
#
#   tests/upgrade.sh COMMIT
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/target/upgrade

fail() {
  echo "upgrade.sh: FAILED: $*" >&2
  exit 1
}

[ $# = 1 ] || fail "name the commit to upgrade from: tests/upgrade.sh COMMIT"
commit=$(git rev-parse --quiet --verify "$1^{commit}") ||
  fail "commit $1 is not in this clone: run 'git fetch --unshallow', or name another one in BEFORE"

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
"${CARGO:-cargo}" test -p boboyka-cluster --test operator -- --ignored --nocapture an_upgrade_under_load | tee "$folder/log"
# A name that no test has is no failure to cargo.
grep -q '^test result: ok\. 1 passed' "$folder/log" || fail "the test of the upgrade was not run"
