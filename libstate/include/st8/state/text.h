// Small questions about text that more than one part asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace st8 {

// Whether the bytes are UTF-8 as RFC 3629 has it: shortest forms only, no surrogates, nothing above U+10FFFF.
// Cost: one pass, eight bytes at a time through ASCII.
bool is_valid_utf8(std::string_view bytes);

// Decodes the code point at `position` and moves past it. nullopt: not UTF-8 there (`position` stays).
std::optional<char32_t> next_code_point(std::string_view text, std::size_t& position);

// Text of a stranger, made fit for a message: in double quotes, control characters and invalid bytes as \xNN, cut with
// "..." after about `bytes_max` bytes.
std::string quote(std::string_view text, std::size_t bytes_max = 80);

}  // namespace st8
