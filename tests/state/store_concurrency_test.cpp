// Many writers and readers at once: no lost update, numbers without gaps, reads that never go back, groups that form.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "st8/state/failpoint.h"
#include "support/eventually.h"
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

class StoreConcurrency : public StoreTest {};
INSTANTIATE_TEST_SUITE_P(Engines, StoreConcurrency, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

// Each writer reads a counter, adds one, and writes it back on condition of the head that it saw.
TEST_P(StoreConcurrency, CompareAndSetLosesNoUpdate) {
  constexpr int kWriters = 8;
  constexpr int kSuccessesEach = 25;
  ASSERT_TRUE(harness.apply({{"counter", "0"}}));
  std::mutex mutex;
  std::set<std::uint64_t> numbers;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&] {
      for (int done = 0; done < kSuccessesEach;) {
        auto view = harness->view(ns("default"), branch("main"), Selector::head());
        ASSERT_TRUE(view) << why(view);
        auto content = view->get(key("counter"));
        ASSERT_TRUE(content && *content) << why(content);
        auto request = StoreHarness::apply_request({{"counter", std::to_string(std::stoi(**content) + 1)}});
        request.context.expected_revision = view->revision();
        const auto result = harness->apply(std::move(request));
        if (!result) {
          ASSERT_EQ(result.error().code, ErrorCode::kPreconditionFailed) << why(result);
          continue;
        }
        ++done;
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(numbers.insert(result->revision.value).second) << "a number was given twice";
      }
    });
  }
  // Readers: the head never goes back, and every state read is whole (counter = revision - 1).
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      std::uint64_t last = 0;
      while (!stop) {
        auto view = harness->view(ns("default"), branch("main"), Selector::head());
        ASSERT_TRUE(view) << why(view);
        ASSERT_GE(view->revision().value, last);
        last = view->revision().value;
        auto content = view->get(key("counter"));
        ASSERT_TRUE(content && *content) << why(content);
        ASSERT_EQ(**content, std::to_string(last - 1));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  for (std::thread& thread : readers) thread.join();
  EXPECT_EQ(numbers.size(), static_cast<std::size_t>(kWriters * kSuccessesEach));
  EXPECT_EQ(*numbers.rbegin(), 1u + kWriters * kSuccessesEach) << "numbers have no gap";
  EXPECT_EQ(harness.read(), (Documents{{"counter", std::to_string(kWriters * kSuccessesEach)}}));
}

TEST_P(StoreConcurrency, WritersOnManyBranchesAndNamespacesShareGroups) {
  constexpr int kWriters = 16;
  constexpr int kEach = 20;
  const auto syncs_before = harness->stats().engine.syncs;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      const std::string space = "ns" + std::to_string(w % 4);
      const std::string name = "branch" + std::to_string(w);
      for (int i = 0; i < kEach; ++i) {
        const auto result = harness.apply({{"k" + std::to_string(i), std::to_string(w)}}, name, space);
        ASSERT_TRUE(result) << why(result);
        // What was acknowledged is there to be read at once.
        const auto view = harness->view(ns(space), branch(name), Selector::head());
        ASSERT_TRUE(view) << why(view);
        ASSERT_EQ(view->revision(), result->revision);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int w = 0; w < kWriters; ++w) {
    const auto documents = harness.read("@", "branch" + std::to_string(w), "ns" + std::to_string(w % 4));
    EXPECT_EQ(documents.size(), static_cast<std::size_t>(kEach));
  }
  for (int n = 0; n < 4; ++n) {
    const auto info = harness->name_space(ns("ns" + std::to_string(n)));
    ASSERT_TRUE(info);
    EXPECT_EQ(info->last_revision.value, static_cast<std::uint64_t>(kWriters / 4 * kEach));
    EXPECT_EQ(info->branch_count, static_cast<std::uint64_t>(kWriters / 4));
  }
  const auto stats = harness->stats();
  EXPECT_EQ(stats.commits, static_cast<std::uint64_t>(kWriters * kEach));
  EXPECT_LE(stats.engine.syncs - syncs_before, stats.commit_groups) << "one sync a group";
}

// With the committer held, all who come wait in one group, and go with one sync.
TEST_P(StoreConcurrency, WaitingWritersBecomeOneGroup) {
  ASSERT_TRUE(harness.apply({{"a", "0"}}));
  std::mutex mutex;
  std::condition_variable wake;
  bool hold = true, held = false;
  failpoint::on_hit("commit.before_write", [&]() -> Status {
    std::unique_lock lock(mutex);
    held = true;
    wake.notify_all();
    wake.wait(lock, [&] { return !hold; });
    return {};
  });
  constexpr std::uint64_t kWaiting = 20;
  std::atomic<std::uint64_t> built{0};
  failpoint::on_hit("commit.before_build", [&]() -> Status {
    built.fetch_add(1);
    return {};
  });
  const auto before = harness->stats();
  std::vector<std::thread> threads;
  threads.emplace_back([&] { EXPECT_TRUE(harness.apply({{"a", "1"}})); });
  {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return held; });
  }
  for (std::uint64_t i = 0; i < kWaiting; ++i) {
    threads.emplace_back([&, i] { EXPECT_TRUE(harness.apply({{"k" + std::to_string(i), "1"}})); });
  }
  // All are in the next group, not just on their way to the queue.
  EXPECT_TRUE(st8::test::eventually([&] { return built.load() == kWaiting + 1; }, std::chrono::seconds(30)));
  {
    const std::lock_guard lock(mutex);
    hold = false;
  }
  wake.notify_all();
  for (std::thread& thread : threads) thread.join();
  failpoint::clear();
  const auto after = harness->stats();
  EXPECT_EQ(after.commits - before.commits, kWaiting + 1);
  EXPECT_EQ(after.commit_groups - before.commit_groups, 2u);
  EXPECT_EQ(after.engine.syncs - before.engine.syncs, 2u);
}

TEST_P(StoreConcurrency, AFullQueueRefuses) {
  StoreOptions options;
  options.commit_queue_max = 3;
  StoreHarness small(GetParam(), options);
  std::mutex mutex;
  std::condition_variable wake;
  bool hold = true, held = false;
  failpoint::on_hit("commit.before_write", [&]() -> Status {
    std::unique_lock lock(mutex);
    held = true;
    wake.notify_all();
    wake.wait(lock, [&] { return !hold; });
    return {};
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] { EXPECT_TRUE(small.apply({{"k" + std::to_string(i), "1"}})); });
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (small->stats().commit_queue_length < 3 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  const auto refused = small.apply({{"late", "1"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kRateLimited);
  {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return held; });
    hold = false;
  }
  wake.notify_all();
  for (std::thread& thread : threads) thread.join();
  failpoint::clear();
  EXPECT_EQ(small.read().size(), 3u);
  EXPECT_TRUE(small.apply({{"late", "1"}}));
}

// A disk that fails now and then: an acknowledged write is there, a failed one is not, and numbers have no gap.
TEST_P(StoreConcurrency, FailedGroupsLeaveNothing) {
  std::atomic<int> commits{0};
  harness.set_fault([&](const Batch&) -> Status {
    if (commits.fetch_add(1) % 3 == 1) return fail(ErrorCode::kUnavailable, "the disk said no");
    return {};
  });
  std::mutex mutex;
  std::set<std::string> acknowledged, failed;
  std::vector<std::thread> threads;
  for (int w = 0; w < 8; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < 20; ++i) {
        const std::string k = "w" + std::to_string(w) + "-" + std::to_string(i);
        const auto result = harness.apply({{k, "1"}});
        const std::lock_guard lock(mutex);
        (result ? acknowledged : failed).insert(k);
        if (!result) {
          EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  harness.set_fault({});
  EXPECT_FALSE(failed.empty());
  for (int round = 0; round < 2; ++round) {
    std::set<std::string> stored;
    for (const auto& [k, content] : harness.read()) stored.insert(k);
    EXPECT_EQ(stored, acknowledged);
    EXPECT_EQ(harness.head().value, acknowledged.size());
    harness.open();
  }
}

class Recorder final : public OperationListener {
 public:
  void on_operation(const NamespaceName& name_space, const Operation& operation) override {
    const std::lock_guard lock(mutex_);
    seen_[name_space.str()].push_back(operation.sequence);
    ++count_;
  }
  std::map<std::string, std::vector<std::uint64_t>> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::size_t count() const { return count_; }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<std::uint64_t>> seen_;
  std::atomic<std::size_t> count_{0};
};

TEST_P(StoreConcurrency, ListenersHearEveryOperationInOrder) {
  Recorder recorder;
  harness->add_listener(&recorder);
  std::vector<std::thread> threads;
  for (int w = 0; w < 6; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < 15; ++i)
        EXPECT_TRUE(
            harness.apply({{"k", std::to_string(w * 100 + i)}}, "b" + std::to_string(w), w % 2 ? "one" : "two"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  harness.close();  // Delivers what is queued.
  const auto seen = recorder.seen();
  ASSERT_EQ(seen.size(), 2u);
  for (const auto& [space, sequences] : seen) {
    EXPECT_EQ(sequences.size(), 3u * 15 + 1) << "each commit and the making of the namespace";
    for (std::size_t i = 0; i < sequences.size(); ++i) EXPECT_EQ(sequences[i], i + 1);
  }
}

}  // namespace
}  // namespace st8::state::test
