// Answers that come later than their handler returns: no thread waits, whoever is first leaves the rest to the other, and
// nobody is forgotten when the client or the server goes.
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "server/front_fixture.h"

namespace st8::http {
namespace {

using st8::test::eventually;
using std::chrono::seconds;

class FrontLater : public FrontFixture {
 protected:
  static std::string post(const std::string& path, const std::string& body) {
    return "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  }
  bool waiting(std::size_t count) {
    return eventually([&] { return handler.waiting_count() == count; });
  }
};

TEST_F(FrontLater, AnswersWhenItIsDelivered) {
  start();
  RawClient client = connect();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.send(post("/later", std::to_string(i))));
    ASSERT_TRUE(waiting(1));
    handler.deliver_all();
    const auto response = client.response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "later: " + std::to_string(i));
  }
  EXPECT_EQ(metric("st8_http_connections_accepted_total"), 1);
}

TEST_F(FrontLater, AnswersWhatWasDeliveredBeforeTheHandlerReturned) {
  start();
  RawClient client = connect();
  for (int i = 0; i < 200; ++i) {
    const auto response = client.post(i % 2 == 0 ? "/later/now" : "/later/race", std::to_string(i));
    ASSERT_TRUE(response) << i;
    EXPECT_EQ(response->body, "later: " + std::to_string(i));
  }
  EXPECT_EQ(handler.made, 200);
}

TEST_F(FrontLater, AnswersAPipelineInOrder) {
  start();
  RawClient client = connect();
  std::string pipeline;
  for (int i = 0; i < 60; ++i) pipeline += post(i % 3 == 0 ? "/later/race" : "/echo", std::to_string(i));
  ASSERT_TRUE(client.send(pipeline));
  for (int i = 0; i < 60; ++i) {
    const auto response = client.response();
    ASSERT_TRUE(response) << i;
    EXPECT_EQ(response->body, (i % 3 == 0 ? "later: " : "") + std::to_string(i));
  }
}

TEST_F(FrontLater, HoldsNoThread) {
  options.workers_max = 3;
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().send(post("/later", std::to_string(i))));
  }
  ASSERT_TRUE(waiting(100));
  RawClient other = connect();
  EXPECT_EQ(other.post("/echo", "served")->body, "served");
  handler.deliver_all();
  for (int i = 0; i < 100; ++i) {
    const auto response = clients[static_cast<std::size_t>(i)].response();
    ASSERT_TRUE(response) << i;
    EXPECT_EQ(response->body, "later: " + std::to_string(i));
  }
}

TEST_F(FrontLater, OneThatThrowsIsAnsweredAsAFault) {
  start();
  RawClient client = connect();
  ASSERT_TRUE(client.send(post("/later/throws", "")));
  ASSERT_TRUE(waiting(1));
  handler.deliver_all();
  EXPECT_EQ(client.response()->status, 500);
  EXPECT_EQ(client.post("/echo", "goes on")->body, "goes on");
}

TEST_F(FrontLater, AClientThatIsGoneIsNoReasonToStop) {
  start();
  for (int i = 0; i < 10; ++i) {
    RawClient client = connect();
    ASSERT_TRUE(client.send(post("/later", "x")));
  }
  ASSERT_TRUE(waiting(10));
  handler.deliver_all();
  ASSERT_TRUE(eventually([&] { return handler.made == 10; }));
  EXPECT_EQ(connect().post("/echo", "goes on")->body, "goes on");
}

TEST_F(FrontLater, DrainingWaitsForTheAnswer) {
  start();
  RawClient client = connect();
  ASSERT_TRUE(client.send(post("/later", "x")));
  ASSERT_TRUE(waiting(1));
  bool whole = false;
  std::thread drainer([&] { whole = server->drain(seconds(30)); });
  handler.deliver_all();
  const auto response = client.response();
  drainer.join();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "later: x");
  EXPECT_TRUE(whole);
}

TEST_F(FrontLater, AServerThatGoesWaitsForWhoeverStillAnswers) {
  start();
  RawClient client = connect();
  ASSERT_TRUE(client.send(post("/later", "x")));
  ASSERT_TRUE(waiting(1));
  EXPECT_FALSE(server->drain(std::chrono::milliseconds(1))) << "there was something to cut";
  std::thread destroyer([&] { server.reset(); });
  EXPECT_EQ(handler.made, 0);
  handler.deliver_all();
  destroyer.join();
  EXPECT_EQ(handler.made, 1);
}

}  // namespace
}  // namespace st8::http
