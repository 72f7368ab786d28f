# What builds programs for arm64 on amd64: a C compiler, and a Rust compiler with the standard libraries of both. They are
# Debian's, for there a package registry has all of it; and an emulator that tries what was built. Sourced by provision.sh.

ARM64_TARGET=aarch64-unknown-linux-gnu

find_arm64() {
  ARM64=$CACHE/arm64
  local library=$ARM64/usr/lib/x86_64-linux-gnu
  says 'release: ' env "LD_LIBRARY_PATH=$library" "$ARM64/usr/bin/rustc" -vV &&
    says 'Free Software' "$ARM64/usr/bin/aarch64-linux-gnu-gcc" --version &&
    says 'qemu-aarch64' "$ARM64/usr/bin/qemu-aarch64-static" --version &&
    compgen -G "$ARM64/usr/lib/rustlib/$ARM64_TARGET/lib/libstd-*.rlib" >/dev/null
}

unpack_arm64() {
  local work=$CACHE/unpacking/arm64 apt needed
  say "unpacking Debian's compilers for arm64 into $CACHE/arm64; 1 GB (nothing is installed)"
  prepare_apt "$work" -o APT::Architectures::=amd64 -o APT::Architectures::=arm64
  needed=$(needed_for gcc-aarch64-linux-gnu libc6-dev-arm64-cross rustc-web qemu-user-static)
  # shellcheck disable=SC2086 # one word per package
  unpack_packages "$work" arm64 $needed libstd-rust-web-dev:arm64
}

# Prints the folder that it is unpacked into.
provision_arm64() {
  [ "$MACHINE" = x86_64 ] || fail "programs for arm64 are built on amd64 only, and this machine is $MACHINE"
  lock lock-arm64 1800
  find_arm64 || unpack_arm64
  find_arm64 || fail "what was unpacked into $ARM64 does not run. Delete the folder and run again"
  printf '%s\n' "$ARM64"
}
