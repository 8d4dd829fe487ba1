// The names a person gives: namespace, branch, checkpoint, document key; each its own type, each checked when made.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "st8/state/result.h"

namespace st8::state {

// Stated limits, enforced at every entry. Units are bytes unless named otherwise.
struct Limits {
  static constexpr std::size_t kNameBytesMax = 255;            // Namespace, branch, checkpoint.
  static constexpr std::size_t kKeyBytesMax = 1024;            // Document key.
  static constexpr std::size_t kDocumentBytesMax = 16u << 20;  // One document's content.
  static constexpr std::size_t kMessageBytesMax = 16u << 10;   // Message, description, author.
  static constexpr std::size_t kDocumentsPerApplyMax = 100'000;
  static constexpr std::size_t kIdempotencyKeyBytesMax = 255;
};

// A checked name. Equality and order are those of the bytes.
template <class Tag>
class Name {
 public:
  // Errors: kInvalidArgument, saying what the rule is. The rules:
  //  - all: valid UTF-8, not empty, no control character, no NUL, within the limit.
  //  - namespace, branch, checkpoint: segments separated by '/', none empty, "." or ".."; no white space and none of
  //    ~ ^ : @ ? * [ ] \ { } (they belong to selectors and globs); no leading '-'.
  //  - key: cleaned as a path (forward slashes, leading "./" and "/./" removed, "//" folded); refused when absolute
  //    or when it climbs out with "..". Spaces and any other printable characters are allowed.
  static Result<Name> parse(std::string_view text);

  const std::string& str() const { return value_; }
  std::string_view view() const { return value_; }
  friend auto operator<=>(const Name&, const Name&) = default;
  friend bool operator==(const Name&, const Name&) = default;

 private:
  explicit Name(std::string value) : value_(std::move(value)) {}
  std::string value_;
};

struct NamespaceTag;
struct BranchTag;
struct CheckpointTag;
struct KeyTag;
using NamespaceName = Name<NamespaceTag>;
using BranchName = Name<BranchTag>;
using CheckpointName = Name<CheckpointTag>;
using DocumentKey = Name<KeyTag>;

// A revision's number: counted per namespace from 1 and never reused. 0 is the empty state before the first revision.
struct RevisionNumber {
  std::uint64_t value = 0;
  bool is_root() const { return value == 0; }
  friend auto operator<=>(const RevisionNumber&, const RevisionNumber&) = default;
  friend bool operator==(const RevisionNumber&, const RevisionNumber&) = default;
};

}  // namespace st8::state

template <class Tag>
struct std::hash<st8::state::Name<Tag>> {
  std::size_t operator()(const st8::state::Name<Tag>& name) const noexcept {
    return std::hash<std::string>{}(name.str());
  }
};
template <>
struct std::hash<st8::state::RevisionNumber> {
  std::size_t operator()(const st8::state::RevisionNumber& number) const noexcept {
    return std::hash<std::uint64_t>{}(number.value);
  }
};
