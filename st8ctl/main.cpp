// st8ctl: reads its arguments, runs one command, and turns what went wrong into two lines and an exit code.
#include <csignal>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <vector>

#include "args/parse.h"
#include "commands/help.h"
#include "config/settings.h"
#include "context.h"
#include "st8/state/error_code.h"

namespace st8::ctl {
namespace {

ColorChoice color_choice(const Arguments& arguments) {
  const std::string choice = arguments.text_or("color", "auto");
  return choice == "always" ? ColorChoice::kAlways : choice == "never" ? ColorChoice::kNever : ColorChoice::kAuto;
}

int exit_code(const Error& error) { return traits_of(error.code).exit_code; }

int run(const std::vector<std::string>& words) {
  const Result<Arguments> arguments = parse_arguments(root_command(), words);
  if (!arguments) {
    Output err(STDERR_FILENO, ColorChoice::kAuto);
    report_error(nullptr, err, arguments.error());
    return exit_code(arguments.error());
  }
  Output out(STDOUT_FILENO, color_choice(*arguments));
  Output err(STDERR_FILENO, color_choice(*arguments));
  const Command* command = arguments->command;
  if (arguments->help || command == nullptr || command->run == nullptr) {
    // Asked for, help is data; when a command is missing it is a message, and the line was wrong.
    Output& to = arguments->help ? out : err;
    to.write(help_text(arguments->path));
    to.flush();
    return arguments->help ? 0 : traits_of(ErrorCode::kInvalidArgument).exit_code;
  }
  Result<Settings> settings = load_settings(*arguments);
  if (!settings) {
    report_error(nullptr, err, settings.error());
    return exit_code(settings.error());
  }
  Context context(*arguments, std::move(*settings), out, err);
  const Result<int> code = command->run(context);
  out.flush();
  if (!code) {
    report_error(&context, err, code.error());
    return exit_code(code.error());
  }
  if (const Status written = out.status(); !written) {
    report_error(&context, err, written.error());
    return exit_code(written.error());
  }
  return *code;
}

}  // namespace
}  // namespace st8::ctl

int main(int argc, char** argv) {
  // A reader who leaves (`st8ctl log | head`) ends the output, not the program with a signal.
  std::signal(SIGPIPE, SIG_IGN);
  return st8::ctl::run({argv + 1, argv + argc});
}
