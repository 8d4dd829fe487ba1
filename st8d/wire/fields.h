// Reading an object's members by name and type. Two manners: a server is strict (an unknown member is refused, with the name
// that was most likely meant), a client is lenient (a newer server may say more).
//
// The first error stays and ends up in finish(); every read after it answers the default. null means "not given"
// everywhere, as the published clients send nil lists and unset values so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/result.h"
#include "wire/json.h"

namespace st8::wire {

class Fields {
 public:
  enum class Unknown : std::uint8_t { kRefuse, kIgnore };

  // `path` is where the object stands, for messages: "" for the whole body, "documents[3]".
  Fields(const JsonValue& value, std::string path, Unknown unknown);

  // Names are literals: they are kept until finish().
  // Text; absent or null is "".
  std::string text(std::string_view name);
  // As text(); absent and null are nullopt, so that an empty text is seen as given.
  std::optional<std::string> optional_text(std::string_view name);
  // An integer from 0 to `max`, or (max not given) to 2^63 - 1, the largest that every client can hold.
  std::optional<std::uint64_t> number(std::string_view name, std::uint64_t max = (std::uint64_t{1} << 63) - 1);
  std::int64_t signed_number(std::string_view name);
  std::optional<bool> flag(std::string_view name);
  // A list of texts; absent or null is empty.
  std::vector<std::string> texts(std::string_view name);
  // The member itself, of that kind; nullptr when absent or null.
  const JsonValue* object(std::string_view name);
  const JsonValue* array(std::string_view name);
  const JsonValue* any(std::string_view name);
  // Content: `name` (text) or `name`_base64 (bytes), not both. nullopt when neither is given.
  std::optional<std::string> bytes(std::string_view name);

  // "documents[3].key"
  std::string path_of(std::string_view name) const;
  // Makes `message` the error, unless there is one already.
  void refuse(std::string message, std::string hint = {}, ErrorCode code = ErrorCode::kInvalidArgument);
  void refuse(Error error);
  bool failed() const { return error_.has_value(); }

  // The first error: a wrong type, or (strict) a member that nobody asked for.
  Status finish();

 private:
  // A name that was asked for; with `encoded`, "_base64" follows it.
  struct Known {
    std::string_view name;
    bool encoded = false;
    bool is(std::string_view other) const;
    std::string str() const;
  };
  const JsonValue* take(std::string_view name);
  std::optional<std::string> text_of(std::string_view name, const JsonValue* found);
  void wrong_type(std::string_view name, std::string_view expected, const JsonValue& found);

  const JsonValue& value_;
  std::string path_;
  Unknown unknown_;
  std::vector<Known> known_;  // What was asked for.
  std::optional<Error> error_;
};

}  // namespace st8::wire
