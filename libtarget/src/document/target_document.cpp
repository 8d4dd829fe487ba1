#include <algorithm>
#include <array>

#include "document/documents.h"
#include "drivers/registry.h"
#include "st8/target/target.h"

namespace st8::target {

std::optional<std::string_view> Target::label(std::string_view key) const {
  for (const auto& [label_name, value] : labels) {
    if (label_name == key) return value;
  }
  return std::nullopt;
}

std::optional<Target> parse_target(const TargetName& name, std::string_view text,
                                   std::vector<DocumentProblem>& problems) {
  strict_yaml::Context context{std::string(kTargetPrefix) + name.str() + ".yaml", problems};
  return read_target(context, name, text);
}

std::optional<Target> read_target(strict_yaml::Context& context, const TargetName& name, std::string_view text) {
  using strict_yaml::Map;
  using strict_yaml::Value;
  const std::size_t before = context.problems.size();
  const auto root = strict_yaml::load(context, text);
  if (!root) return std::nullopt;
  Target target{name, "", {}, Criticality::kMedium, "", std::string(text)};
  Map map(context, Value(context, *root, ""));
  const auto kind = map.require("kind");
  if (kind) {
    if (auto word = kind->text()) target.kind = std::move(*word);
  }
  if (const auto labels = map.take("labels")) {
    Map fields(context, *labels);
    for (const auto& [label, value] : fields.all()) {
      if (auto word = value.text()) target.labels.emplace_back(label, std::move(*word));
    }
    std::sort(target.labels.begin(), target.labels.end());
  }
  if (const auto criticality = map.take("criticality")) {
    constexpr std::array<std::string_view, 4> kWords = {"low", "medium", "high", "critical"};
    if (const auto index = criticality->word(kWords)) target.criticality = static_cast<Criticality>(*index);
  }
  map.text("env", target.env);
  const auto spec = map.require("spec");
  map.finish();
  if (kind && !target.kind.empty()) {
    const auto kinds = drivers::driver_kinds();
    if (std::find(kinds.begin(), kinds.end(), target.kind) == kinds.end()) {
      const std::string near = nearest(target.kind, kinds);
      std::string all;
      for (const std::string_view known : kinds) all += (all.empty() ? "" : ", ") + std::string(known);
      kind->problem("there is no driver \"" + target.kind + "\"; drivers: " + all,
                    near.empty() ? "" : "did you mean `" + near + "`?");
    } else if (spec) {
      drivers::check_spec(target.kind, context, *spec);
    }
  }
  if (context.problems.size() != before) return std::nullopt;
  return target;
}

}  // namespace st8::target
