// policy: the document that says what goes live where, shown, checked, and tried out before it counts.
#include <algorithm>

#include "commands/commands.h"
#include "render/fields.h"
#include "render/rollout_view.h"

namespace st8::ctl {
namespace {

constexpr const char* kPolicyKey = ".st8/rollout.yaml";
constexpr int kRefused = 9;  // As of an apply that is refused for what it says (docs/errors.md).

constexpr Flag kPolicyFile{"file",
                           'f',
                           FlagKind::kText,
                           "FILE",
                           "The policy from a file, or - for standard input, instead of the branch's own",
                           Completes::kFiles};
constexpr Flag kStrict{"strict", 0, FlagKind::kBool, "", "Warnings count as errors"};
constexpr Flag kPolicy{"policy",
                       0,
                       FlagKind::kText,
                       "FILE",
                       "Plan under this policy instead of the revision's own; - for standard input",
                       Completes::kFiles};
constexpr Flag kUnset{"unset",          0,   FlagKind::kText, "KEY", "Plan without this document; may be repeated",
                      Completes::kKeys, true};
constexpr const Flag* kShowFlags[] = {&flags::kRevision, &flags::kCheckpoint, &flags::kAt};
constexpr const Flag* kLintFlags[] = {&kPolicyFile, &kStrict, &flags::kRevision, &flags::kCheckpoint, &flags::kAt};
constexpr const Flag* kSimulateFlags[] = {
    &kPolicy, &flags::kFile,     &flags::kValue,      &flags::kKey, &flags::kUnder, &flags::kFollowLinks,
    &kUnset,  &flags::kRevision, &flags::kCheckpoint, &flags::kAt};
constexpr Positional kSelector[] = {
    {"selector", "The revision, instead of the head", false, false, Completes::kSelectors}};

Result<std::string> selector_of(Context& context) {
  const auto& words = context.arguments().positionals;
  return context.selector(words.empty() ? std::nullopt : std::optional(words.front()));
}

Result<std::string> read_policy(const std::string& path) {
  LoadRequest request;
  request.paths = {path};
  request.key = kPolicyKey;
  ST8_ASSIGN(LoadedDocuments loaded, load_documents(request));
  if (loaded.documents.size() != 1)
    return fail(ErrorCode::kInvalidArgument, path + " is a directory, and a policy is one file", "");
  return std::move(loaded.documents.front().content);
}

Result<int> show(Context& context) {
  ST8_ASSIGN(const std::string at, selector_of(context));
  ST8_ASSIGN(Client* const client, context.client());
  Query query = context.scope_query();
  query.emplace_back("at", at);
  ST8_ASSIGN(const HttpResponse response, client->call(get(document_path(kPolicyKey), std::move(query))));
  if (context.format() == OutputFormat::kName) {
    context.out().line(kPolicyKey);
    return 0;
  }
  if (context.wants_document()) {
    std::string body;
    wire::JsonWriter out(body);
    out.begin_object()
        .field("namespace", context.scope().name_space)
        .field("branch", context.scope().branch)
        .field("key", kPolicyKey)
        .bytes_field("content", response.body)
        .end_object();
    ST8_TRY(context.print_document(body).map([](bool) {}));
    return 0;
  }
  context.out().write(response.body);
  if (!response.body.ends_with('\n')) context.out().write("\n");
  return 0;
}

Result<int> lint(Context& context) {
  wire::PolicyLintBody body;
  body.scope = context.scope();
  ST8_ASSIGN(body.at, selector_of(context));
  std::string shown = kPolicyKey;
  if (const auto file = context.arguments().text("file")) {
    ST8_ASSIGN(body.policy, read_policy(*file));
    shown = *file == "-" ? "standard input" : *file;
  }
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(post("/v1/policy/lint", wire::to_json(body))));
  ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
  const std::uint64_t errors = number_field(answer, "errors"), warnings = number_field(answer, "warnings");
  const int code = errors > 0 || (warnings > 0 && context.arguments().on("strict")) ? kRefused : 0;
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return code;
  for (const wire::JsonValue& finding : items_field(answer, "findings")) {
    if (context.format() == OutputFormat::kName) {
      context.out().line(field(finding, "rule"));
      continue;
    }
    const bool error = field(finding, "severity") == "error";
    std::string line = shown;
    if (number_field(finding, "line") > 0) line += ":" + field(finding, "line");
    line += ": " + context.out().painted(error ? "31" : "33", field(finding, "severity")) + ": ";
    if (const std::string path = field(finding, "path"); !path.empty()) line += path + ": ";
    line += field(finding, "message");
    if (const std::string suggestion = field(finding, "suggestion"); !suggestion.empty())
      line += " (" + suggestion + ")";
    context.out().line(line + " [" + field(finding, "rule") + "]");
  }
  const auto count = [](std::uint64_t number, const std::string& noun) {
    return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
  };
  context.notice(errors + warnings == 0 ? "nothing to say"
                                        : count(errors, "error") + ", " + count(warnings, "warning"));
  if (const wire::JsonValue* looked = answer.find("looked_at")) {
    std::string unseen;
    for (const char* of : {"targets", "branches", "documents"}) {
      if (!flag_field(*looked, of)) unseen += (unseen.empty() ? "" : ", ") + std::string(of);
    }
    if (!unseen.empty())
      context.notice("not looked at, for want of permission or of a branch, or for their number: " + unseen);
  }
  return code;
}

Result<int> simulate(Context& context) {
  wire::PolicySimulateBody body;
  body.scope = context.scope();
  ST8_ASSIGN(body.at, selector_of(context));
  if (const auto file = context.arguments().text("policy")) {
    ST8_ASSIGN(body.policy, read_policy(*file));
  }
  ST8_ASSIGN(LoadedDocuments loaded, load_from_flags(context, {}));
  body.documents = std::move(loaded.documents);
  body.unset = context.arguments().texts("unset");
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(post("/v1/policy/simulate", wire::to_json(body))));
  ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  const wire::JsonValue* plan = answer.find("plan");
  if (plan == nullptr)
    return fail(ErrorCode::kInternal, "the answer holds no plan", "Is the server an st8d of this version?");
  if (context.format() == OutputFormat::kName) {
    for (const wire::JsonValue& target : items_field(*plan, "targets")) context.out().line(field(target, "name"));
    return 0;
  }
  if (flag_field(answer, "supposed"))
    context.out().line("Supposed: with what was given laid over revision " + field(*plan, "revision") +
                       ". Nothing was changed.");
  for (const wire::JsonValue& wait : items_field(answer, "waits_for"))
    context.out().line("would wait for: " + printable(wait.text));
  for (const std::string& line : plan_lines(*plan, context.out())) context.out().line(line);
  return 0;
}

constexpr Command kShowCommand{"show",
                               "Print a branch's policy as it is stored",
                               "",
                               "st8ctl policy show\n"
                               "st8ctl policy show main~3 > rollout.yaml",
                               kShowFlags,
                               kSelector,
                               {},
                               show};
constexpr Command kLintCommand{
    "lint",
    "Check a policy before it counts",
    "Says what an apply would refuse (errors), and what is taken as it stands and probably does not do what was meant "
    "(warnings): targets, labels, branches "
    "and documents that do not exist, waves without a gate, checks that cannot pass, steps that are not taken back. "
    "docs/policy.md lists the rules.\n"
    "\n"
    "Makes no revision. Exit code 0 when there is no error, 9 when there is one; with --strict, 9 for a warning too.",
    "st8ctl policy lint\n"
    "st8ctl policy lint -f rollout.yaml --strict\n"
    "st8ctl policy lint -f - -o json < rollout.yaml",
    kLintFlags,
    kSelector,
    {},
    lint};
constexpr Command kSimulateCommand{"simulate",
                                   "Show the plan that something would get which was never applied",
                                   "As `st8ctl plan`, for what is only supposed: another policy (--policy), other "
                                   "documents (-f, -v, --unset) laid over the branch's head or the named "
                                   "revision; the branch need not exist. Also says what such a rollout would wait for: "
                                   "a freeze, a window, an approval. Changes nothing.",
                                   "st8ctl policy simulate --policy canary.yaml\n"
                                   "st8ctl policy simulate main~1 -v limits/rps=250\n"
                                   "st8ctl policy simulate -f conf --under app/conf -o json",
                                   kSimulateFlags,
                                   kSelector,
                                   {},
                                   simulate};
constexpr const Command* kChildren[] = {&kShowCommand, &kLintCommand, &kSimulateCommand};

}  // namespace

const Command kPolicyCommand{"policy",
                             "Show, check and try out what goes live where",
                             "A namespace's policy is its document .st8/rollout.yaml (docs/policy.md).",
                             "st8ctl policy show\n"
                             "st8ctl policy lint -f rollout.yaml\n"
                             "st8ctl policy simulate --policy rollout.yaml",
                             kShowFlags,
                             kSelector,
                             kChildren,
                             show};

}  // namespace st8::ctl
