// The root of the command model, and what every command takes.
#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr const Flag* kGlobal[] = {&flags::kConfig,     &flags::kServer,    &flags::kToken,  &flags::kLocal,
                                   &flags::kStateDir,   &flags::kNamespace, &flags::kBranch, &flags::kTimeout,
                                   &flags::kOutput,     &flags::kColor,     &flags::kQuiet,  &flags::kCaCert,
                                   &flags::kClientCert, &flags::kClientKey};

constexpr const Command* kCommands[] = {&kApply,
                                        &kUnset,
                                        &kGet,
                                        &kDiff,
                                        &kShow,
                                        &kLog,
                                        &kHistory,
                                        &kWatch,
                                        &kResolve,
                                        &kCheckpoint,
                                        &kRollback,
                                        &kRestore,
                                        &kMerge,
                                        &kRevert,
                                        &kCherryPick,
                                        &kBranch,
                                        &kNamespaceCommand,
                                        &kOperations,
                                        &kPlan,
                                        &kPolicyCommand,
                                        &kImport,
                                        &kRollout,
                                        &kLive,
                                        &kDrift,
                                        &kReconcile,
                                        &kFreeze,
                                        &kUnfreeze,
                                        &kQuarantine,
                                        &kTarget,
                                        &kWorker,
                                        &kSeal,
                                        &kGc,
                                        &kFsck,
                                        &kBackup,
                                        &kStatus,
                                        &kLogin,
                                        &kVersion,
                                        &kCompletion,
                                        &kHelp,
                                        &kComplete};

constexpr Command kRoot{
    "st8ctl", "Configuration as Git-like state: apply, diff, branch, promote, roll back", "", "", {}, {}, kCommands,
    nullptr};

}  // namespace

const Command& root_command() { return kRoot; }
std::span<const Flag* const> global_flags() { return kGlobal; }

}  // namespace st8::ctl
