#include "st8/target/sealing.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/base64.h"
#include "st8/state/hash.h"

namespace st8::target {
namespace {

constexpr std::string_view kKeyLine = "st8-sealing-key-1 ";
constexpr std::string_view kVersion = "sealed.v1.";
constexpr std::size_t kKeyBytes = 64;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kKeyFileBytesMax = 64u << 10;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
using Cipher = std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// AES-256-SIV over `in`, bound to the namespace. Sealing puts the tag into `tag`; opening compares it.
std::optional<std::string> run_cipher(const std::string& key, std::string_view name_space, std::string_view in,
                                      std::string& tag, bool seal) {
  const Cipher cipher(EVP_CIPHER_fetch(nullptr, "AES-256-SIV", nullptr), EVP_CIPHER_free);
  const CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  if (cipher == nullptr || context == nullptr) return std::nullopt;
  std::string out(in.size(), '\0');
  int length = 0;
  if (EVP_CipherInit_ex(context.get(), cipher.get(), nullptr, bytes_of(key), nullptr, seal ? 1 : 0) != 1)
    return std::nullopt;
  if (!seal && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagBytes), tag.data()) != 1)
    return std::nullopt;
  const std::string bound = "st8 sealed value of " + std::string(name_space);
  if (EVP_CipherUpdate(context.get(), nullptr, &length, bytes_of(bound), static_cast<int>(bound.size())) != 1)
    return std::nullopt;
  if (EVP_CipherUpdate(context.get(), bytes_of(out), &length, bytes_of(in), static_cast<int>(in.size())) != 1)
    return std::nullopt;
  std::array<unsigned char, kTagBytes> rest{};
  if (EVP_CipherFinal_ex(context.get(), rest.data(), &length) != 1) return std::nullopt;
  if (seal) {
    tag.resize(kTagBytes);
    if (EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagBytes), tag.data()) != 1)
      return std::nullopt;
  }
  return out;
}

Error unreadable_file(const std::string& file) {
  return {errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kPermissionDenied,
          "cannot read the sealing keys in " + file + ": " + std::strerror(errno),
          "make one: `st8d sealing-key generate > FILE`, with `umask 077`"};
}

}  // namespace

Result<Keyring> Keyring::parse(std::string_view text) {
  Keyring ring;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const auto key = line.starts_with(kKeyLine) ? codec::from_base64url(line.substr(kKeyLine.size())) : std::nullopt;
    if (!key || key->size() != kKeyBytes) {
      return fail(ErrorCode::kInvalidArgument, "line " + std::to_string(number) + " of the sealing keys is no key",
                  "`st8d sealing-key generate` makes such a line");
    }
    const std::string id = Hash::of(*key).hex().substr(0, 8);
    for (const Key& other : ring.keys_) {
      if (other.id == id)
        return fail(ErrorCode::kInvalidArgument,
                    "line " + std::to_string(number) + " of the sealing keys repeats a key", "leave one of them out");
    }
    ring.keys_.push_back({id, *key});
  }
  if (ring.keys_.empty())
    return fail(ErrorCode::kInvalidArgument, "there is no sealing key in it", "`st8d sealing-key generate` makes one");
  return ring;
}

Result<Keyring> Keyring::load(const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(unreadable_file(file));
  struct stat found {};
  std::string text;
  bool read = ::fstat(fd, &found) == 0;
  const bool others = read && (found.st_mode & 077) != 0;
  while (read && !others && text.size() <= kKeyFileBytesMax) {
    char buffer[4096];
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0) read = false;
    if (count <= 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(fd);
  if (!read) return fail(unreadable_file(file));
  if (others)
    return fail(ErrorCode::kPermissionDenied, "others than its owner may read the sealing keys in " + file,
                "chmod 600 " + file);
  auto ring = parse(text);
  if (!ring) return fail(ring.error().code, file + ": " + ring.error().message, ring.error().hint);
  return ring;
}

Result<std::string> Keyring::seal(std::string_view name_space, std::string_view value) const {
  if (keys_.empty())
    return fail(ErrorCode::kUnprocessable, "st8d has no key to seal with", "start it with --sealing-keys FILE");
  if (value.empty()) return fail(ErrorCode::kInvalidArgument, "an empty value cannot be sealed", "");
  if (value.size() > kSealedValueBytesMax) {
    return fail(ErrorCode::kTooLarge,
                "the value has " + std::to_string(value.size()) + " bytes, and " +
                    std::to_string(kSealedValueBytesMax) + " can be sealed",
                "");
  }
  std::string tag;
  const auto sealed = run_cipher(keys_.front().bytes, name_space, value, tag, true);
  if (!sealed) return fail(ErrorCode::kInternal, "the value could not be sealed", "");
  return "{{ " + std::string(kVersion) + keys_.front().id + "." + codec::to_base64url(tag + *sealed) + " }}";
}

Result<std::string> Keyring::open(std::string_view name_space, std::string_view name) const {
  if (!name.starts_with(kVersion))
    return fail(ErrorCode::kUnprocessable, "a sealed value is of a version that this st8d does not know",
                "`st8ctl seal` makes one");
  name.remove_prefix(kVersion.size());
  const std::size_t dot = name.find('.');
  const std::string_view id = name.substr(0, std::min(dot, name.size()));
  const auto bytes = dot == std::string_view::npos ? std::nullopt : codec::from_base64url(name.substr(dot + 1));
  if (!bytes || bytes->size() <= kTagBytes)
    return fail(ErrorCode::kUnprocessable, "a sealed value is not whole", "seal it again with `st8ctl seal`");
  for (const Key& key : keys_) {
    if (key.id != id) continue;
    std::string tag = bytes->substr(0, kTagBytes);
    auto value = run_cipher(key.bytes, name_space, std::string_view(*bytes).substr(kTagBytes), tag, false);
    if (!value) {
      return fail(ErrorCode::kUnprocessable,
                  "a sealed value does not open: it was altered, or sealed for another namespace",
                  "seal it again with `st8ctl seal`");
    }
    return std::move(*value);
  }
  return fail(ErrorCode::kUnprocessable, "a sealed value needs a key that st8d does not have",
              "add the key to the file of --sealing-keys, or seal the value again");
}

Result<std::string> generate_sealing_key() {
  std::string key(kKeyBytes, '\0');
  if (RAND_priv_bytes(bytes_of(key), static_cast<int>(key.size())) != 1)
    return fail(ErrorCode::kUnavailable, "the system gave no randomness", "");
  return std::string(kKeyLine) + codec::to_base64url(key);
}

}  // namespace st8::target
