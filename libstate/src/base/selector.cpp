#include "st8/state/selector.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "st8/state/hash.h"
#include "st8/state/text.h"

namespace st8::state {
namespace {

constexpr std::string_view kForms =
    "Forms: @, 12, main, main~2, a checkpoint's name, a hash prefix, 2026-11-21T10:00:00Z, 90m-ago, main@90m-ago; "
    "rev: hash: branch: checkpoint: time: say which is meant.";
constexpr std::size_t kSelectorBytesMax = 1024;

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// nullopt: not digits, or more than 64 bits hold.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (!is_digits(text)) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "2h30m" → microseconds; nullopt: not a duration, or longer than time is.
std::optional<std::int64_t> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::int64_t micros = 0;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || digits == text.size()) return std::nullopt;
    std::int64_t count = 0;
    if (std::from_chars(text.data(), text.data() + digits, count).ec != std::errc{}) return std::nullopt;
    std::int64_t unit = 0;
    switch (text[digits]) {
      case 's':
        unit = 1;
        break;
      case 'm':
        unit = 60;
        break;
      case 'h':
        unit = 3600;
        break;
      case 'd':
        unit = 86'400;
        break;
      case 'w':
        unit = 7 * 86'400;
        break;
      default:
        return std::nullopt;
    }
    std::int64_t part = 0;
    if (__builtin_mul_overflow(count, unit * 1'000'000, &part) || __builtin_add_overflow(micros, part, &micros)) {
      return std::nullopt;
    }
    text.remove_prefix(digits + 1);
  }
  return micros;
}

// nullopt: not a time in any of its three forms.
std::optional<Timestamp> parse_time(std::string_view text, Timestamp now) {
  constexpr std::string_view kAgo = "-ago";
  if (text.ends_with(kAgo)) {
    const auto duration = parse_duration(text.substr(0, text.size() - kAgo.size()));
    std::int64_t micros = 0;
    if (!duration || __builtin_sub_overflow(now.micros, *duration, &micros)) return std::nullopt;
    return Timestamp{micros};
  }
  if (text.size() == 10) return parse_rfc3339(std::string(text) + "T00:00:00Z");
  return parse_rfc3339(text);
}

tl::unexpected<Error> refuse(std::string_view text, std::string_view why, std::string hint = std::string(kForms)) {
  std::string message = "selector " + quote(text) + " ";
  message += why;
  return fail(ErrorCode::kInvalidArgument, std::move(message), std::move(hint));
}

tl::unexpected<Error> refuse_time(std::string_view text, std::string_view time) {
  return refuse(text, "has " + quote(time) + " where a time belongs",
                "Times are 2026-11-21T10:00:00Z, 2026-11-21 (midnight UTC), or a duration ago such as 90m-ago, "
                "2h30m-ago, 3d-ago.");
}

Result<Selector::Base> parse_hash_prefix(std::string_view text, std::string_view digits) {
  const bool hexadecimal = std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
  if (digits.empty() || digits.size() > 2 * Hash::kSize || !hexadecimal) {
    return refuse(text, "has " + quote(digits) + " where a hash prefix belongs",
                  "Use 1 to 64 hexadecimal digits: hash:1f3a9c.");
  }
  std::string hex(digits);
  for (char& c : hex) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  return Selector::ByHashPrefix{std::move(hex)};
}

Result<Selector::Base> parse_prefixed(std::string_view text, std::string_view base, std::size_t colon, Timestamp now) {
  const std::string_view kind = base.substr(0, colon);
  const std::string_view rest = base.substr(colon + 1);
  if (kind == "rev") {
    const auto number = parse_number(rest);
    if (!number) return refuse(text, "has " + quote(rest) + " where a revision number belongs", "Use digits: rev:12.");
    return Selector::ByNumber{RevisionNumber{*number}};
  }
  if (kind == "hash") return parse_hash_prefix(text, rest);
  if (kind == "branch") {
    ST8_ASSIGN(BranchName name, BranchName::parse(rest));
    return Selector::ByBranch{std::move(name)};
  }
  if (kind == "checkpoint") {
    ST8_ASSIGN(CheckpointName name, CheckpointName::parse(rest));
    return Selector::ByCheckpoint{std::move(name)};
  }
  if (kind == "time") {
    const auto time = parse_time(rest, now);
    if (!time) return refuse_time(text, rest);
    return Selector::ByTime{"", *time};
  }
  return refuse(text, "begins with " + quote(base.substr(0, colon + 1)) + ", which is no kind of selector",
                "Kinds are rev: hash: branch: checkpoint: time:.");
}

Result<Selector::Base> parse_base(std::string_view text, std::string_view base, Timestamp now) {
  if (base.empty()) {
    return refuse(text, "names nothing before '~'",
                  "Begin with what to count from: @~1 (this branch's head), main~2, 12~1.");
  }
  if (base == "@" || base == "head") return Selector::Head{};
  if (is_digits(base)) {
    const auto number = parse_number(base);
    if (!number) return refuse(text, "is a number beyond any revision", "Revision numbers have at most 64 bits.");
    return Selector::ByNumber{RevisionNumber{*number}};
  }
  // Before the prefixes: a time has colons of its own. A name has neither a colon nor this shape, but for a date, which
  // is a time ("checkpoint:2026-11-21" names a checkpoint called so).
  if (const auto time = parse_time(base, now)) return Selector::ByTime{"", *time};
  if (const std::size_t at = base.find('@'); at != std::string_view::npos) {
    const std::string_view branch = base.substr(0, at);
    const std::string_view time_text = base.substr(at + 1);
    if (branch.empty()) {
      return refuse(text, "has no branch before '@'",
                    "For the branch in use write the time alone: " + quote(time_text) + ".");
    }
    ST8_ASSIGN(BranchName name, BranchName::parse(branch));
    const auto time = parse_time(time_text, now);
    if (!time) return refuse_time(text, time_text);
    return Selector::ByTime{name.str(), *time};
  }
  if (const std::size_t colon = base.find(':'); colon != std::string_view::npos)
    return parse_prefixed(text, base, colon, now);
  if (base.ends_with("-ago") && base.front() >= '0' && base.front() <= '9') return refuse_time(text, base);
  const auto name = BranchName::parse(base);
  if (!name) return refuse(text, "is not one: " + name.error().message);
  return Selector::ByName{name->str()};
}

}  // namespace

Result<Selector> Selector::parse(std::string_view text, Timestamp now) {
  if (text.empty()) return fail(ErrorCode::kInvalidArgument, "selector is empty", std::string(kForms));
  if (text.size() > kSelectorBytesMax) {
    return refuse(text, "is " + std::to_string(text.size()) + " bytes long; at most " +
                            std::to_string(kSelectorBytesMax) + " are allowed");
  }
  if (text.front() == '-') {
    return refuse(text, "begins with '-'");
  }
  Selector selector;
  selector.text = std::string(text);
  const std::size_t tilde = std::min(text.find('~'), text.size());
  std::string_view steps = text.substr(tilde);
  while (!steps.empty()) {
    // Invariant: `steps` begins with '~'.
    const std::size_t end = std::min(steps.find('~', 1), steps.size());
    const std::string_view count = steps.substr(1, end - 1);
    std::uint64_t number = 1;
    if (!count.empty()) {
      const auto parsed = parse_number(count);
      if (!parsed) {
        return refuse(text, "has " + quote(count) + " behind '~', where a number belongs",
                      "Write main~2 for the second ancestor.");
      }
      number = *parsed;
    }
    if (__builtin_add_overflow(selector.ancestors, number, &selector.ancestors)) {
      return refuse(text, "counts more ancestors than there can be");
    }
    steps.remove_prefix(end);
  }
  ST8_ASSIGN(selector.base, parse_base(text, text.substr(0, tilde), now));
  return selector;
}

Selector Selector::head() {
  Selector selector;
  selector.text = "@";
  return selector;
}

Selector Selector::of(RevisionNumber number) {
  Selector selector;
  selector.base = ByNumber{number};
  selector.text = std::to_string(number.value);
  return selector;
}

Selector Selector::checkpoint(CheckpointName name) {
  Selector selector;
  selector.text = "checkpoint:" + name.str();
  selector.base = ByCheckpoint{std::move(name)};
  return selector;
}

}  // namespace st8::state
