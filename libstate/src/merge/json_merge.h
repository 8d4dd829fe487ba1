// The outcome of a merge of JSON documents, as text: ours as it is written, but for what changed.
#pragma once

#include <string>
#include <string_view>

#include "merge/value_merge.h"

namespace st8::state::merge {

std::string write_json(const Merged& merged, std::string_view ours, const Value& ours_root, std::string_view theirs);

}  // namespace st8::state::merge
