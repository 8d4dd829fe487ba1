// The ids of going live: a target's name, a rollout's number, a plan's hash; each its own type.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "st8/state/hash.h"
#include "st8/state/result.h"

namespace st8::target {

// What a target is called: the file name of its document without ".yaml".
class TargetName {
 public:
  // 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or a digit. Errors: kInvalidArgument.
  static Result<TargetName> parse(std::string_view text);

  const std::string& str() const { return value_; }
  friend auto operator<=>(const TargetName&, const TargetName&) = default;
  friend bool operator==(const TargetName&, const TargetName&) = default;

 private:
  explicit TargetName(std::string value) : value_(std::move(value)) {}
  std::string value_;
};

// A rollout's number: counted over the whole store from 1 and never reused. Written "r-12".
struct RolloutId {
  std::uint64_t value = 0;

  std::string str() const;
  // "r-12" or "12". Errors: kInvalidArgument.
  static Result<RolloutId> parse(std::string_view text);
  friend auto operator<=>(const RolloutId&, const RolloutId&) = default;
  friend bool operator==(const RolloutId&, const RolloutId&) = default;
};

// SHA-256 over a plan's canonical bytes; what an approval is bound to.
struct PlanHash {
  Hash value;
  friend bool operator==(const PlanHash&, const PlanHash&) = default;
};

}  // namespace st8::target

template <>
struct std::hash<st8::target::TargetName> {
  std::size_t operator()(const st8::target::TargetName& name) const noexcept {
    return std::hash<std::string>{}(name.str());
  }
};
