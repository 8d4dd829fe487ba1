// A content as a tar stream (POSIX ustar, long names as GNU tar writes them): what `tar -x` at the other end makes files of.
#pragma once

#include <string>

#include "st8/target/target.h"

namespace st8::target::ssh {

// Regular files alone, in the content's order; directories come from their paths. Paths must have been checked.
std::string tar_of(const Content& content);

}  // namespace st8::target::ssh
