// Policies and targets, read with a context of the caller's: what parse_policy() and parse_target() do once they have made one.
#pragma once

#include <optional>
#include <string_view>

#include "document/strict_yaml.h"
#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace st8::target {

// nullopt when there is any problem; what was asked for is in context.asked either way.
std::optional<Policy> read_policy(strict_yaml::Context& context, std::string_view text);
std::optional<Target> read_target(strict_yaml::Context& context, const TargetName& name, std::string_view text);

}  // namespace st8::target
