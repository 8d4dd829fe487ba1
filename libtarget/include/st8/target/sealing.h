// Sealed values: secrets that travel, are stored, diffed and logged only as what a key has made of them. A sealed value is an
// expression of the template language, `{{ sealed.v1.<key>.<text> }}`; st8d opens it while it renders a document for a target
// (rules with `render: true`), and nowhere else: no route, log, diff, plan or backup holds it in clear.
//
// The cipher is AES-256-SIV (RFC 5297): authenticated, and the same value in the same namespace is sealed to the same text, so
// that applying it again changes nothing. Whoever reads the store learns from that which values are equal, and how long they
// are; nothing else. A value is bound to its namespace: it does not open in another.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/result.h"

namespace st8::target {

// The longest value that can be sealed, in bytes.
inline constexpr std::size_t kSealedValueBytesMax = 64u << 10;
inline constexpr std::string_view kSealedPrefix = "sealed.";

// The keys of a daemon: the first one seals, all of them open. Immutable; thread-safe.
class Keyring {
 public:
  // A line for each key, as generate_key() makes them; empty lines and lines with '#' are skipped.
  // Errors: kInvalidArgument, naming the line.
  static Result<Keyring> parse(std::string_view text);
  // The file must be its owner's alone. Errors: as parse(); kNotFound, kPermissionDenied (others may read it).
  static Result<Keyring> load(const std::string& file);

  // The whole expression, braces included. Errors: kInvalidArgument when there is no key or the value is empty or too long.
  Result<std::string> seal(std::string_view name_space, std::string_view value) const;
  // `name` is what stands between the braces, without spaces: "sealed.v1.…". Errors: kUnprocessable (malformed, sealed by a
  // key that is not here, for another namespace, or altered). No error holds any part of the value.
  Result<std::string> open(std::string_view name_space, std::string_view name) const;

  bool empty() const { return keys_.empty(); }

 private:
  struct Key {
    std::string id;     // The first 8 digits of the key's SHA-256.
    std::string bytes;  // 64.
  };
  std::vector<Key> keys_;
};

// "st8-sealing-key-1 …": a new random key, as a line of a key file. Errors: kUnavailable when there is no randomness.
Result<std::string> generate_sealing_key();

}  // namespace st8::target
