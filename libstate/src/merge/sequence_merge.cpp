#include "merge/sequence_merge.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

namespace st8::state::merge {
namespace {

// How many differences Myers' algorithm looks for before the range is cut by patience, and when that finds no cut.
constexpr int kDifferencesMax = 256;
constexpr int kDifferencesLastMax = 1024;
// Ranges are cut into smaller ones so often; beyond, a range that is still hard counts as replaced.
constexpr int kCutsDeepMax = 32;

struct Match {
  std::size_t from, to, size;
};

class Differ {
 public:
  Differ(std::span<const Symbol> from, std::span<const Symbol> to) : from_(from), to_(to) {}

  std::vector<Hunk> run() {
    range(0, from_.size(), 0, to_.size(), 0);
    matches_.push_back({from_.size(), to_.size(), 0});
    std::vector<Hunk> hunks;
    std::size_t from = 0, to = 0;
    for (const Match& match : matches_) {
      if (match.from > from || match.to > to) hunks.push_back({from, match.from, to, match.to});
      from = match.from + match.size;
      to = match.to + match.size;
    }
    return hunks;
  }

 private:
  void add(std::size_t from, std::size_t to, std::size_t size) {
    if (size == 0) return;
    if (!matches_.empty()) {
      Match& last = matches_.back();
      if (last.from + last.size == from && last.to + last.size == to) {
        last.size += size;
        return;
      }
    }
    matches_.push_back({from, to, size});
  }

  void range(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end, int depth) {
    std::size_t head = 0;
    while (a + head < a_end && b + head < b_end && from_[a + head] == to_[b + head]) ++head;
    add(a, b, head);
    a += head;
    b += head;
    std::size_t tail = 0;
    while (a_end - tail > a && b_end - tail > b && from_[a_end - tail - 1] == to_[b_end - tail - 1]) ++tail;
    a_end -= tail;
    b_end -= tail;
    if (a < a_end && b < b_end && !myers(a, a_end, b, b_end, kDifferencesMax)) {
      if (depth == kCutsDeepMax || !patience(a, a_end, b, b_end, depth)) myers(a, a_end, b, b_end, kDifferencesLastMax);
    }
    add(a_end, b_end, tail);
  }

  // False, and nothing added, when there are more than `most` differences.
  bool myers(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end, int most) {
    const int n = static_cast<int>(a_end - a), m = static_cast<int>(b_end - b);
    const int bound = std::min(most, n + m);
    std::vector<int> reach(static_cast<std::size_t>(2 * bound + 3), 0);  // By diagonal: how far along `from`.
    const auto at = [bound](int diagonal) { return static_cast<std::size_t>(diagonal + bound + 1); };
    std::vector<std::vector<int>> trace;
    for (int d = 0; d <= bound; ++d) {
      trace.emplace_back(reach.begin() + static_cast<std::ptrdiff_t>(at(-d - 1)),
                         reach.begin() + static_cast<std::ptrdiff_t>(at(d + 1)) + 1);
      for (int k = -d; k <= d; k += 2) {
        int x = k == -d || (k != d && reach[at(k - 1)] < reach[at(k + 1)]) ? reach[at(k + 1)] : reach[at(k - 1)] + 1;
        while (x < n && x - k < m && x - k >= 0 &&
               from_[a + static_cast<std::size_t>(x)] == to_[b + static_cast<std::size_t>(x - k)])
          ++x;
        reach[at(k)] = x;
        if (x >= n && x - k >= m) {
          backtrack(trace, d, n, m, a, b);
          return true;
        }
      }
    }
    return false;
  }

  void backtrack(const std::vector<std::vector<int>>& trace, int d, int x, int y, std::size_t a, std::size_t b) {
    std::vector<Match> found;
    for (; d >= 0 && (x > 0 || y > 0); --d) {
      const std::vector<int>& reach = trace[static_cast<std::size_t>(d)];  // Diagonals -d-1 to d+1.
      const auto at = [d](int diagonal) { return static_cast<std::size_t>(diagonal + d + 1); };
      const int k = x - y;
      const int before = k == -d || (k != d && reach[at(k - 1)] < reach[at(k + 1)]) ? k + 1 : k - 1;
      const int x_before = d == 0 ? 0 : reach[at(before)];
      const int y_before = d == 0 ? 0 : x_before - before;
      const int x_start = d == 0 ? 0 : (before == k + 1 ? x_before : x_before + 1);
      if (x > x_start)
        found.push_back({a + static_cast<std::size_t>(x_start), b + static_cast<std::size_t>(x_start - k),
                         static_cast<std::size_t>(x - x_start)});
      x = x_before;
      y = y_before;
    }
    for (auto match = found.rbegin(); match != found.rend(); ++match) add(match->from, match->to, match->size);
  }

  // Cuts the range at elements that occur once on each side, in the longest run of them that keeps its order.
  bool patience(std::size_t a, std::size_t a_end, std::size_t b, std::size_t b_end, int depth) {
    struct Seen {
      std::uint32_t in_from = 0, in_to = 0;
      std::size_t from = 0, to = 0;
    };
    std::unordered_map<Symbol, Seen> seen;
    for (std::size_t i = a; i < a_end; ++i) {
      Seen& each = seen[from_[i]];
      ++each.in_from;
      each.from = i;
    }
    for (std::size_t i = b; i < b_end; ++i) {
      Seen& each = seen[to_[i]];
      ++each.in_to;
      each.to = i;
    }
    std::vector<std::pair<std::size_t, std::size_t>> unique;
    for (std::size_t i = a; i < a_end; ++i) {
      const Seen& each = seen.at(from_[i]);
      if (each.in_from == 1 && each.in_to == 1) unique.emplace_back(each.from, each.to);
    }
    if (unique.empty()) return false;
    // The longest increasing subsequence by `to`.
    std::vector<std::size_t> piles, previous(unique.size());
    for (std::size_t i = 0; i < unique.size(); ++i) {
      const auto pile = std::lower_bound(piles.begin(), piles.end(), i, [&](std::size_t p, std::size_t q) {
        return unique[p].second < unique[q].second;
      });
      previous[i] = pile == piles.begin() ? unique.size() : *std::prev(pile);
      if (pile == piles.end())
        piles.push_back(i);
      else
        *pile = i;
    }
    std::vector<std::pair<std::size_t, std::size_t>> anchors;
    for (std::size_t i = piles.back(); i != unique.size(); i = previous[i]) anchors.push_back(unique[i]);
    std::reverse(anchors.begin(), anchors.end());
    for (const auto& [in_from, in_to] : anchors) {
      range(a, in_from, b, in_to, depth + 1);
      add(in_from, in_to, 1);
      a = in_from + 1;
      b = in_to + 1;
    }
    range(a, a_end, b, b_end, depth + 1);
    return true;
  }

  const std::span<const Symbol> from_, to_;
  std::vector<Match> matches_;
};

// The part of a side that stands for [begin, end) of the base, given the hunks of that side in it and what all hunks
// before shifted it by.
struct Shift {
  std::ptrdiff_t by = 0;
  std::size_t at(std::size_t base) const { return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(base) + by); }
  void pass(const Hunk& hunk) {
    by = static_cast<std::ptrdiff_t>(hunk.to_end) - static_cast<std::ptrdiff_t>(hunk.from_end);
  }
};

}  // namespace

std::vector<Hunk> diff_sequences(std::span<const Symbol> from, std::span<const Symbol> to) {
  return Differ(from, to).run();
}

std::vector<Region> merge_sequences(std::span<const Symbol> base, std::span<const Symbol> ours,
                                    std::span<const Symbol> theirs) {
  const std::vector<Hunk> our_hunks = diff_sequences(base, ours), their_hunks = diff_sequences(base, theirs);
  std::vector<Region> regions;
  Shift our_shift, their_shift;
  auto our = our_hunks.begin(), their = their_hunks.begin();
  std::size_t done = 0;
  const auto unchanged_until = [&](std::size_t end) {
    if (end > done) {
      regions.push_back({Region::Kind::kUnchanged, done, end, our_shift.at(done), our_shift.at(end),
                         their_shift.at(done), their_shift.at(end)});
    }
    done = end;
  };
  while (our != our_hunks.end() || their != their_hunks.end()) {
    const std::size_t begin = std::min(our == our_hunks.end() ? base.size() : our->from_begin,
                                       their == their_hunks.end() ? base.size() : their->from_begin);
    unchanged_until(begin);
    std::size_t end = begin;
    const Shift our_before = our_shift, their_before = their_shift;
    bool ours_changed = false, theirs_changed = false;
    for (bool grew = true; grew;) {
      grew = false;
      for (; our != our_hunks.end() && our->from_begin <= end; ++our) {
        end = std::max(end, our->from_end);
        our_shift.pass(*our);
        ours_changed = grew = true;
      }
      for (; their != their_hunks.end() && their->from_begin <= end; ++their) {
        end = std::max(end, their->from_end);
        their_shift.pass(*their);
        theirs_changed = grew = true;
      }
    }
    Region region{Region::Kind::kConflict, begin, end, our_before.at(begin), our_shift.at(end), their_before.at(begin),
                  their_shift.at(end)};
    if (!theirs_changed) {
      region.kind = Region::Kind::kOurs;
    } else if (!ours_changed) {
      region.kind = Region::Kind::kTheirs;
    } else if (std::equal(ours.begin() + static_cast<std::ptrdiff_t>(region.ours_begin),
                          ours.begin() + static_cast<std::ptrdiff_t>(region.ours_end),
                          theirs.begin() + static_cast<std::ptrdiff_t>(region.theirs_begin),
                          theirs.begin() + static_cast<std::ptrdiff_t>(region.theirs_end))) {
      region.kind = Region::Kind::kSame;
    }
    regions.push_back(region);
    done = end;
  }
  unchanged_until(base.size());
  return regions;
}

}  // namespace st8::state::merge
