#include "support/ssh_server.h"

#include <arpa/inet.h>
#include <fstream>
#include <signal.h>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "support/eventually.h"

namespace st8::test {
namespace {

constexpr const char* kServer = "/usr/sbin/sshd";

// Empty too of a process that ends meanwhile: reading what /proc says of it fails then.
std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return file && text ? std::move(text).str() : std::string();
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool good = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (fd >= 0) ::close(fd);
  if (!good) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

bool answers(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool good = fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0) ::close(fd);
  return good;
}

void make_key(const std::string& path) {
  if (run_process({"/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path}).code != 0)
    throw std::runtime_error("ssh-keygen failed: is openssh-client installed?");
}

// Every process below `parent`, the deepest last.
std::vector<pid_t> below(pid_t parent) {
  std::map<pid_t, std::vector<pid_t>> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = text_of(entry.path() / "stat");
    const std::size_t close = stat.rfind(')');
    if (close == std::string::npos || close + 4 > stat.size()) continue;
    children[static_cast<pid_t>(std::stol(stat.substr(close + 4)))].push_back(static_cast<pid_t>(std::stol(name)));
  }
  std::vector<pid_t> found{parent};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::vector<pid_t> more = children[found[i]];
    found.insert(found.end(), more.begin(), more.end());
  }
  found.erase(found.begin());
  return found;
}

}  // namespace

SshServer::SshServer(std::string path, std::string command, std::string settings)
    : path_(path.empty() ? "/usr/bin:/bin" : std::move(path)),
      command_(std::move(command)),
      settings_(std::move(settings)) {
  // Without it sshd, run by root, does not start.
  if (::geteuid() == 0) ::mkdir("/run/sshd", 0755);
  make_key((directory_.path() / "host_key").string());
  make_key(identity());
  std::filesystem::copy_file(identity() + ".pub", directory_.path() / "authorized_keys");
  for (int attempt = 0;; ++attempt) {
    port_ = free_port();
    std::ofstream(known_hosts()) << "[127.0.0.1]:" << port_ << " " << text_of(directory_.path() / "host_key.pub");
    try {
      start();
      return;
    } catch (const std::runtime_error&) {
      // Somebody else took the port in between.
      if (attempt == 3) throw;
    }
  }
}

SshServer::~SshServer() { stop(); }

void SshServer::start() {
  const std::string base = directory_.path().string();
  std::ofstream(directory_.path() / "sshd_config")
      << "ListenAddress 127.0.0.1\nPort " << port_ << "\nHostKey " << base << "/host_key\nAuthorizedKeysFile " << base
      << "/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication "
         "no\nKbdInteractiveAuthentication no\n"
      << "PermitRootLogin yes\nLogLevel VERBOSE\nMaxStartups 100\nPrintMotd no\n"
      // Nothing that a login shell of this user reads at home has a part in a test.
      << "SetEnv HOME=" << base << " PATH=" << path_ << "\n"
      << (command_.empty() ? "" : "ForceCommand " + command_) << "\n"
      << settings_;
  server_ = Program({kServer, "-D", "-e", "-f", base + "/sshd_config"}, {}, base + "/log", base + "/log");
  if (!eventually([&] { return !server_.running() || answers(port_); }) || !server_.running())
    throw std::runtime_error("sshd does not start: " + log());
}

void SshServer::drop_connections() {
  if (!server_.running()) return;
  for (const pid_t pid : below(server_.pid())) ::kill(pid, SIGKILL);
}

std::size_t SshServer::commands() const {
  std::size_t count = 0;
  for (const pid_t pid : below(server_.pid())) {
    const std::string name = text_of("/proc/" + std::to_string(pid) + "/comm");
    if (!name.empty() && name != "sshd\n") ++count;
  }
  return count;
}

void SshServer::stop() {
  if (!server_.running()) return;
  const std::vector<pid_t> connections = below(server_.pid());
  server_.end(SIGKILL);
  for (const pid_t pid : connections) ::kill(pid, SIGKILL);
}

std::string SshServer::log() const { return text_of(directory_.path() / "log"); }

std::string SshServer::spec() const {
  return "host: 127.0.0.1, port: " + std::to_string(port_) + ", identityFile: " + identity() +
         ", knownHosts: " + known_hosts() +
         ", config: /dev/null, controlDirectory: " + (directory_.path() / "c").string();
}

}  // namespace st8::test
