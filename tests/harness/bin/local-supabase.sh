# Ends a local Supabase when its standard input closes, which happens whatever ends the process at the other end of the
# pipe. It leads the process group of all processes of the local Supabase.
#   sh -c THIS NAME FOLDER      The first line of input is the id of the worker, which can end the rest in order.
folder=$1
trap '' INT HUP TERM QUIT

# Sets `left` to the other running processes of the group. It starts no process, which would be one of them.
look() {
  left=
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    set -- ${line##*) }
    [ "$3" = $$ ] && [ "$1" != Z ] && [ "$pid" != $$ ] && left="$left $pid"
  done
}

read -r worker
while read -r _; do :; done
[ -z "$worker" ] || kill -TERM "$worker" 2>/dev/null
tries=0
while look; case " $left " in *" ${worker:-none} "*) [ $tries -lt 200 ] ;; *) false ;; esac; do
  tries=$((tries + 1))
  sleep 0.1
done
tries=0
while look; [ -n "$left" ] && [ $tries -lt 200 ]; do
  kill -KILL $left 2>/dev/null
  tries=$((tries + 1))
  sleep 0.05
done
# The children of Postgres have groups of their own; they end a little after it, and may write until then.
tries=0
until rm -rf "$folder" 2>/dev/null || [ $tries -ge 200 ]; do
  tries=$((tries + 1))
  sleep 0.05
done
