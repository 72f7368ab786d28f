# Ends all of a local Supabase when its standard input closes: that happens however the process that holds the other
# end goes away. It leads the process group that all of it is in.
#   sh -c THIS NAME FOLDER      Its first line of input is the process that can end the rest in order.
folder=$1
trap '' INT HUP TERM QUIT

# Sets `left` to the others of the group that still run. Without a process of its own, which would be one of them.
look() {
  left=
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    pid=${line%% *}
    set -- ${line##*) }
    [ "$3" = $$ ] && [ "$1" != Z ] && [ "$pid" != $$ ] && left="$left $pid"
  done
}

read -r inside
while read -r _; do :; done
[ -z "$inside" ] || kill -TERM "$inside" 2>/dev/null
tries=0
while look; case " $left " in *" ${inside:-none} "*) [ $tries -lt 200 ] ;; *) false ;; esac; do
  tries=$((tries + 1))
  sleep 0.1
done
tries=0
while look; [ -n "$left" ] && [ $tries -lt 200 ]; do
  kill -KILL $left 2>/dev/null
  tries=$((tries + 1))
  sleep 0.05
done
# What Postgres began by itself ends a little after it, and may write until then.
tries=0
until rm -rf "$folder" 2>/dev/null || [ $tries -ge 200 ]; do
  tries=$((tries + 1))
  sleep 0.05
done
