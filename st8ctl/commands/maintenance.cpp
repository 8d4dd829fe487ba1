// operations, gc, fsck, backup: what an operator of a store asks for.
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "commands/commands.h"
#include "config/files.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many (default 100; 0: all)"};
constexpr Flag kAfter{"after", 0, FlagKind::kNumber, "N", "Only operations behind this sequence number"};
constexpr Flag kKeep{"keep", 0, FlagKind::kNumber, "N", "Revisions to keep of each branch (default 10)"};
constexpr Flag kAll{"all-namespaces", 0, FlagKind::kBool, "", "Every namespace that the token may administer"};
constexpr const Flag* kOperationsFlags[] = {&kLimit, &kAfter};
constexpr const Flag* kGcFlags[] = {&kKeep, &kAll, &flags::kDryRun};
constexpr const Flag* kFsckFlags[] = {&kAll};
constexpr Positional kFilePositional[] = {
    {"file", "Where to write it; must not exist yet", true, false, Completes::kFiles}};

Result<int> operations(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  Query query{{"namespace", context.settings().name_space}, {"after", context.arguments().text_or("after", "")}};
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/operations", std::move(query)), "operations",
                                                         context.arguments().number("limit").value_or(100)));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  ST8_ASSIGN(const wire::OperationPageBody page, wire::parse_operation_page(wire::to_json(answer)));
  for (const wire::OperationBody& one : page.operations) {
    context.out().line("seq=" + std::to_string(one.sequence) + " at=" + short_time(one.at) + " " + one.kind + " " +
                       printable(one.name) + " before=" + std::to_string(one.before) +
                       " after=" + std::to_string(one.after) + " actor=" + quote(one.actor) +
                       (one.detail.empty() ? "" : " detail=" + quote(one.detail)));
    if (context.out().broken()) break;
  }
  return 0;
}

Result<int> gc(Context& context) {
  wire::GcBody body;
  body.keep = context.arguments().number("keep").value_or(10);
  if (body.keep == 0)
    return fail(ErrorCode::kInvalidArgument, "--keep must be at least 1", "gc always keeps every head");
  if (!context.arguments().on("all-namespaces")) body.name_space = context.settings().name_space;
  if (context.settings().branch_given) body.branch = context.settings().branch;
  body.dry_run = context.dry_run();
  Progress progress(context.shows_progress(), "Collecting", Progress::Unit::kTime);
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("POST", "/v1/gc", wire::to_json(body)), "Collecting"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::GcResultBody result, wire::parse_gc_result(response.body));
  context.out().line("pruned=" + std::to_string(result.pruned));
  if (context.dry_run()) {
    context.notice("nothing was deleted: " + human_bytes(result.bytes_deleted) + " of bodies would be");
  } else if (result.pruned > 0) {
    context.notice("kept " + std::to_string(result.kept) + " revision(s), deleted " +
                   human_bytes(result.bytes_deleted) + " of bodies; on disk " + human_bytes(result.disk_bytes_before) +
                   " -> " + human_bytes(result.disk_bytes_after));
  }
  return 0;
}

Result<int> fsck(Context& context) {
  wire::FsckBody body;
  if (!context.arguments().on("all-namespaces")) body.name_space = context.settings().name_space;
  Progress progress(context.shows_progress(), "Checking", Progress::Unit::kTime);
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(post("/v1/fsck", wire::to_json(body))));
  ST8_ASSIGN(const wire::FsckResultBody result, wire::parse_fsck_result(response.body));
  const int code = result.clean ? 0 : traits_of(ErrorCode::kCorrupt).exit_code;
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return code;
  for (const wire::FsckProblemBody& problem : result.problems) {
    context.out().line(printable(problem.name_space) + ": " + printable(problem.object) + ": " +
                       printable(problem.problem) +
                       (problem.affects.empty() ? "" : " (" + printable(problem.affects) + ")"));
  }
  if (result.problem_count > result.problems.size())
    context.notice("the first " + std::to_string(result.problems.size()) + " problems are shown");
  context.out().line((result.clean ? "clean: " : std::to_string(result.problem_count) + " problem(s): ") +
                     std::to_string(result.namespaces) + " namespace(s), " + std::to_string(result.revisions) +
                     " revision(s), " + std::to_string(result.nodes) + " node(s), " + std::to_string(result.blobs) +
                     " document(s) checked");
  return code;
}

Result<int> backup(Context& context) {
  const std::string& path = context.arguments().positionals.front();
  const std::string partial = path + ".partial";
  // Neither an older backup nor anybody's file is written over.
  if (::access(path.c_str(), F_OK) == 0)
    return fail(ErrorCode::kConflict, path + " exists", "name a file that does not, or remove it first");
  const int descriptor = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(system_error("create", partial, errno));
  Progress progress(context.shows_progress(), "Receiving", Progress::Unit::kBytes);
  std::uint64_t received = 0;
  int failed = 0;
  TransferOptions options;
  options.sink = [&](std::string_view piece) {
    received += piece.size();
    progress.set(received);
    while (!piece.empty()) {
      const ssize_t done = ::write(descriptor, piece.data(), piece.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) {
        failed = errno;
        return false;
      }
      piece.remove_prefix(static_cast<std::size_t>(done));
    }
    return true;
  };
  const auto outcome = [&]() -> Result<int> {
    ST8_ASSIGN(Client* const client, context.client());
    ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/backup"), options));
    if (failed != 0) return fail(system_error("write", partial, failed));
    if (::fsync(descriptor) != 0) return fail(system_error("sync", partial, errno));
    if (::rename(partial.c_str(), path.c_str()) != 0) return fail(system_error("rename", partial, errno));
    return 0;
  }();
  ::close(descriptor);
  if (!outcome) {
    ::unlink(partial.c_str());
    return outcome;
  }
  context.out().line("Wrote " + human_bytes(received) + " to " + path +
                     ". Restore it with: st8d restore --state-dir DIR " + path);
  return 0;
}

}  // namespace

const Command kOperations{"operations",
                          "Show who changed which name, and when",
                          "Every move of a branch and every change of a checkpoint of the namespace, oldest first.",
                          "st8ctl operations\n"
                          "st8ctl operations --after 120 -o json",
                          kOperationsFlags,
                          {},
                          {},
                          operations};
const Command kGc{"gc",
                  "Drop the documents of old revisions",
                  "Keeps the newest --keep revisions of each branch, every head, every checkpoint and what is live on "
                  "a target. The records of the others stay in the log, "
                  "marked pruned.",
                  "st8ctl gc --keep 50 --dry-run\n"
                  "st8ctl gc --keep 50",
                  kGcFlags,
                  {},
                  {},
                  gc};
const Command kFsck{
    "fsck",
    "Prove that what is stored is whole",
    "Recomputes every hash and checks every pointer. Exits with the code for corruption when something is damaged.",
    "st8ctl fsck --all-namespaces",
    kFsckFlags,
    {},
    {},
    fsck};
const Command kBackup{"backup",
                      "Copy the whole store into a file while it runs",
                      "One consistent moment of it, checksummed. `st8d restore` makes a state directory of it again.",
                      "st8ctl backup st8-2026-11-21.backup",
                      {},
                      kFilePositional,
                      {},
                      backup};

}  // namespace st8::ctl
