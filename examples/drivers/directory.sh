#!/usr/bin/env bash
# A driver of the contract st8-driver/1 in shell: the same as directory.py, with jq and coreutils.
#
#   kind: exec
#   spec:
#     program: /usr/local/lib/st8/directory.sh
#     config: {root: /srv/app, keep: "5"}
#
# st8 checks paths, labels and names before it asks, so they may be used as they come.
set -euo pipefail
umask 077
request=$(mktemp)
trap 'rm -f "$request"' EXIT
cat >"$request"
ask() { jq -r "$1" "$request"; }

# refuse code message: unavailable (try again), stale_token, not_found, refused.
refuse() {
  jq -nc --arg code "$1" --arg message "$2" '{ok: false, code: $code, message: $message}'
  exit 0
}
trap 'refuse unavailable "a command failed in line $LINENO"' ERR

[ "$(ask .protocol)" = st8-driver/1 ] || refuse refused "this protocol is not spoken here"
root=$(ask .config.root) keep=$(ask '.config.keep // "5"') label=$(ask '.label // ""') point_name=$(ask '.restore_point // ""')
[ -d "$root" ] || refuse unavailable "$root is no directory"
cd "$root"
point=.driver/restore/$point_name

# The lock, and the fencing token compared under it.
hold() {
  mkdir -p .driver/restore revisions
  exec 9>>.driver/lock
  flock 9
  local token highest=0
  token=$(ask .fencing_token)
  [ ! -s .driver/fence ] || highest=$(cat .driver/fence)
  [ "$token" -ge "$highest" ] || refuse stale_token "token $token is older than $highest"
  if [ "$token" -gt "$highest" ]; then
    printf '%s' "$token" >.driver/fence.new
    sync .driver/fence.new
    mv -T .driver/fence.new .driver/fence
  fi
}
# What lies in a directory, from its bytes: {path, mode, sha256} of every file, in path order. Anything else than a file is told as one
# that no plan has.
listing() {
  (cd "$1" && find . -mindepth 1 ! -type d -printf '%P\t%m\t%y\n' | LC_ALL=C sort | while IFS=$'\t' read -r path mode type; do
    sum=0000000000000000000000000000000000000000000000000000000000000000
    if [ "$type" = f ]; then sum=$(sha256sum <"$path" | cut -d' ' -f1); else mode=0; fi
    jq -nc --arg path "$path" --arg sum "$sum" --argjson mode "$((8#$mode))" '{path: $path, mode: $mode, sha256: $sum}'
  done) | jq -sc .
}
switch() {
  if [ -z "$1" ]; then
    rm -f current
  else
    ln -sfn "$1" current.new
    mv -T current.new current
  fi
  sync .
}
need_version() { [ -d "revisions/$label" ] || refuse not_found "version $label is not staged"; }
done_with() { jq -c '. + {ok: true}' <<<"${1:-{\}}"; }

case $(ask .operation) in
  check) [ -w . ] || refuse unavailable "$root cannot be written"; done_with ;;
  stage)
    hold
    rm -rf .driver/building
    mkdir -m 755 .driver/building
    count=$(ask '.files | length')
    for ((i = 0; i < count; ++i)); do
      path=$(ask ".files[$i].path")
      (umask 022 && mkdir -p ".driver/building/$(dirname "$path")")
      ask ".files[$i].content_base64" | base64 -d >".driver/building/$path"
      chmod "$(printf '%o' "$(ask ".files[$i].mode")")" ".driver/building/$path"
    done
    sync -f .driver/building
    if [ -d "revisions/$label" ] && [ "$(listing "revisions/$label")" != "$(listing .driver/building)" ]; then
      rm -rf .driver/damaged
      mv -T "revisions/$label" .driver/damaged
    fi
    [ -d "revisions/$label" ] || mv -T .driver/building "revisions/$label"
    rm -rf .driver/damaged .driver/building
    sync revisions
    done_with
    ;;
  validate) need_version; done_with "{\"files\": $(listing "revisions/$label")}" ;;
  activate)
    hold
    need_version
    if [ ! -e "$point" ]; then
      { readlink current || true; } | tr -d '\n' >.driver/point.new
      sync .driver/point.new
      mv -T .driver/point.new "$point"
    fi
    switch "revisions/$label"
    done_with
    ;;
  observe)
    if [ ! -L current ]; then
      done_with '{"present": false}'
    else
      [ -d current/ ] || refuse unavailable "the live version is gone"
      done_with "{\"present\": true, \"label\": \"$(basename "$(readlink current)")\", \"files\": $(listing "$(readlink -f current)")}"
    fi
    ;;
  restore) hold; [ ! -e "$point" ] || switch "$(cat "$point")"; done_with ;;
  discard)
    hold
    needed=" $( (readlink current || true) | xargs -r basename) "
    for one in .driver/restore/*; do
      [ -e "$one" ] || continue
      if [ "$one" = "$point" ]; then needed+="$(xargs -r basename <"$one") "; else rm -f "$one"; fi
    done
    kept=0
    for version in $(find revisions -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -rn); do
      [[ "$needed" != *" $version "* ]] || continue
      kept=$((kept + 1))
      [ "$kept" -le "$keep" ] || rm -rf "revisions/$version"
    done
    done_with
    ;;
  *) refuse refused "this operation is not known here" ;;
esac
