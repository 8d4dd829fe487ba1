// plan: what going live would do, before anything does it.
#include "commands/commands.h"
#include "render/fields.h"
#include "render/rollout_view.h"

namespace st8::ctl {
namespace {

constexpr Flag kPatch{"patch", 'p', FlagKind::kBool, "",
                      "Also the diff of the documents, from the promoted revision to this one"};
constexpr const Flag* kFlags[] = {&flags::kRevision, &flags::kCheckpoint, &flags::kAt, &kPatch};
constexpr Positional kPositionals[] = {
    {"selector", "The revision to plan for, instead of the head", false, false, Completes::kSelectors}};

Result<int> run(Context& context) {
  const auto& words = context.arguments().positionals;
  ST8_ASSIGN(const std::string at, context.selector(words.empty() ? std::nullopt : std::optional(words.front())));
  ST8_ASSIGN(Client* const client, context.client());
  Query query = context.scope_query();
  query.emplace_back("at", at);
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/plan", std::move(query))));
  ST8_ASSIGN(const wire::JsonValue plan, parse_answer(response.body));
  ST8_ASSIGN(const bool printed, context.print_document(plan));
  if (printed) return 0;
  if (context.format() == OutputFormat::kName) {
    for (const wire::JsonValue& target : items_field(plan, "targets")) context.out().line(field(target, "name"));
    return 0;
  }
  for (const std::string& line : plan_lines(plan, context.out())) context.out().line(line);
  if (context.arguments().on("patch")) {
    wire::DiffBody body;
    body.scope = context.scope();
    body.from = field(plan, "promoted_revision");
    body.to = field(plan, "revision");
    ST8_ASSIGN(const HttpResponse diff, client->call(post("/v1/diff", wire::to_json(body))));
    ST8_ASSIGN(const wire::DiffResultBody result, wire::parse_diff_result(diff.body));
    print_diffs(context, result.changes, 3);
  }
  return 0;
}

}  // namespace

const Command kPlan{"plan",
                    "Show what going live would do: waves, targets, reasons, risk",
                    "Plans the rollout of the branch's head, or of the revision that is named, against what is live "
                    "now. Changes nothing. Of each target it says why it is in "
                    "its wave and which files will change there; the hash is what an approval is for.",
                    "st8ctl plan\n"
                    "st8ctl plan main~1 -p\n"
                    "st8ctl plan --branch canary -o json",
                    kFlags,
                    kPositionals,
                    {},
                    run};

}  // namespace st8::ctl
