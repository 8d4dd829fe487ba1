// The selector grammar: what people type. It is a selector whose parts are whole, or an error with a way on.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "st8/state/selector.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using st8::state::Selector;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const st8::Timestamp now{1'800'000'000'000'000};
  const auto parsed = Selector::parse(text, now);
  if (!parsed) {
    require(parsed.error().code == st8::ErrorCode::kInvalidArgument && !parsed.error().message.empty());
    return 0;
  }
  require(parsed->text == text);
  if (const auto* hash = std::get_if<Selector::ByHashPrefix>(&parsed->base)) {
    require(!hash->hex.empty() && hash->hex.size() <= 64 &&
            hash->hex.find_first_not_of("0123456789abcdef") == std::string::npos);
  }
  if (const auto* name = std::get_if<Selector::ByName>(&parsed->base)) require(!name->name.empty());
  // A further step up is read from what was taken before.
  const auto parent = Selector::parse(std::string(text) + "~", now);
  if (parent) require(parent->base.index() == parsed->base.index() && parent->ancestors == parsed->ancestors + 1);
  return 0;
}
