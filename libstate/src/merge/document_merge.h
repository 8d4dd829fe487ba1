// Three-way merge of one document.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "merge/value_merge.h"
#include "st8/state/commit.h"

namespace st8::state::merge {

// nullopt: the document does not exist on that side.
struct Sides {
  std::optional<std::string_view> base, ours, theirs;
};

struct DocumentMerge {
  // Equal to what ours or theirs has wherever that is the outcome. nullopt: the document goes. With conflicts and no
  // preference: of no use.
  std::optional<std::string> content;
  std::vector<Conflict> conflicts;
};

// Larger documents are merged by lines, whatever they hold.
inline constexpr std::size_t kJsonBytesMax = 4u << 20;
inline constexpr std::size_t kYamlBytesMax = 1u << 20;

// How, in this order:
//  - a side that is as the base was gives way to the other;
//  - existence: removed by one side and changed by the other is a conflict of the whole document;
//  - JSON (a key that ends in .json, or content that is an object or list) and YAML (.yaml, .yml) merge by their
//    structure (see merge_values), in ours' own writing: order, spacing, comments and digits stay. What was written is
//    scanned again and must say what was decided; if not, or if a side is not sound, the document is merged by lines;
//  - other UTF-8 text merges by lines; lines that both sides changed, or that touch, conflict;
//  - anything else conflicts as a whole.
// `prefer` decides conflicts (a line, a value, a document each); kNone leaves them.
// Cost: that of scanning and comparing the three. Pure; thread-safe.
DocumentMerge merge_document(std::string_view key, const Sides& sides, ConflictSide prefer);

}  // namespace st8::state::merge
