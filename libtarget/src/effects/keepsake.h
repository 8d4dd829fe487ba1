// What was there before a step, kept beside it until the rollout is over. The steps of several targets may do one thing to one
// place: the first of them keeps what was there, and the last one that is taken back gets it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "drivers/file/root.h"

namespace st8::target::effects {

// One place, locked: others wait as long as this lives. The lock is the directory's own, so nothing is left behind.
class Keepsake {
 public:
  // In `directory`, under a name made of the restore point and the place. Errors: kUnavailable (not in time), those of the directory.
  static Result<Keepsake> open(const CallContext& call, file::Root directory, const std::string& restore_point,
                               const std::string& place);

  const file::Root& directory() const { return directory_; }
  // From now on `holder` stands on what is kept; `original` is asked when nobody did before. Safe to do again.
  Status keep(const std::string& holder, const std::function<Result<std::string>()>& original);
  // `holder` goes. What to put back, when nobody is left; nullopt: others stand on it, or there is nothing kept. The keepsake itself
  // stays until drop(), so that it can be done again.
  Result<std::optional<std::string>> leave(const std::string& holder);
  Status drop();
  // `holder` goes for good, and with the last one the keepsake.
  Status forget(const std::string& holder);

 private:
  Keepsake(file::Root directory, std::string name) : directory_(std::move(directory)), name_(std::move(name)) {}
  struct Kept {
    std::vector<std::string> holders;
    std::string original;
  };
  Result<std::optional<Kept>> read() const;
  Status write(const Kept& kept) const;

  file::Root directory_;
  std::string name_;
};

}  // namespace st8::target::effects
