# Prometheus, which scrapes both programs in a test, and promtool, which tests the chart's alerts. Sourced by provision.sh.

PROMETHEUS_NAME=prometheus

find_prometheus() {
  PROMETHEUS=$(command -v prometheus || true) PROMTOOL=$(command -v promtool || true)
  prometheus_runs && return
  PROMETHEUS=$CACHE/$PROMETHEUS_NAME/usr/bin/prometheus PROMTOOL=$CACHE/$PROMETHEUS_NAME/usr/bin/promtool
  prometheus_runs
}

prometheus_runs() {
  says 'prometheus, version' "$PROMETHEUS" --version && says 'promtool, version' "$PROMTOOL" --version
}

get_prometheus() {
  find_prometheus || unpack_debian "$PROMETHEUS_NAME" prometheus
  find_prometheus || fail "$PROMETHEUS does not run. Delete $CACHE/$PROMETHEUS_NAME and run again"
}
