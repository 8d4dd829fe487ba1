#include "http/request_gatherer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "http/request_target.h"

namespace st8::http {
namespace {

constexpr std::size_t kMethodBytesMax = 32;
constexpr std::size_t kChunkLineBytesMax = 256;
constexpr std::size_t kBodyReserveMax = 1u << 20;
constexpr std::size_t kHeadersFew = 8;  // Of most requests.

// RFC 9110 section 5.6.2.
constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kToken = make_token_table();

bool is_token(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Bytes that a field value may hold: no controls but the tab (RFC 9110 section 5.5).
bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

// Calls `visit` with each element of a comma-separated list.
template <class Visit>
void for_each_element(std::string_view list, Visit visit) {
  while (true) {
    const std::size_t comma = list.find(',');
    visit(trimmed(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

void RequestGatherer::refuse(int status, std::string_view detail) {
  state_ = State::kRefused;
  refusal_ = {status, detail};
  keep_alive_ = false;
}

bool RequestGatherer::take_expect_continue() { return std::exchange(expect_continue_, false); }

void RequestGatherer::take(Request& into) {
  into.method.swap(request_.method);
  into.path.swap(request_.path);
  into.query.swap(request_.query);
  into.headers.swap(request_.headers);
  into.body.swap(request_.body);
  *this = RequestGatherer(*limits_);
}

std::size_t RequestGatherer::feed(std::string_view bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size() && (state_ == State::kHead || state_ == State::kBody)) {
    taken += state_ == State::kHead ? feed_head(bytes.substr(taken)) : feed_body(bytes.substr(taken));
  }
  return taken;
}

std::size_t RequestGatherer::feed_head(std::string_view bytes) {
  started_ = true;
  const std::size_t before = head_.size();
  std::string_view window = bytes;
  if (before > 0) {
    // One byte beyond the limit is enough to know that it is exceeded.
    head_.append(bytes.substr(0, limits_->head_bytes + 1 - before));
    window = head_;
  }
  window = window.substr(0, limits_->head_bytes + 1);

  while (true) {
    const std::size_t newline = window.find('\n', scanned_);
    if (newline == std::string_view::npos) break;
    if (newline == line_start_ || window[newline - 1] != '\r') {
      refuse(400, "a line of the request head does not end in CRLF");
      return bytes.size();
    }
    const std::string_view line = window.substr(line_start_, newline - 1 - line_start_);
    line_start_ = scanned_ = newline + 1;
    if (line.empty() && lines_ > 0) {
      const std::size_t end = newline + 1;
      if (end > limits_->head_bytes) break;
      finish_head();
      head_.clear();
      return end - before;
    }
    if (line.empty()) {
      // RFC 9112 section 2.2: one empty line before the request line is to be ignored; more is noise.
      if (begin_ > 0) {
        refuse(400, "empty lines stand before the request line");
        return bytes.size();
      }
      begin_ = newline + 1;
      continue;
    }
    // Lines are read as they come, so that what is wrong is refused at once and however the head is cut.
    if (!(lines_ == 0 ? parse_request_line(line) : parse_header(line))) return bytes.size();
    ++lines_;
  }

  const std::string_view unfinished = window.substr(begin_);
  if (lines_ == 0) {
    // Speaks something else, TLS for example: say so now and not at the deadline.
    const std::string_view method = unfinished.substr(0, std::min(unfinished.find(' '), kMethodBytesMax + 1));
    if (!method.empty() && !is_token(method) && method != "\r") {
      refuse(400, "the request line does not begin with a method");
      return bytes.size();
    }
    if (unfinished.size() > limits_->target_bytes + kMethodBytesMax + 16) {
      refuse(414, "the request target is too long");
      return bytes.size();
    }
  }
  if (window.size() > limits_->head_bytes) {
    refuse(431, "the request head is too large");
    return bytes.size();
  }
  scanned_ = window.size();
  if (before == 0) head_.assign(window);
  return bytes.size();
}

void RequestGatherer::finish_head() {
  if (!settle_framing()) return;
  if (!chunked_ && remaining_ == 0) {
    expect_continue_ = false;
    state_ = State::kComplete;
    return;
  }
  state_ = State::kBody;
  part_ = chunked_ ? BodyPart::kChunkSize : BodyPart::kLength;
  // The claim of a length earns no more memory than this before bytes come.
  if (!chunked_) request_.body.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, kBodyReserveMax)));
}

bool RequestGatherer::parse_request_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    refuse(400, "the request line is not a method, a target and a version");
    return false;
  }
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method) || method.size() > kMethodBytesMax) {
    refuse(400, "the request method is not a token");
    return false;
  }
  request_.method = method;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    if (version.starts_with("HTTP/")) {
      refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    } else {
      refuse(400, "the request line does not end in an HTTP version");
    }
    return false;
  }
  http_1_0_ = version == "HTTP/1.0";
  keep_alive_ = !http_1_0_;
  if (target.size() > limits_->target_bytes) {
    refuse(414, "the request target is too long");
    return false;
  }
  if (method == "CONNECT") {
    refuse(501, "this server is no proxy");
    return false;
  }
  auto parsed = parse_request_target(target);
  if (!parsed) {
    refuse(400, "the request target is malformed");
    return false;
  }
  request_.headers.reserve(kHeadersFew);
  request_.path = std::move(parsed->path);
  request_.query = std::move(parsed->query);
  return true;
}

bool RequestGatherer::parse_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  // A leading blank (a folded line) and a blank before the colon fail the token test as well.
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    refuse(400, line.front() == ' ' || line.front() == '\t' ? "folded header lines are not accepted"
                                                            : "a header line is not a name, a colon and a value");
    return false;
  }
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (!is_field_value(value)) {
    refuse(400, "a header value has control characters in it");
    return false;
  }
  if (request_.headers.size() == limits_->headers) {
    refuse(431, "the request has too many headers");
    return false;
  }
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), lower);
  request_.headers.emplace_back(std::move(name), value);
  return true;
}

// Decides how long the body is and whether the connection stays, from all headers together.
bool RequestGatherer::settle_framing() {
  std::size_t hosts = 0;
  for (const auto& [name, value] : request_.headers) {
    switch (name.size()) {
      case 4:
        if (name == "host") ++hosts;
        break;
      case 6:
        if (name == "expect") {
          if (!equals_ignoring_case(value, "100-continue")) {
            refuse(417, "the only expectation known is 100-continue");
            return false;
          }
          expect_continue_ = !http_1_0_;
        }
        break;
      case 10:
        if (name == "connection") {
          for_each_element(value, [this](std::string_view option) {
            if (equals_ignoring_case(option, "close")) keep_alive_ = false;
            if (http_1_0_ && equals_ignoring_case(option, "keep-alive")) keep_alive_ = true;
          });
        }
        break;
      case 14:
        if (name == "content-length") {
          if (has_length_) {
            refuse(400, "Content-Length is given twice");
            return false;
          }
          has_length_ = true;
          const char* end = value.data() + value.size();
          const bool digits =
              !value.empty() && std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
          if (!digits) {
            refuse(400, "Content-Length is not a number");
            return false;
          }
          if (std::from_chars(value.data(), end, remaining_).ec != std::errc()) remaining_ = UINT64_MAX;
        }
        break;
      case 17:
        if (name == "transfer-encoding") {
          if (chunked_ || !equals_ignoring_case(value, "chunked")) {
            refuse(501, "the only transfer coding known is chunked, given once");
            return false;
          }
          chunked_ = true;
        }
        break;
      default:
        break;
    }
  }
  if (hosts > 1 || (hosts == 0 && !http_1_0_)) {
    refuse(400, "a request needs exactly one Host header");
    return false;
  }
  if (chunked_ && (has_length_ || http_1_0_)) {
    refuse(400, "the length of the body is given in two ways, or in one that HTTP/1.0 does not know");
    return false;
  }
  if (!chunked_ && remaining_ > limits_->body_bytes) {
    refuse(413, "the request body is too large");
    return false;
  }
  return true;
}

std::size_t RequestGatherer::feed_line(std::string_view bytes, std::size_t limit, bool& complete) {
  complete = false;
  const std::size_t newline = bytes.find('\n');
  const std::size_t taken = newline == std::string_view::npos ? bytes.size() : newline + 1;
  if (line_.size() + taken > limit + 2) {
    refuse(400, "a chunk line is too long");
    return bytes.size();
  }
  line_.append(bytes.substr(0, taken));
  if (newline == std::string_view::npos) return taken;
  if (!line_.ends_with("\r\n")) {
    refuse(400, "a chunk line does not end in CRLF");
    return bytes.size();
  }
  line_.resize(line_.size() - 2);
  complete = true;
  return taken;
}

std::size_t RequestGatherer::feed_body(std::string_view bytes) {
  switch (part_) {
    case BodyPart::kLength:
    case BodyPart::kChunkData: {
      const auto taken = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), remaining_));
      request_.body.append(bytes.substr(0, taken));
      remaining_ -= taken;
      if (remaining_ == 0) {
        if (part_ == BodyPart::kLength) {
          state_ = State::kComplete;
        } else {
          part_ = BodyPart::kChunkEnd;
        }
      }
      return taken;
    }
    case BodyPart::kChunkSize: {
      bool complete = false;
      const std::size_t taken = feed_line(bytes, kChunkLineBytesMax, complete);
      if (!complete) return taken;
      // Extensions mean nothing to us, but what stands in them is still checked.
      std::string_view size = line_;
      const std::size_t semicolon = size.find(';');
      if (semicolon != std::string_view::npos && !is_field_value(size.substr(semicolon))) {
        refuse(400, "a chunk extension has control characters in it");
        return bytes.size();
      }
      size = trimmed(size.substr(0, semicolon));
      std::uint64_t value = 0;
      const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), value, 16);
      if (size.empty() || size.size() > 15 || error != std::errc() || end != size.data() + size.size() ||
          size.front() == '-') {
        refuse(400, "a chunk size is not a hexadecimal number");
        return bytes.size();
      }
      line_.clear();
      if (value > limits_->body_bytes || request_.body.size() + value > limits_->body_bytes) {
        refuse(413, "the request body is too large");
        return bytes.size();
      }
      remaining_ = value;
      part_ = value == 0 ? BodyPart::kTrailer : BodyPart::kChunkData;
      return taken;
    }
    case BodyPart::kChunkEnd: {
      bool complete = false;
      const std::size_t taken = feed_line(bytes, 0, complete);
      if (!complete) return taken;
      line_.clear();
      part_ = BodyPart::kChunkSize;
      return taken;
    }
    case BodyPart::kTrailer: {
      bool complete = false;
      const std::size_t taken = feed_line(bytes, limits_->trailer_bytes, complete);
      trailer_bytes_ += taken;
      if (state_ != State::kRefused && trailer_bytes_ > limits_->trailer_bytes) {
        refuse(431, "the trailers are too large");
        return bytes.size();
      }
      if (!complete) return taken;
      if (line_.empty()) {
        state_ = State::kComplete;
        return taken;
      }
      const std::size_t colon = line_.find(':');
      if (colon == std::string::npos || !is_token(std::string_view(line_).substr(0, colon)) ||
          !is_field_value(std::string_view(line_).substr(colon + 1))) {
        refuse(400, "a trailer line is not a name, a colon and a value");
        return bytes.size();
      }
      line_.clear();
      return taken;
    }
  }
  return bytes.size();
}

}  // namespace st8::http
