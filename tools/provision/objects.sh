# An object store with S3's protocol that others wrote, its state in a folder. Sourced by provision.sh.

find_objects() {
  OBJECTS_BIN=$(built_folder objects "-s -w")
  [ -x "$OBJECTS_BIN/versitygw" ]
}

provision_objects() {
  lock lock-objects 1800
  find_objects || build_go objects "-s -w" "$OBJECTS_BIN" tool "this takes some minutes"
  find_objects || fail "the object store was built but is not in $OBJECTS_BIN"
  say "found $OBJECTS_BIN"
}

where_objects() {
  find_objects || fail "the object store is missing. Run 'make provision-objects'"
  printf '%s=%s\n' OBJECTS_BIN "$OBJECTS_BIN"
}
