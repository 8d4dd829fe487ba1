// The request target of RFC 9112 section 3.2, taken apart: path and query, percent-decoded once.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace st8::http {

struct RequestTarget {
  std::string path;                                        // Decoded; begins with '/', or is "*".
  std::vector<std::pair<std::string, std::string>> query;  // Decoded ('+' is a space), in order, repeats kept.
};

// Takes origin-form ("/a?b=c"), absolute-form ("http://host/a") and asterisk-form ("*"). nullopt for anything else: a
// fragment, a space or control byte, a '%' without two hexadecimal digits, or a NUL, written out or encoded.
// An "%2F" in the path reads as a slash. Cost: one pass.
std::optional<RequestTarget> parse_request_target(std::string_view target);

// Decodes "%41" to "A" and, with `plus_is_space`, '+' to ' '. nullopt for a malformed escape or an encoded NUL.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace st8::http
