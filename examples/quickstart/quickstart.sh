#!/usr/bin/env bash
# The store in a minute, over a directory and with no daemon. st8ctl must be in PATH.
#
#   quickstart.sh [state directory]
#
# Ends with a non-zero status as soon as anything is not as it should be.
set -euo pipefail
state=${1:-$(mktemp -d)}
[ $# -gt 0 ] || trap 'rm -rf "$state"' EXIT
st8() { st8ctl --local --state-dir "$state" "$@"; }

st8 apply -v app/log-level=info -v app/timeout-ms=250 --message "first settings"
st8 checkpoint good --description "worked on Friday"
st8 apply -v app/timeout-ms=5 --message "be quicker"
st8 rollback --checkpoint good --message "too quick"
[ "$(st8 get app/timeout-ms)" = 250 ]

st8 branch create experiment/slower
st8 --branch experiment/slower apply -v app/timeout-ms=900
[ "$(st8 get app/timeout-ms)" = 250 ]
st8 restore --from-branch experiment/slower --message "promote"
[ "$(st8 get app/timeout-ms)" = 900 ]

# What does not exist is an error, and changes nothing.
if st8 rollback --revision 9999; then
  echo "an unknown revision was accepted" >&2
  exit 1
fi
[ "$(st8 get app/timeout-ms)" = 900 ]
st8 log
