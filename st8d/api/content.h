// From the store's types to the wire's: what changed, with its contents, and the records of revisions, branches and names.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"
#include "wire/responses.h"

namespace st8::api {

// An answer holds at most so many bytes of contents; beyond, contents are left out and it says so. What pages is cut there instead.
inline constexpr std::size_t kContentBytesMax = 32u << 20;
inline constexpr std::size_t kChangesMax = 100'000;
inline constexpr std::size_t kChangesPerLogEntryMax = 1'000;

// Reads the contents of changes. Keeps count of what it has read over one answer.
class ContentReader {
 public:
  ContentReader(const state::Store& store, state::NamespaceName name_space)
      : store_(store), name_space_(std::move(name_space)) {}

  // What the changes wrote (their `after`), where the caller has it at hand; the documents outlive the reader.
  void know(const std::vector<state::Document>& documents);
  // What is gathered from here on is kept in memory for a while: for answers that are likely to be asked for again.
  void keep() { keeps_ = true; }

  // The change for the wire; with kFull its contents too. Contents that gc has dropped are left out (their hashes stay). Errors: kCorrupt.
  Result<wire::ChangeBody> change(const state::Change& change, ChangesMode mode);
  // Writes it as wire::write_change() would, without a copy of the contents. `given` is what the caller has of them; or null.
  Status write(wire::JsonWriter& out, const state::Change& change, ChangesMode mode,
               const state::ChangeContents* given);
  // As change(), for all, in order; stops adding contents when the answer is full.
  Result<std::vector<wire::ChangeBody>> changes(const std::vector<state::Change>& changes, ChangesMode mode);

  // What the changes' contents are, as far as they are small, read together; what is in `given` (by position) is not read.
  Result<std::vector<state::ChangeContents>> gather(std::span<const state::Change> changes,
                                                    std::span<const state::ChangeContents> given);

  bool full() const { return bytes_ >= kContentBytesMax; }
  bool left_out() const { return left_out_; }

 private:
  Status open();  // view_, once.
  const state::Document* known(const state::DocumentKey& key) const;
  // One side of a change. `given` and `known` are where it may be at hand, or null; else it is read into `room`. nullopt: left out.
  using Content = std::optional<std::string_view>;
  Result<Content> content(const state::DocumentKey& key, const state::DocumentRef& ref, const std::string* given,
                          const state::Document* known, std::string& room);

  const state::Store& store_;
  state::NamespaceName name_space_;
  std::optional<state::View> view_;            // Any view of the namespace reads any body of it.
  std::vector<const state::Document*> known_;  // In key order.
  std::size_t bytes_ = 0;
  bool left_out_ = false;
  bool keeps_ = false;
};

// How many of the changes, from the first on, an answer has room for with their contents.
std::size_t changes_that_fit(const std::vector<state::Change>& changes);

// Of the first `count` changes, both sides.
std::size_t content_bytes(const std::vector<state::Change>& changes, std::size_t count);

// The first `count` changes for the wire's `rendered_changes`, the first `with_contents` of them with their contents, read and
// rendered on several threads where they are many. `reader` is as it is for one that begins; `given` is what is at hand of the
// contents, or empty.
Result<std::vector<std::string>> render_changes(const Helpers& helpers, ContentReader reader,
                                                const std::vector<state::Change>& changes, std::size_t count,
                                                std::size_t with_contents,
                                                const std::vector<state::ChangeContents>& given = {});

// A log entry without its changes.
wire::LogEntryBody log_entry_body(const state::Revision& revision);
wire::BranchBody branch_body(const state::BranchInfo& branch, const state::BranchName* current);
wire::CheckpointBody checkpoint_body(const state::CheckpointInfo& checkpoint);
wire::NamespaceBody namespace_body(const state::NamespaceInfo& name_space);
wire::OperationBody operation_body(const state::Operation& operation);

// The answer of a write, with its revision header, and what the metrics want to know of it.
Reply write_reply(Call& call, const Where& where, const Outcome<state::CommitResult>& result, ChangesMode mode,
                  const std::vector<state::Document>* documents, const std::optional<state::RevisionNumber>& expected);

// A failed write as a problem: a stale precondition says what was expected and what the head is.
wire::Problem write_problem(const Call& call, const Where& where, wire::Problem problem,
                            const std::optional<state::RevisionNumber>& expected);

}  // namespace st8::api
