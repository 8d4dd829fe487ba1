#include "serve.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "api/instance.h"
#include "http/server.h"
#include "journal.h"
#include "st8/state/clock.h"

#ifndef ST8_VERSION
#define ST8_VERSION "dev"
#endif

namespace st8::daemon {
namespace {

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
              "there is no token, and " + config.listen +
                  " can be reached from other machines: anyone there could change everything",
              "set ST8D_TOKEN or --auth-config, listen on 127.0.0.1:8748, or say --allow-anonymous");
}

Status write_ready_file(const std::string& path, const std::string& url) {
  if (path.empty()) return {};
  const std::string partial = path + ".partial";
  std::FILE* file = std::fopen(partial.c_str(), "w");
  const bool written = file != nullptr && std::fprintf(file, "%s\n", url.c_str()) > 0;
  if ((file != nullptr && std::fclose(file) != 0) || !written || std::rename(partial.c_str(), path.c_str()) != 0) {
    return fail(ErrorCode::kUnavailable, "cannot write " + path + ": " + std::strerror(errno),
                "--ready-file names a file in a directory that can be written");
  }
  return {};
}

void reload(const Journal& journal, api::Instance& instance, http::Server& server) {
  if (const Status tokens = instance.authenticator().reload(); !tokens) {
    journal.error("the tokens stay as they were", tokens.error());
  } else {
    journal.info("tokens read again");
    for (const std::string& warning : instance.authenticator().warnings()) journal.warning(warning);
  }
  if (const Status tls = server.reload_tls(); !tls) journal.error("the certificates stay as they were", tls.error());
}

// Whoever asks twice does not want to wait: what is acknowledged is durable, and nothing else is owed.
void end_at_the_second_signal(const Journal& journal, const sigset_t& awaited) {
  std::thread([journal, awaited] {
    int number = 0;
    while (::sigwait(&awaited, &number) != 0 || number == SIGHUP) {}
    journal.warning("signalled again: ending without waiting for what runs");
    ::_exit(128 + number);
  }).detach();
}

}  // namespace

Status serve(const Config& config) {
  ST8_ASSIGN(http::ListenAddress address, http::parse_listen_address(config.listen));
  ST8_TRY(check_anonymous(config, address));
  const Journal journal(config.log_format);
  raise_open_files();
  // Hundreds of threads with an arena each would keep memory that nobody uses.
  ::mallopt(M_ARENA_MAX, 8);

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
  if (!config.sealing_keys.empty()) {
    ST8_ASSIGN(target::Keyring keys, target::Keyring::load(config.sealing_keys));
    options.sealing_keys = std::make_shared<const target::Keyring>(std::move(keys));
  }
  ST8_ASSIGN(const std::unique_ptr<api::Instance> instance, api::Instance::open(std::move(options), clock));
  for (const std::string& warning : instance->authenticator().warnings()) journal.warning(warning);
  if (instance->authenticator().anonymous()) {
    journal.warning("there is no token: whoever reaches " + config.listen + " may do everything");
  }

  http::AccessLog log(config.log_format, STDERR_FILENO, clock);
  http::ServerOptions front;
  front.listen = address;
  if (!config.tls_cert.empty())
    front.tls = http::TlsOptions{config.tls_cert, config.tls_key, config.tls_client_ca, true};
  front.limits.body_bytes = config.max_body_bytes;
  front.read_timeout = config.read_timeout;
  front.header_timeout = config.read_timeout.count() == 0 ? std::chrono::milliseconds(0)
                                                          : std::min(front.header_timeout, config.read_timeout);
  front.write_timeout = config.write_timeout;
  front.idle_timeout = config.idle_timeout;
  front.workers_max = config.workers;
  ST8_ASSIGN(const std::unique_ptr<http::Server> server,
             http::Server::start(front, instance->handler(), instance->metrics(), log));
  // For people and programs that start it with port 0; the only line on standard output. Before the ready file, so that who
  // has seen that finds the line.
  std::printf("listening on %s\n", server->url().c_str());
  std::fflush(stdout);
  ST8_TRY(write_ready_file(config.ready_file, server->url()));

  while (true) {
    int number = 0;
    if (::sigwait(&awaited, &number) != 0) continue;
    if (number != SIGHUP) break;
    reload(journal, *instance, *server);
  }
  journal.info("draining");
  end_at_the_second_signal(journal, awaited);
  instance->begin_drain();
  if (!server->drain(config.drain_timeout)) journal.warning("some requests were cut at the drain deadline");
  return {};
}

}  // namespace st8::daemon
