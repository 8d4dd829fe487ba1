// The globs of tokens: the reference's (Go's filepath.Match), whole-string, over bytes.
#pragma once

#include <string>
#include <string_view>

#include "st8/state/result.h"

namespace st8::auth {

// `*` matches any run of bytes but '/', `?` one byte but '/', `[a-z]` and `[^a-z]` one byte but '/' of a class, `\` quotes the next.
// A pattern that is `*` alone matches everything, slashes too. A malformed pattern matches nothing.
// Cost: O(pattern · text), no recursion.
bool glob_match(std::string_view pattern, std::string_view text);

// kInvalidArgument for a malformed pattern: an unclosed class, a trailing backslash, nothing at all.
Status check_glob(std::string_view pattern);

}  // namespace st8::auth
