#include "journal.h"

#include <string>
#include <unistd.h>

#include "http/json_text.h"
#include "st8/state/clock.h"

namespace st8::daemon {

void Journal::line(std::string_view level, std::string_view message) const {
  std::string text;
  if (format_ == http::LogFormat::kJson) {
    text = "{\"time\":\"" + format_rfc3339(system_clock().now()) + "\",\"level\":\"" + std::string(level) +
           "\",\"message\":";
    http::append_json_string(text, message);
    text += "}\n";
  } else {
    text = "st8d: ";
    if (level != "info") text += std::string(level) + ": ";
    text += std::string(message) + "\n";
  }
  // One write a line, so that lines of several threads do not mix.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void Journal::error(std::string_view what, const Error& error) const {
  std::string text = std::string(what) + ": " + error.message;
  if (!error.hint.empty()) text += " (" + error.hint + ")";
  line("error", text);
}

}  // namespace st8::daemon
