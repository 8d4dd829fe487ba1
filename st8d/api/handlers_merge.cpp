// POST /v1/merge, /v1/cherry-pick and /v1/revert: three-way, with conflicts reported and nothing written.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"

namespace st8::api {
namespace {

state::ConflictSide side_of(std::string_view word) {
  if (word == "ours") return state::ConflictSide::kOurs;
  if (word == "theirs") return state::ConflictSide::kTheirs;
  return state::ConflictSide::kNone;
}

Reply run(Call& call, wire::MergeKind kind, state::Cause cause) {
  Query query(call.request);
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::MergeBody body, wire::parse_merge(call.request.body, kind));
  ST8_API_ASSIGN(Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where));
  SelectorFields fields{body.revision_id, "", body.at};
  if (!body.from_branch.empty() && fields.given()) {
    return problem(ErrorCode::kInvalidArgument, "the merge names its source in more than one way",
                   "Give one of `from_branch` and `at`.");
  }
  if (body.from_branch.empty() && !fields.given()) {
    return problem(ErrorCode::kInvalidArgument, "the request does not say what to take",
                   kind == wire::MergeKind::kMerge ? "Give `from_branch` or `at`." : "Give the revision as `at`.");
  }
  ST8_API_ASSIGN(state::Selector source, selector_of(call, fields));
  if (!body.from_branch.empty()) {
    ST8_API_ASSIGN(state::BranchName branch, state::BranchName::parse(body.from_branch));
    ST8_API_TRY(allow(call, auth::Verb::kRead, Where{where.name_space, branch}));
    source = state::Selector{state::Selector::ByBranch{branch}, 0, "branch:" + branch.str()};
  }
  // A merge shows and takes documents of elsewhere; the inverse of a change on this branch only writes.
  const auth::Verb source_verb = kind == wire::MergeKind::kRevert ? auth::Verb::kWrite : auth::Verb::kRead;
  if (!call.principal->all_branches()) {
    ST8_API_ASSIGN(const state::Revision revision, resolve_allowed(call, source_verb, where, source));
    source = state::Selector::of(revision.number);
  } else {
    ST8_API_TRY(allow(call, source_verb, where));
  }
  state::MergeRequest request{where.name_space, where.branch, source, cause, side_of(body.prefer), {}, {}};
  for (const auto& [text, side] : body.resolve) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(text));
    request.resolve.emplace_back(std::move(key), side_of(side));
  }
  ST8_API_ASSIGN(state::WriteContext context, write_context(call, body.write, state::cause_name(cause)));
  const std::optional<state::RevisionNumber> expected = context.expected_revision;
  const Outcome<state::CommitResult> result =
      guarded_write(call, where, std::move(context), [&](const state::WriteContext& with) {
        state::MergeRequest attempt = request;
        attempt.context = with;
        return call.store().merge(std::move(attempt));
      });
  return write_reply(call, where, result, mode, nullptr, expected);
}

}  // namespace

void add_merge_routes(Router& router) {
  router.add({"POST", "/v1/merge", Access::kWrite, BodyKind::kJson, "merge",
              [](Call& call) { return run(call, wire::MergeKind::kMerge, state::Cause::kMerge); }});
  router.add({"POST", "/v1/cherry-pick", Access::kWrite, BodyKind::kJson, "cherry_pick",
              [](Call& call) { return run(call, wire::MergeKind::kCherryPick, state::Cause::kCherryPick); }});
  router.add({"POST", "/v1/revert", Access::kWrite, BodyKind::kJson, "revert",
              [](Call& call) { return run(call, wire::MergeKind::kRevert, state::Cause::kRevert); }});
}

}  // namespace st8::api
