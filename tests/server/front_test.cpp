// The HTTP front over real sockets: requests, connections, limits, deadlines, streams, overload, drain.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <gtest/gtest.h>
#include <httplib.h>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/front_fixture.h"

namespace st8::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::eventually;
using test::RawResponse;

class Front : public FrontFixture {};

TEST_F(Front, AnswersOverAKeptConnection) {
  start();
  RawClient client = connect();
  for (int i = 0; i < 20; ++i) {
    const auto response = client.post("/echo?x=1", "body " + std::to_string(i));
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 200);
    EXPECT_EQ(response->body, "body " + std::to_string(i));
    EXPECT_EQ(response->headers.at("x-method"), "POST");
    EXPECT_EQ(response->headers.at("x-request-id"), response->headers.at("x-id"));
    EXPECT_FALSE(response->headers.contains("connection"));
    EXPECT_TRUE(response->headers.at("date").ends_with("GMT"));
  }
  EXPECT_EQ(metric("st8_http_connections_accepted_total"), 1);
  // A request is counted when its answer has been written, which the client may see first.
  EXPECT_TRUE(eventually(
      [&] { return metric("st8_http_requests_total{route=\"/echo\",method=\"POST\",status=\"200\"}") == 20; }));
  EXPECT_EQ(metric("st8_http_request_duration_seconds_count{route=\"/echo\",method=\"POST\"}"), 20);
}

TEST_F(Front, DoesNotLetClientsWaitThatSendHeadAndBodyApart) {
  // Such a client, with Nagle's algorithm as the kernel has it, sends the body when the head is acknowledged. Left to
  // itself the kernel does that after 40 ms: four seconds for these.
  start();
  RawClient client = connect();
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(client.post("/echo", "body")->body, "body");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, seconds(3));
}

TEST_F(Front, SendsABodyInPartsAsOne) {
  start();
  httplib::Client client("127.0.0.1", server->port());
  std::string wanted = "begin";
  for (int i = 0; i < 40; ++i) wanted.append(50'000, static_cast<char>('a' + i % 26));
  wanted += "end";
  for (int round = 0; round < 2; ++round) {
    const auto get = client.Get("/parts");
    ASSERT_TRUE(get);
    EXPECT_EQ(get->get_header_value("Content-Length"), std::to_string(wanted.size()));
    EXPECT_TRUE(get->body == wanted);
    const auto head = client.Head("/parts");
    ASSERT_TRUE(head);
    EXPECT_EQ(head->get_header_value("Content-Length"), std::to_string(wanted.size()));
  }
}

TEST_F(Front, AnswersAnotherLibrarysClient) {
  start();
  httplib::Client client("127.0.0.1", server->port());
  client.set_keep_alive(true);
  for (int i = 0; i < 5; ++i) {
    const auto put = client.Put("/echo", std::string(300'000, 'p'), "application/octet-stream");
    ASSERT_TRUE(put);
    EXPECT_EQ(put->body.size(), 300'000u);
    const auto get = client.Get("/large?bytes=2000000");
    ASSERT_TRUE(get);
    EXPECT_EQ(get->body.size(), 2'000'000u);
    const auto source = client.Get("/source?chunks=7");
    ASSERT_TRUE(source);
    EXPECT_EQ(source->body.size(), 7'000'000u);
  }
}

TEST_F(Front, AnswersAPipelineInOrder) {
  start();
  RawClient client = connect();
  std::string pipeline;
  for (int i = 0; i < 100; ++i) {
    const std::string body = std::to_string(i);
    pipeline += "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  ASSERT_TRUE(client.send(pipeline));
  for (int i = 0; i < 100; ++i) {
    const auto response = client.response();
    ASSERT_TRUE(response) << i;
    EXPECT_EQ(response->body, std::to_string(i));
  }
}

TEST_F(Front, FollowsTheRulesOfHeadsAndBodies) {
  start();
  {
    RawClient client = connect();
    client.send("HEAD /large?bytes=1234 HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto head = client.response(true);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->headers.at("content-length"), "1234");
    const auto nothing = client.get("/nothing");
    ASSERT_TRUE(nothing);
    EXPECT_EQ(nothing->status, 204);
    EXPECT_FALSE(nothing->headers.contains("content-length"));
    const auto inject = client.get("/inject");
    ASSERT_TRUE(inject);
    EXPECT_FALSE(inject->headers.contains("x-injected"));
    EXPECT_EQ(client.get("/throw")->status, 500);
    EXPECT_EQ(client.get("/echo")->status, 200) << "a handler that threw costs its own request only";
  }
  {
    RawClient client = connect();
    client.send("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: my-id.7\r\n\r\n");
    const auto response = client.response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->headers.at("connection"), "close");
    EXPECT_EQ(response->headers.at("x-request-id"), "my-id.7");
    EXPECT_EQ(client.receive_all(), "");
  }
  {
    RawClient client = connect();
    client.send("GET /source?chunks=2 HTTP/1.0\r\n\r\n");
    const auto response = client.response();
    ASSERT_TRUE(response);
    EXPECT_FALSE(response->headers.contains("transfer-encoding")) << "HTTP/1.0 knows no chunks";
    EXPECT_EQ(response->body.size(), 2'000'000u);
  }
  {
    RawClient client = connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    EXPECT_EQ(client.response()->status, 100);
    client.send("abc");
    EXPECT_EQ(client.response()->body, "abc");
  }
}

TEST_F(Front, RefusesWithAProblemDocumentThatReachesTheClient) {
  options.limits.body_bytes = 1000;
  start();
  {
    RawClient client = connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    const auto response = client.response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 400);
    EXPECT_EQ(response->headers.at("content-type"), "application/problem+json");
    EXPECT_EQ(response->headers.at("connection"), "close");
    EXPECT_NE(response->body.find("\"code\":\"invalid_argument\""), std::string::npos);
    EXPECT_NE(response->body.find(response->headers.at("x-request-id")), std::string::npos);
  }
  {
    // The client sends 40 MiB before it looks: the answer must survive what it still sends.
    RawClient client = connect();
    const std::string body(40u << 20, 'z');
    const auto response = client.post("/echo", body);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, 413);
  }
  {
    RawClient client = connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    EXPECT_EQ(client.response()->status, 413) << "and no 100 before it";
  }
  EXPECT_EQ(handler.handled, 0);
}

TEST_F(Front, EndsConnectionsAtTheirDeadlines) {
  options.header_timeout = milliseconds(150);
  options.read_timeout = milliseconds(300);
  options.idle_timeout = milliseconds(150);
  start();
  RawClient idle = connect();
  RawClient slow_head = connect();
  RawClient slow_body = connect();
  slow_head.send("GET / HT");
  slow_body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome");
  EXPECT_EQ(idle.receive_all(), "") << "nothing was asked, nothing is answered";
  const auto head = slow_head.response();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 408);
  // A byte now and then does not buy time.
  std::optional<RawResponse> body;
  for (int i = 0; i < 500 && !body; ++i) {
    slow_body.send("x");
    if (const auto some = slow_body.receive(milliseconds(20)); some && some->starts_with("HTTP/1.1 408"))
      body = RawResponse{408, {}, {}};
  }
  EXPECT_TRUE(body) << "a byte every 20 ms kept the request alive";
  EXPECT_EQ(handler.handled, 0);
}

TEST_F(Front, DoesNotLetASlowReaderHoldAThreadOrLiveForEver) {
  options.write_timeout = milliseconds(300);
  options.workers_max = 4;
  start();
  std::vector<RawClient> readers;
  for (int i = 0; i < 16; ++i) {
    readers.push_back(connect());
    readers.back().set_receive_buffer(4096);
    readers.back().send("GET /large?bytes=8000000 HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] { return handler.handled >= 16; }));
  RawClient working = connect();
  for (int i = 0; i < 50; ++i) ASSERT_EQ(working.get("/echo")->status, 200);
  working.close();
  ASSERT_TRUE(eventually([&] { return metric("st8_http_connections_open") == 0; }));
  EXPECT_EQ(metric("st8_http_buffered_bytes"), 0);
  EXPECT_GE(metric("st8_http_timeouts_total"), 16);
}

TEST_F(Front, PullsASourceNoFasterThanItsClient) {
  start();
  RawClient client = connect();
  client.set_receive_buffer(65'536);
  client.send("GET /source?chunks=50 HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return metric("st8_http_buffered_bytes") > 0; }));
  const int pulled = handler.pulled;
  EXPECT_LT(pulled, 40) << "50 MB were made for a client that reads nothing";
  client.set_receive_buffer(4 << 20);  // So that the kernel tells of a window without being probed.
  const auto response = client.response();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body.size(), 50'000'000u);
  EXPECT_EQ(client.get("/echo")->status, 200) << "the connection is good for more";
}

TEST_F(Front, CutsTheConnectionWhenASourceFails) {
  start();
  RawClient client = connect();
  client.send("GET /source?chunks=3&fails HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_FALSE(client.response()) << "a body that is not whole must not look whole";
}

TEST_F(Front, StreamsTheSameBytesToManyChannels) {
  options.channel_keepalive = milliseconds(100);
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(connect());
    clients.back().send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] { return handler.channel_count() == clients.size(); }));
  EXPECT_EQ(metric("st8_http_channels_open"), 200);
  EXPECT_LE(metric("st8_http_workers"), 64) << "streams cost no threads";
  const auto event = std::make_shared<const std::string>("id: 7\ndata: {\"revision\":7}\n\n");
  for (const auto& channel : handler.channels) EXPECT_TRUE(channel->send(event));
  for (RawClient& client : clients) {
    const auto text = client.receive_until(*event);
    ASSERT_TRUE(text);
    EXPECT_NE(text->find("event: ready"), std::string::npos);
    EXPECT_TRUE(client.receive_until(": keepalive\n\n"));
  }
  clients.pop_back();
  clients.pop_back();
  ASSERT_TRUE(eventually([&] { return metric("st8_http_channels_open") == 198; }))
      << "clients that went away are noticed";
  const auto open =
      std::find_if(handler.channels.begin(), handler.channels.end(), [](const auto& c) { return !c->closed(); });
  std::iter_swap(handler.channels.begin(), open);
  handler.channels.front()->close();
  handler.channels.front()->close();
  ASSERT_TRUE(eventually([&] { return metric("st8_http_channels_open") == 197; }));
  EXPECT_FALSE(handler.channels.front()->send(event));
  handler.channels.clear();
  ASSERT_TRUE(eventually([&] { return metric("st8_http_connections_open") == 0; }))
      << "a channel nobody keeps is closed";
}

TEST_F(Front, CutsOffAChannelThatFallsBehind) {
  options.channel_backlog_bytes = 100'000;
  start();
  RawClient client = connect();
  client.set_receive_buffer(4096);
  client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return handler.channel_count() == 1; }));
  const auto event = std::make_shared<const std::string>("data: " + std::string(20'000, 'e') + "\n\n");
  bool accepted = true;
  for (int i = 0; i < 10'000 && accepted; ++i) accepted = handler.channels[0]->send(event);
  EXPECT_FALSE(accepted) << "200 MB were queued for a client that reads nothing";
  EXPECT_TRUE(handler.channels[0]->closed());
  // A window below one segment of the loopback is told only when the sender probes, ever more seldom: the kernel's doing, not ours.
  client.set_receive_buffer(4 << 20);
  const auto rest = client.receive_all(seconds(60));
  ASSERT_TRUE(rest);
  EXPECT_TRUE(rest->ends_with("event: overflow\ndata: {\"reason\":\"the client fell too far behind\"}\n\n"));
  EXPECT_EQ(metric("st8_http_channels_overflowed_total"), 1);
}

TEST_F(Front, RunsManyBlockedRequestsAndStillAnswersOthers) {
  start();
  std::vector<RawClient> blocked;
  for (int i = 0; i < 100; ++i) {
    blocked.push_back(connect());
    blocked.back().send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] { return handler.gate.waiting() == 100; }));
  RawClient working = connect();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(working.get("/echo")->status, 200);
  handler.gate.open();
  for (RawClient& client : blocked) EXPECT_EQ(client.response()->body, "unblocked");
}

TEST_F(Front, RelievesThreadsWhoseRequestsProveSlowForOnce) {
  start();
  // Teaches the front that this route is quick, so that its requests run without another thread being called up, then
  // makes it slow for more clients than there are pollers.
  RawClient teacher = connect();
  for (int i = 0; i < 50; ++i) ASSERT_EQ(teacher.get("/sometimes")->status, 200);
  handler.sometimes_blocks = true;
  std::vector<RawClient> blocked;
  for (int i = 0; i < 40; ++i) {
    blocked.push_back(connect());
    blocked.back().send("GET /sometimes HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] { return handler.gate.waiting() == 40; }));
  ASSERT_EQ(teacher.get("/echo")->status, 200);
  handler.gate.open();
  for (RawClient& client : blocked) EXPECT_EQ(client.response()->status, 200);
}

TEST_F(Front, AnswersOverloadWith503) {
  options.workers_max = 4;
  options.queue_max = 8;
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(connect());
    clients.back().send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  // At most 4 run and 8 wait; one thread always polls. The others are told to come again.
  ASSERT_TRUE(eventually([&] { return metric("st8_http_overloaded_total") >= 64 - 4 - 8; }));
  handler.gate.open();
  int refused = 0;
  int answered = 0;
  for (RawClient& client : clients) {
    const auto response = client.response();
    ASSERT_TRUE(response);
    if (response->status == 503) {
      ++refused;
      EXPECT_EQ(response->headers.at("retry-after"), "1");
      EXPECT_EQ(client.get("/echo")->status, 200) << "the connection survives a 503";
    } else {
      EXPECT_EQ(response->body, "unblocked");
      ++answered;
    }
  }
  EXPECT_EQ(refused + answered, 64);
  EXPECT_GE(answered, 8);
  EXPECT_GE(refused, 52);
}

TEST_F(Front, RefusesConnectionsBeyondItsLimit) {
  options.connections_max = 4;
  start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(connect());
    ASSERT_EQ(clients.back().get("/echo")->status, 200);
  }
  RawClient more = connect();
  const auto refused = more.receive_all();
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->starts_with("HTTP/1.1 503 "));
  clients.pop_back();
  EXPECT_TRUE(eventually([&] {
    RawClient again = connect();
    const auto response = again.get("/echo");
    return response && response->status == 200;
  }));
}

TEST_F(Front, BoundsWhatItHoldsForAllClientsTogether) {
  options.buffered_bytes_max = 1u << 20;
  start();
  std::vector<RawClient> uploads;
  for (int i = 0; i < 8; ++i) {
    uploads.push_back(connect());
    uploads.back().send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" +
                        std::string(400'000, 'u'));
  }
  int refused = 0;
  ASSERT_TRUE(eventually([&] { return metric("st8_http_overloaded_total") >= 6; }));
  for (RawClient& client : uploads) {
    if (const auto response = client.response(false, milliseconds(200)); response && response->status == 503) ++refused;
  }
  EXPECT_GE(refused, 6);
  EXPECT_LE(metric("st8_http_buffered_bytes"), 1u << 20);
}

TEST_F(Front, DrainsWithoutLosingARequest) {
  start();
  RawClient idle = connect();
  ASSERT_EQ(idle.get("/echo")->status, 200);
  RawClient stream = connect();
  stream.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(stream.receive_until("event: ready\ndata: {}\n\n"));
  std::vector<RawClient> running;
  for (int i = 0; i < 10; ++i) {
    running.push_back(connect());
    running.back().send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] { return handler.gate.waiting() == 10; }));
  RawClient half = connect();
  half.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
  ASSERT_TRUE(eventually([&] { return metric("st8_http_connections_open") == 13; }));

  std::atomic<bool> clean{false};
  std::thread drainer([&] { clean = server->drain(seconds(20)); });
  EXPECT_EQ(idle.receive_all(), "");
  const auto last = stream.receive_all();
  ASSERT_TRUE(last);
  EXPECT_NE(last->find("event: draining"), std::string::npos);
  EXPECT_FALSE(RawClient(server->port()).connected()) << "nobody new is let in";
  half.send("lf");
  const auto finished = half.response();
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->body, "half");
  EXPECT_EQ(finished->headers.at("connection"), "close");
  handler.gate.open();
  for (RawClient& client : running) {
    const auto response = client.response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->body, "unblocked");
    EXPECT_EQ(response->headers.at("connection"), "close");
  }
  drainer.join();
  EXPECT_TRUE(clean);
}

TEST_F(Front, CutsWhatIsLeftAtTheDrainDeadline) {
  start();
  RawClient half = connect();
  half.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha");
  ASSERT_TRUE(eventually([&] { return metric("st8_http_connections_open") == 1; }));
  EXPECT_FALSE(server->drain(milliseconds(50)));
  EXPECT_TRUE(half.receive_all());
}

TEST_F(Front, SaysThatAPortIsInUse) {
  start();
  ServerOptions same = options;
  same.listen.port = server->port();
  const auto second = Server::start(same, handler, metrics, log);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find("another process listens there"), std::string::npos);
}

TEST(ListenAddress, ReadsEveryForm) {
  EXPECT_EQ(parse_listen_address(":8748")->host, "");
  EXPECT_EQ(parse_listen_address("127.0.0.1:0")->port, 0);
  EXPECT_EQ(parse_listen_address("[::1]:80")->host, "::1");
  EXPECT_TRUE(parse_listen_address("[::1]:80")->loopback());
  EXPECT_TRUE(parse_listen_address("localhost:80")->loopback());
  EXPECT_TRUE(parse_listen_address("127.3.2.1:80")->loopback());
  EXPECT_FALSE(parse_listen_address(":80")->loopback());
  EXPECT_FALSE(parse_listen_address("0.0.0.0:80")->loopback());
  for (const std::string_view bad :
       {"", "8748", "host", "host:", "host:x", "host:70000", "::1:80", "[::1]", "[]:1", "h:-1"}) {
    EXPECT_FALSE(parse_listen_address(bad)) << bad;
  }
}

}  // namespace
}  // namespace st8::http
