// The targets' documents, read. Who plans, looks for drift or lists targets needs them all, and they seldom change: so what was
// read at one head is kept, and of the next head only what differs is read.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "st8/state/view.h"
#include "st8/target/target.h"

namespace st8::target {

struct TargetDocument {
  Hash hash;
  std::optional<Target> target;           // nullopt: the document is not good.
  std::vector<DocumentProblem> problems;  // Then: why, and the text.
  std::string text;

  static TargetDocument read(const TargetName& name, const Hash& hash, std::string text);
  const std::string& source() const { return target ? target->source : text; }
};
using TargetDocuments = std::map<TargetName, std::shared_ptr<const TargetDocument>>;

// The name of a target from its document's key: "targets/web-1.yaml" → web-1. nullopt: not a target's document.
std::optional<TargetName> target_of_key(std::string_view key);

// Thread-safe. Memory: the documents of one head, unless their text is longer than `bytes_max`: then nothing is kept.
class TargetDocumentCache {
 public:
  explicit TargetDocumentCache(std::size_t bytes_max = 16u << 20) : bytes_max_(bytes_max) {}

  // Of a view of st8/system. Cost: nothing when the tree is as it was; else a walk over the targets, and reading those that changed.
  Result<std::shared_ptr<const TargetDocuments>> read(const state::View& view);

 private:
  const std::size_t bytes_max_;
  std::mutex mutex_;
  state::TreeRoot root_;  // Of what is kept.
  std::shared_ptr<const TargetDocuments> kept_;
};

}  // namespace st8::target
