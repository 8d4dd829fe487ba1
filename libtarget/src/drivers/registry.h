// Which drivers there are, and how each reads its part of a target's document.
#pragma once

#include <span>
#include <string_view>

#include "document/strict_yaml.h"
#include "st8/target/target.h"

namespace st8::target::drivers {

std::span<const std::string_view> driver_kinds();
// Notes every problem of a `spec` for this kind of driver.
void check_spec(std::string_view kind, strict_yaml::Context& context, const strict_yaml::Value& spec);
// The `spec` of a target's document, for a driver to read. Errors: kUnprocessable.
template <class Spec>
Result<Spec> read_spec(const Target& target) {
  std::vector<DocumentProblem> problems;
  strict_yaml::Context context{std::string(kTargetPrefix) + target.name.str() + ".yaml", problems};
  Spec spec;
  if (const auto root = strict_yaml::load(context, target.source)) {
    strict_yaml::Map map(context, strict_yaml::Value(context, *root, ""));
    if (const auto value = map.require("spec")) spec.read(context, *value);
  }
  if (!problems.empty()) return fail(as_error(problems));
  return spec;
}

}  // namespace st8::target::drivers
