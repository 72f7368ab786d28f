#!/usr/bin/env bash
# Puts everything that a release needs into a folder: programs, images, charts, install.yaml, the plugin for krew, the Python
# package, manual pages, bills of materials and checksums. The same programs of the same commit give the same bytes.
#
#   tools/dist.sh FOLDER URL     # URL is where the archives of the plugin will be
#
# STATIC names another folder with static programs than target/static, PROFILE another profile of them than release. A release
# is whole or absent: an interrupted run leaves what was there before. Only an earlier release is replaced.
set -euo pipefail
release=$(realpath -m "${1:?say which folder}")
url=${2:?say where the archives of the plugin will be}
[ -z "${STATIC:-}" ] || STATIC=$(realpath -m "$STATIC")
cd "$(dirname "$0")/.."
STATIC=${STATIC:-$PWD/target/static} PROFILE=${PROFILE:-release}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export STATIC PROFILE SOURCE_DATE_EPOCH
CARGO=${CARGO:-cargo}
declare -A targets=([amd64]=x86_64 [arm64]=aarch64)

say() { printf 'dist: %s\n' "$*" >&2; }
fail() {
  say "FAILED: $*"
  exit 1
}

if [ -e "$release" ] && [ ! -e "$release/SHA256SUMS" ] && ! rmdir "$release" 2>/dev/null; then
  fail "$release is there and is no release. Name another folder, or remove it"
fi
[ -z "$(git status --porcelain 2>/dev/null)" ] ||
  say "WARNING: the tree differs from its commit, and so does what is made of it. 'git status' says where"
mkdir -p "$(dirname "$release")"
work=$(mktemp -d "$release.XXXXXX")
trap 'rm -rf "$work"' EXIT
out=$work/release

mkdir -p "$out"/{programs,charts,bills,man}
for arch in amd64 arm64; do
  for program in boboyka-sidecar boboyka-operator kubectl-boboyka; do
    file=$STATIC/${targets[$arch]}-unknown-linux-gnu/$PROFILE/$program
    [ -e "$file" ] || fail "there is no $file. 'make dist' builds it"
    install -m 755 "$file" "$out/programs/${program}_linux_$arch"
  done
done
"$CARGO" run -q -p boboyka-images -- "$STATIC" "$PROFILE" "$out/images" >/dev/null
for package in boboyka-sidecar boboyka-operator boboyka-plugin; do
  "$CARGO" run -q -p boboyka-images -- bill "$package" >"$out/bills/$package.cdx.json"
done
for chart in boboyka-crds boboyka-operator; do
  version=$(sed -n 's/^version: //p' "charts/$chart/Chart.yaml")
  tools/pack.sh "$out/charts/$chart-$version.tgz" -C charts "$chart"
done
OUT=$out/plugin tools/krew.sh "$url" >/dev/null
tests/python.sh --build "$out/python"
"$CARGO" run -q -p boboyka-reference -- man "$out/man"
"$CARGO" run -q -p boboyka-plugin -- man >"$out/man/kubectl-boboyka.1"
install -m 644 LICENSE CHANGELOG.md charts/install.yaml docs/openapi.json sidecar/supabase/schema.sql "$out"
# In the order of their names, whatever language the machine speaks.
sums=$(cd "$out" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum)
printf '%s\n' "$sums" >"$out/SHA256SUMS"
rm -rf "$release"
mv "$out" "$release"
echo "$release"
