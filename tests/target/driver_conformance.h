// What every driver must keep to, whatever it reaches. A driver's test instantiates the suite with a Subject of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <string>

#include "st8/target/target.h"

namespace st8::target::conformance {

struct FileOnTarget {
  std::string bytes;
  unsigned mode = 0;
  friend bool operator==(const FileOnTarget&, const FileOnTarget&) = default;
};

// One target, and a way to look at it that does not go through the driver.
class Subject {
 public:
  virtual ~Subject() = default;
  // A new driver on the same target, as a restarted daemon would make it.
  virtual std::unique_ptr<TargetDriver> driver() = 0;
  // Everything a program on the target would read as live: path → file. Links are followed.
  virtual std::map<std::string, FileOnTarget> live() = 0;
  // Changes one live byte behind the driver's back. False: nothing is live.
  virtual bool tamper() = 0;
  // Makes the target unreachable until the function it answers is called. Null: it cannot be.
  virtual std::function<void()> cut_off() { return nullptr; }
};

using Factory = std::function<std::unique_ptr<Subject>()>;
struct Named {
  std::string name;
  Factory make;
};
inline void PrintTo(const Named& named, std::ostream* out) { *out << named.name; }

// Every regular file below a directory, links to it followed; what begins with '.' at the top is a driver's own.
std::map<std::string, FileOnTarget> files_below(const std::filesystem::path& directory);

Content content_of(std::uint64_t revision, std::map<std::string, FileOnTarget> files);
CallContext call_of(std::uint64_t token, const std::string& restore_point);

class DriverConformance : public ::testing::TestWithParam<Named> {
 protected:
  void SetUp() override { subject_ = GetParam().make(); }
  // stage, validate, activate, observe; every step asserted.
  void go_live(const Content& content, std::uint64_t token, const std::string& restore_point);
  std::unique_ptr<Subject> subject_;
};

}  // namespace st8::target::conformance
