#include <algorithm>

#include "commands/commands.h"
#include "st8/state/names.h"

namespace st8::ctl {
namespace {

constexpr Flag kMissingOk{"missing-ok", 0, FlagKind::kBool, "", "A key that does not exist is no error"};
constexpr const Flag* kFlags[] = {&kMissingOk,          &flags::kMessage, &flags::kAuthor,   &flags::kExpected,
                                  &flags::kIdempotency, &flags::kWait,    &flags::kDeadline, &flags::kDryRun};
constexpr Positional kPositionals[] = {{"key", "The document's key", true, true, Completes::kKeys}};

Result<int> run(Context& context) {
  wire::UnsetBody body;
  body.scope = context.scope();
  for (const std::string& word : context.arguments().positionals) {
    ST8_ASSIGN(const state::DocumentKey key, state::DocumentKey::parse(word));
    body.keys.push_back(key.str());
  }
  body.missing_ok = context.arguments().on("missing-ok");
  body.write = context.write_fields();
  Call call = change("POST", "/v1/unset", wire::to_json(body));
  call.query = {{"changes", context.wants_document() ? "" : "keys"}};
  ST8_ASSIGN(const HttpResponse response, send_change(context, std::move(call), "Sending"));
  ST8_ASSIGN(const wire::WriteResultBody result, wire::parse_write_result(response.body));
  const std::string count = std::to_string(std::max<std::uint64_t>(result.change_count, result.changes.size()));
  return report_change(
      context, response,
      {"Applied " + count + " change(s) at revision {}.", "Would apply " + count + " change(s) at revision {}.",
       "No changes. Head stays at revision {}."});
}

}  // namespace

const Command kUnset{
    "unset",
    "Delete documents from a branch",
    "Makes one revision without them. Their history stays; `st8ctl rollback` or `st8ctl revert` brings them back.",
    "st8ctl unset limits/rps\n"
    "st8ctl unset old/a.json old/b.json --message \"no longer read\"",
    kFlags,
    kPositionals,
    {},
    run};

}  // namespace st8::ctl
