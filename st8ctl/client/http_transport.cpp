#include "client/http_transport.h"

#include <chrono>
#include <utility>

#include "client/http_parser.h"

namespace st8::ctl {
namespace {

using Clock = std::chrono::steady_clock;

class HttpTransport : public Transport {
 public:
  HttpTransport(HttpOptions options, Address address) : options_(std::move(options)), address_(std::move(address)) {}

  Result<HttpResponse> send(const HttpRequest& request, const TransferOptions& transfer) override {
    const bool kept = connection_ != nullptr;
    bool answer_begun = false;
    Result<HttpResponse> response = attempt(request, transfer, answer_begun);
    // A kept connection may have been closed just as the request was sent: that says nothing of the server.
    if (!response && kept && !answer_begun && request.safe_to_repeat && !timed_out_)
      response = attempt(request, transfer, answer_begun);
    return response;
  }

  std::string address() const override { return options_.url; }

 private:
  Result<HttpResponse> attempt(const HttpRequest& request, const TransferOptions& transfer, bool& answer_begun) {
    timed_out_ = false;
    Deadline deadline;
    if (options_.timeout_ms > 0) deadline = Clock::now() + std::chrono::milliseconds(options_.timeout_ms);
    if (connection_ == nullptr) {
      ST8_ASSIGN(connection_, connect_to(address_, options_.tls, deadline));
    }
    Result<HttpResponse> response = exchange(request, transfer, deadline, answer_begun);
    if (!response) connection_.reset();
    return response;
  }

  std::string head_of(const HttpRequest& request) const {
    std::string head = request.method + " " + address_.base_path + request.target +
                       " HTTP/1.1\r\nHost: " + address_.authority + "\r\nUser-Agent: st8ctl\r\n";
    for (const auto& [name, value] : request.headers) head += name + ": " + value + "\r\n";
    if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) {
      head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
    }
    return head + "\r\n";
  }

  tl::unexpected<Error> late(const HttpRequest& request, bool sent) {
    timed_out_ = true;
    const std::string within = std::to_string(options_.timeout_ms) + " ms";
    if (sent && !request.safe_to_repeat) {
      return fail(ErrorCode::kOutcomeUnknown,
                  "no answer from " + options_.url + " within " + within + "; the change may have been made",
                  "look with `st8ctl log` before trying again, or try again with the same --idempotency-key");
    }
    return fail(ErrorCode::kUnavailable, "no answer from " + options_.url + " within " + within,
                "give more time with --timeout");
  }

  tl::unexpected<Error> lost(const HttpRequest& request, const std::string& why, bool sent) const {
    if (sent && !request.safe_to_repeat) {
      return fail(ErrorCode::kOutcomeUnknown,
                  "the answer of " + options_.url + " did not come: " + why + "; the change may have been made",
                  "look with `st8ctl log` before trying again, or try again with the same --idempotency-key");
    }
    return fail(ErrorCode::kUnavailable, "the answer of " + options_.url + " did not come: " + why,
                "is st8d running? try again");
  }

  Result<HttpResponse> exchange(const HttpRequest& request, const TransferOptions& transfer, Deadline deadline,
                                bool& answer_begun) {
    std::string body;
    HttpResponseParser parser(request.method == "HEAD", [&](const HttpResponse& response, std::string_view piece) {
      if (transfer.sink && response.status >= 200 && response.status < 300) return transfer.sink(piece);
      body += piece;
      return true;
    });
    std::string head = head_of(request);
    std::string_view rest = request.body;
    // A small request leaves in one piece.
    if (head.size() + rest.size() <= 16u << 10) {
      head += rest;
      rest = {};
    }
    std::string_view rest_of_head = head;
    bool whole = false;
    bool can_write = true;
    std::string buffer(64u << 10, '\0');
    while (!whole) {
      while (can_write && (!rest_of_head.empty() || !rest.empty())) {
        std::string_view& part = rest_of_head.empty() ? rest : rest_of_head;
        auto put = connection_->write(part.substr(0, 256u << 10));
        if (!put) {
          // The server may have answered (too large, say) and closed before it read everything: its answer matters more.
          can_write = false;
          rest_of_head = rest = {};
          write_error_ = put.error().message;
          break;
        }
        if (!*put) break;
        part.remove_prefix(**put);
        if (transfer.on_sent) transfer.on_sent(request.body.size() - rest.size());
      }
      const bool sent = rest_of_head.empty() && rest.empty();
      auto got = connection_->read(buffer.data(), buffer.size());
      if (!got) {
        if (!can_write && !parser.begun()) return lost(request, write_error_, false);
        return lost(request, got.error().message, true);
      }
      if (*got && **got == 0) {
        ST8_ASSIGN(whole, parser.end());
        if (!whole) {
          answer_begun = parser.begun();
          return lost(request, can_write ? "the connection was closed" : write_error_, sent && can_write);
        }
        connection_.reset();
        break;
      }
      if (*got) {
        answer_begun = true;
        Result<bool> fed = parser.feed(std::string_view(buffer).substr(0, **got));
        if (!fed) {
          if (!request.safe_to_repeat) return fail(ErrorCode::kOutcomeUnknown, fed.error().message, fed.error().hint);
          return fail(fed.error());
        }
        whole = *fed;
        if (transfer.on_received) transfer.on_received(parser.body_received(), parser.body_total());
        // A stream that has begun lives as long as something comes.
        if (transfer.silence_ms_max > 0 && parser.has_head())
          deadline = Clock::now() + std::chrono::milliseconds(transfer.silence_ms_max);
        continue;
      }
      const bool idles = transfer.on_idle && transfer.idle_ms > 0 && parser.has_head();
      Deadline until = deadline;
      if (idles) {
        const auto tick = Clock::now() + std::chrono::milliseconds(transfer.idle_ms);
        until = deadline ? std::min(*deadline, tick) : tick;
      }
      ST8_ASSIGN(const bool ready, connection_->wait(true, !sent, until));
      if (!ready && idles && (!deadline || Clock::now() < *deadline)) {
        if (transfer.on_idle()) continue;
        connection_.reset();
        break;
      }
      if (!ready) {
        if (transfer.silence_ms_max > 0 && parser.has_head()) return lost(request, "nothing came for too long", true);
        return late(request, sent);
      }
    }
    HttpResponse response = std::move(parser.response());
    response.body = std::move(body);
    if (connection_ != nullptr && (!parser.reusable() || !rest.empty() || !can_write)) connection_.reset();
    return response;
  }

  HttpOptions options_;
  Address address_;
  std::unique_ptr<Connection> connection_;
  std::string write_error_;
  bool timed_out_ = false;
};

}  // namespace

Result<std::unique_ptr<Transport>> make_http_transport(HttpOptions options) {
  ST8_ASSIGN(Address address, parse_address(options.url));
  return std::unique_ptr<Transport>(std::make_unique<HttpTransport>(std::move(options), std::move(address)));
}

}  // namespace st8::ctl
