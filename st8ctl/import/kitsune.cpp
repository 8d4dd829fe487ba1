// Kitsune's orchestration: servers, steps, and a strategy over the servers.
#include <algorithm>
#include <array>

#include "import/common.h"

namespace st8::ctl {
namespace {

using wire::JsonValue;

Status read_servers(const Part& servers, const ImportOptions& options, Imported& out) {
  ST8_TRY(servers.expect_list());
  std::set<std::string> taken, names;
  JsonValue list = json_list();
  for (const Part& item : servers.items()) {
    ST8_ASSIGN(const std::string server, item.text());
    if (!taken.insert(server).second) {
      item.left("the server is named twice");
      continue;
    }
    const std::string plain = target_name(server);
    if (plain.empty()) return item.refuse("has no letter or digit to name a target by");
    if (options.kind == "ssh" && !is_host(server))
      return item.refuse("is no name of a machine that ssh could reach", "import with --kind worker, or mend the name");
    const std::string name = unique_name(plain, names);
    list.items.push_back(json_text(name));
    out.targets.emplace_back(name, new_target(name, server, options));
    if (name == server) {
      item.taken("targets/" + name + ".yaml");
    } else {
      item.changed("targets/" + name + ".yaml", "targets are called by a-z, 0-9, '.', '_' and '-', each once");
    }
  }
  if (list.items.empty()) return servers.refuse("names no server");
  JsonValue selection = json_object();
  put(selection, "names", std::move(list));
  put(out.policy, "targets", std::move(selection));
  return {};
}

std::string list_path(std::size_t index, std::string_view field) {
  return "steps[" + std::to_string(index) + "]." + std::string(field);
}

// `params` in either dialect, by the step's type.
Status read_params(const std::string& type, const Part& step, std::size_t index, JsonValue& out) {
  const std::optional<Part> given = step.take("params");
  const auto to = [&](std::string_view name) { return list_path(index, "params." + std::string(name)); };
  if (given && !given->is_null()) ST8_TRY(given->expect_map());
  if (!given || given->is_null()) return step.refuse("has no params");
  const Part& params = *given;
  JsonValue made = json_object();
  if (type == "echo") {
    ST8_ASSIGN(const Part message, params.require("message"));
    ST8_TRY(put_unrendered(made, "message", message, to("message")));
  } else if (type == "script") {
    const std::optional<Part> line = params.take("command");
    const std::optional<Part> file = params.take("script");
    if (line && file) return params.refuse("has both `command` and `script`", "they mean the same; leave one");
    if (!line && !file) return params.refuse("has no `command`");
    const Part& command = line ? *line : *file;
    ST8_TRY(put_unrendered(made, "command", command, to("command")));
    if (const auto args = params.take("args"); args && !args->is_null()) {
      JsonValue list = json_list();
      bool doubled = false;
      if (args->is_scalar()) {
        ST8_ASSIGN(const std::string one, args->text());
        doubled = unrendered(one) != one;
        list.items.push_back(json_text(unrendered(one)));
      } else {
        ST8_ASSIGN(const std::vector<std::string> all, args->texts());
        for (const std::string& one : all) {
          doubled = doubled || unrendered(one) != one;
          list.items.push_back(json_text(unrendered(one)));
        }
      }
      if (args->is_scalar()) {
        args->changed(to("args"), "one argument, as a list");
      } else if (doubled) {
        args->changed(to("args"), "\"{{\" is written \"{{{{\", since st8 fills in what stands in double braces");
      } else {
        args->taken(to("args"));
      }
      if (!list.items.empty()) put(made, "args", std::move(list));
    } else if (args) {
      args->left("it is empty");
    }
    if (const auto rollback = params.take("rollback_script"); rollback && !rollback->is_null()) {
      ST8_TRY(put_unrendered(made, "rollback", *rollback, to("rollback")));
    } else if (rollback) {
      rollback->left("it is empty");
    }
  } else if (type == "sleep") {
    const std::optional<Part> duration = params.take("duration");
    const std::optional<Part> seconds = params.take("seconds");
    if (duration && seconds) return params.refuse("has both `duration` and `seconds`", "leave one");
    if (!duration && !seconds) return params.refuse("has no `duration`");
    const Part& part = duration ? *duration : *seconds;
    ST8_ASSIGN(const std::int64_t millis, part.duration(true));
    ST8_ASSIGN(const std::string written, part.text());
    const std::string text = duration_text(millis);
    put(made, "duration", json_text(text));
    if (text == written) {
      part.taken(to("duration"));
    } else {
      part.changed(to("duration"), "written " + text);
    }
  } else if (type == "file_write") {
    ST8_ASSIGN(const Part path, params.require("path"));
    ST8_ASSIGN(const std::string place, path.text());
    if (!place.starts_with('/') || place.ends_with('/'))
      return path.refuse("is not the absolute path of a file",
                         "a relative one would depend on where the program was started");
    ST8_TRY(put_unrendered(made, "path", path, to("path")));
    ST8_ASSIGN(const Part content, params.require("content"));
    ST8_TRY(put_unrendered(made, "content", content, to("content")));
  } else {
    ST8_ASSIGN(const Part package, params.require("package"));
    ST8_ASSIGN(const std::string name, package.text());
    const auto good = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    };
    if (name.size() < 2 || name.size() > 128 || !std::all_of(name.begin(), name.end(), good) || name.front() == '-' ||
        name.front() == '+' || name.front() == '.') {
      return package.refuse("is no name of a Debian package", "lower case letters, digits, '+', '-' and '.'");
    }
    put(made, "package", json_text(name));
    package.changed(to("package"), "installed with the machine's apt, whose packages may have other names than yum's");
    if (const auto version = params.take("version"); version && !version->is_null()) {
      ST8_ASSIGN(const std::string text, version->text());
      const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
               c == '.' || c == ':' || c == '~';
      };
      if (text == "latest" || text.empty()) {
        version->left("without a version the newest one is installed");
      } else if (text.size() > 128 || !(text.front() >= '0' && text.front() <= '9') ||
                 !std::all_of(text.begin(), text.end(), allowed)) {
        return version->refuse("is no version of a Debian package");
      } else {
        put(made, "version", json_text(text));
        version->changed(to("version"), "as apt writes versions");
      }
    } else if (version) {
      version->left("it is empty");
    }
  }
  params.rest("a step of this type does not read it");
  put(out, "params", std::move(made));
  return {};
}

Status read_steps(const Part& steps, JsonValue& policy) {
  ST8_TRY(steps.expect_list());
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kTypes = {{{"echo", "echo"},
                                                                                           {"script", "script"},
                                                                                           {"sleep", "sleep"},
                                                                                           {"file_write", "file_write"},
                                                                                           {"yum_upgrade", "package"}}};
  JsonValue list = json_list();
  std::set<std::string> names;
  for (const Part& item : steps.items()) {
    ST8_TRY(item.expect_map());
    const std::size_t index = list.items.size();
    JsonValue step = json_object();
    ST8_ASSIGN(const Part type, item.require("type"));
    ST8_ASSIGN(const std::string kind, type.text());
    const auto* const known =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& one) { return one.first == kind; });
    if (known == kTypes.end()) return type.refuse("is not one of echo, script, sleep, file_write and yum_upgrade");
    const std::optional<Part> name = item.take("name");
    std::string called = kind;
    if (name && !name->is_null()) {
      ST8_ASSIGN(called, name->text());
      if (called.empty()) called = kind;
    }
    const std::string given = called;
    for (int i = 2; !names.insert(called).second; ++i) called = given + " " + std::to_string(i);
    put(step, "name", json_text(called));
    if (name && called == given && !name->is_null()) {
      name->taken(list_path(index, "name"));
    } else if (name) {
      name->changed(list_path(index, "name"), "each step has a name of its own: " + called);
    }
    put(step, "type", json_text(known->second));
    if (known->first == known->second) {
      type.taken(list_path(index, "type"));
    } else {
      type.changed(list_path(index, "type"), "the step `package` does that");
    }
    ST8_TRY(read_params(kind, item, index, step));
    for (const char* flag : {"required", "continueOnFailure"}) {
      const std::optional<Part> part = item.take(flag);
      if (!part) continue;
      if (part->is_null()) {
        part->left("it is empty");
        continue;
      }
      ST8_ASSIGN(const bool value, part->boolean());
      put(step, flag, json_bool(value));
      part->taken(list_path(index, flag));
    }
    // In Kitsune a step is required only when it says so; here, unless it says otherwise.
    if (step.find("required") == nullptr) put(step, "required", json_bool(false));
    item.rest();
    list.items.push_back(std::move(step));
  }
  if (!list.items.empty()) put(policy, "steps", std::move(list));
  return {};
}

// "server by server" as percentages, since a canary's steps are: the first part, then batch after batch.
JsonValue canary_steps(std::int64_t percent, std::int64_t batch, std::int64_t delay, std::int64_t servers) {
  JsonValue steps = json_list();
  std::int64_t done = std::clamp<std::int64_t>((servers * percent + 99) / 100, 1, servers);
  std::int64_t last = 0;
  const auto add = [&](std::int64_t weight) {
    JsonValue step = json_object();
    put(step, "setWeight", json_number(weight));
    steps.items.push_back(std::move(step));
    last = weight;
  };
  add(percent);
  while (done < servers && steps.items.size() < 90) {
    done = std::min(servers, done + batch);
    std::int64_t weight = done == servers ? 100 : 100 * done / servers;
    if (weight <= last) continue;
    if (delay > 0) {
      JsonValue pause = json_object(), step = json_object();
      put(pause, "duration", json_text(duration_text(delay)));
      put(step, "pause", std::move(pause));
      steps.items.push_back(std::move(step));
    }
    if (steps.items.size() >= 88) weight = 100;
    add(weight);
    if (weight == 100) break;
  }
  return steps;
}

Status read_strategy(const Part& source, Imported& out) {
  ST8_TRY(source.expect_map());
  const auto servers = static_cast<std::int64_t>(out.targets.size());
  JsonValue strategy = json_object();
  std::string type = "Parallel";
  if (const auto part = source.take("type"); part && !part->is_null()) {
    ST8_ASSIGN(type, part->text());
    if (type.empty()) type = "Parallel";
    if (type != "Parallel" && type != "Sequential" && type != "Rolling")
      return part->refuse("is not one of Parallel, Sequential and Rolling");
    part->taken("strategy.type");
  } else if (part) {
    part->left("it is empty: Parallel");
  }
  std::int64_t percent = 0, batch = 1, delay = 0;
  const auto canary = source.take("canaryPercentage");
  const auto size = source.take("batchSize");
  const auto wait = source.take("batchDelaySeconds");
  const bool rolling = type == "Rolling";
  if (canary) {
    ST8_ASSIGN(percent, canary->integer(0, 100));
  }
  if (size) {
    ST8_ASSIGN(batch, size->integer(0, 999'999));
  }
  if (wait) {
    ST8_ASSIGN(delay, wait->integer(0, 366LL * 86'400));
    delay *= 1000;
  }
  const bool with_canary = rolling && percent > 0 && percent < 100;
  put(strategy, "type",
      json_text(with_canary            ? "canary"
                : rolling              ? "rolling"
                : type == "Sequential" ? "sequential"
                                       : "parallel"));
  if (size) {
    if (!rolling) {
      size->left("the strategy " + type + " does not read it");
    } else if (with_canary) {
      size->changed("strategy.steps",
                    "the batches behind the canary, as parts of " + std::to_string(servers) + " servers");
    } else if (batch == 0) {
      size->changed("strategy.batchSize", "0 means 1");
    } else {
      size->taken("strategy.batchSize");
    }
  }
  batch = std::max<std::int64_t>(1, batch);
  if (wait) {
    if (type == "Parallel") {
      wait->left("the strategy Parallel does not read it");
    } else if (with_canary) {
      wait->changed("strategy.steps", "a pause between the steps");
    } else {
      wait->changed("strategy.batchDelay", "written " + duration_text(delay));
    }
  }
  if (with_canary) {
    put(strategy, "steps", canary_steps(percent, batch, delay, servers));
  } else {
    if (rolling) put(strategy, "batchSize", json_number(batch));
    if (wait && type != "Parallel") put(strategy, "batchDelay", json_text(duration_text(delay)));
  }
  if (canary) {
    if (with_canary) {
      canary->changed("strategy.steps", "the first step of a canary");
    } else {
      canary->left(!rolling       ? "the strategy " + type + " does not read it"
                   : percent == 0 ? "0 means no canary"
                                  : "100 means no canary");
    }
  }
  put(out.policy, "strategy", std::move(strategy));
  if (const auto failures = source.take("maxFailures")) {
    ST8_ASSIGN(const std::int64_t most, failures->integer(0, 100'000));
    put(out.policy, "maxFailures", json_number(most));
    failures->taken("maxFailures");
  }
  source.rest();
  return {};
}

}  // namespace

Result<Imported> import_kitsune(std::string_view text, const ImportOptions& options) {
  return read_source(text, [&](const Part& root) -> Result<Imported> {
    Imported out;
    out.policy = new_policy(options);
    ST8_ASSIGN(const Part servers, root.require("servers"));
    ST8_TRY(read_servers(servers, options, out));
    if (const auto strategy = root.take("rolloutStrategy"); strategy && !strategy->is_null()) {
      ST8_TRY(read_strategy(*strategy, out));
    } else if (strategy) {
      strategy->left("it is empty");
    }
    ST8_ASSIGN(const Part steps, root.require("steps"));
    ST8_TRY(read_steps(steps, out.policy));
    root.rest();
    return out;
  });
}

}  // namespace st8::ctl
