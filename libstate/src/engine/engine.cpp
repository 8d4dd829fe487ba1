#include "st8/state/engine.h"

namespace st8::state {

Result<std::vector<std::optional<std::string>>> Engine::get_many(std::span<const std::string> keys,
                                                                 const EngineSnapshot* snapshot) const {
  std::vector<std::optional<std::string>> values;
  values.reserve(keys.size());
  for (const std::string& key : keys) {
    ST8_ASSIGN(std::optional<std::string> value, get(key, snapshot));
    values.push_back(std::move(value));
  }
  return values;
}

}  // namespace st8::state
