#include "client/http_parser.h"

#include <charconv>

#include "render/output.h"

namespace st8::ctl {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

tl::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorCode::kUnavailable, "the server's answer is not HTTP: " + why,
              "is the address that of st8d, and http or https right?");
}

// The line that `text` begins with, without its end; nullopt when it is not whole. Bare line feeds are accepted, as RFC 9112
// allows a recipient to.
std::optional<std::string_view> next_line(std::string_view text, std::size_t& consumed) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  consumed = end + 1;
  std::string_view line = text.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

std::string_view HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

std::string percent_encoded(std::string_view text, bool keep_slash) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '.' || c == '_' || c == '~' || (keep_slash && c == '/');
    if (unreserved) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

bool HttpResponseParser::deliver(std::string_view piece) {
  received_ += piece.size();
  if (!piece.empty() && !on_body_(response_, piece)) stopped_ = true;
  return !stopped_;
}

Result<bool> HttpResponseParser::parse_head() {
  while (true) {
    // The head ends with an empty line; looked for as lines, so that either line end counts.
    std::size_t at = 0;
    std::size_t consumed = 0;
    bool whole = false;
    while (auto line = next_line(std::string_view(pending_).substr(at), consumed)) {
      at += consumed;
      if (line->empty()) {
        whole = true;
        break;
      }
    }
    if (!whole) {
      if (pending_.size() > kHeadBytesMax) return malformed("its head is longer than " + human_bytes(kHeadBytesMax));
      if (!std::string_view("HTTP/").starts_with(std::string_view(pending_).substr(0, 5)))
        return malformed("it begins with " + quote(pending_.substr(0, 16)));
      return false;
    }
    if (at > kHeadBytesMax) return malformed("its head is longer than " + human_bytes(kHeadBytesMax));
    std::string_view head = std::string_view(pending_).substr(0, at);
    const std::string_view status_line = *next_line(head, consumed);
    head.remove_prefix(consumed);
    // HTTP/1.x SP three digits
    if (status_line.size() < 12 || !status_line.starts_with("HTTP/1.") || status_line[8] != ' ') {
      return malformed("it begins with " + quote(status_line.substr(0, 40)));
    }
    int status = 0;
    const auto [end, error] = std::from_chars(status_line.data() + 9, status_line.data() + 12, status);
    if (error != std::errc() || end != status_line.data() + 12 || status < 100) {
      return malformed("its status line is " + quote(status_line.substr(0, 40)));
    }
    response_.status = status;
    response_.headers.clear();
    keep_alive_ = status_line[7] != '0';
    bool chunked = false;
    std::optional<std::uint64_t> length;
    while (auto line = next_line(head, consumed)) {
      head.remove_prefix(consumed);
      if (line->empty()) break;
      const std::size_t colon = line->find(':');
      if (colon == std::string_view::npos || colon == 0)
        return malformed("a header field is " + quote(line->substr(0, 40)));
      std::string name = lowered(line->substr(0, colon));
      const std::string_view value = trimmed(line->substr(colon + 1));
      if (name == "transfer-encoding") {
        if (lowered(value) != "chunked") return malformed("its transfer encoding is " + quote(value));
        chunked = true;
      } else if (name == "content-length") {
        std::uint64_t number = 0;
        const auto parsed = std::from_chars(value.data(), value.data() + value.size(), number);
        if (value.empty() || parsed.ec != std::errc() || parsed.ptr != value.data() + value.size() ||
            (length && *length != number)) {
          return malformed("its length is " + quote(value));
        }
        length = number;
      } else if (name == "connection") {
        const std::string tokens = lowered(value);
        if (tokens.find("close") != std::string::npos) keep_alive_ = false;
        if (tokens.find("keep-alive") != std::string::npos) keep_alive_ = true;
      }
      response_.headers.emplace_back(std::move(name), std::string(value));
    }
    pending_.erase(0, at);
    if (status < 200) continue;  // 100 Continue and the like: the answer follows.
    if (head_only_ || status == 204 || status == 304) {
      state_ = State::kDone;
    } else if (chunked) {
      state_ = State::kChunkSize;
    } else if (length) {
      total_ = remaining_ = *length;
      state_ = remaining_ == 0 ? State::kDone : State::kLength;
    } else {
      keep_alive_ = false;
      state_ = State::kUntilClose;
    }
    return true;
  }
}

Result<bool> HttpResponseParser::feed(std::string_view bytes) {
  begun_ = begun_ || !bytes.empty();
  // A body by length goes straight through; the rest is gathered.
  if (state_ == State::kLength && pending_.empty()) {
    const std::string_view piece =
        bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, bytes.size())));
    remaining_ -= piece.size();
    if (!deliver(piece)) return true;
    if (remaining_ == 0) state_ = State::kDone;
    bytes.remove_prefix(piece.size());
    if (bytes.empty()) return state_ == State::kDone;
  }
  pending_ += bytes;
  while (state_ != State::kDone) {
    switch (state_) {
      case State::kHead: {
        ST8_ASSIGN(const bool whole, parse_head());
        if (!whole) return false;
        break;
      }
      case State::kLength:
      case State::kChunk: {
        if (pending_.empty()) return false;
        const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, pending_.size()));
        remaining_ -= here;
        const bool more = deliver(std::string_view(pending_).substr(0, here));
        pending_.erase(0, here);
        if (!more) return true;
        if (remaining_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
        break;
      }
      case State::kUntilClose: {
        const bool more = deliver(pending_);
        pending_.clear();
        return !more;
      }
      case State::kChunkSize: {
        std::size_t consumed = 0;
        const auto line = next_line(pending_, consumed);
        if (!line) {
          if (pending_.size() > 1024) return malformed("a chunk's size is too long");
          return false;
        }
        const std::string_view digits = trimmed(line->substr(0, line->find(';')));
        std::uint64_t size = 0;
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
        if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) {
          return malformed("a chunk's size is " + quote(line->substr(0, 40)));
        }
        pending_.erase(0, consumed);
        remaining_ = size;
        state_ = size == 0 ? State::kTrailer : State::kChunk;
        break;
      }
      case State::kChunkEnd: {
        std::size_t consumed = 0;
        const auto line = next_line(pending_, consumed);
        if (!line) {
          if (pending_.size() > 2) return malformed("a chunk does not end where it should");
          return false;
        }
        if (!line->empty()) return malformed("a chunk does not end where it should");
        pending_.erase(0, consumed);
        state_ = State::kChunkSize;
        break;
      }
      case State::kTrailer: {
        std::size_t consumed = 0;
        const auto line = next_line(pending_, consumed);
        if (!line) {
          if (pending_.size() > kHeadBytesMax) return malformed("its trailer is too long");
          return false;
        }
        const bool last = line->empty();
        pending_.erase(0, consumed);
        if (last) state_ = State::kDone;
        break;
      }
      case State::kDone:
        break;
    }
  }
  return true;
}

Result<bool> HttpResponseParser::end() {
  if (state_ == State::kUntilClose) state_ = State::kDone;
  return state_ == State::kDone;
}

}  // namespace st8::ctl
