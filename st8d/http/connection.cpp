#include "http/connection.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <utility>

#include "http/channel.h"
#include "http/response_head.h"

namespace st8::http {
namespace {

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kReadBytesPerTurn = 256u << 10;   // Then others get their turn.
constexpr int kRequestsPerTurn = 16;                    // Of a client that pipelines.
constexpr std::size_t kInlineBodyBytes = 4u << 10;      // Copied behind the head: one part is cheaper than two.
constexpr std::size_t kSourceBufferBytes = 256u << 10;  // More is pulled when less than this waits.
constexpr std::size_t kWriteProgressBytes = 1u << 20;
constexpr std::size_t kBudgetGrain = 64u << 10;  // Less than this is not counted against the budget.
constexpr std::size_t kLingerBytesMax = 64u << 20;
constexpr std::chrono::milliseconds kLingerTime{5'000};
constexpr std::string_view kEventStream = "text/event-stream";

const std::shared_ptr<const std::string>& keepalive_event() {
  static const auto event = std::make_shared<const std::string>(": keepalive\n\n");
  return event;
}
const std::shared_ptr<const std::string>& overflow_event() {
  static const auto event =
      std::make_shared<const std::string>("event: overflow\ndata: {\"reason\":\"the client fell too far behind\"}\n\n");
  return event;
}
const std::shared_ptr<const std::string>& draining_event() {
  static const auto event = std::make_shared<const std::string>(
      "event: draining\nretry: 1000\ndata: {\"reason\":\"the server is stopping\"}\n\n");
  return event;
}

// Each thread puts an answer together in its own buffer, too: most leave it at once, whole.
std::string& write_buffer() {
  static thread_local std::string buffer;
  buffer.clear();
  return buffer;
}

// Each thread reads into its own buffer; connections keep only what is left of it.
std::array<char, kReadBytes>& read_buffer() {
  static thread_local std::array<char, kReadBytes> buffer;
  return buffer;
}

}  // namespace

Connection::Connection(Front& front, Descriptor socket, std::string remote,
                       const std::shared_ptr<const TlsContext>& tls)
    : front_(front),
      remote_(std::move(remote)),
      transport_(std::move(socket), tls.get()),
      phase_(tls ? Phase::kHandshake : Phase::kReading),
      gatherer_(front.options.limits) {
  const int on = 1;
  ::setsockopt(transport_.descriptor(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(transport_.descriptor(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

void Connection::begin() {
  const Lock lock(mutex_);
  tag_ = front_.table.insert(shared_from_this());
  set_deadline(phase_ == Phase::kHandshake ? front_.options.header_timeout : front_.options.idle_timeout);
  if (!front_.poller.add(transport_.descriptor(), tag_, EPOLLIN | EPOLLRDHUP)) close_now();
}

void Connection::on_ready() {
  Lock lock(mutex_);
  advance(lock);
}

void Connection::advance(Lock& lock, int served) {
  while (true) {
    switch (phase_) {
      case Phase::kHandshake:
        switch (transport_.handshake()) {
          case Transport::Io::kDone:
            client_certificate_ = transport_.client_certificate_subject();
            phase_ = Phase::kReading;
            set_deadline(front_.options.idle_timeout);
            break;
          case Transport::Io::kWantRead:
            return wait_for(EPOLLIN);
          case Transport::Io::kWantWrite:
            return wait_for(EPOLLOUT);
          default:
            front_.counters.handshakes_failed.add();
            return close_now();
        }
        break;
      case Phase::kReading:
        // Whoever has just been answered has hardly asked again: wait for it, instead of finding nothing to read.
        if (served > 0 && in_.empty() && !transport_.holds_input()) return wait_for(EPOLLIN | EPOLLRDHUP);
        if (!read_request()) return;
        break;
      case Phase::kReady:
        if (served == kRequestsPerTurn) {
          // Others have waited long enough; the rest of the pipeline is queued behind them.
          phase_ = Phase::kRunning;
          auto self = shared_from_this();
          if (!front_.crew.enqueue([self] {
                Lock again(self->mutex_);
                if (self->phase_ != Phase::kRunning) return;
                self->phase_ = Phase::kReady;
                self->advance(again);
              })) {
            phase_ = Phase::kReady;
            served = 0;
            break;
          }
          return;
        }
        ++served;
        if (!run_request(lock)) return;
        break;
      case Phase::kWriting:
        if (!flush()) return;
        finish_response();
        break;
      case Phase::kSourcing:
        if (!flush()) return;
        if (!pull_source(lock)) return;
        break;
      case Phase::kChannel:
        return service_channel();
      case Phase::kLingering:
        return linger();
      case Phase::kRunning:
      case Phase::kClosed:
        return;
    }
  }
}

bool Connection::take_bytes(std::string_view bytes) {
  const bool began = gatherer_.started();
  const bool was_head = gatherer_.state() == RequestGatherer::State::kHead;
  const std::size_t taken = gatherer_.feed(bytes);
  const auto state = gatherer_.state();
  if (state == RequestGatherer::State::kComplete) {
    in_.assign(bytes.substr(taken));
    keep_alive_ = gatherer_.keep_alive();
    http_1_0_ = gatherer_.http_1_0();
    gatherer_.take(request_);
    phase_ = Phase::kReady;
    return true;
  }
  if (!began) started_ = monotonic_now();
  if (state == RequestGatherer::State::kRefused) {
    refuse(gatherer_.refusal().status, gatherer_.refusal().detail);
    return true;
  }
  if (!began) set_deadline(front_.options.header_timeout);
  if (was_head && state == RequestGatherer::State::kBody) {
    // From here the whole request has its time, counted from its first byte.
    set_deadline(front_.options.read_timeout);
    const auto spent = monotonic_now() - started_;
    if (deadline_.load() != 0) deadline_.store(deadline_.load() - spent.count());
    if (gatherer_.body_bytes() == 0 && gatherer_.take_expect_continue()) {
      // The socket's buffer is empty, so that this fits; if it should not, it goes out before the answer.
      out_.push(std::string("HTTP/1.1 100 Continue\r\n\r\n"));
      write_out();
    }
  }
  if (gatherer_.body_bytes() > kBudgetGrain && !front_.budget.change(held_bytes_, gatherer_.body_bytes())) {
    front_.counters.overloaded.add();
    refuse(503, "too many large requests are under way");
    return true;
  }
  return false;
}

bool Connection::read_request() {
  if (!in_.empty()) {
    const std::string surplus = std::exchange(in_, {});
    if (take_bytes(surplus)) return true;
  }
  auto& buffer = read_buffer();
  std::size_t turn = 0;
  while (turn < kReadBytesPerTurn) {
    const auto [io, bytes] = transport_.read(buffer.data(), buffer.size());
    switch (io) {
      case Transport::Io::kDone:
        if (take_bytes({buffer.data(), bytes})) return true;
        turn += bytes;
        // A short read has emptied a plain socket; TLS may hold more of what it has read already.
        if (bytes < buffer.size() && !transport_.secure()) turn = kReadBytesPerTurn;
        break;
      case Transport::Io::kWantRead:
        wait_for_rest();
        return false;
      case Transport::Io::kWantWrite:
        wait_for(EPOLLOUT);
        return false;
      case Transport::Io::kEnd:
      case Transport::Io::kFailed:
        close_now();
        return false;
    }
  }
  if (transport_.secure()) {
    // What OpenSSL holds makes no event: come back by way of the queue.
    auto self = shared_from_this();
    front_.crew.enqueue_short([self] { self->on_ready(); });
    return false;
  }
  wait_for_rest();
  return false;
}

void Connection::wait_for_rest() {
  // A client that sends head and body in two writes (and many do) holds the second back until the first is acknowledged,
  // and the kernel would take 40 ms over that.
  if (gatherer_.started()) transport_.acknowledge();
  wait_for(EPOLLIN | EPOLLRDHUP);
}

bool Connection::run_request(Lock& lock) {
  phase_ = Phase::kRunning;
  deadline_.store(0, std::memory_order_relaxed);
  started_ = monotonic_now();
  request_.remote_address = remote_;
  request_.secure = transport_.secure();
  request_.client_certificate = client_certificate_;
  request_.id = request_id_from(request_.header("x-request-id"));
  head_only_ = request_.method == "HEAD";
  stats_ = &front_.requests.of(front_.handler.route_of(request_), request_.method);
  if (!front_.crew.admit(stats_->may_block())) {
    auto self = shared_from_this();
    const bool queued = front_.crew.enqueue([self] {
      Lock again(self->mutex_);
      if (self->phase_ != Phase::kRunning) return;
      if (self->serve(again)) self->advance(again);
    });
    if (queued) return false;
    front_.counters.overloaded.add();
    Response overload = make_problem(503, "every worker is busy and the queue is full", request_.id);
    overload.set_header("Retry-After", "1");
    begin_response(lock, std::move(overload));
    return true;
  }
  return serve(lock);
}

bool Connection::serve(Lock& lock) {
  RouteStats& stats = *stats_;  // Once the answer is another thread's, so are the members.
  later_.store(kServing, std::memory_order_relaxed);
  lock.unlock();
  const auto began = monotonic_now();
  std::optional<Response> response;
  try {
    response = front_.handler.begin(request_, *this);
  } catch (const std::exception& error) {
    // Handlers do not throw; one that does has a bug, and the others must not pay for it.
    std::fprintf(stderr, "st8d: bug: a handler threw: %s\n", error.what());
    response = make_problem(500, "an unexpected error; the request may or may not have taken effect", request_.id);
  }
  if (!response) {
    if (later_.exchange(kLeft, std::memory_order_acq_rel) == kServing) {
      stats.learn(200, static_cast<std::uint64_t>((monotonic_now() - began).count()));
      lock.lock();
      return false;
    }
    response = made_answer();
  }
  stats.learn(response->status, static_cast<std::uint64_t>((monotonic_now() - began).count()));
  lock.lock();
  if (phase_ == Phase::kRunning) begin_response(lock, std::move(*response));
  return true;
}

std::shared_ptr<LaterAnswer> Connection::keep() {
  front_.kept.fetch_add(1);
  return {shared_from_this(), this};
}

void Connection::deliver(std::function<Response()> make) {
  make_ = std::move(make);
  if (later_.exchange(kMade, std::memory_order_acq_rel) == kLeft) front_.answers.schedule(shared_from_this());
}

Response Connection::made_answer() {
  Response response;
  try {
    response = make_();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "st8d: bug: a later answer threw: %s\n", error.what());
    response = make_problem(500, "an unexpected error; the request may or may not have taken effect", request_.id);
  }
  make_ = nullptr;
  front_.kept.fetch_sub(1);
  return response;
}

void Connection::answer_later() {
  Response response = made_answer();
  Lock lock(mutex_);
  if (phase_ != Phase::kRunning) return;
  begin_response(lock, std::move(response));
  advance(lock, 1);
}

void Connection::begin_response(Lock& lock, Response response) {
  if (front_.draining.load(std::memory_order_relaxed)) keep_alive_ = false;
  status_ = response.status;
  principal_ = std::move(response.principal);
  const bool bodiless = head_only_ || status_has_no_body(response.status);

  ResponseHeadOptions head;
  head.http_1_0 = http_1_0_;
  head.request_id = request_.id;
  if (response.on_stream && !bodiless) {
    head.framing = BodyFraming::kUntilClose;
    keep_alive_ = false;
  } else if (response.body_source && !bodiless) {
    // HTTP/1.0 does not know chunks: there the end of the connection is the end of the body.
    head.framing = http_1_0_ ? BodyFraming::kUntilClose : BodyFraming::kChunked;
    if (http_1_0_) keep_alive_ = false;
  } else if (status_has_no_body(response.status) || response.on_stream || response.body_source) {
    head.framing = BodyFraming::kNone;
  } else {
    head.length = response.body_bytes();
  }
  head.keep_alive = keep_alive_;
  std::string& bytes = write_buffer();
  append_response_head(bytes, response, head);

  std::uint64_t body_bytes = 0;
  if (head.framing == BodyFraming::kLength && !bodiless) {
    body_bytes = head.length;
    if (response.body.size() <= kInlineBodyBytes) {
      bytes += response.body;
      response.body.clear();
    }
  } else {
    response.body.clear();
    response.more_body.clear();
  }
  progress_bytes_ = 0;
  if (head.framing == BodyFraming::kLength || head.framing == BodyFraming::kNone) {
    phase_ = Phase::kWriting;
    // Most answers fit the socket's buffer: they need no memory and no deadline.
    std::size_t sent = 0;
    if (out_.empty() && response.body.empty() && response.more_body.empty()) {
      const iovec part{bytes.data(), bytes.size()};
      sent = transport_.write(&part, 1).bytes;
    }
    bool flushed = sent == bytes.size();
    if (!flushed) {
      out_.push(bytes.substr(sent));
      out_.push(std::move(response.body));
      for (std::string& part : response.more_body) out_.push(std::move(part));
      set_deadline(front_.options.write_timeout);
      flushed = flush();
    }
    // The line in the log costs the client nothing now.
    record(status_, body_bytes);
    if (flushed) finish_response();
    return;
  }
  out_.push(bytes);
  set_deadline(front_.options.write_timeout);

  if (head.framing == BodyFraming::kUntilClose && response.on_stream) {
    phase_ = Phase::kChannel;
    front_.counters.channels.add(1);
    event_stream_ = std::any_of(response.headers.begin(), response.headers.end(),
                                [](const auto& header) { return header.second.starts_with(kEventStream); });
    if (event_stream_)
      next_keepalive_.store((monotonic_now() + front_.options.channel_keepalive).count(), std::memory_order_relaxed);
    record(status_, 0);
    auto channel = std::make_shared<ConnectionChannel>(shared_from_this());
    lock.unlock();
    try {
      response.on_stream(std::move(channel));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "st8d: bug: a stream's opener threw: %s\n", error.what());
    }
    lock.lock();
    request_ = {};
    return;
  }
  if (response.body_source && !bodiless) {
    chunked_ = head.framing == BodyFraming::kChunked;
    source_ = std::move(response.body_source);
    source_bytes_ = 0;
    phase_ = Phase::kSourcing;
    return;
  }
}

bool Connection::pull_source(Lock& lock) {
  phase_ = Phase::kRunning;
  deadline_.store(0, std::memory_order_relaxed);
  if (front_.crew.admit(true)) {
    pull(lock);
    return true;
  }
  auto self = shared_from_this();
  if (!front_.crew.enqueue([self] {
        Lock again(self->mutex_);
        if (self->phase_ != Phase::kRunning) return;
        self->pull(again);
        self->advance(again);
      })) {
    front_.counters.overloaded.add();
    close_now();
  }
  return false;
}

void Connection::pull(Lock& lock) {
  while (true) {
    lock.unlock();
    Result<std::string> chunk = fail(ErrorCode::kInternal, "the source threw");
    try {
      chunk = source_();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "st8d: bug: a body source threw: %s\n", error.what());
    }
    const bool ended = !chunk || chunk->empty();
    if (ended) source_ = nullptr;
    lock.lock();
    if (phase_ != Phase::kRunning) return;
    set_deadline(front_.options.write_timeout);
    if (!chunk) {
      // The head is out: cutting the connection is the only way left to say that the body is not whole.
      record(status_, source_bytes_);
      close_now();
      return;
    }
    source_bytes_ += chunk->size();
    if (chunked_) {
      char size[24];
      std::snprintf(size, sizeof(size), "%zx\r\n", chunk->size());
      out_.push(std::string(size));
      out_.push(std::move(*chunk));
      out_.push(std::string("\r\n"));
    } else {
      out_.push(std::move(*chunk));
    }
    if (ended) {
      record(status_, source_bytes_);
      phase_ = Phase::kWriting;
      return;
    }
    if (out_.bytes() >= kSourceBufferBytes) {
      phase_ = Phase::kSourcing;
      return;
    }
  }
}

Transport::Io Connection::write_out() {
  std::array<iovec, 16> parts;
  while (!out_.empty()) {
    const int count = out_.front(parts.data(), static_cast<int>(parts.size()));
    const auto [io, bytes] = transport_.write(parts.data(), count);
    if (io != Transport::Io::kDone) return io;
    out_.consume(bytes);
    progress_bytes_ += bytes;
    if (progress_bytes_ >= kWriteProgressBytes) {
      progress_bytes_ = 0;
      set_deadline(front_.options.write_timeout);
    }
  }
  return Transport::Io::kDone;
}

bool Connection::flush() {
  const Transport::Io io = write_out();
  if (io == Transport::Io::kDone) return true;
  if (io != Transport::Io::kWantWrite && io != Transport::Io::kWantRead) {
    close_now();
    return false;
  }
  if (!front_.budget.change(held_bytes_, out_.bytes())) {
    front_.counters.overloaded.add();
    close_now();
    return false;
  }
  std::uint32_t events = io == Transport::Io::kWantWrite ? EPOLLOUT : EPOLLIN;
  // Of a channel we want to know at once that the client went away; others show it when written to.
  if (phase_ == Phase::kChannel) events |= EPOLLIN | EPOLLRDHUP;
  wait_for(events);
  return false;
}

void Connection::finish_response() {
  if (phase_ != Phase::kWriting) return;
  front_.budget.change(held_bytes_, 0);
  request_ = {};
  principal_.clear();
  stats_ = nullptr;
  if (keep_alive_ && !front_.draining.load(std::memory_order_relaxed)) {
    phase_ = Phase::kReading;
    set_deadline(front_.options.idle_timeout);
    return;
  }
  if (!input_unread_ && in_.empty()) return close_now();
  // Closing now would make the kernel answer what still comes with a reset, and that may overtake our answer.
  in_.clear();
  progress_bytes_ = 0;
  transport_.shutdown_write();
  phase_ = Phase::kLingering;
  set_deadline(kLingerTime);
}

void Connection::linger() {
  auto& buffer = read_buffer();
  std::size_t turn = 0;
  while (turn < kReadBytesPerTurn) {
    const auto [io, bytes] = transport_.read(buffer.data(), buffer.size());
    if (io == Transport::Io::kWantRead) break;
    progress_bytes_ += bytes;
    turn += bytes;
    if (io != Transport::Io::kDone || progress_bytes_ > kLingerBytesMax) return close_now();
  }
  wait_for(EPOLLIN | EPOLLRDHUP);
}

void Connection::refuse(int status, std::string_view detail) {
  request_ = {};
  gatherer_.take(request_);
  request_.body = {};
  request_.id = request_id_from(request_.header("x-request-id"));
  request_.remote_address = remote_;
  head_only_ = request_.method == "HEAD";
  if (started_ == std::chrono::nanoseconds(0)) started_ = monotonic_now();
  stats_ = &front_.requests.of("refused", request_.method);
  keep_alive_ = false;
  http_1_0_ = false;
  input_unread_ = true;
  in_.clear();
  status_ = status;
  Response response = make_problem(status, detail, request_.id);
  if (status == 503) response.set_header("Retry-After", "1");
  std::string bytes;
  append_response_head(bytes, response,
                       {.length = response.body.size(), .keep_alive = false, .request_id = request_.id});
  if (!head_only_) bytes += response.body;
  front_.budget.change(held_bytes_, 0);
  out_.push(std::move(bytes));
  progress_bytes_ = 0;
  set_deadline(front_.options.write_timeout);
  phase_ = Phase::kWriting;
  record(status, response.body.size());
}

void Connection::record(int status, std::uint64_t bytes) {
  const auto elapsed = static_cast<std::uint64_t>((monotonic_now() - started_).count());
  stats_->observe(status, elapsed);
  front_.log.record({.id = request_.id,
                     .method = request_.method.empty() ? std::string_view("-") : std::string_view(request_.method),
                     .route = stats_->route(),
                     .path = request_.path,
                     .status = status,
                     .bytes = bytes,
                     .duration_nanoseconds = elapsed,
                     .remote = remote_,
                     .principal = principal_});
}

void Connection::service_channel() {
  auto& buffer = read_buffer();
  for (int reads = 0; reads < 4; ++reads) {
    const auto [io, bytes] = transport_.read(buffer.data(), buffer.size());
    if (io == Transport::Io::kEnd || io == Transport::Io::kFailed) return close_now();
    if (io != Transport::Io::kDone) break;
  }
  if (!flush()) return;
  if (close_after_flush_) return close_now();
  front_.budget.change(held_bytes_, 0);
  deadline_.store(0, std::memory_order_relaxed);
  wait_for(EPOLLIN | EPOLLRDHUP);
}

bool Connection::channel_send(std::shared_ptr<const std::string> bytes) {
  const Lock lock(mutex_);
  if (phase_ != Phase::kChannel || close_after_flush_) return false;
  const bool was_empty = out_.empty();
  if (out_.bytes() + bytes->size() > front_.options.channel_backlog_bytes) {
    overflow_channel();
    return false;
  }
  out_.push(std::move(bytes));
  if (event_stream_)
    next_keepalive_.store((monotonic_now() + front_.options.channel_keepalive).count(), std::memory_order_relaxed);
  if (was_empty) {
    progress_bytes_ = 0;
    set_deadline(front_.options.write_timeout);
  }
  // While the client is behind, epoll says when to go on.
  if (was_empty && !flush_scheduled_) {
    flush_scheduled_ = true;
    front_.flushes.schedule(shared_from_this());
  }
  return true;
}

void Connection::overflow_channel() {
  front_.counters.channels_overflowed.add();
  out_.drop_unbegun();
  if (event_stream_) out_.push(overflow_event());
  end_channel();
}

void Connection::end_channel() {
  close_after_flush_ = true;
  channel_closed_.store(true, std::memory_order_release);
  next_keepalive_.store(0, std::memory_order_relaxed);
  set_deadline(front_.options.write_timeout);
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  front_.flushes.schedule(shared_from_this());
}

void Connection::channel_close() {
  const Lock lock(mutex_);
  if (phase_ == Phase::kChannel && !close_after_flush_) end_channel();
}

std::size_t Connection::channel_pending_bytes() {
  const Lock lock(mutex_);
  return phase_ == Phase::kChannel ? out_.bytes() : 0;
}

void Connection::flush_channel() {
  const Lock lock(mutex_);
  flush_scheduled_ = false;
  if (phase_ != Phase::kChannel) return;
  if (!flush()) return;
  if (close_after_flush_) return close_now();
  front_.budget.change(held_bytes_, 0);
  deadline_.store(0, std::memory_order_relaxed);
}

bool Connection::due(std::chrono::nanoseconds now) const {
  const std::int64_t deadline = deadline_.load(std::memory_order_relaxed);
  const std::int64_t keepalive = next_keepalive_.load(std::memory_order_relaxed);
  return (deadline != 0 && deadline <= now.count()) || (keepalive != 0 && keepalive <= now.count());
}

void Connection::check_time(std::chrono::nanoseconds now) {
  const std::int64_t keepalive = next_keepalive_.load(std::memory_order_relaxed);
  if (keepalive != 0 && keepalive <= now.count()) channel_send(keepalive_event());

  Lock lock(mutex_);
  const std::int64_t deadline = deadline_.load(std::memory_order_relaxed);
  if (deadline == 0 || deadline > now.count()) return;
  switch (phase_) {
    case Phase::kReading:
      if (!gatherer_.started()) return close_now();  // Idle: nothing was asked, nothing is answered.
      front_.counters.timed_out.add();
      refuse(408, "the request did not come in time");
      return advance(lock);
    case Phase::kRunning:
    case Phase::kReady:
    case Phase::kClosed:
      return;
    default:
      front_.counters.timed_out.add();
      return close_now();
  }
}

void Connection::begin_drain() {
  const Lock lock(mutex_);
  switch (phase_) {
    case Phase::kHandshake:
      return close_now();
    case Phase::kReading:
      // A request may lie in the socket that nobody has read yet; it is answered.
      if (!gatherer_.started() && in_.empty() && !transport_.holds_input() && !transport_.socket_has_input()) {
        close_now();
      }
      return;
    case Phase::kChannel:
      if (close_after_flush_) return;
      if (event_stream_) out_.push(draining_event());
      return end_channel();
    default:
      return;
  }
}

void Connection::cut() {
  const Lock lock(mutex_);
  close_now();
}

void Connection::wait_for(std::uint32_t events) { front_.poller.arm(transport_.descriptor(), tag_, events); }

void Connection::set_deadline(std::chrono::milliseconds timeout) {
  deadline_.store(timeout.count() == 0 ? 0 : (monotonic_now() + timeout).count(), std::memory_order_relaxed);
}

void Connection::close_now() {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kChannel) front_.counters.channels.add(-1);
  phase_ = Phase::kClosed;
  deadline_.store(0, std::memory_order_relaxed);
  next_keepalive_.store(0, std::memory_order_relaxed);
  channel_closed_.store(true, std::memory_order_release);
  transport_.close();
  out_.clear();
  in_ = {};
  front_.budget.change(held_bytes_, 0);
  front_.table.erase(tag_);
}

}  // namespace st8::http
