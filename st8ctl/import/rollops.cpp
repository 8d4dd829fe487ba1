// RollOps's RolloutConfig: one target, its strategy, its checks.
#include <algorithm>
#include <array>

#include "import/common.h"
#include "st8/state/clock.h"

namespace st8::ctl {
namespace {

using wire::JsonValue;

constexpr const char* kExpressions =
    "expressions are not evaluated by st8; a health check of kind command can ask what they ask";

Result<std::string> word(const Part& part, std::initializer_list<std::string_view> words) {
  ST8_ASSIGN(std::string text, part.text());
  if (std::find(words.begin(), words.end(), text) != words.end()) return text;
  std::string all;
  for (const std::string_view one : words) all += (all.empty() ? "" : ", ") + std::string(one);
  return part.refuse("is not one of " + all);
}

// "secret:<ref>": what stands behind it is not ours to read.
bool is_secret(const Part& part) {
  const auto text = part.is_scalar() ? part.text() : Result<std::string>(std::string());
  return text && text->starts_with("secret:");
}
constexpr const char* kSecret = "a secret is given to st8d itself, or sealed (docs/secrets.md)";

Status read_ssh(const Part& spec, const std::string& ref, const ImportOptions& options, JsonValue& out) {
  const auto host = spec.take("host");
  std::string name = ref;
  if (host && !host->is_null()) {
    ST8_ASSIGN(name, host->text());
    host->taken("spec.host");
  } else if (host) {
    host->left("it is empty");
  }
  if (!is_host(name)) return spec.refuse("has no `host` that ssh could reach");
  put(out, "host", json_text(name));
  put(out, "root", json_text(options.root));
  if (const auto user = spec.take("user")) {
    ST8_ASSIGN(const std::string who, user->text());
    const bool good =
        !who.empty() && who.size() <= 64 && who.front() != '-' && std::all_of(who.begin(), who.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                 c == '@' || c == '-';
        });
    if (is_secret(*user)) {
      user->left(kSecret);
    } else if (!good) {
      return user->refuse("is no name of a user that ssh takes");
    } else {
      put(out, "user", json_text(who));
      user->taken("spec.user");
    }
  }
  if (const auto port = spec.take("port")) {
    ST8_ASSIGN(const std::int64_t number, port->integer(1, 65'535));
    put(out, "port", json_number(number));
    port->taken("spec.port");
  }
  if (const auto key = spec.take("key")) {
    ST8_ASSIGN(const std::string path, key->text());
    const bool plain = path.size() > 1 && path.front() == '/' && std::all_of(path.begin(), path.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                std::string_view("/._+@=,:-").find(c) != std::string_view::npos;
                       });
    if (plain) {
      put(out, "identityFile", json_text(path));
      key->changed("spec.identityFile", "a file on the machine of st8d");
    } else {
      key->left(is_secret(*key) ? kSecret : "a key lies in a file of st8d's machine; name it in spec.identityFile");
    }
  }
  if (const auto key = spec.take("hostKey"))
    key->left("the client's list of known hosts holds it: add it there, or name a list in spec.knownHosts");
  spec.rest("the ssh driver has no such field");
  return {};
}

Status read_plugin(const Part& spec, JsonValue& out) {
  const auto binary = spec.take("binary");
  if (!binary) return spec.refuse("has no `binary`");
  ST8_ASSIGN(const std::string path, binary->text());
  if (!path.starts_with('/')) return binary->refuse("is no absolute path");
  put(out, "program", json_text(path));
  binary->changed(
      "spec.program",
      "st8 speaks JSON on standard input (docs/drivers.md), not the plugin's handshake: the program needs a new front");
  if (const auto pin = spec.take("sha256")) {
    ST8_ASSIGN(const std::string hash, pin->text());
    const bool good = hash.size() == 64 && std::all_of(hash.begin(), hash.end(), [](char c) {
                        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
                      });
    if (!good) return pin->refuse("is not 64 hexadecimal digits");
    put(out, "sha256", json_text(hash));
    pin->taken("spec.sha256");
  }
  JsonValue config = json_object();
  for (const auto& [name, part] : spec.fields()) {
    if (!part.is_scalar()) {
      part.left("a program's config holds texts");
    } else if (is_secret(part)) {
      part.left(kSecret);
    } else {
      ST8_ASSIGN(const std::string text, part.text());
      put(config, name, json_text(text));
      part.changed("spec.config." + name, "handed to the program as text");
    }
  }
  if (!config.members.empty()) put(out, "config", std::move(config));
  return {};
}

Status read_target(const Part& target, const ImportOptions& options, const JsonValue& labels, Imported& out) {
  ST8_TRY(target.expect_map());
  ST8_ASSIGN(const Part kind, target.require("kind"));
  ST8_ASSIGN(const std::string what, word(kind, {"ssh", "ftp", "kubernetes", "plugin"}));
  std::string name = target_name(out.name), ref = out.name;
  if (const auto part = target.take("ref"); part && !part->is_null()) {
    ST8_ASSIGN(ref, part->text());
    name = target_name(ref);
    if (name.empty()) return part->refuse("has no letter or digit to name a target by");
    if (name == ref) {
      part->taken("targets/" + name + ".yaml");
    } else {
      part->changed("targets/" + name + ".yaml", "targets are called by a-z, 0-9, '.', '_' and '-'");
    }
  } else if (part) {
    part->left("it is empty");
  }
  if (name.empty()) return target.refuse("has no `ref` to name the target by");
  JsonValue selection = json_object();
  put(selection, "names", json_texts({name}));
  put(out.policy, "targets", std::move(selection));

  JsonValue document = json_object(), spec = json_object();
  const auto given = target.take("spec");
  if (given && !given->is_null()) ST8_TRY(given->expect_map());
  const bool reached = what == "ssh" || what == "plugin";
  put(document, "kind", json_text(what == "plugin" ? "exec" : "ssh"));
  if (what == "ssh") {
    kind.taken("kind");
    if (given && given->is_map()) {
      ST8_TRY(read_ssh(*given, ref, options, spec));
    } else {
      if (given) given->left("it is empty");
      if (!is_host(ref)) return target.refuse("has no spec.host that ssh could reach");
      put(spec, "host", json_text(ref));
      put(spec, "root", json_text(options.root));
    }
  } else if (what == "plugin") {
    kind.changed("kind", "the exec driver runs programs of your own");
    if (!given || !given->is_map()) return target.refuse("has no spec with a `binary`");
    ST8_TRY(read_plugin(*given, spec));
  } else {
    kind.left(what == "ftp" ? "there is no driver for ftp; ssh and exec reach other machines"
                            : "there is no driver for Kubernetes; exec can run a program that applies there");
    if (given)
      given->left("it belongs to a kind without a driver; apply a document targets/" + name + ".yaml of your own");
  }
  if (!labels.members.empty()) put(document, "labels", labels);
  if (const auto criticality = target.take("criticality")) {
    ST8_ASSIGN(const std::string level, word(*criticality, {"low", "medium", "high", "critical"}));
    put(document, "criticality", json_text(level));
    if (reached) {
      criticality->taken("criticality");
    } else {
      criticality->left("the target is not made");
    }
  }
  if (const auto env = target.take("env")) {
    ST8_ASSIGN(const std::string text, env->text());
    put(document, "env", json_text(text));
    if (reached) {
      env->taken("env");
    } else {
      env->left("the target is not made");
    }
  }
  put(document, "spec", std::move(spec));
  if (reached) out.targets.emplace_back(name, std::move(document));
  target.rest();
  return {};
}

Status read_strategy(const Part& source, JsonValue& policy) {
  ST8_TRY(source.expect_map());
  JsonValue strategy = json_object(), steps = json_list();
  ST8_ASSIGN(const Part type, source.require("type"));
  ST8_ASSIGN(const std::string kind, word(type, {"rolling", "canary", "blue-green"}));
  put(strategy, "type", json_text(kind));
  type.taken("strategy.type");
  const auto list = source.take("steps");
  if (list && !list->is_null()) {
    ST8_TRY(list->expect_list());
    std::int64_t last = 0;
    for (const Part& item : list->items()) {
      ST8_TRY(item.expect_map());
      if (kind != "canary" || steps.items.size() >= 99) {
        item.left(kind != "canary" ? "the strategy " + kind + " has no steps" : "a canary has at most 100 steps");
        continue;
      }
      const auto at = [&] { return "strategy.steps[" + std::to_string(steps.items.size()) + "]"; };
      if (const auto weight = item.take("weight")) {
        ST8_ASSIGN(const std::int64_t percent, weight->integer(0, 100));
        if (percent == 0) {
          weight->left("a step of weight 0 moves nothing");
        } else if (percent < last) {
          weight->left("a canary does not shrink; a failed one goes back whole");
        } else {
          weight->taken(at() + ".setWeight");
          JsonValue step = json_object();
          put(step, "setWeight", json_number(percent));
          steps.items.push_back(std::move(step));
          last = percent;
        }
      }
      if (const auto pause = item.take("pause"); pause && !pause->is_null()) {
        ST8_ASSIGN(const std::int64_t millis, pause->duration(false));
        if (millis == 0) {
          pause->left("a pause of no length");
        } else {
          pause->taken(at() + ".pause.duration");
          JsonValue step = json_object(), body = json_object();
          put(body, "duration", json_text(duration_text(millis)));
          put(step, "pause", std::move(body));
          steps.items.push_back(std::move(step));
        }
      } else if (pause) {
        pause->left("it is empty");
      }
      item.rest();
    }
  } else if (list) {
    list->left("it is empty");
  }
  if (kind == "canary") {
    if (steps.items.empty()) {
      JsonValue step = json_object();
      put(step, "setWeight", json_number(100));
      steps.items.push_back(std::move(step));
      source.changed("strategy.steps", "a canary without steps gets one of 100%");
    }
    put(strategy, "steps", std::move(steps));
  }
  put(policy, "strategy", std::move(strategy));
  source.rest();
  return {};
}

// A list of words becomes a health check of kind command.
Result<JsonValue> command_check(const Part& command, const std::string& name, const std::string& to) {
  ST8_ASSIGN(const std::vector<std::string> words, command.texts());
  if (words.empty() || words.front().empty()) return command.refuse("names no program");
  std::vector<std::string> kept;
  for (const std::string& one : words) kept.push_back(unrendered(one));
  JsonValue check = json_object(), body = json_object();
  put(check, "name", json_text(name));
  put(body, "argv", json_texts(kept));
  put(check, "command", std::move(body));
  if (kept == words) {
    command.taken(to);
  } else {
    command.changed(to, "\"{{\" is written \"{{{{\", since st8 fills in what stands in double braces");
  }
  return check;
}

Status read_rollback(const Part& source, JsonValue& policy) {
  ST8_TRY(source.expect_map());
  JsonValue health = json_list();
  if (const auto automatic = source.take("auto")) {
    ST8_ASSIGN(const bool on, automatic->boolean());
    JsonValue rollback = json_object();
    put(rollback, "auto", json_bool(on));
    put(policy, "rollback", std::move(rollback));
    automatic->taken("rollback.auto");
  }
  if (const auto check = source.take("healthCheck"); check && !check->is_null()) {
    ST8_TRY(check->expect_map());
    const auto http = check->take("http"), tcp = check->take("tcp"), command = check->take("command");
    const auto timeout = check->take("timeout");
    JsonValue made = json_object();
    if ((http.has_value() ? 1 : 0) + (tcp.has_value() ? 1 : 0) + (command.has_value() ? 1 : 0) != 1)
      return check->refuse("is not exactly one of http, tcp and command");
    bool kept = true;
    if (http) {
      ST8_ASSIGN(const std::string url, http->text());
      if (!url.starts_with("http://")) {
        http->left("health checks ask by http:// alone; a check of kind command can run curl");
        kept = false;
      } else {
        put(made, "name", json_text("health"));
        JsonValue body = json_object();
        put(body, "url", json_text(unrendered(url)));
        put(made, "http", std::move(body));
        http->taken("health[0].http.url");
      }
    } else if (tcp) {
      ST8_ASSIGN(const std::string address, tcp->text());
      const std::size_t colon = address.rfind(':');
      const std::string host = address.substr(0, colon),
                        port = colon == std::string::npos ? "" : address.substr(colon + 1);
      const bool number = !port.empty() && port.size() <= 5 &&
                          std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
                          std::stoi(port) >= 1 && std::stoi(port) <= 65'535;
      if (host.empty() || !number) return tcp->refuse("is no host:port");
      put(made, "name", json_text("health"));
      JsonValue body = json_object();
      put(body, "host", json_text(unrendered(host)));
      put(body, "port", json_number(std::stoi(port)));
      put(made, "tcp", std::move(body));
      tcp->changed("health[0].tcp", "host and port, each a field");
    } else {
      ST8_ASSIGN(made, command_check(*command, "health", "health[0].command.argv"));
    }
    if (timeout) {
      ST8_ASSIGN(const std::int64_t millis, timeout->duration(false));
      if (kept) {
        put(made, "deadline", json_text(duration_text(millis)));
        timeout->changed("health[0].deadline", "by when the check must have passed, asked again and again until then");
      } else {
        timeout->left("the check is not made");
      }
    }
    if (kept) health.items.push_back(std::move(made));
    check->rest();
  } else if (check) {
    check->left("it is empty");
  }
  if (const auto smoke = source.take("smokeTest"); smoke && !smoke->is_null()) {
    ST8_TRY(smoke->expect_map());
    const std::string place = "health[" + std::to_string(health.items.size()) + "]";
    ST8_ASSIGN(const Part command, smoke->require("command"));
    ST8_ASSIGN(JsonValue made, command_check(command, "smoke", place + ".command.argv"));
    if (const auto exit = smoke->take("expectExit")) {
      ST8_ASSIGN(const std::int64_t code, exit->integer(0, 255));
      for (wire::JsonMember& member : made.members) {
        if (member.name == "command") put(member.value, "expectExit", json_number(code));
      }
      exit->taken(place + ".command.expectExit");
    }
    put(made, "successes", json_number(1));
    put(made, "when", json_texts({"after"}));
    health.items.push_back(std::move(made));
    smoke->rest();
  } else if (smoke) {
    smoke->left("it is empty");
  }
  if (const auto trigger = source.take("trigger")) trigger->left(kExpressions);
  if (!health.items.empty()) put(policy, "health", std::move(health));
  source.rest();
  return {};
}

Status read_database(const Part& source, JsonValue& policy) {
  ST8_TRY(source.expect_map());
  JsonValue step = json_object(), params = json_object();
  const auto migrate = source.take("migrate");
  const auto rollback = source.take("rollback");
  if (!migrate || migrate->is_null()) {
    if (migrate) migrate->left("it is empty");
    if (rollback) rollback->left("there is no migration that it would take back");
    source.rest();
    return {};
  }
  ST8_TRY(migrate->expect_map());
  ST8_ASSIGN(const Part command, migrate->require("command"));
  ST8_ASSIGN(const std::vector<std::string> words, command.texts());
  if (words.empty() || words.front().empty()) return command.refuse("names no program");
  put(step, "name", json_text("migrate"));
  put(step, "type", json_text("script"));
  put(params, "command", json_text(unrendered(shell_line(words))));
  command.changed("steps[0].params.command", "as a line for /bin/sh, run for each target of the policy");
  if (const auto when = migrate->take("when"); when && !when->is_null()) {
    ST8_ASSIGN(const std::string moment, word(*when, {"pre-deploy", "post-promote"}));
    put(step, "when", json_text(moment == "pre-deploy" ? "before" : "after"));
    if (moment == "pre-deploy") {
      when->taken("steps[0].when");
    } else {
      when->changed("steps[0].when", "after the target's activation, which is before the promotion of the whole");
    }
  } else if (when) {
    when->left("it is empty");
  }
  if (const auto timeout = migrate->take("timeout")) {
    ST8_ASSIGN(const std::int64_t millis, timeout->duration(false));
    put(step, "timeout", json_text(duration_text(millis)));
    timeout->taken("steps[0].timeout");
  }
  migrate->rest();
  bool reversible = false;
  if (rollback && !rollback->is_null()) {
    ST8_TRY(rollback->expect_map());
    ST8_ASSIGN(const Part back, rollback->require("command"));
    ST8_ASSIGN(const std::vector<std::string> undo, back.texts());
    if (undo.empty() || undo.front().empty()) return back.refuse("names no program");
    put(params, "rollback", json_text(unrendered(shell_line(undo))));
    back.changed("steps[0].params.rollback", "as a line for /bin/sh");
    reversible = true;
    rollback->rest("a step's rollback has the step's own timeout");
  } else if (rollback) {
    rollback->left("it is empty");
  }
  if (const auto compatible = source.take("backwardCompatible")) {
    ST8_ASSIGN(const bool yes, compatible->boolean());
    compatible->left(
        yes || reversible
            ? "st8 takes steps back in any case"
            : "st8 does not hold a rollback up for it; give the step a rollback, or set rollback.auto to false");
  }
  // A migration that ran and may run a second time is not for a program to decide.
  JsonValue retry = json_object();
  put(retry, "attempts", json_number(1));
  put(step, "params", std::move(params));
  put(step, "retry", std::move(retry));
  put(policy, "steps", json_list({std::move(step)}));
  source.rest();
  return {};
}

}  // namespace

Result<Imported> import_rollops(std::string_view text, const ImportOptions& options) {
  return read_source(text, [&](const Part& root) -> Result<Imported> {
    Imported out;
    out.policy = new_policy(options);
    ST8_TRY(read_opening(root, "rollops.klarlabs.de", "v1", "RolloutConfig", "RolloutSet",
                         "expand the set first, and import each config"));
    JsonValue labels = json_object();
    if (const auto metadata = root.take("metadata"); metadata && !metadata->is_null()) {
      ST8_TRY(metadata->expect_map());
      if (const auto name = metadata->take("name")) {
        ST8_ASSIGN(out.name, name->text());
        name->changed("(the namespace)", "a policy has no name; its namespace has");
      }
      if (const auto given = metadata->take("labels"); given && !given->is_null()) {
        ST8_TRY(given->expect_map());
        for (const auto& [label, part] : given->fields()) {
          ST8_ASSIGN(const std::string value, part.text());
          put(labels, label, json_text(value));
          part.taken("labels." + label);
        }
        given->rest();
      } else if (given) {
        given->left("it is empty");
      }
      metadata->rest();
    } else if (metadata) {
      metadata->left("it is empty");
    }
    ST8_ASSIGN(const Part spec, root.require("spec"));
    ST8_TRY(spec.expect_map());
    ST8_ASSIGN(const Part target, spec.require("target"));
    ST8_TRY(read_target(target, options, labels, out));
    JsonValue& policy = out.policy;
    if (const auto strategy = spec.take("strategy"); strategy && !strategy->is_null()) {
      ST8_TRY(read_strategy(*strategy, policy));
    } else if (strategy) {
      strategy->left("it is empty");
    }
    if (const auto rollback = spec.take("rollback"); rollback && !rollback->is_null()) {
      ST8_TRY(read_rollback(*rollback, policy));
    } else if (rollback) {
      rollback->left("it is empty");
    }
    if (const auto database = spec.take("database"); database && !database->is_null()) {
      ST8_TRY(read_database(*database, policy));
    } else if (database) {
      database->left("it is empty");
    }
    if (const auto risk = spec.take("risk"); risk && !risk->is_null()) {
      ST8_TRY(risk->expect_map());
      if (const auto threshold = risk->take("threshold")) {
        ST8_ASSIGN(const double value, threshold->number(0, 1));
        JsonValue number;
        number.kind = JsonValue::Kind::kNumber;
        ST8_ASSIGN(number.text, threshold->text());
        // JSON writes numbers its own way: 0.5, not .5 or 5e-1.
        if (!wire::is_json(number.text)) number.text = std::to_string(value);
        JsonValue approval = json_object();
        put(approval, "riskThreshold", std::move(number));
        put(policy, "approval", std::move(approval));
        threshold->taken("approval.riskThreshold");
      }
      if (const auto sensitive = risk->take("sensitive")) sensitive->left(kExpressions);
      if (const auto history = risk->take("history"))
        history->left("st8 weighs the branch's last ten rollouts, with a weight of 0.10");
      risk->rest();
    } else if (risk) {
      risk->left("it is empty");
    }
    if (const auto schedule = spec.take("schedule"); schedule && !schedule->is_null()) {
      ST8_ASSIGN(const std::string time, schedule->text());
      if (!parse_rfc3339(time)) return schedule->refuse("is no RFC 3339 time");
      put(policy, "schedule", json_text(time));
      schedule->taken("schedule");
    } else if (schedule) {
      schedule->left("it is empty");
    }
    if (const auto verification = spec.take("verification"); verification && !verification->is_null()) {
      ST8_ASSIGN(const std::string depth, word(*verification, {"shallow", "detect", "full"}));
      JsonValue drift = json_object();
      put(drift, "action", json_text(depth == "full" ? "repair" : "alert"));
      put(policy, "drift", std::move(drift));
      verification->changed("drift.action", depth == "full" ? "repair"
                                            : depth == "detect"
                                                ? "alert"
                                                : "alert, by reading back what is there and not a stamp");
    } else if (verification) {
      verification->left("it is empty");
    }
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kLeft = {{
        {"environments", "a branch for each environment, each named in a policy, does what they were meant for"},
        {"analysis", "there is no metrics provider; a health check of kind command can ask one"},
        {"featureFlags", "flags are documents of the same revision (docs: OFREP), and go live with it"},
        {"trafficRouting", "st8 delivers to a part of the targets, and routes no traffic"},
        {"imagePolicy", "st8 delivers documents, not images"},
        {"dependsOn", "it names targets, and dependsOn here names namespaces whose heads must be promoted first"},
    }};
    for (const auto& [name, why] : kLeft) {
      if (const auto part = spec.take(name)) part->left(std::string(why));
    }
    spec.rest();
    root.rest();
    return out;
  });
}

}  // namespace st8::ctl
