// Every record that libtarget keeps in the store, in one file: keys here, values in the codecs (docs/formats.md).
// Numbers in keys are 16 hexadecimal digits, so that key order is number order; NUL ends names, which cannot hold it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "st8/state/record_store.h"
#include "st8/target/ledger.h"
#include "st8/target/rollout.h"

namespace st8::target::records {

using BranchId = std::pair<std::string, std::string>;  // Namespace and branch.

std::string sixteen(std::uint64_t number);

inline constexpr std::string_view kSequence = "rollout/sequence";             // The last rollout's number, decimal.
inline constexpr std::string_view kFence = "rollout/fence";                   // The last fencing token, decimal.
inline constexpr std::string_view kFreezePrefix = "rollout/freeze/";          // namespace, or "*" → Freeze
inline constexpr std::string_view kOpenPrefix = "rollout/open/";              // rollout → empty: it is not over
inline constexpr std::string_view kLeasePrefix = "rollout/lease/";            // target → Lease
inline constexpr std::string_view kLivePrefix = "rollout/live/";              // target → LedgerEntry that is live now
inline constexpr std::string_view kPlannedPrefix = "rollout/planned/";        // ns NUL branch → Planned
inline constexpr std::string_view kPromotedPrefix = "rollout/promoted/";      // ns NUL branch → Promoted
inline constexpr std::string_view kQuarantinePrefix = "rollout/quarantine/";  // ns NUL key NUL hash → Quarantine
inline constexpr std::string_view kQuarantinedTargetsPrefix = "rollout/quarantined-targets/";  // rollout → names
inline constexpr std::string_view kIndexPrefix = "rollout/index/";                             // rollout → Summary

std::string plan(RolloutId id);
std::string event_prefix(RolloutId id);
std::string event(RolloutId id, std::uint64_t sequence);
std::string open(RolloutId id);
std::string index(RolloutId id);
std::string lease(const TargetName& target);
std::string live(const TargetName& target);
std::string ledger_prefix(const TargetName& target);
std::string ledger(const TargetName& target, Timestamp since);
std::string planned(const BranchId& branch);
std::string promoted(const BranchId& branch);
std::string content(const Hash& hash);  // → the files of a content that was live
std::string quarantine(std::string_view name_space, std::string_view key, const std::optional<Hash>& after);
std::string quarantined_targets(RolloutId id);
std::string freeze(std::string_view scope);
std::optional<BranchId> branch_of(std::string_view key, std::string_view prefix);

struct Lease {
  RolloutId holder;  // 0: free.
  std::uint64_t token = 0;
};
std::string encode(const Lease& lease);
Result<Lease> decode_lease(std::string_view bytes);

// The last planned revision of a branch. A namespace that is deleted and made again counts its revisions from 1 again: the
// hash tells whether the record is of this life. Records of earlier versions have none, and are taken for this life's.
struct Planned {
  state::RevisionNumber revision;
  std::optional<Hash> hash;
};
std::string encode(const Planned& planned);
Result<Planned> decode_planned(std::string_view bytes);

struct Promoted {
  state::RevisionNumber revision;
  RolloutId rollout;
  Timestamp at;
  std::optional<Hash> hash;  // As in Planned.
};
std::string encode(const Promoted& promoted);
Result<Promoted> decode_promoted(std::string_view bytes);

std::string encode(const std::vector<FileEntry>& files);
Result<std::vector<FileEntry>> decode_files(std::string_view bytes);

}  // namespace st8::target::records
