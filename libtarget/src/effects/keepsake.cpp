#include "effects/keepsake.h"

#include <algorithm>
#include <cerrno>
#include <sys/file.h>
#include <thread>

namespace st8::target::effects {
namespace {

// A holder as a word: names of steps and targets may hold anything.
std::string word_of(const std::string& holder) { return Hash::of(holder).hex().substr(0, 16); }

}  // namespace

Result<Keepsake> Keepsake::open(const CallContext& call, file::Root directory, const std::string& restore_point,
                                const std::string& place) {
  while (::flock(directory.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail(file::io_error(errno, "lock " + directory.path()));
    ST8_TRY(call.check());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::string name = ".st8-" + restore_point + "-" + Hash::of(place).hex().substr(0, 12);
  return Keepsake(std::move(directory), std::move(name));
}

// "holders <word> <word>\n", then what was there, byte for byte.
Result<std::optional<Keepsake::Kept>> Keepsake::read() const {
  ST8_ASSIGN(const auto stored, directory_.read(name_));
  if (!stored) return std::optional<Kept>();
  Kept kept;
  const std::size_t end = stored->bytes.find('\n');
  std::string_view head = std::string_view(stored->bytes).substr(0, end);
  if (end == std::string::npos || !head.starts_with("holders"))
    return fail(ErrorCode::kUnprocessable, directory_.path() + "/" + name_ + " is not what st8 kept there",
                "look at it, and remove it");
  for (head.remove_prefix(7); !head.empty();) {
    head.remove_prefix(1);
    const std::size_t space = std::min(head.find(' '), head.size());
    kept.holders.emplace_back(head.substr(0, space));
    head.remove_prefix(space);
  }
  kept.original = stored->bytes.substr(end + 1);
  return std::optional<Kept>(std::move(kept));
}

Status Keepsake::write(const Kept& kept) const {
  std::string bytes = "holders";
  for (const std::string& holder : kept.holders) bytes += " " + holder;
  return directory_.replace(name_, bytes + "\n" + kept.original, {0600});
}

Status Keepsake::keep(const std::string& holder, const std::function<Result<std::string>()>& original) {
  ST8_ASSIGN(std::optional<Kept> kept, read());
  if (!kept) {
    ST8_ASSIGN(std::string bytes, original());
    return write({{word_of(holder)}, std::move(bytes)});
  }
  if (std::find(kept->holders.begin(), kept->holders.end(), word_of(holder)) != kept->holders.end()) return {};
  kept->holders.push_back(word_of(holder));
  return write(*kept);
}

Result<std::optional<std::string>> Keepsake::leave(const std::string& holder) {
  ST8_ASSIGN(std::optional<Kept> kept, read());
  if (!kept) return std::optional<std::string>();
  const std::size_t gone = std::erase(kept->holders, word_of(holder));
  if (kept->holders.empty()) return std::optional<std::string>(std::move(kept->original));
  if (gone > 0) ST8_TRY(write(*kept));
  return std::optional<std::string>();
}

Status Keepsake::drop() { return directory_.remove_file(name_); }

Status Keepsake::forget(const std::string& holder) {
  ST8_ASSIGN(const auto last, leave(holder));
  return last ? drop() : Status{};
}

}  // namespace st8::target::effects
