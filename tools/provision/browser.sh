# Chromium, Playwright and axe-core: what the panel is tested in. Sourced by provision.sh.

AXE_PACKAGE=axe-core@4.14.1
AXE_SHA512=FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
AXE_FOLDER=${AXE_PACKAGE/@/-}

# The folder of the fonts in an unpacked tree; without a font, Chromium draws boxes.
fonts_of() { # TREE
  printf '%s/usr/share/fonts' "$1"
}

chromium_works() { # FILE LIBRARY_PATH
  [ -x "$1" ] && LD_LIBRARY_PATH=$2 "$1" --version 2>/dev/null | grep -q '^Chromium [0-9]'
}

find_chromium() {
  CHROMIUM=$(command -v chromium || true) CHROMIUM_LIBS='' CHROMIUM_FONTS=/usr/share/fonts
  chromium_works "$CHROMIUM" '' && return
  local tree=$CACHE/chromium
  # The package's own start script reads the system's folders, so the program itself is started.
  CHROMIUM=$tree/usr/lib/chromium/chromium CHROMIUM_FONTS=$(fonts_of "$tree")
  # A library of PulseAudio lies in a folder of its own.
  CHROMIUM_LIBS=$(libraries_of "$tree"):$tree/usr/lib/$MACHINE-linux-gnu/pulseaudio
  chromium_works "$CHROMIUM" "$CHROMIUM_LIBS"
}

# Drives Chromium; the package brings what it runs on.
PLAYWRIGHT_VERSION=1.65.2

find_playwright() {
  BROWSER_PYTHON=$CACHE/playwright-$PLAYWRIGHT_VERSION/bin/python
  "$BROWSER_PYTHON" -c 'import playwright.sync_api, pytest' 2>/dev/null
}

get_playwright() {
  local folder=$CACHE/playwright-$PLAYWRIGHT_VERSION
  python3 -c 'import ensurepip, venv' 2>/dev/null ||
    install_debian "Python has no venv. As root: 'apt-get install python3 python3-venv'" python3 python3-venv
  say "making an environment with Playwright in $folder"
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/python" -m pip -q --disable-pip-version-check install "playwright==$PLAYWRIGHT_VERSION" 'pytest>=8' ||
    fail "could not get Playwright. Is the package index reachable?"
}

find_axe() {
  AXE=$CACHE/$AXE_FOLDER/axe.min.js
  [ -s "$AXE" ]
}

get_axe() {
  get_npm
  get_npm_package "$AXE_PACKAGE" "$AXE_SHA512" "$AXE_FOLDER"
}

provision_browser() {
  lock lock-browser 600
  find_chromium || unpack_debian chromium chromium chromium-common fonts-dejavu-core
  find_chromium || fail "Chromium was unpacked but does not run. Try LD_LIBRARY_PATH=$CHROMIUM_LIBS $CHROMIUM --version"
  find_axe || get_axe
  find_playwright || get_playwright
  find_playwright || fail "Playwright was installed but does not start. Try $BROWSER_PYTHON -c 'import playwright.sync_api'"
  say "found $CHROMIUM, $BROWSER_PYTHON, $AXE"
}

where_browser() {
  local missing=()
  find_chromium || missing+=(Chromium)
  find_axe || missing+=(axe-core)
  find_playwright || missing+=(Playwright)
  [ ${#missing[@]} = 0 ] || fail "missing: ${missing[*]}. Run 'make provision-browser'"
  printf '%s=%s\n' CACHE "$CACHE" CHROMIUM "$CHROMIUM" CHROMIUM_LIBS "$CHROMIUM_LIBS" CHROMIUM_FONTS "$CHROMIUM_FONTS" AXE "$AXE" \
    BROWSER_PYTHON "$BROWSER_PYTHON"
}
