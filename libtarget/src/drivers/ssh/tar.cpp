#include "drivers/ssh/tar.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace st8::target::ssh {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameMax = 100;

struct Header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[8];
  char owner[32];
  char group[32];
  char device[16];
  char prefix[155];
  char pad[12];
};
static_assert(sizeof(Header) == kBlock);

template <std::size_t N>
void put_octal(char (&field)[N], std::uint64_t value) {
  for (std::size_t i = N - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
}

void put_entry(std::string& out, char type, std::string_view name, std::uint32_t mode, std::string_view bytes) {
  Header header;
  std::memset(&header, 0, sizeof header);
  std::memcpy(header.name, name.data(), std::min(name.size(), kNameMax));
  put_octal(header.mode, mode);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, bytes.size());  // Eleven digits: 8 GiB, far beyond any document.
  put_octal(header.mtime, 0);
  header.type = type;
  std::memcpy(header.magic, "ustar  ", 8);
  std::memset(header.checksum, ' ', sizeof header.checksum);
  std::uint64_t sum = 0;
  const auto* at = reinterpret_cast<const unsigned char*>(&header);
  for (std::size_t i = 0; i < kBlock; ++i) sum += at[i];
  char digits[7] = {};
  put_octal(digits, sum);
  std::memcpy(header.checksum, digits, 7);
  out.append(reinterpret_cast<const char*>(&header), kBlock);
  out.append(bytes);
  out.append((kBlock - bytes.size() % kBlock) % kBlock, '\0');
}

}  // namespace

std::string tar_of(const Content& content) {
  std::size_t size = 2 * kBlock;
  for (const ContentFile& file : content.files) size += file.bytes->size() + file.entry.path.size() + 5 * kBlock;
  std::string out;
  out.reserve(size);
  for (const ContentFile& file : content.files) {
    const std::string& path = file.entry.path;
    if (path.size() > kNameMax)
      put_entry(out, 'L', "././@LongLink", 0, std::string_view(path.c_str(), path.size() + 1));
    put_entry(out, '0', path, file.entry.mode & 07777u, *file.bytes);
  }
  out.append(2 * kBlock, '\0');
  return out;
}

}  // namespace st8::target::ssh
