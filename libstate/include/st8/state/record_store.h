// Durable records of the layers above the store: an ordered map of bytes with conditional writes, in the store's own
// engine, so that one directory, one backup and one sync hold everything. Rollouts keep their events, leases and ledger here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/engine.h"
#include "st8/state/result.h"

namespace st8::state {

struct RecordWrite {
  std::string key;
  std::optional<std::string> value;  // nullopt: delete.
};
struct RecordExpectation {
  std::string key;
  std::optional<std::string> value;  // nullopt: must not exist.
};
struct Record {
  std::string key;
  std::string value;
};

class RecordStore {
 public:
  virtual ~RecordStore() = default;
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // Records with this prefix and a key > after (empty: from the start), in key order.
  virtual Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after,
                                           std::size_t limit) const = 0;
  // All or nothing, synced with whatever else is being committed. Errors: kPreconditionFailed (nothing written),
  // kUnavailable, kOutcomeUnknown. Blocks until durable.
  virtual Status commit(std::vector<RecordWrite> writes, std::vector<RecordExpectation> expectations = {}) = 0;
};

}  // namespace st8::state
