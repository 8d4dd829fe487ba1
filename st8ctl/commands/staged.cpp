#include "commands/staged.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <sys/random.h>
#include <utility>

#include "commands/commands.h"

namespace st8::ctl {
namespace {

// Leaves room for what surrounds the documents.
constexpr std::size_t kPartBytesMax = 15u << 20;

std::string random_name() {
  unsigned char bytes[8] = {};
  // Not filled only before the kernel's generator is ready; a clash of names is then refused by the expected revision 0.
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) bytes[0] = 1;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string name = "st8ctl/apply-";
  for (const unsigned char byte : bytes) {
    name += kHex[byte >> 4];
    name += kHex[byte & 15];
  }
  return name;
}

std::size_t encoded_bytes(const wire::DocumentBody& document) {
  std::string json;
  wire::JsonWriter writer(json);
  writer.begin_object().field("key", document.key).bytes_field("content", document.content).end_object();
  return json.size() + 1;
}

class StagedApply {
 public:
  StagedApply(Context& context, Client& client, wire::ApplyBody body)
      : context_(context),
        client_(client),
        body_(std::move(body)),
        progress_(context.shows_progress(), "Sending", Progress::Unit::kBytes) {}

  Result<HttpResponse> run() {
    ST8_TRY(find_head());
    ST8_TRY(turn_prune_into_unset());
    for (const wire::DocumentBody& document : body_.documents) total_ += document.content.size();
    progress_.set_total(total_);
    parts_ = split_documents(std::exchange(body_.documents, {}));
    if (body_.write.dry_run) return dry_run();
    ST8_TRY(begin_branch());
    Result<HttpResponse> outcome = fill_and_take_over();
    const Status deleted = delete_branch();
    if (!deleted) context_.notice("the branch " + staging_ + " could not be deleted: " + deleted.error().message);
    return outcome;
  }

 private:
  Status find_head() {
    const Result<HttpResponse> response = client_.call(get("/v1/resolve", context_.scope_query()));
    if (!response) {
      // A branch that does not exist is begun by this apply.
      if (response.error().code != ErrorCode::kNotFound) return fail(response.error());
    } else {
      ST8_ASSIGN(const wire::ResolveBody head, wire::parse_resolve(response->body));
      head_ = head.revision;
    }
    if (body_.write.expected_revision && *body_.write.expected_revision != head_) {
      return fail(ErrorCode::kPreconditionFailed,
                  "the head of branch " + context_.settings().branch + " is revision " + std::to_string(head_) +
                      ", not " + std::to_string(*body_.write.expected_revision),
                  "look at what changed with `st8ctl diff " + std::to_string(*body_.write.expected_revision) +
                      "`, then expect " + std::to_string(head_));
    }
    return {};
  }

  // The parts cannot each prune what is in the others, so what is to go is named.
  Status turn_prune_into_unset() {
    const auto prefix = std::exchange(body_.prune, std::nullopt);
    if (!prefix || head_ == 0) return {};
    ST8_ASSIGN(std::vector<std::string> keys, keys_to_prune(context_, std::to_string(head_), *prefix, body_.documents));
    body_.unset.insert(body_.unset.end(), std::make_move_iterator(keys.begin()), std::make_move_iterator(keys.end()));
    return {};
  }

  Status begin_branch() {
    staging_ = random_name();
    if (head_ == 0) return {};  // Begun by its first write.
    wire::BranchCreateBody create;
    create.scope = context_.scope();
    create.name = staging_;
    create.at = std::to_string(head_);
    const Result<HttpResponse> made = client_.call(change("POST", "/v1/branches", wire::to_json(create)));
    if (!made) return fail(made.error());
    return {};
  }

  wire::ApplyBody part(std::vector<wire::DocumentBody> documents, bool first, const std::string& branch) {
    wire::ApplyBody one;
    one.scope = {context_.settings().name_space, branch};
    one.documents = std::move(documents);
    if (first) one.unset = body_.unset;
    one.unset_missing_ok = true;
    one.write = body_.write;
    return one;
  }

  Result<wire::WriteResultBody> send(Call call, std::size_t content_bytes) {
    call.query.emplace_back("changes", body_.write.dry_run && context_.wants_document() ? "full" : "keys");
    ST8_ASSIGN(const HttpResponse response, client_.call(call));
    sent_ += content_bytes;
    progress_.set(sent_);
    return wire::parse_write_result(response.body);
  }

  static std::size_t content_bytes(const std::vector<wire::DocumentBody>& documents) {
    std::size_t bytes = 0;
    for (const wire::DocumentBody& document : documents) bytes += document.content.size();
    return bytes;
  }

  Call put(wire::DocumentBody document, const std::string& branch, std::optional<std::uint64_t> expected) {
    Call call = change("PUT", document_path(document.key), std::move(document.content));
    call.content_type = "application/octet-stream";
    call.query = {{"namespace", context_.settings().name_space}, {"branch", branch}, {"author", body_.write.author}};
    if (expected) call.query.emplace_back("expected_revision", std::to_string(*expected));
    return call;
  }

  Result<HttpResponse> fill_and_take_over() {
    std::uint64_t at = head_;
    bool first = true;
    if (parts_.small.empty() && !body_.unset.empty()) parts_.small.emplace_back();
    for (auto& documents : parts_.small) {
      const std::size_t bytes = content_bytes(documents);
      wire::ApplyBody one = part(std::move(documents), std::exchange(first, false), staging_);
      one.write.expected_revision = at;
      ST8_ASSIGN(const wire::WriteResultBody result, send(change("POST", "/v1/apply", wire::to_json(one)), bytes));
      at = result.revision;
    }
    for (wire::DocumentBody& document : parts_.large) {
      const std::size_t bytes = document.content.size();
      ST8_ASSIGN(const wire::WriteResultBody result, send(put(std::move(document), staging_, at), bytes));
      at = result.revision;
    }
    wire::RestoreBody restore;
    restore.scope = context_.scope();
    restore.from_branch = staging_;
    restore.write = body_.write;
    restore.write.expected_revision = head_;
    if (restore.write.message.empty()) restore.write.message = "apply";
    Call call = change("POST", "/v1/restore", wire::to_json(restore));
    call.query = {{"changes", context_.wants_document() ? "" : "keys"}};
    return send_change(context_, std::move(call), "Applying");
  }

  Status delete_branch() {
    wire::BranchDeleteBody body;
    body.name_space = context_.settings().name_space;
    body.name = staging_;
    const auto problem = client_.problem();
    const Result<HttpResponse> response = client_.call(change("DELETE", "/v1/branches", wire::to_json(body)));
    // What went wrong before is what is to be told.
    client_.set_problem(problem);
    if (response || (head_ == 0 && response.error().code == ErrorCode::kNotFound)) return {};
    return fail(response.error());
  }

  Result<HttpResponse> dry_run() {
    wire::WriteResultBody whole;
    whole.revision = whole.parent = head_;
    whole.noop = true;
    whole.dry_run = true;
    const auto take = [&](wire::WriteResultBody result) {
      if (result.noop) return;
      whole.noop = false;
      whole.revision = result.revision;
      whole.change_count += std::max<std::uint64_t>(result.change_count, result.changes.size());
      whole.changes_truncated = whole.changes_truncated || result.changes_truncated;
      whole.changes.insert(whole.changes.end(), std::make_move_iterator(result.changes.begin()),
                           std::make_move_iterator(result.changes.end()));
    };
    bool first = true;
    if (parts_.small.empty()) parts_.small.emplace_back();
    for (auto& documents : parts_.small) {
      const std::size_t bytes = content_bytes(documents);
      const wire::ApplyBody one = part(std::move(documents), std::exchange(first, false), context_.settings().branch);
      if (one.documents.empty() && one.unset.empty()) continue;
      ST8_ASSIGN(wire::WriteResultBody result, send(change("POST", "/v1/apply", wire::to_json(one)), bytes));
      take(std::move(result));
    }
    for (wire::DocumentBody& document : parts_.large) {
      const std::size_t bytes = document.content.size();
      Call call = put(std::move(document), context_.settings().branch, body_.write.expected_revision);
      call.query.emplace_back("dry_run", "true");
      ST8_ASSIGN(wire::WriteResultBody result, send(std::move(call), bytes));
      take(std::move(result));
    }
    std::sort(whole.changes.begin(), whole.changes.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    HttpResponse response;
    response.status = 200;
    response.body = wire::to_json(whole);
    return response;
  }

  Context& context_;
  Client& client_;
  wire::ApplyBody body_;
  Progress progress_;
  DocumentParts parts_;
  std::string staging_;
  std::uint64_t head_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace

DocumentParts split_documents(std::vector<wire::DocumentBody> documents) {
  DocumentParts parts;
  std::size_t bytes = kPartBytesMax;
  for (wire::DocumentBody& document : documents) {
    const std::size_t size = encoded_bytes(document);
    if (size > kPartBytesMax) {
      parts.large.push_back(std::move(document));
      continue;
    }
    if (bytes + size > kPartBytesMax) {
      parts.small.emplace_back();
      bytes = 0;
    }
    bytes += size;
    parts.small.back().push_back(std::move(document));
  }
  return parts;
}

Result<std::vector<std::string>> keys_to_prune(Context& context, const std::string& at, const std::string& prefix,
                                               const std::vector<wire::DocumentBody>& documents) {
  ST8_ASSIGN(Client* const client, context.client());
  Query query = context.scope_query();
  query.insert(query.end(), {{"at", at}, {"prefix", prefix}, {"values", "false"}});
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/state", std::move(query))));
  ST8_ASSIGN(const wire::StateBody state, wire::parse_state(response.body));
  std::set<std::string_view> given;
  for (const wire::DocumentBody& document : documents) given.insert(document.key);
  std::vector<std::string> keys;
  for (const wire::ObjectBody& object : state.keys) {
    if (!given.contains(object.key)) keys.push_back(object.key);
  }
  return keys;
}

Result<HttpResponse> staged_apply(Context& context, wire::ApplyBody body) {
  ST8_ASSIGN(Client* const client, context.client());
  return StagedApply(context, *client, std::move(body)).run();
}

}  // namespace st8::ctl
