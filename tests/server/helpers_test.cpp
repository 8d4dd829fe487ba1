#include "api/helpers.h"

#include <atomic>
#include <condition_variable>
#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace st8::api {
namespace {

// Each part waits for all the others: on fewer threads than there are parts none would end.
void expect_at_the_same_time(const Helpers& helpers, int parts) {
  std::mutex mutex;
  std::condition_variable all_here;
  int here = 0;
  helpers.run(static_cast<std::size_t>(parts), [&](std::size_t) {
    std::unique_lock lock(mutex);
    ++here;
    all_here.notify_all();
    all_here.wait(lock, [&] { return here == parts; });
  });
  EXPECT_EQ(here, parts);
}

TEST(Helpers, DoEachPartOnce) {
  const Helpers helpers(3);
  for (const std::size_t parts : {0u, 1u, 2u, 3u, 100u}) {
    std::vector<std::atomic<int>> done(parts);
    helpers.run(parts, [&](std::size_t part) { ++done.at(part); });
    for (const auto& times : done) EXPECT_EQ(times, 1);
  }
}

TEST(Helpers, WorkAtTheSameTime) {
  const Helpers helpers(2);
  expect_at_the_same_time(helpers, 3);
}

TEST(Helpers, AreNoMoreThanWereGiven) {
  for (const std::size_t threads_max : {0u, 1u, 2u}) {
    const Helpers helpers(threads_max);
    std::mutex mutex;
    std::set<std::thread::id> threads;
    const auto note = [&](std::size_t) {
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    };
    helpers.run(64, note);
    EXPECT_LE(threads.size(), threads_max + 1);
    EXPECT_GE(threads.size(), 1u);
  }
}

TEST(Helpers, ServeManyAtOnceAndOneAfterTheOther) {
  const Helpers helpers(3);
  std::vector<std::thread> callers;
  std::atomic<std::size_t> done{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (std::size_t round = 0; round < 500; ++round) {
        std::vector<std::atomic<int>> parts(round % 9);
        helpers.run(parts.size(), [&](std::size_t part) { ++parts[part]; });
        for (const auto& times : parts) done += times == 1 ? 1 : 0;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  std::size_t parts = 0;
  for (std::size_t round = 0; round < 500; ++round) parts += 4 * (round % 9);
  EXPECT_EQ(done, parts);
  // All of them are free again.
  expect_at_the_same_time(helpers, 4);
}

TEST(Helpers, WhoFindsNoneFreeDoesItsWorkItself) {
  const Helpers helpers(2);
  std::mutex mutex;
  std::condition_variable changed;
  int here = 0;
  bool done = false;
  helpers.run(3, [&](std::size_t) {
    std::unique_lock lock(mutex);
    if (++here < 3) {
      changed.wait(lock, [&] { return done; });
      return;
    }
    // Now all are taken.
    std::set<std::thread::id> threads;
    helpers.run(64, [&](std::size_t) { threads.insert(std::this_thread::get_id()); });
    EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
    done = true;
    changed.notify_all();
  });
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace st8::api
