// What a command runs with: flags, environment, the configuration file and built-in values, in that order of precedence.
//
//   flag           environment           file (YAML)           built in
//   --server       ST8CTL_SERVER         server.url            http://127.0.0.1:8748
//   --token        ST8CTL_TOKEN          server.token
//   --local        ST8CTL_LOCAL          server.url: local
//   --state-dir    ST8CTL_STATE_DIR      server.dir            ~/.st8
//   --timeout      ST8CTL_TIMEOUT        server.timeout        0 (none)
//   --ca-cert      ST8CTL_CA_CERT        server.ca_cert        the system's
//   --client-cert  ST8CTL_CLIENT_CERT    server.client_cert
//   --client-key   ST8CTL_CLIENT_KEY     server.client_key
//   --namespace    ST8CTL_NAMESPACE      defaults.namespace    default
//   --branch       ST8CTL_BRANCH         defaults.branch       main
//   --output       ST8CTL_OUTPUT         defaults.output       text
//   --author       ST8CTL_AUTHOR         defaults.author       the token's name
//   --config       ST8CTL_CONFIG                               $XDG_CONFIG_HOME/st8ctl/config.yaml, ~/.config/st8ctl/config.yaml
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "args/parse.h"
#include "st8/state/result.h"

namespace st8::ctl {

enum class OutputFormat : unsigned char { kText, kJson, kYaml, kName };

struct Settings {
  std::string config_path;
  std::string server = "http://127.0.0.1:8748";
  bool server_is_default = true;  // Nobody named a server; a refused connection then says more.
  std::string token;
  bool local = false;  // The server's code in process, over state_dir.
  std::string state_dir;
  std::int64_t timeout_ms = 0;  // For each request; 0: none.
  std::string ca_cert, client_cert, client_key;
  std::string name_space = "default";
  std::string branch = "main";
  bool branch_given = false;  // By flag or environment, for commands that span branches unless told.
  std::string author;
  OutputFormat output = OutputFormat::kText;
};

// Errors: kInvalidArgument (a malformed file with its line, an unknown key with the nearest known one, a bad value;
// --local beside --server), kNotFound (a --config that does not exist). A default file that does not exist is no error.
Result<Settings> load_settings(const Arguments& arguments);

// Where the configuration file is, by flag, environment and default; whether somebody named it.
struct ConfigPath {
  std::string path;
  bool named = false;
};
ConfigPath config_path(const Arguments& arguments);

// Writes server.url and server.token into the file, keeping everything else in it, comments too; mode 0600, replaced
// atomically, directories made with 0700. An empty value is left out of a new file and as it is in an old one.
Status store_login(const std::string& path, std::string_view url, std::string_view token);

// "~" and "~/x" by $HOME; anything else as it is.
std::string expand_home(std::string_view path);

}  // namespace st8::ctl
