// What the gatherer takes and what it refuses, each in one piece, byte by byte, and cut at every place.
#include "http/request_gatherer.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace st8::http {
namespace {

struct Outcome {
  RequestGatherer::State state = RequestGatherer::State::kHead;
  int status = 0;
  Request request;
  std::size_t taken = 0;
  bool keep_alive = false;
};

// Feeds pieces of `step` bytes; what is not taken from a piece ends it.
Outcome gather(std::string_view bytes, std::size_t step, const GatherLimits& limits = {}) {
  RequestGatherer gatherer(limits);
  Outcome outcome;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, step);
    // A copy in memory of its own: a sanitizer sees whoever keeps a view of it.
    const std::string copy(piece);
    const std::size_t taken = gatherer.feed(copy);
    EXPECT_LE(taken, piece.size());
    outcome.taken += taken;
    bytes.remove_prefix(piece.size());
    outcome.state = gatherer.state();
    if (outcome.state == RequestGatherer::State::kComplete || outcome.state == RequestGatherer::State::kRefused) break;
  }
  outcome.state = gatherer.state();
  outcome.keep_alive = gatherer.keep_alive();
  if (outcome.state == RequestGatherer::State::kRefused) outcome.status = gatherer.refusal().status;
  if (outcome.state == RequestGatherer::State::kComplete) outcome.request = gatherer.take();
  return outcome;
}

std::string get(std::string_view target, std::string_view headers = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n";
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(RequestGatherer, TakesARequestHoweverItIsCut) {
  const std::string bytes =
      "POST /v1/apply%20x?a=1&b=c%3Dd&a=2&flag HTTP/1.1\r\nHost: x\r\nContent-Type:application/json\r\nX-Empty:\r\n"
      "Content-Length: 11\r\nPadded: \t two words \t\r\n\r\nhello world";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const Outcome outcome = gather(bytes, step);
    ASSERT_EQ(outcome.state, RequestGatherer::State::kComplete) << step;
    EXPECT_EQ(outcome.taken, bytes.size());
    EXPECT_EQ(outcome.request.method, "POST");
    EXPECT_EQ(outcome.request.path, "/v1/apply x");
    EXPECT_EQ(outcome.request.query, (Pairs{{"a", "1"}, {"b", "c=d"}, {"a", "2"}, {"flag", ""}}));
    EXPECT_EQ(outcome.request.header("content-type"), "application/json");
    EXPECT_EQ(outcome.request.header("x-empty"), "");
    EXPECT_EQ(outcome.request.header("padded"), "two words");
    EXPECT_EQ(outcome.request.body, "hello world");
    EXPECT_TRUE(outcome.keep_alive);
  }
}

TEST(RequestGatherer, JoinsChunksHoweverTheyAreCut) {
  const std::string bytes =
      "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "5\r\nhello\r\n1;ext=\"q\"\r\n \r\n0A\r\n0123456789\r\n0\r\nTrailer: dropped\r\n\r\n";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const Outcome outcome = gather(bytes, step);
    ASSERT_EQ(outcome.state, RequestGatherer::State::kComplete) << step;
    EXPECT_EQ(outcome.taken, bytes.size());
    EXPECT_EQ(outcome.request.body, "hello 0123456789");
    EXPECT_EQ(outcome.request.header("trailer"), "") << "trailers are no headers";
  }
}

TEST(RequestGatherer, LeavesThePipelineToTheNextRequest) {
  const std::string first = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  const std::string second = get("/b");
  const GatherLimits limits;
  RequestGatherer again(limits);
  const std::string both = first + second;
  ASSERT_EQ(again.feed(both), first.size());
  EXPECT_EQ(again.take().path, "/a");
  EXPECT_FALSE(again.started());
  ASSERT_EQ(again.feed(std::string_view(both).substr(first.size())), second.size());
  EXPECT_EQ(again.take().path, "/b");
}

TEST(RequestGatherer, ReadsTargets) {
  struct Case {
    std::string target;
    std::string path;
    Pairs query;
  };
  const std::vector<Case> cases = {
      {"/", "/", {}},
      {"*", "*", {}},
      {"http://host:80/v1/state?x=y", "/v1/state", {{"x", "y"}}},
      {"http://host", "/", {}},
      {"/a%2Fb%c3%A9", "/a/b\xc3\xa9", {}},
      {"/a+b?c=d+e", "/a+b", {{"c", "d e"}}},
      {"/?cursor=YWI=&q=a?b", "/", {{"cursor", "YWI="}, {"q", "a?b"}}},
      {"/?a=b=c&&=v&k=", "/", {{"a", "b=c"}, {"", "v"}, {"k", ""}}},
      {"/?a=1&a=1", "/", {{"a", "1"}, {"a", "1"}}},
      {"/\xc3\xa9", "/\xc3\xa9", {}},
      {"/a/../b//c", "/a/../b//c", {}},
  };
  for (const Case& c : cases) {
    const Outcome outcome = gather(get(c.target), 4096);
    ASSERT_EQ(outcome.state, RequestGatherer::State::kComplete) << c.target;
    EXPECT_EQ(outcome.request.path, c.path) << c.target;
    EXPECT_EQ(outcome.request.query, c.query) << c.target;
  }
}

TEST(RequestGatherer, RefusesWhatIsAmbiguousOrMalformed) {
  using namespace std::string_literals;
  struct Case {
    std::string name;
    std::string bytes;
    int status;
  };
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  const std::vector<Case> cases = {
      // Smuggling: two readings of where a request ends.
      {"length and chunks", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"chunks and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
      {"two lengths", post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
      {"two equal lengths", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
      {"a list of lengths", post + "Content-Length: 3, 3\r\n\r\n", 400},
      {"signed length", post + "Content-Length: +3\r\n\r\n", 400},
      {"negative length", post + "Content-Length: -3\r\n\r\n", 400},
      {"empty length", post + "Content-Length:\r\n\r\n", 400},
      {"hexadecimal length", post + "Content-Length: 0x3\r\n\r\n", 400},
      {"length beyond 64 bits", post + "Content-Length: 99999999999999999999999\r\n\r\n", 413},
      {"other coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"coding twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
      {"coding with a trick", post + "Transfer-Encoding: xchunked\r\n\r\n", 501},
      {"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"blank before the colon", post + "Content-Length : 3\r\n\r\n", 400},
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"bare LF after a header", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
      {"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
      {"folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400},
      {"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s, 400},
      {"NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"s, 400},
      {"NUL in the target", "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n"s, 400},
      {"encoded NUL", get("/a%00b"), 400},
      {"encoded NUL in the query", get("/?a=%00"), 400},
      {"half an escape", get("/a%2"), 400},
      {"an escape that is none", get("/a%zz"), 400},
      {"Unicode escape", get("/a%u0041"), 400},
      {"fragment", get("/a#b"), 400},
      {"blank in the target", get("/a b"), 400},
      {"tab in the target", get("/a\tb"), 400},
      {"relative target", get("a"), 400},
      {"authority form", get("host:80"), 400},
      {"empty authority", get("http:///a"), 400},
      {"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      // Heads.
      {"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"no version", "GET /\r\nHost: a\r\n\r\n", 400},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"HTTP/0.9", "GET /\r\n\r\n", 400},
      {"method with a slash", "GE/T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"long method", std::string(40, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TLS to a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"no colon", "GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400},
      {"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400},
      {"two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"other expectation", post + "Expect: 200-ok\r\n\r\n", 417},
      // Chunks.
      {"chunk size not hexadecimal", post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {"chunk size with 0x", post + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n", 400},
      {"empty chunk size", post + "Transfer-Encoding: chunked\r\n\r\n\r\n", 400},
      {"negative chunk size", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
      {"chunk size beyond 64 bits", post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
      {"chunk longer than its size", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nhello\r\n", 400},
      {"bare LF after a chunk size", post + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n", 400},
      {"endless extension", post + "Transfer-Encoding: chunked\r\n\r\n5;" + std::string(300, 'x') + "\r\n", 400},
      {"trailer without a colon", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nnonsense\r\n\r\n", 400},
      {"endless trailers",
       post + "Transfer-Encoding: chunked\r\n\r\n0\r\n" +
           [] {
             std::string lines;
             for (int i = 0; i < 400; ++i) lines += "Trailer-Name: value\r\n";
             return lines;
           }() +
           "\r\n",
       431},
  };
  for (const Case& c : cases) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, c.bytes.size()}) {
      const Outcome outcome = gather(c.bytes, step);
      EXPECT_EQ(outcome.state, RequestGatherer::State::kRefused) << c.name << " in pieces of " << step;
      EXPECT_EQ(outcome.status, c.status) << c.name << " in pieces of " << step;
    }
  }
}

TEST(RequestGatherer, HoldsToItsLimitsAndTakesWhatFits) {
  GatherLimits limits;
  const auto status_of = [&limits](const std::string& bytes, std::size_t step) {
    return gather(bytes, step, limits).status;
  };
  for (const std::size_t step : {std::size_t{1}, std::size_t{1000}, std::size_t{100'000}}) {
    EXPECT_EQ(status_of(get("/" + std::string(limits.target_bytes - 1, 'a')), step), 0);
    EXPECT_EQ(status_of(get("/" + std::string(limits.target_bytes, 'a')), step), 414);
    EXPECT_EQ(status_of("GET /" + std::string(100'000, 'a'), step), 414) << "refused before its end";

    const std::string frame = get("/", "X: \r\n");
    EXPECT_EQ(status_of(get("/", "X: " + std::string(limits.head_bytes - frame.size(), 'a') + "\r\n"), step), 0);
    EXPECT_EQ(status_of(get("/", "X: " + std::string(limits.head_bytes - frame.size() + 1, 'a') + "\r\n"), step), 431);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'a'), step), 431) << "refused before its end";

    std::string many;
    for (std::size_t i = 0; i + 1 < limits.headers; ++i) many += "A: b\r\n";
    EXPECT_EQ(status_of(get("/", many), step), 0);
    EXPECT_EQ(status_of(get("/", many + "A: b\r\n"), step), 431);
  }

  limits.body_bytes = 100;
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(gather(post + "Content-Length: 100\r\n\r\n" + std::string(100, 'b'), 33, limits).request.body.size(), 100u);
  EXPECT_EQ(status_of(post + "Content-Length: 101\r\n\r\n", 1000), 413) << "at its claim, not after its bytes";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(gather(chunked + "32\r\n" + std::string(50, 'b') + "\r\n32\r\n" + std::string(50, 'b') + "\r\n0\r\n\r\n", 9,
                   limits)
                .request.body.size(),
            100u);
  EXPECT_EQ(status_of(chunked + "32\r\n" + std::string(50, 'b') + "\r\n33\r\n", 1000), 413)
      << "at its claim, not after its bytes";
}

TEST(RequestGatherer, KnowsWhetherTheConnectionStays) {
  const auto stays = [](const std::string& bytes) {
    const Outcome outcome = gather(bytes, 1000);
    EXPECT_EQ(outcome.state, RequestGatherer::State::kComplete);
    return outcome.keep_alive;
  };
  EXPECT_TRUE(stays(get("/")));
  EXPECT_FALSE(stays(get("/", "Connection: close\r\n")));
  EXPECT_FALSE(stays(get("/", "Connection: TE, Close\r\n")));
  EXPECT_FALSE(stays("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(stays("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
  EXPECT_TRUE(stays("\r\n" + get("/"))) << "one empty line before a request is to be ignored (RFC 9112, 2.2)";
}

TEST(RequestGatherer, AsksForTheBodyOnce) {
  const GatherLimits limits;
  RequestGatherer gatherer(limits);
  gatherer.feed("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(gatherer.state(), RequestGatherer::State::kBody);
  EXPECT_TRUE(gatherer.take_expect_continue());
  EXPECT_FALSE(gatherer.take_expect_continue());
  gatherer.feed("ok");
  EXPECT_EQ(gatherer.take().body, "ok");

  RequestGatherer without_body(limits);
  without_body.feed(get("/", "Expect: 100-continue\r\n"));
  EXPECT_FALSE(without_body.take_expect_continue());
}

}  // namespace
}  // namespace st8::http
