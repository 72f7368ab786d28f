# Unpacks Debian packages into the cache, or installs them. Sourced by provision.sh.

# The library folders of an unpacked tree; packages still use the old one too.
libraries_of() { # TREE
  printf '%s:%s' "$1/usr/lib/$MACHINE-linux-gnu" "$1/lib/$MACHINE-linux-gnu"
}

# Installs packages into the system, which needs root.
install_debian() { # ADVICE PACKAGE...
  local advice=$1
  shift
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$advice"
  say "installing Debian's $*"
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"; } >&2 ||
    fail "could not install $*. $advice"
}

# Sets `apt` to apt-get with a state and a cache of its own: it needs neither root nor the system's package lists. Further
# arguments are options of apt-get.
prepare_apt() { # WORK OPTION...
  local work=$1
  shift
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || fail "apt-get is missing, which this machine unpacks Debian's packages by"
  rm -rf "$work"
  mkdir -p "$work"/apt/{state/lists/partial,cache/archives/partial} "$work"/{debs,tree}
  apt=(apt-get -qq -o "Dir::State=$work/apt/state" -o "Dir::Cache=$work/apt/cache"
    -o Dir::State::status=/var/lib/dpkg/status -o Debug::NoLocking=1 -o Acquire::Retries=3 "$@")
  # Otherwise apt downloads as its own user, who can't write here.
  [ "$(id -u)" != 0 ] || apt+=(-o APT::Sandbox::User=root)
  "${apt[@]}" update >&2 || say "apt-get update failed in part; continuing with the lists that it fetched"
}

# What apt would install for packages on this machine.
needed_for() { # PACKAGE...
  "${apt[@]}" -s --no-install-recommends install "$@" | awk '$1 == "Inst" { print $2 }'
}

# Unpacks packages into one tree of the cache.
unpack_packages() { # WORK TREE_NAME PACKAGE...
  local work=$1 name=$2 package
  shift 2
  (cd "$work/debs" && "${apt[@]}" download "$@" >&2) ||
    fail "could not download $*. Is Debian's package archive reachable? As root, 'apt-get install $*' works too"
  for package in "$work"/debs/*.deb; do
    dpkg -x "$package" "$work/tree"
  done
  settle "$work/tree" "$name"
  rm -rf "$work"
}

# Unpacks Debian packages, and the libraries that they need and this machine does not have, into one tree.
unpack_debian() { # TREE_NAME PACKAGE...
  local name=$1 work=$CACHE/unpacking/$1 apt missing
  shift
  say "unpacking Debian's $* into $CACHE/$name (nothing is installed)"
  prepare_apt "$work"
  # libllvm is only for PostgreSQL's JIT compiler, which the tests leave off; it is larger than all else.
  missing=$(needed_for "$@" | grep -E '^lib' | grep -vE '^libllvm|-perl$' || true)
  # shellcheck disable=SC2086 # one word per package
  unpack_packages "$work" "$name" "$@" $missing
}
