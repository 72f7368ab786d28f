# Holds a cluster's namespaces, and takes all of it away when its standard input closes: that happens however the
# process that holds the other end goes away. Everything runs in one pid namespace, so nothing survives its end.
#   guard.sh STATE NAME UNSHARE_FLAG...
state=$1 name=$2
shift 2
trap '' INT HUP TERM QUIT
# The first process of the pid namespace: it reaps, and waits to be killed.
unshare "$@" --fork --kill-child=KILL --mount-proc -- bash -c 'while :; do sleep 3600 & wait $!; done' </dev/null &
unshare=$!
echo "$unshare" >"$state/unshare.pid"
cat >/dev/null
for child in $(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null); do kill -KILL "$child"; done
wait "$unshare" 2>/dev/null
# A cgroup can be removed once its last process has been reaped.
for _ in $(seq 200); do
  left=$(find /sys/fs/cgroup -mindepth 1 -maxdepth 2 -type d -name "$name-*" 2>/dev/null)
  [ -n "$left" ] || break
  for group in $left; do find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null; done
  sleep 0.02
done
rm -rf "$state"
