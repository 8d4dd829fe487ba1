// fsck: recomputes every hash and follows every pointer, on one snapshot of the engine, so it runs beside writers and gc.
#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "maintenance/backup.h"
#include "maintenance/reach.h"
#include "pipeline/store_impl.h"
#include "st8/state/text.h"

namespace st8::state {
namespace {

using keyspace::NamespaceId;
using keyspace::Table;

constexpr std::size_t kProblemsMax = 1000;

std::string revision_text(std::uint64_t number) { return "revision " + std::to_string(number); }

class NamespaceFsck {
 public:
  NamespaceFsck(const Engine& engine, const EngineSnapshot& snapshot, const std::string& name, NamespaceId ns, const FsckRequest& request,
                FsckReport& report, std::uint64_t total)
      : engine_(engine),
        snapshot_(snapshot),
        name_(name),
        ns_(ns),
        request_(request),
        report_(report),
        total_(total),
        cache_(16u << 20),
        nodes_(engine, cache_, ns, &snapshot) {}

  Status run() {
    ST8_TRY(check_revisions());
    ST8_TRY(check_counters());
    ST8_TRY(check_pointers());
    ST8_TRY(check_operations());
    publish_bodies();
    return {};
  }

 private:
  struct Known {
    Hash hash;
    bool pruned = false;
  };
  // A damaged body, and the revisions that cannot be read whole for it.
  struct Damage {
    std::string problem;
    std::vector<std::uint64_t> revisions;
  };

  bool cancelled() const { return request_.cancelled && request_.cancelled(); }

  void problem(std::string object, std::string what, std::string affects) {
    ++report_.problem_count;
    if (report_.problems.size() < kProblemsMax) report_.problems.push_back({name_, std::move(object), std::move(what), std::move(affects)});
  }

  template <class Visit>
  Status each(Table table, const Visit& visit) {
    const auto cursor = engine_.scan(KeyRange::prefix(keyspace::table_key(table, ns_)), &snapshot_);
    for (; cursor->valid(); cursor->next()) {
      if (cancelled()) return {};
      std::string_view key = cursor->key();
      key.remove_prefix(5);
      ST8_TRY(visit(key, cursor->value()));
    }
    return cursor->status();
  }

  Status check_revisions() {
    return each(Table::kRevision, [&](std::string_view key, std::string_view value) -> Status {
      if (key.size() != 8) {
        problem("revision table", "a key is malformed", "one revision");
        return {};
      }
      const std::uint64_t number = keyspace::read_u64(key);
      missing_before(number);
      const auto record = codec::decode_revision(value, RevisionNumber{number});
      ++report_.revisions;
      if (request_.progress) request_.progress(report_.revisions, total_);
      if (!record) {
        problem(revision_text(number), record.error().message, "its documents, and the history through it");
        return {};
      }
      const Revision& revision = record->revision;
      for (std::size_t i = 0; i < revision.parents.size(); ++i) {
        const auto parent = revisions_.find(revision.parents[i].value);
        if (parent == revisions_.end() || parent->second.hash != revision.parent_hashes[i]) {
          problem(revision_text(number), "its parent, revision " + std::to_string(revision.parents[i].value) + ", is not the one that its hash covers", "the history of " + revision_text(number));
        }
      }
      ST8_ASSIGN(const auto indexed, engine_.get(keyspace::hash_index_key(ns_, revision.hash, revision.number), &snapshot_));
      if (!indexed) problem(revision_text(number), "it is not in the index of hashes", "finding it by its hash");
      revisions_.emplace(number, Known{revision.hash, revision.pruned});
      if (!revision.pruned) ST8_TRY(check_tree(revision));
      return {};
    });
  }

  // Names the revisions between the last one met and `number`; many in a row are one problem.
  void missing_before(std::uint64_t number) {
    const char* const affects = "their documents, and the history through them";
    if (number - expected_ > kProblemsMax) {
      problem("revisions " + std::to_string(expected_ + 1) + " to " + std::to_string(number - 1), "their records are missing", affects);
    } else {
      for (std::uint64_t gone = expected_ + 1; gone < number; ++gone) problem(revision_text(gone), "its record is missing", affects);
    }
    expected_ = number;
  }

  // Walks what no sound revision before it has reached. A walk that met damage is forgotten, so that the next revision that stands on
  // the same body meets it again, and the report can say whom it affects.
  Status check_tree(const Revision& revision) {
    std::vector<maintenance::StoredNode> nodes;
    std::vector<std::pair<std::string, DocumentRef>> blobs;
    const Status walked = tree::walk(
        nodes_, revision.tree,
        [&](const tree::NodeLocation& location, const Hash& name) {
          const maintenance::StoredNode node = maintenance::stored_node(name, location.written_at);
          if (!sound_nodes_.insert(node).second) return false;
          nodes.push_back(node);
          return true;
        },
        [&](std::string_view key, const DocumentRef& ref) { blobs.emplace_back(key, ref); }, nullptr);
    bool sound = true;
    if (!walked) {
      if (walked.error().code != ErrorCode::kCorrupt && walked.error().code != ErrorCode::kGone) return fail(walked.error());
      damage("tree of revision " + std::to_string(revision.number.value), walked.error().message, revision.number.value);
      sound = false;
    }
    for (const auto& [key, ref] : blobs) {
      const std::string engine_key = keyspace::blob_key(ns_, key, ref.written_at);
      if (sound_blobs_.count(std::hash<std::string>{}(engine_key)) > 0) continue;
      ST8_ASSIGN(auto stored, engine_.get(engine_key, &snapshot_));
      const std::string object = "blob " + printable_key(key) + "@" + std::to_string(ref.written_at.value);
      if (!stored) {
        damage(object, "it is missing", revision.number.value);
        sound = false;
      } else if (const auto opened = pipeline::open_blob(std::move(*stored), key, ref); !opened) {
        damage(object, opened.error().message, revision.number.value);
        sound = false;
      } else {
        ++report_.blobs;
        sound_blobs_.insert(std::hash<std::string>{}(engine_key));
      }
    }
    if (sound) {
      report_.nodes += nodes.size();
    } else {
      for (const auto& node : nodes) sound_nodes_.erase(node);
    }
    return {};
  }

  static std::string printable_key(std::string_view key) {
    const std::string quoted = quote(key);
    return quoted.size() >= 2 && quoted.front() == '"' ? quoted.substr(1, quoted.size() - 2) : quoted;
  }

  void damage(const std::string& object, const std::string& what, std::uint64_t revision) {
    // One damaged node is met under every tree that holds it, and is one problem: its message names it.
    auto& known = damages_[object.starts_with("tree ") ? "node: " + what : object];
    if (known.revisions.empty()) known.problem = what;
    known.revisions.push_back(revision);
  }

  void publish_bodies() {
    for (auto& [object, found] : damages_) {
      const std::uint64_t first = found.revisions.front(), last = found.revisions.back();
      problem(object.starts_with("node: ") ? "tree node" : object, found.problem,
              first == last ? revision_text(first) + " cannot be read whole"
                            : std::to_string(found.revisions.size()) + " revisions, from " + std::to_string(first) + " to " + std::to_string(last) + ", cannot be read whole");
    }
  }

  Status check_counters() {
    ST8_ASSIGN(const auto bytes, engine_.get(keyspace::table_key(Table::kCounters, ns_), &snapshot_));
    if (!bytes) {
      problem("counters", "they are missing", "writing to the namespace");
      return {};
    }
    const auto counters = codec::decode_counters(*bytes);
    if (!counters) {
      problem("counters", counters.error().message, "writing to the namespace");
      return {};
    }
    counters_ = *counters;
    const std::uint64_t met = expected_;
    if (counters_.last_revision > met && counters_.last_revision < UINT64_MAX) missing_before(counters_.last_revision + 1);
    if (counters_.last_revision < met) {
      problem("counters", "the last revision is said to be " + std::to_string(counters_.last_revision) + ", and there is " + std::to_string(met), "new revisions would overwrite old ones");
    }
    return {};
  }

  void check_target(const std::string& object, RevisionNumber revision, const std::string& affects, bool may_be_pruned) {
    if (revision.is_root()) return;
    const auto known = revisions_.find(revision.value);
    if (known == revisions_.end()) problem(object, "it points at " + revision_text(revision.value) + ", which is missing", affects);
    else if (known->second.pruned && !may_be_pruned) problem(object, "it points at " + revision_text(revision.value) + ", whose documents were pruned", affects);
  }

  Status check_pointers() {
    std::uint64_t branches = 0, checkpoints = 0;
    ST8_TRY(each(Table::kBranch, [&](std::string_view key, std::string_view value) -> Status {
      ++branches;
      const std::string object = "branch " + printable_key(key);
      if (const auto branch = codec::decode_branch(value)) {
        check_target(object, branch->head, "reading and writing the branch", false);
        check_target(object, branch->base, "knowing where the branch began", true);
      } else {
        problem(object, branch.error().message, "reading and writing the branch");
      }
      return {};
    }));
    ST8_TRY(each(Table::kCheckpoint, [&](std::string_view key, std::string_view value) -> Status {
      ++checkpoints;
      const std::string object = "checkpoint " + printable_key(key);
      if (const auto checkpoint = codec::decode_checkpoint(value)) check_target(object, checkpoint->revision, "going back to it", false);
      else problem(object, checkpoint.error().message, "going back to it");
      return {};
    }));
    if (branches != counters_.branch_count) problem("counters", "they say " + std::to_string(counters_.branch_count) + " branches, and there are " + std::to_string(branches), "the count shown");
    if (checkpoints != counters_.checkpoint_count) {
      problem("counters", "they say " + std::to_string(counters_.checkpoint_count) + " checkpoints, and there are " + std::to_string(checkpoints), "the count shown");
    }
    return {};
  }

  Status check_operations() {
    std::uint64_t next = 1;
    ST8_TRY(each(Table::kOperation, [&](std::string_view key, std::string_view value) -> Status {
      if (key.size() != 8) {
        problem("operation log", "a key is malformed", "the audit log");
        return {};
      }
      const std::uint64_t last = keyspace::read_u64(key);
      const auto operations = codec::decode_operations(value, last);
      if (!operations) problem("operation " + std::to_string(last), operations.error().message, "the audit log");
      else if (operations->empty() || operations->front().sequence != next) problem("operation " + std::to_string(next), "its record is missing", "the audit log");
      next = last + 1;
      return {};
    }));
    if (next != counters_.last_operation + 1) problem("operation " + std::to_string(next), "its record is missing", "the audit log");
    return {};
  }

  const Engine& engine_;
  const EngineSnapshot& snapshot_;
  const std::string& name_;
  const NamespaceId ns_;
  const FsckRequest& request_;
  FsckReport& report_;
  const std::uint64_t total_;
  tree::NodeCache cache_;
  const tree::StoredNodes nodes_;

  std::uint64_t expected_ = 0;  // The last revision number met.
  codec::Counters counters_;
  std::unordered_map<std::uint64_t, Known> revisions_;
  maintenance::StoredNodes sound_nodes_;
  std::unordered_set<std::uint64_t> sound_blobs_;
  std::map<std::string, Damage> damages_;
};

}  // namespace

Result<FsckReport> Store::fsck(const FsckRequest& request) const {
  FsckReport report;
  const Engine& engine = *impl_->core.engine;
  const auto snapshot = engine.snapshot();
  std::vector<std::pair<std::string, NamespaceId>> chosen;
  std::uint64_t total = 0;
  const std::string table(1, static_cast<char>(Table::kNamespace));
  const auto cursor = engine.scan(KeyRange::prefix(table), snapshot.get());
  for (; cursor->valid(); cursor->next()) {
    std::string name(cursor->key().substr(1));
    const bool wanted = request.namespaces.empty() ||
                        std::any_of(request.namespaces.begin(), request.namespaces.end(), [&](const NamespaceName& one) { return one.str() == name; });
    if (!wanted) continue;
    const auto record = codec::decode_namespace(cursor->value());
    if (!record) {
      ++report.problem_count;
      report.problems.push_back({name, "namespace", record.error().message, "everything in it"});
      continue;
    }
    if (const auto counters = engine.get(keyspace::table_key(Table::kCounters, record->id), snapshot.get()); counters && *counters) {
      if (const auto decoded = codec::decode_counters(**counters)) total += decoded->last_revision;
    }
    chosen.emplace_back(std::move(name), record->id);
  }
  ST8_TRY(cursor->status());
  for (const NamespaceName& name : request.namespaces) {
    if (std::none_of(chosen.begin(), chosen.end(), [&](const auto& one) { return one.first == name.str(); }) && report.clean()) {
      return fail(ErrorCode::kNotFound, "there is no namespace " + name.str(), "`st8ctl namespace list` lists them");
    }
  }
  for (const auto& [name, ns] : chosen) {
    ++report.namespaces;
    ST8_TRY(NamespaceFsck(engine, *snapshot, name, ns, request, report, total).run());
    if (request.cancelled && request.cancelled()) break;
  }
  return report;
}

Result<BackupReport> Store::backup(const std::function<Status(std::string_view)>& sink) const { return maintenance::write_backup(*impl_->core.engine, sink); }

}  // namespace st8::state
