#include "maintenance/fsck.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "codec/records.h"
#include "engine/keyspace.h"
#include "maintenance/backup.h"
#include "maintenance/mark_set.h"
#include "maintenance/reach.h"
#include "pipeline/store_impl.h"
#include "st8/state/text.h"
#include "tree/cursor.h"

namespace st8::state {
namespace maintenance {
namespace {

using keyspace::NamespaceId;
using keyspace::Table;

constexpr std::size_t kProblemsMax = 1000;
constexpr std::uint64_t kRevisionGapMax = 1'000'000;

std::string revision_text(std::uint64_t number) { return "revision " + std::to_string(number); }

// A stranger's name as it is, but for what does not belong on a terminal.
std::string printable(std::string_view name) {
  std::string quoted = quote(name, 2 * Limits::kKeyBytesMax);
  return quoted.substr(1, quoted.size() - 2);
}

// Damage is what fsck is there to tell; anything else ends the run.
bool is_damage(const Error& error) { return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kGone; }

class Problems {
 public:
  explicit Problems(FsckReport& report) : report_(report) {}
  void add(const std::string& name_space, std::string object, std::string what, std::string affects) {
    ++report_.problem_count;
    if (report_.problems.size() < kProblemsMax) {
      report_.problems.push_back({name_space, std::move(object), std::move(what), std::move(affects)});
    }
  }

 private:
  FsckReport& report_;
};

class NamespaceFsck {
 public:
  NamespaceFsck(const Engine& engine, const EngineSnapshot& snapshot, const std::string& name, NamespaceId ns,
                const FsckRequest& request, FsckReport& report, std::uint64_t total)
      : engine_(engine),
        snapshot_(snapshot),
        name_(name),
        ns_(ns),
        request_(request),
        report_(report),
        problems_(report),
        total_(total),
        cache_(16u << 20),
        nodes_(engine, cache_, ns, &snapshot) {}

  Status run() {
    ST8_TRY(read_counters());
    ST8_TRY(check_revisions());
    if (!cancelled_) check_last_revision();
    if (!cancelled_) ST8_TRY(check_hash_index());
    if (!cancelled_) ST8_TRY(check_pointers());
    if (!cancelled_) ST8_TRY(check_operations());
    if (!cancelled_) ST8_TRY(check_answers());
    publish_damage();
    return {};
  }

 private:
  // What later revisions are held against. Revision n stands at n; 0 is the empty state.
  struct Known {
    std::uint64_t hash_start[2] = {0, 0};
    std::uint64_t depth = 0;
    std::uint64_t jump = 0;
    std::uint64_t prev_copy = 0;
    bool present = false, pruned = false, is_copy = false;
  };
  // A damaged body, and the revisions that cannot be read whole for it.
  struct Damage {
    std::string problem;
    std::string loss;  // What those revisions lose.
    std::uint64_t first = 0, last = 0, count = 0;
  };

  // Once told to end, it has: what was not looked at must not be held against what was.
  bool cancelled() {
    cancelled_ = cancelled_ || (request_.cancelled && request_.cancelled());
    return cancelled_;
  }
  void problem(std::string object, std::string what, std::string affects) {
    problems_.add(name_, std::move(object), std::move(what), std::move(affects));
  }

  // Each record of a table: its key behind the table and the namespace, and its value. Where the engine cannot go on reading it
  // says so as a problem, and answers false.
  template <class Visit>
  Result<bool> each(Table table, std::string_view table_name, const Visit& visit) {
    const auto cursor = engine_.scan(KeyRange::prefix(keyspace::table_key(table, ns_)), &snapshot_);
    for (; cursor->valid(); cursor->next()) {
      if (cancelled()) return true;
      std::string_view key = cursor->key();
      key.remove_prefix(5);
      ST8_TRY(visit(key, cursor->value()));
    }
    const Status status = cursor->status();
    if (status) return true;
    if (!is_damage(status.error())) return fail(status.error());
    problem(std::string(table_name), status.error().message, "what else lies there, which was not checked");
    return false;
  }

  // The value, or nothing and in `why` what is wrong with it.
  Result<std::optional<std::string>> get(const std::string& engine_key, std::string& why) const {
    auto value = engine_.get(engine_key, &snapshot_);
    if (value) {
      if (!*value) why = "it is missing";
      return std::move(*value);
    }
    if (!is_damage(value.error())) return fail(value.error());
    why = value.error().message;
    return std::optional<std::string>{};
  }

  Status read_counters() {
    std::string why;
    ST8_ASSIGN(const auto bytes, get(keyspace::table_key(Table::kCounters, ns_), why));
    if (bytes) {
      const auto counters = codec::decode_counters(*bytes);
      if (counters) {
        counters_ = *counters;
        return {};
      }
      why = counters.error().message;
    }
    problem("counters", why, "writing to the namespace");
    return {};
  }

  Known& known(std::uint64_t number) {
    if (number >= known_.size()) known_.resize(number + 1);
    return known_[number];
  }
  const Known* find_known(std::uint64_t number) const {
    return number < known_.size() && known_[number].present ? &known_[number] : nullptr;
  }

  Status check_revisions() {
    known(0).present = true;
    ST8_ASSIGN(const bool whole,
               each(Table::kRevision, "revision table", [&](std::string_view key, std::string_view value) -> Status {
                 if (key.size() != 8) {
                   problem("revision table", "a key is malformed", "one revision");
                   return {};
                 }
                 const std::uint64_t number = keyspace::read_u64(key);
                 missing_before(number);
                 return check_revision(number, value);
               }));
    if (whole || counters_ == std::nullopt) return {};
    // A block in the middle cannot be read: those behind it can, one by one.
    for (std::uint64_t number = met_ + 1; number <= counters_->last_revision && !cancelled(); ++number) {
      std::string why;
      ST8_ASSIGN(const auto value, get(keyspace::numbered_key(Table::kRevision, ns_, number), why));
      met_ = number;
      if (value) {
        ST8_TRY(check_revision(number, *value));
      } else {
        problem(revision_text(number), why, "its documents, and the history through it");
      }
    }
    return {};
  }

  // Names the revisions between the last one met and `number`; many in a row are one problem.
  void missing_before(std::uint64_t number) {
    const char* const affects = "their documents, and the history through them";
    if (number - met_ > kProblemsMax) {
      problem("revisions " + std::to_string(met_ + 1) + " to " + std::to_string(number - 1),
              "their records are missing", affects);
    } else {
      for (std::uint64_t gone = met_ + 1; gone < number; ++gone)
        problem(revision_text(gone), "its record is missing", affects);
    }
    met_ = number;
  }

  void check_last_revision() {
    if (!counters_) return;
    if (counters_->last_revision > met_ && counters_->last_revision < UINT64_MAX) {
      missing_before(counters_->last_revision + 1);
    } else if (counters_->last_revision < met_) {
      problem("counters",
              "the last revision is said to be " + std::to_string(counters_->last_revision) + ", and there is " +
                  std::to_string(met_),
              "new revisions would overwrite old ones");
    }
  }

  Status check_revision(std::uint64_t number, std::string_view value) {
    const auto record = codec::decode_revision(value, RevisionNumber{number});
    ++report_.revisions;
    if (request_.progress) request_.progress(report_.revisions, total_);
    if (!record) {
      problem(revision_text(number), record.error().message, "its documents, and the history through it");
      return {};
    }
    const Revision& revision = record->revision;
    for (std::size_t i = 0; i < revision.parents.size(); ++i) {
      const std::uint64_t parent = revision.parents[i].value;
      const Known* found = parent < number ? find_known(parent) : nullptr;
      if (found == nullptr ||
          std::memcmp(found->hash_start, revision.parent_hashes[i].bytes.data(), sizeof found->hash_start) != 0) {
        problem(revision_text(number), "its parent, " + revision_text(parent) + ", is not the one that its hash covers",
                "the history of " + revision_text(number));
      }
    }
    check_shortcuts(number, *record);
    std::string why;
    ST8_ASSIGN(const auto indexed, get(keyspace::hash_index_key(ns_, revision.hash, revision.number), why));
    if (!indexed) problem(revision_text(number), "in the index of hashes " + why, "finding it by its hash");

    if (number > known_.size() + kRevisionGapMax)
      return {};  // A stray key, named as a gap; no reason to make room up to it.
    Known& one = known(number);
    one.present = true;
    one.pruned = revision.pruned;
    one.is_copy = record->is_copy;
    one.depth = record->depth;
    one.jump = record->jump.value;
    one.prev_copy = record->prev_copy.value;
    std::memcpy(one.hash_start, revision.hash.bytes.data(), sizeof one.hash_start);
    if (revision.pruned || revision.tree.empty()) return {};
    return check_tree(revision);
  }

  // What is beside the hashed part follows from the parents, and must be what follows.
  void check_shortcuts(std::uint64_t number, const codec::RevisionRecord& record) {
    const std::uint64_t parent_number = record.revision.parent().value;
    const Known* parent = parent_number < number ? find_known(parent_number) : nullptr;
    if (parent == nullptr) return;  // Told already.
    const char* const affects = "finding ancestors, times and a key's history across it";
    if (record.depth != parent->depth + 1) {
      problem(revision_text(number),
              "its depth is " + std::to_string(record.depth) + ", and its parent's " + std::to_string(parent->depth),
              affects);
      return;
    }
    if (const auto expected = jump_from(parent_number, codec::jump_depth(record.depth));
        expected && *expected != record.jump.value) {
      problem(revision_text(number),
              "it jumps to " + revision_text(record.jump.value) + ", and should to " + revision_text(*expected),
              affects);
    }
    const std::uint64_t copy = parent->is_copy ? parent_number : parent->prev_copy;
    if (record.prev_copy.value != copy) {
      problem(revision_text(number),
              "the copy before it is said to be " + revision_text(record.prev_copy.value) + ", and is " +
                  revision_text(copy),
              affects);
    }
  }

  // Where a child of `parent` jumps: jumps being a skew-binary list, to the parent itself, or where the parent's jump jumps.
  // nullopt where one of them is damaged, which was told of already.
  std::optional<std::uint64_t> jump_from(std::uint64_t parent, std::uint64_t depth) const {
    for (int step = 0; step < 3; ++step) {
      const Known* one = find_known(parent);
      if (one == nullptr || one->depth < depth) return std::nullopt;
      if (one->depth == depth) return parent;
      if (one->jump >= parent) return std::nullopt;
      parent = one->jump;
    }
    return std::nullopt;
  }

  // Walks what no revision before it has shown to be sound. What is not stays unmarked up to the root, so that the next
  // revision that stands on it meets it again, and the report can say whom it affects.
  Status check_tree(const Revision& revision) {
    checking_ = revision.number.value;
    const TreeRoot& root = revision.tree;
    // Loaded though it be known: where it lies is said by the revision's record, beside what is hashed there.
    const auto node = tree::load_root(nodes_, root);
    if (!node) return node_damage(root.level, root.first_key, root.written_at, node.error());
    const StoredNode id = stored_node(root.hash, root.written_at);
    if (sound_nodes_.count(id) > 0) return {};
    ST8_ASSIGN(const bool sound, check_node(**node));
    if (sound) {
      sound_nodes_.insert(id);
      ++report_.nodes;
    }
    return {};
  }

  // Whether it and all below it is sound. As deep as the tree, whose level load_child() checks to fall by one at each step.
  Result<bool> check_node(const tree::Node& node) {
    bool sound = true;
    if (node.level() == 0) {
      for (std::size_t i = 0; i < node.count(); ++i) {
        ST8_ASSIGN(const bool one, check_blob(node.key(i), node.document(i)));
        sound = sound && one;
      }
      return sound;
    }
    for (std::size_t i = 0; i < node.count(); ++i) {
      const StoredNode id = stored_node(node.hash(i), node.written_at(i));
      if (sound_nodes_.count(id) > 0) continue;
      if (cancelled()) return false;
      const auto child = tree::load_child(nodes_, node, i);
      bool child_sound = false;
      if (child) {
        ST8_ASSIGN(child_sound, check_node(**child));
      } else {
        ST8_TRY(
            node_damage(static_cast<std::uint8_t>(node.level() - 1), node.key(i), node.written_at(i), child.error()));
      }
      if (child_sound) {
        sound_nodes_.insert(id);
        ++report_.nodes;
      }
      sound = sound && child_sound;
    }
    return sound;
  }

  Result<bool> check_blob(const std::string& key, const DocumentRef& ref) {
    const std::string engine_key = keyspace::blob_key(ns_, key, ref.written_at);
    // The hash is part of the mark: a node that names another content for the same body is not sound for the first's sake.
    const std::uint64_t mark = MarkSet::mark_of(engine_key + std::string(ref.hash.view().substr(0, 8)));
    if (sound_blobs_.contains(mark)) return true;
    std::string why;
    ST8_ASSIGN(auto stored, get(engine_key, why));
    if (stored) {
      const auto opened = pipeline::open_blob(std::move(*stored), key, ref);
      if (opened) {
        sound_blobs_.insert(mark);
        ++report_.blobs;
        return true;
      }
      why = opened.error().message;
    }
    damage("blob " + printable(key) + "@" + std::to_string(ref.written_at.value), why, "cannot read " + printable(key));
    return false;
  }

  Status node_damage(std::uint8_t level, const std::string& first_key, RevisionNumber written_at, const Error& error) {
    if (!is_damage(error)) return fail(error);
    damage("tree node " + printable(first_key) + "@" + std::to_string(written_at.value) + " of level " +
               std::to_string(level),
           error.message, "cannot read keys from " + printable(first_key) + " on");
    return {};
  }

  void damage(const std::string& object, const std::string& what, std::string loss) {
    Damage& one = damages_[object];
    if (one.count == 0) {
      one.problem = what;
      one.loss = std::move(loss);
      one.first = checking_;
    } else if (one.last == checking_) {
      return;
    }
    one.last = checking_;
    ++one.count;
  }

  void publish_damage() {
    for (auto& [object, one] : damages_) {
      std::string who;
      if (one.count == 1) {
        who = revision_text(one.first);
      } else if (one.count == one.last - one.first + 1) {
        who = "revisions " + std::to_string(one.first) + " to " + std::to_string(one.last);
      } else {
        who = std::to_string(one.count) + " revisions from " + std::to_string(one.first) + " to " +
              std::to_string(one.last);
      }
      problem(object, one.problem, who + " " + one.loss);
    }
  }

  Status check_hash_index() {
    return ignore_rest(
        each(Table::kRevisionByHash, "index of hashes", [&](std::string_view key, std::string_view) -> Status {
          if (key.size() < 16) {
            problem("index of hashes", "a key is malformed", "finding one revision by its hash");
            return {};
          }
          const std::uint64_t number = keyspace::read_u64(key.substr(key.size() - 8));
          const std::string_view start = key.substr(0, key.size() - 8);
          const Known* one = number == 0 ? nullptr : find_known(number);
          const std::size_t compared = std::min(start.size(), sizeof one->hash_start);
          // A damaged revision was told of already, and its entry may be right.
          if (one != nullptr && std::memcmp(one->hash_start, start.data(), compared) != 0) {
            problem("index of hashes", "an entry says " + revision_text(number) + ", which has another hash",
                    "finding revisions by hash prefix");
          } else if (one == nullptr && (number == 0 || number > met_)) {
            problem("index of hashes", "an entry says " + revision_text(number) + ", which does not exist",
                    "finding revisions by hash prefix");
          }
          return {};
        }));
  }

  // What could not be read behind a point was told of by each().
  static Status ignore_rest(Result<bool> whole) {
    if (!whole) return fail(std::move(whole).error());
    return {};
  }

  void check_target(const std::string& object, RevisionNumber revision, const std::string& affects,
                    bool may_be_pruned) {
    if (revision.is_root()) return;
    const Known* one = find_known(revision.value);
    if (one == nullptr) {
      problem(object, "it points at " + revision_text(revision.value) + ", which is missing or damaged", affects);
    } else if (one->pruned && !may_be_pruned) {
      problem(object, "it points at " + revision_text(revision.value) + ", whose documents were pruned", affects);
    }
  }

  Status check_pointers() {
    std::uint64_t branches = 0, checkpoints = 0;
    ST8_ASSIGN(const bool branches_whole,
               each(Table::kBranch, "branch table", [&](std::string_view key, std::string_view value) -> Status {
                 ++branches;
                 const std::string object = "branch " + printable(key);
                 if (const auto branch = codec::decode_branch(value)) {
                   check_target(object, branch->head, "reading and writing the branch", false);
                   check_target(object, branch->base, "knowing where the branch began", true);
                 } else {
                   problem(object, branch.error().message, "reading and writing the branch");
                 }
                 return {};
               }));
    ST8_ASSIGN(
        const bool checkpoints_whole,
        each(Table::kCheckpoint, "checkpoint table", [&](std::string_view key, std::string_view value) -> Status {
          ++checkpoints;
          const std::string object = "checkpoint " + printable(key);
          if (const auto checkpoint = codec::decode_checkpoint(value)) {
            check_target(object, checkpoint->revision, "going back to it", false);
          } else {
            problem(object, checkpoint.error().message, "going back to it");
          }
          return {};
        }));
    if (!counters_ || cancelled_) return {};
    if (branches_whole && branches != counters_->branch_count) {
      problem("counters",
              "they say " + std::to_string(counters_->branch_count) + " branches, and there are " +
                  std::to_string(branches),
              "the count shown");
    }
    if (checkpoints_whole && checkpoints != counters_->checkpoint_count) {
      problem("counters",
              "they say " + std::to_string(counters_->checkpoint_count) + " checkpoints, and there are " +
                  std::to_string(checkpoints),
              "the count shown");
    }
    return {};
  }

  Status check_operations() {
    std::uint64_t next = 1;
    ST8_ASSIGN(const bool whole,
               each(Table::kOperation, "operation log", [&](std::string_view key, std::string_view value) -> Status {
                 if (key.size() != 8) {
                   problem("operation log", "a key is malformed", "the audit log");
                   return {};
                 }
                 const std::uint64_t last = keyspace::read_u64(key);
                 const auto operations = codec::decode_operations(value, last);
                 if (!operations) {
                   problem("operation " + std::to_string(last), operations.error().message, "the audit log");
                 } else if (operations->empty() || operations->front().sequence != next) {
                   problem("operation " + std::to_string(next), "its record is missing", "the audit log");
                 }
                 next = last + 1;
                 return {};
               }));
    if (whole && counters_ && !cancelled_ && next != counters_->last_operation + 1) {
      problem("operation " + std::to_string(next), "its record is missing", "the audit log");
    }
    return {};
  }

  Status check_answers() {
    return ignore_rest(
        each(Table::kIdempotency, "idempotency records", [&](std::string_view key, std::string_view value) -> Status {
          if (const auto answer = codec::decode_idempotency(value); !answer) {
            problem("idempotency key " + printable(key), answer.error().message, "retries of that request");
          }
          return {};
        }));
  }

  const Engine& engine_;
  const EngineSnapshot& snapshot_;
  const std::string& name_;
  const NamespaceId ns_;
  const FsckRequest& request_;
  FsckReport& report_;
  Problems problems_;
  const std::uint64_t total_;
  tree::NodeCache cache_;
  const tree::StoredNodes nodes_;

  bool cancelled_ = false;
  std::uint64_t met_ = 0;       // The last revision number met.
  std::uint64_t checking_ = 0;  // The revision whose tree is walked.
  std::optional<codec::Counters> counters_;
  std::vector<Known> known_;  // By revision number.
  StoredNodes sound_nodes_;
  MarkSet sound_blobs_;
  std::map<std::string, Damage> damages_;
};

struct FoundNamespace {
  std::string name;
  NamespaceId id;
};

}  // namespace

Result<FsckReport> fsck_engine(const Engine& engine, const FsckRequest& request) {
  FsckReport report;
  Problems problems(report);
  const auto snapshot = engine.snapshot();
  std::vector<FoundNamespace> chosen;
  std::unordered_set<std::string> named;
  std::map<std::uint32_t, std::string> ids;
  std::uint64_t total = 0;
  const auto cursor =
      engine.scan(KeyRange::prefix(std::string(1, static_cast<char>(Table::kNamespace))), snapshot.get());
  for (; cursor->valid(); cursor->next()) {
    std::string name(cursor->key().substr(1));
    named.insert(name);
    const bool wanted =
        request.namespaces.empty() || std::any_of(request.namespaces.begin(), request.namespaces.end(),
                                                  [&](const NamespaceName& one) { return one.str() == name; });
    const auto record = codec::decode_namespace(cursor->value());
    if (!record) {
      if (wanted) problems.add(name, "namespace", record.error().message, "everything in it");
      continue;
    }
    if (const auto [other, fresh] = ids.emplace(record->id.value, name); !fresh) {
      problems.add(name, "namespace", "it shares its number with " + other->second, "both");
    }
    if (!wanted) continue;
    if (const auto counters = engine.get(keyspace::table_key(Table::kCounters, record->id), snapshot.get());
        counters && *counters) {
      if (const auto decoded = codec::decode_counters(**counters)) total += decoded->last_revision;
    }
    chosen.push_back({std::move(name), record->id});
  }
  if (const Status status = cursor->status(); !status) {
    if (!is_damage(status.error())) return fail(status.error());
    problems.add("", "namespace table", status.error().message, "the namespaces behind it, which were not checked");
  }
  for (const NamespaceName& name : request.namespaces) {
    if (!named.contains(name.str()) && report.clean()) {
      return fail(ErrorCode::kNotFound, "there is no namespace " + name.str(), "`st8ctl namespace list` lists them");
    }
  }
  for (const FoundNamespace& one : chosen) {
    ++report.namespaces;
    ST8_TRY(NamespaceFsck(engine, *snapshot, one.name, one.id, request, report, total).run());
    if (request.cancelled && request.cancelled()) break;
  }
  return report;
}

}  // namespace maintenance

Result<FsckReport> Store::fsck(const FsckRequest& request) const {
  return maintenance::fsck_engine(*impl_->core.engine, request);
}

Result<BackupReport> Store::backup(const std::function<Status(std::string_view)>& sink) const {
  return maintenance::write_backup(*impl_->core.engine, sink);
}

}  // namespace st8::state
