// JSON strings by hand, for the front's own few words: its log lines and its refusals.
#pragma once

#include <string>
#include <string_view>

namespace st8::http {

// Appends `text` as a JSON string with its quotes. Bytes that are not valid UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

}  // namespace st8::http
