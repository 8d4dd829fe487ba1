#include "drivers/ssh/remote_script.h"

namespace st8::target::ssh {
namespace {

// Everything below the root is named relative to it, after a `cd`: names of ours alone, none of which can begin with '-'.
//
// A program started costs about a millisecond of the target's processor, a subshell a tenth of it, a builtin nothing. So the common
// way of a version is: flock, mkdir, mv, sync; find, sha256sum; find, sha256sum; flock, sync, ln, mv, sync; find, sha256sum; flock, rm.
constexpr std::string_view kFunctions = R"sh(
LC_ALL=C
export LC_ALL
umask 022
exec 2>&1

say() { printf '\n%s %s %s\n' "$mark" "$call" "$*"; }
die() { say "$@"; exit 0; }
failed() { die failed "$1"; }

sane() {
  case $1 in '' | .* | -* | *[!A-Za-z0-9._-]*) return 1 ;; esac
  return 0
}

enter() {
  if [ ! -d "$root" ]; then
    mkdir "$root" || failed "make $root"
    sync "${root%/*}/" || :
  fi
  cd -P "$root" || failed "open $root"
}

# A directory of ours: made when it is missing, never a link to somewhere else.
plain_directory() {
  [ ! -L "$1" ] || die refused "$root/$1 is a symbolic link: st8 follows none"
  [ -d "$1" ] || mkdir "$1" || failed "make $1"
}
plain_file() { [ ! -L "$1" ] || die refused "$root/$1 is a symbolic link: st8 follows none"; }

# Held until the end: a call that lives on after its caller gave up and the next one never work at once. The token is compared
# where the effect happens; within one token a call that was overtaken by a later one does nothing.
lock() {
  plain_directory .st8
  plain_file .st8/lock
  umask 077
  exec 9>>.st8/lock
  flock -w "$wait" 9 || die unavailable "another call holds $root"
  plain_file .st8/fence
  plain_file .st8/call
  high=''
  [ ! -f .st8/fence ] || IFS=' ' read -r high more <.st8/fence || :
  case $high in *[!0-9]*) high='' ;; esac
  high=${high#"${high%%[!0]*}"}
  high=${high:-0}
  [ "$token" -ge "$high" ] || die stale "the target is held under a newer token ($high) than this call's ($token)"
  # As many digits each time, written over the older ones at once: no reader and no crash sees a part. Whoever needs it on the disk
  # syncs it together with what it guards.
  if [ "$token" -gt "$high" ]; then printf '%020d\n' "$token" 1<>.st8/fence || failed "write .st8/fence"; fi
  last=''
  last_serial=''
  [ ! -f .st8/call ] || IFS=' ' read -r last last_serial more <.st8/call || :
  case $last_serial in '' | *[!0-9]*) last_serial=0 ;; esac
  if [ "$last" = "$token" ] && [ "$serial" -lt "$last_serial" ]; then die stale "a later call came first"; fi
  # Not synced: what it guards against does not outlive the machine's end.
  printf '%s %s\n' "$token" "$serial" >.st8/call || failed "write .st8/call"
  umask 022
  heal
}

# What any call may have left unsynced, its own or one before it that was cut short.
ours='. .st8 .st8/fence'

# The link `current`: its text in $link, empty when there is none. Costs no program where it leads to a version.
read_link() {
  link=''
  base=$PWD
  if [ -L current ] && [ -d current/ ] && cd -P current 2>/dev/null; then
    link=${PWD#"$base"/}
    cd "$base" || failed "open $root"
    case $link in revisions/*) ! sane "${link#revisions/}" || return 0 ;; esac
    link=''
  fi
  if [ -L current ]; then
    link=$(readlink -n current) || failed "read current"
  elif [ -e current ]; then
    die refused "$root/current is not a symbolic link: move it away, st8 makes it"
  fi
}

point_to() {
  if [ -e .st8.current.link ] || [ -L .st8.current.link ]; then rm -f .st8.current.link || return 1; fi
  ln -s "$1" .st8.current.link && mv -T .st8.current.link current && sync .
}

sync_below() {
  # One call for each file up to a number at which syncing the whole file system is sooner.
  if [ "$(find "$1" | head -n 200 | wc -l)" -lt 200 ]; then find "$1" -depth -exec sync {} +; else sync -f "$1"; fi
}

# Every file below $1: kind, mode and path of each, then the hashes of those that are files. Leaves the shell in $1.
scan() {
  cd "$1" && find . -mindepth 1 ! -type d -printf '%y %m %P\0' -type f -exec sha256sum -z {} +
}
digest_of() { scan "$1" | sort -z | sha256sum | head -c 64; }

# A live version that was altered is mended behind a copy of the whole one, so that `current` always leads to a version. What
# was cut short there is finished by the next call.
mending=revisions/.st8.mending.
heal() {
  [ "$layout" = directory ] && [ ! -L revisions ] || return 0
  set -- "$mending"*
  [ -d "$1" ] && [ -L current ] || return 0
  healing=$(readlink -n current) || return 0
  case $healing in "$mending"*) ;; *) return 0 ;; esac
  healed=${healing#"$mending"}
  sane "$healed" || return 0
  rm -rf revisions/.st8.healing "revisions/$healed" &&
    cp -al "$healing" revisions/.st8.healing &&
    mv -T revisions/.st8.healing "revisions/$healed" &&
    sync revisions && point_to "revisions/$healed" && rm -rf "$healing" || failed "mend revisions/$healed"
}

# $fill: now, the content comes with this call; laid, it came before, into $built; no, it is asked whether the content is wanted.
stage() {
  lock
  plain_directory "$versions"
  to=$versions/$label
  if [ -L "$to" ] || { [ -e "$to" ] && [ ! -d "$to" ]; }; then die refused "$root/$to is no directory: move it away"; fi
  if [ -d "$to" ] && [ "$(digest_of "$to")" = "$digest" ]; then
    # The call that made it may have ended before it was on the disk.
    # shellcheck disable=SC2086
    sync_below "$to" && sync $ours "$versions" || failed "sync $to"
    die ok
  fi
  case $fill in
    no) die wanted ;;
    now)
      if [ -e "$built" ] || [ -L "$built" ]; then rm -rf "$built" || failed "remove $built"; fi
      lay || failed "write $to" ;;
    laid)
      [ -d "$built" ] && [ ! -L "$built" ] && [ "$(digest_of "$built")" = "$digest" ] ||
        die unavailable "the content did not arrive whole" ;;
  esac
  if [ -d "$to" ]; then
    link=''
    [ "$layout" = files ] || read_link
    sync_below "$built" || failed "sync $to"
    if [ "$link" = "$to" ]; then
      rm -rf "$mending$label" && cp -al "$built" "$mending$label" && find "$mending$label" -type d -exec sync {} + &&
        sync revisions && point_to "$mending$label" || failed "mend $to"
      heal
      # shellcheck disable=SC2086
      sync $ours || failed "sync $to"
      die ok
    fi
    rm -rf "$to" || failed "remove $to"
  fi
  # One sync for all, after the rename: nobody takes for whole what a crash before it left, since a version that is there is read
  # before it is kept, and before it is activated.
  # shellcheck disable=SC2086
  mv -T "$built" "$to" && settle $ours "$versions" || failed "write $to"
  die ok
}

# A part of a large content, beside everything: no lock is needed, since no other call has a directory of this name.
lay_part() {
  [ "$layout" = directory ] || plain_directory .st8
  plain_directory "$versions"
  lay || failed "write $built"
  die ok
}

is_staged() { [ ! -L .st8 ] && [ ! -L "$versions" ] && [ ! -L "$versions/$label" ] && [ -d "$versions/$label" ]; }

validate() {
  is_staged || die not_found "version $label is not staged at $root"
  scan "$versions/$label" || failed "read $versions/$label"
  die ok
}

activate() {
  lock
  is_staged || die not_found "version $label is not staged at $root"
  plain_directory .st8/restore
  read_link
  kept=.st8/restore/$point
  plain_file "$kept"
  # An empty one was cut off by a crash, before which nothing was switched.
  if [ ! -s "$kept" ]; then
    umask 077
    printf %s "${link:--}" >"$kept" || failed "keep what was live"
    umask 022
  fi
  # shellcheck disable=SC2086
  sync "$kept" .st8/restore $ours || failed "keep what was live"
  if [ "$link" != "revisions/$label" ]; then point_to "revisions/$label" || failed "switch current"; fi
  die ok
}

# The version that `current` leads to: its name in $name, empty when it leads to none of ours. Costs no program. Leaves the shell in it.
enter_live() {
  name=''
  [ -L current ] && [ -d current/ ] || return 1
  base=$PWD
  cd -P current || return 1
  case $PWD in "$base"/revisions/*) name=${PWD#"$base"/revisions/} ;; esac
  name=${name#"${mending#revisions/}"}
  ! sane "$name" || return 0
  name=''
  cd "$base" || failed "open $root"
  return 1
}

observe() {
  if ! enter_live; then
    read_link
    [ -n "$link" ] || die absent
    name=${link#revisions/}
    case $link in "$mending"*) name=${link#"$mending"} ;; revisions/*) ;; *) name= ;; esac
    sane "$name" || die foreign "$link"
    die missing "$name"
  fi
  scan . || failed "read what is live"
  die ok "$name"
}

kept_link() {
  before=''
  line=''
  while IFS= read -r line; do
    before="$before$line
"
  done <"$1" || return 1
  before=$before$line
}

restore() {
  lock
  kept=.st8/restore/$point
  if [ -L .st8/restore ] || [ -L "$kept" ] || [ ! -s "$kept" ]; then die ok; fi
  kept_link "$kept" || failed "read $kept"
  read_link
  # shellcheck disable=SC2086
  sync $ours || failed "write .st8/fence"
  case $before in
    "$link") ;;
    -) [ -z "$link" ] || { rm -f current && sync .; } || failed "remove current" ;;
    *) point_to "$before" || failed "switch current" ;;
  esac
  die ok
}

discard() {
  lock
  needed=' '
  # What goes goes at once, in the words of this function.
  set --
  if [ -d .st8/restore ] && [ ! -L .st8/restore ]; then
    for kept in .st8/restore/* .st8/restore/.[!.]*; do
      [ -e "$kept" ] || [ -L "$kept" ] || continue
      if [ -n "$point" ] && [ "$kept" = ".st8/restore/$point" ]; then
        if [ "$layout" = directory ]; then
          kept_link "$kept" || failed "read $kept"
          needed="$needed${before##*/} "
        fi
      else
        set -- "$@" "$kept"
      fi
    done
  fi
  if [ "$layout" = files ]; then
    # The label stands before the paths.
    name=''
    [ ! -f .st8/live.json ] || name=$(head -c 300 .st8/live.json) || failed "read .st8/live.json"
    name=${name#*\"label\":\"}
    name=${name%%\"*}
  elif enter_live; then
    cd "$base" || failed "open $root"
  fi
  needed="$needed$name "
  if [ -d "$versions" ] && [ ! -L "$versions" ]; then
    for left in "$versions"/.st8.*; do
      [ -e "$left" ] || [ -L "$left" ] || continue
      # What is being mended is needed until it is; what a later holder lays at this moment stays.
      case $left in "$mending$name") continue ;; esac
      laid_by=${left#"$versions"/.st8.building.}
      laid_by=${laid_by%%-*}
      case $laid_by in '' | *[!0-9]*) ;; *) [ "$laid_by" -lt "$token" ] || continue ;; esac
      set -- "$@" "$left"
    done
    count=0
    for version in "$versions"/[0-9]*; do spare "$version" && count=$((count + 1)); done
    while [ "$count" -gt "$keep" ]; do
      oldest=''
      for version in "$versions"/[0-9]*; do
        spare "$version" || continue
        number=${version#"$versions"/}
        number=${number%%-*}
        case $number in *[!0-9]*) number=0 ;; esac
        if [ -z "$oldest" ] || [ "$number" -lt "$least" ]; then oldest=$version least=$number; fi
      done
      set -- "$@" "$oldest"
      needed="$needed${oldest#"$versions"/} "
      count=$((count - 1))
    done
  fi
  [ $# -eq 0 ] || rm -rf "$@" || failed "remove what is no longer needed"
  die ok
}
# A version that nobody needs. A name that is none of ours is nobody's version.
spare() {
  case ${1#"$versions"/} in *[!A-Za-z0-9._-]*) return 1 ;; esac
  case $needed in *" ${1#"$versions"/} "*) return 1 ;; esac
  return 0
}

# --- Files in their own places: what is to be done is told by the caller, as the body of lay(), from what it was told. ---

manifest=.st8/live.json
tell_manifest() {
  plain_file .st8
  plain_file "$manifest"
  if [ -f "$manifest" ]; then
    printf m
    cat "$manifest" || failed "read $manifest"
  else
    printf -- -
  fi
  printf '\0'
}
# What is live, and what lies in the version $label, where there is one asked for.
look() {
  tell_manifest
  if [ -n "$label" ]; then
    is_staged || die not_found "version $label is not staged at $root"
    scan "$versions/$label" || failed "read $versions/$label"
  fi
  die ok
}
# What is live, and the restore point.
look_point() {
  lock
  tell_manifest
  kept=.st8/restore/$point
  if [ -L .st8/restore ] || [ -L "$kept" ] || [ ! -f "$kept/index.json" ]; then die ok; fi
  printf i
  cat "$kept/index.json" || failed "read $kept"
  printf '\0'
  for one in "$kept"/*; do printf '%s\0' "${one#"$kept"/}"; done
  die ok
}
list() {
  lay || failed "read what is live"
  die ok
}
# $digest: of the manifest that the caller was told; nobody may have come between.
put_files() {
  lock
  plain_file "$manifest"
  now=-
  [ ! -f "$manifest" ] || now=$(sha256sum <"$manifest") || failed "read $manifest"
  [ "${now%% *}" = "$digest" ] || die unavailable "another call changed what is live"
  # shellcheck disable=SC2086
  sync $ours || failed "write .st8/fence"
  kept=.st8/restore/$point
  lay || failed "put files in their places"
  die ok
}
# A file as it is, under a number. A link, since nothing writes into it once another file has taken its name.
keep_file() {
  if [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; then die refused "$root/${1#./} is no regular file: move it away"; fi
  [ -f "$1" ] || return 0
  ln -T "$1" ".st8/restore/.building/$2" 2>/dev/null || cp -p "$1" ".st8/restore/.building/$2"
}
clear_way() { if [ -e "$1" ] || [ -L "$1" ]; then rm -f "$1"; fi; }
# $3 as what shall be $1 later, beside it; with the owner of what is there.
bring() {
  clear_way "$2" && cp -p "$3" "$2" || return 1
  # shellcheck disable=SC3067
  if [ -f "$1" ] && { [ ! -O "$1" ] || [ ! -G "$1" ]; }; then
    chown --reference="$1" "$2" && chmod --reference="$3" "$2"
  fi
}
put_back() {
  # shellcheck disable=SC3013
  if [ ! -L "$1" ] && [ "$1" -ef "$3" ]; then return 0; fi
  clear_way "$2" || return 1
  ln -T "$3" "$2" 2>/dev/null || cp -p "$3" "$2" || return 1
  mv -T "$2" "$1"
}
in_place() { mv -T "$2" "$1"; }
real_directory() {
  [ ! -L "$1" ] || die refused "$root/${1#./} is a symbolic link: st8 follows none"
}
new_directory() { [ -d "$1" ] || mkdir "$1"; }
old_directory() { rmdir "$1" 2>/dev/null || :; }
switch_manifest() { sync .st8/live.new && mv -T .st8/live.new "$manifest" && sync .st8; }

check() {
  for tool in cat chmod chown cp find flock head ln mkdir mv readlink rm rmdir sha256sum sort sync timeout wc; do
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
    # A printf that is a program would show a document on its command line.
    hello) [ "$(command -v printf)" = printf ] || die refused "printf is no builtin of the target's /bin/sh"; die ok ;;
    check) check ;;
    observe | validate | look | list)
      # They change nothing, the root's absence neither.
      if [ ! -e "$root" ] && [ ! -L "$root" ] && [ -d "${root%/*}/" ]; then die absent; fi
      cd -P "$root" || failed "open $root"
      "$op" ;;
    stage | lay_part | activate | restore | discard | look_point | put_files) enter && "$op" ;;
  esac
}
)sh";

}  // namespace

std::string_view remote_functions() { return kFunctions; }

std::string quoted(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'')
      word += "'\\''";
    else
      word += c;
  }
  return word + "'";
}

void put_format(std::string& out, std::string_view bytes) {
  out += '\'';
  bool first = true;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '%') {
      out += "%%";
    } else if (c == '\n' || c == '\t' ||
               (byte >= 0x20 && byte < 0x7f && c != '\'' && c != '\\' && !(first && c == '-'))) {
      out += c;
    } else {
      out += '\\';
      for (int shift = 6; shift >= 0; shift -= 3) out += static_cast<char>('0' + ((byte >> shift) & 7));
    }
    first = false;
  }
  out += '\'';
}

std::string call_text(std::uint64_t number, const std::vector<std::pair<std::string_view, std::string>>& values,
                      std::string_view pieces, std::string_view settle) {
  const std::string name = std::to_string(number);
  std::string text = "{ (\ncall=" + name + "\nsay begin\n";
  for (const auto& [key, value] : values) text.append(key).append("=").append(quoted(value)).append("\n");
  if (!pieces.empty()) text.append("lay() {\n").append(pieces).append("}\n");
  if (!settle.empty()) text.append("settle() {\n").append(settle).append("}\n");
  // What ends without a word of its own has one here.
  return text + "main\n) </dev/null || { status=$?; call=" + name + "; say ended \"$status\"; }\n}\n";
}

}  // namespace st8::target::ssh
