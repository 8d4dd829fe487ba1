// Every command's entry in the model, and what several of them do alike.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "args/command.h"
#include "args/flags.h"
#include "client/client.h"
#include "context.h"
#include "documents/load.h"
#include "render/diff.h"
#include "render/document.h"
#include "wire/requests.h"
#include "wire/responses.h"

namespace st8::ctl {

extern const Command kApply, kUnset, kGet, kDiff, kShow, kLog, kHistory, kWatch, kResolve, kCheckpoint, kRollback,
    kRestore, kMerge, kRevert, kCherryPick, kBranch, kNamespaceCommand, kOperations, kGc, kFsck, kBackup, kStatus,
    kPlan, kPolicyCommand, kImport, kRollout, kLive, kDrift, kReconcile, kFreeze, kUnfreeze, kQuarantine, kTarget,
    kWorker, kSeal, kLogin, kVersion, kCompletion, kHelp, kComplete;

// Sends a change and gives its answer, with the idempotency key of the command line.
Result<HttpResponse> send_change(Context& context, Call call, const std::string& what);

// How a change that made a revision is told: `made` as in "Rolled back at revision 7.", what stands for a noop, and a line for each changed key.
struct ChangeTexts {
  std::string made;   // "{}" stands for the revision.
  std::string would;  // The same for a dry run.
  std::string noop;
};
Result<int> report_change(Context& context, const HttpResponse& response, const ChangeTexts& texts);

// CREATE, UPDATE and DELETE lines.
void print_changes(Context& context, const std::vector<wire::ChangeBody>& changes);
// A blank line and the unified diff of each change.
void print_diffs(Context& context, const std::vector<wire::ChangeBody>& changes, std::size_t lines);
// "rev=5 parent=4 branch=main at=... message="..." changes=2"
std::string log_line(const wire::LogEntryBody& entry);

// Reads -f, -v, --key and --under, and the positional files; notices go to standard error.
Result<LoadedDocuments> load_from_flags(Context& context, std::vector<std::string> positional_files);
// What --prune asks for: nullopt when it is not given.
Result<std::optional<std::string>> prune_prefix(Context& context);

}  // namespace st8::ctl
