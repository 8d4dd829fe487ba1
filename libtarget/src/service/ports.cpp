#include "service/ports.h"

namespace st8::target {

Result<std::string> Source::open(const std::string&, std::string_view) {
  return fail(ErrorCode::kUnprocessable, "st8d has no key to open a sealed value with",
              "start it with --sealing-keys FILE");
}

Result<std::string> Source::maker(const std::string&, state::RevisionNumber) { return std::string(); }

RenderSources Source::render_sources(const std::string& name_space, state::RevisionNumber number) {
  RenderSources sources;
  sources.read = [this, name_space, number](const std::string& key) -> Result<std::string> {
    ST8_ASSIGN(auto text, read(name_space, number, key));
    if (!text)
      return fail(ErrorCode::kUnprocessable,
                  "revision " + std::to_string(number.value) + " has no document \"" + key + "\"", "");
    return std::move(*text);
  };
  sources.open = [this, name_space](std::string_view sealed) { return open(name_space, sealed); };
  return sources;
}

}  // namespace st8::target
