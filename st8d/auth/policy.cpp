#include "auth/policy.h"

#include <algorithm>

#include "auth/glob.h"

namespace st8::auth {
namespace {

bool any_matches(const std::vector<std::string>& patterns, std::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return glob_match(pattern, text); });
}

bool has_star(const std::vector<std::string>& patterns) {
  return std::find(patterns.begin(), patterns.end(), "*") != patterns.end();
}

}  // namespace

std::string_view verb_name(Verb verb) {
  switch (verb) {
    case Verb::kRead:
      return "read";
    case Verb::kWrite:
      return "write";
    case Verb::kAdmin:
      return "admin";
  }
  return "read";
}

Policy Policy::everything() {
  Policy policy;
  policy.namespaces = {"*"};
  policy.branches = {"*"};
  policy.verbs = static_cast<std::uint8_t>(Verb::kRead) | static_cast<std::uint8_t>(Verb::kWrite) |
                 static_cast<std::uint8_t>(Verb::kAdmin);
  return policy;
}

bool Principal::all_branches() const { return has_star(allow.branches); }
bool Principal::all_namespaces() const { return has_star(allow.namespaces); }

std::optional<Denial> denied(const Principal& principal, Verb verb, const Scope& scope) {
  const auto refusal = [&](std::string reason) {
    Denial denial;
    denial.verb = verb;
    denial.name_space = scope.name_space.value_or("");
    denial.branch = scope.branch.value_or("");
    denial.key = scope.key.value_or("");
    denial.reason = std::move(reason);
    return denial;
  };
  const auto who = [&principal] { return "\"" + principal.name + "\""; };
  if (!principal.has(verb))
    return refusal("the token of " + who() + " does not have the verb " + std::string(verb_name(verb)));
  if (scope.name_space && !any_matches(principal.allow.namespaces, *scope.name_space)) {
    return refusal("the token of " + who() + " does not cover the namespace \"" + std::string(*scope.name_space) +
                   "\"");
  }
  if (scope.branch && !any_matches(principal.allow.branches, *scope.branch)) {
    return refusal("the token of " + who() + " does not cover the branch \"" + std::string(*scope.branch) + "\"");
  }
  if (scope.key && !scope.key->starts_with(principal.allow.key_prefix)) {
    return refusal("the token of " + who() + " covers only keys that begin with \"" + principal.allow.key_prefix +
                   "\", not \"" + std::string(*scope.key) + "\"");
  }
  return std::nullopt;
}

bool sees_namespace(const Principal& principal, Verb verb, std::string_view name_space) {
  return principal.has(verb) && any_matches(principal.allow.namespaces, name_space);
}

bool sees_branch(const Principal& principal, Verb verb, std::string_view name_space, std::string_view branch) {
  return sees_namespace(principal, verb, name_space) && any_matches(principal.allow.branches, branch);
}

std::optional<std::string> narrowed_prefix(const Principal& principal, std::string_view prefix) {
  const std::string_view own = principal.allow.key_prefix;
  if (prefix.starts_with(own)) return std::string(prefix);
  if (own.starts_with(prefix)) return std::string(own);
  return std::nullopt;
}

}  // namespace st8::auth
