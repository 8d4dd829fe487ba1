#include "st8/state/engine.h"

namespace st8::state {

void Batch::put(std::string key, std::string value) {
  bytes_ += key.size() + value.size();
  writes_.push_back(Write{std::move(key), std::move(value)});
}

void Batch::erase(std::string key) {
  bytes_ += key.size();
  writes_.push_back(Write{std::move(key), std::nullopt});
}

void Batch::clear() {
  writes_.clear();
  bytes_ = 0;
  frees_space_ = false;
}

KeyRange KeyRange::prefix(std::string_view prefix) {
  KeyRange range{std::string(prefix), std::string(prefix)};
  // The first key behind all that begin so: the last byte that can grow grows, what stands behind it goes.
  while (!range.end.empty() && static_cast<unsigned char>(range.end.back()) == 0xFF) range.end.pop_back();
  if (!range.end.empty()) range.end.back() = static_cast<char>(static_cast<unsigned char>(range.end.back()) + 1);
  return range;
}

}  // namespace st8::state
