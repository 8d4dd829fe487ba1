// Difference and three-way merge of sequences, whose elements are numbers: equal elements have equal numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace st8::state::merge {

using Symbol = std::uint32_t;

// One place where two sequences differ: [from_begin, from_end) of the one became [to_begin, to_end) of the other.
struct Hunk {
  std::size_t from_begin, from_end;
  std::size_t to_begin, to_end;
  friend bool operator==(const Hunk&, const Hunk&) = default;
};

// In order; never touching each other. The fewest elements where that is cheap to find (Myers, "An O(ND) difference
// algorithm"), else what is common is found through elements that occur once on each side (patience).
// Cost: bounded; about n · min(differences, kDifferencesMax) for n elements.
std::vector<Hunk> diff_sequences(std::span<const Symbol> from, std::span<const Symbol> to);

// A run of the merge: the same positions of all three.
struct Region {
  enum class Kind : std::uint8_t {
    kUnchanged,  // In all three alike.
    kOurs,       // Only ours changed it.
    kTheirs,     // Only theirs changed it.
    kSame,       // Both, to the same.
    kConflict,   // Both, differently.
  };
  Kind kind;
  std::size_t base_begin, base_end;
  std::size_t ours_begin, ours_end;
  std::size_t theirs_begin, theirs_end;
};

// Covers all three from begin to end. Changes of both sides that overlap or touch form one region. Swapping the sides
// swaps kOurs and kTheirs and changes nothing else. Source: Khanna, Kunal, Pierce, "A formal investigation of diff3".
std::vector<Region> merge_sequences(std::span<const Symbol> base, std::span<const Symbol> ours,
                                    std::span<const Symbol> theirs);

}  // namespace st8::state::merge
