// Connections that wait cost no thread, and nothing of those that work: counted, not timed.
#include <gtest/gtest.h>
#include <string>
#include <sys/resource.h>
#include <vector>

#include "server/front_fixture.h"

namespace st8::http {
namespace {

using test::eventually;

constexpr int kIdle = 2000;
constexpr int kStreams = 500;
constexpr int kSlow = 50;
constexpr int kRequests = 1000;

class FrontCrowd : public FrontFixture {
 protected:
  void SetUp() override {
    // Both ends of every connection are in this process.
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    ASSERT_GE(limit.rlim_cur, 2u * (kIdle + kStreams + kSlow) + 500)
        << "the limit of open files is too low for this test";
  }
};

TEST_F(FrontCrowd, CostsAWorkingClientNothing) {
  start();
  std::vector<RawClient> idle;
  std::vector<RawClient> streams;
  std::vector<RawClient> slow;
  for (int i = 0; i < kIdle; ++i) {
    idle.push_back(connect());
    ASSERT_EQ(idle.back().get("/echo")->status, 200);
  }
  for (int i = 0; i < kStreams; ++i) {
    streams.push_back(connect());
    ASSERT_TRUE(streams.back().send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"));
  }
  for (int i = 0; i < kSlow; ++i) slow.push_back(connect());
  ASSERT_TRUE(eventually([&] { return handler.channel_count() == kStreams; }));
  ASSERT_TRUE(eventually([&] { return metric("st8_http_connections_open") == kIdle + kStreams + kSlow; }));

  const int handled_before = handler.handled;
  RawClient working = connect();
  const std::string slow_request =
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + std::string(5000, 's');
  for (int i = 0; i < kRequests; ++i) {
    // Each of the slow ones gives one byte more between any two requests of the one that works.
    for (RawClient& client : slow) ASSERT_TRUE(client.send(slow_request.substr(static_cast<std::size_t>(i), 1)));
    const auto response = working.post("/echo", "body");
    ASSERT_TRUE(response) << "request " << i << " got no answer";
    ASSERT_EQ(response->body, "body");
  }
  EXPECT_EQ(handler.handled - handled_before, kRequests) << "none of the slow requests is whole";
  EXPECT_LE(metric("st8_http_workers"), 24) << "2,550 connections that wait hold no threads";
  EXPECT_EQ(metric("st8_http_timeouts_total"), 0);

  // And they are all still there.
  const auto event = std::make_shared<const std::string>("data: to all\n\n");
  for (const auto& channel : handler.channels) ASSERT_TRUE(channel->send(event));
  for (RawClient& client : streams) ASSERT_TRUE(client.receive_until(*event));
  for (RawClient& client : idle) ASSERT_EQ(client.get("/echo")->status, 200);
  for (RawClient& client : slow) {
    ASSERT_TRUE(client.send(slow_request.substr(kRequests)));
    const auto response = client.response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->body.size(), 5000u);
  }
}

}  // namespace
}  // namespace st8::http
