// What drivers take for a version's label or a restore point's name: no path, no option, nothing that a shell or a file system
// reads otherwise.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "st8/state/result.h"

namespace st8::target::drivers {

inline bool sane_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         std::all_of(name.begin(), name.end(),
                     [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                              c == '_' || c == '.';
                     }) &&
         name.front() != '.' && name.front() != '-';
}

inline Status check_name(std::string_view name, std::string_view what) {
  if (sane_name(name)) return {};
  return fail(ErrorCode::kInvalidArgument,
              std::string(what) + " \"" + std::string(name.substr(0, 80)) + "\" is no name of st8's", "");
}

}  // namespace st8::target::drivers
