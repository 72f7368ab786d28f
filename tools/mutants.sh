#!/usr/bin/env bash
# Changes the pure modules in many small ways, one at a time, and lists the changes that no test notices. .cargo/mutants.toml
# says which files; the results are in target/mutants.
#
#   tools/mutants.sh [--package boboyka-crds] [ARGUMENTS OF CARGO-MUTANTS]
set -euo pipefail
cd "$(dirname "$0")/.."

# A file that was renamed must not leave the run unnoticed.
sed -n '/^examine_globs/,/^]/s/^ *"\(.*\)",$/\1/p' .cargo/mutants.toml | while read -r glob; do
  [ -n "$(git ls-files -- ":(glob)$glob")" ] || { echo "mutants: FAILED: no file matches $glob in .cargo/mutants.toml" >&2; exit 1; }
done

mutants=$(tools/provision.sh --cargo-tool cargo-mutants)
mkdir -p target/mutants
status=0
"$mutants" mutants --output target/mutants "$@" || status=$?
case $status in
0) echo "mutants: every change was noticed" ;;
2) echo "mutants: no test noticed these changes:" && cat target/mutants/mutants.out/missed.txt ;;
esac
exit "$status"
