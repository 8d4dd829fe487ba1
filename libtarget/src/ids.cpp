#include "st8/target/ids.h"

#include <charconv>

namespace st8::target {
namespace {

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

Result<TargetName> TargetName::parse(std::string_view text) {
  const auto refuse = [&](std::string why) {
    return fail(ErrorCode::kInvalidArgument,
                "target name \"" + std::string(text.substr(0, 80)) + "\" " + std::move(why),
                "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or a digit");
  };
  if (text.empty()) return refuse("is empty");
  if (text.size() > 63) return refuse("is longer than 63 bytes");
  for (const char c : text) {
    if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-')
      return refuse("has a character that names may not have");
  }
  if (!is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) {
    return refuse("does not begin and end with a letter or a digit");
  }
  return TargetName(std::string(text));
}

std::string RolloutId::str() const { return "r-" + std::to_string(value); }

Result<RolloutId> RolloutId::parse(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with("r-")) digits.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || value == 0) {
    return fail(ErrorCode::kInvalidArgument, "\"" + std::string(text.substr(0, 80)) + "\" is not a rollout's id",
                "rollouts are named r-<number>, as `st8ctl rollout list` shows them");
  }
  return RolloutId{value};
}

}  // namespace st8::target
