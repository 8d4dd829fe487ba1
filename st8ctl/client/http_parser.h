// Reads one HTTP/1.1 response (RFC 9112) as its bytes come: status line, header fields, and a body by length, in chunks or
// until the connection closes. Strict where laxness lets two readers disagree; every size is bounded but the body's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "client/transport.h"

namespace st8::ctl {

class HttpResponseParser {
 public:
  static constexpr std::size_t kHeadBytesMax = 256u << 10;

  // `head_only`: the request was HEAD. `on_body` gets each piece of the body; false ends the reading.
  HttpResponseParser(bool head_only, std::function<bool(const HttpResponse&, std::string_view)> on_body)
      : head_only_(head_only), on_body_(std::move(on_body)) {}

  // Takes what has come. True: the response is whole, or on_body wanted no more. Errors: kUnavailable for what is no HTTP.
  Result<bool> feed(std::string_view bytes);
  // The connection has ended. True: the response is whole.
  Result<bool> end();

  HttpResponse& response() { return response_; }
  bool begun() const { return begun_; }  // Any byte has come.
  bool has_head() const { return state_ > State::kHead; }
  bool stopped() const { return stopped_; }  // on_body ended it.
  // Whether the connection may carry another request.
  bool reusable() const { return state_ == State::kDone && keep_alive_ && pending_.empty() && !stopped_; }
  std::uint64_t body_received() const { return received_; }
  std::uint64_t body_total() const { return total_; }  // 0: not said.

 private:
  enum class State : unsigned char { kHead, kLength, kChunkSize, kChunk, kChunkEnd, kTrailer, kUntilClose, kDone };

  Result<bool> parse_head();
  bool deliver(std::string_view piece);

  bool head_only_;
  std::function<bool(const HttpResponse&, std::string_view)> on_body_;
  HttpResponse response_;
  State state_ = State::kHead;
  std::string pending_;          // Read and not yet understood.
  std::uint64_t remaining_ = 0;  // Of the body or the chunk.
  std::uint64_t received_ = 0;
  std::uint64_t total_ = 0;
  bool begun_ = false;
  bool keep_alive_ = true;
  bool stopped_ = false;
};

}  // namespace st8::ctl
