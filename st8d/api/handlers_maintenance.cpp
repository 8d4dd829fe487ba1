// POST /v1/gc and /v1/fsck, GET /v1/backup.
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"

namespace st8::api {
namespace {

constexpr std::uint64_t kKeepDefault = 10;
constexpr std::size_t kNamespacePage = 1000;

// The namespaces that a request for all of them means for this caller; empty: really all.
Outcome<std::vector<state::NamespaceName>> administered(Call& call) {
  std::vector<state::NamespaceName> names;
  if (call.principal->all_namespaces()) return names;
  std::string after;
  while (true) {
    ST8_API_ASSIGN(const std::vector<state::NamespaceInfo> page, call.store().namespaces(after, kNamespacePage));
    for (const state::NamespaceInfo& info : page) {
      if (auth::sees_namespace(*call.principal, auth::Verb::kAdmin, info.name.view())) names.push_back(info.name);
    }
    if (page.size() < kNamespacePage) break;
    after = page.back().name.str();
  }
  if (names.empty()) {
    return tl::unexpected<wire::Problem>(
        problem_of({auth::Verb::kAdmin, "", "", "",
                    "the token of \"" + call.principal->name + "\" covers no namespace that exists"}));
  }
  return names;
}

Checked all_keys(Call& call, std::string_view what) {
  if (call.principal->all_keys()) return {};
  return tl::unexpected<wire::Problem>(
      problem_of({auth::Verb::kAdmin, "", "", "",
                  "the token of \"" + call.principal->name + "\" covers only keys that begin with \"" +
                      call.principal->allow.key_prefix + "\", and " + std::string(what) + " touches all"}));
}

Reply gc(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::GcBody body, wire::parse_gc(call.request.body));
  state::GcRequest request;
  request.keep = static_cast<std::size_t>(body.keep == 0 ? kKeepDefault : body.keep);
  request.dry_run = body.dry_run;
  request.actor = call.principal->name;
  request.request_id = call.request.id;
  if (!body.branch.empty()) {
    ST8_API_ASSIGN(request.branch, state::BranchName::parse(body.branch));
  }
  ST8_API_TRY(all_keys(call, "gc"));
  if (!body.name_space.empty()) {
    ST8_API_ASSIGN(state::NamespaceName name_space, state::NamespaceName::parse(body.name_space));
    if (request.branch) {
      ST8_API_TRY(allow(call, auth::Verb::kAdmin, Where{name_space, *request.branch}));
    } else {
      ST8_API_TRY(allow_all_branches(call, auth::Verb::kAdmin, name_space, "gc without a branch"));
    }
    request.namespaces.push_back(std::move(name_space));
  } else {
    if (request.branch) {
      ST8_API_TRY([&]() -> Checked {
        if (const auto denial = auth::denied(*call.principal, auth::Verb::kAdmin, {{}, request.branch->view(), {}})) {
          return tl::unexpected<wire::Problem>(problem_of(*denial));
        }
        return {};
      }());
    } else if (!call.principal->all_branches()) {
      return tl::unexpected<wire::Problem>(
          problem_of({auth::Verb::kAdmin, "", "", "",
                      "the token of \"" + call.principal->name +
                          "\" is limited to some branches, and gc without a branch touches all"}));
    }
    ST8_API_ASSIGN(request.namespaces, administered(call));
  }
  if (call.context.pinned) request.pinned = call.context.pinned();
  request.cancelled = [draining = call.context.draining] { return draining && draining(); };
  ST8_API_ASSIGN(const state::GcReport report, call.store().gc(request));
  call.noop = report.revisions_pruned == 0;
  wire::GcResultBody result;
  result.pruned = report.revisions_pruned;
  result.kept = report.revisions_kept;
  result.nodes_deleted = report.nodes_deleted;
  result.blobs_deleted = report.blobs_deleted;
  result.bytes_deleted = report.bytes_deleted;
  result.disk_bytes_before = report.disk_bytes_before;
  result.disk_bytes_after = report.disk_bytes_after;
  result.dry_run = report.dry_run;
  result.cancelled = report.cancelled;
  return json_response(wire::to_json(result));
}

Reply fsck(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::FsckBody body, wire::parse_fsck(call.request.body));
  ST8_API_TRY(all_keys(call, "fsck"));
  state::FsckRequest request;
  if (!body.name_space.empty()) {
    ST8_API_ASSIGN(state::NamespaceName name_space, state::NamespaceName::parse(body.name_space));
    ST8_API_TRY(allow_all_branches(call, auth::Verb::kAdmin, name_space, "fsck"));
    ST8_API_ASSIGN(const state::NamespaceInfo known, call.store().name_space(name_space));
    request.namespaces.push_back(known.name);
  } else {
    if (!call.principal->all_branches()) {
      return tl::unexpected<wire::Problem>(problem_of(
          {auth::Verb::kAdmin, "", "", "",
           "the token of \"" + call.principal->name + "\" is limited to some branches, and fsck touches all"}));
    }
    ST8_API_ASSIGN(request.namespaces, administered(call));
  }
  request.cancelled = [draining = call.context.draining] { return draining && draining(); };
  ST8_API_ASSIGN(const state::FsckReport report, call.store().fsck(request));
  wire::FsckResultBody result;
  result.clean = report.clean();
  result.problem_count = report.problem_count;
  for (const state::FsckProblem& problem : report.problems) {
    result.problems.push_back({problem.name_space, problem.object, problem.problem, problem.affects});
  }
  result.namespaces = report.namespaces;
  result.revisions = report.revisions;
  result.nodes = report.nodes;
  result.blobs = report.blobs;
  return json_response(wire::to_json(result));
}

// The store pushes a backup, the front pulls a response: a thread runs the one, a short queue feeds the other.
class BackupPipe {
 public:
  explicit BackupPipe(const state::Store& store) : thread_([this, &store] { run(store); }) {}
  ~BackupPipe() {
    {
      const std::lock_guard lock(mutex_);
      abandoned_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  BackupPipe(const BackupPipe&) = delete;
  BackupPipe& operator=(const BackupPipe&) = delete;

  Result<std::string> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !chunks_.empty() || done_; });
    if (!chunks_.empty()) {
      std::string chunk = std::move(chunks_.front());
      chunks_.pop_front();
      changed_.notify_all();
      return chunk;
    }
    if (error_) return fail(*error_);
    return std::string();
  }

 private:
  static constexpr std::size_t kChunkBytes = 256u << 10;
  static constexpr std::size_t kChunksMax = 4;

  void run(const state::Store& store) {
    std::string gathered;
    Result<state::BackupReport> report = store.backup([&](std::string_view bytes) -> Status {
      gathered.append(bytes);
      return gathered.size() < kChunkBytes ? Status() : hand_over(gathered);
    });
    if (report && !gathered.empty()) {
      if (Status handed = hand_over(gathered); !handed) report = fail(std::move(handed).error());
    }
    const std::lock_guard lock(mutex_);
    done_ = true;
    if (!report) error_ = report.error();
    changed_.notify_all();
  }

  Status hand_over(std::string& gathered) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return chunks_.size() < kChunksMax || abandoned_; });
    if (abandoned_) return fail(ErrorCode::kUnavailable, "the client went away");
    chunks_.push_back(std::exchange(gathered, std::string()));
    changed_.notify_all();
    return {};
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> chunks_;
  bool done_ = false;
  bool abandoned_ = false;
  std::optional<Error> error_;
  std::thread thread_;  // Last: it uses all of the above.
};

Reply backup(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_TRY(all_keys(call, "a backup"));
  if (!call.principal->all_namespaces() || !call.principal->all_branches()) {
    return tl::unexpected<wire::Problem>(problem_of(
        {auth::Verb::kAdmin, "", "", "",
         "the token of \"" + call.principal->name + "\" does not cover everything, and a backup holds everything"}));
  }
  http::Response response;
  response.set_header("Content-Type", "application/octet-stream");
  response.set_header("Content-Disposition", "attachment; filename=\"st8.backup\"");
  response.set_header("Cache-Control", "no-store");
  if (call.request.method == "HEAD") return response;
  // Begun with the first pull, so that a response that nobody sends costs nothing.
  auto pipe = std::make_shared<std::unique_ptr<BackupPipe>>();
  response.body_source = [pipe, &store = call.store()]() -> Result<std::string> {
    if (*pipe == nullptr) *pipe = std::make_unique<BackupPipe>(store);
    return (*pipe)->next();
  };
  return response;
}

}  // namespace

void add_maintenance_routes(Router& router) {
  router.add({"POST", "/v1/gc", Access::kAdmin, BodyKind::kJson, "gc", gc});
  router.add({"POST", "/v1/fsck", Access::kAdmin, BodyKind::kJson, "fsck", fsck});
  router.add({"GET", "/v1/backup", Access::kAdmin, BodyKind::kNone, "backup", backup});
}

}  // namespace st8::api
