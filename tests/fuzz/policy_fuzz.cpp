// Policies and targets, the documents that decide what goes live: read whole and sound, or refused with every problem placed.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "st8/target/planner.h"
#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace {

using namespace st8::target;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(bool read, const std::vector<DocumentProblem>& problems) {
  require(read == problems.empty());
  for (const DocumentProblem& problem : problems)
    require(!problem.message.empty() && problem.line >= 0 && !problem.str().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<DocumentProblem> problems;
  const auto policy = parse_policy(text, problems);
  check(policy.has_value(), problems);
  if (policy) {
    require(!policy->branches.empty());
    require(policy->strategy.batch.of(10) >= 1 && policy->strategy.batch.of(10) <= 1'000'000);
    for (const CanaryStep& step : policy->strategy.steps) require(step.weight <= 100);
    // The same text gives the same policy.
    std::vector<DocumentProblem> again;
    require(parse_policy(text, again).has_value() && again.empty());
  }
  problems.clear();
  const auto target = parse_target(*TargetName::parse("web-1"), text, problems);
  check(target.has_value(), problems);
  if (target) {
    RenderSources sources;
    sources.read = [](const std::string& key) { return st8::Result<std::string>(key); };
    static_cast<void>(render(text, *target, sources));
  }
  return 0;
}
