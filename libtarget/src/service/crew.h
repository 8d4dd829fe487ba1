// A bounded crew of threads for work that waits on targets. Threads are made when there is work and none is idle.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace st8::target {

class Crew {
 public:
  explicit Crew(std::size_t most) : most_(most == 0 ? 1 : most) {}
  ~Crew() { stop(); }

  // Never blocks. The queue is bounded by what the coordinator has in flight. Dropped after stop().
  void post(std::function<void()> work);
  // True when nothing ran or waited within the time.
  bool drain(std::chrono::milliseconds most);
  // Waits for what runs; what waits is dropped.
  void stop();

 private:
  void run();

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable quiet_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  std::size_t running_ = 0;
  bool stopped_ = false;
};

}  // namespace st8::target
