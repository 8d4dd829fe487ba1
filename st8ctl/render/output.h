// Where a command writes: data on standard output, messages on standard error; and what may be assumed of either.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/result.h"

namespace st8::ctl {

enum class ColorChoice : unsigned char { kAuto, kAlways, kNever };

// A buffered descriptor. Not thread-safe.
class Output {
 public:
  Output(int descriptor, ColorChoice color);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view text);
  void line(std::string_view text) {
    write(text);
    write("\n");
  }
  void flush();

  // The reader has gone (a closed pipe): what is still written is dropped, and the command may end early.
  bool broken() const { return broken_; }
  // Errors: kUnavailable when something could not be written for another reason than a reader who left.
  Status status() const;

  bool terminal() const { return terminal_; }
  bool color() const { return color_; }
  // The text between the escape sequence and its end, or as it is when there is no colour. `code` as in "1;31".
  std::string painted(std::string_view code, std::string_view text) const;

 private:
  int descriptor_;
  bool terminal_;
  bool color_;
  bool broken_ = false;
  int error_ = 0;
  std::string buffer_;
};

// As Go's %q: double quotes, backslash escapes; printable UTF-8 stays, other bytes become \xNN or \uNNNN.
std::string quote(std::string_view text);
// For text that goes to a terminal: control characters shown as in quote(), without the quotes.
std::string printable(std::string_view text);
// 1536 -> "1.5 KiB".
std::string human_bytes(std::uint64_t bytes);
// Seconds only, as log lines have them: 2026-11-21T01:02:03.000004Z -> 2026-11-21T01:02:03Z.
std::string short_time(std::string_view rfc3339);
// Columns padded to the widest cell; none at a row's end.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace st8::ctl
