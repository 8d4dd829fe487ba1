// gc over random histories: what it keeps stays as it was to the byte, what it prunes says so, nothing is left lying, and
// neither writers nor readers beside it notice. A failure prints the seed.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "engine/keyspace.h"
#include "maintenance/fsck.h"
#include "st8/state/failpoint.h"
#include "support/seed.h"
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

using keyspace::Table;

// A store with a plain copy of every revision's documents beside it.
class GcHistory {
 public:
  GcHistory(EngineKind kind, std::uint64_t seed) : harness(kind), random_(seed) {}

  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  bool chance(int percent) { return static_cast<int>(pick(100)) < percent; }

  // One change of some branch, of the names, or of nothing.
  void step() {
    const std::string name = std::array{"main", "main", "main", "dev", "f/x"}[pick(5)];
    switch (pick(12)) {
      case 0: {
        if (documents.empty()) return;
        const std::uint64_t source = 1 + pick(last());
        const auto result = harness.copy(std::to_string(source), name, Cause::kRestore, "main");
        if (pruned.contains(source)) {
          ASSERT_FALSE(result);
          EXPECT_EQ(result.error().code, ErrorCode::kGone) << why(result);
          return;
        }
        ASSERT_TRUE(result) << why(result);
        if (!result->noop) append(name, documents[source], *result);
        return;
      }
      case 1: {
        if (documents.empty() || branches.contains("new")) return;
        const std::uint64_t source = 1 + pick(last());
        const auto made = harness.create_branch("new", std::to_string(source));
        EXPECT_EQ(made.has_value(), !pruned.contains(source)) << why(made);
        if (made) branches["new"] = source;
        return;
      }
      case 2:
        if (branches.contains("new")) {
          ASSERT_TRUE(harness->delete_branch({ns("default"), branch("new"), StoreHarness::context()}));
          branches.erase("new");
        }
        return;
      case 3: {
        if (documents.empty()) return;
        const std::uint64_t source = 1 + pick(last());
        const std::string checkpoint_name = "c" + std::to_string(pick(3));
        const auto made = harness.put_checkpoint(checkpoint_name, std::to_string(source), "main", true);
        EXPECT_EQ(made.has_value(), !pruned.contains(source)) << why(made);
        if (made) checkpoints[checkpoint_name] = source;
        return;
      }
      default:
        apply(name);
    }
  }

  void apply(const std::string& name) {
    Documents after = branches.contains(name) ? documents[branches[name]] : Documents{};
    ApplyRequest request = StoreHarness::apply_request({}, name);
    request.unset_missing_ok = true;
    std::set<std::string> used;
    for (std::size_t i = 0, count = chance(5) ? 200 : 1 + pick(4); i < count; ++i) {
      const std::string k = "d" + std::to_string(pick(5)) + "/k" + std::to_string(pick(chance(80) ? 10 : 500));
      if (!used.insert(k).second) continue;
      if (chance(25)) {
        request.unset.push_back(key(k));
        after.erase(k);
      } else {
        std::string content = std::to_string(pick(4)) + std::string(chance(10) ? 5000 : pick(50), 'x');
        after[k] = content;
        request.documents.push_back({key(k), std::move(content)});
      }
    }
    const auto result = harness->apply(std::move(request));
    ASSERT_TRUE(result) << why(result);
    if (!result->noop) append(name, std::move(after), *result);
  }

  void append(const std::string& name, Documents after, const CommitResult& result) {
    documents[result.revision.value] = std::move(after);
    parents[result.revision.value] = branches.contains(name) ? branches[name] : 0;
    written_to[result.revision.value] = name;
    branches[name] = result.revision.value;
  }
  std::uint64_t last() const { return documents.empty() ? 0 : documents.rbegin()->first; }

  // What gc must keep, by the words of GcRequest.
  std::set<std::uint64_t> kept(const GcRequest& request) const {
    std::set<std::uint64_t> stay;
    for (const auto& [name, revision] : checkpoints) stay.insert(revision);
    for (const auto& [name_space, revision] : request.pinned) stay.insert(revision.value);
    for (const auto& [name, head] : branches) {
      std::uint64_t at = head;
      for (std::size_t n = 0; n < request.keep && at != 0; ++n) {
        stay.insert(at);
        at = parents.at(at);
      }
    }
    for (const auto& [number, name] : written_to) {
      if (request.branch && name != request.branch->str()) stay.insert(number);
    }
    return stay;
  }
  void expect_pruned(const GcRequest& request) {
    const std::set<std::uint64_t> stay = kept(request);
    for (const auto& [number, all] : documents) {
      if (!stay.contains(number)) pruned.insert(number);
    }
  }

  void check() {
    for (const auto& [number, all] : documents) {
      const auto revision = harness->revision(ns("default"), RevisionNumber{number});
      ASSERT_TRUE(revision) << why(revision) << ": the record stays";
      ASSERT_EQ(revision->pruned, pruned.contains(number)) << "revision " << number;
      const auto view = harness->view(ns("default"), RevisionNumber{number});
      if (pruned.contains(number)) {
        ASSERT_FALSE(view) << number;
        ASSERT_EQ(view.error().code, ErrorCode::kGone);
      } else {
        ASSERT_TRUE(view) << why(view);
        ASSERT_EQ(StoreHarness::read(*view), all) << "revision " << number;
      }
    }
    const auto report = harness->fsck({});
    ASSERT_TRUE(report) << why(report);
    EXPECT_TRUE(report->clean()) << report->problems.front().object << ": " << report->problems.front().problem;
  }

  // Every document's body in the engine is one that an unpruned revision reads, or its mark of a deletion.
  void check_nothing_lies_about(const Engine& engine) {
    std::set<std::string> needed;
    for (const auto& [number, all] : documents) {
      if (pruned.contains(number)) continue;
      const auto view = harness->view(ns("default"), RevisionNumber{number});
      ASSERT_TRUE(view) << why(view);
      ASSERT_TRUE(view->for_each("", [&](const Entry& entry) {
        needed.insert(keyspace::blob_key({1}, entry.key.view(), entry.ref.written_at));
        return true;
      }));
    }
    const auto cursor = engine.scan(KeyRange::prefix(keyspace::table_key(Table::kBlob, {1})));
    for (; cursor->valid(); cursor->next()) {
      const std::uint64_t written_at = keyspace::read_u64(cursor->key().substr(cursor->key().size() - 8));
      if (cursor->value().front() == '\0') {
        EXPECT_FALSE(pruned.contains(written_at)) << "a deletion by a pruned revision";
      } else {
        EXPECT_TRUE(needed.contains(std::string(cursor->key())))
            << "a body nobody reads, written by revision " << written_at;
      }
    }
  }

  StoreHarness harness;
  std::map<std::uint64_t, Documents> documents;
  std::map<std::uint64_t, std::uint64_t> parents;
  std::map<std::uint64_t, std::string> written_to;
  std::map<std::string, std::uint64_t> branches;
  std::map<std::string, std::uint64_t> checkpoints;
  std::set<std::uint64_t> pruned;

 private:
  std::mt19937_64 random_;
};

class GcProperty : public testing::TestWithParam<EngineKind> {};

TEST_P(GcProperty, KeepsWhatItMustAndNothingElse) {
  for (std::uint64_t first = st8::test::first_seed(), seed = first;
       seed - first < (GetParam() == EngineKind::kMemory ? 12u : 3u) && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    GcHistory history(GetParam(), seed);
    for (int round = 0; round < 6 && !HasFailure(); ++round) {
      for (int i = 0; i < 40; ++i) history.step();
      GcRequest request;
      request.keep = 1 + history.pick(6);
      if (history.chance(30)) request.namespaces.push_back(ns("default"));
      if (history.chance(30)) request.branch = branch(history.chance(50) ? "main" : "dev");
      if (history.chance(40) && history.last() > 0)
        request.pinned.emplace_back(ns("default"), RevisionNumber{1 + history.pick(history.last())});
      const std::set<std::uint64_t> before = history.pruned;
      history.expect_pruned(request);

      GcRequest rehearsal = request;
      rehearsal.dry_run = true;
      const auto dry = history.harness->gc(rehearsal);
      ASSERT_TRUE(dry) << why(dry);
      const auto report = history.harness->gc(request);
      ASSERT_TRUE(report) << why(report);
      EXPECT_EQ(report->revisions_pruned, history.pruned.size() - before.size());
      EXPECT_EQ(report->revisions_kept, history.documents.size() - history.pruned.size());
      EXPECT_EQ(dry->revisions_pruned, report->revisions_pruned) << "a rehearsal says what the run does";
      EXPECT_EQ(dry->revisions_kept, report->revisions_kept);
      EXPECT_EQ(dry->nodes_deleted, report->nodes_deleted);
      EXPECT_EQ(dry->blobs_deleted, report->blobs_deleted);
      EXPECT_EQ(dry->bytes_deleted, report->bytes_deleted);
      if (history.chance(30)) history.harness.open();
      history.check();
      if (GetParam() == EngineKind::kMemory) history.check_nothing_lies_about(*history.harness.memory_engine());
      const auto again = history.harness->gc(request);
      ASSERT_TRUE(again) << why(again);
      EXPECT_EQ(again->revisions_pruned + again->nodes_deleted + again->blobs_deleted, 0u)
          << "the second run finds nothing";
    }
  }
}

TEST_P(GcProperty, CanBeCancelledAnywhere) {
  GcHistory history(GetParam(), 77);
  for (int i = 0; i < 150; ++i) history.step();
  GcRequest request;
  request.keep = 2;
  const std::set<std::uint64_t> stay = history.kept(request);
  bool completed = false;
  for (int allowed = 0; !completed; allowed = allowed * 5 / 4 + 1) {
    ASSERT_LT(allowed, 10'000'000) << "it never completes";
    int asked = 0;
    request.cancelled = [&] { return asked++ >= allowed; };
    const auto report = history.harness->gc(request);
    ASSERT_TRUE(report) << why(report);
    completed = !report->cancelled;
    history.pruned.clear();
    for (const auto& [number, all] : history.documents) {
      if (history.harness->revision(ns("default"), RevisionNumber{number})->pruned) history.pruned.insert(number);
    }
    for (const std::uint64_t number : stay) EXPECT_FALSE(history.pruned.contains(number)) << number;
    history.check();
    if (HasFailure()) return;
  }
  history.expect_pruned(request);
  history.check();
  if (GetParam() == EngineKind::kMemory) history.check_nothing_lies_about(*history.harness.memory_engine());
}

TEST_P(GcProperty, ARunCutOffIsTakenUpByTheNext) {
  for (const char* point :
       {"gc.after_mark=error", "gc.before_erase=error@1", "gc.before_erase=error@2", "commit.before_write=error@2"}) {
    if (GetParam() == EngineKind::kRocksDb && std::string_view(point) != "gc.before_erase=error@2") continue;
    SCOPED_TRACE(point);
    GcHistory history(GetParam(), 99);
    for (int i = 0; i < 40; ++i) history.step();
    for (int i = 0; i < 5; ++i) history.apply("main");
    for (int i = 0; i < 700; ++i) {  // More than one commit's worth of marks and of erases.
      const auto result = history.harness.apply({{"many", std::to_string(i)}}, "dev");
      ASSERT_TRUE(result);
      Documents after = history.branches.contains("dev") ? history.documents[history.branches["dev"]] : Documents{};
      after["many"] = std::to_string(i);
      if (!result->noop) history.append("dev", std::move(after), *result);
    }
    ASSERT_TRUE(failpoint::configure(point));
    GcRequest request;
    request.keep = 3;
    EXPECT_FALSE(history.harness->gc(request));
    failpoint::clear();
    history.harness.open();
    const auto fsck = history.harness->fsck({});
    ASSERT_TRUE(fsck && fsck->clean());
    ASSERT_TRUE(history.harness->gc(request));
    history.expect_pruned(request);
    history.check();
    if (GetParam() == EngineKind::kMemory) history.check_nothing_lies_about(*history.harness.memory_engine());
    if (HasFailure()) return;
  }
}

// Writers, each on a branch of its own and copying from the others', readers that hold what they found, and gc all the while.
TEST_P(GcProperty, NobodyBesideItNotices) {
  StoreHarness harness(GetParam());
  Store& store = harness.store();
  std::mutex mutex;
  std::map<std::uint64_t, Documents> documents{{0, {}}};
  std::atomic<std::uint64_t> newest{0};
  std::atomic<bool> stop{false};
  std::atomic<int> gone{0}, copied{0}, read{0}, failures{0}, runs{0};
  const auto fail_with = [&](const std::string& what) {
    if (failures.fetch_add(1) < 5) ADD_FAILURE() << what;
    stop = true;
  };

  const auto write = [&](int writer) {
    std::mt19937_64 random(static_cast<std::uint64_t>(writer));
    const std::string name = "w" + std::to_string(writer);
    Documents now;
    // gc rests while there are writers: they go on until it has been there twice, or never comes.
    for (int i = 0; (i < 250 || (runs < 2 && i < 10'000)) && !stop; ++i) {
      if (i > 10 && random() % 4 == 0) {
        const std::uint64_t source = 1 + random() % newest.load();
        const auto result = store.copy(CopyRequest{ns("default"),
                                                   branch(name),
                                                   Selector::of(RevisionNumber{source}),
                                                   branch(name),
                                                   Cause::kRestore,
                                                   {},
                                                   StoreHarness::context()});
        if (!result) {
          if (result.error().code != ErrorCode::kGone) return fail_with("copy: " + why(result));
          ++gone;
          continue;
        }
        ++copied;
        // The source's writer has its answer before it notes the documents.
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (std::chrono::steady_clock::now() < deadline) {
          const std::lock_guard lock(mutex);
          if (const auto found = documents.find(source); found != documents.end()) {
            now = found->second;
            break;
          }
        }
        if (result->noop) continue;
        const std::lock_guard lock(mutex);
        documents[result->revision.value] = now;
        continue;
      }
      Documents change;
      for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
        change["k" + std::to_string(random() % 200)] = name + std::to_string(i) + std::string(random() % 300, 'y');
      }
      const auto result = store.apply(StoreHarness::apply_request(change, name));
      if (!result) return fail_with("apply: " + why(result));
      for (const auto& [k, content] : change) now[k] = content;
      const std::lock_guard lock(mutex);
      documents[result->revision.value] = now;
      if (result->revision.value > newest) newest = result->revision.value;
    }
  };
  const auto read_on = [&](int reader) {
    std::mt19937_64 random(100u + static_cast<std::uint64_t>(reader));
    std::vector<std::pair<std::uint64_t, View>> held;
    while (!stop) {
      const std::uint64_t last = newest.load();
      if (last == 0) continue;
      const std::uint64_t number = 1 + random() % last;
      auto view = store.view(ns("default"), RevisionNumber{number});
      if (view) {
        held.emplace_back(number, std::move(*view));
      } else if (view.error().code != ErrorCode::kGone) {
        return fail_with("view: " + why(view));
      }
      // Older views are read when gc has long passed over what they stand on.
      if (held.size() < 6) continue;
      const std::size_t which = random() % held.size();
      Documents found;
      const Status status = held[which].second.for_each("", [&](const Entry& entry) {
        const auto content = held[which].second.read(entry.key, entry.ref);
        if (!content) {
          fail_with("read at revision " + std::to_string(held[which].first) + ": " + why(content));
          return false;
        }
        found[entry.key.str()] = *content;
        return true;
      });
      if (!status) return fail_with("walk at revision " + std::to_string(held[which].first) + ": " + why(status));
      {
        const std::lock_guard lock(mutex);
        const auto expected = documents.find(held[which].first);
        if (expected != documents.end() && expected->second != found)
          return fail_with("revision " + std::to_string(held[which].first) + " reads as something else");
      }
      ++read;
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    }
  };

  std::vector<std::thread> writers, others;
  for (int i = 0; i < 3; ++i) writers.emplace_back(write, i);
  for (int i = 0; i < 2; ++i) others.emplace_back(read_on, i);
  std::uint64_t swept = 0;
  others.emplace_back([&] {
    while (!stop) {
      GcRequest request;
      request.keep = 2;
      const auto report = store.gc(request);
      if (!report) return fail_with("gc: " + why(report));
      ++runs;
      swept += report->blobs_deleted;
    }
  });
  for (auto& thread : writers) thread.join();
  stop = true;
  for (auto& thread : others) thread.join();
  EXPECT_GT(runs, 1);
  EXPECT_GT(swept, 0u);
  EXPECT_GT(copied, 0);
  EXPECT_GT(read, 0);

  for (const auto& [number, all] : documents) {
    if (number == 0) continue;
    const auto view = store.view(ns("default"), RevisionNumber{number});
    if (!view) {
      EXPECT_EQ(view.error().code, ErrorCode::kGone) << why(view);
    } else {
      EXPECT_EQ(StoreHarness::read(*view), all) << "revision " << number;
    }
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(store.view(ns("default"), branch("w" + std::to_string(i)), Selector::head()));
  const auto report = store.fsck({});
  ASSERT_TRUE(report) << why(report);
  EXPECT_TRUE(report->clean()) << report->problems.front().object << ": " << report->problems.front().problem;
}

TEST_P(GcProperty, ADeletedNamespaceLeavesNothing) {
  StoreHarness harness(GetParam());
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(harness.apply({{"a" + std::to_string(i), std::string(2000, 'a')}}, "main", "doomed"));
    ASSERT_TRUE(harness.apply({{"b", std::to_string(i)}}));
  }
  ASSERT_TRUE(harness.put_checkpoint("c", "@", "main", false, "doomed"));
  std::optional<View> held;
  if (auto view = harness->view(ns("doomed"), branch("main"), Selector::head())) held = std::move(*view);
  ASSERT_TRUE(held);
  ASSERT_TRUE(harness->delete_namespace({ns("doomed"), true, StoreHarness::context()}));
  const auto first = harness->gc({});
  ASSERT_TRUE(first) << why(first);
  EXPECT_EQ(StoreHarness::read(*held).size(), 30u) << "a reader still stands there";
  held.reset();
  const auto second = harness->gc({});
  ASSERT_TRUE(second) << why(second);
  EXPECT_GT(second->blobs_deleted, 0u);
  if (GetParam() == EngineKind::kMemory) {
    const auto cursor = harness.memory_engine()->scan({});
    for (; cursor->valid(); cursor->next()) {
      const std::string_view k = cursor->key();
      const bool of_namespace = std::string_view("CBKRHOITDG").find(k.front()) != std::string_view::npos;
      if (of_namespace && k.size() >= 5) {
        EXPECT_NE(k.substr(1, 4), std::string_view("\0\0\0\1", 4)) << "table " << k.front();
      }
    }
  }
  EXPECT_TRUE(harness->fsck({})->clean());
  EXPECT_EQ(harness.read("@").at("b"), "29");
}

INSTANTIATE_TEST_SUITE_P(Engines, GcProperty, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

}  // namespace
}  // namespace st8::state::test
