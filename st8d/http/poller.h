// epoll, as the front uses it: one event at a time, each registration good for one event until it is armed again.
#pragma once

#include <cstdint>
#include <sys/epoll.h>

#include "http/descriptor.h"
#include "st8/state/result.h"

namespace st8::http {

class Poller {
 public:
  static Result<Poller> open();

  // Registers a descriptor; the event carries `tag`. Failure means that the kernel has no memory for it. Thread-safe.
  bool add(int descriptor, std::uint64_t tag, std::uint32_t events);
  // Waits for the next event on it. Thread-safe.
  void arm(int descriptor, std::uint64_t tag, std::uint32_t events);
  void remove(int descriptor);

  // Wakes `count` waiting threads; each gets kWakeTag, once.
  void wake(std::uint64_t count);
  // Wakes all waiting threads now and from now on.
  void wake_for_ever();

  // Blocks for one event. Many threads may wait; each event reaches one of them.
  epoll_event wait();

  static constexpr std::uint64_t kWakeTag = ~std::uint64_t{0};

 private:
  Descriptor epoll_;
  Descriptor wake_;
};

}  // namespace st8::http
