// Methods of Store whose parts are not written yet. Whoever writes one takes it from here.
#include "pipeline/store_impl.h"

namespace st8::state {

Result<CommitResult> Store::merge(MergeRequest) { return fail(ErrorCode::kUnimplemented, "merging is not offered by this build"); }
Result<RevisionNumber> Store::merge_base(const NamespaceName&, RevisionNumber, RevisionNumber) const {
  return fail(ErrorCode::kUnimplemented, "merging is not offered by this build");
}
Result<GcReport> Store::gc(const GcRequest&) { return fail(ErrorCode::kUnimplemented, "gc is not offered by this build"); }
Result<FsckReport> Store::fsck(const FsckRequest&) const { return fail(ErrorCode::kUnimplemented, "fsck is not offered by this build"); }
Result<BackupReport> Store::backup(const std::function<Status(std::string_view)>&) const {
  return fail(ErrorCode::kUnimplemented, "backup is not offered by this build");
}

}  // namespace st8::state
