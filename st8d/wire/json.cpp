#include "wire/json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <unordered_set>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "wire/text.h"

namespace st8::wire {
namespace {

// Bytes of a string that stand for themselves.
constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (std::size_t byte = 0x20; byte < 256; ++byte) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = make_plain();

// Strings are gone through in blocks of so many bytes: one look finds all in it that does not stand for itself, and what lies
// between is copied in chunks, whose surplus the next one overwrites. JSON within JSON has an escape every seven bytes, so that
// looking again behind each of them costs three times as much.
constexpr std::size_t kBlock = 32;
constexpr std::size_t kChunk = 16;
// What a look at a block may read behind it.
constexpr std::size_t kBlockSlack = 32;

// A bit for each byte of a block that does not stand for itself.
inline std::uint32_t specials_in(const char* block) {
#if defined(__SSE2__)
  const auto of_chunk = [](const char* from) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(chunk, _mm_set1_epi8(0x1f)), chunk);
    const __m128i quote = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\'));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash))));
  };
  return of_chunk(block) | of_chunk(block + kChunk) << kChunk;
#else
  std::uint32_t specials = 0;
  for (std::size_t i = 0; i < kBlock; ++i) specials |= std::uint32_t{!kPlain[static_cast<std::uint8_t>(block[i])]} << i;
  return specials;
#endif
}

// Copies what lies between two escapes of a block: `count` bytes of it (at most a block), and up to a chunk more.
inline void copy_run(const char* from, char* to, std::size_t count) {
  std::memcpy(to, from, kChunk);
  if (count > kChunk) std::memcpy(to + kChunk, from + kChunk, kChunk);
}

// What a byte is behind a backslash; 0: it has none of the short escapes.
constexpr std::array<char, 256> make_short_escapes() {
  std::array<char, 256> out{};
  out['"'] = '"';
  out['\\'] = '\\';
  out['\n'] = 'n';
  out['\r'] = 'r';
  out['\t'] = 't';
  return out;
}
constexpr std::array<char, 256> kShortEscapes = make_short_escapes();

// Writes the escape of a byte that needs one, and returns the place behind it.
inline char* write_escape(char* to, char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<std::uint8_t>(c);
  *to++ = '\\';
  if (kShortEscapes[byte] != 0) {
    *to++ = kShortEscapes[byte];
    return to;
  }
  *to++ = 'u';
  *to++ = '0';
  *to++ = '0';
  *to++ = kHex[byte >> 4];
  *to++ = kHex[byte & 0xF];
  return to;
}

// What stands for itself or a control character behind a backslash; 0: something else.
constexpr std::array<char, 256> make_simple_escapes() {
  std::array<char, 256> out{};
  out['"'] = '"';
  out['\\'] = '\\';
  out['/'] = '/';
  out['b'] = '\b';
  out['f'] = '\f';
  out['n'] = '\n';
  out['r'] = '\r';
  out['t'] = '\t';
  return out;
}
constexpr std::array<char, 256> kSimpleEscapes = make_simple_escapes();

// A strict parser of RFC 8259 in one pass over the text. It is our own because requests spend their time here: general
// parsers copy every byte of a string several times, this one looks for the next byte that matters, a block at a time, and
// copies runs. tests/server/json_parser_test.cpp holds it against nlohmann/json on random and damaged input.
class Parser {
 public:
  Parser(std::string_view text, const JsonLimits& limits)
      : begin_(text.data()), at_(text.data()), end_(text.data() + text.size()), limits_(limits) {}

  // Parses the one value that the text is; with no root it only checks.
  Status run(JsonValue* root) {
    skip_space();
    ST8_TRY(value(root, 0));
    skip_space();
    if (at_ != end_) return wrong("more follows after the value");
    return {};
  }

 private:
  static constexpr std::size_t kSetFrom = 16;
  static constexpr std::size_t kMembersFew = 6;  // Of the outermost object, of which there is one: most have no more.

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool next_is(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  // What is wrong at the position that the parser has reached.
  tl::unexpected<Error> wrong(std::string_view what, ErrorCode code = ErrorCode::kInvalidArgument) const {
    std::size_t line = 1;
    const char* line_start = begin_;
    for (const char* p = begin_; p != at_; ++p) {
      if (*p == '\n') {
        ++line;
        line_start = p + 1;
      }
    }
    std::string message = "the body is not acceptable JSON: line " + std::to_string(line) + ", column " +
                          std::to_string(at_ - line_start + 1) + ": " + std::string(what);
    if (code == ErrorCode::kInvalidArgument && at_ != end_) {
      message +=
          ", at \"" +
          printable(std::string_view(at_, static_cast<std::size_t>(std::min<std::ptrdiff_t>(end_ - at_, 24))), 32) +
          "\"";
    }
    return fail(code, std::move(message));
  }

  Status value(JsonValue* out, std::size_t depth) {
    if (++values_ > limits_.values_max) {
      return wrong("it holds more than " + std::to_string(limits_.values_max) + " values", ErrorCode::kTooLarge);
    }
    if (at_ == end_) return wrong("it ends where a value should stand");
    switch (*at_) {
      case '{':
        return object(out, depth + 1);
      case '[':
        return array(out, depth + 1);
      case '"':
        if (out != nullptr) out->kind = JsonValue::Kind::kString;
        return string(out == nullptr ? nullptr : &out->text);
      case 't':
        return word("true", out, JsonValue::Kind::kBool, true);
      case 'f':
        return word("false", out, JsonValue::Kind::kBool, false);
      case 'n':
        return word("null", out, JsonValue::Kind::kNull, false);
      default:
        return number(out);
    }
  }

  Status word(std::string_view wanted, JsonValue* out, JsonValue::Kind kind, bool boolean) {
    if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).substr(0, wanted.size()) != wanted)
      return wrong("this is no value");
    at_ += wanted.size();
    if (out != nullptr) {
      out->kind = kind;
      out->boolean = boolean;
    }
    return {};
  }

  Status number(JsonValue* out) {
    const char* const start = at_;
    const auto digits = [this] {
      const char* const first = at_;
      while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
      return at_ != first;
    };
    next_is('-');
    if (next_is('0')) {
      if (at_ != end_ && *at_ >= '0' && *at_ <= '9') return wrong("a number does not begin with 0");
    } else if (!digits()) {
      at_ = start;
      return wrong("this is no value");
    }
    if (next_is('.') && !digits()) return wrong("digits are missing behind the point");
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (!next_is('+')) next_is('-');
      if (!digits()) return wrong("digits are missing in the exponent");
    }
    if (out != nullptr) {
      out->kind = JsonValue::Kind::kNumber;
      out->text.assign(start, at_);
    }
    return {};
  }

  // The byte that ends a run of plain characters: a quote, a backslash or a control character; or the end.
  const char* run_end(const char* from) const {
    while (end_ - from >= 8) {
      std::uint64_t word;
      std::memcpy(&word, from, sizeof word);
      constexpr std::uint64_t kOnes = 0x0101010101010101u, kHighs = 0x8080808080808080u;
      const auto zero_bytes = [](std::uint64_t w) { return (w - kOnes) & ~w & kHighs; };
      // Exact as "is there one?", which is all that is asked.
      const std::uint64_t hit = zero_bytes(word ^ (kOnes * '"')) | zero_bytes(word ^ (kOnes * '\\')) |
                                ((word - kOnes * 0x20) & ~word & kHighs);
      if (hit != 0) break;
      from += 8;
    }
    while (from != end_ && *from != '"' && *from != '\\' && static_cast<std::uint8_t>(*from) >= 0x20) ++from;
    return from;
  }

  Status string(std::string* out) {
    ++at_;  // The quote.
    const char* const start = at_;
    const char* const stop = run_end(at_);
    if (stop != end_ && *stop == '"') {
      const std::string_view run(start, static_cast<std::size_t>(stop - start));
      if (!is_utf8(run)) return not_utf8(run);
      if (out != nullptr) out->assign(run);
      at_ = stop + 1;
      return {};
    }
    if (out == nullptr) out = &scratch_;
    out->assign(start, stop);
    at_ = stop;
    return escaped_string(*out, start);
  }

  // The rest of a string, from its first escape on.
  Status escaped_string(std::string& out, const char* start) {
    // Most documents fit the buffer, and are copied from it once, into memory of their size.
    char* to = buffer_.data();
    char* const room_end = buffer_.data() + buffer_.size() - kBlock - kChunk;
    const auto empty_buffer = [&] {
      out.append(buffer_.data(), static_cast<std::size_t>(to - buffer_.data()));
      to = buffer_.data();
    };
    while (true) {
      if (to > room_end) empty_buffer();
      if (static_cast<std::size_t>(end_ - at_) >= kBlock + kBlockSlack) {
        const char* const block = at_;
        std::size_t done = 0;  // Bytes of the block; an escape may reach over its end.
        bool stopped = false;  // At something that is no simple escape.
        for (std::uint32_t specials = specials_in(block); specials != 0;) {
          const auto next = static_cast<std::size_t>(std::countr_zero(specials));
          copy_run(block + done, to, next - done);
          to += next - done;
          done = next;
          const char escaped = kSimpleEscapes[static_cast<std::uint8_t>(block[next + 1])];
          if (block[next] != '\\' || escaped == 0) {
            stopped = true;
            break;
          }
          *to++ = escaped;
          done += 2;
          // Neither the backslash nor what it escapes is looked at again.
          specials &= ~static_cast<std::uint32_t>(std::uint64_t{3} << next);
        }
        if (!stopped && done < kBlock) {
          copy_run(block + done, to, kBlock - done);
          to += kBlock - done;
          done = kBlock;
        }
        at_ += done;
        if (!stopped) continue;
      }
      if (at_ == end_) return wrong("it ends within a string");
      const auto byte = static_cast<std::uint8_t>(*at_);
      if (kPlain[byte]) {
        *to++ = *at_++;
        continue;
      }
      if (byte == '\\' && end_ - at_ >= 2 && kSimpleEscapes[static_cast<std::uint8_t>(at_[1])] != 0) {
        *to++ = kSimpleEscapes[static_cast<std::uint8_t>(at_[1])];
        at_ += 2;
        continue;
      }
      empty_buffer();
      if (byte == '"') break;
      if (byte < 0x20) return wrong("a control character must be written as an escape");
      ST8_TRY(unicode_escape(out));
    }
    // An escape makes whole characters, so that what was not UTF-8 is still not.
    if (!is_utf8(out)) return not_utf8(std::string_view(start, static_cast<std::size_t>(at_ - start)));
    ++at_;
    return {};
  }

  tl::unexpected<Error> not_utf8(std::string_view run) {
    // Find the place, for the message.
    at_ = run.data();
    while (!run.empty()) {
      std::size_t good = 1;
      while (good <= 4 && good <= run.size() && !is_utf8(run.substr(0, good))) ++good;
      if (good > 4 || good > run.size()) break;
      run.remove_prefix(good);
      at_ += good;
    }
    return wrong("these bytes are not UTF-8");
  }

  Result<std::uint32_t> four_digits() {
    std::uint32_t unit = 0;
    for (int i = 0; i < 4; ++i) {
      if (at_ == end_) return wrong("it ends within an escape");
      const char c = *at_;
      std::uint32_t digit = 0;
      if (c >= '0' && c <= '9') {
        digit = static_cast<std::uint32_t>(c - '0');
      } else if (c >= 'a' && c <= 'f') {
        digit = static_cast<std::uint32_t>(c - 'a' + 10);
      } else if (c >= 'A' && c <= 'F') {
        digit = static_cast<std::uint32_t>(c - 'A' + 10);
      } else {
        return wrong("\\u takes four hexadecimal digits");
      }
      unit = unit << 4 | digit;
      ++at_;
    }
    return unit;
  }

  // An escape that is not a simple one.
  Status unicode_escape(std::string& out) {
    const char* const backslash = at_;
    if (++at_ == end_) return wrong("it ends within an escape");
    if (*at_++ != 'u') {
      at_ = backslash;
      return wrong("there is no such escape");
    }
    ST8_ASSIGN(std::uint32_t code, four_digits());
    if (code >= 0xDC00 && code <= 0xDFFF) {
      at_ = backslash;
      return wrong("the second half of a surrogate pair stands alone");
    }
    if (code >= 0xD800 && code <= 0xDBFF) {
      std::uint32_t low = 0;
      if (end_ - at_ >= 2 && at_[0] == '\\' && at_[1] == 'u') {
        at_ += 2;
        ST8_ASSIGN(low, four_digits());
      }
      if (low < 0xDC00 || low > 0xDFFF) {
        at_ = backslash;
        return wrong("the first half of a surrogate pair stands alone");
      }
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(out, code);
    return {};
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    const auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
      add(code);
    } else if (code < 0x800) {
      add(0xC0 | code >> 6);
      add(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      add(0xE0 | code >> 12);
      add(0x80 | (code >> 6 & 0x3F));
      add(0x80 | (code & 0x3F));
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
      add(0x80 | (code >> 6 & 0x3F));
      add(0x80 | (code & 0x3F));
    }
  }

  Status array(JsonValue* out, std::size_t depth) {
    if (depth > limits_.depth_max)
      return wrong("it is nested deeper than " + std::to_string(limits_.depth_max) + " levels");
    ++at_;
    if (out != nullptr) out->kind = JsonValue::Kind::kArray;
    skip_space();
    if (next_is(']')) return {};
    while (true) {
      skip_space();
      ST8_TRY(value(out == nullptr ? nullptr : &out->items.emplace_back(), depth));
      skip_space();
      if (next_is(']')) return {};
      if (!next_is(',')) return wrong(at_ == end_ ? "it ends within a list" : "a comma or ] is missing");
    }
  }

  Status object(JsonValue* out, std::size_t depth) {
    if (depth > limits_.depth_max)
      return wrong("it is nested deeper than " + std::to_string(limits_.depth_max) + " levels");
    ++at_;
    if (out != nullptr) out->kind = JsonValue::Kind::kObject;
    std::unordered_set<std::string> names;  // Only of objects with many members; few are compared one by one.
    skip_space();
    if (next_is('}')) return {};
    if (out != nullptr && depth == 1) out->members.reserve(kMembersFew);
    while (true) {
      skip_space();
      if (at_ == end_) return wrong("it ends within an object");
      if (*at_ != '"') return wrong("a name in quotes is missing");
      const char* const name_at = at_;
      JsonMember* member = nullptr;
      if (out != nullptr) {
        member = &out->members.emplace_back();
        ST8_TRY(string(&member->name));
        if (given_before(*out, names)) {
          at_ = name_at;
          return wrong("the key \"" + printable(member->name) + "\" stands twice in one object");
        }
      } else {
        ST8_TRY(string(nullptr));
      }
      skip_space();
      if (!next_is(':')) return wrong(at_ == end_ ? "it ends within an object" : "a colon is missing");
      skip_space();
      ST8_TRY(value(member == nullptr ? nullptr : &member->value, depth));
      skip_space();
      if (next_is('}')) return {};
      if (!next_is(',')) return wrong(at_ == end_ ? "it ends within an object" : "a comma or } is missing");
    }
  }

  // Whether the last member's name is that of an earlier one.
  static bool given_before(const JsonValue& object, std::unordered_set<std::string>& names) {
    const std::vector<JsonMember>& members = object.members;
    const std::string& name = members.back().name;
    if (members.size() <= kSetFrom) {
      for (std::size_t i = 0; i + 1 < members.size(); ++i) {
        if (members[i].name == name) return true;
      }
      return false;
    }
    if (names.empty()) {
      for (std::size_t i = 0; i + 1 < members.size(); ++i) names.insert(members[i].name);
    }
    return !names.insert(name).second;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  const JsonLimits limits_;
  std::size_t values_ = 0;
  std::string scratch_;  // Strings that are only checked.
  // What an escaped string is put together in. Here, since value() recurses and must not carry it.
  std::array<char, 4096> buffer_;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view name) const {
  for (const JsonMember& member : members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

std::string_view JsonValue::kind_name() const {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return "a boolean";
    case Kind::kNumber:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kArray:
      return "an array";
    case Kind::kObject:
      return "an object";
  }
  return "a value";
}

Result<JsonValue> parse_json(std::string_view text, const JsonLimits& limits) {
  JsonValue root;
  ST8_TRY(Parser(text, limits).run(&root));
  return root;
}

bool is_json(std::string_view text, std::size_t depth_max) {
  JsonLimits limits;
  limits.depth_max = depth_max;
  limits.values_max = text.size() + 1;
  return Parser(text, limits).run(nullptr).has_value();
}

void JsonWriter::separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  string(name);
  out_ += ':';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
  separate();
  if (is_utf8(text)) {
    quoted(text);
  } else {
    quoted(printable(text, text.size()));
  }
  return *this;
}

void JsonWriter::quoted(std::string_view utf8) {
  constexpr std::size_t kEscapeMax = 6;
  constexpr std::size_t kBlockMax = kBlock * kEscapeMax + kChunk;
  // Names, hashes and the like, which seldom have anything to escape.
  if (utf8.size() < kBlock + kBlockSlack &&
      std::all_of(utf8.begin(), utf8.end(), [](char c) { return kPlain[static_cast<std::uint8_t>(c)]; })) {
    out_ += '"';
    out_ += utf8;
    out_ += '"';
    return;
  }
  const std::size_t begun = out_.size();
  // Room for JSON, whose every seventh byte is escaped; more is made on the way.
  out_.resize(begun + utf8.size() + utf8.size() / 4 + kBlockMax + 2);
  char* to = out_.data() + begun;
  char* room_end = out_.data() + out_.size() - kBlockMax - 1;
  *to++ = '"';
  const char* from = utf8.data();
  const char* const end = from + utf8.size();
  while (from != end) {
    if (to > room_end) {
      const auto written = static_cast<std::size_t>(to - out_.data());
      out_.resize(written + 2 * static_cast<std::size_t>(end - from) + 2 * kBlockMax);
      to = out_.data() + written;
      room_end = out_.data() + out_.size() - kBlockMax - 1;
    }
    if (static_cast<std::size_t>(end - from) >= kBlock + kBlockSlack) {
      std::size_t done = 0;
      for (std::uint32_t specials = specials_in(from); specials != 0; specials &= specials - 1) {
        const auto next = static_cast<std::size_t>(std::countr_zero(specials));
        copy_run(from + done, to, next - done);
        to = write_escape(to + (next - done), from[next]);
        done = next + 1;
      }
      copy_run(from + done, to, kBlock - done);
      to += kBlock - done;
      from += kBlock;
      continue;
    }
    const std::size_t count = std::min<std::size_t>(static_cast<std::size_t>(end - from), kBlock);
    for (std::size_t i = 0; i < count; ++i, ++from) {
      if (kPlain[static_cast<std::uint8_t>(*from)]) {
        *to++ = *from;
      } else {
        to = write_escape(to, *from);
      }
    }
  }
  *to++ = '"';
  out_.resize(static_cast<std::size_t>(to - out_.data()));
}

JsonWriter& JsonWriter::number(std::uint64_t value) {
  separate();
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  return *this;
}

JsonWriter& JsonWriter::number(std::int64_t value) {
  separate();
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return null();  // JSON has no infinity.
  separate();
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
  separate();
  out_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::null() {
  separate();
  out_ += "null";
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_.append(json);
  return *this;
}

JsonWriter& JsonWriter::bytes_field(std::string_view name, std::string_view bytes) {
  if (is_utf8(bytes)) {
    key(name);
    separate();
    quoted(bytes);
    return *this;
  }
  return key(std::string(name) + "_base64").string(base64_encode(bytes));
}

namespace {
void write_value(JsonWriter& out, const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      out.null();
      return;
    case JsonValue::Kind::kBool:
      out.boolean(value.boolean);
      return;
    case JsonValue::Kind::kNumber:
      out.raw(value.text);
      return;
    case JsonValue::Kind::kString:
      out.string(value.text);
      return;
    case JsonValue::Kind::kArray:
      out.begin_array();
      for (const JsonValue& item : value.items) write_value(out, item);
      out.end_array();
      return;
    case JsonValue::Kind::kObject:
      out.begin_object();
      for (const JsonMember& member : value.members) {
        out.key(member.name);
        write_value(out, member.value);
      }
      out.end_object();
      return;
  }
}
}  // namespace

std::string to_json(const JsonValue& value) {
  std::string text;
  JsonWriter out(text);
  write_value(out, value);
  return text;
}

}  // namespace st8::wire
