#!/usr/bin/env bash
# Runs every fuzz target under cargo-fuzz, one after another. FUZZ_SECONDS for each (600), or only the targets named.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "fuzz: FAILED: $*" >&2
  exit 1
}

rustup run nightly rustc --version >/dev/null 2>&1 || fail "nightly Rust is missing. Run 'rustup toolchain install nightly'"
cargo fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is missing. Run 'cargo install cargo-fuzz'"
command -v c++ >/dev/null || fail "a C++ compiler is missing. As root: 'apt-get install g++'"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz/fuzz_targets/*.rs)
for target in "${targets[@]}"; do
  echo "fuzz: $target for ${FUZZ_SECONDS:-600} s"
  cargo +nightly fuzz run --fuzz-dir fuzz "$target" -- -max_total_time="${FUZZ_SECONDS:-600}" ||
    fail "$target; the input lies in fuzz/artifacts/$target"
done
