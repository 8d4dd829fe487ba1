// What runs at the other end of an ssh session: one POSIX sh that takes calls from its standard input, with the tools of coreutils,
// findutils and flock.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace st8::target::ssh {

// The whole command line of the remote side, for any login shell: it holds no value of ours. It reads one line, "<seconds>", and
// is killed as a group when these are over, when its input ends (the connection or the daemon is gone), and when the shell ends
// that does the calls. That shell is handed its input by a `cat`, so that it is killed in the middle of whatever hangs.
inline constexpr std::string_view kBootstrap =
    R"(exec /bin/sh -c 'IFS= read -r t && exec timeout -s KILL "$t" /bin/sh -c "{ cat; kill -s KILL 0; } 2>/dev/null | { /bin/sh; kill -s KILL 0; }"')";

// Functions, without an effect of their own; before any call.
std::string_view remote_functions();

// As a word of POSIX sh, whatever the bytes (but NUL).
std::string quoted(std::string_view text);

// Bytes as a format of printf, quoted for sh: what is not plain text is in octal, and so is a '-' at the beginning. So NUL
// bytes come through, and nothing of it is read as anything else.
void put_format(std::string& out, std::string_view bytes);

// The text that does one call: `values` are assignments (op, layout, versions, root, label, point, token, serial, keep, wait, digest, built, fill),
// `pieces` the body of the function `lay`, `settle` that of the function which makes what was staged durable. A text that does not
// arrive whole does nothing: a compound command is not begun before its end was read.
//
// The answer lies between the lines "<mark> <number> begin" and "<mark> <number> <word> <message>"; what else is said there is
// noise. Words: ok, absent, foreign, missing, wanted, refused, unavailable, stale, not_found, failed and ended (then the answer's last
// line says why).
std::string call_text(std::uint64_t number, const std::vector<std::pair<std::string_view, std::string>>& values,
                      std::string_view pieces, std::string_view settle);

}  // namespace st8::target::ssh
