#include "wire/requests.h"

#include "wire/fields.h"
#include "wire/json.h"
#include "wire/text.h"

namespace st8::wire {
namespace {

constexpr auto kStrict = Fields::Unknown::kRefuse;

// Parses the body and hands its members to `read`; then whatever `read` did not ask for is refused.
template <class Body, class Read>
Result<Body> parse_body(std::string_view json, const Read& read) {
  ST8_ASSIGN(const JsonValue root, parse_json(json));
  Body body;
  Fields fields(root, "", kStrict);
  read(fields, body);
  ST8_TRY(fields.finish());
  return body;
}

void read_scope(Fields& fields, Scope& scope) {
  const JsonValue* value = fields.object("scope");
  if (value == nullptr) return;
  Fields inner(*value, "scope", kStrict);
  scope.name_space = inner.text("namespace");
  scope.branch = inner.text("branch");
  if (Status done = inner.finish(); !done) fields.refuse(std::move(done).error());
}

void read_write(Fields& fields, WriteFields& write) {
  write.message = fields.text("message");
  write.author = fields.text("author");
  write.expected_revision = fields.number("expected_revision");
  write.dry_run = fields.flag("dry_run").value_or(false);
}

void read_documents(Fields& fields, std::vector<DocumentBody>& documents) {
  const JsonValue* list = fields.array("documents");
  if (list == nullptr) return;
  documents.reserve(list->items.size());
  for (std::size_t i = 0; i < list->items.size() && !fields.failed(); ++i) {
    const std::string path = "documents[" + std::to_string(i) + "]";
    Fields inner(list->items[i], path, kStrict);
    DocumentBody document;
    std::optional<std::string> key = inner.optional_text("key");
    std::optional<std::string> content = inner.bytes("content");
    if (Status done = inner.finish(); !done) {
      fields.refuse(std::move(done).error());
      return;
    }
    if (!key) {
      fields.refuse("\"" + path + ".key\" is missing");
      return;
    }
    if (!content) {
      fields.refuse("\"" + path + ".content\" is missing",
                    "Give the text as \"content\", or bytes as \"content_base64\".");
      return;
    }
    document.key = std::move(*key);
    document.content = std::move(*content);
    documents.push_back(std::move(document));
  }
}

std::string read_required(Fields& fields, std::string_view name) {
  std::string text = fields.text(name);
  if (text.empty()) fields.refuse("\"" + fields.path_of(name) + "\" is missing or empty");
  return text;
}

void write_scope(JsonWriter& out, const Scope& scope) {
  out.key("scope").begin_object().field("namespace", scope.name_space).field("branch", scope.branch).end_object();
}

void text_unless_empty(JsonWriter& out, std::string_view name, const std::string& text) {
  if (!text.empty()) out.field(name, text);
}

void number_unless_zero(JsonWriter& out, std::string_view name, std::uint64_t value) {
  if (value != 0) out.field(name, value);
}

void flag_if_set(JsonWriter& out, std::string_view name, bool value) {
  if (value) out.field(name, true);
}

void write_write(JsonWriter& out, const WriteFields& write) {
  out.field("message", write.message);
  text_unless_empty(out, "author", write.author);
  if (write.expected_revision) out.field("expected_revision", *write.expected_revision);
  flag_if_set(out, "dry_run", write.dry_run);
}

void write_documents(JsonWriter& out, const std::vector<DocumentBody>& documents) {
  out.key("documents").begin_array();
  for (const DocumentBody& document : documents) {
    out.begin_object().field("key", document.key).bytes_field("content", document.content).end_object();
  }
  out.end_array();
}

void write_texts(JsonWriter& out, std::string_view name, const std::vector<std::string>& texts) {
  out.key(name).begin_array();
  for (const std::string& text : texts) out.string(text);
  out.end_array();
}

template <class Write>
std::string object(const Write& write) {
  std::string text;
  JsonWriter out(text);
  out.begin_object();
  write(out);
  out.end_object();
  return text;
}

}  // namespace

Result<ApplyBody> parse_apply(std::string_view json) {
  return parse_body<ApplyBody>(json, [](Fields& fields, ApplyBody& body) {
    read_scope(fields, body.scope);
    read_documents(fields, body.documents);
    body.unset = fields.texts("unset");
    body.unset_missing_ok = fields.flag("unset_missing_ok").value_or(false);
    body.prune = fields.optional_text("prune");
    read_write(fields, body.write);
  });
}

std::string to_json(const ApplyBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    write_documents(out, body.documents);
    if (!body.unset.empty()) write_texts(out, "unset", body.unset);
    flag_if_set(out, "unset_missing_ok", body.unset_missing_ok);
    if (body.prune) out.field("prune", *body.prune);
    write_write(out, body.write);
  });
}

Result<UnsetBody> parse_unset(std::string_view json) {
  return parse_body<UnsetBody>(json, [](Fields& fields, UnsetBody& body) {
    read_scope(fields, body.scope);
    body.keys = fields.texts("keys");
    body.missing_ok = fields.flag("missing_ok").value_or(false);
    read_write(fields, body.write);
  });
}

std::string to_json(const UnsetBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    write_texts(out, "keys", body.keys);
    flag_if_set(out, "missing_ok", body.missing_ok);
    write_write(out, body.write);
  });
}

Result<StateBatchBody> parse_state_batch(std::string_view json) {
  return parse_body<StateBatchBody>(json, [](Fields& fields, StateBatchBody& body) {
    read_scope(fields, body.scope);
    body.at = fields.text("at");
    body.revision_id = fields.number("revision_id").value_or(0);
    body.checkpoint_name = fields.text("checkpoint_name");
    body.keys = fields.texts("keys");
  });
}

std::string to_json(const StateBatchBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    text_unless_empty(out, "at", body.at);
    number_unless_zero(out, "revision_id", body.revision_id);
    text_unless_empty(out, "checkpoint_name", body.checkpoint_name);
    write_texts(out, "keys", body.keys);
  });
}

Result<DiffBody> parse_diff(std::string_view json) {
  return parse_body<DiffBody>(json, [](Fields& fields, DiffBody& body) {
    read_scope(fields, body.scope);
    body.revision_id = fields.number("revision_id").value_or(0);
    body.checkpoint_name = fields.text("checkpoint_name");
    body.at = fields.text("at");
    read_documents(fields, body.documents);
    body.unset = fields.texts("unset");
    body.prune = fields.optional_text("prune");
    body.from = fields.text("from");
    body.to = fields.text("to");
    body.prefix = fields.text("prefix");
    body.after = fields.text("after");
    body.limit = fields.number("limit").value_or(0);
  });
}

std::string to_json(const DiffBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    number_unless_zero(out, "revision_id", body.revision_id);
    text_unless_empty(out, "checkpoint_name", body.checkpoint_name);
    text_unless_empty(out, "at", body.at);
    write_documents(out, body.documents);
    if (!body.unset.empty()) write_texts(out, "unset", body.unset);
    if (body.prune) out.field("prune", *body.prune);
    text_unless_empty(out, "from", body.from);
    text_unless_empty(out, "to", body.to);
    text_unless_empty(out, "prefix", body.prefix);
    text_unless_empty(out, "after", body.after);
    number_unless_zero(out, "limit", body.limit);
  });
}

Result<CheckpointPutBody> parse_checkpoint_put(std::string_view json) {
  return parse_body<CheckpointPutBody>(json, [](Fields& fields, CheckpointPutBody& body) {
    read_scope(fields, body.scope);
    body.name = read_required(fields, "name");
    body.description = fields.text("description");
    body.at = fields.text("at");
    body.revision_id = fields.number("revision_id").value_or(0);
    body.replace = fields.flag("replace").value_or(false);
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const CheckpointPutBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    out.field("name", body.name).field("description", body.description);
    text_unless_empty(out, "at", body.at);
    number_unless_zero(out, "revision_id", body.revision_id);
    flag_if_set(out, "replace", body.replace);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<CheckpointDeleteBody> parse_checkpoint_delete(std::string_view json) {
  return parse_body<CheckpointDeleteBody>(json, [](Fields& fields, CheckpointDeleteBody& body) {
    body.name_space = fields.text("namespace");
    body.name = read_required(fields, "name");
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const CheckpointDeleteBody& body) {
  return object([&](JsonWriter& out) {
    out.field("namespace", body.name_space).field("name", body.name);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<RollbackBody> parse_rollback(std::string_view json) {
  return parse_body<RollbackBody>(json, [](Fields& fields, RollbackBody& body) {
    read_scope(fields, body.scope);
    body.revision_id = fields.number("revision_id").value_or(0);
    body.checkpoint_name = fields.text("checkpoint_name");
    body.at = fields.text("at");
    body.keep = fields.texts("keep");
    read_write(fields, body.write);
  });
}

std::string to_json(const RollbackBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    number_unless_zero(out, "revision_id", body.revision_id);
    text_unless_empty(out, "checkpoint_name", body.checkpoint_name);
    text_unless_empty(out, "at", body.at);
    write_texts(out, "keep", body.keep);
    write_write(out, body.write);
  });
}

Result<RestoreBody> parse_restore(std::string_view json) {
  return parse_body<RestoreBody>(json, [](Fields& fields, RestoreBody& body) {
    read_scope(fields, body.scope);
    body.from_revision = fields.number("from_revision").value_or(0);
    body.from_checkpoint = fields.text("from_checkpoint");
    body.from_branch = fields.text("from_branch");
    body.at = fields.text("at");
    body.keep = fields.texts("keep");
    read_write(fields, body.write);
  });
}

std::string to_json(const RestoreBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    number_unless_zero(out, "from_revision", body.from_revision);
    text_unless_empty(out, "from_checkpoint", body.from_checkpoint);
    text_unless_empty(out, "from_branch", body.from_branch);
    text_unless_empty(out, "at", body.at);
    write_texts(out, "keep", body.keep);
    write_write(out, body.write);
  });
}

Result<MergeBody> parse_merge(std::string_view json, MergeKind kind) {
  return parse_body<MergeBody>(json, [kind](Fields& fields, MergeBody& body) {
    read_scope(fields, body.scope);
    if (kind == MergeKind::kMerge) body.from_branch = fields.text("from_branch");
    body.revision_id = fields.number("revision_id").value_or(0);
    body.at = fields.text("at");
    const auto side = [&fields](const std::string& text, const std::string& path) {
      if (!text.empty() && text != "ours" && text != "theirs") {
        fields.refuse("\"" + path + "\" must be \"ours\" or \"theirs\", not \"" + printable(text, 40) + "\"");
      }
    };
    body.prefer = fields.text("prefer");
    side(body.prefer, "prefer");
    if (const JsonValue* resolve = fields.object("resolve"); resolve != nullptr) {
      for (const JsonMember& member : resolve->members) {
        const std::string path = "resolve." + printable(member.name);
        if (member.value.kind != JsonValue::Kind::kString || member.value.text.empty()) {
          fields.refuse("\"" + path + "\" must be \"ours\" or \"theirs\"");
          break;
        }
        side(member.value.text, path);
        body.resolve.emplace_back(member.name, member.value.text);
      }
    }
    read_write(fields, body.write);
  });
}

std::string to_json(const MergeBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    text_unless_empty(out, "from_branch", body.from_branch);
    number_unless_zero(out, "revision_id", body.revision_id);
    text_unless_empty(out, "at", body.at);
    text_unless_empty(out, "prefer", body.prefer);
    if (!body.resolve.empty()) {
      out.key("resolve").begin_object();
      for (const auto& [key, side] : body.resolve) out.field(key, side);
      out.end_object();
    }
    write_write(out, body.write);
  });
}

Result<BranchCreateBody> parse_branch_create(std::string_view json) {
  return parse_body<BranchCreateBody>(json, [](Fields& fields, BranchCreateBody& body) {
    read_scope(fields, body.scope);
    body.name = read_required(fields, "name");
    body.from_revision = fields.number("from_revision").value_or(0);
    body.from_checkpoint = fields.text("from_checkpoint");
    body.at = fields.text("at");
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const BranchCreateBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    out.field("name", body.name);
    number_unless_zero(out, "from_revision", body.from_revision);
    text_unless_empty(out, "from_checkpoint", body.from_checkpoint);
    text_unless_empty(out, "at", body.at);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<BranchDeleteBody> parse_branch_delete(std::string_view json) {
  return parse_body<BranchDeleteBody>(json, [](Fields& fields, BranchDeleteBody& body) {
    body.name_space = fields.text("namespace");
    body.name = read_required(fields, "name");
    body.expected_revision = fields.number("expected_revision");
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const BranchDeleteBody& body) {
  return object([&](JsonWriter& out) {
    out.field("namespace", body.name_space).field("name", body.name);
    if (body.expected_revision) out.field("expected_revision", *body.expected_revision);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<BranchRenameBody> parse_branch_rename(std::string_view json) {
  return parse_body<BranchRenameBody>(json, [](Fields& fields, BranchRenameBody& body) {
    body.name_space = fields.text("namespace");
    body.from = read_required(fields, "from");
    body.to = read_required(fields, "to");
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const BranchRenameBody& body) {
  return object([&](JsonWriter& out) {
    out.field("namespace", body.name_space).field("from", body.from).field("to", body.to);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<BranchProtectBody> parse_branch_protect(std::string_view json) {
  return parse_body<BranchProtectBody>(json, [](Fields& fields, BranchProtectBody& body) {
    body.name_space = fields.text("namespace");
    body.name = read_required(fields, "name");
    const std::optional<bool> protect = fields.flag("protected");
    if (!protect)
      fields.refuse("\"protected\" is missing", "Give true to protect the branch, false to lift the protection.");
    body.protect = protect.value_or(true);
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const BranchProtectBody& body) {
  return object([&](JsonWriter& out) {
    out.field("namespace", body.name_space).field("name", body.name).field("protected", body.protect);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<NamespaceDeleteBody> parse_namespace_delete(std::string_view json) {
  return parse_body<NamespaceDeleteBody>(json, [](Fields& fields, NamespaceDeleteBody& body) {
    // No default here: nothing is deleted that was not named.
    body.name_space = read_required(fields, "namespace");
    body.force = fields.flag("force").value_or(false);
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const NamespaceDeleteBody& body) {
  return object([&](JsonWriter& out) {
    out.field("namespace", body.name_space);
    flag_if_set(out, "force", body.force);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<GcBody> parse_gc(std::string_view json) {
  return parse_body<GcBody>(json, [](Fields& fields, GcBody& body) {
    body.keep = fields.number("keep").value_or(0);
    body.name_space = fields.text("namespace");
    body.branch = fields.text("branch");
    body.dry_run = fields.flag("dry_run").value_or(false);
  });
}

std::string to_json(const GcBody& body) {
  return object([&](JsonWriter& out) {
    out.field("keep", body.keep);
    text_unless_empty(out, "namespace", body.name_space);
    text_unless_empty(out, "branch", body.branch);
    flag_if_set(out, "dry_run", body.dry_run);
  });
}

Result<PolicyLintBody> parse_policy_lint(std::string_view json) {
  return parse_body<PolicyLintBody>(json, [](Fields& fields, PolicyLintBody& body) {
    read_scope(fields, body.scope);
    body.at = fields.text("at");
    body.policy = fields.optional_text("policy");
  });
}

std::string to_json(const PolicyLintBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    text_unless_empty(out, "at", body.at);
    if (body.policy) out.field("policy", *body.policy);
  });
}

Result<PolicySimulateBody> parse_policy_simulate(std::string_view json) {
  return parse_body<PolicySimulateBody>(json, [](Fields& fields, PolicySimulateBody& body) {
    read_scope(fields, body.scope);
    body.at = fields.text("at");
    body.policy = fields.optional_text("policy");
    read_documents(fields, body.documents);
    body.unset = fields.texts("unset");
  });
}

std::string to_json(const PolicySimulateBody& body) {
  return object([&](JsonWriter& out) {
    write_scope(out, body.scope);
    text_unless_empty(out, "at", body.at);
    if (body.policy) out.field("policy", *body.policy);
    write_documents(out, body.documents);
    if (!body.unset.empty()) write_texts(out, "unset", body.unset);
  });
}

Result<FsckBody> parse_fsck(std::string_view json) {
  if (json.empty()) return FsckBody{};  // All its fields are optional, and it changes nothing.
  return parse_body<FsckBody>(json, [](Fields& fields, FsckBody& body) { body.name_space = fields.text("namespace"); });
}

std::string to_json(const FsckBody& body) {
  return object([&](JsonWriter& out) { text_unless_empty(out, "namespace", body.name_space); });
}

}  // namespace st8::wire
