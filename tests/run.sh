#!/usr/bin/env bash
# Runs all tests and closes with their sum, alone on a line. The suites on clusters run beside all others, for they wait
# more than they compute; the output of a suite is printed in one piece when it has ended. Ends with a failure when any test
# failed, or when a part ran none.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$logs"' EXIT

# Builds once for all suites, so that they share their dependencies; then every test program is a line
# `PACKAGE_FOLDER PROGRAM`.
build() {
  cargo test --workspace --no-run --message-format=json-render-diagnostics >"$logs/build" || exit 1
  sed -n 's|.*"manifest_path":"\(.*\)/Cargo.toml".*"profile":{[^}]*"test":true}.*"executable":"\([^"]*\)".*|\1 \2|p' "$logs/build" |
    sort -u >"$logs/programs"
}

# Runs one suite; what it prints goes to a log of its part.
suite() { # PART NAME COMMAND...
  local part=$1 name=$2 log begun=$SECONDS status=0
  shift 2
  log=$logs/$part.$name
  "$@" >"$log" 2>&1 || status=$?
  [ "$status" = 0 ] || echo "$name" >>"$logs/failed"
  # One write, so that suites that end together do not mix.
  { printf '\n=== %s: ended with %s after %s s\n' "$name" "$status" "$((SECONDS - begun))"; cat "$log"; } >"$log.whole"
  flock "$logs" cat "$log.whole"
}

# Runs the test programs that a pattern selects, one after another.
programs() { # PART GREP_ARGUMENT...
  local part=$1 folder program name
  shift
  while read -r folder program; do
    name=$(basename "$folder")-$(basename "$program")
    suite "$part" "$name" env -C "$folder" "CARGO_MANIFEST_DIR=$folder" "$program"
  done < <(grep "$@" "$logs/programs")
}

on_clusters() {
  programs cluster "/tests/cluster "
}

beside_them() {
  programs rust -v "/tests/cluster "
  suite rust documentation cargo test --workspace --doc
  suite python python tests/python.sh
}

# Adds up what an awk program finds in the logs of a part: it prints passed and failed.
passed=0 failed=0 status=0
add() { # PART AWK_PROGRAM
  local p f
  read -r p f < <(find "$logs" -name "$1.*" ! -name '*.whole' -exec cat {} + | awk "$2")
  if [ "$p" = 0 ]; then
    echo "run.sh: $1: no test was run" >&2
    status=1
  fi
  passed=$((passed + p)) failed=$((failed + f))
}

build
on_clusters &
beside_them &
wait
rust='/^test result:/ { p += $4; f += $6 } END { print p + 0, f + 0 }'
python='/ in [0-9.]+s/ { for (n = 2; n <= NF; n++) {
  if ($n ~ /^passed/) p += $(n - 1); if ($n ~ /^(failed|error)/) f += $(n - 1) } } END { print p + 0, f + 0 }'
add cluster "$rust"
add rust "$rust"
add python "$python"
if [ -e "$logs/failed" ]; then
  echo "run.sh: failed: $(paste -sd' ' "$logs/failed")" >&2
  status=1
fi
echo "$passed passed, $failed failed"
exit "$status"
