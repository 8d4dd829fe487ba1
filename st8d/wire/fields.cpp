#include "wire/fields.h"

#include <algorithm>
#include <charconv>

#include "wire/text.h"

namespace st8::wire {
namespace {

constexpr std::string_view kEncoded = "_base64";

}  // namespace

bool Fields::Known::is(std::string_view other) const {
  if (!other.starts_with(name)) return false;
  other.remove_prefix(name.size());
  return encoded ? other == kEncoded : other.empty();
}

std::string Fields::Known::str() const { return std::string(name).append(encoded ? kEncoded : std::string_view()); }

Fields::Fields(const JsonValue& value, std::string path, Unknown unknown)
    : value_(value), path_(std::move(path)), unknown_(unknown) {
  known_.reserve(12);  // Most requests have no more.
  if (value_.kind != JsonValue::Kind::kObject) {
    refuse((path_.empty() ? std::string("the body") : "\"" + path_ + "\"") + " must be an object, not " +
           std::string(value_.kind_name()));
  }
}

std::string Fields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

void Fields::refuse(std::string message, std::string hint, ErrorCode code) {
  refuse(Error{code, std::move(message), std::move(hint)});
}

void Fields::refuse(Error error) {
  if (!error_) error_ = std::move(error);
}

void Fields::wrong_type(std::string_view name, std::string_view expected, const JsonValue& found) {
  std::string shown(found.kind_name());
  if (found.kind == JsonValue::Kind::kNumber) shown = printable(found.text, 40);
  refuse("\"" + path_of(name) + "\" must be " + std::string(expected) + ", not " + shown);
}

const JsonValue* Fields::take(std::string_view name) {
  known_.push_back({name});
  if (error_) return nullptr;
  const JsonValue* found = value_.find(name);
  return found == nullptr || found->is_null() ? nullptr : found;
}

std::optional<std::string> Fields::optional_text(std::string_view name) { return text_of(name, take(name)); }

std::optional<std::string> Fields::text_of(std::string_view name, const JsonValue* found) {
  if (found == nullptr) return std::nullopt;
  if (found->kind != JsonValue::Kind::kString) {
    wrong_type(name, "a string", *found);
    return std::nullopt;
  }
  return found->text;
}

std::string Fields::text(std::string_view name) { return optional_text(name).value_or(std::string()); }

std::optional<std::uint64_t> Fields::number(std::string_view name, std::uint64_t max) {
  const JsonValue* found = take(name);
  if (found == nullptr) return std::nullopt;
  const auto expected = [&] { return "an integer from 0 to " + std::to_string(max); };
  if (found->kind != JsonValue::Kind::kNumber) {
    wrong_type(name, expected(), *found);
    return std::nullopt;
  }
  std::uint64_t value = 0;
  const char* const end = found->text.data() + found->text.size();
  const auto parsed = std::from_chars(found->text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value > max) {
    wrong_type(name, expected(), *found);
    return std::nullopt;
  }
  return value;
}

std::int64_t Fields::signed_number(std::string_view name) {
  const JsonValue* found = take(name);
  if (found == nullptr) return 0;
  std::int64_t value = 0;
  const char* const end = found->text.data() + found->text.size();
  const auto parsed = std::from_chars(found->text.data(), end, value);
  if (found->kind != JsonValue::Kind::kNumber || parsed.ec != std::errc() || parsed.ptr != end) {
    wrong_type(name, "an integer", *found);
    return 0;
  }
  return value;
}

std::optional<bool> Fields::flag(std::string_view name) {
  const JsonValue* found = take(name);
  if (found == nullptr) return std::nullopt;
  if (found->kind != JsonValue::Kind::kBool) {
    wrong_type(name, "true or false", *found);
    return std::nullopt;
  }
  return found->boolean;
}

std::vector<std::string> Fields::texts(std::string_view name) {
  std::vector<std::string> out;
  const JsonValue* found = array(name);
  if (found == nullptr) return out;
  out.reserve(found->items.size());
  for (std::size_t i = 0; i < found->items.size(); ++i) {
    if (found->items[i].kind != JsonValue::Kind::kString) {
      wrong_type(std::string(name) + "[" + std::to_string(i) + "]", "a string", found->items[i]);
      return {};
    }
    out.push_back(found->items[i].text);
  }
  return out;
}

const JsonValue* Fields::object(std::string_view name) {
  const JsonValue* found = take(name);
  if (found == nullptr) return nullptr;
  if (found->kind != JsonValue::Kind::kObject) {
    wrong_type(name, "an object", *found);
    return nullptr;
  }
  return found;
}

const JsonValue* Fields::array(std::string_view name) {
  const JsonValue* found = take(name);
  if (found == nullptr) return nullptr;
  if (found->kind != JsonValue::Kind::kArray) {
    wrong_type(name, "an array", *found);
    return nullptr;
  }
  return found;
}

const JsonValue* Fields::any(std::string_view name) { return take(name); }

std::optional<std::string> Fields::bytes(std::string_view name) {
  std::optional<std::string> plain = optional_text(name);
  const std::string encoded_name = std::string(name).append(kEncoded);
  const JsonValue* found = take(encoded_name);
  known_.back() = {name, true};  // This string does not last.
  const std::optional<std::string> encoded = text_of(encoded_name, found);
  if (!encoded) return plain;
  if (plain) {
    refuse("\"" + path_of(name) + "\" and \"" + path_of(encoded_name) + "\" are both given", "Give one of them.");
    return std::nullopt;
  }
  std::optional<std::string> decoded = base64_decode(*encoded);
  if (!decoded)
    refuse("\"" + path_of(encoded_name) + "\" is not Base64 (RFC 4648, with padding and without white space)");
  return decoded;
}

Status Fields::finish() {
  if (!error_ && unknown_ == Unknown::kRefuse) {
    for (const JsonMember& member : value_.members) {
      if (std::any_of(known_.begin(), known_.end(), [&](const Known& known) { return known.is(member.name); }))
        continue;
      std::vector<std::string> known_names;
      for (const Known& known : known_) known_names.push_back(known.str());
      const std::vector<std::string_view> names(known_names.begin(), known_names.end());
      const std::string_view meant = nearest(member.name, names);
      std::string hint;
      if (!meant.empty()) {
        hint = "Did you mean \"" + std::string(meant) + "\"?";
      } else {
        hint = "The fields here are";
        for (std::size_t i = 0; i < known_names.size(); ++i) hint += (i == 0 ? " " : ", ") + known_names[i];
        hint += ".";
      }
      refuse("\"" + printable(path_of(member.name)) + "\" is not a field of this request", std::move(hint));
      break;
    }
  }
  if (error_) return fail(*error_);
  return {};
}

}  // namespace st8::wire
