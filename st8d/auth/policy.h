// Who is asking, and what they may do: one question, asked with one call, on every path.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/hash.h"

namespace st8::auth {

enum class Verb : std::uint8_t { kRead = 1, kWrite = 2, kAdmin = 4 };
std::string_view verb_name(Verb verb);  // "read", "write", "admin"

// What a token allows. No verb implies another; an empty list of namespaces or branches allows none.
struct Policy {
  std::vector<std::string> namespaces;  // Globs.
  std::vector<std::string> branches;    // Globs.
  std::string key_prefix;               // Keys begin with these bytes; empty: all keys.
  std::uint8_t verbs = 0;               // Verb bits.

  static Policy everything();
};

// An authenticated caller. Immutable.
struct Principal {
  std::string name;  // For logs, operations and authors; never the token.
  Policy allow;
  Hash credential;  // Names the token without telling it: a digest over how the token file holds it. Zero: anonymous.
  bool anonymous = false;  // No tokens are set: everything is allowed, and `name` says so.

  bool has(Verb verb) const { return (allow.verbs & static_cast<std::uint8_t>(verb)) != 0; }
  // Sees every branch, so that no revision has to be searched for on allowed ones.
  bool all_branches() const;
  bool all_namespaces() const;
  bool all_keys() const { return allow.key_prefix.empty(); }
};

// What was refused; the words of a 403.
struct Denial {
  Verb verb = Verb::kRead;
  std::string name_space;
  std::string branch;
  std::string key;
  std::string reason;  // As an error message.
};

// What a request is about. Parts that it is not about stay nullopt: listing namespaces has neither.
struct Scope {
  std::optional<std::string_view> name_space;
  std::optional<std::string_view> branch;
  std::optional<std::string_view> key;
};

// Whether the principal may do that there; nullopt: yes. Cost: the globs. Thread-safe.
std::optional<Denial> denied(const Principal& principal, Verb verb, const Scope& scope);

// List filters.
bool sees_namespace(const Principal& principal, Verb verb, std::string_view name_space);
bool sees_branch(const Principal& principal, Verb verb, std::string_view name_space, std::string_view branch);
// The part of `prefix` that the principal may see: the longer of the two where one begins with the other; nullopt: nothing.
std::optional<std::string> narrowed_prefix(const Principal& principal, std::string_view prefix);

}  // namespace st8::auth
