#!/usr/bin/env bash
# Runs all tests, the Rust ones and the Python SDK's, and closes with their sum, alone on a line. Ends with
# a failure when any failed, or when a part ran none.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 status=0

# Adds up what an awk program finds in the log: it prints passed and failed.
add() { # NAME EXIT_STATUS AWK_PROGRAM
  local p f
  read -r p f < <(awk "$3" "$log")
  if [ "$p" = 0 ]; then
    echo "run.sh: $1: no test was run" >&2
    status=1
  fi
  passed=$((passed + p)) failed=$((failed + f))
  [ "$2" = 0 ] || status=1
}

cargo test --workspace --no-fail-fast 2>&1 | tee "$log"
add Rust "${PIPESTATUS[0]}" '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }'
tests/python.sh 2>&1 | tee "$log"
add Python "${PIPESTATUS[0]}" '/ in [0-9.]+s/ { for (n = 2; n <= NF; n++) {
    if ($n ~ /^passed/) p += $(n - 1); if ($n ~ /^(failed|error)/) f += $(n - 1) } } END { print p + 0, f + 0 }'
echo "$passed passed, $failed failed"
exit "$status"
