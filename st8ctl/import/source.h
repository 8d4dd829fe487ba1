// A document of another tool's, read so that each of its fields ends up in a report.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "import/import.h"

namespace st8::ctl {

// A value of the document, and where it stands. Copies are the same value. Not to be assigned: the library's nodes would then
// change the document.
class Part {
 public:
  Part(std::vector<ImportRow>& report, YAML::Node node, std::string path, int line)
      : report_(&report),
        node_(std::move(node)),
        path_(std::move(path)),
        line_(line),
        taken_(std::make_shared<std::set<std::string>>()) {}
  Part(const Part&) = default;
  Part& operator=(const Part&) = delete;

  const std::string& path() const { return path_; }
  bool is_map() const { return node_.IsMap(); }
  bool is_list() const { return node_.IsSequence(); }
  bool is_scalar() const { return node_.IsScalar(); }
  bool is_null() const { return node_.IsNull(); }

  // A field of a map, which the caller reports; nullopt when it is absent or this is no map.
  std::optional<Part> take(std::string_view name) const;
  // As take(); an error when it is absent or null.
  Result<Part> require(std::string_view name) const;
  std::vector<Part> items() const;  // Of a list.
  // Every field, taken.
  std::vector<std::pair<std::string, Part>> fields() const;

  // Errors: kUnprocessable, with line and path.
  Result<std::string> text() const;
  Result<std::int64_t> integer(std::int64_t least, std::int64_t most) const;
  Result<double> number(double least, double most) const;
  Result<bool> boolean() const;
  // Of Go's: "1h30m", "1.5s", "500ms"; a plain number is seconds when `seconds`. In milliseconds, at most 366 days.
  Result<std::int64_t> duration(bool seconds) const;
  Result<std::vector<std::string>> texts() const;
  Status expect_map() const;
  Status expect_list() const;
  tl::unexpected<Error> refuse(std::string message, std::string hint = {}) const;

  // What became of it.
  void taken(std::string to) const;
  void changed(std::string to, std::string why) const;
  void left(std::string why) const;
  // Of a map: all fields that nobody took are left out. A field that stands twice is left out the second time.
  void rest(const std::string& why = "it is no field that is known here") const;

 private:
  void row(ImportRow::What what, std::string to, std::string why) const;

  std::vector<ImportRow>* report_;
  const YAML::Node node_;
  std::string path_;
  int line_;
  std::shared_ptr<std::set<std::string>> taken_;
};

// Parses one YAML (or JSON) document and hands its root, a map, to `read`. Errors: kUnprocessable, with the line; those of `read`.
// The report comes out in the order of the source.
Result<Imported> read_source(std::string_view text, const std::function<Result<Imported>(const Part&)>& read);

// --- What is made ---------------------------------------------------------------------------------------------------------------

wire::JsonValue json_text(std::string_view text);
wire::JsonValue json_number(std::int64_t number);
wire::JsonValue json_bool(bool value);
wire::JsonValue json_list(std::vector<wire::JsonValue> items = {});
wire::JsonValue json_texts(const std::vector<std::string>& texts);
wire::JsonValue json_object();
// Puts a field at the end, or in the place of the one that has the name.
void put(wire::JsonValue& object, std::string_view name, wire::JsonValue value);

// "1h30m", as st8 writes durations.
std::string duration_text(std::int64_t milliseconds);
// The nearest name that a target may have: lower case, 1 to 63 of a-z, 0-9, '.', '_' and '-'; empty when nothing is left.
std::string target_name(std::string_view text);
// Text for a field that st8 renders: "{{" stands for itself there only when doubled.
std::string unrendered(std::string_view text);
// Words for /bin/sh that it takes as they are.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace st8::ctl
