#!/usr/bin/env bash
# Runs the Python SDK's tests on the oldest and the newest supported Python of this machine, each in an environment of
# its own in the cache, with packages from the package index.
#
#   tests/python.sh          lint and tests
#   tests/python.sh --bench  the benchmark, on the newest
set -euo pipefail
cd "$(dirname "$0")/.."
OLDEST=3.10 NEWEST=3.14

say() { printf 'python: %s\n' "$*" >&2; }
fail() {
  say "FAILED: $*"
  exit 1
}

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# Every Python that can be found and is supported, as VERSION PATH, oldest first.
pythons() {
  local found version
  for found in $(compgen -c python3 | sort -u) "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
    found=$(command -v "$found") || continue
    version=$(version_of "$found") || continue
    printf '%s\n' "$OLDEST" "$version" "$NEWEST" | sort -VC && echo "$version $found"
  done | sort -V -u -k1,1
}

find_pythons() {
  mapfile -t FOUND < <(pythons)
  [ ${#FOUND[@]} -gt 0 ] && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
    fail "no Python from $OLDEST to $NEWEST. As root: 'apt-get install python3 python3-venv'"
  say "installing Debian's python3 and python3-venv"
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3 python3-venv; } >&2
  mapfile -t FOUND < <(pythons)
  [ ${#FOUND[@]} -gt 0 ] || fail "Debian's python3 is none from $OLDEST to $NEWEST"
}

# An environment with the package and what its tests need; sets PYTHON.
environment() { # VERSION PATH
  local folder key
  key=$(sha256sum sdk/python/pyproject.toml | cut -c1-12)
  folder=$(tools/provision.sh --where | sed -n 's/^CACHE=//p')/python-$1-$key
  PYTHON=$folder/bin/python
  if ! "$PYTHON" -c 'import blake3, celery, cryptography, httpx, pytest, psutil, sapixdb, trio, uvloop, sys; sys.version_info < (3, 11) or __import__("schemathesis")' 2>/dev/null; then
    say "making an environment for Python $1 in the cache"
    rm -rf "$folder"
    if ! "$2" -c 'import ensurepip' 2>/dev/null; then
      [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "Python $1 has no venv. As root: 'apt-get install python3-venv'"
      say "installing Debian's python3-venv"
      { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y python3-venv; } >&2
    fi
    "$2" -m venv "$folder"
    "$PYTHON" -m pip -q --disable-pip-version-check install --upgrade pip
    # shellcheck disable=SC2046 # one word per requirement
    "$PYTHON" -m pip -q --disable-pip-version-check install 'hatchling>=1.27' httpx \
      $(sed -n 's/^test = \[\(.*\)\]$/\1/p' sdk/python/pyproject.toml | tr -d '",') ||
      fail "could not get the packages. Is the package index reachable?"
  fi
  "$PYTHON" -m pip -q --disable-pip-version-check install --no-deps --no-build-isolation --force-reinstall ./sdk/python
}

find_pythons
if [ "${1:-}" = --bench ]; then
  read -r version path <<<"${FOUND[-1]}"
  environment "$version" "$path"
  work=$(mktemp -d)
  trap 'kill %1 2>/dev/null; wait; rm -rf "$work"' EXIT
  target/release/boboyka-sidecar --data-dir "$work/data" --listen 127.0.0.1:17475 --observe 127.0.0.1:17476 2>"$work/log" >&2 &
  "$PYTHON" -c 'from sapixdb_boboyka import *; BoboykaSyncClient("http://127.0.0.1:17475", retry=Retry(attempts=50)).status()'
  "$PYTHON" sdk/python/bench/bench.py --url http://127.0.0.1:17475 "${@:2}"
  exit
fi

ends=("${FOUND[0]}")
[ ${#FOUND[@]} = 1 ] && say "this machine has one supported Python, which is oldest and newest at once" || ends+=("${FOUND[-1]}")
status=0
for each in "${ends[@]}"; do
  read -r version path <<<"$each"
  environment "$version" "$path"
  say "tests on Python $version"
  (cd sdk/python && "$PYTHON" -m ruff format --check --no-cache . && "$PYTHON" -m ruff check --no-cache . && "$PYTHON" -m pytest) || status=1
done
exit $status
