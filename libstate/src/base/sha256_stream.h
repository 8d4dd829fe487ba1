// SHA-256 of bytes that come piece by piece.
#pragma once

#include <memory>
#include <string_view>

#include "st8/state/hash.h"

namespace st8 {

class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;

  void update(std::string_view data);
  // Of all that came so far; more may follow. Cost: a copy of the state.
  Hash digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace st8
