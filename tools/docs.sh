#!/usr/bin/env bash
# Makes a book of the documents with mdBook, in target/book/docs. Files of the repository that pages link to are put beside
# it, where the links lead.
set -euo pipefail
cd "$(dirname "$0")/.."
mdbook=$(tools/provision.sh --cargo-tool mdbook)
book=target/book

rm -rf "$book"
"$mdbook" build docs
grep -rhoP '\]\(\.\./\K[^)#]+' docs/*.md | sort -u | while read -r file; do
  mkdir -p "$book/$(dirname "$file")"
  cp "$file" "$book/$file"
done
echo "$PWD/$book/docs/index.html"
