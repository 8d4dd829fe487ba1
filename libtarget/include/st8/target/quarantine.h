// Quarantine: a change that failed on its targets and may not come back to them until a person releases it. And freezes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/target/ids.h"
#include "st8/target/target.h"

namespace st8::target {

struct Quarantine {
  std::string name_space;
  std::string branch;  // Where it failed.
  std::string key;
  std::optional<Hash> after;        // What the key became; nullopt: its deletion is what failed.
  std::vector<TargetName> targets;  // For which it is refused.
  RolloutId rollout;                // That failed.
  std::string reason;
  Timestamp at;
};
std::string encode_quarantine(const Quarantine& quarantine);
Result<Quarantine> decode_quarantine(std::string_view bytes);

struct Freeze {
  std::string scope;  // A namespace, or "*".
  std::string actor;
  std::string reason;
  Timestamp since;
};
std::string encode_freeze(const Freeze& freeze);
Result<Freeze> decode_freeze(std::string_view bytes);

}  // namespace st8::target
