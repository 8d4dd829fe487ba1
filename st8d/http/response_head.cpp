#include "http/response_head.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "http/json_text.h"

namespace st8::http {
namespace {

void append_unsigned(std::string& out, std::uint64_t value) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr);
}

// IMF-fixdate (RFC 9110 section 5.6.7), made once a second a thread.
std::string_view http_date() {
  static thread_local std::time_t made_for = 0;
  static thread_local char text[40] = {};
  static thread_local std::size_t length = 0;
  const std::time_t now = std::time(nullptr);
  if (now != made_for) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    char format[40];
    std::strftime(format, sizeof(format), "xxx, %d xxx %Y %H:%M:%S GMT", &utc);
    length = std::string_view(format).copy(text, sizeof(text));
    std::string_view(kDays[utc.tm_wday]).copy(text, 3);
    std::string_view(kMonths[utc.tm_mon]).copy(text + 8, 3);
    made_for = now;
  }
  return {text, length};
}

bool plain_in_field(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

void append_field(std::string& out, std::string_view text) {
  const std::size_t from = out.size();
  out += text;
  // Almost never is there anything to replace: one pass that only looks.
  if (std::all_of(text.begin(), text.end(), plain_in_field)) return;
  for (std::size_t i = from; i < out.size(); ++i) {
    if (!plain_in_field(out[i])) out[i] = '?';
  }
}

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + ('a' - 'A')) : a[i];
    if (c != lower[i]) return false;
  }
  return true;
}

// The stable code (docs/errors.md) that stands for a status in a problem document of the front.
std::string_view code_of(int status) {
  switch (status) {
    case 413:
    case 414:
    case 431:
      return "too_large";
    case 408:
    case 503:
      return "unavailable";
    case 500:
      return "internal";
    case 501:
    case 505:
      return "unimplemented";
    default:
      return "invalid_argument";
  }
}

}  // namespace

std::string_view status_text(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Status";
  }
}

bool status_has_no_body(int status) { return status == 204 || status == 304 || (status >= 100 && status < 200); }

void append_response_head(std::string& out, const Response& response, const ResponseHeadOptions& options) {
  out += "HTTP/1.1 ";
  append_unsigned(out,
                  static_cast<std::uint64_t>(response.status >= 100 && response.status < 1000 ? response.status : 500));
  out.push_back(' ');
  out += status_text(response.status);
  out += "\r\nDate: ";
  out += http_date();
  out += "\r\n";
  bool has_type = false;
  bool has_id = false;
  for (const auto& [name, value] : response.headers) {
    // The front decides about framing; a handler that thinks otherwise would desynchronise the connection.
    if (equals_ignoring_case(name, "content-length") || equals_ignoring_case(name, "transfer-encoding") ||
        equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "date")) {
      continue;
    }
    has_type = has_type || equals_ignoring_case(name, "content-type");
    has_id = has_id || equals_ignoring_case(name, "x-request-id");
    append_field(out, name);
    out += ": ";
    append_field(out, value);
    out += "\r\n";
  }
  if (!has_type && options.framing != BodyFraming::kNone &&
      (options.framing != BodyFraming::kLength || options.length > 0)) {
    out += "Content-Type: text/plain; charset=utf-8\r\n";
  }
  if (!has_id && !options.request_id.empty()) {
    out += "X-Request-Id: ";
    append_field(out, options.request_id);
    out += "\r\n";
  }
  if (options.framing == BodyFraming::kLength) {
    out += "Content-Length: ";
    append_unsigned(out, options.length);
    out += "\r\n";
  } else if (options.framing == BodyFraming::kChunked) {
    out += "Transfer-Encoding: chunked\r\n";
  }
  if (!options.keep_alive) {
    out += "Connection: close\r\n";
  } else if (options.http_1_0) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
}

Response make_problem(int status, std::string_view detail, std::string_view request_id) {
  const std::string_view code = code_of(status);
  Response response;
  response.status = status;
  response.set_header("Content-Type", "application/problem+json");
  std::string& body = response.body;
  body = "{\"type\":\"https://st8.dev/errors/";
  body += code;
  body += "\",\"title\":";
  append_json_string(body, status_text(status));
  body += ",\"status\":";
  append_unsigned(body, static_cast<std::uint64_t>(status));
  body += ",\"detail\":";
  append_json_string(body, detail);
  body += ",\"code\":\"";
  body += code;
  body += "\",\"request_id\":";
  append_json_string(body, request_id);
  body += "}\n";
  return response;
}

}  // namespace st8::http
