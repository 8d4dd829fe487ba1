// A set of 64-bit marks: 16 bytes each at most, where an unordered_set takes some 40.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace st8::state::maintenance {

// Open addressing with linear probing. Marks are well mixed already (hashes).
class MarkSet {
 public:
  static std::uint64_t mark_of(std::string_view bytes) {
    const std::uint64_t mark = std::hash<std::string_view>{}(bytes);
    return mark == kEmpty ? 1 : mark;
  }

  bool contains(std::uint64_t mark) const { return !slots_.empty() && slots_[find(mark)] == mark; }

  // False when it was there.
  bool insert(std::uint64_t mark) {
    if ((count_ + 1) * 4 > slots_.size() * 3) grow();
    std::uint64_t& slot = slots_[find(mark)];
    if (slot == mark) return false;
    slot = mark;
    ++count_;
    return true;
  }
  std::size_t size() const { return count_; }

 private:
  static constexpr std::uint64_t kEmpty = 0;

  // Where the mark is, or the free slot where it belongs.
  std::size_t find(std::uint64_t mark) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = static_cast<std::size_t>(mark) & mask;
    while (slots_[at] != kEmpty && slots_[at] != mark) at = (at + 1) & mask;
    return at;
  }
  void grow() {
    std::vector<std::uint64_t> old = std::move(slots_);
    slots_.assign(old.empty() ? 1024 : old.size() * 2, kEmpty);
    for (const std::uint64_t mark : old) {
      if (mark != kEmpty) slots_[find(mark)] = mark;
    }
  }

  std::vector<std::uint64_t> slots_;  // A power of two, or none.
  std::size_t count_ = 0;
};

}  // namespace st8::state::maintenance
