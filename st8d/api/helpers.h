// Threads that take parts of one answer off the thread that makes it: reading, checking and rendering a thousand documents is
// milliseconds of work that falls into parts by itself.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace st8::api {

// Bounds the threads of all answers together: whoever finds none free does all of its work itself. A thread is made when it is
// first wanted, and stays: making and ending three for one answer cost as much as a sixth of its work. Thread-safe.
class Helpers {
 public:
  // As many threads as there are cores beside the caller's, three at most: others have work, too.
  Helpers();
  explicit Helpers(std::size_t threads_max) : free_(threads_max) {}
  ~Helpers();
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  // Calls work(part) once for each part below `parts`, on this thread and on others that are free, and returns when all are
  // done. Parts begin in order. `work` must not throw. Cost beside the work: some 10 µs a thread, for more than one part.
  void run(std::size_t parts, const std::function<void(std::size_t part)>& work) const;

 private:
  struct Task;
  void help() const;

  mutable std::mutex mutex_;
  mutable std::condition_variable wake_;  // A task is asked for help, or the end has come.
  mutable std::size_t free_;              // Threads that no task has: they wait, or are not made yet.
  mutable std::size_t waiting_ = 0;       // Threads that are made and have no task.
  mutable std::deque<Task*> asked_;       // One entry for each thread that a task may still get.
  mutable std::vector<std::thread> threads_;
  bool stop_ = false;
};

}  // namespace st8::api
