#include "st8/state/yaml.h"

#include <sstream>
#include <string>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace st8 {
namespace {

// Takes what the parser finds, and keeps nothing.
class Nothing final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

}  // namespace

Result<std::size_t> count_yaml_documents(std::string_view text, std::size_t most) {
  // The parser is someone else's and throws; what it throws ends here.
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Nothing nothing;
    std::size_t count = 0;
    while (count < most && parser.HandleNextDocument(nothing)) ++count;
    return count;
  } catch (const YAML::Exception& error) {
    const std::string where =
        error.mark.is_null() ? std::string() : "line " + std::to_string(error.mark.line + 1) + ": ";
    return fail(ErrorCode::kInvalidArgument, where + error.msg, "");
  }
}

}  // namespace st8
