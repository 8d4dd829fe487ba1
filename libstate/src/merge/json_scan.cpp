#include "merge/json_scan.h"

#include "st8/state/text.h"

namespace st8::state::merge {
namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<Value> run() {
    Value root;
    skip_space();
    if (!value(root, 0)) return std::nullopt;
    skip_space();
    if (at_ != text_.size()) return std::nullopt;
    return root;
  }

 private:
  bool peek(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!peek(c)) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }

  bool value(Value& out, std::size_t depth) {
    if (depth > kDepthMax || at_ == text_.size()) return false;
    out.begin = out.anchor = at_;
    bool sound;
    switch (text_[at_]) {
      case '{':
        sound = map(out, depth);
        break;
      case '[':
        sound = list(out, depth);
        break;
      case '"':
        sound = string();
        break;
      case 't':
        sound = word("true");
        break;
      case 'f':
        sound = word("false");
        break;
      case 'n':
        sound = word("null");
        break;
      default:
        sound = number();
    }
    if (!sound) return false;
    out.end = at_;
    if (out.shape == Shape::kScalar) out.token = text_.substr(out.begin, out.end - out.begin);
    seal(out);
    return true;
  }

  bool map(Value& out, std::size_t depth) {
    out.shape = Shape::kMap;
    out.head_end = ++at_;
    for (bool first = true;; first = false) {
      Member member;
      member.lead = at_;
      skip_space();
      if (first && take('}')) return true;
      member.begin = at_;
      if (!peek('"') || !string()) return false;
      member.key = unescaped(text_.substr(member.begin + 1, at_ - member.begin - 2));
      skip_space();
      if (!take(':')) return false;
      skip_space();
      if (!value(member.value, depth + 1)) return false;
      out.members.push_back(std::move(member));
      skip_space();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }

  bool list(Value& out, std::size_t depth) {
    out.shape = Shape::kList;
    out.head_end = ++at_;
    for (bool first = true;; first = false) {
      Member member;
      member.lead = at_;
      skip_space();
      if (first && take(']')) return true;
      member.begin = at_;
      if (!value(member.value, depth + 1)) return false;
      out.members.push_back(std::move(member));
      skip_space();
      if (take(']')) return true;
      if (!take(',')) return false;
    }
  }

  bool word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::size_t digits() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - begin;
  }
  bool number() {
    take('-');
    if (take('0')) {
      // No digit may follow a leading zero; what follows the value will find it.
    } else if (digits() == 0) {
      return false;
    }
    if (take('.') && digits() == 0) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (digits() == 0) return false;
    }
    return true;
  }

  bool string() {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') continue;
      if (at_ == text_.size()) return false;
      const char escape = text_[at_++];
      if (escape == 'u') {
        for (int i = 0; i < 4; ++i, ++at_) {
          if (at_ == text_.size() || hex_digit(text_[at_]) < 0) return false;
        }
      } else if (std::string_view("\"\\/bfnrt").find(escape) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }

  static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  }
  static char32_t hex4(std::string_view text) {
    char32_t value = 0;
    for (const char c : text.substr(0, 4)) value = value * 16 + static_cast<char32_t>(hex_digit(c));
    return value;
  }
  static void append_utf8(std::string& out, char32_t c) {
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xc0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      out += static_cast<char>(0xe0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else {
      out += static_cast<char>(0xf0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    }
  }

  // The string's inside, known to be well-formed.
  static std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\') {
        out += text[i];
        continue;
      }
      switch (const char escape = text[++i]) {
        case 'b':
          out += '\b';
          break;
        case 'f':
          out += '\f';
          break;
        case 'n':
          out += '\n';
          break;
        case 'r':
          out += '\r';
          break;
        case 't':
          out += '\t';
          break;
        case 'u': {
          char32_t c = hex4(text.substr(i + 1));
          i += 4;
          if (c >= 0xd800 && c < 0xe000) {
            const bool paired = c < 0xdc00 && text.substr(i + 1).starts_with("\\u") &&
                                hex4(text.substr(i + 3)) >= 0xdc00 && hex4(text.substr(i + 3)) < 0xe000;
            if (!paired) return std::string(text);  // Half a pair stands for no character.
            c = 0x10000 + ((c - 0xd800) << 10) + (hex4(text.substr(i + 3)) - 0xdc00);
            i += 6;
          }
          append_utf8(out, c);
          break;
        }
        default:
          out += escape;
      }
    }
    return out;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::optional<Value> scan_json(std::string_view text) {
  if (!is_valid_utf8(text)) return std::nullopt;
  return Scanner(text).run();
}

}  // namespace st8::state::merge
