// What others say of an error, made fit for a record.
#pragma once

#include <string>

#include "st8/target/target.h"

namespace st8::target::drivers {

// One line of at most 500 bytes, without the bytes of `content` (may be null). Cost: O(text · files).
std::string redacted(std::string text, const Content* content);

}  // namespace st8::target::drivers
