// What runs at the other end of an ssh call: POSIX sh with the tools of coreutils, findutils, tar and flock.
#pragma once

#include <string_view>

namespace st8::target::ssh {

// The whole command line of the remote side, for any login shell: it holds no value of ours. It reads one line, "<bytes of the
// script> <seconds>", then the script, then runs that with the rest as its standard input, killed as a group when the
// seconds are over.
inline constexpr std::string_view kBootstrap =
    R"(exec /bin/sh -c 'IFS=" " read -r n t && s=$(head -c "$n") && exec timeout -s KILL "$t" /bin/sh -c "$s"')";

// Functions; ends with the call of `main`, so that one that is cut short does nothing. Before it stand assignments of op, root,
// label, point, token, serial, keep, wait, size and digest.
//
// Its answer begins with a line "st8-ssh/1 <word> <message>"; what a login shell says before that is noise. Words: ok, absent,
// refused, unavailable, stale, not_found, failed (then standard error says why).
std::string_view remote_script();
inline constexpr std::string_view kAnswerMark = "\nst8-ssh/1 ";

}  // namespace st8::target::ssh
