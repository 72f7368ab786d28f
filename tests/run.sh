#!/usr/bin/env bash
# Runs all tests and closes with their sum, alone on a line. The suites on clusters run beside all others, for they wait
# more than they compute; the output of a suite is printed in one piece when it has ended. Ends with a failure when any test
# failed, when a part ran none, or when a suite hung: it printed nothing for SILENCE_SECONDS, and was ended.
#
# FLAKY_MAX is how many failed tests at most run once more when all others have ended. A test that passes then is named as
# flaky, and its failure stays in the output: it is a fault of the test or of the program, and to be mended.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$logs"' EXIT
# So that the line above is carried out for these, too.
trap 'exit 143' HUP INT TERM

# A suite prints a line whenever a test ends: half an hour without one is far more than any test takes on a slow machine.
SILENCE_SECONDS=${SILENCE_SECONDS:-1800}
FLAKY_MAX=${FLAKY_MAX:-0}

# Builds once for all suites, so that they share their dependencies; then every test program is a line
# of its package's folder and the program, with a tab between them.
build() {
  cargo test --workspace --no-run --message-format=json-render-diagnostics >"$logs/build" || exit 1
  sed -n 's|.*"manifest_path":"\(.*\)/Cargo.toml".*"profile":{[^}]*"test":true}.*"executable":"\([^"]*\)".*|\1\t\2|p' "$logs/build" |
    sort -u >"$logs/programs"
}

# Ends a suite with all that it started, also in sessions of their own.
end() { # PROCESS
  local groups
  mapfile -t groups < <(echo "-$1"
    ps -eo pid=,ppid=,pgid= | awk -v suite="$1" '
      { parent[$1] = $2; group[$1] = $3 }
      END { for (one in parent) { for (of = one; of != suite && of in parent;) of = parent[of]; if (of == suite) print "-" group[one] } }')
  kill -- "${groups[@]}" 2>/dev/null
  for _ in {1..30}; do
    kill -0 -- "${groups[@]}" 2>/dev/null || return 0
    sleep 1
  done
  kill -KILL -- "${groups[@]}" 2>/dev/null
}

# Ends a suite that has printed nothing for too long, after a word about its tests. It counts its own turns, so that
# neither a clock that was set nor a machine that slept ends a suite.
end_when_silent() { # PROCESS LOG
  local size before='' silent=0
  while [ "$silent" -lt "$SILENCE_SECONDS" ]; do
    sleep 5
    size=$(stat -c %s "$2") && kill -0 "$1" || return
    if [ "$size" = "$before" ]; then silent=$((silent + 5)); else silent=0; fi
    before=$size
  done
  awk -v silence="$SILENCE_SECONDS" '
    / has been running for over / { open[$2] }
    /^test .* \.\.\. / { delete open[$2] }
    END {
      printf "run.sh: ended here, for it printed nothing for %s s. Tests without an end:", silence
      for (name in open) printf " %s", name
      print ""
    }' "$2" >"$2.hung"
  cat "$2.hung" >>"$2"
  end "$1"
}

# Runs one suite in a session of its own; what it prints goes to a log of its part.
suite() { # PART NAME COMMAND...
  local part=$1 name=$2 log begun=$SECONDS status=0 running watching
  shift 2
  log=$logs/$part.$name
  setsid "$@" >"$log" 2>&1 </dev/null &
  running=$!
  # shellcheck disable=SC2064 # this suite, not the one that runs then
  trap "end $running; exit 143" HUP INT TERM
  end_when_silent "$running" "$log" &>/dev/null &
  watching=$!
  wait "$running" || status=$?
  [ -e "$log.hung" ] || kill "$watching"
  wait "$watching" 2>/dev/null
  trap - HUP INT TERM
  [ "$status" = 0 ] || echo "$part.$name$([ ! -e "$log.hung" ] || echo ' (hung)')" >>"$logs/failed"
  # One write, so that suites that end together do not mix.
  { printf '\n=== %s: ended with %s after %s s\n' "$name" "$status" "$((SECONDS - begun))"; cat "$log"; } >"$log.whole"
  flock "$logs" cat "$log.whole"
}

# Runs the test programs that a pattern selects, one after another.
programs() { # PART GREP_ARGUMENT...
  local part=$1 folder program name
  shift
  while IFS=$'\t' read -r folder program; do
    name=$(basename "$folder")-$(basename "$program")
    suite "$part" "$name" env -C "$folder" "CARGO_MANIFEST_DIR=$folder" "$program"
  done < <(grep "$@" "$logs/programs")
}

on_clusters() {
  programs cluster $'/tests/cluster\t'
}

beside_them() {
  programs rust -v $'/tests/cluster\t'
  suite rust documentation cargo test --workspace --doc
  suite python python tests/python.sh
}

# The failed tests of a suite, one a line; nothing where it ended by more than tests that failed and are known by name.
failed_tests() { # LOG
  sed -n 2p "$1.whole" | grep -q ': ended with 101 after ' || return 0
  ! grep -qE '^ERROR [^ ]' "$1" || return 0
  awk '
    /^failures:$/ { delete names; count = 0; next }
    /^test result:/ { if (count + 0 != $6 + 0) unknown = 1; for (n = 1; n <= count; n++) all = all names[n] "\n"; count = 0 }
    /^    [A-Za-z0-9_:]+$/ { names[++count] = $1 }
    END { if (!unknown) printf "%s", all }' "$1"
  sed -nE 's/^FAILED ([^ []+(\[[^]]*\])?).*/\1/p' "$1"
}

# Runs the failed tests once more, if they are few, each is known by its name, and no suite hung.
run_again() {
  local failed_once part name folder program count p f tests=() each=() all=0
  grep -q ' (hung)$' "$logs/failed" && return
  while read -r name; do
    mapfile -t tests < <(failed_tests "$logs/$name")
    [ ${#tests[@]} -gt 0 ] || return
    all=$((all + ${#tests[@]}))
  done <"$logs/failed"
  [ "$all" -le "$FLAKY_MAX" ] || return
  mapfile -t failed_once <"$logs/failed"
  rm "$logs/failed"
  for part in "${failed_once[@]}"; do
    mapfile -t tests < <(failed_tests "$logs/$part")
    # One may have failed on two Pythons.
    mapfile -t each < <(printf '%s\n' "${tests[@]}" | sort -u)
    name=${part#*.} count=$rust
    if [ "$name" = python ]; then
      count=$python
      suite again python tests/python.sh --only "${each[@]}"
    else
      IFS=$'\t' read -r folder program < <(awk -F'[\t/]' -v name="$name" '
        { of = ""; for (n = 1; n < NF; n++) if ($n "-" $NF == name) of = $0; if (of) print of }' "$logs/programs")
      suite again "$name" env -C "$folder" "CARGO_MANIFEST_DIR=$folder" "$program" --exact "${each[@]}"
    fi
    grep -qxF -e "again.$name" -e "again.$name (hung)" "$logs/failed" 2>/dev/null && continue
    read -r p f < <(awk "$count" "$logs/again.$name")
    if [ "$p" -lt ${#each[@]} ] || [ "$f" != 0 ]; then
      # A test that was not found, or was left out, has not passed.
      echo "again.$name" >>"$logs/failed"
      continue
    fi
    passed=$((passed + ${#tests[@]})) failed=$((failed - ${#tests[@]}))
    echo "run.sh: flaky, failed beside others and passed alone: ${each[*]}"
  done
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
[ ! -e "$logs/failed" ] || run_again
if [ -e "$logs/failed" ]; then
  echo "run.sh: failed: $(sed 's/^[a-z]*\.//' "$logs/failed" | paste -sd' ')" >&2
  status=1
fi
echo "$passed passed, $failed failed"
exit "$status"
