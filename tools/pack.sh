#!/usr/bin/env bash
# Packs files so that the same files give the same archive, whenever and by whom it is made.
#
#   tools/pack.sh ARCHIVE ARGUMENT_OF_TAR...     # what tar takes to name files: -C FOLDER FILE...
set -euo pipefail
archive=${1:?say which archive}
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" --mode=u=rwX,go=rX -cf - "${@:2}" |
  gzip -n >"$archive"
