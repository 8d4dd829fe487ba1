// What Store hides. Methods of Store are defined where their subject is: writes in pipeline/store.cpp, reads in
// query/store_reads.cpp, merging in merge/, upkeep in maintenance/.
#pragma once

#include <mutex>

#include "pipeline/ahead_reader.h"
#include "pipeline/commands.h"
#include "pipeline/commit_queue.h"
#include "pipeline/committer.h"
#include "pipeline/notifier.h"
#include "pipeline/store_core.h"
#include "st8/state/store.h"

namespace st8::state {

class Store::Impl final : public RecordStore {
 public:
  Impl(std::unique_ptr<Engine> engine, const Clock& clock, const StoreOptions& options);

  // Queues the command and waits for its answer; see pipeline/commands.h for what is to be called before.
  Status submit(pipeline::Command& command);
  // As submit(), without waiting.
  Status begin(pipeline::Command& command);
  class BegunApply;
  // Turns an answered apply into its result.
  Result<CommitResult> finish(ApplyRequest request, pipeline::ApplyCommand& command);
  // For an apply that is alone: begins to read what its document was before. Others share their syncs, and wait for those.
  void read_before_ahead(const ApplyRequest& request);
  // Gives the result its contents, and keeps what was written at hand for who changes it next.
  void give_contents(ApplyRequest& request, CommitResult& result);
  // As that, of many documents, unless they are too much.
  void keep_contents(std::vector<Document>& documents, const std::vector<Change>& changes);
  // Turns a commit command's answer into the result, replays included.
  Result<CommitResult> render(const NamespaceName& ns, pipeline::CommitAnswer answer);

  // The lookup of a namespace, existing or not.
  Result<pipeline::ReaderLookup> lookup(const NamespaceName& ns);
  // A view of a revision; `pin` was entered before the revision was resolved. Errors: kGone.
  Result<View> view(const NamespaceName& ns, const pipeline::ReaderLookup& lookup,
                    const query::RevisionPointer& revision, pipeline::Pin pin);

  // RecordStore.
  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<std::vector<Record>> scan(std::string_view prefix, std::string_view after, std::size_t limit) const override;
  Status commit(std::vector<RecordWrite> writes, std::vector<RecordExpectation> expectations) override;

  Status check_listeners() const;

  pipeline::StoreCore core;
  pipeline::AheadReader ahead;
  pipeline::Notifier notifier;  // Outlives the queue: the last groups are told of.
  pipeline::Committer committer;
  pipeline::CommitQueue queue;
  std::mutex gc_running;  // Held through a run of gc.
};

}  // namespace st8::state
