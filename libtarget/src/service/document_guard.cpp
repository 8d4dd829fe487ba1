#include "service/document_guard.h"

#include <algorithm>

#include "service/target_documents.h"

namespace st8::target {
namespace {

// Speed only: when there are more, all are forgotten.
constexpr std::size_t kPoliciesMax = 64;
constexpr std::size_t kTargetsMax = 65'536;

DocumentProblem bad_name(const std::string& key) {
  return {key, 0, "", "a target's document is targets/<name>.yaml, its name 1 to 63 of a-z, 0-9, '.', '_' and '-'", ""};
}

bool is_target_document(const state::NamespaceName& name_space, std::string_view key) {
  return name_space.view() == kSystemNamespace && key.starts_with(kTargetPrefix);
}

}  // namespace

std::shared_ptr<const DocumentGuard::ReadPolicy> DocumentGuard::known_policy(const Hash& hash) const {
  const std::lock_guard lock(mutex_);
  const auto found = policies_.find(hash);
  return found == policies_.end() ? nullptr : found->second;
}

std::shared_ptr<const DocumentGuard::ReadPolicy> DocumentGuard::read_policy(const Hash& hash,
                                                                            const std::string& text) const {
  if (auto known = known_policy(hash)) return known;
  auto read = std::make_shared<ReadPolicy>();
  read->policy = parse_policy(text, read->problems);
  const std::lock_guard lock(mutex_);
  if (policies_.size() >= kPoliciesMax) policies_.clear();
  return policies_.insert_or_assign(hash, std::move(read)).first->second;
}

bool DocumentGuard::known_target(const Hash& hash) const {
  const std::lock_guard lock(mutex_);
  return targets_.contains(hash);
}

void DocumentGuard::read_target_document(const std::string& key, const Hash& hash, const std::string& text,
                                         std::vector<DocumentProblem>& problems) const {
  const auto name = target_of_key(key);
  if (!name) {
    problems.push_back(bad_name(key));
    return;
  }
  if (known_target(hash) || !parse_target(*name, text, problems)) return;
  const std::lock_guard lock(mutex_);
  if (targets_.size() >= kTargetsMax) targets_.clear();
  targets_.insert(hash);
}

// `made` and `unmade`: keys of targets' documents that the same change brings, or takes away.
Status DocumentGuard::check_names(const Policy& policy, const std::string& text, const std::set<std::string>& made,
                                  const std::set<std::string>& unmade, std::vector<DocumentProblem>& problems) const {
  if (policy.targets.names.empty()) return {};
  ST8_ASSIGN(const auto ns, state::NamespaceName::parse(kSystemNamespace));
  ST8_ASSIGN(const auto main, state::BranchName::parse("main"));
  std::optional<state::View> view;
  if (auto found = store_.view(ns, main, state::Selector::head())) {
    view.emplace(std::move(*found));
  } else if (found.error().code != ErrorCode::kNotFound) {
    return fail(found.error());
  }
  bool all = true;
  for (const TargetName& name : policy.targets.names) {
    const std::string key = std::string(kTargetPrefix) + name.str() + ".yaml";
    if (made.contains(key)) continue;
    ST8_ASSIGN(const auto parsed, state::DocumentKey::parse(key));
    if (view && !unmade.contains(key)) {
      ST8_ASSIGN(const auto found, view->find(parsed));
      if (found) continue;
    }
    all = false;
    break;
  }
  if (all) return {};
  // Only a refusal needs all names, to say which was meant.
  std::vector<TargetName> known;
  const auto add = [&](const std::string& key) {
    if (auto name = target_of_key(key)) known.push_back(std::move(*name));
  };
  if (view) {
    ST8_TRY(view->for_each(kTargetPrefix, [&](const state::Entry& entry) {
      if (!unmade.contains(entry.key.str())) add(entry.key.str());
      return true;
    }));
  }
  for (const std::string& key : made) add(key);
  check_policy_targets(policy, text, known, problems);
  return {};
}

Status DocumentGuard::validate(const state::NamespaceName& name_space,
                               const std::vector<state::Document>& documents) const {
  std::vector<DocumentProblem> problems;
  std::set<std::string> made;
  for (const state::Document& document : documents) {
    if (!is_target_document(name_space, document.key.view())) continue;
    made.insert(document.key.str());
    read_target_document(document.key.str(), Hash::of(document.content), document.content, problems);
  }
  for (const state::Document& document : documents) {
    if (document.key.view() != kPolicyKey) continue;
    const auto read = read_policy(Hash::of(document.content), document.content);
    problems.insert(problems.end(), read->problems.begin(), read->problems.end());
    if (read->policy) ST8_TRY(check_names(*read->policy, document.content, made, {}, problems));
  }
  if (!problems.empty()) return fail(as_error(problems));
  return {};
}

Status DocumentGuard::check(const state::ProposedCommit& commit) const {
  std::vector<DocumentProblem> problems;
  std::set<std::string> made, unmade;
  const state::Change* policy = nullptr;
  for (const state::Change& change : commit.changes) {
    if (change.key.view() == kPolicyKey && change.after) policy = &change;
    if (!is_target_document(commit.name_space, change.key.view())) continue;
    (change.after ? made : unmade).insert(change.key.str());
    if (!change.after || (known_target(change.after->hash) && target_of_key(change.key.view()))) continue;
    ST8_ASSIGN(const std::string text, commit.content.read(change.key, *change.after));
    read_target_document(change.key.str(), change.after->hash, text, problems);
  }
  if (policy != nullptr) {
    auto read = known_policy(policy->after->hash);
    std::string text;
    if (read == nullptr || !read->policy || !read->policy->targets.names.empty()) {
      ST8_ASSIGN(text, commit.content.read(policy->key, *policy->after));
    }
    if (read == nullptr) read = read_policy(policy->after->hash, text);
    problems.insert(problems.end(), read->problems.begin(), read->problems.end());
    if (read->policy && commit.cause != state::Cause::kRollback)
      ST8_TRY(check_names(*read->policy, text, made, unmade, problems));
  }
  if (problems.empty()) return {};
  Error error = as_error(problems);
  std::string way;
  switch (commit.cause) {
    case state::Cause::kRollback:
    case state::Cause::kRestore: {
      std::set<std::string> files;
      for (const DocumentProblem& problem : problems) files.insert(problem.file);
      way = "to leave what the head has in its place, add";
      for (const std::string& file : files) way += " --keep " + file;
      break;
    }
    case state::Cause::kMerge:
    case state::Cause::kCherryPick:
      way = "mend it where it comes from, and take it again";
      break;
    case state::Cause::kRevert:
      way = "mend it by an apply, or go back to a revision with `st8ctl rollback`";
      break;
    default:
      return fail(std::move(error));
  }
  error.message = "this " + std::string(state::cause_name(commit.cause)) +
                  " would bring a document that is not good: " + error.message;
  if (error.hint.ends_with('?')) {
    way.front() = static_cast<char>(way.front() - 'a' + 'A');
    way.insert(0, error.hint + " ");
  } else if (!error.hint.empty()) {
    way.insert(0, error.hint + "; ");
  }
  error.hint = std::move(way);
  return fail(std::move(error));
}

}  // namespace st8::target
