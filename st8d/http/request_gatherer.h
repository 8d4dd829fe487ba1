// Gathers one HTTP/1.x request from bytes as they come, without a thread, without a socket.
//
// It is strict, because what two parties read differently is how requests are smuggled: line ends are CRLF, a message
// has one length, names are tokens, folded lines are refused (RFC 9112, sections 2.2, 5.1, 5.2, 6.3). What it refuses
// it refuses as soon as the bytes say so: a body too large at its Content-Length, not after its bytes.
//
// Why not cpp-httplib's parser: it reads a request with one virtual call a byte and answers through a stringstream
// (7 µs a request, where all else that st8 does for a read costs less), matches the Range header with a recursive
// std::regex, refuses descriptors above 1023, and changes what it reads ("a=b=c" becomes "c", a second equal pair is
// dropped, "%u0041" is taken). Each of these had to be refused before it, by a parser as large as this one.
//
// Not thread-safe; holds at most the head limit and the body limit in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace st8::http {

struct GatherLimits {
  std::size_t head_bytes = 16u << 10;    // Request line and headers; beyond: 431.
  std::size_t target_bytes = 8u << 10;   // Beyond: 414.
  std::size_t headers = 100;             // Beyond: 431.
  std::size_t body_bytes = 20u << 20;    // Beyond: 413.
  std::size_t trailer_bytes = 4u << 10;  // Trailers of a chunked body; read and dropped. Beyond: 431.
};

class RequestGatherer {
 public:
  enum class State : std::uint8_t {
    kHead,      // Waiting for the end of the head.
    kBody,      // The head is known (head() may be asked), the body is not complete.
    kComplete,  // take() gives the request.
    kRefused,   // refusal() says why; nothing more is taken, and the connection cannot be used for another request.
  };
  struct Refusal {
    int status = 400;
    std::string_view detail;  // Static text.
  };

  explicit RequestGatherer(const GatherLimits& limits) : limits_(&limits) {}  // `limits` outlives the gatherer.

  // Takes bytes up to the end of this request and answers how many; what follows belongs to the next one.
  std::size_t feed(std::string_view bytes);

  State state() const { return state_; }
  // Whether a byte of a request has come. False: the connection is idle.
  bool started() const { return started_; }
  const Refusal& refusal() const { return refusal_; }
  // True once when the client waits for "100 Continue" before it sends the body.
  bool take_expect_continue();
  // Whether the client will keep the connection for another request.
  bool keep_alive() const { return keep_alive_; }
  // HTTP/1.0 knows no chunked transfer.
  bool http_1_0() const { return http_1_0_; }
  std::size_t body_bytes() const { return request_.body.size(); }

  // What is known of the request so far (for logs of refused ones); whole in kComplete.
  const Request& request() const { return request_; }
  // In kComplete or kRefused: gives what it has of the request to one that is as new, and is ready for the next.
  void take(Request& into);
  Request take() {
    Request request;
    take(request);
    return request;
  }

 private:
  enum class BodyPart : std::uint8_t { kLength, kChunkSize, kChunkData, kChunkEnd, kTrailer };

  std::size_t feed_head(std::string_view bytes);
  std::size_t feed_body(std::string_view bytes);
  // Adds bytes to line_ up to CRLF; `complete` says that the line is whole, without its CRLF.
  std::size_t feed_line(std::string_view bytes, std::size_t limit, bool& complete);
  void finish_head();
  bool parse_request_line(std::string_view line);
  bool parse_header(std::string_view line);
  bool settle_framing();
  void refuse(int status, std::string_view detail);

  const GatherLimits* limits_;
  State state_ = State::kHead;
  BodyPart part_ = BodyPart::kLength;
  bool started_ = false;
  bool keep_alive_ = false;
  bool http_1_0_ = false;
  bool expect_continue_ = false;
  bool chunked_ = false;
  bool has_length_ = false;
  std::size_t lines_ = 0;  // Complete lines of the head seen so far.
  std::size_t begin_ = 0;  // Where the request line begins in head_, after an empty line.
  std::size_t line_start_ = 0;
  std::size_t scanned_ = 0;      // No line end before this; so that a slow head is not searched again and again.
  std::uint64_t remaining_ = 0;  // Of the body or chunk.
  std::size_t trailer_bytes_ = 0;
  std::string head_;  // Only when the head came in pieces.
  std::string line_;  // A chunk-size or trailer line that came in pieces.
  Request request_;
  Refusal refusal_;
};

}  // namespace st8::http
