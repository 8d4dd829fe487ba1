// JSON in and out. Reading checks everything that a server must before it believes a byte: grammar, UTF-8, depth, size,
// keys given twice. Writing appends straight to a buffer, so that a large answer never exists twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/result.h"

namespace st8::wire {

struct JsonMember;

// A parsed value. Members keep their order; numbers keep the digits they came with.
struct JsonValue {
  enum class Kind : std::uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  std::string text;                 // A string's bytes (UTF-8), or a number's literal.
  std::vector<JsonValue> items;     // Of an array.
  std::vector<JsonMember> members;  // Of an object.

  bool is_null() const { return kind == Kind::kNull; }
  // The member of that name; nullptr when there is none, or when this is not an object.
  const JsonValue* find(std::string_view name) const;
  // "a string", "an object", ... for messages.
  std::string_view kind_name() const;
};

struct JsonMember {
  std::string name;
  JsonValue value;
};

struct JsonLimits {
  std::size_t depth_max = 128;
  std::size_t values_max = 1'000'000;  // Bounds the memory that a small body can ask for.
};

// Parses one whole value. Errors: kInvalidArgument, with line, column and what is wrong (grammar, invalid UTF-8, a lone surrogate,
// a key twice in one object, too deep); kTooLarge (too many values). Cost: one pass; it recurses at most depth_max deep. Thread-safe.
Result<JsonValue> parse_json(std::string_view text, const JsonLimits& limits = {});

// Whether the text is one valid JSON value of at most that depth. Cheaper than parse_json; keeps nothing.
bool is_json(std::string_view text, std::size_t depth_max = 128);

// Appends JSON to a string. The caller keeps the grammar (begin and end matched, a key before each member); the writer
// puts the commas and does the escaping.
class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  // Text that is not UTF-8 is written with its bad bytes as \xNN (see printable()); content, where that would be a loss,
  // goes through bytes_field().
  JsonWriter& string(std::string_view text);
  JsonWriter& number(std::uint64_t value);
  JsonWriter& number(std::int64_t value);
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  // A value that is JSON already.
  JsonWriter& raw(std::string_view json);

  JsonWriter& field(std::string_view name, std::string_view text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, const char* text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, const std::string& text) { return key(name).string(text); }
  JsonWriter& field(std::string_view name, std::uint64_t value) { return key(name).number(value); }
  JsonWriter& field(std::string_view name, std::int64_t value) { return key(name).number(value); }
  JsonWriter& field(std::string_view name, double value) { return key(name).number(value); }
  JsonWriter& field(std::string_view name, bool value) { return key(name).boolean(value); }
  // As `name` when the bytes are UTF-8, else as Base64 under `name`_base64.
  JsonWriter& bytes_field(std::string_view name, std::string_view bytes);

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void separate();
  void quoted(std::string_view utf8);

  std::string& out_;
  bool comma_ = false;  // Whether the next value or key stands behind another.
};

// The value as JSON again, without white space.
std::string to_json(const JsonValue& value);

}  // namespace st8::wire
