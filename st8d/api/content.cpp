#include "api/content.h"

#include <algorithm>

namespace st8::api {
namespace {

// Work of some hundred microseconds each: a thread takes a tenth of that to begin, and on a busy machine longer.
constexpr std::size_t kChangesAPart = 32;        // Read, checked and rendered.
constexpr std::size_t kBareChangesAPart = 1024;  // Keys and hashes.

constexpr std::size_t kChangeBytes =
    512;  // Of a rendered change without its contents, and room for the writer to work in.
constexpr std::size_t kReserveMax = 1u << 20;
// Larger contents are read one by one: many of them at once would be much to hold, and the search for one is little of its read.
constexpr std::size_t kGatheredBytesMax = 16u << 10;

}  // namespace

void ContentReader::know(const std::vector<state::Document>& documents) {
  for (const state::Document& document : documents) known_.push_back(&document);
  std::sort(known_.begin(), known_.end(),
            [](const state::Document* a, const state::Document* b) { return a->key < b->key; });
}

const state::Document* ContentReader::known(const state::DocumentKey& key) const {
  const auto known = std::lower_bound(
      known_.begin(), known_.end(), key,
      [](const state::Document* document, const state::DocumentKey& wanted) { return document->key < wanted; });
  return known != known_.end() && (*known)->key == key ? *known : nullptr;
}

Status ContentReader::open() {
  if (view_) return {};
  ST8_ASSIGN(state::View view, store_.view(name_space_, state::RevisionNumber{0}));
  view_.emplace(std::move(view));
  return {};
}

Result<std::vector<state::ChangeContents>> ContentReader::gather(std::span<const state::Change> changes,
                                                                 std::span<const state::ChangeContents> given) {
  std::vector<state::ChangeContents> gathered(changes.size());
  // Empty, and without memory, where all is given: that is every small commit's answer.
  std::vector<state::ContentPlace> places;
  std::vector<state::ContentPointer*> wanted;  // Of each place, where in `gathered` it goes.
  const auto want = [&](const state::Change& change, const state::DocumentRef& ref, state::ContentPointer& here) {
    if (here != nullptr || ref.size > kGatheredBytesMax) return;
    places.push_back({change.key.view(), ref});
    wanted.push_back(&here);
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const state::Change& change = changes[i];
    if (i < given.size()) gathered[i] = given[i];
    if (change.before) want(change, *change.before, gathered[i].before);
    if (change.after && known(change.key) == nullptr) want(change, *change.after, gathered[i].after);
  }
  if (places.empty()) return gathered;
  ST8_TRY(open());
  ST8_ASSIGN(std::vector<state::ContentPointer> contents, view_->read_all(places, keeps_));
  for (std::size_t i = 0; i < contents.size(); ++i) *wanted[i] = std::move(contents[i]);
  return gathered;
}

Result<ContentReader::Content> ContentReader::content(const state::DocumentKey& key, const state::DocumentRef& ref,
                                                      const std::string* given, const state::Document* known,
                                                      std::string& room) {
  if (full()) {
    left_out_ = true;
    return Content();
  }
  if (given == nullptr && known != nullptr && known->content.size() == ref.size) given = &known->content;
  if (given == nullptr) {
    ST8_TRY(open());
    Result<std::string> read = view_->read(key, ref);
    if (!read) {
      if (read.error().code == ErrorCode::kGone) return Content();
      return fail(std::move(read).error());
    }
    room = std::move(*read);
    given = &room;
  }
  bytes_ += given->size();
  return Content(*given);
}

Status ContentReader::write(wire::JsonWriter& out, const state::Change& change, ChangesMode mode,
                            const state::ChangeContents* given) {
  wire::ChangeView view{change.key.view(), state::change_type_name(change.type), {}, {}, {}, {}};
  std::string before_hash, after_hash, before, after;  // What the view looks at.
  if (change.before) {
    view.before_hash = before_hash = change.before->hash.hex();
    if (mode == ChangesMode::kFull) {
      const std::string* at_hand = given == nullptr ? nullptr : given->before.get();
      ST8_ASSIGN(view.before, content(change.key, *change.before, at_hand, nullptr, before));
    }
  }
  if (change.after) {
    view.after_hash = after_hash = change.after->hash.hex();
    if (mode == ChangesMode::kFull) {
      const std::string* at_hand = given == nullptr ? nullptr : given->after.get();
      ST8_ASSIGN(view.after, content(change.key, *change.after, at_hand, known(change.key), after));
    }
  }
  wire::write_change(out, view);
  return {};
}

Result<wire::ChangeBody> ContentReader::change(const state::Change& change, ChangesMode mode) {
  wire::ChangeBody body;
  body.key = change.key.str();
  body.type = std::string(state::change_type_name(change.type));
  // Content that was read is moved, and what was at hand copied.
  const auto take = [](const Content& found, std::string& room) -> std::optional<std::string> {
    if (!found) return std::nullopt;
    if (found->data() == room.data()) return std::move(room);
    return std::string(*found);
  };
  if (change.before) {
    body.before_hash = change.before->hash.hex();
    if (mode == ChangesMode::kFull) {
      std::string room;
      ST8_ASSIGN(const Content found, content(change.key, *change.before, nullptr, nullptr, room));
      body.before = take(found, room);
    }
  }
  if (change.after) {
    body.after_hash = change.after->hash.hex();
    if (mode == ChangesMode::kFull) {
      std::string room;
      ST8_ASSIGN(const Content found, content(change.key, *change.after, nullptr, known(change.key), room));
      body.after = take(found, room);
    }
  }
  return body;
}

Result<std::vector<wire::ChangeBody>> ContentReader::changes(const std::vector<state::Change>& changes,
                                                             ChangesMode mode) {
  std::vector<wire::ChangeBody> bodies;
  if (mode == ChangesMode::kNone) return bodies;
  bodies.reserve(changes.size());
  for (const state::Change& one : changes) {
    ST8_ASSIGN(wire::ChangeBody body, change(one, mode));
    bodies.push_back(std::move(body));
  }
  return bodies;
}

namespace {
std::size_t content_bytes(const state::Change& change) {
  return (change.before ? change.before->size : 0) + (change.after ? change.after->size : 0);
}
}  // namespace

std::size_t changes_that_fit(const std::vector<state::Change>& changes) {
  std::size_t bytes = 0;
  std::size_t count = 0;
  for (; count < changes.size() && bytes < kContentBytesMax; ++count) bytes += content_bytes(changes[count]);
  return count;
}

std::size_t content_bytes(const std::vector<state::Change>& changes, std::size_t count) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) bytes += content_bytes(changes[i]);
  return bytes;
}

Result<std::vector<std::string>> render_changes(const Helpers& helpers, ContentReader reader,
                                                const std::vector<state::Change>& changes, std::size_t count,
                                                std::size_t with_contents,
                                                const std::vector<state::ChangeContents>& given) {
  const std::size_t part_size = with_contents > 0 ? kChangesAPart : kBareChangesAPart;
  const std::size_t parts = (count + part_size - 1) / part_size;
  std::vector<std::string> texts(parts);
  const auto render = [&](ContentReader& own, std::size_t part) -> Status {
    const std::size_t begin = part * part_size;
    const std::size_t end = std::min(count, begin + part_size);
    std::size_t bytes = 0;
    for (std::size_t i = begin; i < end; ++i) {
      const state::Change& change = changes[i];
      bytes += kChangeBytes + change.key.view().size();
      if (i < with_contents)
        bytes += (change.before ? change.before->size : 0) + (change.after ? change.after->size : 0);
    }
    // Quoted JSON is a seventh longer. What is larger grows on the way: the sizes are not worth a doubt about memory there.
    texts[part].reserve(std::min(bytes + bytes / 4, kReserveMax));
    const std::size_t full = std::max(begin, std::min(end, with_contents));  // Where those with contents end.
    const std::size_t at_hand = std::min(begin, given.size());
    ST8_ASSIGN(const std::vector<state::ChangeContents> contents,
               own.gather(std::span(changes).subspan(begin, full - begin), std::span(given).subspan(at_hand)));
    wire::JsonWriter out(texts[part]);
    for (std::size_t i = begin; i < end; ++i) {
      ST8_TRY(own.write(out, changes[i], i < full ? ChangesMode::kFull : ChangesMode::kKeys,
                        i < full ? &contents[i - begin] : nullptr));
    }
    return {};
  };
  if (parts == 1) {
    ST8_TRY(render(reader, 0));
    return texts;
  }
  std::vector<Status> read(parts);
  helpers.run(parts, [&](std::size_t part) {
    ContentReader own = reader;
    read[part] = render(own, part);
  });
  for (Status& status : read) ST8_TRY(std::move(status));
  return texts;
}

namespace {

Result<wire::WriteResultBody> write_result_body(const Helpers& helpers, ContentReader reader,
                                                const state::CommitResult& result, ChangesMode mode) {
  wire::WriteResultBody body;
  body.revision = result.revision.value;
  body.parent = result.parent.value;
  body.hash = result.hash.hex();
  body.change_count = result.change_count;
  body.noop = result.noop;
  body.replayed = result.replayed;
  body.dry_run = result.dry_run;
  if (mode == ChangesMode::kNone) return body;
  const std::size_t count = std::min(result.changes.size(), kChangesMax);
  const std::size_t with_contents =
      mode == ChangesMode::kFull ? std::min(count, changes_that_fit(result.changes)) : std::size_t{0};
  ST8_ASSIGN(body.rendered_changes,
             render_changes(helpers, std::move(reader), result.changes, count, with_contents, result.contents));
  body.changes_truncated =
      count < result.changes.size() || (mode == ChangesMode::kFull && with_contents < result.changes.size());
  return body;
}

}  // namespace

wire::LogEntryBody log_entry_body(const state::Revision& revision) {
  wire::LogEntryBody entry;
  entry.id = revision.number.value;
  entry.parent_id = revision.parent().value;
  entry.message = revision.message;
  entry.created_at = format_rfc3339(revision.created_at);
  entry.branch = revision.branch;
  entry.change_count = revision.change_count;
  entry.author = revision.author;
  entry.cause = std::string(state::cause_name(revision.cause));
  entry.cause_detail = revision.cause_detail;
  entry.source = revision.source.value;
  entry.hash = revision.hash.hex();
  for (const state::RevisionNumber parent : revision.parents) entry.parents.push_back(parent.value);
  entry.pruned = revision.pruned;
  return entry;
}

wire::BranchBody branch_body(const state::BranchInfo& branch, const state::BranchName* current) {
  wire::BranchBody body;
  body.name = branch.name.str();
  body.base_revision = branch.base.value;
  body.head_revision = branch.head.value;
  body.current = current != nullptr && branch.name == *current;
  body.is_protected = branch.is_protected;
  body.created_at = format_rfc3339(branch.created_at);
  body.created_by = branch.created_by;
  return body;
}

wire::CheckpointBody checkpoint_body(const state::CheckpointInfo& checkpoint) {
  wire::CheckpointBody body;
  body.name = checkpoint.name.str();
  body.revision_id = checkpoint.revision.value;
  body.created_at = format_rfc3339(checkpoint.created_at);
  body.description = checkpoint.description;
  body.created_by = checkpoint.created_by;
  return body;
}

wire::NamespaceBody namespace_body(const state::NamespaceInfo& name_space) {
  wire::NamespaceBody body;
  body.name = name_space.name.str();
  body.last_revision = name_space.last_revision.value;
  body.branches = name_space.branch_count;
  body.checkpoints = name_space.checkpoint_count;
  body.created_at = format_rfc3339(name_space.created_at);
  return body;
}

wire::OperationBody operation_body(const state::Operation& operation) {
  wire::OperationBody body;
  body.sequence = operation.sequence;
  body.kind = std::string(state::operation_kind_name(operation.kind));
  body.name = operation.name;
  body.before = operation.before.value;
  body.after = operation.after.value;
  body.actor = operation.actor;
  body.detail = operation.detail;
  body.cause =
      operation.kind == state::OperationKind::kCommit ? std::string(state::cause_name(operation.cause)) : std::string();
  body.request_id = operation.request_id;
  body.at = format_rfc3339(operation.at);
  return body;
}

wire::Problem write_problem(const Call& call, const Where& where, wire::Problem problem,
                            const std::optional<state::RevisionNumber>& expected) {
  if (problem.error.code == ErrorCode::kPreconditionFailed) {
    if (expected) problem.expected_revision = expected->value;
    const Result<state::BranchInfo> branch = call.store().branch(where.name_space, where.branch);
    problem.head_revision = branch ? branch->head.value : 0;
  }
  return problem;
}

Reply write_reply(Call& call, const Where& where, const Outcome<state::CommitResult>& result, ChangesMode mode,
                  const std::vector<state::Document>* documents, const std::optional<state::RevisionNumber>& expected) {
  if (!result) return tl::unexpected<wire::Problem>(write_problem(call, where, result.error(), expected));
  call.noop = result->noop;
  call.changed_documents = result->dry_run ? 0 : result->change_count;
  if (!result->conflicts.empty()) {
    wire::Problem problem(Error{ErrorCode::kConflict,
                                std::to_string(result->conflicts.size()) +
                                    (result->conflicts.size() == 1 ? " conflict" : " conflicts") +
                                    ": both sides changed the same thing differently; nothing was written",
                                "Choose a side with `prefer`, or for each key with `resolve`."});
    for (const state::MergeConflict& conflict : result->conflicts) {
      problem.conflicts.push_back({conflict.key.str(), conflict.path, conflict.base, conflict.ours, conflict.theirs});
    }
    return tl::unexpected<wire::Problem>(std::move(problem));
  }
  ContentReader reader(call.store(), where.name_space);
  // Who may only write is not shown what was there.
  if (mode == ChangesMode::kFull && !call.principal->has(auth::Verb::kRead)) mode = ChangesMode::kKeys;
  if (documents != nullptr) reader.know(*documents);
  ST8_API_ASSIGN(const wire::WriteResultBody body,
                 write_result_body(*call.context.helpers, std::move(reader), *result, mode));
  http::Response response = json_response(wire::to_json(body));
  set_revision(response, result->revision);
  return response;
}

}  // namespace st8::api
