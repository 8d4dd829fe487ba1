#include "drivers/ssh/remote_script.h"

namespace st8::target::ssh {
namespace {

// Everything below the root is named relative to it, after a `cd`: names of ours alone, none of which can begin with '-'.
constexpr std::string_view kScript = R"sh(
LC_ALL=C
export LC_ALL
umask 022

say() { printf '\nst8-ssh/1 %s\n' "$*"; }
die() { say "$@"; exit 0; }
failed() { die failed "$1"; }

sane() {
  case $1 in '' | .* | -* | *[!A-Za-z0-9._-]*) return 1 ;; esac
  return 0
}

enter() {
  [ -d "$root" ] || mkdir "$root" || failed "make $root"
  cd -P "$root" || failed "open $root"
}

# A directory of ours: made when it is missing, never a link to somewhere else.
plain_directory() {
  [ ! -L "$1" ] || die refused "$root/$1 is a symbolic link: st8 follows none"
  [ -d "$1" ] || { mkdir "$1" && sync .; } || failed "make $1"
}

# Held until the end: a call that lives on after its caller gave up and the next one never work at once. The token is compared
# where the effect happens; within one token a call that was overtaken by a later one does nothing.
lock() {
  plain_directory .st8
  [ ! -L .st8/lock ] || die refused "$root/.st8/lock is a symbolic link: st8 follows none"
  umask 077
  exec 9>>.st8/lock
  umask 022
  flock -w "$wait" 9 || die unavailable "another call holds $root"
  high=''
  [ ! -f .st8/fence ] || IFS=' ' read -r high more <.st8/fence || :
  case $high in '' | *[!0-9]*) high=0 ;; esac
  [ "$token" -ge "$high" ] || die stale "the target is held under a newer token ($high) than this call's ($token)"
  if [ "$token" -gt "$high" ]; then
    put .st8/fence "$token
" || failed "write .st8/fence"
  fi
  last=''
  last_serial=''
  [ ! -f .st8/call ] || IFS=' ' read -r last last_serial more <.st8/call || :
  case $last_serial in '' | *[!0-9]*) last_serial=0 ;; esac
  if [ "$last" = "$token" ] && [ "$serial" -lt "$last_serial" ]; then die stale "a later call came first"; fi
  # Not synced: what it guards against does not outlive the machine's end.
  printf '%s %s\n' "$token" "$serial" >.st8/call || failed "write .st8/call"
  heal
}

# Writes $2 as the file $1: whole or not at all.
put() {
  rm -rf "$1.tmp" || return 1
  (umask 077 && printf %s "$2" >"$1.tmp") && sync "$1.tmp" && mv -T "$1.tmp" "$1" && sync "${1%/*}"
}

# The link `current`: its text in $link, empty when there is none.
read_link() {
  link=''
  if [ -L current ]; then
    link=$(readlink -n current) || failed "read current"
  elif [ -e current ]; then
    die refused "$root/current is not a symbolic link: move it away, st8 makes it"
  fi
}

point_to() {
  rm -f .st8.current.link && ln -s "$1" .st8.current.link && mv -T .st8.current.link current && sync .
}

sync_below() {
  # One call for each file up to a number at which syncing the whole file system is sooner.
  if [ "$(find "$1" | head -n 200 | wc -l)" -lt 200 ]; then find "$1" -depth -exec sync {} +; else sync -f "$1"; fi
}

# Every file below $1: kind, mode and path of each, then the hashes of those that are files.
scan() {
  (cd "$1" && find . -mindepth 1 ! -type d -printf '%y %m %P\0' && find . -type f -exec sha256sum -z {} +)
}
digest_of() { scan "$1" | sort -z | sha256sum | head -c 64; }

# A live version that was altered is mended behind a copy of the whole one, so that `current` always leads to a version. What
# was cut short there is finished by the next call.
mending=revisions/.st8.mending.
heal() {
  [ -L current ] || return 0
  healing=$(readlink -n current) || return 0
  case $healing in "$mending"*) ;; *) return 0 ;; esac
  healed=${healing#"$mending"}
  sane "$healed" || return 0
  rm -rf revisions/.st8.building "revisions/$healed" &&
    cp -al "$healing" revisions/.st8.building &&
    mv -T revisions/.st8.building "revisions/$healed" &&
    sync revisions && point_to "revisions/$healed" && rm -rf "$healing" || failed "mend revisions/$healed"
}

stage() {
  lock
  plain_directory revisions
  to=revisions/$label
  built=revisions/.st8.building
  if [ -L "$to" ] || { [ -e "$to" ] && [ ! -d "$to" ]; }; then die refused "$root/$to is no directory: move it away"; fi
  if [ -d "$to" ] && [ "$(digest_of "$to")" = "$digest" ]; then die ok; fi
  rm -rf "$built" && mkdir "$built" || failed "make $built"
  head -c "$size" | tar -x -p -m --no-same-owner -f - -C "$built" || failed "write $to"
  # What stands behind the files tells that all of them came.
  IFS= read -r end && [ "$end" = end ] || die unavailable "the content was cut short"
  sync_below "$built" || failed "sync $to"
  read_link
  if [ -d "$to" ] && [ "$link" = "$to" ]; then
    rm -rf "$mending$label" && cp -al "$built" "$mending$label" && find "$mending$label" -type d -exec sync {} + &&
      sync revisions && point_to "$mending$label" || failed "mend $to"
    heal
  else
    rm -rf "$to" && mv -T "$built" "$to" && sync revisions || failed "write $to"
  fi
  die ok
}

is_staged() { [ ! -L revisions ] && [ ! -L "revisions/$label" ] && [ -d "revisions/$label" ]; }

validate() {
  is_staged || die not_found "version $label is not staged at $root"
  say ok
  scan "revisions/$label" || exit 3
}

activate() {
  lock
  is_staged || die not_found "version $label is not staged at $root"
  plain_directory .st8/restore
  read_link
  kept=.st8/restore/$point
  if [ ! -e "$kept" ]; then put "$kept" "${link:--}" || failed "keep what was live"; fi
  [ "$link" = "revisions/$label" ] || point_to "revisions/$label" || failed "switch current"
  die ok
}

observe() {
  read_link
  [ -n "$link" ] || die absent
  name=${link#revisions/}
  case $link in "$mending"*) name=${link#"$mending"} ;; revisions/*) ;; *) name= ;; esac
  sane "$name" || die foreign "$link"
  if [ -L revisions ] || [ -L "$link" ] || [ ! -d "$link" ]; then die missing "$name"; fi
  say ok "$name"
  scan "$link" || exit 3
}

restore() {
  lock
  kept=.st8/restore/$point
  if [ -L .st8/restore ] || [ -L "$kept" ] || [ ! -f "$kept" ]; then die ok; fi
  before=$(cat "$kept") || failed "read $kept"
  read_link
  case $before in
    "$link") ;;
    -) rm -f current && sync . || failed "remove current" ;;
    *) point_to "$before" || failed "switch current" ;;
  esac
  die ok
}

discard() {
  lock
  needed=' '
  if [ -d .st8/restore ] && [ ! -L .st8/restore ]; then
    for kept in .st8/restore/* .st8/restore/.[!.]*; do
      [ -e "$kept" ] || [ -L "$kept" ] || continue
      if [ -n "$point" ] && [ "$kept" = ".st8/restore/$point" ]; then
        before=$(cat "$kept") || failed "read $kept"
        needed="$needed${before##*/} "
      else
        rm -rf "$kept" || failed "remove $kept"
      fi
    done
  fi
  read_link
  needed="$needed${link##*/} "
  if [ ! -d revisions ] || [ -L revisions ]; then die ok; fi
  rm -rf revisions/.st8.* || failed "remove what was left behind"
  spare=0
  # Newest first. A name that is none of ours is nobody's version.
  for name in $(cd revisions && find . -mindepth 1 -maxdepth 1 -name '[0-9]*' ! -name '*[!A-Za-z0-9._-]*' -printf '%P\n' | sort -t- -k1,1nr); do
    case $needed in *" $name "*) continue ;; esac
    spare=$((spare + 1))
    [ "$spare" -gt "$keep" ] || continue
    rm -rf "revisions/$name" || failed "remove revisions/$name"
  done
  die ok
}

check() {
  for tool in cat cp find flock head ln mkdir mv readlink rm sha256sum sort sync tar timeout wc; do
    command -v "$tool" >/dev/null || die refused "there is no $tool on the target"
  done
  find / -maxdepth 0 -printf '' || die refused "find on the target is not that of GNU findutils"
  if [ -d "$root" ]; then
    [ -w "$root" ] && [ -x "$root" ] || die refused "the user may not write in $root"
  else
    [ ! -e "$root" ] && [ ! -L "$root" ] || die refused "$root is no directory"
    above=${root%/*}
    [ -d "${above:-/}" ] || die unavailable "there is no directory ${above:-/}: make it, or mount it"
    [ -w "${above:-/}" ] || die refused "the user may not make $root"
  fi
  die ok
}

main() {
  case $op in
    check) check ;;
    observe | validate)
      # They change nothing, the root's absence neither.
      if [ ! -e "$root" ] && [ ! -L "$root" ] && [ -d "${root%/*}/" ]; then die absent; fi
      cd -P "$root" || failed "open $root"
      "$op" ;;
    stage | activate | restore | discard) enter && "$op" ;;
  esac
}
main
)sh";

}  // namespace

std::string_view remote_script() { return kScript; }

}  // namespace st8::target::ssh
