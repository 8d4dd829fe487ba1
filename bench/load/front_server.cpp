// The HTTP front with next to nothing behind it, to measure the front alone: GET anything answers at once, POST waits for a
// group commit as the store's writers do (one at a time takes --sync-us, and all that came meanwhile share the next).
#include <CLI/CLI.hpp>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>

#include "http/server.h"

namespace {

using namespace st8;

class GroupCommit {
 public:
  explicit GroupCommit(std::chrono::microseconds sync) : sync_(sync) {}
  void commit() {
    std::unique_lock lock(mutex_);
    const std::uint64_t mine = ++asked_;
    while (done_ < mine) {
      if (leading_) {
        woken_.wait(lock);
        continue;
      }
      leading_ = true;
      const std::uint64_t group = asked_;
      lock.unlock();
      std::this_thread::sleep_for(sync_);
      lock.lock();
      leading_ = false;
      done_ = group;
      woken_.notify_all();
    }
  }

 private:
  const std::chrono::microseconds sync_;
  std::mutex mutex_;
  std::condition_variable woken_;
  std::uint64_t asked_ = 0;
  std::uint64_t done_ = 0;
  bool leading_ = false;
};

class Handler : public http::Handler {
 public:
  explicit Handler(std::chrono::microseconds sync) : commits_(sync) {}
  std::string_view route_of(const http::Request& request) const override {
    return request.method == "POST" ? "/commit" : "/echo";
  }
  http::Response handle(const http::Request& request) override {
    if (request.method == "POST") commits_.commit();
    http::Response response;
    response.set_header("Content-Type", "application/json");
    response.set_header("ETag", "\"0123456789abcdef\"");
    response.body.assign(request.method == "POST" ? 100 : 1024, 'x');
    return response;
  }

 private:
  GroupCommit commits_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Serves the bare HTTP front"};
  std::uint16_t port = 0;
  int sync_us = 200;
  bool log = false;
  std::string certificate;
  std::string key;
  app.add_option("--port", port, "0 picks one");
  app.add_option("--sync-us", sync_us, "What a group commit takes");
  app.add_flag("--log", log, "Write the access log, as st8d does");
  app.add_option("--tls-cert", certificate);
  app.add_option("--tls-key", key);
  CLI11_PARSE(app, argc, argv);

  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Handler handler{std::chrono::microseconds(sync_us)};
  http::Metrics metrics;
  http::AccessLog access_log(log ? http::LogFormat::kJson : http::LogFormat::kNone, 2, system_clock());
  http::ServerOptions options;
  options.listen.port = port;
  if (!certificate.empty()) options.tls = http::TlsOptions{certificate, key, "", false};
  const auto server = http::Server::start(options, handler, metrics, access_log);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", (*server)->url().c_str());
  std::fflush(stdout);
  int signal = 0;
  ::sigwait(&signals, &signal);
  (*server)->drain(std::chrono::seconds(5));
  std::fputs(metrics.render().c_str(), stdout);
  return 0;
}
