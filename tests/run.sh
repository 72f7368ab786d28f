#!/usr/bin/env bash
# Runs all tests and closes with their sum, alone on a line. Ends with the first failure's status.
set -uo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --workspace --no-fail-fast 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
read -r passed failed < <(awk '/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
if [ "$passed" = 0 ] && [ "$status" = 0 ]; then
  echo "run.sh: no test was run" >&2
  status=1
fi
echo "$passed passed, $failed failed"
exit "$status"
