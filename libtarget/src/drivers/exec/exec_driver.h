// The `exec` driver: a program of the user's own, which speaks JSON on standard input and output (docs/drivers.md is its contract).
//
//   spec:
//     program: /usr/local/lib/st8/my-driver   # absolute
//     sha256: 5ca3…                           # optional: only these bytes are run
//     args: [--region, a]                     # optional
//     config: {url: "http://…"}               # optional: texts for the program
//
// One run of the program a call: a request in, an answer out, exit. Paths, labels and names are checked here, so that a program
// may take them as they come; what it says is bounded, and content in it is not told on.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "document/strict_yaml.h"
#include "st8/target/target.h"

namespace st8::target::exec {

inline constexpr std::string_view kProtocol = "st8-driver/1";

struct ExecSpec {
  std::string program;
  std::optional<Hash> sha256;
  std::vector<std::string> args;
  std::map<std::string, std::string> config;
  void read(strict_yaml::Context& context, const strict_yaml::Value& value);
};

std::unique_ptr<TargetDriver> make_exec_driver(const Target& target, ExecSpec spec);

}  // namespace st8::target::exec
