// The HTTP front with a handler made for tests, on a port that the system picks.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"
#include "support/eventually.h"
#include "support/raw_client.h"

namespace st8::http {

using test::RawClient;

// Opens once; whoever waits for it goes on.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    opened_.wait(lock, [this] { return open_; });
    --waiting_;
  }
  int waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
  int waiting_ = 0;
};

class TestHandler : public Handler {
 public:
  std::string_view route_of(const Request& request) const override {
    if (request.path == "/echo") return "/echo";
    if (request.path == "/block") return "/block";
    if (request.path == "/sometimes") return "/sometimes";
    return "unmatched";
  }
  Response handle(const Request& request) override {
    ++handled;
    Response response;
    response.principal = "tester";
    if (request.path == "/echo") {
      response.body = request.body;
      response.set_header("X-Method", request.method);
      response.set_header("X-Id", request.id);
      response.set_header("X-Secure", request.secure ? "yes" : "no");
      response.set_header("X-Client", request.client_certificate);
    } else if (request.path == "/block") {
      gate.wait();
      response.body = "unblocked";
    } else if (request.path == "/sometimes") {
      if (sometimes_blocks) gate.wait();
    } else if (request.path == "/large") {
      response.body.assign(
          static_cast<std::size_t>(std::stoull(std::string(request.query_value("bytes").value_or("0")))), 'x');
    } else if (request.path == "/parts") {
      response.body = "begin";
      for (int i = 0; i < 40; ++i) response.more_body.emplace_back(50'000, static_cast<char>('a' + i % 26));
      response.more_body.emplace_back("end");
    } else if (request.path == "/source") {
      auto left = std::make_shared<int>(std::stoi(std::string(request.query_value("chunks").value_or("3"))));
      const bool fails = request.query_value("fails").has_value();
      response.body_source = [this, left, fails]() -> Result<std::string> {
        ++pulled;
        if (*left == 0) {
          if (fails) return fail(ErrorCode::kInternal, "broken on purpose");
          return std::string();
        }
        --*left;
        return std::string(1'000'000, 'c');
      };
    } else if (request.path == "/stream") {
      response.set_header("Content-Type", "text/event-stream");
      response.on_stream = [this](std::shared_ptr<Channel> channel) {
        channel->send(std::make_shared<const std::string>("event: ready\ndata: {}\n\n"));
        const std::lock_guard lock(mutex);
        channels.push_back(std::move(channel));
      };
    } else if (request.path == "/nothing") {
      response.status = 204;
    } else if (request.path == "/inject") {
      response.set_header("X-Bad", "a\r\nX-Injected: yes");
    } else if (request.path == "/throw") {
      throw std::runtime_error("on purpose");
    } else {
      response.status = 404;
      response.body = "no such path";
    }
    return response;
  }
  // Of paths that begin with /later: answered by the test, at once by this thread, or at once by another.
  std::optional<Response> begin(const Request& request, LaterAnswer& later) override {
    if (!request.path.starts_with("/later")) return handle(request);
    auto kept = later.keep();
    auto make = [this, &request]() -> Response {
      ++made;
      if (request.path == "/later/throws") throw std::runtime_error("on purpose");
      Response response;
      response.principal = "tester";
      response.body = "later: " + request.body;
      return response;
    };
    if (request.path == "/later/now") {
      kept->deliver(make);
    } else if (request.path == "/later/race") {
      std::thread([kept, make] { kept->deliver(make); }).detach();
    } else {
      const std::lock_guard lock(mutex);
      waiting.push_back([kept = std::move(kept), make] { kept->deliver(make); });
    }
    return std::nullopt;
  }
  std::size_t waiting_count() {
    const std::lock_guard lock(mutex);
    return waiting.size();
  }
  void deliver_all() {
    std::vector<std::function<void()>> all;
    {
      const std::lock_guard lock(mutex);
      all.swap(waiting);
    }
    for (const auto& deliver : all) deliver();
  }
  std::size_t channel_count() {
    const std::lock_guard lock(mutex);
    return channels.size();
  }

  Gate gate;
  std::atomic<bool> sometimes_blocks{false};
  std::atomic<int> handled{0};
  std::atomic<int> pulled{0};
  std::atomic<int> made{0};
  std::vector<std::function<void()>> waiting;
  std::mutex mutex;
  std::vector<std::shared_ptr<Channel>> channels;
};

class FrontFixture : public ::testing::Test {
 protected:
  void start() {
    auto started = Server::start(options, handler, metrics, log);
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  void TearDown() override {
    handler.gate.open();
    handler.deliver_all();
    server.reset();
  }
  RawClient connect() { return RawClient(server->port()); }
  // The value of a metric line, or -1.
  double metric(const std::string& name) {
    const std::string text = "\n" + metrics.render();
    const std::size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }

  ServerOptions options;
  TestHandler handler;
  Metrics metrics;
  AccessLog log{LogFormat::kNone, -1, system_clock()};
  std::unique_ptr<Server> server;
};

}  // namespace st8::http
