// /v1/policy: what is wrong with a policy, and what would happen under it. Both change nothing.
#include <algorithm>

#include "api/access.h"
#include "api/handlers_rollouts.h"
#include "st8/target/lint.h"
#include "wire/json.h"
#include "wire/requests.h"

namespace st8::api {
namespace {

using target::RolloutService;
using wire::JsonWriter;

constexpr std::size_t kPage = 1000;
// Beyond so many documents their keys are not looked at: every one would be held in memory for one answer.
constexpr std::size_t kKeysMax = 100'000;

bool sees_targets(const Call& call) {
  const auto system = where_of(target::kSystemNamespace, "main");
  return call.principal->all_keys() && system && allow(call, auth::Verb::kRead, *system).has_value();
}

Outcome<std::vector<std::string>> branches_of(const Call& call, const state::NamespaceName& name_space) {
  std::vector<std::string> names;
  for (;;) {
    auto page =
        call.store().branches(name_space, names.empty() ? std::string_view() : std::string_view(names.back()), kPage);
    if (!page) {
      if (page.error().code == ErrorCode::kNotFound) return names;
      return tl::unexpected<wire::Problem>(wire::Problem(std::move(page).error()));
    }
    for (const state::BranchInfo& branch : *page) names.push_back(branch.name.str());
    if (page->size() < kPage) return names;
  }
}

// What the caller may know, and no more: what is hidden is not spoken of by the rules that would need it.
Outcome<target::LintFacts> facts_for(const Call& call, const Where& where, const RolloutService& rollouts,
                                     const std::optional<state::View>& view) {
  target::LintFacts facts;
  facts.name_space = where.name_space.str();
  facts.branch = where.branch.str();
  facts.now = call.context.clock.now();
  if (sees_targets(call)) {
    ST8_API_ASSIGN(const std::vector<target::TargetView> views, rollouts.targets());
    facts.targets.emplace();
    for (const target::TargetView& one : views) facts.targets->push_back(one.target);
  }
  if (call.principal->all_branches()) {
    ST8_API_ASSIGN(facts.branches, branches_of(call, where.name_space));
  }
  if (view && call.principal->all_keys()) {
    facts.keys.emplace();
    ST8_API_TRY(view->for_each("", [&](const state::Entry& entry) {
      facts.keys->push_back(entry.key.str());
      return facts.keys->size() <= kKeysMax;
    }));
    if (facts.keys->size() > kKeysMax) facts.keys.reset();
  }
  facts.branch_exists = [&call](const target::Dependency& dependency) {
    const auto other = where_of(dependency.name_space, dependency.branch);
    // Of what the caller may not see nothing is said.
    if (!other || !allow(call, auth::Verb::kRead, *other)) return true;
    return call.store().branch(other->name_space, other->branch).has_value();
  };
  return facts;
}

Reply lint(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::PolicyLintBody body, wire::parse_policy_lint(call.request.body));
  ST8_API_ASSIGN(const Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  std::optional<state::View> view;
  if (!body.policy || !body.at.empty() || call.store().branch(where.name_space, where.branch)) {
    ST8_API_ASSIGN(const state::Selector selector, selector_of(call, {0, "", body.at}));
    ST8_API_ASSIGN(view, view_allowed(call, auth::Verb::kRead, where, selector));
  }
  std::string text;
  if (body.policy) {
    text = *body.policy;
  } else {
    ST8_API_ASSIGN(const state::DocumentKey key, state::DocumentKey::parse(target::kPolicyKey));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where, key));
    ST8_API_ASSIGN(std::optional<std::string> stored, view->get(key));
    if (!stored) {
      return problem(ErrorCode::kNotFound,
                     "revision " + std::to_string(view->revision().value) + " of " + where.name_space.str() +
                         " has no " + key.str(),
                     "give the `policy` itself, or apply one");
    }
    text = std::move(*stored);
  }
  ST8_API_ASSIGN(const target::LintFacts facts, facts_for(call, where, rollouts, view));
  const std::vector<target::Finding> findings = target::lint_policy(text, facts);
  const auto errors =
      static_cast<std::uint64_t>(std::count_if(findings.begin(), findings.end(), [](const target::Finding& finding) {
        return finding.severity == target::Severity::kError;
      }));
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("namespace", where.name_space.str()).field("branch", where.branch.str());
  if (view) out.field("revision", view->revision().value);
  out.field("errors", errors).field("warnings", findings.size() - errors);
  out.key("findings").begin_array();
  for (const target::Finding& finding : findings) {
    out.begin_object()
        .field("severity", target::severity_name(finding.severity))
        .field("rule", finding.rule)
        .field("file", finding.problem.file)
        .field("line", static_cast<std::uint64_t>(std::max(0, finding.problem.line)))
        .field("path", finding.problem.path)
        .field("message", finding.problem.message)
        .field("suggestion", finding.problem.suggestion)
        .end_object();
  }
  out.end_array();
  out.key("looked_at")
      .begin_object()
      .field("targets", facts.targets.has_value())
      .field("branches", facts.branches.has_value())
      .field("documents", facts.keys.has_value())
      .end_object();
  out.end_object();
  return json_response(std::move(answer));
}

Reply simulate(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(wire::PolicySimulateBody body, wire::parse_policy_simulate(call.request.body));
  ST8_API_ASSIGN(const Where where, where_of(body.scope));
  // The answer's hashes are made of every document that would go live, rendered: of all keys, then.
  ST8_API_TRY(allow_all_keys(call, auth::Verb::kRead, where, "a simulation"));
  target::Hypothesis hypothesis;
  hypothesis.author = call.principal->name;
  hypothesis.opens_sealed = allow(call, auth::Verb::kWrite, where).has_value();
  if (!body.at.empty()) {
    ST8_API_ASSIGN(const state::Selector selector, selector_of(call, {0, "", body.at}));
    ST8_API_ASSIGN(const state::Revision revision, resolve_allowed(call, auth::Verb::kRead, where, selector));
    hypothesis.revision = revision.number;
  }
  hypothesis.policy = std::move(body.policy);
  for (wire::DocumentBody& document : body.documents) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(document.key));
    hypothesis.documents.push_back({std::move(key), std::move(document.content)});
  }
  for (const std::string& text : body.unset) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(text));
    hypothesis.unset.push_back(std::move(key));
  }
  const bool supposed = hypothesis.policy || !hypothesis.documents.empty() || !hypothesis.unset.empty();
  ST8_API_ASSIGN(const target::Simulation simulation, rollouts.simulate(where.name_space, where.branch, hypothesis));
  std::string answer;
  JsonWriter out(answer);
  out.begin_object().field("supposed", supposed).key("waits_for").begin_array();
  for (const std::string& wait : simulation.waits) out.string(wait);
  out.end_array().key("plan");
  write_plan(out, simulation.plan, true);
  out.end_object();
  return json_response(std::move(answer));
}

}  // namespace

void add_policy_routes(Router& router, const RolloutService& rollouts) {
  router.add({"POST", "/v1/policy/lint", Access::kRead, BodyKind::kJson, "policy_lint",
              [&rollouts](Call& call) { return lint(call, rollouts); }});
  router.add({"POST", "/v1/policy/simulate", Access::kRead, BodyKind::kJson, "policy_simulate",
              [&rollouts](Call& call) { return simulate(call, rollouts); }});
}

}  // namespace st8::api
