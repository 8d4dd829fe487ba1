#include "config/settings.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "args/suggest.h"
#include "config/files.h"

namespace st8::ctl {
namespace {

// The file's values, as text; what is absent is nullopt.
struct FileValues {
  std::optional<std::string> url, token, dir, timeout, ca_cert, client_cert, client_key, name_space, branch, output,
      author;
};

struct KnownKey {
  std::string_view section;
  std::string_view name;
  std::optional<std::string> FileValues::*field;
};
constexpr std::array<KnownKey, 11> kKnownKeys{{
    {"server", "url", &FileValues::url},
    {"server", "token", &FileValues::token},
    {"server", "dir", &FileValues::dir},
    {"server", "timeout", &FileValues::timeout},
    {"server", "ca_cert", &FileValues::ca_cert},
    {"server", "client_cert", &FileValues::client_cert},
    {"server", "client_key", &FileValues::client_key},
    {"defaults", "namespace", &FileValues::name_space},
    {"defaults", "branch", &FileValues::branch},
    {"defaults", "output", &FileValues::output},
    {"defaults", "author", &FileValues::author},
}};

std::string at_line(const std::string& path, const YAML::Mark& mark) {
  return mark.is_null() ? path : path + ":" + std::to_string(mark.line + 1);
}

tl::unexpected<Error> unknown_key(const std::string& path, const YAML::Node& node, const std::string& name,
                                  const std::vector<std::string>& known) {
  std::string hint = did_you_mean(name, known);
  if (hint.empty()) {
    hint = "known here:";
    for (const std::string& key : known) hint += " " + key;
  }
  return fail(ErrorCode::kInvalidArgument, at_line(path, node.Mark()) + ": unknown key \"" + name + "\"",
              std::move(hint));
}

Result<FileValues> read_values(const std::string& path, const std::string& text) {
  FileValues values;
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return values;
    if (!root.IsMap())
      return fail(ErrorCode::kInvalidArgument, path + ": a mapping with `server` and `defaults` is expected");
    for (const auto& section : root) {
      const std::string section_name = section.first.as<std::string>();
      if (section_name != "server" && section_name != "defaults") {
        return unknown_key(path, section.first, section_name, {"server", "defaults"});
      }
      if (section.second.IsNull()) continue;
      if (!section.second.IsMap()) {
        return fail(ErrorCode::kInvalidArgument,
                    at_line(path, section.second.Mark()) + ": `" + section_name + "` must be a mapping");
      }
      for (const auto& entry : section.second) {
        const std::string name = entry.first.as<std::string>();
        const KnownKey* known = nullptr;
        std::vector<std::string> names;
        for (const KnownKey& key : kKnownKeys) {
          if (key.section != section_name) continue;
          names.emplace_back(key.name);
          if (key.name == name) known = &key;
        }
        if (known == nullptr) return unknown_key(path, entry.first, section_name + "." + name, names);
        if (entry.second.IsNull()) continue;
        if (!entry.second.IsScalar()) {
          return fail(ErrorCode::kInvalidArgument, at_line(path, entry.second.Mark()) + ": `" + section_name + "." +
                                                       name + "` must be a plain value");
        }
        values.*(known->field) = entry.second.Scalar();
      }
    }
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kInvalidArgument, at_line(path, error.mark) + ": " + error.msg,
                "the file is YAML: see docs/cli.md");
  }
  return values;
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::string home_directory() {
  if (auto home = environment("HOME")) return *home;
  const passwd* entry = ::getpwuid(::getuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : ".";
}

// The first of flag, environment and file that is there.
std::optional<std::string> first_of(const Arguments& arguments, std::string_view flag, const char* variable,
                                    const std::optional<std::string>& file) {
  if (auto value = arguments.text(flag)) return value;
  if (auto value = environment(variable)) return value;
  if (file && !file->empty()) return file;
  return std::nullopt;
}

Result<bool> truth(const std::string& name, const std::string& value) {
  if (value == "1" || value == "true" || value == "yes") return true;
  if (value == "0" || value == "false" || value == "no") return false;
  return fail(ErrorCode::kInvalidArgument, name + " is true or false, not \"" + value + "\"");
}

}  // namespace

std::string expand_home(std::string_view path) {
  if (path == "~") return home_directory();
  if (path.starts_with("~/")) return home_directory() + std::string(path.substr(1));
  return std::string(path);
}

ConfigPath config_path(const Arguments& arguments) {
  if (auto flag = arguments.text("config")) return {expand_home(*flag), true};
  if (auto variable = environment("ST8CTL_CONFIG")) return {expand_home(*variable), true};
  if (auto xdg = environment("XDG_CONFIG_HOME")) return {*xdg + "/st8ctl/config.yaml", false};
  return {home_directory() + "/.config/st8ctl/config.yaml", false};
}

Result<Settings> load_settings(const Arguments& arguments) {
  Settings settings;
  const ConfigPath config = config_path(arguments);
  settings.config_path = config.path;

  FileValues file;
  Result<std::string> text = read_whole_file(config.path);
  if (text) {
    ST8_ASSIGN(file, read_values(config.path, *text));
  } else if (text.error().code != ErrorCode::kNotFound || config.named) {
    return fail(text.error().code, "cannot read the configuration: " + text.error().message,
                config.named ? "`st8ctl login` writes one" : "");
  }

  // Whoever speaks first decides between a server and local; both at one level contradict each other.
  const auto real = [](const std::optional<std::string>& url) { return url && *url != "local"; };
  const auto server_flag = arguments.text("server");
  const auto server_variable = environment("ST8CTL_SERVER");
  bool local_variable = false;
  if (auto value = environment("ST8CTL_LOCAL")) {
    ST8_ASSIGN(local_variable, truth("ST8CTL_LOCAL", *value));
  }
  const auto contradiction = [] {
    return fail(ErrorCode::kInvalidArgument, "--local and --server cannot be used together", "leave one of them out");
  };
  std::optional<std::string> server;
  if (arguments.given("local")) {
    settings.local = arguments.on("local");
    if (settings.local && real(server_flag)) return contradiction();
    server = server_flag ? server_flag : server_variable ? server_variable : file.url;
  } else if (server_flag) {
    server = server_flag;
  } else if (local_variable) {
    if (real(server_variable)) return contradiction();
    settings.local = true;
  } else {
    server = server_variable ? server_variable : file.url;
  }
  if (server && *server == "local") {
    settings.local = settings.local || !arguments.given("local");
    server.reset();
  }
  if (server && !server->empty()) {
    settings.server = *server;
    settings.server_is_default = false;
  }

  if (auto value = first_of(arguments, "token", "ST8CTL_TOKEN", file.token)) settings.token = *value;
  settings.state_dir = expand_home(first_of(arguments, "state-dir", "ST8CTL_STATE_DIR", file.dir).value_or("~/.st8"));
  if (auto value = first_of(arguments, "timeout", "ST8CTL_TIMEOUT", file.timeout)) {
    const auto timeout = parse_duration_ms(*value);
    if (!timeout) {
      return fail(ErrorCode::kInvalidArgument, "the timeout \"" + *value + "\" is not a duration",
                  "write a number and a unit: 500ms, 30s, 1m30s; 0 is none");
    }
    settings.timeout_ms = *timeout;
  }
  settings.ca_cert = expand_home(first_of(arguments, "ca-cert", "ST8CTL_CA_CERT", file.ca_cert).value_or(""));
  settings.client_cert =
      expand_home(first_of(arguments, "client-cert", "ST8CTL_CLIENT_CERT", file.client_cert).value_or(""));
  settings.client_key =
      expand_home(first_of(arguments, "client-key", "ST8CTL_CLIENT_KEY", file.client_key).value_or(""));
  settings.name_space = first_of(arguments, "namespace", "ST8CTL_NAMESPACE", file.name_space).value_or("default");
  settings.branch = first_of(arguments, "branch", "ST8CTL_BRANCH", file.branch).value_or("main");
  settings.branch_given = arguments.given("branch") || environment("ST8CTL_BRANCH");
  settings.author = first_of(arguments, "author", "ST8CTL_AUTHOR", file.author).value_or("");
  if (auto value = first_of(arguments, "output", "ST8CTL_OUTPUT", file.output)) {
    if (*value == "text")
      settings.output = OutputFormat::kText;
    else if (*value == "json")
      settings.output = OutputFormat::kJson;
    else if (*value == "yaml")
      settings.output = OutputFormat::kYaml;
    else if (*value == "name")
      settings.output = OutputFormat::kName;
    else
      return fail(ErrorCode::kInvalidArgument, "the output is text, json, yaml or name, not \"" + *value + "\"");
  }
  return settings;
}

namespace {

std::string quoted(std::string_view value) {
  // YAML's double-quoted scalars: only these two need care in what a URL or a token can hold; control characters are refused.
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t from = 0;
  while (from < text.size()) {
    const std::size_t end = text.find('\n', from);
    lines.push_back(text.substr(from, end == std::string::npos ? end : end - from));
    if (end == std::string::npos) break;
    from = end + 1;
  }
  return lines;
}

// Sets `name: value` in the block mapping `server:`. Only block style is understood; the caller checks the outcome.
void set_in_server(std::vector<std::string>& lines, const std::string& name, const std::string& value) {
  std::size_t section = lines.size();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with("server:")) section = i;
  }
  if (section == lines.size()) lines.push_back("server:");
  std::size_t end = section + 1;
  std::size_t last = section;
  std::string indent = "  ";
  for (; end < lines.size(); ++end) {
    const std::string& line = lines[end];
    const std::size_t start = line.find_first_not_of(' ');
    if (start == std::string::npos || line[start] == '#') continue;
    if (start == 0) break;
    indent = line.substr(0, start);
    last = end;
    if (line.compare(start, name.size() + 1, name + ":") == 0) {
      lines[end] = indent + name + ": " + value;
      return;
    }
  }
  lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(last + 1), indent + name + ": " + value);
}

}  // namespace

Status store_login(const std::string& path, std::string_view url, std::string_view token) {
  for (const std::string_view value : {url, token}) {
    for (const char c : value) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
        return fail(ErrorCode::kInvalidArgument, "the server or the token holds a control character");
      }
    }
  }
  std::string before;
  Result<std::string> text = read_whole_file(path);
  if (text) {
    before = std::move(*text);
    ST8_TRY(read_values(path, before));
  } else if (text.error().code != ErrorCode::kNotFound) {
    return fail(text.error());
  }
  std::vector<std::string> lines = lines_of(before);
  if (!url.empty()) set_in_server(lines, "url", quoted(url));
  if (!token.empty()) set_in_server(lines, "token", quoted(token));
  std::string after;
  for (const std::string& line : lines) after += line + "\n";

  // The edit is by lines; what it made must read back as meant, or the file is left alone.
  Result<FileValues> values = read_values(path, after);
  if (!values || (!url.empty() && values->url != url) || (!token.empty() && values->token != token)) {
    return fail(ErrorCode::kUnprocessable, path + " is written in a way that st8ctl does not edit",
                "set server.url and server.token there by hand");
  }
  return write_file_atomically(path, after, 0600, 0700);
}

}  // namespace st8::ctl
