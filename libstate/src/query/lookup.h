// One namespace's names and revisions, for what resolves selectors and walks chains: as readers see them (published and
// durable) or as the committer does (with what it is about to write). The algorithms in resolve.h and chain.h use either.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/records.h"
#include "st8/state/engine.h"

namespace st8::state::query {

using RevisionPointer = std::shared_ptr<const codec::RevisionRecord>;

// Revision 0: no documents, no parents, depth 0.
const RevisionPointer& empty_revision();

// A branch and its head's record (empty_revision() while the branch has none).
struct BranchState {
  codec::BranchRecord record;
  RevisionPointer head;
};
using BranchPointer = std::shared_ptr<const BranchState>;

class Lookup {
 public:
  virtual ~Lookup() = default;
  // Null, or nullopt: there is none of that name or number. Number 0 answers empty_revision().
  virtual Result<BranchPointer> branch(std::string_view name) const = 0;
  virtual Result<std::optional<codec::CheckpointRecord>> checkpoint(std::string_view name) const = 0;
  virtual Result<RevisionPointer> revision(RevisionNumber number) const = 0;
  // Revisions whose hash begins with these hexadecimal digits (lower case); at most `limit`.
  virtual Result<std::vector<RevisionPointer>> by_hash_prefix(std::string_view hex, std::size_t limit) const = 0;
  // Names in the table (kBranch or kCheckpoint), for hints: at most `limit`, possibly a little out of date.
  virtual std::vector<std::string> names(keyspace::Table table, std::size_t limit) const = 0;
};

// From the engine alone. `ns` 0: a namespace that does not exist; everything is absent.
class EngineLookup : public Lookup {
 public:
  EngineLookup(const Engine& engine, keyspace::NamespaceId ns) : engine_(engine), ns_(ns) {}
  Result<BranchPointer> branch(std::string_view name) const override;
  Result<std::optional<codec::CheckpointRecord>> checkpoint(std::string_view name) const override;
  Result<RevisionPointer> revision(RevisionNumber number) const override;
  Result<std::vector<RevisionPointer>> by_hash_prefix(std::string_view hex, std::size_t limit) const override;
  std::vector<std::string> names(keyspace::Table table, std::size_t limit) const override;

 protected:
  const Engine& engine_;
  const keyspace::NamespaceId ns_;
};

}  // namespace st8::state::query
