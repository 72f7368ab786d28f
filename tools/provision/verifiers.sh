# Programs that check logs with libraries of others, and a witness of others. Sourced by provision.sh.

find_verifiers() {
  VERIFIERS_BIN=$(built_folder verifiers "-s -w")
  [ -x "$VERIFIERS_BIN/verifiers" ] && [ -x "$VERIFIERS_BIN/litewitness" ]
}

provision_verifiers() {
  lock lock-verifiers 1800
  find_verifiers || build_go verifiers "-s -w" "$VERIFIERS_BIN" ". tool" "this takes some minutes"
  find_verifiers || fail "the verifiers of logs were built but are not in $VERIFIERS_BIN"
  say "found $VERIFIERS_BIN"
}

where_verifiers() {
  find_verifiers || fail "a verifier of logs is missing. Run 'make provision-verifiers'"
  printf '%s=%s\n' VERIFIERS_BIN "$VERIFIERS_BIN"
}
