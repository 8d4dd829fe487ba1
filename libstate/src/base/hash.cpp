#include "st8/state/hash.h"

#include <cstdlib>
#include <memory>
#include <openssl/evp.h>

#include "base/sha256_stream.h"

namespace st8 {
namespace {

// Looking an algorithm up and making a context cost more than hashing a small document, so both are done once: the
// algorithm for the process, the context for each thread.
const EVP_MD* sha256() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// SHA-256 of bytes in memory can only fail when OpenSSL offers none at all or memory has run out; a store without
// hashes has nothing true left to say.
EVP_MD_CTX* begin() {
  thread_local std::unique_ptr<EVP_MD_CTX, FreeContext> context{EVP_MD_CTX_new()};
  if (EVP_DigestInit_ex2(context.get(), sha256(), nullptr) != 1) std::abort();
  return context.get();
}

Hash finish(EVP_MD_CTX* context) {
  Hash hash;
  if (EVP_DigestFinal_ex(context, hash.bytes.data(), nullptr) != 1) std::abort();
  return hash;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Hash Hash::of(std::string_view data) {
  EVP_MD_CTX* context = begin();
  if (EVP_DigestUpdate(context, data.data(), data.size()) != 1) std::abort();
  return finish(context);
}

Hash Hash::of_parts(std::initializer_list<std::string_view> parts) {
  EVP_MD_CTX* context = begin();
  for (std::string_view part : parts) {
    if (EVP_DigestUpdate(context, part.data(), part.size()) != 1) std::abort();
  }
  return finish(context);
}

struct Sha256Stream::State {
  std::unique_ptr<EVP_MD_CTX, FreeContext> context{EVP_MD_CTX_new()};
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  if (EVP_DigestInit_ex2(state_->context.get(), sha256(), nullptr) != 1) std::abort();
}
Sha256Stream::~Sha256Stream() = default;
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;

void Sha256Stream::update(std::string_view data) {
  if (EVP_DigestUpdate(state_->context.get(), data.data(), data.size()) != 1) std::abort();
}

Hash Sha256Stream::digest() const {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> copy{EVP_MD_CTX_new()};
  if (EVP_MD_CTX_copy_ex(copy.get(), state_->context.get()) != 1) std::abort();
  return finish(copy.get());
}

std::optional<Hash> Hash::from_hex(std::string_view hex) {
  if (hex.size() != 2 * kSize) return std::nullopt;
  Hash hash;
  for (std::size_t i = 0; i < kSize; ++i) {
    const int high = hex_digit(hex[2 * i]);
    const int low = hex_digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    hash.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return hash;
}

std::optional<Hash> Hash::from_bytes(std::string_view raw) {
  if (raw.size() != kSize) return std::nullopt;
  Hash hash;
  std::memcpy(hash.bytes.data(), raw.data(), kSize);
  return hash;
}

std::string Hash::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(2 * kSize, '0');
  for (std::size_t i = 0; i < kSize; ++i) {
    text[2 * i] = kDigits[bytes[i] >> 4];
    text[2 * i + 1] = kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace st8
