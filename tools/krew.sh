#!/usr/bin/env bash
# Packs the static programs of kubectl-boboyka for krew, and writes the manifest with their sums.
#
#   tools/krew.sh URL     # where the archives will be
set -euo pipefail
cd "$(dirname "$0")/.."
url=${1:?say where the archives will be}
out=target/plugin
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
declare -A targets=([amd64]=x86_64 [arm64]=aarch64)
mkdir -p "$out"
sed -e "s|@VERSION@|$version|" -e "s|@URL@|$url|" plugin/krew.yaml >"$out/boboyka.yaml"
for arch in amd64 arm64; do
  archive=$out/kubectl-boboyka_linux_$arch.tar.gz
  program=target/static/${targets[$arch]}-unknown-linux-gnu/${PROFILE:-release}
  # The same files give the same archive, whenever and by whom it is made.
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u=rwX,go=rX \
    -C "$program" -cf - kubectl-boboyka -C "$PWD" LICENSE | gzip -n >"$archive"
  sum=$(sha256sum "$archive" | cut -d' ' -f1)
  sed -i "s|@SHA256_$arch@|$sum|" "$out/boboyka.yaml"
done
echo "$out/boboyka.yaml"
