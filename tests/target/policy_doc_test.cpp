// docs/policy.md against the schemas and the code: every field with its meaning and default, every example good, every rule of lint.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace st8::target {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const std::string& path) {
  std::ifstream stream(std::filesystem::path(ST8_SOURCE_DIR) / path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

// The document in parts: by heading, its table rows ("| `field` | ...") and its yaml blocks.
struct Section {
  std::map<std::string, std::string> rows;
  std::vector<std::string> blocks;
};
std::map<std::string, Section> sections() {
  std::map<std::string, Section> found;
  std::istringstream lines(text_of("docs/policy.md"));
  std::string heading, block;
  bool inside = false, yaml = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      if (inside && yaml) found[heading].blocks.push_back(block);
      inside = !inside;
      yaml = line == "```yaml";
      block.clear();
    } else if (inside) {
      block += line + "\n";
    } else if (line.starts_with("#")) {
      heading = line.substr(line.find_first_not_of("# "));
    } else if (line.starts_with("| `")) {
      const std::string name = line.substr(3, line.find('`', 3) - 3);
      EXPECT_TRUE(found[heading].rows.emplace(name, line).second) << heading << ": twice: " << name;
    }
  }
  return found;
}

class PolicyManual : public testing::Test {
 protected:
  static std::string escaped(const std::string& text) { return std::regex_replace(text, std::regex("\\|"), "\\|"); }

  // That there is a row for the field, with the schema's own words.
  void check(const std::string& name, const Json& root, Json property, bool required,
             const std::map<std::string, std::string>& rows) {
    if (property.contains("$ref")) {
      Json base = root["$defs"][property["$ref"].get<std::string>().substr(8)];
      base.update(property);
      property = base;
    }
    std::string given = "—";
    if (property.contains("default"))
      given = "`" +
              (property["default"].is_string() ? property["default"].get<std::string>() : property["default"].dump()) +
              "`";
    const std::string begin = "| `" + name + "` | " + escaped(property["description"].get<std::string>()) +
                              (required ? " (required)" : "") + " | " + given + " | ";
    const auto row = rows.find(name);
    ASSERT_NE(row, rows.end()) << "docs/policy.md lacks the row " << begin << "... |";
    EXPECT_TRUE(row->second.starts_with(begin)) << "docs/policy.md has\n"
                                                << row->second << "\ninstead of\n"
                                                << begin << "... |";
    ++checked_;
  }

  // All fields below a node, as schema_test.cpp names them. `skip`: a field whose own are told elsewhere.
  void check_all(const Json& root, const Json& node, const std::string& path, const std::string& skip,
                 const std::map<std::string, std::string>& rows) {
    if (!node.is_object()) return;
    if (node.contains("$ref"))
      check_all(root, root["$defs"][node["$ref"].get<std::string>().substr(8)], path, skip, rows);
    if (node.contains("properties")) {
      for (const auto& [name, property] : node["properties"].items()) {
        const std::string full = path.empty() ? name : path + "." + name;
        const bool required = node.contains("required") && std::find(node["required"].begin(), node["required"].end(),
                                                                     name) != node["required"].end();
        if (property.contains("description") || property.contains("$ref")) check(full, root, property, required, rows);
        if (full != skip) check_all(root, property, full, skip, rows);
      }
    }
    if (node.contains("items")) check_all(root, node["items"], path + "[]", skip, rows);
    if (node.contains("anyOf")) {
      for (const Json& one : node["anyOf"]) {
        if (one.contains("items") || one.contains("$ref")) check_all(root, one, path, skip, rows);
      }
    }
  }

  std::size_t checked_ = 0;
};

TEST_F(PolicyManual, TellsEveryFieldWithTheSchemasWords) {
  const std::map<std::string, Section> doc = sections();
  std::map<std::string, std::string> of_policy;
  for (const auto& [heading, section] : doc) {
    if (heading == "Targets" || heading.starts_with("Kind ")) continue;
    for (const auto& [name, row] : section.rows) of_policy.emplace(name, row);
  }
  const Json policy = Json::parse(text_of("docs/schema/rollout.schema.json"));
  check_all(policy, policy, "", "steps[].params", of_policy);
  for (const auto& [type, params] : std::map<std::string, std::string>{{"echo", "echo"},
                                                                       {"script", "script"},
                                                                       {"sleep", "sleep"},
                                                                       {"file_write", "fileWrite"},
                                                                       {"http", "http"},
                                                                       {"package", "package"}}) {
    ASSERT_TRUE(doc.contains(type)) << "no heading " << type;
    check_all(policy, policy["$defs"][params + "Params"], "steps[].params", "", doc.at(type).rows);
  }
  const Json target = Json::parse(text_of("docs/schema/target.schema.json"));
  ASSERT_TRUE(doc.contains("Targets"));
  check_all(target, target, "", "spec", doc.at("Targets").rows);
  for (const Json& kind : target["properties"]["kind"]["enum"]) {
    const std::string heading = "Kind `" + kind.get<std::string>() + "`";
    ASSERT_TRUE(doc.contains(heading)) << "docs/policy.md lacks the heading \"### " << heading << "\" with its fields";
    check_all(target, target["$defs"][kind.get<std::string>() + "Spec"], "spec", "", doc.at(heading).rows);
  }
  EXPECT_GT(checked_, 110u);
}

TEST_F(PolicyManual, ItsExamplesAreGood) {
  std::size_t policies = 0, targets = 0;
  const std::map<std::string, Section> doc = sections();
  for (const auto& [heading, section] : doc) {
    for (const std::string& block : section.blocks) {
      std::vector<DocumentProblem> problems;
      if (block.starts_with("# targets/")) {
        EXPECT_TRUE(parse_target(*TargetName::parse("web-1"), block, problems)) << block << problems.front().str();
        ++targets;
        continue;
      }
      std::string text = block;
      if (text.find("branches:") == std::string::npos) text += "branches: [main]\n";
      if (text.find("targets:") == std::string::npos) text += "targets: {names: [web-1]}\n";
      EXPECT_TRUE(parse_policy(text, problems)) << heading << ":\n"
                                                << block << (problems.empty() ? "" : problems.front().str());
      ++policies;
    }
  }
  EXPECT_GE(policies, 14u);
  EXPECT_GE(targets, 1u);
}

TEST_F(PolicyManual, TellsEveryRuleOfLint) {
  const std::string code = text_of("libtarget/src/document/lint.cpp");
  const std::regex said(R"re((?:warn\(|say\(Severity::k\w+, |Severity::k\w+, )"([a-z-]+)")re");
  std::set<std::string> rules, told;
  for (std::sregex_iterator it(code.begin(), code.end(), said), end; it != end; ++it) rules.insert((*it)[1]);
  const std::map<std::string, Section> doc = sections();
  ASSERT_TRUE(doc.contains("What lint says"));
  for (const auto& [name, row] : doc.at("What lint says").rows) told.insert(name);
  EXPECT_GT(rules.size(), 20u);
  EXPECT_EQ(rules, told);
}

}  // namespace
}  // namespace st8::target
