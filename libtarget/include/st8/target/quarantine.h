// Quarantine: a change that failed on its targets and may not come back to them until a person releases it. And freezes.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "st8/target/ids.h"
#include "st8/target/target.h"

namespace st8::target {

// In order; the same for all changes of one rollout.
using QuarantinedTargets = std::shared_ptr<const std::vector<TargetName>>;

struct Quarantine {
  std::string name_space;
  std::string branch;  // Where it failed.
  std::string key;
  std::optional<Hash> after;   // What the key became; nullopt: its deletion is what failed.
  QuarantinedTargets targets;  // For which it is refused. Not null but between decoding and looking them up.
  RolloutId rollout;           // That failed.
  std::string reason;
  Timestamp at;

  // Whether one of these is among the targets. Cost: O(n log m).
  bool concerns(std::span<const TargetName> these) const;
};
// Without the targets, which are stored once a rollout.
std::string encode_quarantine(const Quarantine& quarantine);
// `targets` is null, unless the record is of an earlier version and holds them.
Result<Quarantine> decode_quarantine(std::string_view bytes);
std::string encode_quarantined_targets(const std::vector<TargetName>& targets);
Result<QuarantinedTargets> decode_quarantined_targets(std::string_view bytes);

struct Freeze {
  std::string scope;  // A namespace, or "*".
  std::string actor;
  std::string reason;
  Timestamp since;
};
std::string encode_freeze(const Freeze& freeze);
Result<Freeze> decode_freeze(std::string_view bytes);

}  // namespace st8::target
