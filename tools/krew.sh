#!/usr/bin/env bash
# Packs the static programs of kubectl-boboyka for krew, and writes the manifest with their sums.
#
#   tools/krew.sh URL     # where the archives will be
#
# STATIC names another folder with static programs than target/static, OUT another one for the archives than target/plugin.
set -euo pipefail
cd "$(dirname "$0")/.."
url=${1:?say where the archives will be}
# What sed would take for more than itself.
url=$(sed 's/[\\&|]/\\&/g' <<<"$url")
out=${OUT:-target/plugin}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
declare -A targets=([amd64]=x86_64 [arm64]=aarch64)
mkdir -p "$out"
sed -e "s|@VERSION@|$version|" -e "s|@URL@|$url|" plugin/krew.yaml >"$out/boboyka.yaml"
for arch in amd64 arm64; do
  archive=$out/kubectl-boboyka_linux_$arch.tar.gz
  program=${STATIC:-target/static}/${targets[$arch]}-unknown-linux-gnu/${PROFILE:-release}
  tools/pack.sh "$archive" -C "$program" kubectl-boboyka -C "$PWD" LICENSE
  sum=$(sha256sum "$archive" | cut -d' ' -f1)
  sed -i "s|@SHA256_$arch@|$sum|" "$out/boboyka.yaml"
done
echo "$out/boboyka.yaml"
