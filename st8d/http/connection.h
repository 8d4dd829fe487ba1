// One connection: a state machine that moves whenever its socket, a deadline or a channel's owner says so.
//
// Everything it holds is guarded by its mutex, which is never held while a handler or a body source runs. Whoever
// brings news takes the mutex, looks at the phase, and goes on from there; news that no longer fits is dropped. So
// epoll, the timekeeper and the publishers of a channel need no order among them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "http/exchange.h"
#include "http/front.h"
#include "http/out_buffer.h"
#include "http/request_gatherer.h"
#include "http/tls.h"

namespace st8::http {

class Connection : public std::enable_shared_from_this<Connection>, private LaterAnswer {
 public:
  Connection(Front& front, Descriptor socket, std::string remote, const std::shared_ptr<const TlsContext>& tls);

  // Enters the table and epoll.
  void begin();
  // The socket has something, or is ready for something.
  void on_ready();

  // Timekeeper: whether check_time would find something to do. Any thread, without the mutex.
  bool due(std::chrono::nanoseconds now) const;
  void check_time(std::chrono::nanoseconds now);

  // The server drains: closes when idle, says goodbye when a channel.
  void begin_drain();
  // The server ends: closes whatever happens.
  void cut();

  bool channel_send(std::shared_ptr<const std::string> bytes);
  void channel_close();
  bool channel_closed() const { return channel_closed_.load(std::memory_order_acquire); }
  std::size_t channel_pending_bytes();
  void flush_channel();
  // Answers what was kept for later, and goes on.
  void answer_later();

 private:
  // LaterAnswer.
  std::shared_ptr<LaterAnswer> keep() override;
  void deliver(std::function<Response()> make) override;

  enum class Phase : std::uint8_t {
    kHandshake,
    kReading,   // Gathering a request, or idle.
    kReady,     // A whole request is here.
    kRunning,   // A handler or body source runs, or waits for a thread; only that thread moves the phase.
    kWriting,   // The rest of a response waits for the client.
    kSourcing,  // As kWriting, and more comes from source_.
    kChannel,
    kLingering,  // All is said; what the client still sends is dropped, so that it gets to read our answer.
    kClosed,
  };
  using Lock = std::unique_lock<std::mutex>;

  // Moves on until there is something to wait for. `served` requests have been answered in this turn.
  void advance(Lock& lock, int served = 0);
  bool read_request();  // False: waiting.
  void wait_for_rest();
  bool take_bytes(std::string_view bytes);  // To the gatherer; true when it has a request or a refusal.
  bool run_request(Lock& lock);             // False: queued for a thread.
  bool serve(Lock& lock);                   // Runs the handler. False: the answer comes later.
  Response made_answer();                   // What was delivered; without the mutex.
  void begin_response(Lock& lock, Response response);
  bool pull_source(Lock& lock);  // False: queued for a thread.
  void pull(Lock& lock);
  Transport::Io write_out();  // Writes what the socket takes.
  bool flush();               // False: waiting, or closed.
  void service_channel();
  void overflow_channel();
  void end_channel();  // Flushes, then closes.
  void finish_response();
  void linger();
  void refuse(int status, std::string_view detail);
  void record(int status, std::uint64_t bytes);
  void wait_for(std::uint32_t events);
  void set_deadline(std::chrono::milliseconds timeout);
  void close_now();

  Front& front_;
  const std::string remote_;
  std::uint64_t tag_ = 0;

  std::mutex mutex_;
  Transport transport_;
  Phase phase_;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool head_only_ = false;          // The request was a HEAD.
  bool event_stream_ = false;       // A channel of server-sent events: gets keepalives, and a last event.
  bool close_after_flush_ = false;  // Of a channel.
  bool flush_scheduled_ = false;    // Of a channel.
  bool input_unread_ = false;       // The request was refused before its end: linger before closing.
  bool chunked_ = false;            // How source_ is framed.
  RequestGatherer gatherer_;
  std::string in_;  // Bytes that belong to the next request.
  OutBuffer out_;
  std::size_t held_bytes_ = 0;      // Our share of the front's budget.
  std::size_t progress_bytes_ = 0;  // Written since the write deadline was set.
  Request request_;                 // In kReady and kRunning, and for the log until the response is out.
  std::string principal_;
  RouteStats* stats_ = nullptr;
  std::chrono::nanoseconds started_{0};
  std::function<Result<std::string>()> source_;
  std::uint64_t source_bytes_ = 0;
  // Of an answer that may come later: who finds the other one there first leaves the rest to it.
  enum Later : std::uint8_t { kServing, kLeft, kMade };
  std::atomic<std::uint8_t> later_{kServing};
  std::function<Response()> make_;
  int status_ = 0;
  std::string client_certificate_;

  std::atomic<std::int64_t> deadline_{0};        // Nanoseconds, monotonic; 0: none.
  std::atomic<std::int64_t> next_keepalive_{0};  // The same; 0: not a channel.
  std::atomic<bool> channel_closed_{false};
};

}  // namespace st8::http
