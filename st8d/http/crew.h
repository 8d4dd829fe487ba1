// The front's threads. Each is at any time one of three: polling (waiting in epoll for the next event), working
// (running a handler), or parked.
//
// The thread that receives a request runs it: no hand-off stands between a client and its answer (one costs 30 to 70 µs
// on an idle machine, as much as the answer itself). What keeps the others served is a rule instead: a thread may start
// work that can block only while another polls, or after waking one to do so. Where no thread is left, the last poller
// queues the request and goes on polling; where the queue is full, the request is refused. So idle and slow clients
// cost no thread, cheap requests cost no hand-off, and as many requests can wait for the store's group commit as
// there are threads.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <pthread.h>
#include <vector>

#include "http/poller.h"

namespace st8::http {

struct CrewOptions {
  std::size_t threads_max = 256;
  std::size_t pollers_max = 4;             // As many as there are cores: more would only take turns.
  std::size_t queue_max = 1024;            // Requests waiting for a thread.
  std::chrono::milliseconds idle{10'000};  // A parked thread ends after this.
  std::size_t stack_bytes = 1u << 20;
};

struct CrewStats {
  std::size_t threads = 0;
  std::size_t parked = 0;
  std::size_t queued = 0;
};

class Crew {
 public:
  // `on_event` handles one event; it is called by many threads at once.
  // `on_alone` says that short work begins while nobody polls, so that relieve() is to be called; it must be quick.
  Crew(const CrewOptions& options, Poller& poller, std::function<void(const epoll_event&)> on_event,
       std::function<void()> on_alone);
  ~Crew();  // Ends the threads after what they are running; queued work is dropped.
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Errors: kUnavailable when the system gives no thread.
  Status start();

  // Asked by a thread of the crew before it runs work: true, go on. False: nobody else could poll; queue the work.
  // With `may_block` false the caller promises to be back within moments, and is let through.
  bool admit(bool may_block);

  // Queues work that may block, for any free thread. False: the queue is full.
  bool enqueue(std::function<void()> work);
  // Queues short work that never blocks; runs soon on a thread of the crew. The caller bounds how much there is.
  void enqueue_short(std::function<void()> work);

  // Called every few milliseconds by the timekeeper while work may be running: if every thread has been busy since
  // the last call, nobody polls, and the work that promised to be short was not: another thread is set to poll.
  void relieve();
  // Whether nobody polls just now.
  bool alone() const { return pollers_.load() == 0; }

  CrewStats stats() const;

 private:
  struct Parked {
    std::condition_variable wake;
    bool woken = false;
    bool polls = false;  // The role it was woken for; it is counted in pollers_ already.
  };

  static void* thread_main(void* crew);
  void run();
  // With the mutex held: wakes or makes a thread; `polls` as in Parked. False: there is none to be had.
  bool call_up(bool polls);
  bool spawn();
  bool enter_poll();

  const CrewOptions options_;
  Poller& poller_;
  const std::function<void(const epoll_event&)> on_event_;
  const std::function<void()> on_alone_;

  // Threads that poll or are on their way to it. Written without the mutex on the fast path.
  std::atomic<std::size_t> pollers_{0};
  std::atomic<std::size_t> queued_{0};  // Sizes of the two queues, to look at without the mutex.
  std::atomic<std::size_t> queued_short_{0};
  std::atomic<std::uint64_t> polls_{0};  // Events taken, ever; shows relieve() that there is progress.
  std::uint64_t polls_seen_ = 0;         // By relieve().

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<std::function<void()>> queue_;
  std::deque<std::function<void()>> short_queue_;
  std::vector<Parked*> parked_;      // The last parked is the first woken: the rest may end.
  std::vector<pthread_t> finished_;  // Ended by themselves, to be joined.
  std::size_t threads_ = 0;
  std::size_t spawned_polling_ = 0;  // New threads that are to begin as pollers.
  std::atomic<bool> stopping_{false};
};

}  // namespace st8::http
