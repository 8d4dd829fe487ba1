// The request gatherer: bytes from anyone. However they are cut, the gatherer must come to the same end, stay within its
// limits, and give only what a handler may take for granted.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/request_gatherer.h"

namespace {

using st8::http::GatherLimits;
using st8::http::Request;
using st8::http::RequestGatherer;

void require(bool holds) {
  if (!holds) std::abort();
}

// One request of a connection, or the refusal that ended it.
struct Seen {
  int status = 0;
  std::string method, path, body;
  std::vector<std::pair<std::string, std::string>> query, headers;
  bool keep_alive = false;
  bool operator==(const Seen&) const = default;
};

void check(const Request& request, const GatherLimits& limits) {
  require(!request.method.empty());
  require(request.path == "*" || request.path.starts_with('/'));
  require(request.path.find('\0') == std::string::npos && request.path.size() <= limits.target_bytes);
  require(request.headers.size() <= limits.headers && request.body.size() <= limits.body_bytes);
  bool length = false;
  bool chunked = false;
  for (const auto& [name, value] : request.headers) {
    require(!name.empty());
    for (const char c : name) require(c > 0x20 && c < 0x7f && c != ':' && !(c >= 'A' && c <= 'Z'));
    for (const char c : value) require(c != '\r' && c != '\n' && c != '\0');
    length = length || name == "content-length";
    chunked = chunked || name == "transfer-encoding";
  }
  require(!(length && chunked));
  if (length)
    require(std::to_string(request.body.size()) ==
            std::to_string(std::stoull(std::string(request.header("content-length")))));
  if (!length && !chunked) require(request.body.empty());
}

std::vector<Seen> run(std::string_view bytes, std::size_t step, const GatherLimits& limits) {
  std::vector<Seen> all;
  RequestGatherer gatherer(limits);
  while (!bytes.empty()) {
    const std::string piece(bytes.substr(0, step));
    std::string_view rest = piece;
    bytes.remove_prefix(piece.size());
    while (!rest.empty()) {
      const std::size_t taken = gatherer.feed(rest);
      require(taken <= rest.size());
      rest.remove_prefix(taken);
      if (gatherer.state() == RequestGatherer::State::kRefused) {
        const int status = gatherer.refusal().status;
        require(status >= 400 && status < 600 && !gatherer.refusal().detail.empty());
        Seen refused;
        refused.status = status;
        all.push_back(refused);
        return all;
      }
      if (gatherer.state() != RequestGatherer::State::kComplete) {
        require(rest.empty());
        break;
      }
      Seen seen;
      seen.keep_alive = gatherer.keep_alive();
      Request request = gatherer.take();
      check(request, limits);
      seen.method = std::move(request.method);
      seen.path = std::move(request.path);
      seen.body = std::move(request.body);
      seen.query = std::move(request.query);
      seen.headers = std::move(request.headers);
      all.push_back(std::move(seen));
    }
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  GatherLimits limits;
  limits.head_bytes = 2048;
  limits.target_bytes = 512;
  limits.headers = 16;
  limits.body_bytes = 4096;
  limits.trailer_bytes = 256;
  const std::vector<Seen> whole = run(bytes, size + 1, limits);
  // A refusal may come sooner in small pieces than in one, but never in place of another answer.
  for (const std::size_t step : {std::size_t{1}, std::size_t{3}, std::size_t{64}}) {
    const std::vector<Seen> cut = run(bytes, step, limits);
    require(cut.size() == whole.size());
    for (std::size_t i = 0; i < cut.size(); ++i) {
      require((cut[i].status == 0) == (whole[i].status == 0));
      if (cut[i].status == 0) require(cut[i] == whole[i]);
    }
  }
  return 0;
}
