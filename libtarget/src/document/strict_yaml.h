// Strict reading of small YAML documents: every field is asked for by name, and what was not asked for is a problem with
// its line, its path and the nearest known name.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace st8::target::strict_yaml {

inline constexpr std::size_t kDocumentBytesMax = 256u << 10;  // Of a policy or a target; far beyond any real one.
inline constexpr std::size_t kProblemsMax = 50;

struct Context {
  std::string file;
  std::vector<DocumentProblem>& problems;
  // Where asked for: each field that the reader knows, as "steps[].params.url". What a schema is held against.
  std::set<std::string>* asked = nullptr;

  void problem(const YAML::Node& node, std::string path, std::string message, std::string suggestion = {});
};

// Parses the text of a document; nullopt (and a problem) when it is not YAML, too large, or not one document.
std::optional<YAML::Node> load(Context& context, std::string_view text);

// One value and where it stands.
class Value {
 public:
  Value(Context& context, YAML::Node node, std::string path)
      : context_(&context), node_(std::move(node)), path_(std::move(path)) {}

  const YAML::Node& node() const { return node_; }
  const std::string& path() const { return path_; }
  bool is_map() const { return node_.IsMap(); }
  bool is_sequence() const { return node_.IsSequence(); }
  bool is_scalar() const { return node_.IsScalar(); }
  bool is_null() const { return node_.IsNull(); }
  void problem(std::string message, std::string suggestion = {}) const;

  // Each answers nullopt after noting a problem.
  std::optional<std::string> text() const;
  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer(std::int64_t least, std::int64_t most) const;
  std::optional<double> number(double least, double most) const;
  std::optional<Millis> duration() const;
  std::optional<std::uint32_t> mode() const;
  // One of `words`; the index.
  std::optional<std::size_t> word(std::span<const std::string_view> words) const;
  std::vector<Value> items() const;        // Of a sequence; else a problem.
  std::vector<std::string> texts() const;  // Of a sequence of scalars.

 private:
  Context* context_;
  YAML::Node node_;
  std::string path_;
};

// A map whose fields are taken one by one; finish() reports those that nobody took.
class Map {
 public:
  Map(Context& context, const Value& value);
  bool valid() const { return valid_; }
  std::optional<Value> take(std::string_view name);
  // As take; its absence is a problem.
  std::optional<Value> require(std::string_view name);
  // Every field, for maps with names of the user's own.
  std::vector<std::pair<std::string, Value>> all();
  void finish();

  // Sets `out` when the field is there and good.
  void text(std::string_view name, std::string& out);
  void boolean(std::string_view name, bool& out);
  void duration(std::string_view name, Millis& out);
  void texts(std::string_view name, std::vector<std::string>& out);
  template <class T>
  void integer(std::string_view name, T& out, std::int64_t least, std::int64_t most) {
    if (const auto value = take(name)) {
      if (const auto number = value->integer(least, most)) out = static_cast<T>(*number);
    }
  }

 private:
  Context* context_;
  YAML::Node node_;
  std::string path_;
  std::vector<std::string_view> known_;
  std::set<std::string, std::less<>> taken_;
  bool valid_ = false;
};

}  // namespace st8::target::strict_yaml
