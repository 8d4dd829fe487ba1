// st8d's settings: flags, environment, a YAML file and built-in values, in that order of precedence. One table names them all.
//
//   flag              environment           file (YAML)        built in
//   --listen          ST8D_LISTEN           listen             :8748
//   --state-dir       ST8D_STATE_DIR        state_dir          .st8d
//   and so on: the same name, in each place's spelling. `st8d --help` lists them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/access_log.h"
#include "st8/state/result.h"

namespace st8::daemon {

struct Config {
  std::string listen = ":8748";
  std::string state_dir = ".st8d";
  std::string token;
  std::string auth_config;
  std::string sealing_keys;
  bool allow_anonymous = false;
  std::chrono::milliseconds read_timeout{30'000};
  std::chrono::milliseconds write_timeout{60'000};
  std::chrono::milliseconds idle_timeout{120'000};
  std::chrono::milliseconds drain_timeout{30'000};
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  std::size_t max_body_bytes = 20u << 20;
  std::size_t workers = 256;
  std::size_t block_cache_bytes = 20u << 20;
  http::LogFormat log_format = http::LogFormat::kJson;
  std::string ready_file;
};

struct Setting {
  std::string name;         // As the flag has it, without dashes: "read-timeout".
  std::string placeholder;  // Empty: a switch.
  std::string help;
  std::function<Status(Config&, const std::string& text)> assign;

  std::string environment() const;  // "ST8D_READ_TIMEOUT"
  std::string field() const;        // "read_timeout"
};

// Every setting, in the order of the help.
const std::vector<Setting>& settings();

// Puts together what was given: `flags` by setting name. `environment` answers a variable, or null. An empty `file` means none.
// Errors: kInvalidArgument, naming the flag, variable, or the file's line; kNotFound and kUnavailable (reading the file).
Result<Config> load_config(const std::map<std::string, std::string>& flags,
                           const std::function<const char*(const char*)>& environment, const std::string& file);

// "30s", "1m30s", "500ms", "2h", "0". Errors: kInvalidArgument.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
// "20MiB", "512KiB", "1048576". Errors: kInvalidArgument.
Result<std::size_t> parse_size(std::string_view text);

}  // namespace st8::daemon
