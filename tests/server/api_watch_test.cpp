// Streams: every revision once, in order, whatever the moment of joining, and however slow the reader.
#include <atomic>
#include <regex>
#include <thread>

#include "server/api_fixture.h"

namespace st8::api::test {
namespace {

WatchHubOptions quick() {
  WatchHubOptions options;
  options.keepalive = std::chrono::milliseconds(30);
  return options;
}

std::vector<std::uint64_t> ids(const std::string& text) {
  std::vector<std::uint64_t> found;
  static const std::regex kId("(?:^|\n)id: ([0-9]+)\n");
  for (std::sregex_iterator it(text.begin(), text.end(), kId), end; it != end; ++it)
    found.push_back(std::stoull((*it)[1]));
  return found;
}

std::vector<std::uint64_t> up_to(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t n = first; n <= last; ++n) numbers.push_back(n);
  return numbers;
}

auto contains(std::string needle) {
  return [needle = std::move(needle)](const std::string& text) { return text.find(needle) != std::string::npos; };
}

TEST(ApiWatch, BeginsWithReadyAndCarriesWhatHappens) {
  Server server;
  server.put("a", "1");
  const auto channel = server.watch("/v1/watch");
  ASSERT_TRUE(channel->wait(contains("event: ready\ndata: {\"revision\":1,\"after\":1}\n\n"))) << channel->text();
  server.post("/v1/apply", {{"documents", {{{"key", "a"}, {"content", "2"}}, {{"key", "b"}, {"content", "x"}}}},
                            {"message", "two\nlines"}});
  ASSERT_TRUE(channel->wait(contains("id: 2\n"))) << channel->text();
  const std::string text = channel->text();
  const std::size_t at = text.find("id: 2\nevent: revision\ndata: ");
  ASSERT_NE(at, std::string::npos) << text;
  const std::size_t data = text.find("data: ", at) + 6;
  const Json event = Json::parse(text.substr(data, text.find("\n\n", data) - data));
  EXPECT_EQ(event["id"], 2);
  EXPECT_EQ(event["message"], "two\nlines");
  EXPECT_EQ(event["branch"], "main");
  ASSERT_EQ(event["changes"].size(), 2u);
  EXPECT_EQ(event["changes"][0]["after_hash"], Hash::of("2").hex());
  EXPECT_FALSE(event["changes"][0].contains("after")) << "events carry keys and hashes, not contents";
  server.post("/v1/checkpoints", {{"name", "c"}});
  ASSERT_TRUE(channel->wait(contains("event: operation\ndata: {\"sequence\""))) << channel->text();
  // The namespace's and the branch's own beginnings may be told before it.
  ASSERT_TRUE(channel->wait(contains("\"checkpoint.create\""))) << channel->text();
}

TEST(ApiWatch, FiltersByBranchAndPrefix) {
  Server server;
  server.put("a/1", "1");
  server.post("/v1/branches", {{"name", "dev"}});
  const auto main_only = server.watch("/v1/watch?branch=main");
  const auto prefix = server.watch("/v1/watch?prefix=b/");
  ASSERT_TRUE(main_only->wait(contains("ready")) && prefix->wait(contains("ready")));
  server.put("a/1", "2", "dev");   // 2
  server.put("a/1", "3", "main");  // 3
  server.put("b/1", "4", "dev");   // 4
  server.put("b/1", "5", "main");  // 5
  ASSERT_TRUE(main_only->wait(contains("id: 5\n")));
  ASSERT_TRUE(prefix->wait(contains("id: 5\n")));
  EXPECT_EQ(ids(main_only->text()), (std::vector<std::uint64_t>{3, 5}));
  EXPECT_EQ(ids(prefix->text()), (std::vector<std::uint64_t>{4, 5}));
}

TEST(ApiWatch, ResumesBehindTheLastEventSeen) {
  Server server;
  for (int i = 1; i <= 700; ++i) server.put("a", std::to_string(i));
  const auto by_query = server.watch("/v1/watch?after=3");
  const auto by_header = server.watch("/v1/watch?after=3", {{"last-event-id", "690"}});
  const auto from_start = server.watch("/v1/watch?after=0");
  ASSERT_TRUE(by_query->wait(contains("id: 700\n")));
  ASSERT_TRUE(by_header->wait(contains("id: 700\n")));
  ASSERT_TRUE(from_start->wait(contains("id: 700\n")));
  EXPECT_EQ(ids(by_query->text()), up_to(4, 700));
  EXPECT_EQ(ids(by_header->text()), up_to(691, 700)) << "the header is newer than the address";
  EXPECT_EQ(ids(from_start->text()), up_to(1, 700));
  EXPECT_EQ(server.get("/v1/watch?after=701").status, 410) << "a point that is not there";
  EXPECT_EQ(server.get("/v1/watch?after=x").status, 400);
  EXPECT_EQ(server.get("/v1/watch", {{"last-event-id", "x"}}).status, 400);
}

TEST(ApiWatch, JoiningInTheMidstOfWritersHasNoGapAndNoDuplicate) {
  Server server;
  server.put("a", "0");
  constexpr int kWriters = 4, kEach = 60;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&server, w] {
      for (int i = 0; i < kEach; ++i) server.put("k" + std::to_string(w), std::to_string(i));
    });
  }
  std::vector<std::pair<std::uint64_t, std::shared_ptr<TestChannel>>> watchers;
  for (int i = 0; i < 40; ++i) {
    const std::uint64_t seen = server.get("/v1/resolve").json["revision"];
    watchers.emplace_back(seen, server.watch("/v1/watch", {{"last-event-id", std::to_string(seen)}}));
  }
  for (std::thread& writer : writers) writer.join();
  const std::uint64_t last = 1 + kWriters * kEach;
  for (const auto& [seen, channel] : watchers) {
    if (seen == last) continue;
    ASSERT_TRUE(channel->wait(contains("id: " + std::to_string(last) + "\n"))) << ids(channel->text()).size();
    EXPECT_EQ(ids(channel->text()), up_to(seen + 1, last));
  }
}

TEST(ApiWatch, ASlowReaderCatchesUpFromTheStoreWithoutLoss) {
  WatchHubOptions options = quick();
  options.live_pending_bytes_max = 2'000;
  options.resume_pending_bytes_max = 1'000;
  Server server({}, options);
  const auto slow = server.watch("/v1/watch");
  const auto fast = server.watch("/v1/watch");
  ASSERT_TRUE(slow->wait(contains("ready")) && fast->wait(contains("ready")));
  slow->hold();
  for (int i = 1; i <= 200; ++i) server.put("a", std::to_string(i));
  ASSERT_TRUE(fast->wait(contains("id: 200\n")));
  EXPECT_LT(slow->pending_bytes(), 6'000u) << "what a slow reader may hold is bounded";
  EXPECT_LT(ids(slow->text()).size(), 200u);
  while (ids(slow->text()).size() < 200) {
    const std::size_t before = ids(slow->text()).size();
    slow->release();
    slow->hold();
    ASSERT_TRUE(slow->wait([&](const std::string& text) { return ids(text).size() > before; }));
  }
  EXPECT_EQ(ids(slow->text()), up_to(1, 200));
}

TEST(ApiWatch, TellsAReaderThatTakesNothing) {
  WatchHubOptions options = quick();
  options.stall_max = std::chrono::milliseconds(60);
  options.live_pending_bytes_max = 100;
  Server server({}, options);
  const auto dead = server.watch("/v1/watch");
  ASSERT_TRUE(dead->wait(contains("ready")));
  dead->hold();
  server.put("a", "1");
  server.put("a", "2");
  ASSERT_TRUE(dead->wait_closed());
  EXPECT_NE(dead->text().find("event: overflow\n"), std::string::npos) << dead->text();
}

TEST(ApiWatch, KeepsQuietStreamsAliveAndForgetsClosedOnes) {
  Server server({}, quick());
  const auto channel = server.watch("/v1/watch");
  ASSERT_TRUE(channel->wait(contains(": keepalive\n\n")));
  EXPECT_EQ(server.hub().watchers(), 1u);
  channel->close();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (server.hub().watchers() != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(server.hub().watchers(), 0u);
}

TEST(ApiWatch, AFullQueueLosesNoRevision) {
  WatchHubOptions options;
  options.queue_max = 1;
  Server server({}, options);
  const auto channel = server.watch("/v1/watch");
  ASSERT_TRUE(channel->wait(contains("ready")));
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&server, w] {
      for (int i = 0; i < 50; ++i) server.put("k" + std::to_string(w), std::to_string(i));
    });
  }
  for (std::thread& writer : writers) writer.join();
  ASSERT_TRUE(channel->wait(contains("id: 200\n"))) << ids(channel->text()).size();
  EXPECT_EQ(ids(channel->text()), up_to(1, 200));
}

TEST(ApiWatch, ANamespaceThatIsDeletedAndMadeAgainCountsAnew) {
  Server server;
  for (int i = 0; i < 5; ++i) server.put("a", std::to_string(i), "main", "x");
  const auto channel = server.watch("/v1/watch?namespace=x");
  ASSERT_TRUE(channel->wait(contains("ready")));
  ASSERT_EQ(server.del("/v1/namespaces", {{"namespace", "x"}}).status, 200);
  ASSERT_TRUE(channel->wait(contains("namespace.delete"))) << channel->text();
  server.put("a", "again", "main", "x");
  ASSERT_TRUE(channel->wait(contains("id: 1\n"))) << channel->text();
}

TEST(ApiWatch, ClosesItsStreamsWhenItEnds) {
  std::shared_ptr<TestChannel> channel;
  {
    Server server;
    channel = server.watch("/v1/watch");
    ASSERT_TRUE(channel->wait(contains("ready")));
  }
  EXPECT_TRUE(channel->closed());
}

}  // namespace
}  // namespace st8::api::test
