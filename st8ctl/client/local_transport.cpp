#include "client/local_transport.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <utility>

#include "client/module.h"
#include "config/files.h"
#include "local/abi.h"

namespace st8::ctl {
namespace {

using Clock = std::chrono::steady_clock;

struct LocalModule {
  decltype(&st8_local_open) open = nullptr;
  decltype(&st8_local_call) call = nullptr;
  decltype(&st8_local_close) close = nullptr;
};

Result<LocalModule> load_local() {
  ST8_ASSIGN(void* const module, load_module("libst8_local.so"));
  LocalModule functions;
  decltype(&st8_local_abi) abi = nullptr;
  const auto find = [&](auto& function, const char* name) -> Status {
    ST8_ASSIGN(void* const symbol, module_symbol(module, name));
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    return {};
  };
  ST8_TRY(find(abi, "st8_local_abi"));
  if (abi() != ST8_LOCAL_ABI) {
    return fail(ErrorCode::kUnavailable, "libst8_local.so is of another version than st8ctl",
                "install both from one package");
  }
  ST8_TRY(find(functions.open, "st8_local_open"));
  ST8_TRY(find(functions.call, "st8_local_call"));
  ST8_TRY(find(functions.close, "st8_local_close"));
  return functions;
}

Error error_of(const St8LocalError& error) {
  return Error{static_cast<ErrorCode>(error.code), error.message, error.hint};
}

St8LocalText text_of(std::string_view text) { return {text.data(), text.size()}; }

// Who keeps a write lock on the file; process 0 for nobody.
LockHolder holder_of(int descriptor) {
  LockHolder holder;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(descriptor, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return holder;
  holder.process = lock.l_pid;
  holder.name = "another process";
  if (Result<std::string> name = read_whole_file("/proc/" + std::to_string(lock.l_pid) + "/comm");
      name && !name->empty()) {
    if (name->back() == '\n') name->pop_back();
    holder.name = std::move(*name);
  }
  return holder;
}

class LocalTransport : public Transport {
 public:
  explicit LocalTransport(LocalOptions options) : options_(std::move(options)) {}
  ~LocalTransport() override {
    if (handle_ != nullptr) module_.close(handle_);
    if (turn_ >= 0) ::close(turn_);
  }
  LocalTransport(const LocalTransport&) = delete;
  LocalTransport& operator=(const LocalTransport&) = delete;

  Result<HttpResponse> send(const HttpRequest& request, const TransferOptions& transfer) override {
    if (transfer.silence_ms_max > 0) {
      return fail(ErrorCode::kUnimplemented,
                  "there is nothing to watch in a local store: while one command has it open, no other can change it",
                  "start st8d over " + options_.state_dir + " and watch that");
    }
    if (handle_ == nullptr) ST8_TRY(open());
    std::vector<St8LocalHeader> headers;
    for (const auto& [name, value] : request.headers) headers.push_back({text_of(name), text_of(value)});
    const St8LocalRequest wire{text_of(request.method), text_of(request.target), headers.data(), headers.size(),
                               text_of(request.body)};
    Receiver receiver{{}, transfer, 0};
    const St8LocalAnswer answer{&receiver, &Receiver::on_head, &Receiver::on_body};
    St8LocalError error{};
    if (module_.call(handle_, &wire, &answer, &error) != 0) return fail(error_of(error));
    return std::move(receiver.response);
  }

  std::string address() const override { return options_.state_dir; }

 private:
  struct Receiver {
    HttpResponse response;
    const TransferOptions& transfer;
    std::uint64_t received = 0;

    static void on_head(void* context, int status, const St8LocalHeader* headers, std::size_t count) {
      auto& self = *static_cast<Receiver*>(context);
      self.response.status = status;
      for (std::size_t i = 0; i < count; ++i) {
        std::string name(headers[i].name.data, headers[i].name.size);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
        self.response.headers.emplace_back(std::move(name), std::string(headers[i].value.data, headers[i].value.size));
      }
    }
    static int on_body(void* context, St8LocalText piece) {
      auto& self = *static_cast<Receiver*>(context);
      const std::string_view bytes(piece.data, piece.size);
      self.received += bytes.size();
      if (self.transfer.on_received) self.transfer.on_received(self.received, 0);
      if (self.transfer.sink && self.response.status >= 200 && self.response.status < 300)
        return self.transfer.sink(bytes) ? 1 : 0;
      self.response.body += bytes;
      return 1;
    }
  };

  // One st8ctl at a time is between looking at the store's lock and holding it: RocksDB renames its log before it asks for its
  // own lock, so two that open at once can trip over each other. Also what makes a queue of them.
  Status take_turn() {
    ST8_TRY(make_directories(options_.state_dir, 0777));
    const std::string path = options_.state_dir + "/st8ctl.lock";
    turn_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (turn_ < 0) return fail(system_error("open", path, errno));
    return wait_until([&]() -> Result<LockHolder> {
      struct flock lock {};
      lock.l_type = F_WRLCK;
      lock.l_whence = SEEK_SET;
      if (::fcntl(turn_, F_SETLK, &lock) == 0) return LockHolder{};
      if (errno != EACCES && errno != EAGAIN) return fail(system_error("lock", path, errno));
      return holder_of(turn_);
    });
  }

  // Asks `who` again and again until nobody is in the way.
  template <class Who>
  Status wait_until(const Who& who) {
    std::chrono::milliseconds pause{1};
    while (true) {
      ST8_ASSIGN(const LockHolder holder, who());
      if (holder.process == 0) return {};
      const std::string held =
          options_.state_dir + " is held by " + holder.name + " (process " + std::to_string(holder.process) + ")";
      if (holder.name == "st8d") {
        return fail(ErrorCode::kUnavailable, held,
                    "a server is running over it: leave out --local and name the server with --server");
      }
      const auto waited = Clock::now() - begun_;
      if (options_.timeout_ms > 0 && waited >= std::chrono::milliseconds(options_.timeout_ms)) {
        return fail(ErrorCode::kUnavailable,
                    held + ", and did not let go within " + std::to_string(options_.timeout_ms) + " ms",
                    "wait for it, or give more time with --timeout");
      }
      // A moment's wait needs no word.
      if (told_ != holder.process && options_.notice && waited >= std::chrono::milliseconds(300)) {
        options_.notice(held + "; waiting for it");
        told_ = holder.process;
      }
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds(20));
    }
  }

  Status open() {
    ST8_ASSIGN(module_, load_local());
    begun_ = Clock::now();
    ST8_TRY(take_turn());
    while (true) {
      // Asked before opening: closing any descriptor of the lock file would let go of a lock that this process holds.
      ST8_TRY(wait_until([&]() -> Result<LockHolder> { return store_lock_holder(options_.state_dir); }));
      St8LocalError error{};
      handle_ = module_.open(options_.state_dir.c_str(), &error);
      if (handle_ != nullptr) return {};
      // A server was quicker; anything else is the answer.
      if (store_lock_holder(options_.state_dir).process == 0) return fail(error_of(error));
    }
  }

  LocalOptions options_;
  LocalModule module_;
  void* handle_ = nullptr;
  int turn_ = -1;
  Clock::time_point begun_;
  std::int64_t told_ = 0;
};

}  // namespace

LockHolder store_lock_holder(const std::string& state_dir) {
  const int descriptor = ::open((state_dir + "/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return {};
  const LockHolder holder = holder_of(descriptor);
  ::close(descriptor);
  return holder;
}

std::unique_ptr<Transport> make_local_transport(LocalOptions options) {
  return std::make_unique<LocalTransport>(std::move(options));
}

}  // namespace st8::ctl
