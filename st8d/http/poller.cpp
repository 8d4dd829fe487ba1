#include "http/poller.h"

#include <cerrno>
#include <sys/eventfd.h>
#include <system_error>

namespace st8::http {

Result<Poller> Poller::open() {
  Poller poller;
  poller.epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  poller.wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE));
  if (!poller.epoll_ || !poller.wake_) {
    return fail(ErrorCode::kUnavailable, "no epoll: " + std::error_code(errno, std::generic_category()).message(),
                "raise the limit of open files (ulimit -n)");
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeTag;
  ::epoll_ctl(poller.epoll_.get(), EPOLL_CTL_ADD, poller.wake_.get(), &event);
  return poller;
}

bool Poller::add(int descriptor, std::uint64_t tag, std::uint32_t events) {
  epoll_event event{};
  event.events = events | EPOLLONESHOT;
  event.data.u64 = tag;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Poller::arm(int descriptor, std::uint64_t tag, std::uint32_t events) {
  epoll_event event{};
  event.events = events | EPOLLONESHOT;
  event.data.u64 = tag;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event);
}

void Poller::remove(int descriptor) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr); }

void Poller::wake(std::uint64_t count) {
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &count, sizeof(count));
}

void Poller::wake_for_ever() { wake(UINT32_MAX); }

epoll_event Poller::wait() {
  epoll_event event{};
  while (::epoll_wait(epoll_.get(), &event, 1, -1) != 1) {}
  if (event.data.u64 == kWakeTag) {
    std::uint64_t taken = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &taken, sizeof(taken));
  }
  return event;
}

}  // namespace st8::http
