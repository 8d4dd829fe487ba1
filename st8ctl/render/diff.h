// Unified diffs, as diff -u and git write them: `patch -p0` takes what this makes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "render/output.h"

namespace st8::ctl {

struct DiffSide {
  std::optional<std::string> content;  // nullopt: the document does not exist on this side.
};

struct DiffCounts {
  std::size_t inserted = 0;
  std::size_t deleted = 0;
  bool binary = false;
};

// `--- key`, `+++ key` (`/dev/null` where it does not exist) and hunks with `context` lines; for content that is not text
// the sizes. Empty when both sides are the same bytes. Colour by `output`'s settings.
// Cost: O((n + m) · d) for d differing lines (dtl's O(NP)); what differs all through is shown as one replacement.
std::string unified_diff(std::string_view key, const DiffSide& before, const DiffSide& after, std::size_t context,
                         const Output& output);

// Lines added and taken away, for --stat.
DiffCounts count_diff(const DiffSide& before, const DiffSide& after);

}  // namespace st8::ctl
