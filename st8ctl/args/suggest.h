// "Did you mean": the nearest of some known names to a mistyped one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace st8::ctl {

// The names within a plausible distance of `typed`, nearest first, at most three. Distance counts insertions, deletions,
// substitutions and swaps of neighbours; a name that `typed` begins counts as near. Cost: the sum of the products of the lengths.
std::vector<std::string> nearest(std::string_view typed, const std::vector<std::string>& names);

// `did you mean "a", "b" or "c"?`, or nothing.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names);

}  // namespace st8::ctl
