// How nodes are stored: whole, or as the difference from an earlier version of the same node.
//
// A commit writes one node a level, each a new version of a node of some 1.5 KB of which one entry changed. Stored as a
// difference it is some 60 bytes, so a commit writes its documents and little else: less log to sync, less to flush and
// to compact. What it costs: a node that is not in memory is read with its bases.
//
// Versions of a node (same level, same first key) are counted in steps from the last one stored whole. Step s is stored
// as the difference from step s & (s - 1), so step 13 leans on 12, 12 on 8, 8 on 0: a node has at most kBasesMax bases
// however long the run, and a difference holds few changes in the mean. A run ends, and a node is stored whole, after
// kStepsMax steps or when the difference would not be less than half of it. Bases are bodies like others: gc keeps
// those of every node that it keeps (see walk()).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tree/node.h"
#include "tree/tree.h"

namespace st8::state::tree {

// The node of `location` as stored: `body_at` gives the stored body of the same level and first key that a revision
// wrote. `at_hand`, if given, may answer with a base that is in memory already, by its revision and the first eight bytes
// of its name, or null; `keep`, if given, is told of the bases that were read.
// Errors: kCorrupt, also when the node does not hash to `name`; those of body_at. Cost: at most kBasesMax + 1 bodies.
struct StoredVersions {
  std::function<Result<std::string>(RevisionNumber written_at)> body_at;
  std::function<std::shared_ptr<const Node>(RevisionNumber written_at, std::uint64_t name_word)> at_hand;
  std::function<void(RevisionNumber written_at, const std::shared_ptr<const Node>& node)> keep;
};
Result<std::shared_ptr<const Node>> load(const NodeLocation& location, const Hash& name,
                                         const StoredVersions& versions);

// The body to store for `node`, which takes the place of `before` (same level and first key, written by
// `before_written_at`) and differs from it in `changed`; sets what the node remembers of its bases. Its base is looked at
// only if it is not known what changed since; then, unless it is `before` itself, it is read through `source`, and the
// body is whole when it cannot be read.
std::string stored_body(const NodeSource& source, Node& node, const std::shared_ptr<const Node>& before,
                        RevisionNumber before_written_at, const ChangedEntries& changed);

// The difference as bytes, and back (docs/formats.md). Exposed for tests and fuzzers.
std::string encode_delta(const Node& base, RevisionNumber base_written_at, std::uint8_t step, const Node& node);
// From a base of the same keys, of which nothing else need be known. Entries that changed and changed back are in it, too.
std::string encode_delta(const Base& base, std::uint8_t step, const Node& node);
struct DeltaHeader {
  std::uint8_t step = 0;
  RevisionNumber base_written_at;
  std::uint64_t base_name_word = 0;
};
// Errors: kCorrupt.
Result<DeltaHeader> decode_delta_header(std::string_view body);
Result<std::shared_ptr<Node>> apply_delta(const Node& base, std::string_view body);

}  // namespace st8::state::tree
