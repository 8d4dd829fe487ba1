#include "auth/authenticator.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <shared_mutex>
#include <sstream>
#include <sys/stat.h>
#include <unordered_map>
#include <yaml-cpp/yaml.h>

#include "auth/glob.h"
#include "st8/state/hash.h"

namespace st8::auth {
namespace {

constexpr std::string_view kScheme = "st8-hmac-sha256";
constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kTokenBytesMax = 4096;
constexpr std::size_t kTokenBytesShort = 22;  // 128 bits in Base64.
constexpr std::size_t kTokenFileBytesMax = 16u << 20;
constexpr std::size_t kSeenMax = 4096;

std::string hex_of(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kHex[static_cast<std::uint8_t>(c) >> 4];
    out += kHex[static_cast<std::uint8_t>(c) & 0xF];
  }
  return out;
}

std::optional<std::string> bytes_of(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit(hex[i]), low = digit(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

Hash hmac_sha256(std::string_view key, std::string_view data) {
  Hash out;
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(data.data()),
       data.size(), out.bytes.data(), &length);
  return out;
}

// Equality whose time does not depend on where two digests differ.
bool same_digest(const Hash& a, const Hash& b) {
  return CRYPTO_memcmp(a.bytes.data(), b.bytes.data(), Hash::kSize) == 0;
}

Result<std::string> random_bytes(std::size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1) {
    return fail(ErrorCode::kUnavailable, "the system gave no random bytes");
  }
  return out;
}

struct Entry {
  enum class Kind : std::uint8_t { kSha256, kSalted };
  Kind kind = Kind::kSha256;
  Hash digest;  // SHA-256 of the token, or HMAC of it under the salt.
  std::string salt;
  std::shared_ptr<const Principal> principal;
};

}  // namespace

// One generation of tokens. Immutable, but for the memory of which salted entry a token belonged to.
class TokenSet {
 public:
  explicit TokenSet(std::string key) : key_(std::move(key)) {}

  void add(Entry entry) {
    if (entry.kind == Entry::Kind::kSha256) {
      by_key_.emplace(keyed(entry.digest), entries_.size());
    } else {
      salted_.push_back(entries_.size());
    }
    entries_.push_back(std::move(entry));
  }

  std::shared_ptr<const Principal> find(std::string_view token) const {
    // A table is asked by a keyed digest, so that neither its order nor the time it takes tells anything about a token.
    const Hash digest = Hash::of(token);
    const Hash key = keyed(digest);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
      const Entry& entry = entries_[found->second];
      if (same_digest(entry.digest, digest)) return entry.principal;
    }
    if (salted_.empty()) return nullptr;
    {
      const std::shared_lock lock(seen_mutex_);
      if (const auto found = seen_.find(key); found != seen_.end()) return entries_[found->second].principal;
    }
    // Every salted entry is tried, also after a match: the time must not say which one it was.
    std::size_t match = entries_.size();
    for (const std::size_t index : salted_) {
      const bool same = same_digest(hmac_sha256(entries_[index].salt, token), entries_[index].digest);
      if (same && match == entries_.size()) match = index;
    }
    if (match == entries_.size()) return nullptr;
    const std::unique_lock lock(seen_mutex_);
    if (seen_.size() < kSeenMax) seen_.emplace(key, match);  // Only good tokens get here: as many as the file has.
    return entries_[match].principal;
  }

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  void warn(std::string warning) { warnings_.push_back(std::move(warning)); }

 private:
  Hash keyed(const Hash& digest) const { return Hash::of_parts({key_, digest.view()}); }

  std::string key_;  // Random, of this process.
  std::vector<Entry> entries_;
  std::unordered_map<Hash, std::size_t> by_key_;
  std::vector<std::size_t> salted_;
  std::vector<std::string> warnings_;
  mutable std::shared_mutex seen_mutex_;
  mutable std::unordered_map<Hash, std::size_t> seen_;
};

namespace {

bool same_policy(const Policy& a, const Policy& b) {
  return a.namespaces == b.namespaces && a.branches == b.branches && a.key_prefix == b.key_prefix && a.verbs == b.verbs;
}

Error yaml_error(const YAML::Mark& mark, const std::string& what, std::string hint = {}) {
  std::string where = "the token file";
  if (!mark.is_null()) where += ", line " + std::to_string(mark.line + 1);
  return Error{ErrorCode::kInvalidArgument, where + ": " + what, std::move(hint)};
}

Status only_fields(const YAML::Node& node, std::string_view what, std::initializer_list<std::string_view> allowed) {
  if (!node.IsMap()) return fail(yaml_error(node.Mark(), std::string(what) + " must be a mapping"));
  std::vector<std::string> seen;
  for (const auto& item : node) {
    const std::string name = item.first.IsScalar() ? item.first.Scalar() : std::string("?");
    if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
      std::string hint = "Its fields are";
      for (const std::string_view field : allowed) hint += (hint.ends_with("are") ? " " : ", ") + std::string(field);
      return fail(yaml_error(item.first.Mark(), "\"" + name + "\" is not a field of " + std::string(what), hint + "."));
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return fail(yaml_error(item.first.Mark(), "\"" + name + "\" stands twice in " + std::string(what)));
    }
    seen.push_back(name);
  }
  return {};
}

Result<std::string> scalar(const YAML::Node& node, std::string_view field) {
  if (!node || node.IsNull()) return std::string();
  if (!node.IsScalar()) return fail(yaml_error(node.Mark(), "\"" + std::string(field) + "\" must be text"));
  return node.Scalar();
}

Result<std::vector<std::string>> scalars(const YAML::Node& node, std::string_view field) {
  std::vector<std::string> out;
  if (!node || node.IsNull()) return out;
  if (!node.IsSequence()) return fail(yaml_error(node.Mark(), "\"" + std::string(field) + "\" must be a list"));
  for (const auto& item : node) {
    ST8_ASSIGN(std::string text, scalar(item, field));
    out.push_back(std::move(text));
  }
  return out;
}

Result<Policy> read_policy(const YAML::Node& node) {
  Policy policy;
  ST8_TRY(only_fields(node, "\"allow\"", {"namespaces", "branches", "key_prefix", "verbs"}));
  ST8_ASSIGN(policy.namespaces, scalars(node["namespaces"], "namespaces"));
  ST8_ASSIGN(policy.branches, scalars(node["branches"], "branches"));
  ST8_ASSIGN(policy.key_prefix, scalar(node["key_prefix"], "key_prefix"));
  for (const std::vector<std::string>* patterns : {&policy.namespaces, &policy.branches}) {
    for (const std::string& pattern : *patterns) {
      if (Status good = check_glob(pattern); !good)
        return fail(yaml_error(node.Mark(), good.error().message, good.error().hint));
    }
  }
  ST8_ASSIGN(const std::vector<std::string> verbs, scalars(node["verbs"], "verbs"));
  for (const std::string& verb : verbs) {
    bool known = false;
    for (const Verb candidate : {Verb::kRead, Verb::kWrite, Verb::kAdmin}) {
      if (verb != verb_name(candidate)) continue;
      policy.verbs = static_cast<std::uint8_t>(policy.verbs | static_cast<std::uint8_t>(candidate));
      known = true;
    }
    if (!known)
      return fail(
          yaml_error(node["verbs"].Mark(), "\"" + verb + "\" is not a verb", "The verbs are read, write and admin."));
  }
  return policy;
}

Hash credential_of(const Entry& entry) {
  return Hash::of_parts({entry.kind == Entry::Kind::kSalted ? "salted" : "sha256", entry.salt, entry.digest.view()});
}

Status add_admin(TokenSet& set, const std::string& token) {
  if (token.empty()) return {};
  auto principal = std::make_shared<Principal>();
  principal->name = "admin";
  principal->allow = Policy::everything();
  Entry entry{Entry::Kind::kSha256, Hash::of(token), {}, nullptr};
  principal->credential = credential_of(entry);
  entry.principal = std::move(principal);
  set.add(std::move(entry));
  return {};
}

Status add_tokens(TokenSet& set, std::string_view text) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root || root.IsNull()) {
      set.warn("the token file holds no tokens: nobody can authenticate");
      return {};
    }
    ST8_TRY(only_fields(root, "the token file", {"tokens"}));
    const YAML::Node tokens = root["tokens"];
    if (!tokens || tokens.IsNull() || (tokens.IsSequence() && tokens.size() == 0)) {
      set.warn("the token file holds no tokens: nobody can authenticate");
      return {};
    }
    if (!tokens.IsSequence()) return fail(yaml_error(tokens.Mark(), "\"tokens\" must be a list"));
    std::vector<std::string> names;
    std::size_t position = 0;
    for (const auto& node : tokens) {
      ++position;
      ST8_TRY(only_fields(node, "a token", {"name", "token", "token_sha256", "token_hash", "allow"}));
      ST8_ASSIGN(std::string name, scalar(node["name"], "name"));
      ST8_ASSIGN(const std::string plain, scalar(node["token"], "token"));
      ST8_ASSIGN(const std::string sha256, scalar(node["token_sha256"], "token_sha256"));
      ST8_ASSIGN(const std::string salted, scalar(node["token_hash"], "token_hash"));
      if (name.empty()) name = "token-" + std::to_string(position);
      const std::string who = "token \"" + name + "\"";
      if (std::find(names.begin(), names.end(), name) != names.end()) {
        set.warn("two tokens are named \"" + name + "\": logs cannot tell them apart");
      }
      names.push_back(name);
      const int given = (plain.empty() ? 0 : 1) + (sha256.empty() ? 0 : 1) + (salted.empty() ? 0 : 1);
      if (given != 1) {
        return fail(yaml_error(node.Mark(), "the " + who + " needs exactly one of token_hash, token_sha256 and token",
                               "`st8d token hash` makes a token_hash."));
      }
      Entry entry;
      if (!plain.empty()) {
        entry.digest = Hash::of(plain);
        set.warn("the " + who +
                 " stands in plain text: replace `token` by the `token_hash` that `st8d token hash` prints");
        if (plain.size() < kTokenBytesShort) {
          set.warn("the " + who + " is short enough to be guessed: `st8d token new` makes a better one");
        }
      } else if (!sha256.empty()) {
        const std::optional<Hash> digest = Hash::from_hex(sha256);
        if (!digest)
          return fail(yaml_error(node["token_sha256"].Mark(),
                                 "the token_sha256 of the " + who + " is not 64 hexadecimal digits"));
        entry.digest = *digest;
      } else {
        const std::size_t first = salted.find(':');
        const std::size_t second = first == std::string::npos ? first : salted.find(':', first + 1);
        std::optional<std::string> salt;
        std::optional<Hash> digest;
        if (second != std::string::npos && salted.substr(0, first) == kScheme) {
          salt = bytes_of(std::string_view(salted).substr(first + 1, second - first - 1));
          digest = Hash::from_hex(std::string_view(salted).substr(second + 1));
        }
        if (!salt || salt->size() < 8 || !digest) {
          return fail(yaml_error(
              node["token_hash"].Mark(),
              "the token_hash of the " + who + " is not of the form " + std::string(kScheme) + ":<salt>:<digest>",
              "`st8d token hash` makes one."));
        }
        entry.kind = Entry::Kind::kSalted;
        entry.salt = std::move(*salt);
        entry.digest = *digest;
      }
      for (const Entry& other : set.entries()) {
        if (other.kind == entry.kind && other.salt == entry.salt && same_digest(other.digest, entry.digest)) {
          return fail(
              yaml_error(node.Mark(), "the " + who + " is the same token as \"" + other.principal->name + "\""));
        }
      }
      auto principal = std::make_shared<Principal>();
      principal->name = std::move(name);
      if (const YAML::Node allow = node["allow"]; allow && !allow.IsNull()) {
        ST8_ASSIGN(principal->allow, read_policy(allow));
      }
      if (principal->allow.verbs == 0 || principal->allow.namespaces.empty()) {
        set.warn("the " + who + " allows nothing: it needs namespaces, branches and verbs under `allow`");
      } else if (principal->allow.branches.empty()) {
        set.warn("the " + who + " allows no branch: write `branches: [\"*\"]` for all");
      }
      principal->credential = credential_of(entry);
      entry.principal = std::move(principal);
      set.add(std::move(entry));
    }
    return {};
  } catch (const YAML::Exception& failure) {
    return fail(yaml_error(failure.mark, failure.msg));
  } catch (const std::exception& failure) {
    return fail(ErrorCode::kInvalidArgument, std::string("the token file cannot be read: ") + failure.what());
  }
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int reason = errno;
    return fail(reason == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
                "the token file " + path + " cannot be opened: " + std::strerror(reason), "Check --auth-config.");
  }
  std::string text;
  std::array<char, 65536> buffer;
  while (file.read(buffer.data(), buffer.size()), file.gcount() > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(file.gcount()));
    if (text.size() > kTokenFileBytesMax)
      return fail(ErrorCode::kTooLarge, "the token file " + path + " is larger than 16 MiB");
  }
  if (file.bad()) return fail(ErrorCode::kUnavailable, "the token file " + path + " cannot be read");
  return text;
}

Result<std::shared_ptr<TokenSet>> load(const Authenticator::Options& options) {
  ST8_ASSIGN(std::string key, random_bytes(32));
  auto set = std::make_shared<TokenSet>(std::move(key));
  ST8_TRY(add_admin(*set, options.admin_token));
  if (!options.token_file.empty()) {
    ST8_ASSIGN(const std::string text, read_file(options.token_file));
    struct stat info {};
    if (::stat(options.token_file.c_str(), &info) == 0 && (info.st_mode & S_IRWXO) != 0) {
      set->warn("the token file " + options.token_file + " is open to every user of this machine: chmod it to 0600");
    }
    ST8_TRY(add_tokens(*set, text));
  }
  return set;
}

}  // namespace

Authenticator::Authenticator(Options options) : options_(std::move(options)) {}
Authenticator::~Authenticator() = default;

Result<std::unique_ptr<Authenticator>> Authenticator::create(Options options) {
  std::unique_ptr<Authenticator> self(new Authenticator(std::move(options)));
  ST8_ASSIGN(self->set_, load(self->options_));
  return self;
}

Result<std::unique_ptr<Authenticator>> Authenticator::from_yaml(std::string_view yaml, std::string admin_token) {
  Options options;
  options.admin_token = std::move(admin_token);
  std::unique_ptr<Authenticator> self(new Authenticator(std::move(options)));
  self->from_text_ = true;
  ST8_ASSIGN(std::shared_ptr<TokenSet> set, load(self->options_));
  ST8_TRY(add_tokens(*set, yaml));
  self->set_ = std::move(set);
  return self;
}

std::shared_ptr<const TokenSet> Authenticator::current() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

Result<std::shared_ptr<const Principal>> Authenticator::authenticate(std::string_view authorization) const {
  if (anonymous()) {
    static const std::shared_ptr<const Principal> kAnonymous = [] {
      auto principal = std::make_shared<Principal>();
      principal->name = "anonymous";
      principal->allow = Policy::everything();
      principal->anonymous = true;
      return principal;
    }();
    return kAnonymous;
  }
  constexpr std::string_view kBearer = "bearer ";
  const auto unauthenticated = [](std::string message) {
    return fail(ErrorCode::kUnauthenticated, std::move(message), "Send the header \"Authorization: Bearer <token>\".");
  };
  if (authorization.empty()) return unauthenticated("the request carries no token");
  bool bearer = authorization.size() > kBearer.size();
  for (std::size_t i = 0; bearer && i < kBearer.size(); ++i) {
    const char c = authorization[i];
    bearer = (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) == kBearer[i];
  }
  if (!bearer) return unauthenticated("the Authorization header is not of the scheme Bearer");
  std::string_view token = authorization.substr(kBearer.size());
  while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
  while (!token.empty() && token.back() == ' ') token.remove_suffix(1);
  if (token.empty() || token.size() > kTokenBytesMax) return unauthenticated("the token is not known");
  std::shared_ptr<const Principal> principal = current()->find(token);
  if (principal == nullptr) return unauthenticated("the token is not known");
  return principal;
}

Status Authenticator::reload() {
  if (options_.token_file.empty()) return {};
  ST8_ASSIGN(std::shared_ptr<const TokenSet> fresh, load(options_));
  const std::lock_guard lock(mutex_);
  set_ = std::move(fresh);
  return {};
}

bool Authenticator::still_valid(const Principal& principal) const {
  if (principal.anonymous) return true;
  const std::shared_ptr<const TokenSet> set = current();
  for (const Entry& entry : set->entries()) {
    if (entry.principal->credential == principal.credential)
      return same_policy(entry.principal->allow, principal.allow);
  }
  return false;
}

std::vector<std::string> Authenticator::warnings() const { return current()->warnings(); }

Result<std::string> hash_token(std::string_view token) {
  ST8_ASSIGN(const std::string salt, random_bytes(kSaltBytes));
  return std::string(kScheme) + ":" + hex_of(salt) + ":" + hmac_sha256(salt, token).hex();
}

Result<std::string> generate_token() {
  ST8_ASSIGN(const std::string bytes, random_bytes(32));
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out = "st8_";
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<std::uint8_t>(c);
    have += 8;
    while (have >= 6) {
      have -= 6;
      out += kAlphabet[bits >> have & 63];
    }
  }
  out += kAlphabet[bits << (6 - have) & 63];
  return out;
}

}  // namespace st8::auth
