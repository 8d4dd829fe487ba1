// target: the places where documents become live. They are documents themselves: targets/<name>.yaml in namespace st8/system.
#include <algorithm>
#include <map>

#include "commands/commands.h"
#include "commands/rollouts.h"
#include "render/fields.h"

namespace st8::ctl {
namespace {

constexpr const char* kSystem = "st8/system";

constexpr Flag kKind{"kind", 0, FlagKind::kText, "KIND", "The driver: file, exec, ssh, worker"};
constexpr Flag kLabel{"label",
                      'l',
                      FlagKind::kText,
                      "NAME=VALUE",
                      "A label, by which policies choose targets; may be repeated",
                      Completes::kNothing,
                      true};
constexpr Flag kEnv{"env", 0, FlagKind::kText, "NAME", "dev, staging, prod, or any word; weighs in a plan's risk"};
constexpr Flag kCriticality{
    "criticality",       0,     FlagKind::kChoice,         "LEVEL", "low, medium, high or critical (default medium)",
    Completes::kNothing, false, "low|medium|high|critical"};
constexpr Flag kSpec{"spec",
                     's',
                     FlagKind::kText,
                     "NAME=VALUE",
                     "A field of the driver's part, as root=/srv/app or argv=[prog,arg]; may be repeated",
                     Completes::kNothing,
                     true};
constexpr Flag kFile{"file",
                     'f',
                     FlagKind::kText,
                     "PATH",
                     "The whole document from a file, or - for standard input, instead of the flags above",
                     Completes::kFiles};
constexpr Flag kReplace{"replace", 0, FlagKind::kBool, "", "Also when the target exists"};
constexpr Flag kWithLabel{
    "label", 'l', FlagKind::kText, "NAME=VALUE", "Only targets with this label; may be repeated", Completes::kNothing,
    true};
constexpr Flag kLastSeen{"last-seen", 0, FlagKind::kBool, "", "Ask no target; say what was last seen of it"};
constexpr const Flag* kCheckFlags[] = {&kLastSeen};
constexpr const Flag* kListFlags[] = {&kWithLabel};
constexpr const Flag* kAddFlags[] = {&kKind,    &kLabel,          &kEnv,           &kCriticality,  &kSpec, &kFile,
                                     &kReplace, &flags::kMessage, &flags::kAuthor, &flags::kDryRun};
constexpr const Flag* kRemoveFlags[] = {&flags::kMessage, &flags::kAuthor, &flags::kDryRun};
constexpr Positional kOne[] = {{"name", "The target", true, false, Completes::kTargets}};
constexpr Positional kNew[] = {{"name", "The new target's name", true, false, Completes::kNothing}};
constexpr Positional kSome[] = {{"name", "The targets (default: all)", false, true, Completes::kTargets}};
constexpr Positional kMany[] = {{"name", "The targets", true, true, Completes::kTargets}};

// As the server has it; here, so that no name reaches further than the one document.
Status check_name(const std::string& name) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool good = !name.empty() && name.size() <= 63 && alphanumeric(name.front()) && alphanumeric(name.back()) &&
                    std::all_of(name.begin(), name.end(),
                                [&](char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
  if (good) return {};
  return fail(ErrorCode::kInvalidArgument, quote(name) + " cannot be a target's name",
              "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or a digit");
}

std::string document_of(const std::string& name) { return "targets/" + name + ".yaml"; }

bool has_label(const wire::JsonValue& target, const std::string& wanted) {
  const wire::JsonValue* labels = target.find("labels");
  const std::size_t equals = wanted.find('=');
  const wire::JsonValue* value = labels == nullptr ? nullptr : labels->find(wanted.substr(0, equals));
  return value != nullptr && (equals == std::string::npos || value->text == wanted.substr(equals + 1));
}

Result<int> list(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(wire::JsonValue answer, client->pages(get("/v1/targets"), "targets", 0));
  for (const std::string& label : context.arguments().texts("label")) {
    for (wire::JsonMember& member : answer.members) {
      if (member.name == "targets")
        std::erase_if(member.value.items, [&](const wire::JsonValue& target) { return !has_label(target, label); });
    }
  }
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  const auto& targets = items_field(answer, "targets");
  if (targets.empty()) context.notice("there are no targets; `st8ctl target add --help` says how one is added");
  for (const wire::JsonValue& target : targets) {
    std::string line = field(target, "name");
    if (context.format() != OutputFormat::kName) {
      for (const char* name : {"kind", "env", "criticality"}) {
        if (const std::string value = field(target, name); !value.empty())
          line += " " + std::string(name) + "=" + value;
      }
      if (const wire::JsonValue* live = target.find("live"))
        line += " live=" + field(*live, "namespace") + "/" + field(*live, "branch") + "@" + field(*live, "revision") +
                " state=" + field(*live, "state");
      if (const std::string holder = field(target, "held_by"); !holder.empty()) line += " held_by=" + holder;
      if (!items_field(target, "problems").empty())
        line += " problems=" + std::to_string(items_field(target, "problems").size());
    }
    context.out().line(line);
  }
  return 0;
}

Result<int> show(Context& context) {
  const std::string& name = context.arguments().positionals.front();
  ST8_TRY(check_name(name));
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/targets/" + percent_encoded(name, false))));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
  context.out().write(yaml(answer));
  if (context.format() == OutputFormat::kName) return 0;
  // And the document itself, the driver's part with it.
  Call document = get(document_path(document_of(name)), {{"namespace", kSystem}});
  if (const auto text = client->call(document)) {
    context.out().write("--- # " + document_of(name) + " in " + kSystem + "\n" + text->body);
    if (!text->body.ends_with('\n')) context.out().write("\n");
  }
  return 0;
}

// A string that no reader can take for something else.
std::string quoted(const std::string& value) {
  std::string out;
  wire::JsonWriter(out).string(value);
  return out;
}
// As YAML: lists, mappings, numbers and switches as they stand.
std::string yaml_value(const std::string& value) {
  const bool collection = !value.empty() && (value.front() == '[' || value.front() == '{');
  return collection || parse_number(value) || value == "true" || value == "false" ? value : quoted(value);
}

Result<std::string> written(Context& context) {
  const Arguments& arguments = context.arguments();
  std::string text = "kind: " + quoted(arguments.text_or("kind", "")) + "\n";
  const auto add = [&](const char* title, const char* flag) -> Status {
    const auto pairs = arguments.texts(flag);
    if (pairs.empty()) return {};
    text += std::string(title) + ":\n";
    for (const std::string& pair : pairs) {
      const std::size_t equals = pair.find('=');
      if (equals == std::string::npos || equals == 0)
        return fail(ErrorCode::kInvalidArgument, "--" + std::string(flag) + " " + quote(pair) + " is not NAME=VALUE");
      text +=
          "  " + quoted(pair.substr(0, equals)) + ": " +
          (std::string_view(flag) == "label" ? quoted(pair.substr(equals + 1)) : yaml_value(pair.substr(equals + 1))) +
          "\n";
    }
    return {};
  };
  ST8_TRY(add("labels", "label"));
  if (const auto env = arguments.text("env")) text += "env: " + quoted(*env) + "\n";
  if (const auto level = arguments.text("criticality")) text += "criticality: " + *level + "\n";
  ST8_TRY(add("spec", "spec"));
  return text;
}

Result<int> add(Context& context) {
  const Arguments& arguments = context.arguments();
  const std::string& name = arguments.positionals.front();
  ST8_TRY(check_name(name));
  std::string text;
  if (const auto path = arguments.text("file")) {
    for (const char* flag : {"kind", "label", "env", "criticality", "spec"}) {
      if (arguments.given(flag))
        return fail(ErrorCode::kInvalidArgument, "--file and --" + std::string(flag) + " cannot be used together",
                    "the file is the whole document");
    }
    LoadRequest request;
    request.paths = {*path};
    request.key = document_of(name);
    ST8_ASSIGN(LoadedDocuments loaded, load_documents(request));
    if (loaded.documents.size() != 1) return fail(ErrorCode::kInvalidArgument, *path + " is not one file");
    text = std::move(loaded.documents.front().content);
  } else if (!arguments.given("kind")) {
    return fail(ErrorCode::kInvalidArgument,
                "what kind of target is it? Give --kind, or the whole document with --file",
                "st8ctl target add web-1 --kind file --spec root=/srv/app");
  } else {
    ST8_ASSIGN(text, written(context));
  }
  Call call = change("PUT", document_path(document_of(name)), std::move(text));
  call.content_type = "application/yaml";
  call.query = {{"namespace", kSystem},
                {"message", arguments.text_or("message", "add target " + name)},
                {"author", context.settings().author},
                {"changes", "keys"}};
  if (context.dry_run()) call.query.emplace_back("dry_run", "true");
  if (!arguments.on("replace")) call.headers.emplace_back("If-None-Match", "*");
  Result<HttpResponse> response = send_change(context, std::move(call), "Sending");
  if (!response) {
    if (response.error().code != ErrorCode::kPreconditionFailed) return fail(response.error());
    return fail(ErrorCode::kConflict, "the target " + name + " exists",
                "`st8ctl target show " + name + "` shows it; --replace writes it anew");
  }
  ST8_ASSIGN(const bool printed, context.print_document(response->body));
  if (printed) return 0;
  context.out().line(context.format() == OutputFormat::kName
                         ? printable(name)
                         : (context.dry_run() ? "Would add target " : "Added target ") + printable(name) + ".");
  return 0;
}

Result<int> remove(Context& context) {
  wire::UnsetBody body;
  body.scope = {kSystem, "main"};
  std::string names;
  for (const std::string& name : context.arguments().positionals) {
    ST8_TRY(check_name(name));
    body.keys.push_back(document_of(name));
    names += (names.empty() ? "" : ", ") + printable(name);
  }
  body.write = context.write_fields();
  if (body.write.message.empty()) body.write.message = "remove target " + names;
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("POST", "/v1/unset", wire::to_json(body)), "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  context.out().line((context.dry_run() ? "Would remove target " : "Removed target ") + names + ".");
  if (!context.dry_run()) context.notice("what is live there stays as it is; st8 no longer looks at it");
  return 0;
}

// What the targets' drivers say now, by target. With --local, and without the permission to have targets asked, nothing: what is known stands then.
Result<std::map<std::string, wire::JsonValue>> asked_now(Context& context,
                                                         const std::vector<wire::JsonValue>& targets) {
  constexpr std::size_t kAtOnce = 32;
  std::map<std::string, wire::JsonValue> checks;
  if (context.arguments().on("last-seen") || targets.empty()) return checks;
  if (context.settings().local) {
    context.notice("with --local no target is asked: this is what was last seen");
    return checks;
  }
  ST8_ASSIGN(Client* const client, context.client());
  Progress progress(context.shows_progress() && targets.size() > kAtOnce, "Asking", Progress::Unit::kItems,
                    targets.size());
  for (std::size_t at = 0; at < targets.size(); at += kAtOnce) {
    std::string body;
    wire::JsonWriter out(body);
    out.begin_object().key("targets").begin_array();
    for (std::size_t i = at; i < std::min(targets.size(), at + kAtOnce); ++i) out.string(field(targets[i], "name"));
    out.end_array().end_object();
    const auto response = client->call(post("/v1/target-checks", body));
    if (!response && response.error().code == ErrorCode::kPermissionDenied) {
      client->set_problem(std::nullopt);
      context.notice("your token may not have targets asked: this is what was last seen");
      return checks;
    }
    if (!response) return fail(response.error());
    ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response->body));
    for (const wire::JsonValue& one : items_field(answer, "checks")) checks[field(one, "target")] = one;
    progress.set(std::min(targets.size(), at + kAtOnce));
  }
  return checks;
}

bool is_as_it_should_be(const wire::JsonValue& target) {
  const wire::JsonValue* live = target.find("live");
  const std::string state = live == nullptr ? "" : field(*live, "state");
  const wire::JsonValue* asked = target.find("check");
  return (state.empty() || state == "promoted" || state == "activated") && items_field(target, "problems").empty() &&
         (asked == nullptr || flag_field(*asked, "good"));
}

Result<int> check(Context& context) {
  const auto& wanted = context.arguments().positionals;
  for (const std::string& name : wanted) ST8_TRY(check_name(name));
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(wire::JsonValue answer, client->pages(get("/v1/targets"), "targets", 0));
  auto& members = answer.members;
  const auto found = std::find_if(members.begin(), members.end(),
                                  [](const wire::JsonMember& member) { return member.name == "targets"; });
  if (found == members.end()) return fail(ErrorCode::kInternal, "the server's answer has no targets");
  std::vector<wire::JsonValue>& targets = found->value.items;
  for (const std::string& name : wanted) {
    if (std::none_of(targets.begin(), targets.end(),
                     [&](const wire::JsonValue& one) { return field(one, "name") == name; })) {
      return fail(ErrorCode::kNotFound, "there is no target " + name, "`st8ctl target list` shows them");
    }
  }
  if (!wanted.empty())
    std::erase_if(targets, [&](const wire::JsonValue& one) {
      return std::find(wanted.begin(), wanted.end(), field(one, "name")) == wanted.end();
    });
  ST8_ASSIGN(auto checks, asked_now(context, targets));
  bool good = true;
  for (wire::JsonValue& target : targets) {
    if (const auto asked = checks.find(field(target, "name")); asked != checks.end())
      target.members.push_back({"check", std::move(asked->second)});
    const bool target_good = is_as_it_should_be(target);
    good = good && target_good;
    if (context.wants_document()) continue;
    const std::string name = field(target, "name");
    if (context.format() == OutputFormat::kName) {
      if (!target_good) context.out().line(name);
      continue;
    }
    const wire::JsonValue* live = target.find("live");
    context.out().line(
        name + ": " + (target_good ? context.out().painted("32", "good") : context.out().painted("31", "bad")) +
        (live == nullptr ? ", nothing is live there"
                         : ", " + field(*live, "namespace") + "/" + field(*live, "branch") + " revision " +
                               field(*live, "revision") + " is " + field(*live, "state")));
    for (const wire::JsonValue& problem : items_field(target, "problems"))
      context.out().line("  " + printable(problem.text));
    const wire::JsonValue* asked = target.find("check");
    // A document that is not good is told already.
    if (asked != nullptr && !flag_field(*asked, "good") && items_field(target, "problems").empty()) {
      const std::string hint = field(*asked, "hint");
      context.out().line("  " + field(*asked, "problem") + (hint.empty() ? "" : " (" + hint + ")"));
    }
  }
  ST8_TRY(context.print_document(answer));
  return good ? 0 : traits_of(ErrorCode::kUnprocessable).exit_code;
}

constexpr Command kList{
    "list", "List the targets", "", "st8ctl target list\nst8ctl target list -l role=web", kListFlags, {}, {}, list};
constexpr Command kShow{"show", "Show one target, and its document", "", "st8ctl target show web-1", {}, kOne, {},
                        show};
constexpr Command kAdd{"add",
                       "Add a target",
                       "Writes its document, targets/<name>.yaml in namespace st8/system, which is checked there "
                       "before anything changes. Policies that choose it by its labels begin to "
                       "reach it at once.",
                       "st8ctl target add web-1 --kind file --spec root=/srv/app --label role=web --env prod\n"
                       "st8ctl target add web-2 -f web-2.yaml",
                       kAddFlags,
                       kNew,
                       {},
                       add};
constexpr Command kRemove{"remove",
                          "Remove targets",
                          "What is live there stays as it is.",
                          "st8ctl target remove web-1",
                          kRemoveFlags,
                          kMany,
                          {},
                          remove};
constexpr Command kCheck{"check",
                         "Say whether targets are as they should be",
                         "Their documents, what was last read back from each, and what each says now: whether it can "
                         "be reached and would take content. Changes nothing. Exits with 9 "
                         "when one is not good.",
                         "st8ctl target check\n"
                         "st8ctl target check web-1",
                         kCheckFlags,
                         kSome,
                         {},
                         check};
constexpr const Command* kChildren[] = {&kList, &kShow, &kAdd, &kRemove, &kCheck};

}  // namespace

const Command kTarget{"target",   "List, add, remove or check targets",
                      "",         "st8ctl target list\nst8ctl target add web-1 --kind file --spec root=/srv/app",
                      kListFlags, {},
                      kChildren,  list};

}  // namespace st8::ctl
