#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "args/parse.h"
#include "args/suggest.h"

namespace st8::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Arguments parsed(const std::vector<std::string>& words) {
  Result<Arguments> arguments = parse_arguments(root_command(), words);
  EXPECT_TRUE(arguments.has_value()) << (arguments ? "" : arguments.error().message);
  return arguments ? *arguments : Arguments{};
}

Error refused(const std::vector<std::string>& words) {
  Result<Arguments> arguments = parse_arguments(root_command(), words);
  EXPECT_FALSE(arguments.has_value());
  return arguments ? Error{} : arguments.error();
}

TEST(Arguments, AFlagTakesItsValueInEveryForm) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"apply", "--file", "a"},
                                                                                     {"apply", "--file=a"},
                                                                                     {"apply", "-f", "a"},
                                                                                     {"apply", "-fa"},
                                                                                     {"apply", "-f=a"}}) {
    EXPECT_THAT(parsed(words).texts("file"), ElementsAre("a")) << words[1];
  }
}

TEST(Arguments, AValueIsTakenAsItStands) {
  EXPECT_EQ(parsed({"apply", "--message", "--dry-run"}).text("message"), "--dry-run");
  EXPECT_EQ(parsed({"apply", "--message="}).text("message"), "");
  EXPECT_EQ(parsed({"apply", "-v", "a=[1,2]"}).text("value"), "a=[1,2]");
  EXPECT_EQ(parsed({"apply", "-v", "-=-"}).text("value"), "-=-");
}

TEST(Arguments, FlagsAndArgumentsMixAndMayStandBeforeTheCommand) {
  const Arguments arguments = parsed({"--namespace", "pay/prod", "apply", "a", "--dry-run", "b", "-q"});
  EXPECT_EQ(arguments.command_path(), "apply");
  EXPECT_EQ(arguments.text("namespace"), "pay/prod");
  EXPECT_THAT(arguments.positionals, ElementsAre("a", "b"));
  EXPECT_TRUE(arguments.on("dry-run"));
  EXPECT_TRUE(arguments.on("quiet"));
  EXPECT_EQ(parsed({"branch", "-n", "x", "create", "n"}).command_path(), "branch create");
}

TEST(Arguments, TwoDashesEndTheFlags) {
  EXPECT_THAT(parsed({"get", "--", "--odd"}).positionals, ElementsAre("--odd"));
  // Behind them a word is an argument even if it is a command's name.
  const Arguments arguments = parsed({"checkpoint", "--", "delete"});
  EXPECT_EQ(arguments.command_path(), "checkpoint");
  EXPECT_THAT(arguments.positionals, ElementsAre("delete"));
}

TEST(Arguments, SwitchesTakeTrueAndFalse) {
  EXPECT_FALSE(parsed({"apply", "--dry-run", "--dry-run=false"}).on("dry-run"));
  EXPECT_THAT(refused({"apply", "--dry-run=maybe"}).message, HasSubstr("=true or =false"));
}

TEST(Arguments, AnOptionalValueIsGivenWithEqualsOnly) {
  const Arguments arguments = parsed({"apply", "--prune", "a.json"});
  EXPECT_EQ(arguments.text("prune"), "");
  EXPECT_THAT(arguments.positionals, ElementsAre("a.json"));
  EXPECT_EQ(parsed({"apply", "--prune=app/"}).text("prune"), "app/");
}

TEST(Arguments, TheLastOfAFlagCountsAndRepeatingOnesGather) {
  EXPECT_EQ(parsed({"log", "--limit", "1", "--limit", "2"}).number("limit"), 2u);
  EXPECT_THAT(parsed({"apply", "-f", "a", "-v", "x=1", "-f", "b"}).texts("file"), ElementsAre("a", "b"));
}

TEST(Arguments, WhatIsWrongIsNamedWithWhatWasMeant) {
  EXPECT_THAT(refused({"aply"}).hint, HasSubstr("did you mean \"apply\""));
  EXPECT_THAT(refused({"apply", "--mesage", "x"}).hint, HasSubstr("--message"));
  EXPECT_THAT(refused({"branch", "craete", "x"}).hint, HasSubstr("create"));
  EXPECT_THAT(refused({"log", "--limit", "ten"}).message, HasSubstr("--limit needs a whole number, not \"ten\""));
  EXPECT_THAT(refused({"log", "--limit", "-1"}).message, HasSubstr("whole number"));
  EXPECT_THAT(refused({"log", "--limit"}).message, HasSubstr("needs a value"));
  EXPECT_THAT(refused({"get", "--timeout", "5"}).message, HasSubstr("needs a duration"));
  EXPECT_THAT(refused({"get", "-o", "xml"}).message, HasSubstr("text, json, yaml or name, not \"xml\""));
  EXPECT_THAT(refused({"unset"}).message, HasSubstr("needs a <key>"));
  EXPECT_THAT(refused({"rollback", "1", "2"}).message, HasSubstr("does not take \"2\""));
  EXPECT_THAT(refused({"--description", "x", "checkpoint", "list"}).message, HasSubstr("unknown flag --description"));
  EXPECT_THAT(refused({"checkpoint", "--description", "x", "list"}).message, HasSubstr("unknown flag --description"));
  for (const char* flag : {"--", "---", "-", "--=x", "-=", "-Z", "--no-such"}) {
    const Result<Arguments> outcome = parse_arguments(root_command(), {"rollback", flag});
    EXPECT_TRUE(!outcome || !outcome->given("")) << flag;
  }
}

TEST(Arguments, HelpIsAlwaysThere) {
  EXPECT_TRUE(parsed({"--help"}).help);
  EXPECT_TRUE(parsed({"unset", "-h"}).help);  // Although its key is missing.
  EXPECT_EQ(parsed({"branch", "create", "--help"}).command_path(), "branch create");
}

TEST(Arguments, NumbersAndDurations) {
  EXPECT_EQ(parse_number("18446744073709551615"), 18446744073709551615u);
  for (const char* text : {"", "18446744073709551616", "-1", "+1", "1 ", "0x1", "1e3"})
    EXPECT_FALSE(parse_number(text)) << text;
  EXPECT_EQ(parse_duration_ms("0"), 0);
  EXPECT_EQ(parse_duration_ms("500ms"), 500);
  EXPECT_EQ(parse_duration_ms("1m30s"), 90'000);
  EXPECT_EQ(parse_duration_ms("1.5h"), 5'400'000);
  EXPECT_EQ(parse_duration_ms("1us"), 1);  // Never none.
  for (const char* text : {"", "5", "s", "-1s", "1d2", "1 s", "1s ", "nan", "inf", "1e99h", "99999999999999999999h"}) {
    EXPECT_FALSE(parse_duration_ms(text)) << text;
  }
}

// The model itself: what help, docs and completion are made of.
void check_command(const Command& command, const std::string& path) {
  EXPECT_FALSE(command.summary.empty()) << path;
  EXPECT_FALSE(command.summary.ends_with('.')) << path;
  EXPECT_TRUE(command.run != nullptr || !command.children.empty()) << path;
  std::set<std::string_view> names;
  std::set<char> letters;
  const auto check_flags = [&](std::span<const Flag* const> flags) {
    for (const Flag* flag : flags) {
      // A command may narrow what a global flag means, by the same name.
      EXPECT_TRUE(names.insert(flag->name).second) << path << " --" << flag->name;
      EXPECT_TRUE(flag->letter == 0 || letters.insert(flag->letter).second) << path << " -" << flag->letter;
      EXPECT_FALSE(flag->help.empty()) << path << " --" << flag->name;
      EXPECT_EQ(flag->kind == FlagKind::kBool, flag->placeholder.empty()) << path << " --" << flag->name;
      EXPECT_EQ(flag->kind == FlagKind::kChoice, !flag->choices.empty()) << path << " --" << flag->name;
    }
  };
  check_flags(global_flags());
  check_flags(command.flags);
  for (std::size_t i = 0; i < command.positionals.size(); ++i) {
    EXPECT_TRUE(!command.positionals[i].repeats || i + 1 == command.positionals.size()) << path;
  }
  for (const Command* child : command.children) check_command(*child, path + " " + std::string(child->name));
}

TEST(CommandModel, IsWellFormed) {
  for (const Command* command : root_command().children) check_command(*command, std::string(command->name));
}

TEST(Suggest, FindsSlipsAndNothingFarFetched) {
  const std::vector<std::string> names{"apply", "branch", "checkpoint", "rollback", "restore", "app/limits.json"};
  EXPECT_THAT(nearest("aply", names), ElementsAre("apply"));
  EXPECT_THAT(nearest("appyl", names), ElementsAre("apply"));
  EXPECT_THAT(nearest("rolback", names), ElementsAre("rollback"));
  EXPECT_THAT(nearest("check", names), ElementsAre("checkpoint"));
  EXPECT_THAT(nearest("limits.json", names), ElementsAre("app/limits.json"));
  EXPECT_THAT(nearest("zzzzzz", names), IsEmpty());
  EXPECT_THAT(nearest("apply", {"apply"}), IsEmpty());  // Itself is no suggestion.
  EXPECT_EQ(did_you_mean("x1", {"x2", "x3", "x4", "x5"}), "did you mean \"x2\", \"x3\" or \"x4\"?");
  EXPECT_EQ(did_you_mean("", {"a", "b"}), "did you mean \"a\" or \"b\"?");
}

}  // namespace
}  // namespace st8::ctl
