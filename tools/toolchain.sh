#!/usr/bin/env bash
# Checks for what a build needs: Rust, and the C compiler that Rust links with. Installs Debian's compiler under root.
set -euo pipefail
CARGO=${CARGO:-cargo}

fail() {
  echo "toolchain: FAILED: $*" >&2
  exit 1
}

command -v "$CARGO" >/dev/null || fail "Rust is missing (no $CARGO on PATH). Install it from https://rustup.rs and run again"
command -v cc >/dev/null && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
  fail "a C compiler is missing (no cc on PATH). As root: 'apt-get install gcc libc6-dev'"
echo "toolchain: installing Debian's gcc and libc6-dev, which Rust links with" >&2
{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends gcc libc6-dev; } >&2 ||
  fail "could not install gcc. Install a C compiler by hand and run again"
