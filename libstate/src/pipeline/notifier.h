// Tells the listeners of durable operations, in order, from one thread of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "st8/state/commit.h"

namespace st8::state::pipeline {

class Notifier {
 public:
  Notifier() = default;
  ~Notifier();  // Delivers what is queued, then ends the thread.
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  // Before the first publish().
  void add(OperationListener* listener);
  // Whether anybody listens at all.
  bool needed() const { return !listeners_.empty(); }
  // More is waiting than listeners will bear: writers are to be refused rather than memory filled.
  bool overloaded() const;

  struct Item {
    NamespaceName ns;
    std::vector<Operation> operations;
  };
  // Queues what one group of commits did; never blocks on a listener. A group at a time, so that the thread is woken once and
  // does not run into the writer, who has most of it still to queue.
  void publish(std::vector<Item> items);

 private:
  static constexpr std::size_t kQueuedOperationsMax = 100'000;
  void run();

  std::vector<OperationListener*> listeners_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Item> queue_;
  std::atomic<std::size_t> queued_operations_{0};  // Every writer asks for it.
  bool sleeping_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace st8::state::pipeline
