// The ledger: what was live where, from when to when, by the hash that was read back at the target.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "st8/state/names.h"
#include "st8/target/ids.h"
#include "st8/target/target.h"

namespace st8::target {

struct LedgerEntry {
  TargetName target;
  std::string name_space;
  std::string branch;
  state::RevisionNumber revision;
  Hash content;           // As read back.
  RolloutId rollout;      // Which brought it.
  bool promoted = false;  // False: live, and its rollout is not over.
  Timestamp since;
  std::optional<Timestamp> until;  // nullopt: still live.
};

std::string encode_ledger_entry(const LedgerEntry& entry);
Result<LedgerEntry> decode_ledger_entry(std::string_view bytes);

}  // namespace st8::target
