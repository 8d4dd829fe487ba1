// A real sshd for one test: on a loopback port of its own, with its own host key, open to one key of the user that runs the test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "support/process.h"
#include "support/temp_directory.h"

namespace st8::test {

class SshServer {
 public:
  // `path`: what its sessions look for programs in; `command`: what they run instead of what they are asked for; empty: as usual.
  // `settings`: more lines of its configuration. Throws when there is no sshd, or it does not start.
  explicit SshServer(std::string path = "", std::string command = "", std::string settings = "");
  ~SshServer();
  SshServer(const SshServer&) = delete;
  SshServer& operator=(const SshServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string identity() const { return (directory_.path() / "user_key").string(); }
  std::string known_hosts() const { return (directory_.path() / "known_hosts").string(); }
  std::string log() const;
  const std::filesystem::path& directory() const { return directory_.path(); }
  // The fields of a target's spec that reach it, without braces: "host: ..., port: ..., ...".
  std::string spec() const;

  // How many processes its sessions run at this moment.
  std::size_t commands() const;

  void start();             // On the same port again.
  void stop();              // With every connection that it holds.
  void drop_connections();  // It goes on listening.

 private:
  TempDirectory directory_;
  const std::string path_;
  const std::string command_;
  const std::string settings_;
  std::uint16_t port_ = 0;
  Program server_;
};

}  // namespace st8::test
