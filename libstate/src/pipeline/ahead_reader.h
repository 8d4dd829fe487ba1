// Reads a document's content on a thread of its own while the commit that replaces it is built, written and synced: its answer
// tells what was there before, and a body that nobody has read lately takes a fifth of the time that a lone commit takes.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "pipeline/store_core.h"

namespace st8::state::pipeline {

// What was read is put into the cache of contents. A hint: it may be passed over, and what cannot be read is not told.
// Thread-safe.
class AheadReader {
 public:
  explicit AheadReader(StoreCore& core) : core_(core) {}
  ~AheadReader();
  AheadReader(const AheadReader&) = delete;
  AheadReader& operator=(const AheadReader&) = delete;

  // Returns at once. Does nothing while another is being read.
  void begin(keyspace::NamespaceId ns, std::string_view key, const DocumentRef& ref);

 private:
  struct Wish {
    keyspace::NamespaceId ns;
    std::string key;
    DocumentRef ref;
  };
  void run();

  StoreCore& core_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<Wish> wish_;  // Not begun yet, or being read.
  bool stop_ = false;
  std::thread thread_;  // Begun with the first wish.
};

}  // namespace st8::state::pipeline
