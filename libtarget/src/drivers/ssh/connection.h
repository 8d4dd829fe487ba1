// How a target is reached with the OpenSSH client: its options, the shared connection, and what it says when it fails.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "document/strict_yaml.h"
#include "st8/target/target.h"

namespace st8::target::ssh {

struct SshSpec {
  std::string host;
  std::string user;        // Empty: as the client's configuration says.
  std::uint16_t port = 0;  // 0: as the client's configuration says.
  std::string root;        // At the other end; absolute.
  bool files = false;      // Each document in its own place, instead of a directory for each version and a link.
  std::uint32_t keep = 5;
  std::string identity_file;  // Empty: the client's own, and its agent.
  std::string agent;          // The agent's socket; empty: none but the configuration's.
  std::string known_hosts;    // Empty: the client's own.
  bool accept_new = false;    // Take the key of a host that was never seen, and keep to it.
  std::string config;         // Empty: the client's own configuration.
  Millis connect_timeout{10'000};
  Millis share{60'000};           // How long a connection stays open when nothing goes over it; 0: none is shared.
  std::string control_directory;  // Empty: /tmp/st8-ssh-<user id>.

  void read(strict_yaml::Context& context, const strict_yaml::Value& value);
};

// The words that start the client, without those of the remote side. Holds no secret, and nothing that ssh could take for an
// option. `socket`: of the shared connection; empty: none.
std::vector<std::string> client_words(const SshSpec& spec, const std::string& socket);

// Where the socket of this connection lies, in a directory that only this user can enter, which is made when it is missing. Every
// option of the connection is in its name: another key, or another list of known hosts, never rides on it. Empty: nothing is shared.
// Errors: kUnprocessable when the directory is somebody else's, or open to others.
Result<std::string> control_socket(const SshSpec& spec);

// What the client says of a connection that did not come about. `content` is kept out of it; may be null.
Error connection_error(const SshSpec& spec, const std::string& errors, int exit_code, const Content* content);

}  // namespace st8::target::ssh
