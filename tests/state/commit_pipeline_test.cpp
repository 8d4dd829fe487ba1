// Two groups under way at once: one on its way to the disk, and one built upon what the first will have made. What the
// second may rely on, what becomes of it when the first fails, and that nobody is left waiting.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

#include "st8/state/failpoint.h"
#include "support/eventually.h"
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

using st8::test::eventually;

constexpr std::chrono::seconds kPatience{120};

// Holds the first group that is about to be written, until released with what becomes of its write; later ones pass.
class HeldWrite {
 public:
  HeldWrite() {
    failpoint::on_hit("commit.before_build", [] { return Status{}; });  // Counted, for built().
    failpoint::on_hit("commit.before_write", [this]() -> Status {
      std::unique_lock lock(mutex_);
      if (std::exchange(held_, true)) return {};
      changed_.notify_all();
      changed_.wait(lock, [this] { return outcome_.has_value(); });
      return *outcome_;
    });
  }
  ~HeldWrite() {
    release({});
    failpoint::clear();
  }
  void await() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kPatience, [this] { return held_; })) << "no group came to be written";
  }
  // That so many commands have been taken up by the builder since this was made.
  static void await_built(std::uint64_t commands) {
    ASSERT_TRUE(eventually([&] { return failpoint::hits("commit.before_build") >= commands; }, kPatience))
        << "a command is not built beside the write";
  }
  void release(Status outcome) {
    const std::lock_guard lock(mutex_);
    if (!outcome_) outcome_ = std::move(outcome);
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  std::optional<Status> outcome_;
};

class CommitPipeline : public StoreTest {
 protected:
  // Runs each on a thread of its own, the next one when the one before has been built.
  template <class T>
  std::future<Result<T>> begin(std::function<Result<T>()> call) {
    auto future = std::async(std::launch::async, std::move(call));
    HeldWrite::await_built(++begun_);
    return future;
  }
  std::future<Result<CommitResult>> begin_apply(const Documents& documents, std::string_view branch_name = "main",
                                                std::string_view space = "default") {
    return begin_apply(StoreHarness::apply_request(documents, branch_name, space));
  }
  std::future<Result<CommitResult>> begin_apply(ApplyRequest request) {
    return begin<CommitResult>([this, request = std::move(request)] { return harness->apply(request); });
  }
  static ApplyRequest with_key(ApplyRequest request, const std::string& idempotency_key) {
    request.context.idempotency = IdempotencyKey{idempotency_key, Hash::of(idempotency_key)};
    return request;
  }
  static ApplyRequest expecting(ApplyRequest request, std::uint64_t head) {
    request.context.expected_revision = RevisionNumber{head};
    return request;
  }
  void expect_sound() {
    const auto report = harness->fsck({});
    ASSERT_TRUE(report) << why(report);
    EXPECT_TRUE(report->clean());
  }

  std::uint64_t begun_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Engines, CommitPipeline, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

TEST_P(CommitPipeline, AGroupIsBuiltUponTheOneInFlight) {
  ASSERT_TRUE(harness.apply({{"a", "0"}}));
  HeldWrite write;
  auto first = begin_apply(with_key(StoreHarness::apply_request({{"a", "1"}}), "K"));
  write.await();
  auto next = begin_apply(expecting(StoreHarness::apply_request({{"b", "1"}}), 2));
  auto stale = begin_apply(expecting(StoreHarness::apply_request({{"c", "1"}}), 1));
  auto again = begin_apply(with_key(StoreHarness::apply_request({{"a", "1"}}), "K"));
  auto same = begin_apply({{"a", "1"}});
  auto checkpoint_put = begin<CheckpointInfo>([&] { return harness.put_checkpoint("cp", "2"); });
  auto branched = begin<BranchInfo>([&] { return harness.create_branch("dev", "cp"); });
  auto rolled_back = begin<CommitResult>([&] { return harness.copy("1"); });
  auto on_branch = begin_apply({{"d", "1"}}, "dev");
  write.release({});

  const auto one = first.get();
  ASSERT_TRUE(one) << why(one);
  EXPECT_EQ(one->revision.value, 2u);
  const auto two = next.get();
  ASSERT_TRUE(two) << why(two);
  EXPECT_EQ(two->revision.value, 3u);
  EXPECT_EQ(two->parent.value, 2u);
  const auto refused = stale.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPreconditionFailed);
  const auto replayed = again.get();
  ASSERT_TRUE(replayed) << why(replayed);
  EXPECT_TRUE(replayed->replayed);
  EXPECT_EQ(replayed->revision.value, 2u);
  const auto noop = same.get();
  ASSERT_TRUE(noop) << why(noop);
  EXPECT_TRUE(noop->noop);
  EXPECT_EQ(noop->revision.value, 3u);
  const auto pinned = checkpoint_put.get();
  ASSERT_TRUE(pinned) << why(pinned);
  EXPECT_EQ(pinned->revision.value, 2u);
  const auto dev = branched.get();
  ASSERT_TRUE(dev) << why(dev);
  EXPECT_EQ(dev->head.value, 2u);
  const auto back = rolled_back.get();
  ASSERT_TRUE(back) << why(back);
  EXPECT_EQ(back->revision.value, 4u);
  EXPECT_EQ(back->changes.size(), 2u) << "a again, and b gone";
  const auto on_dev = on_branch.get();
  ASSERT_TRUE(on_dev) << why(on_dev);
  EXPECT_EQ(on_dev->revision.value, 5u);
  EXPECT_EQ(on_dev->parent.value, 2u);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(harness.read("4"), (Documents{{"a", "0"}}));
    EXPECT_EQ(harness.read("@", "dev"), (Documents{{"a", "1"}, {"d", "1"}}));
    EXPECT_EQ(harness.read("cp"), (Documents{{"a", "1"}}));
    expect_sound();
    harness.open();
  }
}

// The writer wants its next group while the builder has a command at hand: the builder seals it behind that command, and
// goes on to those that have queued up meanwhile.
TEST_P(CommitPipeline, ABuilderAtWorkSealsForTheWriterAndGoesOn) {
  ASSERT_TRUE(harness.apply({{"a", "0"}}));
  HeldWrite write;
  auto first = begin_apply({{"a", "1"}});
  write.await();
  auto second = begin_apply({{"b", "1"}});
  std::mutex mutex;
  std::condition_variable changed;
  bool held = false, released = false;
  failpoint::on_hit("commit.before_build", [&]() -> Status {
    std::unique_lock lock(mutex);
    held = true;
    changed.notify_all();
    changed.wait(lock, [&] { return released; });
    return {};
  });
  // One that waits for its own command, and behind it some that do not.
  auto third = std::async(std::launch::async, [&] { return harness.apply({{"c", "1"}}); });
  {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(changed.wait_for(lock, kPatience, [&] { return held; })) << "nobody builds beside the write";
  }
  constexpr int kBegun = 3;
  std::vector<Store::FinishApply> answers;
  for (int i = 0; i < kBegun; ++i) {
    harness->begin_apply(StoreHarness::apply_request({{"d" + std::to_string(i), "1"}}), [&](Store::FinishApply finish) {
      const std::lock_guard lock(mutex);
      answers.push_back(std::move(finish));
    });
  }
  write.release({});
  ASSERT_TRUE(first.get());
  {
    const std::lock_guard lock(mutex);
    released = true;
    changed.notify_all();
  }
  ASSERT_EQ(second.wait_for(kPatience), std::future_status::ready) << "nobody writes the group";
  ASSERT_EQ(third.wait_for(kPatience), std::future_status::ready) << "nobody writes the group";
  const auto two = second.get(), three = third.get();
  ASSERT_TRUE(two) << why(two);
  ASSERT_TRUE(three) << why(three);
  EXPECT_EQ(two->revision.value, 3u);
  EXPECT_EQ(three->revision.value, 4u);
  ASSERT_TRUE(eventually(
      [&] {
        const std::lock_guard lock(mutex);
        return answers.size() == kBegun;
      },
      kPatience))
      << "nobody builds what has queued up";
  EXPECT_EQ(harness.head().value, 4u + kBegun);
  expect_sound();
}

TEST_P(CommitPipeline, ANamespaceComesAndGoesBetweenGroups) {
  HeldWrite write;
  auto made = begin_apply({{"old", "1"}}, "main", "fresh");
  write.await();
  auto more = begin_apply({{"old", "2"}}, "main", "fresh");
  auto deleted = begin<NamespaceInfo>([&] {
    return harness->delete_namespace({ns("fresh"), false, StoreHarness::context()});
  });
  auto gone = begin<BranchInfo>([&] { return harness.create_branch("dev", "2", "main", "fresh"); });
  auto remade = begin_apply({{"new", "1"}}, "main", "fresh");
  auto other = begin_apply({{"x", "1"}}, "main", "other");
  write.release({});
  const auto first = made.get();
  ASSERT_TRUE(first) << why(first);
  const auto second = more.get();
  ASSERT_TRUE(second) << why(second);
  EXPECT_EQ(second->revision.value, 2u);
  const auto deletion = deleted.get();
  ASSERT_TRUE(deletion) << why(deletion);
  EXPECT_EQ(deletion->last_revision.value, 2u);
  EXPECT_FALSE(gone.get()) << "its revisions went with it";
  const auto third = remade.get();
  ASSERT_TRUE(third) << why(third);
  EXPECT_EQ(third->revision.value, 1u) << "numbers begin again";
  ASSERT_TRUE(other.get());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(harness.read("@", "main", "fresh"), (Documents{{"new", "1"}}));
    EXPECT_EQ(harness.read("@", "main", "other"), (Documents{{"x", "1"}}));
    expect_sound();
    harness.open();
  }
}

TEST_P(CommitPipeline, NobodyReadsWhatIsNotOnDisk) {
  ASSERT_TRUE(harness.apply({{"a", "0"}}));
  HeldWrite write;
  auto first = begin_apply({{"a", "1"}});
  write.await();
  auto second = begin_apply({{"a", "2"}}), third = begin_apply({{"x", "1"}}, "dev");
  EXPECT_EQ(harness.head().value, 1u);
  EXPECT_EQ(harness.read(), (Documents{{"a", "0"}}));
  EXPECT_FALSE(harness->revision(ns("default"), RevisionNumber{2}));
  EXPECT_FALSE(harness->branch(ns("default"), branch("dev")));
  EXPECT_EQ(harness->name_space(ns("default"))->last_revision.value, 1u);
  EXPECT_EQ(harness->operations(ns("default"), 0, 100)->size(), 2u);
  EXPECT_EQ(harness->stats().commit_queue_length, 3u);
  write.release({});
  ASSERT_TRUE(first.get());
  EXPECT_GE(harness.head().value, 2u);
  ASSERT_TRUE(second.get());
  ASSERT_TRUE(third.get());
  EXPECT_EQ(harness.read(), (Documents{{"a", "2"}}));
  EXPECT_EQ(harness.head("dev").value, 4u);
}

// The disk is full, say: nothing of the group in flight was written. What was built upon it must not be either, and must
// not be answered as if it were: no noop, no replay, no refusal that rests on it.
TEST_P(CommitPipeline, AGroupThatFailsTakesTheOneBuiltUponIt) {
  ASSERT_TRUE(harness.apply({{"a", "0"}}));
  {
    HeldWrite write;
    auto first = begin_apply(with_key(StoreHarness::apply_request({{"a", "1"}}), "K"));
    write.await();
    std::vector<std::future<Result<CommitResult>>> built;
    built.push_back(begin_apply({{"b", "1"}}));
    built.push_back(begin_apply({{"a", "1"}}));                                              // A noop upon the first.
    built.push_back(begin_apply(with_key(StoreHarness::apply_request({{"a", "1"}}), "K")));  // Its replay.
    built.push_back(begin_apply(expecting(StoreHarness::apply_request({{"c", "1"}}), 1)));   // Stale upon it.
    built.push_back(begin_apply({{"x", "1"}}, "main", "elsewhere"));                         // Nothing to do with it.
    auto dry = StoreHarness::apply_request({{"e", "1"}});
    dry.context.dry_run = true;
    built.push_back(begin_apply(dry));
    write.release(fail(ErrorCode::kUnavailable, "the disk said no"));
    const auto failed = first.get();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
    for (auto& each : built) {
      const auto result = each.get();
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, ErrorCode::kUnavailable) << why(result);
      EXPECT_NE(result.error().message.find("the disk said no"), std::string::npos) << why(result);
    }
  }
  EXPECT_TRUE(harness->writable());
  EXPECT_EQ(harness.head().value, 1u);
  EXPECT_FALSE(harness->name_space(ns("elsewhere")));
  const auto retried = harness->apply(with_key(StoreHarness::apply_request({{"a", "1"}}), "K"));
  ASSERT_TRUE(retried) << why(retried);
  EXPECT_FALSE(retried->replayed);
  EXPECT_EQ(retried->revision.value, 2u);
  ASSERT_TRUE(harness.apply({{"x", "1"}}, "main", "elsewhere"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(harness.read(), (Documents{{"a", "1"}}));
    EXPECT_EQ(harness->name_space(ns("default"))->last_revision.value, 2u);
    expect_sound();
    harness.open();
  }
}

// Two commits that fail are made again the other way round: the same tree under the same number, placed otherwise. What
// stayed in memory of the first attempt must not be read.
TEST_P(CommitPipeline, WhatIsMadeAgainAfterAFailureIsReadWhereItLiesNow) {
  Documents documents;
  for (int i = 0; i < 2'000; ++i) documents["k" + std::to_string(10'000 + i)] = "0";
  ASSERT_TRUE(harness.apply(documents));
  const Documents near_the_beginning{{"k10010", "1"}}, near_the_end{{"k11990", "1"}};
  {
    HeldWrite write;
    auto first = begin_apply(near_the_beginning);
    write.await();
    auto second = begin_apply(near_the_end);
    write.release(fail(ErrorCode::kUnavailable, "the disk said no"));
    ASSERT_FALSE(first.get());
    ASSERT_FALSE(second.get());
  }
  ASSERT_TRUE(harness.apply(near_the_end));
  ASSERT_TRUE(harness.apply(near_the_beginning));
  documents["k10010"] = documents["k11990"] = "1";
  EXPECT_EQ(harness.read(), documents);
  const auto view = harness->view(ns("default"), branch("main"), test::at("@", harness.clock.now()));
  ASSERT_TRUE(view);
  EXPECT_EQ((*view->find(key("k11990")))->written_at.value, 2u);
  EXPECT_EQ((*view->find(key("k10010")))->written_at.value, 3u);
  expect_sound();
}

// Whether the group in flight was written is not known. What was built upon it was certainly not; and nothing more is.
TEST_P(CommitPipeline, AnUnknownOutcomeIsToldToItsOwnGroupOnly) {
  ASSERT_TRUE(harness.apply({{"a", "0"}}));
  {
    HeldWrite write;
    auto first = begin_apply(with_key(StoreHarness::apply_request({{"a", "1"}}), "K"));
    write.await();
    auto second = begin_apply(with_key(StoreHarness::apply_request({{"b", "1"}}), "L")),
         noop = begin_apply({{"a", "1"}});
    write.release(fail(ErrorCode::kOutcomeUnknown, "the sync failed"));
    const auto unknown = first.get();
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::kOutcomeUnknown);
    for (auto* each : {&second, &noop}) {
      const auto result = each->get();
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, ErrorCode::kUnavailable) << why(result);
    }
  }
  EXPECT_FALSE(harness->writable());
  for (const Documents& documents : {Documents{{"c", "1"}}, Documents{{"a", "0"}}}) {
    const auto refused = harness.apply(documents);
    ASSERT_FALSE(refused) << "also what would change nothing";
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  }
  EXPECT_EQ(harness.read(), (Documents{{"a", "0"}}));
  harness.open();
  const auto retried = harness->apply(with_key(StoreHarness::apply_request({{"a", "1"}}), "K"));
  ASSERT_TRUE(retried) << why(retried);
  EXPECT_EQ(retried->revision.value, 2u);
  expect_sound();
}

// As above, and the write did happen: after the restart its retry is answered with what it did.
TEST(CommitPipelineOutcome, AnUnknownWriteThatHappenedIsFoundByItsRetry) {
  StoreHarness harness(EngineKind::kMemory);
  ASSERT_TRUE(harness.apply({{"a", "0"}}));
  harness.set_fault([engine = harness.memory_engine()](const Batch& batch) -> Status {
    ST8_TRY(engine->commit(batch, {}, Durability::kSynced));
    return fail(ErrorCode::kOutcomeUnknown, "the sync failed");
  });
  auto request = StoreHarness::apply_request({{"a", "1"}});
  request.context.idempotency = IdempotencyKey{"K", Hash::of("request")};
  const auto unknown = harness->apply(request);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kOutcomeUnknown);
  harness.set_fault({});
  EXPECT_FALSE(harness.apply({{"b", "1"}}));
  harness.open();
  const auto retried = harness->apply(request);
  ASSERT_TRUE(retried) << why(retried);
  EXPECT_TRUE(retried->replayed);
  EXPECT_EQ(retried->revision.value, 2u);
}

// Ends the test program when it is not taken back in time: a queue that leaves somebody waiting would hang it for ever.
class Watchdog {
 public:
  explicit Watchdog(std::string what)
      : thread_([this, what = std::move(what)] {
          std::unique_lock lock(mutex_);
          if (over_.wait_for(lock, kPatience, [this] { return done_; })) return;
          std::fprintf(stderr, "nothing moves any more: %s\n", what.c_str());
          std::abort();
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    over_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  std::thread thread_;
};

// An apply that no thread of the store's waits for; this one does.
Result<CommitResult> apply_begun(Store& store, ApplyRequest request) {
  std::promise<Store::FinishApply> answered;
  store.begin_apply(std::move(request),
                    [&answered](Store::FinishApply finish) { answered.set_value(std::move(finish)); });
  return answered.get_future().get()();
}

// Many applies under way at once, begun by one thread: all answered, each once, in order, and each upon the one before.
TEST_P(CommitPipeline, BegunAppliesAreAnsweredInOrder) {
  constexpr int kApplies = 400;
  std::mutex mutex;
  std::vector<std::pair<int, Store::FinishApply>> answers;
  for (int i = 0; i < kApplies; ++i) {
    harness->begin_apply(StoreHarness::apply_request({{"k" + std::to_string(i % 7), std::to_string(i)}}),
                         [&, i](Store::FinishApply finish) {
                           const std::lock_guard lock(mutex);
                           answers.emplace_back(i, std::move(finish));
                         });
  }
  // Others come in between, and wait.
  ASSERT_TRUE(harness.apply({{"between", "1"}}, "other"));
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return answers.size() == kApplies;
  }));
  std::uint64_t before = 0;
  for (int i = 0; i < kApplies; ++i) {
    ASSERT_EQ(answers[static_cast<std::size_t>(i)].first, i);
    const auto result = answers[static_cast<std::size_t>(i)].second();
    ASSERT_TRUE(result) << why(result);
    EXPECT_GT(result->revision.value, before);
    EXPECT_EQ(result->changes.size(), 1u);
    before = result->revision.value;
  }
  EXPECT_EQ(harness.head().value, before);
}

TEST_P(CommitPipeline, ABegunApplyIsRefusedAsOneThatWaits) {
  const auto twice = apply_begun(harness.store(), [] {
    ApplyRequest request = StoreHarness::apply_request({{"k", "1"}});
    request.documents.push_back(request.documents.front());
    return request;
  }());
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::kInvalidArgument);
  auto stale = StoreHarness::apply_request({{"k", "1"}});
  stale.context.expected_revision = RevisionNumber{7};
  const auto refused = apply_begun(harness.store(), std::move(stale));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPreconditionFailed);
  harness.set_fault([](const Batch&) -> Status { return fail(ErrorCode::kUnavailable, "the disk said no"); });
  const auto failed = apply_begun(harness.store(), StoreHarness::apply_request({{"k", "1"}}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
  harness.set_fault({});
  EXPECT_EQ(harness.head().value, 0u);
  EXPECT_TRUE(apply_begun(harness.store(), StoreHarness::apply_request({{"k", "1"}})));
  EXPECT_EQ(harness.head().value, 1u);
}

TEST_P(CommitPipeline, AStoreThatGoesAnswersWhatWasBegun) {
  std::atomic<int> answered{0};
  for (int i = 0; i < 200; ++i) {
    harness->begin_apply(StoreHarness::apply_request({{"k", std::to_string(i)}}),
                         [&answered](const Store::FinishApply&) { answered.fetch_add(1); });
  }
  harness.close();
  EXPECT_EQ(answered.load(), 200);
  harness.open();
  EXPECT_EQ(harness.head().value, 200u);
  EXPECT_EQ(harness.read("@"), (Documents{{"k", "199"}}));
}

// Every thread has a branch of its own, and knows what must be on it.
struct Writer {
  StoreHarness& harness;
  std::string space, own;
  std::mt19937_64 random;
  Documents model;                                        // What was acknowledged on `own`.
  std::vector<std::pair<std::uint64_t, Documents>> past;  // Its revisions, oldest first.
  std::uint64_t made = 0;                                 // Revisions acknowledged in `space`, by this writer.
  std::uint64_t increments = 0;

  // Waiting in the store, or not.
  Result<CommitResult> apply(ApplyRequest request) {
    return random() % 2 == 0 ? harness->apply(std::move(request)) : apply_begun(harness.store(), std::move(request));
  }

  bool took(const Result<CommitResult>& result, const Documents& after) {
    if (!result) {
      EXPECT_EQ(result.error().code, ErrorCode::kUnavailable) << why(result);
      return false;
    }
    EXPECT_EQ(result->noop, after == model);
    if (result->noop) return true;
    ++made;
    EXPECT_TRUE(past.empty() || past.back().first < result->revision.value);
    model = after;
    past.emplace_back(result->revision.value, after);
    return true;
  }

  void step(int number) {
    Documents after = model;
    switch (random() % 8) {
      case 0:
      case 1:
      case 2: {
        const Documents put{{"k" + std::to_string(random() % 6), std::to_string(random() % 3)},
                            {own, std::to_string(number)}};
        for (const auto& [k, v] : put) after[k] = v;
        auto request = StoreHarness::apply_request(put, own, space);
        if (random() % 2 == 0) request.context.expected_revision = RevisionNumber{past.empty() ? 0 : past.back().first};
        request.context.idempotency = IdempotencyKey{own + "-" + std::to_string(number), Hash::of(own)};
        // As a client does that got no answer: again, until there is one.
        Result<CommitResult> result = apply(request);
        for (int tries = 0; !result && tries < 50; ++tries) result = apply(request);
        if (!took(result, after) || result->noop) break;
        request.context.expected_revision.reset();
        const auto replayed = apply(request);
        if (!replayed) break;
        EXPECT_TRUE(replayed->replayed);
        EXPECT_EQ(replayed->revision, result->revision);
        break;
      }
      case 3: {
        if (past.size() < 2) break;
        const auto& [revision, documents] = past[random() % past.size()];
        after = documents;
        took(harness.copy(std::to_string(revision), own, Cause::kRollback, "", space), Documents(after));
        break;
      }
      case 4: {
        auto stale = StoreHarness::apply_request({{"never", "1"}}, own, space);
        stale.context.expected_revision = RevisionNumber{past.empty() ? 7u : past.back().first - 1};
        const auto refused = apply(std::move(stale));
        ASSERT_FALSE(refused);
        EXPECT_TRUE(refused.error().code == ErrorCode::kPreconditionFailed ||
                    refused.error().code == ErrorCode::kUnavailable)
            << why(refused);
        break;
      }
      case 5: {
        auto dry = StoreHarness::apply_request({{"never", "1"}}, own, space);
        dry.context.dry_run = true;
        const auto tried = apply(std::move(dry));
        if (tried) {
          EXPECT_TRUE(tried->dry_run);
        } else {
          EXPECT_EQ(tried.error().code, ErrorCode::kUnavailable) << why(tried);
        }
        break;
      }
      case 6: {
        if (past.empty()) break;
        const std::string name = "of-" + own;
        const auto put = harness.put_checkpoint(name, "@", own, true, space);
        if (!put) break;
        EXPECT_EQ(put->revision.value, past.back().first);
        const auto found = harness->checkpoint(ns(space), checkpoint(name));
        ASSERT_TRUE(found) << why(found);
        EXPECT_EQ(found->revision, put->revision);
        break;
      }
      default: {
        // All add to one counter, on condition of what they saw.
        auto view = harness->view(ns(space), branch("shared"), Selector::head());
        const std::uint64_t head = view ? view->revision().value : 0;
        std::uint64_t count = 0;
        if (view) count = std::stoull(view->get(key("counter"))->value());
        auto request = StoreHarness::apply_request({{"counter", std::to_string(count + 1)}}, "shared", space);
        request.context.expected_revision = RevisionNumber{head};
        const auto result = apply(std::move(request));
        if (result) {
          ++increments;
          ++made;
        }
        break;
      }
    }
    // What was acknowledged is there, what was refused is not.
    if (!past.empty()) {
      EXPECT_EQ(harness.read("@", own, space), model);
    }
  }
};

struct Shape {
  EngineKind engine;
  int threads, spaces, steps;
  std::size_t group_max;
  int fails_in_hundred;
};
void PrintTo(const Shape& shape, std::ostream* out) {
  PrintTo(shape.engine, out);
  *out << ", " << shape.threads << " threads, " << shape.spaces << " namespaces, " << shape.steps
       << " steps, groups of " << shape.group_max << ", " << shape.fails_in_hundred << "% fail";
}

class CommitPipelineStress : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(
    Shapes, CommitPipelineStress,
    testing::Values(Shape{EngineKind::kMemory, 2, 1, 150, 512, 0}, Shape{EngineKind::kMemory, 16, 1, 40, 512, 20},
                    Shape{EngineKind::kMemory, 16, 16, 40, 512, 20}, Shape{EngineKind::kMemory, 12, 3, 40, 1, 10},
                    Shape{EngineKind::kMemory, 12, 3, 40, 2, 10}, Shape{EngineKind::kMemory, 12, 12, 40, 3, 40},
                    Shape{EngineKind::kRocksDb, 2, 2, 60, 512, 10}, Shape{EngineKind::kRocksDb, 12, 4, 30, 3, 20}),
    [](const testing::TestParamInfo<Shape>& of) {
      const Shape& shape = of.param;
      return std::string(shape.engine == EngineKind::kMemory ? "Memory" : "RocksDb") + std::to_string(shape.threads) +
             "Writers" + std::to_string(shape.spaces) + "SpacesGroupsOf" + std::to_string(shape.group_max) + "Failing" +
             std::to_string(shape.fails_in_hundred);
    });

TEST_P(CommitPipelineStress, AcknowledgedIsStoredAndNobodyIsLeftWaiting) {
  const Shape& shape = GetParam();
  StoreOptions options;
  options.commit_group_max = shape.group_max;
  StoreHarness harness(shape.engine, options);
  std::atomic<std::uint64_t> commits{0};
  harness.set_fault([&](const Batch&) -> Status {
    std::mt19937_64 dice(commits.fetch_add(1));
    if (static_cast<int>(dice() % 100) < shape.fails_in_hundred)
      return fail(ErrorCode::kUnavailable, "the disk said no");
    return {};
  });
  std::vector<Writer> writers;
  for (int t = 0; t < shape.threads; ++t) {
    writers.push_back({harness,
                       "space" + std::to_string(t % shape.spaces),
                       "own" + std::to_string(t),
                       std::mt19937_64(static_cast<std::uint64_t>(t) + 1),
                       {},
                       {},
                       0,
                       0});
  }
  {
    const Watchdog watchdog("writers of " + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::vector<std::thread> threads;
    for (Writer& writer : writers) {
      threads.emplace_back([&] {
        for (int i = 0; i < shape.steps; ++i) writer.step(i);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  harness.set_fault({});
  for (int round = 0; round < 2; ++round) {
    std::map<std::string, std::uint64_t> made, increments;
    for (const Writer& writer : writers) {
      made[writer.space] += writer.made;
      increments[writer.space] += writer.increments;
      if (!writer.past.empty()) {
        EXPECT_EQ(harness.read("@", writer.own, writer.space), writer.model);
        EXPECT_EQ(harness.head(writer.own, writer.space).value, writer.past.back().first);
        for (const auto& [revision, documents] : writer.past)
          EXPECT_EQ(harness.read(std::to_string(revision), writer.own, writer.space), documents);
      }
    }
    for (const auto& [space, count] : made) {
      const auto info = harness->name_space(ns(space));
      ASSERT_TRUE(info) << why(info);
      EXPECT_EQ(info->last_revision.value, count) << "as many numbers as acknowledged commits, in " << space;
      if (increments[space] == 0) continue;
      EXPECT_EQ(harness.read("@", "shared", space), (Documents{{"counter", std::to_string(increments[space])}}));
    }
    const auto report = harness->fsck({});
    ASSERT_TRUE(report) << why(report);
    EXPECT_TRUE(report->clean());
    harness.open();
  }
}

}  // namespace
}  // namespace st8::state::test
