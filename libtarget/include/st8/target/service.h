// The rollout service: what st8d holds. It hears of every operation of the store, and when a branch's head moves that a
// policy names, takes the new revision live: planner → executor → drivers → read-back → events → ledger.
//
// Threads: one that decides (and does nothing slow but write to the store), and a crew of at most `effect_threads` that
// talk to targets. Every method may be called from any thread. Reads are answered from memory, or from the store's records.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "st8/state/store.h"
#include "st8/target/ledger.h"
#include "st8/target/planner.h"
#include "st8/target/quarantine.h"
#include "st8/target/rollout.h"
#include "st8/target/sealing.h"
#include "st8/target/target.h"

namespace st8::target {

struct RolloutSummary {
  RolloutId id;
  std::string name_space;
  std::string branch;
  state::RevisionNumber revision;
  RolloutPhase phase = RolloutPhase::kPending;
  std::string reason;       // Why it is where it is.
  std::string waiting_for;  // Of an open one.
  PlanHash plan;
  std::uint32_t targets = 0;
  std::uint32_t targets_activated = 0;  // Read back with the planned content.
  std::uint32_t targets_failed = 0;
  std::uint32_t targets_touched = 0;  // Ever, in this rollout: its blast radius.
  std::uint32_t waves = 0;
  std::uint32_t wave = 0;          // The current one, from 0.
  state::RevisionNumber appended;  // By its rollback; 0: none.
  Timestamp created_at;
  Timestamp started_at;  // 0: not yet.
  Timestamp ended_at;    // 0: not yet.
};
std::string encode_summary(const RolloutSummary& summary);
Result<RolloutSummary> decode_summary(std::string_view bytes);

// Where a rollout stands, and its plan.
struct RolloutStanding {
  RolloutSummary summary;
  std::shared_ptr<const Plan> plan;
};
// A rollout at one instant.
struct RolloutView {
  RolloutSummary summary;
  std::shared_ptr<const Plan> plan;
  RolloutState state;
};
struct RolloutDetail {
  RolloutView view;
  std::vector<RolloutEvent> events;
};

struct RolloutAction {
  enum class Kind : std::uint8_t { kPause, kResume, kPromote, kPromoteFull, kAbort, kRetry, kApprove, kReject };
  Kind kind = Kind::kPause;
  std::string actor;
  std::string reason;
  PlanHash plan;           // Of kApprove: what was looked at.
  bool anonymous = false;  // Nobody is authenticated, so `actor` tells nobody from another.
};

// What is supposed, for a simulation: a revision that exists, with something laid over it that was never applied.
struct Hypothesis {
  std::optional<state::RevisionNumber>
      revision;                            // nullopt: the branch's head, or nothing when there is no such branch.
  std::optional<std::string> policy;       // In the place of the revision's own.
  std::vector<state::Document> documents;  // Written.
  std::vector<state::DocumentKey> unset;   // Taken away.
  std::string author;
  // Whether sealed values are opened when something is laid over: the content's hash tells about them to who can guess.
  bool opens_sealed = false;
};
struct Simulation {
  Plan plan;
  std::vector<std::string> waits;  // What such a rollout would wait for now, or be refused for.
};

// Where a branch with a policy stands.
struct BranchStatus {
  state::RevisionNumber desired;    // The head that was last looked at.
  state::RevisionNumber promoted;   // 0: none.
  RolloutId rollout;                // Open, or the last one; 0: none.
  std::string problem;              // Why the desired revision cannot be planned; empty: it can.
  std::vector<TargetName> targets;  // The policy chose them for it.
};

// What the newest look at a target found, and when: kept in memory, so that a request waits for no target.
struct TargetHealth {
  enum class State : std::uint8_t { kInSync = 0, kAltered = 1, kMissing = 2, kUnreachable = 3 };
  State state = State::kInSync;
  Timestamp looked_at;
  Timestamp since;             // It has been in this state.
  std::uint32_t failures = 0;  // Looks in a row that got no answer.
  std::uint32_t repairs = 0;   // Begun since it was last in sync.
  std::string detail;
};
std::string_view health_state_name(TargetHealth::State state);

struct LiveEntry {
  LedgerEntry entry;
  state::RevisionNumber desired;  // The head of the branch.
  std::string state;  // "promoted" or "activated"; "altered", "missing" or "unreachable" where that was found since.
  std::optional<Timestamp> observed_at;  // When it was last read back.
};
struct LiveQuery {
  std::string name_space, branch, target;  // Empty: all.
  std::optional<Timestamp> at;             // From the ledger; nullopt: now.
};

struct TargetView {
  Target target;
  std::optional<LiveEntry> live;
  RolloutId held_by;                      // 0: free.
  std::vector<DocumentProblem> problems;  // Of its document: then it takes no content.
  std::string worker;                     // Who reaches it; empty: it is of another kind.
};

// What a driver said when it was asked whether its target can be reached and would take content.
struct TargetCheck {
  TargetName name;
  Status status;
  std::chrono::milliseconds took{0};
};

struct RolloutQuery {
  std::string name_space, branch;  // Empty: all.
  bool open_only = false;
  std::uint64_t before = 0;  // Paging: ids below this one; 0: from the newest.
  std::size_t limit = 20;
};
struct RolloutPage {
  std::vector<RolloutSummary> rollouts;  // Newest first.
  std::uint64_t next = 0;                // Pass as `before`; 0: the end.
};

struct ServiceOptions {
  std::size_t effect_threads = 32;              // At most; they are made when needed.
  std::chrono::milliseconds drain{5'000};       // How long stop() waits for effects before it cancels them.
  const DriverFactory* drivers = nullptr;       // nullptr: builtin_drivers().
  std::shared_ptr<const Keyring> sealing_keys;  // Null: sealed values go nowhere, and plans that need one say so.
  bool passive = false;  // Reads what is recorded, guards and validates; takes nothing live, does no verbs.
  bool observe = true;   // The loop that looks for drift.
  // Called when some rollout may have got further, from the thread that decides: it must return soon. May be null.
  std::function<void()> changed;
};

class RolloutService final : public state::OperationListener, public state::CommitGuard {
 public:
  // Borrows both; they outlive stop(). Set it as the store's listener and guard before the first write.
  RolloutService(state::Store& store, const Clock& clock, ServiceOptions options = {});
  ~RolloutService() override;  // stop()

  // Takes up what was left behind, then runs. Errors: those of reading the records.
  Status start();
  // Begins nothing new, lets effects end for options.drain, cancels the rest; what was cut short runs again at the next
  // start. Safe to call twice.
  void stop();

  // OperationListener.
  void on_operation(const state::NamespaceName& name_space, const state::Operation& operation) override;
  // CommitGuard: refuses what would bring a quarantined change back, and policies and targets that validate_documents()
  // would refuse, whatever brings them. A rollback alone may bring a policy that names targets which are gone: its plan
  // leaves them out, and says so.
  Status check(const state::ProposedCommit& commit) const override;
  std::vector<std::string> looks_at(const state::NamespaceName& name_space,
                                    const state::BranchName& branch) const override;

  // For whoever submits an apply, to be told before it is queued: policies and targets among its documents must be good, and the targets that a policy names
  // must exist or be in the same apply. Errors: kUnprocessable, with file, line, path and suggestion.
  Status validate_documents(const state::NamespaceName& name_space,
                            const std::vector<state::Document>& documents) const;

  Result<RolloutPage> list(const RolloutQuery& query) const;
  Result<RolloutDetail> get(RolloutId id) const;
  // Its events behind one, in their order, at most `limit`. Empty: there are none yet, or there is no such rollout.
  Result<std::vector<RolloutEvent>> events(RolloutId id, std::uint64_t after, std::size_t limit) const;
  // Where it stands, and its plan, without its events. Errors: kNotFound.
  Result<RolloutStanding> summary(RolloutId id) const;
  Result<std::vector<LiveEntry>> live(const LiveQuery& query) const;
  Result<std::vector<TargetView>> targets() const;
  Result<TargetView> target(const TargetName& name) const;
  // What a rollout of the branch's head (or of a revision) would do now. Changes nothing.
  Result<Plan> plan(const state::NamespaceName& name_space, const state::BranchName& branch,
                    std::optional<state::RevisionNumber> revision) const;
  // The same of what is only supposed. Changes nothing. Errors: as plan().
  Result<Simulation> simulate(const state::NamespaceName& name_space, const state::BranchName& branch,
                              const Hypothesis& hypothesis) const;
  struct BranchEntry {
    std::string name_space, branch;
    BranchStatus status;
  };
  std::vector<BranchEntry> branches() const;
  // What is live now and what each branch wants, as they were at one instant.
  struct Live {
    std::vector<LiveEntry> targets;
    std::vector<BranchEntry> branches;
  };
  Live live_now(const LiveQuery& query) const;  // `query.at` is not looked at; a query by target has no branches.
  // The newest look at each live target.
  std::vector<std::pair<TargetName, TargetHealth>> health() const;
  // Asks targets, a few at once, whether they can be reached and would take content; changes nothing. In the order of `names`.
  // Errors: kUnavailable (ending, or passive); what is wrong with a target stands in its status.
  Result<std::vector<TargetCheck>> check_targets(const std::vector<TargetName>& names,
                                                 std::chrono::milliseconds timeout_each) const;
  // Looks at a target now, and brings it back to what is promoted when it is not, whatever the policy says of drift. Errors:
  // kNotFound (nothing is promoted there), kConflict (a rollout holds it), those of the driver.
  Result<TargetHealth> reconcile(const TargetName& name);

  Result<RolloutSummary> act(RolloutId id, const RolloutAction& action);
  Status freeze(const std::string& scope, const std::string& actor, const std::string& reason);
  Status unfreeze(const std::string& scope);
  std::vector<Freeze> freezes() const;
  std::vector<Quarantine> quarantined() const;
  Result<std::size_t> release(const std::string& name_space, const std::string& key_or_rollout);

  // Revisions that gc must keep: live on a target, promoted, or in a rollout that is not over.
  std::vector<std::pair<state::NamespaceName, state::RevisionNumber>> pinned() const;

  // Waits until nothing is open or to be planned, for at most this long. For tests and the demo.
  bool wait_until_settled(std::chrono::milliseconds most) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace st8::target
