// Base64 (RFC 4648), with padding; and its alphabet for names in URLs, without, where nothing needs quoting.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace st8::target::codec {

std::string to_base64(std::string_view bytes);
std::string to_base64url(std::string_view bytes);
// nullopt for anything that to_base64url() does not write: one text a value.
std::optional<std::string> from_base64url(std::string_view text);

}  // namespace st8::target::codec
