#include "worker.h"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <httplib.h>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "st8/state/clock.h"
#include "st8/target/worker_agent.h"
#include "wire/problem.h"

#ifndef ST8_VERSION
#define ST8_VERSION "dev"
#endif

namespace st8::daemon {
namespace {

// st8d says something every five seconds; a stream that is silent for longer leads nowhere.
constexpr std::time_t kSilenceSeconds = 20;
constexpr std::time_t kConnectSeconds = 10;
constexpr std::size_t kLineBytesMax = 16u << 20;
constexpr std::size_t kProblemBytesMax = 64u << 10;

class HttpTransport final : public target::WorkerTransport {
 public:
  explicit HttpTransport(const WorkerConfig& config) : config_(config), base_("/v1/workers/" + config.name) {}

  Status poll(const std::string& body, const std::function<bool(std::string_view line)>& take) override {
    ST8_ASSIGN(const std::shared_ptr<httplib::Client> client, connect());
    {
      const std::lock_guard lock(mutex_);
      if (interrupted_) return fail(ErrorCode::kUnavailable, "interrupted", "");
      polling_ = client;
    }
    std::string rest, refusal;
    int status = 0;
    ST8_ASSIGN(httplib::Request request, request_to("/poll", body));
    request.response_handler = [&](const httplib::Response& response) {
      status = response.status;
      return true;
    };
    bool wanted = true;
    request.content_receiver = [&](const char* data, std::size_t length, std::uint64_t, std::uint64_t) {
      if (status != 200) {
        refusal.append(data, std::min(length, kProblemBytesMax - std::min(kProblemBytesMax, refusal.size())));
        return true;
      }
      rest.append(data, length);
      std::size_t begin = 0;
      for (std::size_t end; wanted && (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
        wanted = take(std::string_view(rest).substr(begin, end - begin));
      }
      rest.erase(0, begin);
      wanted = wanted && rest.size() <= kLineBytesMax;
      return wanted;
    };
    const auto result = client->send(request);
    {
      const std::lock_guard lock(mutex_);
      polling_ = nullptr;
    }
    if (status != 0 && status != 200) return fail(refused(status, refusal));
    if (!result && wanted && status == 0) return fail(unreachable(result.error()));
    // However it ended: the next poll tells what is held.
    return {};
  }

  Status report(const std::string& body) override {
    const auto answer = post("/report", body);
    return answer ? Status{} : fail(answer.error());
  }
  Result<std::string> content(const std::string& body) override { return post("/content", body); }

  void interrupt() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    if (polling_) polling_->stop();
  }

 private:
  Result<std::shared_ptr<httplib::Client>> connect() const {
    try {
      auto client = std::make_shared<httplib::Client>(config_.server);
      if (!client->is_valid())
        return fail(ErrorCode::kInvalidArgument, "\"" + config_.server + "\" is no address of a server",
                    "write it as https://host:8748");
      client->set_connection_timeout(kConnectSeconds);
      client->set_read_timeout(kSilenceSeconds);
      client->set_write_timeout(kSilenceSeconds);
      client->set_tcp_nodelay(true);
      client->set_follow_location(false);
      if (!config_.ca_cert.empty()) client->set_ca_cert_path(config_.ca_cert.c_str());
      client->enable_server_certificate_verification(true);
      return client;
    } catch (const std::exception& error) {
      return fail(ErrorCode::kInvalidArgument, "\"" + config_.server + "\" is no address of a server: " + error.what(),
                  "write it as https://host:8748");
    }
  }

  Result<httplib::Request> request_to(const std::string& path, const std::string& body) const {
    httplib::Request request;
    request.method = "POST";
    request.path = base_ + path;
    request.body = body;
    request.set_header("Content-Type", "application/json");
    if (!config_.token_file.empty()) {
      std::ifstream in(config_.token_file);
      std::string token;
      if (!std::getline(in, token))
        return fail(ErrorCode::kUnavailable, "cannot read a token in " + config_.token_file,
                    "--token-file names a file that holds the worker's token");
      while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
      request.set_header("Authorization", "Bearer " + token);
    }
    return request;
  }

  Result<std::string> post(const std::string& path, const std::string& body) {
    ST8_ASSIGN(httplib::Request request, request_to(path, body));
    // One connection for all of them, kept from one to the next.
    const std::lock_guard lock(posting_);
    if (!poster_) {
      ST8_ASSIGN(poster_, connect());
      poster_->set_keep_alive(true);
    }
    const auto result = poster_->send(request);
    if (!result) {
      poster_ = nullptr;
      return fail(unreachable(result.error()));
    }
    if (result->status != 200) return fail(refused(result->status, result->body));
    return result->body;
  }

  Error unreachable(httplib::Error error) const {
    return {ErrorCode::kUnavailable, "cannot reach " + config_.server + ": " + httplib::to_string(error), ""};
  }
  static Error refused(int status, const std::string& body) { return wire::parse_problem(status, body).error; }

  const WorkerConfig config_;
  const std::string base_;
  std::mutex mutex_;
  std::shared_ptr<httplib::Client> polling_;
  bool interrupted_ = false;
  std::mutex posting_;
  std::shared_ptr<httplib::Client> poster_;
};

}  // namespace

Status work(const WorkerConfig& config) {
  ST8_ASSIGN(target::WorkerName name, target::WorkerName::parse(config.name));
  if (!config.server.starts_with("http://") && !config.server.starts_with("https://")) {
    return fail(ErrorCode::kInvalidArgument, "\"" + config.server + "\" is no address of a server",
                "write it as https://host:8748");
  }
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int number : {SIGTERM, SIGINT}) sigaddset(&awaited, number);
  ::pthread_sigmask(SIG_BLOCK, &awaited, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  HttpTransport transport(config);
  target::WorkerAgentOptions options{
      std::move(name),
      config.root,
      std::chrono::milliseconds(2'000),
      [](const std::string& line) { std::fprintf(stderr, "st8d worker: %s\n", line.c_str()); },
      config.allow_steps,
      ST8_VERSION};
  ST8_ASSIGN(const auto agent, target::WorkerAgent::open(std::move(options), transport, system_clock()));
  std::printf("working as %s below %s\n", config.name.c_str(), config.root.c_str());
  std::fflush(stdout);
  // Ended by a signal, or by the agent's own end, which sends one.
  std::thread watcher([&] {
    int number = 0;
    while (::sigwait(&awaited, &number) != 0) {}
    agent->stop();
  });
  const Status ended = agent->run();
  ::pthread_kill(watcher.native_handle(), SIGTERM);
  watcher.join();
  return ended;
}

}  // namespace st8::daemon
