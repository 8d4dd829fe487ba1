#!/usr/bin/env bash
# Shows on real input what st8 does: a real st8d over RocksDB on a loopback port, st8ctl, and a program that reads what goes live.
# `./dev demo` builds both and runs this. Every command is shown as it is run; what it prints is checked, and the first thing that is
# not as it should be ends the demo with status 1. Nothing is left behind.
#
#   demo.sh [--bin DIRECTORY] [--tree DIRECTORY] [--plain]
#
# --bin   where st8d and st8ctl are (else: PATH)     --tree  the configuration to show it on (else: this machine's /etc)
# --plain no colours
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=/etc
bold='' green='' red='' dim='' off=''
plain=
while [ $# -gt 0 ]; do
  case $1 in
    --bin) PATH="$(cd "$2" && pwd):$PATH"; shift ;;
    --tree) tree=$(cd "$2" && pwd); shift ;;
    --plain) plain=yes ;;
    *) printf 'demo.sh: unknown argument %s\n' "$1" >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$plain" ] && [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' dim=$'\e[2m' off=$'\e[0m'
fi
for program in st8d st8ctl curl python3; do
  command -v "$program" >/dev/null || { printf 'demo.sh: %s is not to be found\n' "$program" >&2; exit 2; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/st8-demo.XXXXXX")
daemon='' web='' fleet=''
# Ends only what was started here, by its process id.
cleanup() {
  local pid
  for pid in $daemon $web $fleet; do
    kill "$pid" 2>/dev/null || continue
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$work"
export HOME="$work/home" NO_COLOR=1
mkdir -p "$HOME"
unset ST8CTL_SERVER ST8CTL_TOKEN ST8CTL_LOCAL ST8CTL_STATE_DIR ST8CTL_NAMESPACE ST8CTL_BRANCH ST8CTL_CONFIG ST8CTL_OUTPUT XDG_CONFIG_HOME

chapters=0 checks=0
chapter() {
  chapters=$((chapters + 1))
  printf '\n%s%d. %s%s\n' "$bold" "$chapters" "$1" "$off"
}
tell() { printf '   %s%s%s\n' "$dim" "$1" "$off"; }
broken() {
  printf '   %s✗ %s%s\n' "$red" "$1" "$off"
  [ ! -s "$work/st8d.log" ] || { printf '   the last lines of st8d:\n'; tail -n 15 "$work/st8d.log" | sed 's/^/     /'; }
  exit 1
}
holds() {
  checks=$((checks + 1))
  printf '   %s✓ %s%s\n' "$green" "$1" "$off"
}

output='' status=0
# run command...: shows it, runs it, shows what it printed (the first lines of much); it must end well.
run() {
  try "$@"
  [ "$status" -eq 0 ] || broken "ended with status $status"
}
# try command...: the same, and the caller looks at $status.
try() {
  local words=() word
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:=@~,%+-]* | '') words+=("'${word//\'/\'\\\'\'}'") ;;
      *) words+=("$word") ;;
    esac
  done
  printf '   $ %s\n' "${words[*]}"
  status=0
  output=$("$@" 2>&1) || status=$?
  local lines
  lines=$(printf '%s' "$output" | grep -c '' || true)
  printf '%s\n' "$output" | sed -n '1,8p' | cut -c1-140 | sed 's/^/     /'
  [ "$lines" -le 8 ] || printf '     %s... %d lines more%s\n' "$dim" "$((lines - 8))" "$off"
}
# says text explanation: the output of the last command has that text.
says() {
  [[ "$output" == *"$1"* ]] || broken "$2: expected \"$1\""
  holds "$2"
}
same() {
  [ "$1" = "$2" ] || broken "$3: \"$1\" is not \"$2\""
  holds "$3"
}
# soon explanation command...: the command succeeds within thirty seconds.
soon() {
  local explanation=$1 deadline=$((SECONDS + 30))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || broken "$explanation: not within thirty seconds"
    sleep 0.05
  done
  holds "$explanation"
}
milliseconds() { printf '%s' "$(($(date +%s%N) / 1000000))"; }

# The tree: what of it can be read, regular files up to 1 MiB, as a person would import it.
mkdir tree
tell_tree() { printf '%s files, %s' "$(find tree -type f | wc -l)" "$(du -sh --apparent-size tree | cut -f1)"; }
(cd "$tree" && find . -type f -readable -size -1024k -not -name '*shadow*' -not -name '*_key' -not -path '*/ssl/private/*' -print0 | head -z -n 5000 |
  tar --null -T - -cf - 2>/dev/null) | tar -C tree -xf - 2>/dev/null || true
[ "$(find tree -type f | wc -l)" -gt 0 ] || broken "no readable file under $tree"
printf 'Ledger of the demo: %s%s%s\nInput: %s (%s)\n' "$bold" "$work" "$off" "$tree" "$(tell_tree)"

chapter "A store: st8d over RocksDB"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf '   $ st8d --listen 127.0.0.1:%s --state-dir state &\n' "$port"
st8d --listen "127.0.0.1:$port" --state-dir state >st8d.log 2>&1 &
daemon=$!
export ST8CTL_SERVER=http://127.0.0.1:$port
soon "it is ready (/readyz)" curl -fs "$ST8CTL_SERVER/readyz"

# story server|local: the same story through the daemon and through `st8ctl --local`.
story() {
  local head files start

  chapter "$1: a real tree goes in, and comes out byte for byte"
  files=$(find tree -type f | wc -l)
  start=$(milliseconds)
  run st8ctl apply -f tree --message "import"
  says "Applied $files change(s) at revision 1." "$files files are revision 1, in $(($(milliseconds) - start)) ms"
  local sample
  sample=$(find tree -type f -size +0 -printf '%s %p\n' | sort -n | sed -n '$p' | cut -d' ' -f2-)
  st8ctl get "${sample#tree/}" >back
  cmp -s back "$sample" || broken "$sample did not come back as it was"
  holds "the largest, $sample, is the same to the byte"
  run st8ctl apply -f tree
  says "No changes. Head stays at revision 1." "the same again makes no revision"

  chapter "$1: a checkpoint, an experiment on a branch, and the difference"
  run st8ctl checkpoint before-friday --description "all quiet"
  says "Checkpoint before-friday -> revision 1" "a name that never moves"
  run st8ctl apply -v app/pool.json='{"min": 4, "max": 32}' -v app/level=info --message "two settings"
  run st8ctl branch create experiment/pool
  says "Created branch experiment/pool at revision 2." "a branch is a pointer: it costs nothing"
  run st8ctl --branch experiment/pool diff -v app/pool.json='{"min": 4, "max": 64}'
  says '+{"min": 4, "max": 64}' "the difference, before anything is done"
  run st8ctl --branch experiment/pool apply -v app/pool.json='{"min": 4, "max": 64}' --message "a wider pool" --author rosa
  same "$(st8ctl get app/pool.json)" '{"min": 4, "max": 32}' "main has not seen it"

  chapter "$1: promote the experiment"
  run st8ctl restore --from-branch experiment/pool --message "promote the wider pool"
  says "Restored into revision 4." "main has it, as a revision of its own"
  same "$(st8ctl get app/pool.json)" '{"min": 4, "max": 64}' "main reads the new value"
  run st8ctl checkpoint promoted

  chapter "$1: a bad change, and back"
  run st8ctl apply -v app/pool.json='{"min": 0, "max": 0}' -v app/level=trace --message "looks harmless"
  start=$(milliseconds)
  run st8ctl rollback --checkpoint promoted --message "pool of nothing"
  says "Rolled back at revision 6." "back in $(($(milliseconds) - start)) ms, by a revision that copies the good one"
  same "$(st8ctl get app/pool.json)" '{"min": 4, "max": 64}' "the good value is back"
  try st8ctl rollback --revision 9999
  [ "$status" -ne 0 ] || broken "a revision that does not exist was accepted"
  head=$(st8ctl log --limit 1)
  [[ "$head" == rev=6\ * ]] || broken "a refused rollback moved the head: $head"
  holds "what never was is no way back: refused, nothing changed"
  run st8ctl log
  says 'rev=4 ' "and all of it is in the log: who, when, why"
}
story "Through the daemon"

chapter "Live on a target: a policy, and a real program that reads the file"
mkdir live
cp -r "$here/../live-file/system" "$here/../live-file/config" .
sed -i "s|ROOT|$work/live|" system/targets/web-1.yaml
python3 "$here/../live-file/server.py" live >server.log &
web=$!
soon "a small web server is up that answers from live/current" test -s server.log
url=$(head -n 1 server.log)
tell "the target web-1, and the policy of the namespace shop:"
sed 's/^/     /' system/targets/web-1.yaml config/.st8/rollout.yaml
pushd system >/dev/null
run st8ctl --namespace st8/system apply targets/web-1.yaml
popd >/dev/null
pushd config >/dev/null
run st8ctl --namespace shop apply .st8/rollout.yaml app/greeting.json --message "open the shop"
popd >/dev/null
answers() { curl -s "$url" | grep -qF "$1"; }
soon "the program answers with the new configuration" answers "Hello, world!"
is_live() { st8ctl --namespace shop live | grep -q "revision=$1 "; }
soon "and st8 has read it back" is_live 1
run st8ctl --namespace shop live
run curl -s "$url"
start=$(milliseconds)
run st8ctl --namespace shop apply -v app/greeting.json='{"greeting": "Goodbye", "whom": "world"}' --message "oops"
soon "a head that moves goes live by itself ($(($(milliseconds) - start)) ms after the command began)" answers "Goodbye, world!"
run st8ctl --namespace shop rollback --revision 1
soon "and a rollback too" answers "Hello, world!"
soon "read back as revision 3" is_live 3
run st8ctl --namespace shop live

chapter "A fleet: a good revision goes out wave by wave, and a bad one comes back by itself"
mkdir fleet
cp -r "$here/../fleet/config" fleet/
cd fleet
"$here/../fleet/up.sh" 8 >up.log 2>&1 &
fleet=$!
soon "eight web servers are up, each a process of its own" grep -q up up.log
cd system
run st8ctl --namespace st8/system apply -f . --message "eight web servers"
cd ../config
sed 's/^/     /' .st8/rollout.yaml
run st8ctl --namespace fleet apply .st8/rollout.yaml app/greeting.json --message "open"
cd ..
ended() { st8ctl --namespace fleet rollout list | grep -q "revision=$1 phase=$2"; }
soon "a quarter at a time, each checked before the next: promoted everywhere" ended 1 promoted
same "$(st8ctl --namespace fleet live | grep -c 'revision=1 state=promoted')" 8 "read back from eight of eight"
run st8ctl --namespace fleet apply -v app/greeting.json='{"greeting": "Hi"}' --message "shorter" --author rosa
tell "the servers need \"whom\", and answer 503 without it ..."
soon "the rollout ends by itself" ended 2 rolled-back
same "$(find live -maxdepth 3 -path '*/revisions/2-*' -prune -print | wc -l)" 2 "two of eight ever had it: the first wave"
soon "a revision is appended that copies the last promoted one" ended 3 promoted
run st8ctl --namespace fleet log --limit 1
same "$(st8ctl --namespace fleet live | grep -c 'revision=3 state=promoted')" 8 "and all eight are on it"
run curl -s "$(cat live/node-1.url)"
says "Hello, world!" "the first one answers as before"
try st8ctl --namespace fleet apply -v app/greeting.json='{"greeting": "Hi"}' --message "once more"
[ "$status" -ne 0 ] || broken "the change that failed was taken again"
says "quarantine" "the same change again is refused, by name of the rollout in which it failed"
cd "$work"

chapter "A crash: st8d killed with SIGKILL, started again"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
st8d --listen "127.0.0.1:$port" --state-dir state >>st8d.log 2>&1 &
daemon=$!
soon "ready again" curl -fs "$ST8CTL_SERVER/readyz"
same "$(st8ctl get app/pool.json)" '{"min": 4, "max": 64}' "nothing acknowledged is lost"
soon "and what is live is known" is_live 3

chapter "SIGTERM: drained, synced, exit 0"
kill -TERM "$daemon"
status=0
wait "$daemon" || status=$?
daemon=''
same "$status" 0 "st8d ended with status 0"

unset ST8CTL_SERVER
export ST8CTL_LOCAL=1 ST8CTL_STATE_DIR="$work/local"
story "Without a daemon (--local)"

printf '\n%s%d chapters, %d checks, all as told.%s\n' "$bold" "$chapters" "$checks" "$off"
