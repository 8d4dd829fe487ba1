// An apply that is too large for one request, still all or nothing.
#pragma once

#include <string>
#include <vector>

#include "client/transport.h"
#include "context.h"
#include "wire/requests.h"

namespace st8::ctl {

// Of one request's body, as st8d takes it.
inline constexpr std::size_t kBodyBytesMax = 20u << 20;

// Documents in parts that each fit into one request.
struct DocumentParts {
  std::vector<std::vector<wire::DocumentBody>> small;
  std::vector<wire::DocumentBody> large;  // Each too large for JSON; to be sent as raw bytes.
};
DocumentParts split_documents(std::vector<wire::DocumentBody> documents);

// The keys with `prefix` at `at` that are not among `documents`, which several requests cannot each prune by themselves.
Result<std::vector<std::string>> keys_to_prune(Context& context, const std::string& at, const std::string& prefix,
                                               const std::vector<wire::DocumentBody>& documents);

// Sends the documents in parts to a branch of its own, begun at the head of the one meant, then takes over that branch's state by one
// restore that expects the head to be where it was, and deletes the branch. Nobody sees a part of it on the branch meant; a writer in between makes it fail
// (kPreconditionFailed) and changes nothing. In the log it is one revision, with the cause "restore".
//
// A dry run asks for each part's changes alone: no key is in two parts, so together they are the whole's.
// The answer is that of an apply. Errors: as of an apply; the branch is deleted all the same.
Result<HttpResponse> staged_apply(Context& context, wire::ApplyBody body);

}  // namespace st8::ctl
