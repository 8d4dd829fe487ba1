// A structured document (JSON, YAML) as a merge sees it: values over spans of the document's own text. Nothing is
// converted: a number is its digits, a string its spelling, a key that occurs twice occurs twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace st8::state::merge {

enum class Shape : std::uint8_t { kScalar, kMap, kList };

struct Member;

struct Value {
  Shape shape = Shape::kScalar;
  std::string token;            // Of a scalar: what it is compared by.
  std::vector<Member> members;  // Of a map or list, in the document's order.
  std::uint64_t digest = 0;     // Equal for equal values; the order of a map's members does not count.
  // The text that is replaced when the value is.
  std::size_t begin = 0, end = 0;
  // A place whose indentation the value's further lines follow: its own in JSON, its key's or dash's in YAML.
  std::size_t anchor = 0;
  // Where the first member's lead begins, and (YAML) whether that member stands on its container's own line.
  std::size_t head_end = 0;
  bool inline_first = false;
};

struct Member {
  std::string key;             // Empty in a list.
  std::size_t occurrence = 0;  // Of this key before it, in its map.
  // [lead, begin) is what stands before it and is its own (white space, comments); [begin, value.end) is the member.
  std::size_t lead = 0, begin = 0;
  Value value;
};

// Deeper documents are merged by lines; bounds every recursion here.
inline constexpr std::size_t kDepthMax = 256;

// Counts occurrences and computes the digest of `value` from those of its members.
void seal(Value& value);
// Same structure and same tokens; the order of a map's members does not count.
bool same(const Value& a, const Value& b);

}  // namespace st8::state::merge
