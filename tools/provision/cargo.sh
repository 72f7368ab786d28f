# Programs that cargo builds and `make lint`, `make mutants` and `make docs` run, each in the version that the tree was checked
# with. Sourced by provision.sh.

declare -A CARGO_TOOLS=([cargo-deny]=0.20.2 [cargo-machete]=0.9.2 [cargo-mutants]=27.1.0 [mdbook]=0.5.4)

# Some tell their version as a program, some as a subcommand of cargo.
is_cargo_tool() { # NAME FILE
  says "${CARGO_TOOLS[$1]}" "$2" --version || says "${CARGO_TOOLS[$1]}" "$2" "${1#cargo-}" --version
}

# Sets TOOL to the program's path.
find_cargo_tool() { # NAME
  TOOL=$(command -v "$1" || true)
  [ -n "$TOOL" ] && is_cargo_tool "$1" "$TOOL" && return
  TOOL=$CACHE/$1-${CARGO_TOOLS[$1]}/bin/$1
  is_cargo_tool "$1" "$TOOL"
}

build_cargo_tool() { # NAME
  local version=${CARGO_TOOLS[$1]} work=$CACHE/unpacking/$1
  say "building $1 $version into $CACHE/$1-$version; on two cores this takes some minutes the first time"
  rm -rf "$work"
  "${CARGO:-cargo}" install "$1" --version "$version" --locked --debug --quiet --root "$work" >&2 ||
    fail "could not build $1. Is Rust's package registry reachable?"
  settle "$work" "$1-$version"
}

provision_cargo_tool() { # NAME
  [ -n "${CARGO_TOOLS[$1]:-}" ] || fail "unknown cargo tool '$1'. Known are ${!CARGO_TOOLS[*]}"
  lock "lock-$1" 1800
  find_cargo_tool "$1" || build_cargo_tool "$1"
  find_cargo_tool "$1" || fail "$1 was built but does not run. Try $TOOL --version"
  printf '%s\n' "$TOOL"
}
