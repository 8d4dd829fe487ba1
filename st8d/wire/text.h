// Bytes and text: UTF-8, Base64, and names that were nearly right.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace st8::wire {

// Whether the bytes are UTF-8 as Unicode defines it: no overlong form, no surrogate, nothing above U+10FFFF.
// NUL and other control characters are valid. Cost: one pass, 32 bytes at a time while they are ASCII.
bool is_utf8(std::string_view bytes);

// The text with every byte that is not part of valid UTF-8, and every control character, shown as \xNN: for messages, where
// a silent replacement character would hide what was wrong. At most `bytes_max` bytes of the text are shown, then "...".
std::string printable(std::string_view bytes, std::size_t bytes_max = 200);

// RFC 4648 section 4, with padding.
std::string base64_encode(std::string_view bytes);
// Strict: padding required, no white space, no stray bits. nullopt for anything else.
std::optional<std::string> base64_decode(std::string_view text);

// The candidate that a person most likely meant, or an empty view when none is near (an edit distance of at most a third
// of its length, 1 at least). Cost: the product of the lengths, for each candidate; names longer than 64 bytes match none.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace st8::wire
