#include "serve.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "api/instance.h"
#include "http/server.h"
#include "st8/state/clock.h"

#ifndef ST8_VERSION
#define ST8_VERSION "dev"
#endif

namespace st8::daemon {
namespace {

void say(const std::string& text) { std::fprintf(stderr, "st8d: %s\n", text.c_str()); }

// Connections that wait are cheap here, and descriptors are what they need.
void raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

Status check_anonymous(const Config& config, const http::ListenAddress& address) {
  if (!config.token.empty() || !config.auth_config.empty() || config.allow_anonymous || address.loopback()) return {};
  return fail(ErrorCode::kInvalidArgument,
              "there is no token, and " + config.listen + " can be reached from other machines: anyone there could change everything",
              "set ST8D_TOKEN or --auth-config, listen on 127.0.0.1:8748, or say --allow-anonymous");
}

Status write_ready_file(const std::string& path, const std::string& url) {
  if (path.empty()) return {};
  const std::string partial = path + ".partial";
  std::FILE* file = std::fopen(partial.c_str(), "w");
  const bool written = file != nullptr && std::fprintf(file, "%s\n", url.c_str()) > 0;
  if ((file != nullptr && std::fclose(file) != 0) || !written || std::rename(partial.c_str(), path.c_str()) != 0) {
    return fail(ErrorCode::kUnavailable, "cannot write " + path + ": " + std::strerror(errno), "--ready-file names a file in a directory that can be written");
  }
  return {};
}

void reload(api::Instance& instance, http::Server& server) {
  if (const Status tokens = instance.authenticator().reload(); !tokens) {
    say("the tokens stay as they were: " + tokens.error().message);
  } else {
    say("tokens read again");
    for (const std::string& warning : instance.authenticator().warnings()) say("warning: " + warning);
  }
  if (const Status tls = server.reload_tls(); !tls) say("the certificates stay as they were: " + tls.error().message);
}

}  // namespace

Status serve(const Config& config) {
  ST8_ASSIGN(http::ListenAddress address, http::parse_listen_address(config.listen));
  ST8_TRY(check_anonymous(config, address));
  raise_open_files();

  // Threads made from here on leave these signals to this one, which waits for them.
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&awaited, number);
  ::pthread_sigmask(SIG_BLOCK, &awaited, nullptr);

  const Clock& clock = system_clock();
  api::InstanceOptions options;
  options.engine.directory = config.state_dir;
  options.engine.block_cache_bytes = config.block_cache_bytes;
  options.auth.admin_token = config.token;
  options.auth.token_file = config.auth_config;
  options.version = ST8_VERSION;
  options.rollouts = true;
  ST8_ASSIGN(const std::unique_ptr<api::Instance> instance, api::Instance::open(std::move(options), clock));
  for (const std::string& warning : instance->authenticator().warnings()) say("warning: " + warning);
  if (instance->authenticator().anonymous()) say("warning: there is no token: whoever reaches " + config.listen + " may do everything");

  http::AccessLog log(config.log_format, STDERR_FILENO, clock);
  http::ServerOptions front;
  front.listen = address;
  if (!config.tls_cert.empty()) front.tls = http::TlsOptions{config.tls_cert, config.tls_key, config.tls_client_ca, true};
  front.limits.body_bytes = config.max_body_bytes;
  front.read_timeout = config.read_timeout;
  front.header_timeout = config.read_timeout.count() == 0 ? std::chrono::milliseconds(0) : std::min(front.header_timeout, config.read_timeout);
  front.write_timeout = config.write_timeout;
  front.idle_timeout = config.idle_timeout;
  front.workers_max = config.workers;
  ST8_ASSIGN(const std::unique_ptr<http::Server> server, http::Server::start(front, instance->handler(), instance->metrics(), log));
  ST8_TRY(write_ready_file(config.ready_file, server->url()));
  // For people and programs that start it with port 0; the only line on standard output.
  std::printf("listening on %s\n", server->url().c_str());
  std::fflush(stdout);

  while (true) {
    int number = 0;
    if (::sigwait(&awaited, &number) != 0) continue;
    if (number != SIGHUP) break;
    reload(*instance, *server);
  }
  say("draining");
  instance->begin_drain();
  if (!server->drain(config.drain_timeout)) say("some requests were cut at the drain deadline");
  return {};
}

}  // namespace st8::daemon
