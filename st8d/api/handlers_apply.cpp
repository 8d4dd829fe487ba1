// POST /v1/apply and /v1/unset.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"

namespace st8::api {
namespace {

// Contents up to this size in sum are kept beside the request to put into its answer; larger ones are read back.
constexpr std::size_t kKeepBytesMax = 1u << 20;

Result<std::vector<state::DocumentKey>> parse_keys(const std::vector<std::string>& texts) {
  std::vector<state::DocumentKey> keys;
  keys.reserve(texts.size());
  for (const std::string& text : texts) {
    ST8_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(text));
    keys.push_back(std::move(key));
  }
  return keys;
}

Outcome<state::CommitResult> outcome_of(Result<state::CommitResult> result) {
  if (!result) return tl::unexpected<wire::Problem>(wire::Problem(std::move(result).error()));
  return std::move(*result);
}

// What the reply to an apply needs once the commit is answered.
struct PendingReply {
  std::shared_ptr<LaterCall> call;
  Where where;
  std::vector<state::Document> documents;
  ChangesMode mode;
  std::optional<state::RevisionNumber> expected;
  state::Store::FinishApply finish = {};
};

Reply run(Call& call, const Where& where, state::ApplyRequest request, ChangesMode mode) {
  const bool is_protected = !call.principal->has(auth::Verb::kAdmin) && branch_protected(call, where);
  for (const state::Document& document : request.documents)
    ST8_API_TRY(allow_changed_key(call, where, is_protected, document.key));
  for (const state::DocumentKey& key : request.unset) ST8_API_TRY(allow_changed_key(call, where, is_protected, key));
  if (request.prune_prefix && !call.principal->all_keys() &&
      !request.prune_prefix->starts_with(call.principal->allow.key_prefix)) {
    return tl::unexpected<wire::Problem>(
        problem_of({auth::Verb::kWrite, where.name_space.str(), where.branch.str(), *request.prune_prefix,
                    "the token of \"" + call.principal->name + "\" covers only keys that begin with \"" +
                        call.principal->allow.key_prefix + "\", and the prune reaches further"}));
  }
  if (call.context.validate) ST8_API_TRY(call.context.validate(where.name_space, request.documents));
  std::vector<state::Document> kept;
  // Few documents the store gives back.
  if (mode == ChangesMode::kFull && request.documents.size() > state::CommitResult::kContentsMax) {
    std::size_t bytes = 0;
    for (const state::Document& document : request.documents) bytes += document.content.size();
    if (bytes <= kKeepBytesMax || request.context.dry_run) kept = request.documents;
  }

  request.before_wanted = mode == ChangesMode::kFull;
  const std::optional<state::RevisionNumber> expected = request.context.expected_revision;
  Outcome<state::CommitResult> result;
  if (request.prune_prefix) {
    const state::WriteContext context = request.context;
    result = guarded_write(call, where, context, [&](const state::WriteContext& with) {
      state::ApplyRequest attempt = request;
      attempt.context = with;
      return call.store().apply(std::move(attempt));
    });
  } else if (call.later != nullptr) {
    // No thread waits for the disk: the commit's answer comes with what makes the reply.
    auto pending =
        std::make_shared<PendingReply>(PendingReply{call.later->keep(), where, std::move(kept), mode, expected});
    call.store().begin_apply(std::move(request), [pending](state::Store::FinishApply finish) {
      // What is handed on stays so small that it needs no memory: this is the writer's thread, for which others wait.
      pending->finish = std::move(finish);
      pending->call->deliver([pending](Call& kept_call) {
        return write_reply(kept_call, pending->where, outcome_of(pending->finish()), pending->mode, &pending->documents,
                           pending->expected);
      });
    });
    return replied_later();
  } else {
    result = outcome_of(call.store().apply(std::move(request)));
  }
  return write_reply(call, where, result, mode, &kept, expected);
}

Reply apply(Call& call) {
  Query query(call.request);
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(wire::ApplyBody body, wire::parse_apply(call.request.body));
  ST8_API_ASSIGN(Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where));
  if (body.documents.empty() && body.unset.empty() && !body.prune) {
    return problem(ErrorCode::kInvalidArgument, "an apply needs at least one document",
                   "Give `documents`, `unset` or `prune`.");
  }
  if (body.documents.size() + body.unset.size() > state::Limits::kDocumentsPerApplyMax) {
    return problem(ErrorCode::kTooLarge,
                   "one apply changes at most " + std::to_string(state::Limits::kDocumentsPerApplyMax) + " documents",
                   "Send it in several requests.");
  }
  state::ApplyRequest request{where.name_space,     where.branch, {}, {}, body.unset_missing_ok, body.prune, {},
                              state::Cause::kApply, "",           {}};
  request.documents.reserve(body.documents.size());
  for (wire::DocumentBody& document : body.documents) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(document.key));
    request.documents.push_back(state::Document{std::move(key), std::move(document.content)});
  }
  ST8_API_ASSIGN(request.unset, parse_keys(body.unset));
  ST8_API_ASSIGN(request.context, write_context(call, body.write, "apply"));
  return run(call, where, std::move(request), mode);
}

Reply unset(Call& call) {
  Query query(call.request);
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::UnsetBody body, wire::parse_unset(call.request.body));
  ST8_API_ASSIGN(Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where));
  if (body.keys.empty()) return problem(ErrorCode::kInvalidArgument, "an unset needs at least one key", "Give `keys`.");
  if (body.keys.size() > state::Limits::kDocumentsPerApplyMax) {
    return problem(ErrorCode::kTooLarge,
                   "one unset deletes at most " + std::to_string(state::Limits::kDocumentsPerApplyMax) + " documents",
                   "Send it in several requests.");
  }
  state::ApplyRequest request{where.name_space,     where.branch, {}, {}, body.missing_ok, std::nullopt, {},
                              state::Cause::kApply, "",           {}};
  ST8_API_ASSIGN(request.unset, parse_keys(body.keys));
  ST8_API_ASSIGN(request.context, write_context(call, body.write, "unset"));
  return run(call, where, std::move(request), mode);
}

}  // namespace

void add_apply_routes(Router& router) {
  router.add({"POST", "/v1/apply", Access::kWrite, BodyKind::kJson, "apply", apply, true});
  router.add({"POST", "/v1/unset", Access::kWrite, BodyKind::kJson, "unset", unset, true});
}

}  // namespace st8::api
