// What st8d says on standard error beside its access log: one line an event, in the format that was asked for.
#pragma once

#include <string_view>

#include "http/access_log.h"
#include "st8/state/result.h"

namespace st8::daemon {

class Journal {
 public:
  explicit Journal(http::LogFormat format) : format_(format) {}
  void info(std::string_view message) const { line("info", message); }
  void warning(std::string_view message) const { line("warning", message); }
  // "what: why (what to do)".
  void error(std::string_view what, const Error& error) const;

 private:
  void line(std::string_view level, std::string_view message) const;
  http::LogFormat format_;
};

}  // namespace st8::daemon
