#!/usr/bin/env bash
# Runs a command, such as a build by cargo, with what builds programs for arm64 on amd64.
#
#   tools/arm64.sh COMMAND...
set -euo pipefail
root=$("$(dirname "$0")/provision.sh" --arm64)
export PATH=$PATH:$root/usr/bin
# The assembler and the compiler find their libraries there, also when a build script starts them.
export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu
export RUSTC=$root/usr/bin/rustc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
exec "$@"
