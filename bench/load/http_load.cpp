// A closed-loop HTTP/1.1 load client: N keep-alive connections over a few threads, each with one request under way.
// It counts answers per connection and keeps every latency. Used against st8d; see bench/README.md.
#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <random>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "load/histogram.h"

namespace st8::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct Options {
  int port = 0;
  std::string token;
  std::size_t connections = 64;
  std::size_t threads = 2;
  double seconds = 5;
  double warmup = 0.5;
  std::string workload = "get";
  std::size_t documents = 1;
  std::size_t bytes = 1024;
  std::size_t keys = 1000;
  std::size_t namespaces = 1;
  std::size_t revisions = 1;
  std::string name_space = "bench";
  std::string branch = "main";
  std::string path;  // For workload "path": GET of this target.
  bool tls = false;
  std::uint64_t seed = 1;
  std::uint64_t operations = 0;  // Stop after so many; 0: by time alone.
  bool until_eof = false;        // Stop when standard input ends, too.
};

std::string key_name(std::size_t index) {
  return "services/team-" + std::to_string(index % 37) + "/service-" + std::to_string(index) + "/config.json";
}

// A configuration document of about `bytes` bytes, different at every call.
std::string document(std::size_t bytes, std::mt19937_64& random) {
  std::string text = "{\n  \"revision_tag\": " + std::to_string(random() % 1'000'000'007) + ",\n  \"settings\": {\n";
  std::size_t line = 0;
  while (text.size() + 60 < bytes) {
    text += "    \"option_" + std::to_string(line++) +
            "\": {\"enabled\": true, \"value\": " + std::to_string(random() % 1000) + "},\n";
  }
  text += "    \"last\": null\n  }\n}\n";
  return text;
}

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

class Connection {
 public:
  Connection(const Options& options, std::size_t index, SSL_CTX* tls)
      : options_(options), random_(options.seed * 1'000'003 + index), index_(index) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(options.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      error_ = std::string("connect: ") + std::strerror(errno);
      return;
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls != nullptr) {
      ssl_ = SSL_new(tls);
      SSL_set_fd(ssl_, fd_);
      if (SSL_connect(ssl_) != 1) {
        error_ = "TLS handshake failed";
        return;
      }
    }
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  }
  ~Connection() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    if (fd_ >= 0) ::close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }
  const std::string& error() const { return error_; }
  std::uint64_t answers() const { return answers_; }

  // Sends the next request. The kernel's buffer takes requests of the sizes used here whole; larger ones continue in pump().
  void start() {
    build();
    sent_ = 0;
    in_.clear();
    needed_ = 0;
    began_ = SteadyClock::now();
    pump_out();
  }

  // Reads what is there. True when an answer is complete.
  bool pump(Samples* samples, std::string& failure) {
    if (sent_ < out_.size()) pump_out();
    char buffer[65536];
    for (;;) {
      const ssize_t got = ssl_ != nullptr ? SSL_read(ssl_, buffer, sizeof buffer) : ::read(fd_, buffer, sizeof buffer);
      if (got <= 0) {
        const bool wait = ssl_ != nullptr ? SSL_get_error(ssl_, static_cast<int>(got)) == SSL_ERROR_WANT_READ
                                          : (got < 0 && errno == EAGAIN);
        if (!wait) failure = "connection closed by the server";
        return false;
      }
      in_.append(buffer, static_cast<std::size_t>(got));
      if (needed_ == 0) {
        const auto head = in_.find("\r\n\r\n");
        if (head == std::string::npos) continue;
        std::size_t length = 0;
        const auto field = in_.find("Content-Length: ");
        if (field != std::string::npos && field < head) length = std::strtoull(in_.c_str() + field + 16, nullptr, 10);
        needed_ = head + 4 + length;
      }
      if (in_.size() >= needed_) break;
    }
    if (in_.compare(0, 10, "HTTP/1.1 2") != 0) {
      failure = in_.substr(0, 300);
      return false;
    }
    ++answers_;
    if (samples != nullptr) {
      samples->add(static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - began_).count()));
    }
    return true;
  }

 private:
  void build() {
    const std::size_t name_space_index = index_ % options_.namespaces;
    const std::string name_space =
        options_.namespaces > 1 ? options_.name_space + "-" + std::to_string(name_space_index) : options_.name_space;
    std::string body;
    std::string head;
    if (options_.workload == "apply") {
      body = "{\"scope\":{\"namespace\":\"" + name_space + "\",\"branch\":\"" + options_.branch + "\"},\"documents\":[";
      std::size_t first = random_() % options_.keys;
      for (std::size_t i = 0; i < options_.documents; ++i) {
        if (i > 0) body += ",";
        body += "{\"key\":\"" + key_name((first + i) % options_.keys) + "\",\"content\":";
        append_json_string(body, document(options_.bytes, random_));
        body += "}";
      }
      body += "],\"message\":\"bench\"}";
      head = "POST /v1/apply HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: " +
             std::to_string(body.size()) + "\r\n";
    } else if (options_.workload == "get" || options_.workload == "get-at") {
      head = "GET /v1/documents/" + key_name(random_() % options_.keys) + "?namespace=" + name_space +
             "&branch=" + options_.branch;
      if (options_.workload == "get-at") head += "&at=" + std::to_string(1 + random_() % options_.revisions);
      head += " HTTP/1.1\r\n";
    } else {
      head = "GET " + options_.path + " HTTP/1.1\r\n";
    }
    out_ = head + "Host: 127.0.0.1\r\n";
    if (!options_.token.empty()) out_ += "Authorization: Bearer " + options_.token + "\r\n";
    out_ += "\r\n" + body;
  }

  void pump_out() {
    while (sent_ < out_.size()) {
      const ssize_t done = ssl_ != nullptr ? SSL_write(ssl_, out_.data() + sent_, static_cast<int>(out_.size() - sent_))
                                           : ::write(fd_, out_.data() + sent_, out_.size() - sent_);
      if (done <= 0) return;
      sent_ += static_cast<std::size_t>(done);
    }
  }

  const Options& options_;
  std::mt19937_64 random_;
  std::size_t index_;
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  std::string error_;
  std::string out_;
  std::size_t sent_ = 0;
  std::string in_;
  std::size_t needed_ = 0;
  std::uint64_t answers_ = 0;
  SteadyClock::time_point began_;
};

int run(const Options& options) {
  SSL_CTX* tls = options.tls ? SSL_CTX_new(TLS_client_method()) : nullptr;
  std::vector<std::unique_ptr<Connection>> connections;
  for (std::size_t i = 0; i < options.connections; ++i) {
    connections.push_back(std::make_unique<Connection>(options, i, tls));
    if (!connections.back()->error().empty()) {
      std::cerr << "http_load: " << connections.back()->error() << "\n";
      return 1;
    }
  }
  const std::size_t threads = std::min(options.threads, options.connections);
  std::vector<RunReport> reports(threads);
  std::vector<std::uint64_t> at_warm(options.connections, 0);
  std::atomic<std::uint64_t> left{options.operations == 0 ? UINT64_MAX : options.operations};
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  const auto warm = SteadyClock::now() +
                    std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(options.warmup));
  const auto end =
      warm + std::chrono::duration_cast<SteadyClock::duration>(std::chrono::duration<double>(options.seconds));
  if (options.until_eof) {
    // Not joined: it may wait for input when all is done.
    std::thread([stop = stop] {
      char byte;
      while (::read(STDIN_FILENO, &byte, 1) > 0) {}
      stop->store(true);
    }).detach();
  }
  std::vector<std::thread> pool;
  for (std::size_t t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      const int poll = ::epoll_create1(EPOLL_CLOEXEC);
      std::vector<std::size_t> mine;
      for (std::size_t i = t; i < connections.size(); i += threads) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        ::epoll_ctl(poll, EPOLL_CTL_ADD, connections[i]->fd(), &event);
        mine.push_back(i);
        connections[i]->start();
      }
      bool measuring = options.warmup <= 0;
      std::size_t alive = mine.size();
      epoll_event events[64];
      while (alive > 0) {
        const int ready = ::epoll_wait(poll, events, 64, 100);
        const auto now = SteadyClock::now();
        if (!measuring && now >= warm) {
          measuring = true;
          for (const auto i : mine) at_warm[i] = connections[i]->answers();
        }
        if (now >= end || stop->load(std::memory_order_relaxed)) break;
        for (int e = 0; e < ready; ++e) {
          auto& connection = *connections[events[e].data.u64];
          std::string failure;
          if (connection.pump(measuring ? &reports[t].latency : nullptr, failure)) {
            if (left.load(std::memory_order_relaxed) != UINT64_MAX && left.fetch_sub(1) <= 1) {
              left.store(0);
              alive = 0;
              break;
            }
            connection.start();
          } else if (!failure.empty()) {
            ++reports[t].errors;
            if (reports[t].first_error.empty()) reports[t].first_error = failure;
            ::epoll_ctl(poll, EPOLL_CTL_DEL, connection.fd(), nullptr);
            --alive;
          }
        }
        if (left.load(std::memory_order_relaxed) == 0) break;
      }
      ::close(poll);
    });
  }
  for (auto& thread : pool) thread.join();
  RunReport total;
  total.seconds = std::chrono::duration<double>(std::min(SteadyClock::now(), end) - warm).count();
  for (auto& report : reports) {
    total.latency.merge(report.latency);
    total.errors += report.errors;
    if (total.first_error.empty()) total.first_error = report.first_error;
  }
  for (std::size_t i = 0; i < connections.size(); ++i) {
    total.answers_per_connection.push_back(connections[i]->answers() - at_warm[i]);
  }
  total.print();
  if (tls != nullptr) SSL_CTX_free(tls);
  return total.errors == 0 ? 0 : 1;
}

}  // namespace
}  // namespace st8::bench

int main(int argc, char** argv) {
  st8::bench::Options options;
  CLI::App app{"Closed-loop HTTP load on 127.0.0.1"};
  app.add_option("--port", options.port)->required();
  app.add_option("--token", options.token);
  app.add_option("--connections", options.connections);
  app.add_option("--threads", options.threads);
  app.add_option("--seconds", options.seconds);
  app.add_option("--warmup", options.warmup);
  app.add_option("--workload", options.workload)->check(CLI::IsMember({"apply", "get", "get-at", "path"}));
  app.add_option("--documents", options.documents);
  app.add_option("--bytes", options.bytes);
  app.add_option("--keys", options.keys);
  app.add_option("--namespaces", options.namespaces);
  app.add_option("--namespace", options.name_space);
  app.add_option("--branch", options.branch);
  app.add_option("--revisions", options.revisions);
  app.add_option("--path", options.path);
  app.add_option("--seed", options.seed);
  app.add_option("--operations", options.operations);
  app.add_flag("--until-eof", options.until_eof);
  app.add_flag("--tls", options.tls);
  CLI11_PARSE(app, argc, argv);
  return st8::bench::run(options);
}
