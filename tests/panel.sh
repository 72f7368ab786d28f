#!/usr/bin/env bash
# Tests the panel in a real Chromium. The caller has started the sidecars; tests/panel/conftest.py says which.
set -euo pipefail
cd "$(dirname "$0")/panel"
found=$(../../tools/provision.sh --where-browser)
set -a
eval "$found"
set +a
exec "$BROWSER_PYTHON" -B -m pytest -p no:cacheprovider -q "$@"
