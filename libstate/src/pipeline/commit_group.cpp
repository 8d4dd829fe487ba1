#include "pipeline/commit_group.h"

#include <algorithm>

namespace st8::state::pipeline {

void CommitGroup::assemble() {
  batch.reserve(node_bodies.size() + blobs.size() + revisions.size() + hashes.size() + others.size());
  const auto by_key = [](const Batch::Write& a, const Batch::Write& b) { return a.key < b.key; };
  for (std::vector<Batch::Write>* kind : {&node_bodies, &blobs, &revisions, &hashes}) {
    if (!std::is_sorted(kind->begin(), kind->end(), by_key)) std::sort(kind->begin(), kind->end(), by_key);
    for (Batch::Write& write : *kind) batch.put(std::move(write.key), std::move(*write.value));
    kind->clear();
  }
  std::stable_sort(others.begin(), others.end(), by_key);
  for (Batch::Write& write : others) {
    if (write.value) {
      batch.put(std::move(write.key), std::move(*write.value));
    } else {
      batch.erase(std::move(write.key));
    }
  }
  others.clear();
}

}  // namespace st8::state::pipeline
