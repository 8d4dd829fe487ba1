// Three-way merge of structured values, and how its outcome becomes text again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "merge/value.h"
#include "st8/state/commit.h"

namespace st8::state::merge {

// One place where both sides changed the same thing differently. The sides are spans of their documents.
struct Conflict {
  std::string path;  // JSON pointer (RFC 6901); empty: the whole document, or lines.
  std::optional<std::string> base, ours, theirs;
};

// What the merge made of one value.
struct Merged {
  enum class From : std::uint8_t { kOurs, kTheirs, kMixed };
  struct Item;
  From from = From::kOurs;
  const Value* ours = nullptr;    // For kOurs and kMixed.
  const Value* theirs = nullptr;  // For kTheirs.
  std::vector<Item> items;        // For kMixed: its members, in the order to write them.
  bool members_changed = false;   // For kMixed: they are not those of `ours`, one for one.
};
struct Merged::Item {
  const Member* ours = nullptr;    // Where it stands in ours; null: it comes from theirs.
  const Member* theirs = nullptr;  // Set when it comes from theirs.
  Merged value;
};

struct MergeSide {
  std::string_view text;
  const Value* root = nullptr;  // Null for a base that does not exist.
};

// Rules, from the top down (b, o, t the value in the base, ours and theirs):
//  - what only one side changed is taken from it; what both changed alike stays;
//  - maps merge member by member: a member added or removed by one side is added or removed, also beside changes of
//    other members by the other side;
//  - lists of one length in all three merge by position; else by the elements that stayed (merge_sequences);
//  - all else that both changed is a conflict, and takes `prefer`'s side (ours when that is kNone). A list whose change
//    cannot be told apart element by element conflicts as a whole.
// Swapping the sides gives the same conflicts with the sides swapped.
Merged merge_values(const MergeSide& base, const MergeSide& ours, const MergeSide& theirs, ConflictSide prefer,
                    std::vector<Conflict>& conflicts);

// Whether `value`, scanned from what was written, says what the merge decided.
bool is_outcome(const Value& value, const Merged& merged);

// Writes a container whose members changed. `out` ends where the value begins. Format-specific.
class Writer {
 public:
  Writer(std::string_view ours, std::string_view theirs) : ours_(ours), theirs_(theirs) {}
  virtual ~Writer() = default;
  // The whole of ours, with the merged root in the place of its own.
  std::string write(const Merged& root, const Value& ours_root);

 protected:
  void write_value(const Merged& merged, const Value* ours_place, std::string& out);
  virtual void write_members(const Merged& merged, std::string& out) = 0;
  // What the lines of a value at this anchor are indented by.
  virtual std::string indent_at(std::string_view text, std::size_t anchor) const {
    return std::string(indent_of(text, anchor));
  }
  // A span of theirs, its lines indented as at `to` instead of as at `from`.
  static void append_indented(std::string_view text, std::string_view from, std::string_view to, std::string& out);
  // The white space that the line of `at` begins with.
  static std::string_view indent_of(std::string_view text, std::size_t at);

  const std::string_view ours_, theirs_;
};

}  // namespace st8::state::merge
