// Methods of Store whose parts are not written yet. Whoever writes one takes it from here.
#include "pipeline/store_impl.h"

namespace st8::state {

Result<CommitResult> Store::merge(MergeRequest) { return fail(ErrorCode::kUnimplemented, "merging is not offered by this build"); }
Result<RevisionNumber> Store::merge_base(const NamespaceName&, RevisionNumber, RevisionNumber) const {
  return fail(ErrorCode::kUnimplemented, "merging is not offered by this build");
}

}  // namespace st8::state
