#include "query/resolve.h"

#include <algorithm>
#include <numeric>

#include "query/chain.h"
#include "st8/state/hash.h"
#include "st8/state/text.h"

namespace st8::state::query {
namespace {

using keyspace::Table;

constexpr std::size_t kNamesForHintsMax = 1000;
constexpr std::size_t kBareHashDigitsMin = 8;

bool is_hash_prefix(std::string_view text) {
  return text.size() >= kBareHashDigitsMin && text.size() <= 2 * Hash::kSize &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Levenshtein's distance, with two rows.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string hint_for(const Lookup& lookup, std::string_view name, Table table, std::string_view otherwise) {
  const std::vector<std::string> near = near_names(name, lookup.names(table, kNamesForHintsMax));
  if (near.empty()) return std::string(otherwise);
  std::string hint = "Did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i > 0) hint += i + 1 == near.size() ? " or " : ", ";
    hint += near[i];
  }
  hint += "?";
  return hint;
}

Result<RevisionPointer> by_hash(const Lookup& lookup, std::string_view hex) {
  ST8_ASSIGN(std::vector<RevisionPointer> found, lookup.by_hash_prefix(hex, 3));
  if (found.empty()) {
    return fail(ErrorCode::kNotFound, "no revision's hash begins with " + std::string(hex),
                "`st8ctl log -o json` shows revisions with their hashes.");
  }
  if (found.size() > 1) {
    std::string hint = "Give more digits: ";
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (i > 0) hint += ", ";
      hint += found[i]->revision.hash.hex().substr(0, std::min<std::size_t>(hex.size() + 8, 64)) + " is revision " +
              std::to_string(found[i]->revision.number.value);
    }
    hint += ".";
    return fail(ErrorCode::kInvalidArgument, "more than one revision's hash begins with " + std::string(hex),
                std::move(hint));
  }
  return std::move(found.front());
}

Result<RevisionPointer> by_checkpoint(const Lookup& lookup, const codec::CheckpointRecord& checkpoint) {
  ST8_ASSIGN(RevisionPointer record, lookup.revision(checkpoint.revision));
  if (record == nullptr) return no_such_revision(checkpoint.revision);
  return record;
}

Result<RevisionPointer> by_name(const Lookup& lookup, const std::string& name) {
  ST8_ASSIGN(const BranchPointer branch, lookup.branch(name));
  ST8_ASSIGN(const auto checkpoint, lookup.checkpoint(name));
  if (branch != nullptr && checkpoint) {
    return fail(ErrorCode::kInvalidArgument, name + " is both a branch and a checkpoint",
                "Say which: branch:" + name + " or checkpoint:" + name + ".");
  }
  if (branch != nullptr) return branch->head;
  if (checkpoint) return by_checkpoint(lookup, *checkpoint);
  if (is_hash_prefix(name)) return by_hash(lookup, name);
  if (name == kDefaultBranch) return empty_revision();
  std::vector<std::string> names = lookup.names(Table::kBranch, kNamesForHintsMax);
  std::vector<std::string> checkpoints = lookup.names(Table::kCheckpoint, kNamesForHintsMax);
  names.insert(names.end(), checkpoints.begin(), checkpoints.end());
  const std::vector<std::string> near = near_names(name, names);
  std::string hint = near.empty() ? "`st8ctl branch` lists branches, `st8ctl checkpoint list` checkpoints."
                                  : "Did you mean " + near.front() + "?";
  return fail(ErrorCode::kNotFound, "there is no branch or checkpoint " + quote(name), std::move(hint));
}

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
// Clang 14 does not deduce the arguments of an aggregate by itself.
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

Result<RevisionPointer> resolve_base(const Lookup& lookup, std::string_view in_use, const Selector::Base& base) {
  return std::visit(Overloaded{
                        [&](const Selector::Head&) { return head_of(lookup, in_use); },
                        [&](const Selector::ByNumber& by) -> Result<RevisionPointer> {
                          ST8_ASSIGN(RevisionPointer record, lookup.revision(by.number));
                          if (record == nullptr) return no_such_revision(by.number);
                          return record;
                        },
                        [&](const Selector::ByHashPrefix& by) { return by_hash(lookup, by.hex); },
                        [&](const Selector::ByBranch& by) { return head_of(lookup, by.branch.view()); },
                        [&](const Selector::ByCheckpoint& by) -> Result<RevisionPointer> {
                          ST8_ASSIGN(const auto checkpoint, lookup.checkpoint(by.name.view()));
                          if (!checkpoint) return no_such_checkpoint(lookup, by.name.view());
                          return by_checkpoint(lookup, *checkpoint);
                        },
                        [&](const Selector::ByName& by) { return by_name(lookup, by.name); },
                        [&](const Selector::ByTime& by) -> Result<RevisionPointer> {
                          ST8_ASSIGN(RevisionPointer head,
                                     head_of(lookup, by.branch.empty() ? in_use : std::string_view(by.branch)));
                          return newest_at(lookup, std::move(head), by.time);
                        },
                    },
                    base);
}

}  // namespace

std::vector<std::string> near_names(std::string_view name, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, const std::string*>> ranked;
  const std::size_t worst = std::max<std::size_t>(1, name.size() / 3);
  for (const std::string& candidate : names) {
    const std::size_t gap =
        candidate.size() > name.size() ? candidate.size() - name.size() : name.size() - candidate.size();
    if (gap > worst) continue;
    if (const std::size_t d = distance(name, candidate); d <= worst) ranked.emplace_back(d, &candidate);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> near;
  for (std::size_t i = 0; i < ranked.size() && i < 3; ++i) near.push_back(*ranked[i].second);
  return near;
}

tl::unexpected<Error> no_such_branch(const Lookup& lookup, std::string_view name) {
  return fail(
      ErrorCode::kNotFound, "there is no branch " + quote(name),
      hint_for(lookup, name, Table::kBranch, "`st8ctl branch` lists the branches; `st8ctl branch create` makes one."));
}

tl::unexpected<Error> no_such_checkpoint(const Lookup& lookup, std::string_view name) {
  return fail(ErrorCode::kNotFound, "there is no checkpoint " + quote(name),
              hint_for(lookup, name, Table::kCheckpoint, "`st8ctl checkpoint list` lists the checkpoints."));
}

tl::unexpected<Error> no_such_revision(RevisionNumber number) {
  return fail(ErrorCode::kNotFound, "there is no revision " + std::to_string(number.value),
              "`st8ctl log` lists the revisions.");
}

tl::unexpected<Error> pruned(RevisionNumber number) {
  return fail(ErrorCode::kGone, "the documents of revision " + std::to_string(number.value) + " were pruned by gc",
              "Use a newer revision or a checkpoint; `st8ctl log` shows which are pruned.");
}

Result<RevisionPointer> head_of(const Lookup& lookup, std::string_view branch) {
  ST8_ASSIGN(const BranchPointer state, lookup.branch(branch));
  if (state != nullptr) return state->head;
  if (branch == kDefaultBranch) return empty_revision();
  return no_such_branch(lookup, branch);
}

Result<RevisionPointer> resolve(const Lookup& lookup, std::string_view branch, const Selector& selector) {
  ST8_ASSIGN(RevisionPointer revision, resolve_base(lookup, branch, selector.base));
  if (selector.ancestors == 0) return revision;
  if (selector.ancestors > revision->depth) {
    return fail(ErrorCode::kNotFound,
                quote(selector.text) + " goes back beyond the beginning: revision " +
                    std::to_string(revision->revision.number.value) + " has " +
                    std::to_string(revision->depth == 0 ? 0 : revision->depth - 1) + " ancestors",
                "`st8ctl log` lists the revisions.");
  }
  const std::uint64_t depth = revision->depth - selector.ancestors;
  return ancestor_at_depth(lookup, std::move(revision), depth);
}

}  // namespace st8::state::query
