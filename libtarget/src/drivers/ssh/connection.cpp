#include "drivers/ssh/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/redaction.h"

namespace st8::target::ssh {
namespace {

constexpr std::size_t kSocketPathMax = 80;  // The kernel takes 107; the client adds 17 while it makes one.

// ssh reads '%', '~', '$', quotes and spaces in paths as its own; those are no part of one here.
bool plain(std::string_view text, std::string_view more) {
  return !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

void read_path(strict_yaml::Map& map, std::string_view name, std::string& out) {
  const auto value = map.take(name);
  if (!value) return;
  if (auto text = value->text()) out = std::move(*text);
  if (out.empty() || out.front() != '/')
    value->problem("must be an absolute path");
  else if (!plain(out, "/._-+@=,:"))
    value->problem("must be a path of letters, digits and /._-+@=,:");
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return std::string(text.substr(text.find_last_of('\n') + 1));
}

bool has(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

std::string seconds(std::chrono::nanoseconds time, std::int64_t least) {
  return std::to_string(std::max<std::int64_t>(least, std::chrono::ceil<std::chrono::seconds>(time).count()));
}

}  // namespace

Error connection_error(const SshSpec& spec, const std::string& errors, int exit_code, const Content* content) {
  const std::string said = drivers::redacted(last_line(errors), content);
  const std::string message =
      "ssh to " + spec.host + ": " + (said.empty() ? "ended with status " + std::to_string(exit_code) : said);
  if (has(errors, {"Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"})) {
    return {
        ErrorCode::kUnprocessable, "ssh to " + spec.host + ": its host key is not the one that is known",
        "check the key at the machine itself, then add it to the known hosts: ssh-keyscan tells what the host offers"};
  }
  if (has(errors, {"Permission denied (", "Too many authentication failures", "Load key"}))
    return {ErrorCode::kUnprocessable, message, "let the target's user take this key, or name another `identityFile`"};
  if (has(errors, {"Bad configuration option", "Bad owner or permissions", "command-line line"}))
    return {ErrorCode::kUnprocessable, message, "mend the client's configuration"};
  // The other end has no program to run the script with, or no rights in the root.
  if (exit_code == 126 || exit_code == 127 || (exit_code != 255 && has(errors, {"Permission denied"})))
    return {ErrorCode::kUnprocessable, message, "the target needs sh and coreutils"};
  return {ErrorCode::kUnavailable, message, ""};
}

void SshSpec::read(strict_yaml::Context& context, const strict_yaml::Value& value) {
  strict_yaml::Map map(context, value);
  if (const auto given = map.require("host")) {
    if (auto text = given->text()) host = std::move(*text);
    if (!plain(host, ".-_:") || host.size() > 255) given->problem("must be a host's name or address");
  }
  if (const auto given = map.take("user")) {
    if (auto text = given->text()) user = std::move(*text);
    if (!plain(user, "._-@") || user.size() > 64) given->problem("must be a user's name");
  }
  map.integer("port", port, 1, 65535);
  if (const auto given = map.require("root")) {
    if (auto text = given->text()) root = std::move(*text);
    if (root.empty() || root.front() != '/')
      given->problem("must be an absolute path");
    else if (root == "/")
      given->problem("must not be the root of the machine");
    else if (!check_relative_path(std::string_view(root).substr(1)))
      given->problem("must be a plain path, without \"..\", \"//\" or a '/' at its end");
  }
  if (const auto mode = map.take("mode")) {
    constexpr std::array<std::string_view, 2> kWords = {"directory", "files"};
    if (const auto index = mode->word(kWords)) files = *index == 1;
  }
  map.integer("keep", keep, 0, 1000);
  read_path(map, "identityFile", identity_file);
  read_path(map, "agent", agent);
  read_path(map, "knownHosts", known_hosts);
  read_path(map, "config", config);
  if (const auto given = map.take("hostKeys")) {
    constexpr std::array<std::string_view, 2> kWords = {"strict", "accept-new"};
    if (const auto index = given->word(kWords)) accept_new = *index == 1;
  }
  map.duration("connectTimeout", connect_timeout);
  map.duration("share", share);
  read_path(map, "controlDirectory", control_directory);
  map.finish();
}

std::vector<std::string> client_words(const SshSpec& spec, const std::string& socket) {
  std::vector<std::string> words = {"ssh", "-T", "-a", "-x"};
  const auto option = [&](std::string text) {
    words.emplace_back("-o");
    words.push_back(std::move(text));
  };
  if (!spec.config.empty()) {
    words.emplace_back("-F");
    words.push_back(spec.config);
  }
  // Nobody is there to be asked.
  option("BatchMode=yes");
  option(std::string("StrictHostKeyChecking=") + (spec.accept_new ? "accept-new" : "yes"));
  if (!spec.known_hosts.empty()) {
    option("UserKnownHostsFile=" + spec.known_hosts);
    option("GlobalKnownHostsFile=none");
    option("UpdateHostKeys=no");
  }
  option("ConnectTimeout=" + seconds(spec.connect_timeout, 1));
  option("ServerAliveInterval=5");
  option("ServerAliveCountMax=3");
  option("ClearAllForwardings=yes");
  option("PermitLocalCommand=no");
  option("RemoteCommand=none");
  option("EscapeChar=none");
  option("LogLevel=ERROR");
  if (!spec.identity_file.empty()) {
    option("IdentitiesOnly=yes");
    words.emplace_back("-i");
    words.push_back(spec.identity_file);
  }
  if (!spec.agent.empty()) option("IdentityAgent=" + spec.agent);
  if (socket.empty()) {
    option("ControlMaster=no");
    option("ControlPath=none");
  } else {
    option("ControlMaster=auto");
    option("ControlPath=" + socket);
    option("ControlPersist=" + seconds(spec.share, 1));
  }
  if (spec.port != 0) {
    words.emplace_back("-p");
    words.push_back(std::to_string(spec.port));
  }
  if (!spec.user.empty()) {
    words.emplace_back("-l");
    words.push_back(spec.user);
  }
  words.emplace_back("--");
  words.push_back(spec.host);
  return words;
}

Result<std::string> control_socket(const SshSpec& spec) {
  if (spec.share.count() == 0) return std::string();
  const std::string directory =
      spec.control_directory.empty() ? "/tmp/st8-ssh-" + std::to_string(::geteuid()) : spec.control_directory;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(ErrorCode::kUnprocessable, "make " + directory + ": " + std::strerror(errno),
                "name a `controlDirectory` that can be made");
  struct stat info;
  if (::lstat(directory.c_str(), &info) != 0)
    return fail(ErrorCode::kUnavailable, "stat " + directory + ": " + std::strerror(errno), "");
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 0077u) != 0) {
    return fail(
        ErrorCode::kUnprocessable,
        directory + " must be a directory of this user's with mode 0700: whoever can enter it can use the connections",
        "remove it, or name another `controlDirectory`");
  }
  std::string all;
  for (const std::string& word : client_words(spec, "")) all += word + '\0';
  std::string socket = directory + "/" + Hash::of(all).hex().substr(0, 16);
  if (socket.size() > kSocketPathMax)
    return fail(ErrorCode::kUnprocessable, "the path " + socket + " is too long for a socket",
                "name a shorter `controlDirectory`");
  return socket;
}

}  // namespace st8::target::ssh
