# promtool, which tests the chart's alerts. Sourced by provision.sh.

PROMETHEUS_NAME=prometheus

find_promtool() {
  PROMTOOL=$(command -v promtool || true)
  says 'promtool, version' "$PROMTOOL" --version && return
  PROMTOOL=$CACHE/$PROMETHEUS_NAME/usr/bin/promtool
  says 'promtool, version' "$PROMTOOL" --version
}

get_promtool() {
  find_promtool || unpack_debian "$PROMETHEUS_NAME" prometheus
  find_promtool || fail "$PROMTOOL does not run. Delete $CACHE/$PROMETHEUS_NAME and run again"
}
