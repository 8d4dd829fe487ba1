// POST /v1/rollback and /v1/restore: a new revision with the documents of an earlier, or another branch's, one.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"

namespace st8::api {
namespace {

constexpr std::size_t kKeepMax = 1000;

Reply run(Call& call, const Where& where, const state::BranchName& source_branch, state::Selector source,
          state::Cause cause, const std::vector<std::string>& keep, const wire::WriteFields& fields, ChangesMode mode) {
  ST8_API_ASSIGN(state::WriteContext context, write_context(call, fields, state::cause_name(cause)));
  if (keep.size() > kKeepMax) {
    return problem(ErrorCode::kTooLarge, "a copy keeps at most " + std::to_string(kKeepMax) + " documents of the head",
                   "Apply what shall stay afterwards.");
  }
  std::vector<state::DocumentKey> kept;
  kept.reserve(keep.size());
  for (const std::string& text : keep) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(text));
    kept.push_back(std::move(key));
  }
  const std::string named = source.text;  // As the caller put it; the number stands in the revision anyway.
  // A write on the branch covers its own past; another branch's documents have to be readable.
  const auth::Verb source_verb = source_branch == where.branch ? auth::Verb::kWrite : auth::Verb::kRead;
  // What the caller may see was decided for one revision: the copy takes that one, wherever the name points by then. A caller
  // that sees every branch gets what the name means at the instant of the commit.
  const Where from{where.name_space, source_branch};
  if (!call.principal->all_branches()) {
    ST8_API_ASSIGN(const state::Revision revision, resolve_allowed(call, source_verb, from, source));
    source = state::Selector::of(revision.number);
  } else {
    ST8_API_TRY(allow(call, source_verb, from));
  }
  const std::optional<state::RevisionNumber> expected = context.expected_revision;
  const Outcome<state::CommitResult> result =
      guarded_write(call, where, std::move(context), [&](const state::WriteContext& with) {
        // A trial is made for what it would change.
        const bool changes_wanted = mode != ChangesMode::kNone || with.dry_run;
        return call.store().copy(state::CopyRequest{where.name_space, where.branch, source, source_branch, cause, named,
                                                    with, kept, changes_wanted});
      });
  return write_reply(call, where, result, mode, nullptr, expected);
}

Reply rollback(Call& call) {
  Query query(call.request);
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::RollbackBody body, wire::parse_rollback(call.request.body));
  ST8_API_ASSIGN(Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where));
  const SelectorFields fields{body.revision_id, body.checkpoint_name, body.at};
  if (!fields.given()) {
    return problem(ErrorCode::kInvalidArgument, "the rollback does not say to what",
                   "Give one of `revision_id`, `checkpoint_name` and `at`.");
  }
  ST8_API_ASSIGN(state::Selector source, selector_of(call, fields));
  return run(call, where, where.branch, std::move(source), state::Cause::kRollback, body.keep, body.write, mode);
}

Reply restore(Call& call) {
  Query query(call.request);
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::RestoreBody body, wire::parse_restore(call.request.body));
  ST8_API_ASSIGN(Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where));
  const SelectorFields fields{body.from_revision, body.from_checkpoint, body.at};
  if (!fields.given() && body.from_branch.empty()) {
    return problem(ErrorCode::kInvalidArgument, "the restore does not say from what",
                   "Give `from_branch`, and to take another state than its head one of `from_revision`, "
                   "`from_checkpoint` and `at`.");
  }
  ST8_API_ASSIGN(state::Selector source, selector_of(call, fields));
  state::BranchName source_branch = where.branch;
  if (!body.from_branch.empty()) {
    ST8_API_ASSIGN(source_branch, state::BranchName::parse(body.from_branch));
    if (!fields.given())
      source = state::Selector{state::Selector::ByBranch{source_branch}, 0, "branch:" + source_branch.str()};
  }
  return run(call, where, source_branch, std::move(source), state::Cause::kRestore, body.keep, body.write, mode);
}

}  // namespace

void add_copy_routes(Router& router) {
  router.add({"POST", "/v1/rollback", Access::kWrite, BodyKind::kJson, "rollback", rollback});
  router.add({"POST", "/v1/restore", Access::kWrite, BodyKind::kJson, "restore", restore});
}

}  // namespace st8::api
