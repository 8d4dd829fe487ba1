#include "render/output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include "st8/state/text.h"

namespace st8::ctl {
namespace {

constexpr std::size_t kBufferBytes = 1u << 16;

bool wants_color(bool terminal, ColorChoice choice) {
  if (choice != ColorChoice::kAuto) return choice == ColorChoice::kAlways;
  if (!terminal) return false;
  // https://no-color.org: present and not empty, whatever its value.
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* kind = std::getenv("TERM");
  return kind == nullptr || std::strcmp(kind, "dumb") != 0;
}

void append_byte(std::string& out, unsigned char byte) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += "\\x";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  std::size_t position = 0;
  while (position < text.size()) {
    const std::size_t start = position;
    const auto point = next_code_point(text, position);
    if (!point) {
      append_byte(out, static_cast<unsigned char>(text[position++]));
      continue;
    }
    switch (*point) {
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\a':
        out += "\\a";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\v':
        out += "\\v";
        break;
      case '"':
      case '\\':
        if (quotes) out += '\\';
        out += static_cast<char>(*point);
        break;
      default:
        if (*point < 0x20 || *point == 0x7f) {
          append_byte(out, static_cast<unsigned char>(*point));
        } else if (*point >= 0x80 && *point < 0xa0) {
          // The C1 controls: terminals act on them as on escape sequences.
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(*point));
          out += escape;
        } else {
          out += text.substr(start, position - start);
        }
    }
  }
}

}  // namespace

Output::Output(int descriptor, ColorChoice color)
    : descriptor_(descriptor), terminal_(::isatty(descriptor) == 1), color_(wants_color(terminal_, color)) {}

Output::~Output() { flush(); }

void Output::write(std::string_view text) {
  if (broken_ || error_ != 0) return;
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty() && !broken_ && error_ == 0) {
    const ssize_t put = ::write(descriptor_, rest.data(), rest.size());
    if (put >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno == EPIPE) {
      broken_ = true;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Whoever shares this descriptor made it non-blocking.
      pollfd entry{descriptor_, POLLOUT, 0};
      ::poll(&entry, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  buffer_.clear();
}

Status Output::status() const {
  if (error_ == 0) return {};
  return fail(ErrorCode::kUnavailable, std::string("cannot write the output: ") + std::strerror(error_));
}

std::string Output::painted(std::string_view code, std::string_view text) const {
  if (!color_) return std::string(text);
  std::string painted = "\x1b[";
  painted += code;
  painted += 'm';
  painted += text;
  painted += "\x1b[0m";
  return painted;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  append_escaped(out, text, true);
  return out + "\"";
}

std::string printable(std::string_view text) {
  std::string out;
  append_escaped(out, text, false);
  return out;
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1023.95 && unit + 1 < std::size(kUnits)) {
    amount /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", amount, kUnits[unit]);
  return text;
}

std::string short_time(std::string_view rfc3339) {
  const std::size_t dot = rfc3339.find('.');
  if (dot == std::string_view::npos) return std::string(rfc3339);
  std::size_t end = dot + 1;
  while (end < rfc3339.size() && rfc3339[end] >= '0' && rfc3339[end] <= '9') ++end;
  return std::string(rfc3339.substr(0, dot)) + std::string(rfc3339.substr(end));
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  const auto width = [](std::string_view cell) {
    // One column a code point: near enough for names, and never wrong for plain text.
    return static_cast<std::size_t>(
        std::count_if(cell.begin(), cell.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  };
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width(row[i]) + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    text += line + "\n";
  }
  return text;
}

}  // namespace st8::ctl
