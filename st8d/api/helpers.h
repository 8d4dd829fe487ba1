// Threads that take parts of one answer off the thread that makes it: reading, checking and rendering a thousand documents is
// milliseconds of work that falls into parts by itself.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

namespace st8::api {

// Bounds the threads of all answers together: whoever finds none free does all of its work itself. Thread-safe.
class Helpers {
 public:
  // As many threads as there are cores beside the caller's, three at most: others have work, too.
  Helpers();
  explicit Helpers(std::size_t threads_max) : free_(threads_max) {}

  // Calls work(part) once for each part below `parts`, on this thread and on others that are free, and returns when all are
  // done. Parts begin in order. `work` must not throw. Cost beside the work: some 30 µs a thread, for more than one part.
  void run(std::size_t parts, const std::function<void(std::size_t part)>& work) const;

 private:
  bool take() const;
  mutable std::atomic<std::size_t> free_;
};

}  // namespace st8::api
