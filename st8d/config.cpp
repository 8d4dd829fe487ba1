#include "config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <sstream>
#include <yaml-cpp/yaml.h>

#include "http/listener.h"
#include "st8/state/duration.h"
#include "wire/text.h"

namespace st8::daemon {
namespace {

Status set_text(std::string& to, const std::string& text) {
  to = text;
  return {};
}

Status set_flag(bool& to, const std::string& text) {
  if (text != "true" && text != "false")
    return fail(ErrorCode::kInvalidArgument, "is true or false, not \"" + text + "\"");
  to = text == "true";
  return {};
}

Status set_duration(std::chrono::milliseconds& to, const std::string& text) {
  ST8_ASSIGN(to, parse_duration(text));
  return {};
}

Status set_size(std::size_t& to, const std::string& text, std::size_t least, std::size_t most) {
  ST8_ASSIGN(const std::size_t size, parse_size(text));
  if (size < least || size > most) {
    return fail(ErrorCode::kInvalidArgument, "is from " + std::to_string(least) + " to " + std::to_string(most) +
                                                 " bytes, not " + std::to_string(size));
  }
  to = size;
  return {};
}

Status set_count(std::size_t& to, const std::string& text, std::size_t least, std::size_t most) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most) {
    return fail(ErrorCode::kInvalidArgument,
                "is a number from " + std::to_string(least) + " to " + std::to_string(most) + ", not \"" + text + "\"");
  }
  to = number;
  return {};
}

Status set_listen(std::string& to, const std::string& text) {
  if (!http::parse_listen_address(text)) {
    return fail(ErrorCode::kInvalidArgument, "is HOST:PORT, [IPv6]:PORT or :PORT, not \"" + text + "\"");
  }
  to = text;
  return {};
}

Status set_log_format(http::LogFormat& to, const std::string& text) {
  if (text == "json")
    to = http::LogFormat::kJson;
  else if (text == "text")
    to = http::LogFormat::kText;
  else if (text == "none")
    to = http::LogFormat::kNone;
  else
    return fail(ErrorCode::kInvalidArgument, "is json, text or none, not \"" + text + "\"");
  return {};
}

std::string nearest_field(const std::string& typed) {
  std::vector<std::string> names;
  for (const Setting& setting : settings()) names.push_back(setting.field());
  const std::vector<std::string_view> views(names.begin(), names.end());
  return std::string(wire::nearest(typed, views));
}

std::string place(const std::string& file, const YAML::Mark& mark) {
  return file + (mark.line < 0 ? "" : ", line " + std::to_string(mark.line + 1));
}

Status assign(Config& config, const Setting& setting, const std::string& text, const std::string& from) {
  Status done = setting.assign(config, text);
  if (!done) return fail(done.error().code, from + " " + done.error().message, "see `st8d --help`");
  return {};
}

Status take_file(Config& config, const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in)
    return fail(ErrorCode::kNotFound, "cannot read the configuration file " + file,
                "name one that exists and is readable with --config");
  std::stringstream text;
  text << in.rdbuf();
  try {
    const YAML::Node root = YAML::Load(text.str());
    if (root.IsNull()) return {};
    if (!root.IsMap())
      return fail(ErrorCode::kInvalidArgument, place(file, root.Mark()) + ": expected settings as `name: value`",
                  "see docs/operating.md");
    std::vector<std::string> seen;
    for (const auto& item : root) {
      const auto name = item.first.as<std::string>();
      const std::string where = place(file, item.first.Mark());
      const auto known = std::find_if(settings().begin(), settings().end(),
                                      [&](const Setting& setting) { return setting.field() == name; });
      if (known == settings().end()) {
        const std::string near = nearest_field(name);
        return fail(ErrorCode::kInvalidArgument, where + ": unknown setting \"" + name + "\"",
                    near.empty() ? "docs/operating.md lists the settings" : "did you mean \"" + near + "\"?");
      }
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
        return fail(ErrorCode::kInvalidArgument, where + ": \"" + name + "\" is given twice", "leave one of them out");
      }
      seen.push_back(name);
      if (!item.second.IsScalar())
        return fail(ErrorCode::kInvalidArgument, where + ": \"" + name + "\" takes one value", "see docs/operating.md");
      ST8_TRY(assign(config, *known, item.second.as<std::string>(), where + ": \"" + name + "\""));
    }
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kInvalidArgument, place(file, error.mark) + ": " + error.msg,
                "it must be YAML: settings as `name: value`");
  }
  return {};
}

}  // namespace

std::string Setting::environment() const {
  std::string text = "ST8D_";
  for (const char c : name) text += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string Setting::field() const {
  std::string text = name;
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = {
      {"listen", "ADDRESS",
       "Where to listen: HOST:PORT, [IPv6]:PORT, :PORT for every interface; port 0 picks one (default :8748)",
       [](Config& c, const std::string& t) { return set_listen(c.listen, t); }},
      {"state-dir", "DIR", "The state directory, made when missing (default .st8d)",
       [](Config& c, const std::string& t) { return set_text(c.state_dir, t); }},
      {"token", "TOKEN", "An admin token; ST8D_TOKEN keeps it off the command line",
       [](Config& c, const std::string& t) { return set_text(c.token, t); }},
      {"auth-config", "FILE", "Tokens and what each may do (YAML); read again on SIGHUP",
       [](Config& c, const std::string& t) { return set_text(c.auth_config, t); }},
      {"sealing-keys", "FILE",
       "Keys that seal secret values, and open them on their way to a target; `st8d sealing-key generate` makes one",
       [](Config& c, const std::string& t) { return set_text(c.sealing_keys, t); }},
      {"allow-anonymous", "", "Serve without any token on other than loopback addresses",
       [](Config& c, const std::string& t) { return set_flag(c.allow_anonymous, t); }},
      {"read-timeout", "DURATION", "Longest time for a request to come in (default 30s)",
       [](Config& c, const std::string& t) { return set_duration(c.read_timeout, t); }},
      {"write-timeout", "DURATION", "Longest time for each MiB of an answer to be taken (default 60s)",
       [](Config& c, const std::string& t) { return set_duration(c.write_timeout, t); }},
      {"idle-timeout", "DURATION", "Longest time between two requests of a connection (default 120s)",
       [](Config& c, const std::string& t) { return set_duration(c.idle_timeout, t); }},
      {"drain-timeout", "DURATION", "Longest wait for running requests at the end (default 30s)",
       [](Config& c, const std::string& t) { return set_duration(c.drain_timeout, t); }},
      {"tls-cert", "FILE", "Serve HTTPS with this certificate chain (PEM)",
       [](Config& c, const std::string& t) { return set_text(c.tls_cert, t); }},
      {"tls-key", "FILE", "Its private key (PEM)",
       [](Config& c, const std::string& t) { return set_text(c.tls_key, t); }},
      {"tls-client-ca", "FILE", "Require client certificates signed by these (PEM)",
       [](Config& c, const std::string& t) { return set_text(c.tls_client_ca, t); }},
      {"max-body", "SIZE", "Largest request body, e.g. 20MiB (the default and the most)",
       [](Config& c, const std::string& t) { return set_size(c.max_body_bytes, t, 1024, 20u << 20); }},
      {"workers", "N", "Requests that may wait for the store at once (default 256)",
       [](Config& c, const std::string& t) { return set_count(c.workers, t, 2, 4096); }},
      {"block-cache", "SIZE", "Memory for blocks of the store's files (default 20MiB)",
       [](Config& c, const std::string& t) {
         return set_size(c.block_cache_bytes, t, 1u << 20, std::size_t{1} << 40);
       }},
      {"log-format", "FORMAT", "Access log on standard error: json, text or none (default json)",
       [](Config& c, const std::string& t) { return set_log_format(c.log_format, t); }},
      {"ready-file", "FILE", "Write the server's address there once it answers",
       [](Config& c, const std::string& t) { return set_text(c.ready_file, t); }},
  };
  return all;
}

Result<Config> load_config(const std::map<std::string, std::string>& flags,
                           const std::function<const char*(const char*)>& environment, const std::string& file) {
  Config config;
  if (!file.empty()) ST8_TRY(take_file(config, file));
  for (const Setting& setting : settings()) {
    if (const auto flag = flags.find(setting.name); flag != flags.end()) {
      ST8_TRY(assign(config, setting, flag->second, "--" + setting.name));
    } else if (const char* value = environment(setting.environment().c_str()); value != nullptr && *value != '\0') {
      ST8_TRY(assign(config, setting, value, "the environment variable " + setting.environment()));
    }
  }
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                std::string("--tls-") + (config.tls_cert.empty() ? "cert" : "key") + " is missing",
                "HTTPS needs both --tls-cert and --tls-key");
  }
  if (!config.tls_client_ca.empty() && config.tls_cert.empty()) {
    return fail(ErrorCode::kInvalidArgument, "--tls-client-ca needs HTTPS", "give --tls-cert and --tls-key too");
  }
  return config;
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "is a duration such as 30s, 1m30s or 500ms (0: none), not \"" + std::string(text) + "\"");
  };
  const auto parsed = st8::parse_duration(text, {});
  if (!parsed && parsed.error().code == ErrorCode::kTooLarge)
    return fail(ErrorCode::kInvalidArgument, "is at most 366 days");
  if (!parsed) return bad();
  return *parsed;
}

Result<std::size_t> parse_size(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "is a size such as 20MiB, 512KiB or 1048576, not \"" + std::string(text) + "\"");
  };
  std::size_t amount = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
  if (error != std::errc()) return bad();
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const int shift = unit.empty() || unit == "B"    ? 0
                    : unit == "KiB" || unit == "K" ? 10
                    : unit == "MiB" || unit == "M" ? 20
                    : unit == "GiB" || unit == "G" ? 30
                                                   : -1;
  if (shift < 0 || amount > (std::size_t{1} << 40) >> shift) return bad();
  return amount << shift;
}

}  // namespace st8::daemon
