// Runs a program to its end with more environment, and gives what it printed and how it ended.
#pragma once

#include <string>
#include <vector>

namespace st8::test {

struct ProgramEnd {
  std::string output;  // Standard output and error, in the order written.
  int exit_code = -1;  // -1: ended by a signal, or not at all.
  int signal = 0;      // 0: none.
};

// `arguments[0]` is the program's path. Ends it after `deadline_s` seconds with SIGKILL (then `output` says so).
ProgramEnd run_program(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {},
                       int deadline_s = 60);

}  // namespace st8::test
