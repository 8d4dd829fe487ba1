#!/usr/bin/env bash
# Starts COUNT web servers, each a process of its own on a loopback port that the system picks, and each reading the configuration that is
# live in its own directory live/<name>; writes the target of each to system/targets/. Runs until it is ended, and ends them then.
#
#   up.sh COUNT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait' EXIT
trap 'exit 0' INT TERM
mkdir -p system/targets
for ((i = 1; i <= $1; ++i)); do
  mkdir -p "live/node-$i"
  python3 "$here/server.py" "live/node-$i" >"live/node-$i.url" &
  servers+=($!)
done
for ((i = 1; i <= $1; ++i)); do
  until [ -s "live/node-$i.url" ]; do sleep 0.02; done
  cat >"system/targets/node-$i.yaml" <<TARGET
kind: file
labels: {role: storefront, port: "$(sed 's/.*://' "live/node-$i.url")"}
env: prod
spec: {root: $PWD/live/node-$i}
TARGET
done
echo up
wait
