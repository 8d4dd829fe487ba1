// What is wrong with a policy, and what is most likely not meant: the strict reader's problems, and rules that look at what the
// policy would meet — targets, branches and documents that exist. A pure function; it changes nothing and reads nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/clock.h"
#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace st8::target {

enum class Severity : std::uint8_t {
  kError = 0,    // An apply refuses it, or every plan would.
  kWarning = 1,  // It is taken as it stands, and probably does not do what was meant.
};
std::string_view severity_name(Severity severity);

struct Finding {
  Severity severity = Severity::kError;
  std::string rule;         // A stable word: "syntax", "no-health", ... (docs/policy.md lists them).
  DocumentProblem problem;  // Where, what, and what to do.
};

// What there is. What is nullopt (or empty, of the function) is not known, and no rule that needs it speaks.
struct LintFacts {
  std::optional<std::vector<Target>> targets;            // All that there are.
  std::optional<std::vector<std::string>> branches;      // Of the policy's namespace.
  std::optional<std::vector<std::string>> keys;          // Of the revision that it would be part of, in key order.
  std::function<bool(const Dependency&)> branch_exists;  // Of any namespace.
  std::string name_space;                                // Empty: not known.
  std::string branch;
  Timestamp now;  // 0: not known.
};

// In the order of the document for errors, by rule for warnings. Cost: O(rules · documents + labels · targets).
std::vector<Finding> lint_policy(std::string_view text, const LintFacts& facts);

}  // namespace st8::target
