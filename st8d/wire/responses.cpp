#include "wire/responses.h"

#include <utility>

#include "wire/fields.h"
#include "wire/text.h"

namespace st8::wire {
namespace {

constexpr auto kLenient = Fields::Unknown::kIgnore;

// An answer may be large: it is bounded by what the client asked for, not by what a server must fear.
constexpr JsonLimits kAnswerLimits{.depth_max = 256, .values_max = 100'000'000};

template <class Body, class Read>
Result<Body> parse_answer(std::string_view json, const Read& read) {
  ST8_ASSIGN(const JsonValue root, parse_json(json, kAnswerLimits));
  Body body;
  Fields fields(root, "", kLenient);
  read(fields, body);
  ST8_TRY(fields.finish());
  return body;
}

// Reads each item of a list with `read(Fields&, Item&)`.
template <class Item, class Read>
void read_list(Fields& fields, std::string_view name, std::vector<Item>& items, const Read& read) {
  const JsonValue* list = fields.array(name);
  if (list == nullptr) return;
  items.reserve(list->items.size());
  for (std::size_t i = 0; i < list->items.size() && !fields.failed(); ++i) {
    Fields inner(list->items[i], fields.path_of(name) + "[" + std::to_string(i) + "]", kLenient);
    Item item;
    read(inner, item);
    if (Status done = inner.finish(); !done) fields.refuse(std::move(done).error());
    items.push_back(std::move(item));
  }
}

std::uint64_t count(Fields& fields, std::string_view name) { return fields.number(name).value_or(0); }
bool flag(Fields& fields, std::string_view name) { return fields.flag(name).value_or(false); }

void read_change(Fields& fields, ChangeBody& change) {
  change.key = fields.text("key");
  change.type = fields.text("type");
  change.before = fields.bytes("before");
  change.after = fields.bytes("after");
  change.before_hash = fields.text("before_hash");
  change.after_hash = fields.text("after_hash");
}

void read_entry(Fields& fields, LogEntryBody& entry) {
  entry.id = count(fields, "id");
  entry.parent_id = count(fields, "parent_id");
  entry.message = fields.text("message");
  entry.created_at = fields.text("created_at");
  entry.branch = fields.text("branch");
  entry.has_changes = fields.any("changes") != nullptr;
  read_list(fields, "changes", entry.changes, read_change);
  entry.changes_truncated = flag(fields, "changes_truncated");
  entry.change_count = fields.number("change_count");
  entry.author = fields.text("author");
  entry.cause = fields.text("cause");
  entry.cause_detail = fields.text("cause_detail");
  entry.source = count(fields, "source");
  entry.hash = fields.text("hash");
  if (const JsonValue* parents = fields.array("parents"); parents != nullptr) {
    for (const JsonValue& parent : parents->items) {
      // One value at a time, through the same check as a member.
      JsonValue holder;
      holder.kind = JsonValue::Kind::kObject;
      holder.members.push_back(JsonMember{"parents", parent});
      Fields one(holder, "", kLenient);
      entry.parents.push_back(count(one, "parents"));
      if (Status done = one.finish(); !done) fields.refuse(std::move(done).error());
    }
  }
  entry.pruned = flag(fields, "pruned");
}

void read_checkpoint(Fields& fields, CheckpointBody& checkpoint) {
  checkpoint.name = fields.text("name");
  checkpoint.revision_id = count(fields, "revision_id");
  checkpoint.created_at = fields.text("created_at");
  checkpoint.description = fields.text("description");
  checkpoint.created_by = fields.text("created_by");
}

void read_branch(Fields& fields, BranchBody& branch) {
  branch.name = fields.text("name");
  branch.base_revision = count(fields, "base_revision");
  branch.head_revision = count(fields, "head_revision");
  branch.current = flag(fields, "current");
  branch.is_protected = flag(fields, "protected");
  branch.created_at = fields.text("created_at");
  branch.created_by = fields.text("created_by");
}

void read_operation(Fields& fields, OperationBody& operation) {
  operation.sequence = count(fields, "sequence");
  operation.kind = fields.text("kind");
  operation.name = fields.text("name");
  operation.before = count(fields, "before");
  operation.after = count(fields, "after");
  operation.actor = fields.text("actor");
  operation.detail = fields.text("detail");
  operation.cause = fields.text("cause");
  operation.request_id = fields.text("request_id");
  operation.at = fields.text("at");
}

template <class Write>
std::string object(std::size_t bytes, const Write& write) {
  std::string text;
  text.reserve(bytes);
  JsonWriter out(text);
  out.begin_object();
  write(out);
  out.end_object();
  return text;
}

template <class Write>
std::string object(const Write& write) {
  return object(0, write);
}

template <class Item, class Write>
void write_list(JsonWriter& out, std::string_view name, const std::vector<Item>& items, const Write& write) {
  out.key(name).begin_array();
  for (const Item& item : items) write(out, item);
  out.end_array();
}

void cursor(JsonWriter& out, const std::string& next) {
  if (!next.empty()) out.field("next_cursor", next);
}
void cursor(JsonWriter& out, std::uint64_t next) {
  if (next != 0) out.field("next_cursor", next);
}

void write_changes(JsonWriter& out, const std::vector<ChangeBody>& changes, const std::vector<std::string>& rendered) {
  out.key("changes").begin_array();
  if (rendered.empty()) {
    for (const ChangeBody& change : changes) write_change(out, change);
  }
  for (const std::string& run : rendered) out.raw(run);
  out.end_array();
}

void write_entry_fields(JsonWriter& out, const LogEntryBody& entry) {
  out.field("id", entry.id)
      .field("parent_id", entry.parent_id)
      .field("message", entry.message)
      .field("created_at", entry.created_at)
      .field("branch", entry.branch);
  if (entry.has_changes) write_changes(out, entry.changes, {});
  if (entry.changes_truncated) out.field("changes_truncated", true);
  if (entry.change_count) out.field("change_count", *entry.change_count);
  out.field("author", entry.author).field("cause", entry.cause);
  if (!entry.cause_detail.empty()) out.field("cause_detail", entry.cause_detail);
  if (entry.source != 0) out.field("source", entry.source);
  out.field("hash", entry.hash);
  out.key("parents").begin_array();
  for (const std::uint64_t parent : entry.parents) out.number(parent);
  out.end_array();
  out.field("pruned", entry.pruned);
}

}  // namespace

void write_change(JsonWriter& out, const ChangeBody& change) {
  write_change(out,
               ChangeView{change.key, change.type, change.before, change.after, change.before_hash, change.after_hash});
}

void write_change(JsonWriter& out, const ChangeView& change) {
  out.begin_object();
  out.key("key").string(change.key).key("type").string(change.type);
  if (change.before) out.bytes_field("before", *change.before);
  if (change.after) out.bytes_field("after", *change.after);
  if (!change.before_hash.empty()) out.key("before_hash").string(change.before_hash);
  if (!change.after_hash.empty()) out.key("after_hash").string(change.after_hash);
  out.end_object();
}

void write_log_entry(JsonWriter& out, const LogEntryBody& entry) {
  out.begin_object();
  write_entry_fields(out, entry);
  out.end_object();
}

void write_checkpoint(JsonWriter& out, const CheckpointBody& checkpoint) {
  out.begin_object()
      .field("name", checkpoint.name)
      .field("revision_id", checkpoint.revision_id)
      .field("created_at", checkpoint.created_at)
      .field("description", checkpoint.description)
      .field("created_by", checkpoint.created_by)
      .end_object();
}

void write_branch(JsonWriter& out, const BranchBody& branch) {
  out.begin_object()
      .field("name", branch.name)
      .field("base_revision", branch.base_revision)
      .field("head_revision", branch.head_revision)
      .field("current", branch.current)
      .field("protected", branch.is_protected)
      .field("created_at", branch.created_at)
      .field("created_by", branch.created_by)
      .end_object();
}

void write_namespace(JsonWriter& out, const NamespaceBody& name_space) {
  out.begin_object()
      .field("name", name_space.name)
      .field("last_revision", name_space.last_revision)
      .field("branches", name_space.branches)
      .field("checkpoints", name_space.checkpoints)
      .field("created_at", name_space.created_at)
      .end_object();
}

void write_operation(JsonWriter& out, const OperationBody& operation) {
  out.begin_object()
      .field("sequence", operation.sequence)
      .field("kind", operation.kind)
      .field("name", operation.name)
      .field("before", operation.before)
      .field("after", operation.after)
      .field("actor", operation.actor)
      .field("detail", operation.detail)
      .field("cause", operation.cause)
      .field("request_id", operation.request_id)
      .field("at", operation.at)
      .end_object();
}

namespace {}  // namespace

std::string to_json(const WriteResultBody& body) {
  std::size_t bytes = 256;  // Of all but the changes.
  for (const std::string& run : body.rendered_changes) bytes += run.size() + 1;
  return object(bytes, [&](JsonWriter& out) {
    out.field("revision", body.revision).field("parent", body.parent).field("hash", body.hash);
    write_changes(out, body.changes, body.rendered_changes);
    out.field("change_count", body.change_count);
    if (body.changes_truncated) out.field("changes_truncated", true);
    out.field("noop", body.noop);
    if (body.replayed) out.field("replayed", true);
    if (body.dry_run) out.field("dry_run", true);
  });
}

std::string to_json(const StateBody& body) {
  return object([&](JsonWriter& out) {
    out.field("revision", body.revision);
    bool any_binary = false;
    out.key("objects").begin_object();
    for (const auto& [key, content] : body.objects) {
      if (is_utf8(content)) {
        out.field(key, content);
      } else {
        any_binary = true;
      }
    }
    out.end_object();
    if (any_binary) {
      out.key("objects_base64").begin_object();
      for (const auto& [key, content] : body.objects) {
        if (!is_utf8(content)) out.field(key, base64_encode(content));
      }
      out.end_object();
    }
    if (!body.keys.empty()) {
      write_list(out, "keys", body.keys, [](JsonWriter& inner, const ObjectBody& item) {
        inner.begin_object().field("key", item.key).field("hash", item.hash).field("size", item.size).end_object();
      });
    }
    if (!body.missing.empty())
      write_list(out, "missing", body.missing, [](JsonWriter& inner, const std::string& key) { inner.string(key); });
    cursor(out, body.next_cursor);
  });
}

std::string to_json(const DiffResultBody& body) {
  return object([&](JsonWriter& out) {
    out.field("from_revision", body.from_revision).field("to_revision", body.to_revision);
    write_changes(out, body.changes, body.rendered_changes);
    cursor(out, body.next_cursor);
  });
}

std::vector<std::string> to_json_parts(DiffResultBody body) {
  if (body.rendered_changes.size() <= 1) return {to_json(body)};
  std::vector<std::string> parts = std::exchange(body.rendered_changes, {});
  body.changes.clear();
  // Of an answer without changes, what comes before them and what comes behind.
  std::string frame = to_json(body);
  constexpr std::string_view kNoChanges = "\"changes\":[]";
  const std::size_t place = frame.find(kNoChanges) + kNoChanges.size() - 1;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) parts[i].push_back(',');
  parts.push_back(frame.substr(place));
  frame.resize(place);
  parts.insert(parts.begin(), std::move(frame));
  return parts;
}

std::string to_json(const LogEntryBody& body) {
  return object([&](JsonWriter& out) { write_entry_fields(out, body); });
}

std::string to_json(const LogPageBody& body) {
  return object([&](JsonWriter& out) {
    write_list(out, "entries", body.entries, write_log_entry);
    cursor(out, body.next_cursor);
  });
}

std::string to_json(const HistoryPageBody& body) {
  return object([&](JsonWriter& out) {
    write_list(out, "versions", body.versions, [](JsonWriter& inner, const KeyVersionBody& version) {
      inner.begin_object().key("revision");
      write_log_entry(inner, version.revision);
      inner.key("change");
      write_change(inner, version.change);
      inner.end_object();
    });
    cursor(out, body.next_cursor);
  });
}

std::string to_json(const ResolveBody& body) {
  return object([&](JsonWriter& out) {
    out.field("revision", body.revision)
        .field("hash", body.hash)
        .field("branch", body.branch)
        .field("created_at", body.created_at);
  });
}

std::string to_json(const CheckpointBody& body) {
  std::string text;
  JsonWriter out(text);
  write_checkpoint(out, body);
  return text;
}

std::string to_json(const CheckpointPageBody& body) {
  return object([&](JsonWriter& out) {
    write_list(out, "checkpoints", body.checkpoints, write_checkpoint);
    cursor(out, body.next_cursor);
  });
}

std::string to_json(const BranchBody& body) {
  std::string text;
  JsonWriter out(text);
  write_branch(out, body);
  return text;
}

std::string to_json(const BranchPageBody& body) {
  return object([&](JsonWriter& out) {
    write_list(out, "branches", body.branches, write_branch);
    cursor(out, body.next_cursor);
  });
}

std::string to_json(const NamespaceBody& body) {
  std::string text;
  JsonWriter out(text);
  write_namespace(out, body);
  return text;
}

std::string to_json(const NamespacePageBody& body) {
  return object([&](JsonWriter& out) {
    write_list(out, "namespaces", body.namespaces, write_namespace);
    cursor(out, body.next_cursor);
  });
}

std::string to_json(const OperationPageBody& body) {
  return object([&](JsonWriter& out) {
    write_list(out, "operations", body.operations, write_operation);
    cursor(out, body.next_cursor);
  });
}

std::string to_json(const GcResultBody& body) {
  return object([&](JsonWriter& out) {
    out.field("pruned", body.pruned)
        .field("kept", body.kept)
        .field("nodes_deleted", body.nodes_deleted)
        .field("blobs_deleted", body.blobs_deleted)
        .field("bytes_deleted", body.bytes_deleted)
        .field("disk_bytes_before", body.disk_bytes_before)
        .field("disk_bytes_after", body.disk_bytes_after);
    if (body.dry_run) out.field("dry_run", true);
    if (body.cancelled) out.field("cancelled", true);
  });
}

std::string to_json(const FsckResultBody& body) {
  return object([&](JsonWriter& out) {
    out.field("clean", body.clean).field("problem_count", body.problem_count);
    write_list(out, "problems", body.problems, [](JsonWriter& inner, const FsckProblemBody& problem) {
      inner.begin_object()
          .field("namespace", problem.name_space)
          .field("object", problem.object)
          .field("problem", problem.problem)
          .field("affects", problem.affects)
          .end_object();
    });
    out.field("namespaces", body.namespaces)
        .field("revisions", body.revisions)
        .field("nodes", body.nodes)
        .field("blobs", body.blobs);
  });
}

Result<WriteResultBody> parse_write_result(std::string_view json) {
  return parse_answer<WriteResultBody>(json, [](Fields& fields, WriteResultBody& body) {
    body.revision = count(fields, "revision");
    body.parent = count(fields, "parent");
    body.hash = fields.text("hash");
    read_list(fields, "changes", body.changes, read_change);
    body.change_count = fields.number("change_count").value_or(body.changes.size());
    body.changes_truncated = flag(fields, "changes_truncated");
    body.noop = flag(fields, "noop");
    body.replayed = flag(fields, "replayed");
    body.dry_run = flag(fields, "dry_run");
  });
}

Result<StateBody> parse_state(std::string_view json) {
  return parse_answer<StateBody>(json, [](Fields& fields, StateBody& body) {
    body.revision = count(fields, "revision");
    if (const JsonValue* objects = fields.object("objects"); objects != nullptr) {
      for (const JsonMember& member : objects->members) {
        if (member.value.kind != JsonValue::Kind::kString) {
          fields.refuse("\"objects." + printable(member.name) + "\" must be a string");
          return;
        }
        body.objects.emplace(member.name, member.value.text);
      }
    }
    if (const JsonValue* objects = fields.object("objects_base64"); objects != nullptr) {
      for (const JsonMember& member : objects->members) {
        std::optional<std::string> content = base64_decode(member.value.text);
        if (!content) {
          fields.refuse("\"objects_base64." + printable(member.name) + "\" is not Base64");
          return;
        }
        body.objects.emplace(member.name, std::move(*content));
      }
    }
    read_list(fields, "keys", body.keys, [](Fields& inner, ObjectBody& item) {
      item.key = inner.text("key");
      item.hash = inner.text("hash");
      item.size = count(inner, "size");
    });
    body.missing = fields.texts("missing");
    body.next_cursor = fields.text("next_cursor");
  });
}

Result<DiffResultBody> parse_diff_result(std::string_view json) {
  return parse_answer<DiffResultBody>(json, [](Fields& fields, DiffResultBody& body) {
    body.from_revision = count(fields, "from_revision");
    body.to_revision = count(fields, "to_revision");
    read_list(fields, "changes", body.changes, read_change);
    body.next_cursor = fields.text("next_cursor");
  });
}

Result<LogEntryBody> parse_log_entry(std::string_view json) { return parse_answer<LogEntryBody>(json, read_entry); }

Result<LogPageBody> parse_log_page(std::string_view json) {
  return parse_answer<LogPageBody>(json, [](Fields& fields, LogPageBody& body) {
    read_list(fields, "entries", body.entries, read_entry);
    body.next_cursor = count(fields, "next_cursor");
  });
}

Result<HistoryPageBody> parse_history_page(std::string_view json) {
  return parse_answer<HistoryPageBody>(json, [](Fields& fields, HistoryPageBody& body) {
    read_list(fields, "versions", body.versions, [](Fields& inner, KeyVersionBody& version) {
      if (const JsonValue* revision = inner.object("revision"); revision != nullptr) {
        Fields entry(*revision, inner.path_of("revision"), kLenient);
        read_entry(entry, version.revision);
        if (Status done = entry.finish(); !done) inner.refuse(std::move(done).error());
      }
      if (const JsonValue* change = inner.object("change"); change != nullptr) {
        Fields change_fields(*change, inner.path_of("change"), kLenient);
        read_change(change_fields, version.change);
        if (Status done = change_fields.finish(); !done) inner.refuse(std::move(done).error());
      }
    });
    body.next_cursor = count(fields, "next_cursor");
  });
}

Result<ResolveBody> parse_resolve(std::string_view json) {
  return parse_answer<ResolveBody>(json, [](Fields& fields, ResolveBody& body) {
    body.revision = count(fields, "revision");
    body.hash = fields.text("hash");
    body.branch = fields.text("branch");
    body.created_at = fields.text("created_at");
  });
}

Result<CheckpointBody> parse_checkpoint(std::string_view json) {
  return parse_answer<CheckpointBody>(json, read_checkpoint);
}

Result<CheckpointPageBody> parse_checkpoint_page(std::string_view json) {
  return parse_answer<CheckpointPageBody>(json, [](Fields& fields, CheckpointPageBody& body) {
    read_list(fields, "checkpoints", body.checkpoints, read_checkpoint);
    body.next_cursor = fields.text("next_cursor");
  });
}

Result<BranchBody> parse_branch(std::string_view json) { return parse_answer<BranchBody>(json, read_branch); }

Result<BranchPageBody> parse_branch_page(std::string_view json) {
  return parse_answer<BranchPageBody>(json, [](Fields& fields, BranchPageBody& body) {
    read_list(fields, "branches", body.branches, read_branch);
    body.next_cursor = fields.text("next_cursor");
  });
}

Result<NamespacePageBody> parse_namespace_page(std::string_view json) {
  return parse_answer<NamespacePageBody>(json, [](Fields& fields, NamespacePageBody& body) {
    read_list(fields, "namespaces", body.namespaces, [](Fields& inner, NamespaceBody& item) {
      item.name = inner.text("name");
      item.last_revision = count(inner, "last_revision");
      item.branches = count(inner, "branches");
      item.checkpoints = count(inner, "checkpoints");
      item.created_at = inner.text("created_at");
    });
    body.next_cursor = fields.text("next_cursor");
  });
}

Result<OperationBody> parse_operation(std::string_view json) {
  return parse_answer<OperationBody>(json, read_operation);
}

Result<OperationPageBody> parse_operation_page(std::string_view json) {
  return parse_answer<OperationPageBody>(json, [](Fields& fields, OperationPageBody& body) {
    read_list(fields, "operations", body.operations, read_operation);
    body.next_cursor = count(fields, "next_cursor");
  });
}

Result<GcResultBody> parse_gc_result(std::string_view json) {
  return parse_answer<GcResultBody>(json, [](Fields& fields, GcResultBody& body) {
    body.pruned = count(fields, "pruned");
    body.kept = count(fields, "kept");
    body.nodes_deleted = count(fields, "nodes_deleted");
    body.blobs_deleted = count(fields, "blobs_deleted");
    body.bytes_deleted = count(fields, "bytes_deleted");
    body.disk_bytes_before = count(fields, "disk_bytes_before");
    body.disk_bytes_after = count(fields, "disk_bytes_after");
    body.dry_run = flag(fields, "dry_run");
    body.cancelled = flag(fields, "cancelled");
  });
}

Result<FsckResultBody> parse_fsck_result(std::string_view json) {
  return parse_answer<FsckResultBody>(json, [](Fields& fields, FsckResultBody& body) {
    body.clean = flag(fields, "clean");
    body.problem_count = count(fields, "problem_count");
    read_list(fields, "problems", body.problems, [](Fields& inner, FsckProblemBody& item) {
      item.name_space = inner.text("namespace");
      item.object = inner.text("object");
      item.problem = inner.text("problem");
      item.affects = inner.text("affects");
    });
    body.namespaces = count(fields, "namespaces");
    body.revisions = count(fields, "revisions");
    body.nodes = count(fields, "nodes");
    body.blobs = count(fields, "blobs");
  });
}

}  // namespace st8::wire
