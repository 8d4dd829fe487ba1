// What must hold of every import that succeeds: its documents are good ones of st8's, and each field of the source is in the report.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "import/import.h"
#include "render/document.h"
#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace st8::test {

// Empty when all holds, else what does not.
inline std::string import_fault(std::string_view source, const ctl::Imported& imported) {
  std::vector<target::DocumentProblem> problems;
  const std::string policy = ctl::yaml(imported.policy);
  if (!target::parse_policy(policy, problems)) return problems.front().str() + "\n" + policy;
  for (const auto& [name, document] : imported.targets) {
    const auto parsed = target::TargetName::parse(name);
    if (!parsed) return "no name of a target: " + name;
    const std::string text = ctl::yaml(document);
    if (!target::parse_target(*parsed, text, problems)) return problems.front().str() + "\n" + text;
  }
  std::string missing;
  const auto covered = [&](const std::string& path) {
    for (const ctl::ImportRow& row : imported.report) {
      const bool below = path.size() > row.from.size() && path.starts_with(row.from) &&
                         (path[row.from.size()] == '.' || path[row.from.size()] == '[');
      if (row.from == path || below) return true;
    }
    return false;
  };
  std::size_t visited = 0;  // Aliases of aliases have no end.
  const std::function<void(const YAML::Node&, const std::string&)> walk = [&](const YAML::Node& node,
                                                                              const std::string& path) {
    if (!missing.empty() || ++visited > 20'000 || (!path.empty() && covered(path))) return;
    if (node.IsMap() && node.size() > 0) {
      for (const auto& field : node) {
        if (!field.first.IsScalar()) continue;
        const std::string name = field.first.Scalar().empty() ? "\"\"" : field.first.Scalar();
        walk(field.second, path.empty() ? name : path + "." + name);
      }
    } else if (node.IsSequence() && node.size() > 0) {
      for (std::size_t i = 0; i < node.size(); ++i) walk(node[i], path + "[" + std::to_string(i) + "]");
    } else if (!node.IsMap() && !node.IsSequence()) {
      missing = path;
    }
  };
  walk(YAML::Load(std::string(source)), "");
  if (!missing.empty()) return "not in the report: " + missing;
  for (const ctl::ImportRow& row : imported.report) {
    if (row.from.empty() || row.line < 1) return "a row without a place";
    if ((row.what == ctl::ImportRow::What::kLeft) != row.to.empty())
      return row.from + ": left out, and yet it went somewhere; or the other way round";
    if (row.what != ctl::ImportRow::What::kTaken && row.why.empty()) return row.from + ": no reason";
  }
  return "";
}

}  // namespace st8::test
