#!/usr/bin/env bash
# Installs what tests and tools run on into a cache folder. It looks on the system first; what is missing there is
# unpacked or built in the cache, which needs no root. Tests ask this script for every path.
#
#   tools/provision.sh                  PostgreSQL, PostgREST and strace
#   tools/provision.sh --verifiers      verifiers of logs
#   tools/provision.sh --objects        an object store with S3's protocol
#   tools/provision.sh --cluster        the programs of a Kubernetes, Prometheus and promtool
#   tools/provision.sh --browser        Chromium, Playwright and axe-core
#   tools/provision.sh --where, --where-verifiers, --where-objects, --where-cluster, --where-browser
#                                       prints their paths as NAME=VALUE; fails when one is missing
#   tools/provision.sh --cargo-tool NAME          cargo-deny, cargo-machete, cargo-mutants or mdbook; prints its path
#   tools/provision.sh --arm64                    what builds for arm64; prints its folder
#
# BOBOYKA_CACHE names the cache folder. It may be deleted at any time.
set -euo pipefail
umask 022

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MACHINE=$(uname -m)

# PostgreSQL refuses to run as root, so under root it runs as this user, who must be able to read the cache.
UNPRIVILEGED_ID=65534
if [ "$(id -u)" = 0 ]; then
  CACHE=${BOBOYKA_CACHE:-/var/cache/boboyka}
  UNPRIVILEGED=(setpriv "--reuid=$UNPRIVILEGED_ID" "--regid=$UNPRIVILEGED_ID" --clear-groups)
else
  CACHE=${BOBOYKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/boboyka}
  UNPRIVILEGED=(env)
fi
[[ $CACHE = /* ]] || CACHE=$PWD/$CACHE

say() { printf 'provision: %s\n' "$*" >&2; }
fail() {
  say "FAILED: $*"
  exit 1
}

# Whether a command runs and its output contains a text. A damaged copy counts as missing.
says() { # TEXT COMMAND...
  local text=$1 printed
  shift
  printed=$("$@" 2>/dev/null) && [[ $printed == *"$text"* ]]
}

# Waits for other runs that fill the same part of the cache.
lock() { # NAME SECONDS
  mkdir -p "$CACHE" || fail "could not create the cache folder $CACHE. Name another one in BOBOYKA_CACHE"
  exec 9>"$CACHE/$1"
  flock -w "$2" 9 || fail "another run has held $CACHE/$1 for $2 seconds"
}

# Moves a finished folder to its place, so that a part of the cache is whole or absent.
settle() { # FINISHED_FOLDER NAME
  rm -rf "${CACHE:?}/$2"
  mv "$1" "$CACHE/$2"
}

for part in debian npm postgres browser go verifiers objects prometheus kubernetes cargo arm64; do
  # shellcheck source=/dev/null
  . "$HERE/provision/$part.sh"
done

case "${1:-}" in
'') provision_postgres ;;
--verifiers) provision_verifiers ;;
--where) where_postgres ;;
--objects) provision_objects ;;
--cluster) provision_kubernetes ;;
--where-cluster) where_kubernetes ;;
--where-verifiers) where_verifiers ;;
--where-objects) where_objects ;;
--browser) provision_browser ;;
--where-browser) where_browser ;;
--cargo-tool) provision_cargo_tool "${2:-}" ;;
--arm64) provision_arm64 ;;
*) fail "unknown argument '$1'. Known are --where, --verifiers, --where-verifiers, --objects, --where-objects, --cluster, --where-cluster, --browser, --where-browser, --cargo-tool, --arm64" ;;
esac
