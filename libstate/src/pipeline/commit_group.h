// Commands that are committed together: what they write, and what is published once it is durable. Filled by the builder;
// from its sealing on, changed by nobody and read by the writer and, for what is not published yet, by builders.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pipeline/notifier.h"
#include "pipeline/store_core.h"
#include "st8/state/engine.h"
#include "st8/state/operation.h"

namespace st8::state::pipeline {

class Command;

struct CommitGroup {
  std::vector<Command*> commands;
  std::size_t bytes = 0;  // As the commands estimate.

  // What is written, by kind: an engine's write buffer takes neighbours in order far faster than keys at random, so
  // seal() puts them into the batch kind by kind, each in key order. No key is in two of these, nor twice in one but in
  // `others`, where the later write stays behind the earlier.
  std::vector<Batch::Write> revisions, hashes, blobs, node_bodies, others;
  Batch batch;  // Made of them by assemble().

  void put(std::string key, std::string value) { others.push_back({std::move(key), std::move(value)}); }
  void erase(std::string key) { others.push_back({std::move(key), std::nullopt}); }
  bool writes_nothing() const { return revisions.empty() && blobs.empty() && node_bodies.empty() && others.empty(); }
  void assemble();

  std::vector<Expectation> expectations;
  std::unordered_map<std::string, std::optional<std::string>>
      records;  // Small records in the batch that others may read.
  codec::IdempotencyExpiry answers;

  std::vector<std::pair<std::string, BranchPointer>> branches;  // By branch_cache_key(); null: gone.
  std::vector<NamespacePointer> made;
  std::vector<std::string> deleted;                            // Names.
  std::vector<std::pair<RevisionId, RevisionPointer>> pruned;  // With the mark.
  std::vector<Notifier::Item> operations;
  std::uint64_t commits = 0;
  std::uint64_t nodes_written = 0, node_bytes = 0;
};

}  // namespace st8::state::pipeline
