#!/usr/bin/env bash
# Runs the Python SDK's tests on the oldest and the newest supported Python of this machine, each in an environment of
# its own in the cache, with packages from the package index.
#
#   tests/python.sh          lint and tests
#   tests/python.sh --only TEST...  these tests
#   tests/python.sh --bench  the benchmark, on the newest
#   tests/python.sh --build FOLDER  the wheel and the source archive of the package, the same bytes each time
#   tests/python.sh --try WHEEL     installs a wheel into a fresh environment and asks it for help
set -euo pipefail
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

# Installs packages of Debian; another run of this script may do so too.
install_debian() { # WHAT_IS_WRONG PACKAGE...
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$1. As root: 'apt-get install ${*:2}'"
  say "installing Debian's ${*:2}"
  local apt=(apt-get -qq -o DPkg::Lock::Timeout=300)
  { "${apt[@]}" update && DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y "${@:2}"; } >&2 ||
    fail "could not install ${*:2}. Is Debian's package archive reachable?"
}

find_pythons() {
  mapfile -t FOUND < <(pythons)
  [ ${#FOUND[@]} -gt 0 ] && return
  install_debian "no Python from $OLDEST to $NEWEST" python3 python3-venv
  mapfile -t FOUND < <(pythons)
  [ ${#FOUND[@]} -gt 0 ] || fail "Debian's python3 is none from $OLDEST to $NEWEST"
}

# Makes a folder an environment of a Python. Debian's Python has venv in a package of its own.
make_environment() { # VERSION PATH FOLDER
  "$2" -c 'import ensurepip' 2>/dev/null || install_debian "Python $1 has no venv" python3-venv
  "$2" -m venv "$3" || fail "could not make an environment of Python $1 in $3"
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
    make_environment "$1" "$2" "$folder"
    "$PYTHON" -m pip -q --disable-pip-version-check install --upgrade pip
    # shellcheck disable=SC2046 # one word per requirement
    "$PYTHON" -m pip -q --disable-pip-version-check install 'hatchling>=1.27' httpx \
      $(sed -n 's/^test = \[\(.*\)\]$/\1/p' sdk/python/pyproject.toml | tr -d '",') ||
      fail "could not get the packages. Is the package index reachable?"
  fi
  "$PYTHON" -m pip -q --disable-pip-version-check install --no-deps --no-build-isolation --force-reinstall ./sdk/python
}

# The version of the builder is in what it builds, so it is one.
HATCHLING=1.27.0

# Makes a folder an environment of the newest Python with some packages.
fresh() { # FOLDER PACKAGE...
  local folder=$1 version path
  read -r version path <<<"${FOUND[-1]}"
  make_environment "$version" "$path" "$folder"
  "$folder/bin/python" -m pip -q --disable-pip-version-check install "${@:2}" ||
    fail "could not get ${*:2}. Is the package index reachable?"
}

case ${1:-} in
--build) out=$(realpath -m "${2:?say into which folder}") ;;
--try) wheel=$(realpath "${2:?say which wheel}") ;;
--only) [ $# -gt 1 ] || fail "say which tests" ;;
'' | --bench) ;;
*) fail "unknown argument '$1'. Known are --bench, --build FOLDER, --only TEST..., --try WHEEL" ;;
esac
cd "$(dirname "$0")/.."
find_pythons
case ${1:-} in
--build | --try)
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  ;;&
--build)
  fresh "$work" "hatchling==$HATCHLING"
  export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
  (cd sdk/python && "$work/bin/python" -m hatchling build -d "$out") &>"$work/log" || {
    cat "$work/log" >&2
    fail "could not build the package into $out"
  }
  exit
  ;;
--try)
  fresh "$work" "$wheel"
  cd "$work" && bin/python -m sapixdb_boboyka --help
  exit
  ;;
esac
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
status=0 code=0
for each in "${ends[@]}"; do
  read -r version path <<<"$each"
  environment "$version" "$path"
  say "tests on Python $version"
  if [ "${1:-}" = --only ]; then
    (cd sdk/python && "$PYTHON" -m pytest "${@:2}") || code=$?
  elif (cd sdk/python && "$PYTHON" -m ruff format --check --no-cache . && "$PYTHON" -m ruff check --no-cache .); then
    (cd sdk/python && "$PYTHON" -m pytest) || code=$?
  else
    code=2
  fi
  [ $code -le $status ] || status=$code
done
# As a test program of Rust ends where tests failed, and nothing else did: pytest ends with 1 then, else with more.
[ $status != 1 ] || status=101
exit $status
