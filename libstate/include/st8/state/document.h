// A document: bytes under a key; and what a change of one looks like.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/hash.h"
#include "st8/state/names.h"

namespace st8::state {

struct Document {
  DocumentKey key;
  std::string content;  // Any bytes, stored as given.
};

// Where a stored document's body is and what it hashes to; enough to read it, or to see that it has not changed.
struct DocumentRef {
  Hash hash;                  // SHA-256 of the content.
  std::uint64_t size = 0;     // Bytes.
  RevisionNumber written_at;  // The revision that wrote this body (bodies are laid by key, then by this number).
  friend bool operator==(const DocumentRef&, const DocumentRef&) = default;
};

// Where to read a document's content: its key, and what a tree says of it. The key outlives the place.
struct ContentPlace {
  std::string_view key;
  DocumentRef ref;
};
using ContentPointer = std::shared_ptr<const std::string>;

// Values are the wire's words; see change_type_name().
enum class ChangeType : std::uint8_t { kCreate = 0, kUpdate = 1, kDelete = 2 };
std::string_view change_type_name(ChangeType type);  // "create", "update", "delete"

// One key's difference between two trees. `before` is empty for a create, `after` for a delete.
struct Change {
  DocumentKey key;
  ChangeType type = ChangeType::kUpdate;
  std::optional<DocumentRef> before;
  std::optional<DocumentRef> after;
};

}  // namespace st8::state
