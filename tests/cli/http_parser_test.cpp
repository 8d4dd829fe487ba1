#include "client/http_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace st8::ctl {
namespace {

using testing::HasSubstr;

struct Read {
  bool whole = false;
  int status = 0;
  std::string body;
  bool reusable = false;
  std::string error;
};

// Feeds `bytes` in pieces of `step`, then the end of the connection when `closes`.
Read read(const std::string& bytes, std::size_t step, bool closes = false, bool head_only = false) {
  Read read;
  HttpResponseParser parser(head_only, [&](const HttpResponse&, std::string_view piece) {
    read.body += piece;
    return true;
  });
  for (std::size_t at = 0; at < bytes.size() && !read.whole; at += step) {
    const Result<bool> fed = parser.feed(std::string_view(bytes).substr(at, step));
    if (!fed) {
      read.error = fed.error().message;
      return read;
    }
    read.whole = *fed;
  }
  if (!read.whole && closes) {
    const Result<bool> ended = parser.end();
    read.whole = ended && *ended;
  }
  read.status = parser.response().status;
  read.reusable = parser.reusable();
  return read;
}

TEST(HttpParser, ReadsTheSameHoweverTheBytesCome) {
  const std::string length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello";
  const std::string chunked =
      "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
  const std::string informed = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Length: 5\n\nhello";
  for (const std::string* bytes : {&length, &chunked, &informed}) {
    for (std::size_t step = 1; step <= bytes->size(); ++step) {
      const Read one = read(*bytes, step);
      ASSERT_EQ(one.error, "") << step;
      ASSERT_TRUE(one.whole) << step << "\n" << *bytes;
      ASSERT_EQ(one.body, "hello") << step;
      ASSERT_TRUE(one.reusable) << step;
    }
    // Anything less is not whole, even when the connection ends.
    for (std::size_t cut = 1; cut < bytes->size(); ++cut)
      ASSERT_FALSE(read(bytes->substr(0, cut), 7, true).whole) << cut;
  }
}

TEST(HttpParser, ABodyWithoutLengthEndsWithTheConnection) {
  const Read one = read("HTTP/1.0 200 OK\r\n\r\nhello", 4, true);
  EXPECT_TRUE(one.whole);
  EXPECT_EQ(one.body, "hello");
  EXPECT_FALSE(one.reusable);
}

TEST(HttpParser, AnswersWithoutABody) {
  EXPECT_TRUE(read("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 100).whole);
  EXPECT_TRUE(read("HTTP/1.1 304 Not Modified\r\n\r\n", 100).whole);
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 100, false, true).whole);
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 100).reusable);
}

TEST(HttpParser, WhatFollowsAnAnswerMakesTheConnectionUnfit) {
  EXPECT_FALSE(read("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n", 100).reusable);
}

TEST(HttpParser, RefusesWhatIsNoHttp) {
  for (const char* bytes :
       {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 200\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"}) {
    for (const std::size_t step : {1u, 1000u}) EXPECT_NE(read(bytes, step).error, "") << bytes;
  }
}

TEST(HttpParser, BoundsTheHead) {
  const std::string endless = "HTTP/1.1 200 OK\r\nX: " + std::string(HttpResponseParser::kHeadBytesMax, 'x');
  EXPECT_THAT(read(endless, 65536).error, HasSubstr("longer than"));
}

TEST(HttpParser, AReaderMayEndABody) {
  std::string body;
  HttpResponseParser parser(false, [&](const HttpResponse&, std::string_view piece) {
    body += piece;
    return false;
  });
  const Result<bool> fed = parser.feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel");
  ASSERT_TRUE(fed && *fed);
  EXPECT_EQ(body, "hel");
  EXPECT_TRUE(parser.stopped());
  EXPECT_FALSE(parser.reusable());
}

TEST(PercentEncoding, KeepsWhatNeedsNone) {
  EXPECT_EQ(percent_encoded("a/b c~d.e_f-\u00e4%", true), "a/b%20c~d.e_f-%C3%A4%25");
  EXPECT_EQ(percent_encoded("a/b", false), "a%2Fb");
}

}  // namespace
}  // namespace st8::ctl
