// The coordinator: all rollouts of a store, their leases, the ledger, quarantine and freezes. It is driven by one thread (or
// by a simulation) through step(); nothing in it waits for a target.
//
// Level-triggered: it compares each branch's head with the revision that was last planned for it; what a wake-up was for, or
// whether one was lost, makes no difference.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "service/ports.h"
#include "service/snapshot_map.h"
#include "service/unfollowed.h"
#include "st8/state/record_store.h"
#include "st8/target/executor.h"
#include "st8/target/ledger.h"
#include "st8/target/quarantine.h"
#include "st8/target/service.h"

namespace st8::target {

class Coordinator {
 public:
  Coordinator(state::RecordStore& records, Source& source, EffectRunner& runner);

  // Reads what was left behind, and takes up every rollout that is not over: its leases under new tokens, its effects again.
  Status recover(Timestamp now);
  // Reads what was left behind, for readers alone: nothing is written, and step() must not be called.
  Status read_only();

  void branch_moved(BranchId branch) { dirty_.insert(std::move(branch)); }
  // What need not be told to branch_moved(). Whoever drives this says there what changes branches. Thread-safe.
  UnfollowedBranches& unfollowed() { return unfollowed_; }
  Status all_moved();
  void take(RolloutId rollout, const EffectResult& result, Timestamp now);

  // Does all that is to be done now. When to be called again, if nothing happens before. Errors do not come out: what
  // cannot be written now is tried again after a second.
  std::optional<Timestamp> step(Timestamp now);

  // Makes durable what take() was told, and decides nothing: for an end in good order.
  void write_down(Timestamp now);

  // Verbs. Durable when they return. Errors: kUnavailable while the records cannot be written, and what each says.
  Status act(RolloutId rollout, const RolloutAction& action, Timestamp now);
  Status freeze(const Freeze& freeze);
  Status unfreeze(const std::string& scope);
  // Releases the quarantine of one key, or of a whole rollout. The number released. Errors: kNotFound.
  Result<std::size_t> release(const std::string& name_space, const std::string& key_or_rollout);
  // Something else than what is live was found at a target: it is brought back, unless a rollout is under way there.
  // Errors: kNotFound, kConflict.
  Status drifted(const TargetName& target);
  // The plan that the head (or another revision) of a branch would get now. Changes nothing.
  Result<Plan> plan_for(const BranchId& branch, std::optional<state::RevisionNumber> revision, Timestamp now);
  // The plan that what is supposed would get now, and what it would wait for. Changes nothing.
  Result<Simulation> simulate(const BranchId& branch, const Hypothesis& hypothesis, Timestamp now);

  // What readers see; replaced as a whole after each durable step, so any thread may hold one for as long as it likes. A step
  // copies what it changed, not what there is.
  struct Published {
    MapSnapshot<RolloutId, RolloutStanding> open;
    MapSnapshot<TargetName, LedgerEntry> live;
    MapSnapshot<std::string, Quarantine> quarantine;  // By record key.
    MapSnapshot<std::string, Freeze> freezes;         // By scope.
    MapSnapshot<BranchId, BranchStatus> branches;
    MapSnapshot<BranchId, std::shared_ptr<const Policy>> policies;  // Of what is promoted.
  };
  std::shared_ptr<const Published> published() const;

  std::size_t open_rollouts() const { return active_.size(); }
  const Executor* executor(RolloutId id) const;  // For the simulation.

 private:
  struct Active {
    RolloutId id;
    std::unique_ptr<Executor> executor;
    CancelFlag cancel_operations = std::make_shared<std::atomic<bool>>(false);
    std::uint64_t token = 0;
    std::string restore_point;
    std::string waiting;
    std::vector<RolloutEvent> events;  // Decided, not yet durable.
    std::vector<Effect> effects;       // To begin when they are.
    bool changed = true;
    bool replan = false;  // Its branch is planned anew when it ends.
  };
  // Writes gathered from what rollouts decided, and what becomes true in memory when they are durable.
  struct Group {
    std::vector<state::RecordWrite> writes;
    std::vector<std::function<void()>> then;
  };

  Status read_records();
  Status load_open(Timestamp now);
  Result<std::unique_ptr<Active>> load(RolloutId id, Timestamp now);
  void reload_all(Timestamp now);
  Status consider(const BranchId& branch, Timestamp now, Group& group);
  // Drops what is known of a branch of the same name in a namespace that was deleted since.
  Status forget_earlier_life(const BranchId& branch, const SourceHead& head, Group& group);
  Result<PlannerInput> gather(const BranchId& branch, const SourceHead& head, Policy policy, std::string policy_source,
                              Timestamp now);
  Surroundings surroundings_of(const Active& active, Timestamp now);
  // Of a plan, executed by that rollout or (0) by none yet; `pending`: its first wave has not begun.
  Surroundings surroundings_of(const Plan& plan, RolloutId rollout, bool pending, Timestamp now);
  bool stale(const Active& active, Timestamp now, std::string& why);
  void collect(Active& active, Group& group, Timestamp now);
  void collect_event(Active& active, const RolloutEvent& event, Group& group);
  void set_live(Group& group, const TargetName& target, std::optional<LedgerEntry> entry, Timestamp now);
  // Of those rollouts of which, but for what is released, nothing is in quarantine any more.
  void forget_quarantined_targets(std::set<RolloutId> rollouts, const std::set<std::string>& released,
                                  std::vector<state::RecordWrite>& writes) const;
  bool commit(Group group, Timestamp now);
  bool flush(Timestamp now);
  void dispatch(Active& active);
  // While what was decided could not be written, memory is ahead of what is stored: nothing is asked of it, and readers keep the
  // last picture, until all is read again. Errors: kUnavailable.
  Status check_durable() const;
  void publish();
  std::string quarantined(const BranchId& branch, const std::vector<SourceDocument>& documents,
                          const std::vector<TargetName>& targets) const;

  state::RecordStore& records_;
  Source& source_;
  EffectRunner& runner_;

  // What publish() takes snapshots of.
  SnapshotMap<RolloutId, RolloutStanding> open_;  // Of active_, as last published.
  SnapshotMap<TargetName, LedgerEntry> live_;
  SnapshotMap<std::string, Quarantine> quarantine_;  // By record key.
  SnapshotMap<std::string, Freeze> freezes_;         // By scope.
  SnapshotMap<BranchId, BranchStatus> status_;
  SnapshotMap<BranchId, std::shared_ptr<const Policy>> policies_;

  std::map<RolloutId, std::unique_ptr<Active>> active_;
  std::map<TargetName, records::Lease> leases_;
  std::map<BranchId, records::Planned> planned_;
  std::map<BranchId, records::Promoted> promoted_;
  std::map<BranchId, std::vector<Dependency>> dependencies_;
  UnfollowedBranches unfollowed_;
  std::set<TargetName> drifted_;
  std::map<BranchId, std::uint32_t> rollbacks_;  // Since the daemon began; weighs in a plan's risk.
  std::set<BranchId> dirty_;
  std::uint64_t sequence_ = 0;
  std::uint64_t fence_ = 0;
  std::optional<Timestamp> try_again_at_;   // The records could not be written: read all again then.
  std::optional<Timestamp> look_again_at_;  // A branch could not be read.
  std::set<BranchId> unread_;
  std::set<BranchId> targets_changed_;  // Branches to be planned anew though their heads did not move.

  mutable std::mutex published_mutex_;
  std::shared_ptr<const Published> published_ = std::make_shared<const Published>();
};

}  // namespace st8::target
