// Which drivers there are, and how each reads its part of a target's document.
#pragma once

#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

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

// Specs that were read, by the documents that they were read from: a rollout makes a driver for each operation, and reading YAML costs
// more than many of them. Thread-safe. Memory: at most 4,096 documents and specs.
template <class Spec>
class SpecCache {
 public:
  Result<Spec> read(const Target& target) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = specs_.find(target.source); found != specs_.end()) return found->second;
    }
    ST8_ASSIGN(Spec spec, read_spec<Spec>(target));
    const std::lock_guard lock(mutex_);
    if (specs_.size() >= kSpecsMax) specs_.clear();
    specs_.insert_or_assign(target.source, spec);
    return spec;
  }

 private:
  static constexpr std::size_t kSpecsMax = 4096;
  std::mutex mutex_;
  std::unordered_map<std::string, Spec> specs_;
};

}  // namespace st8::target::drivers
