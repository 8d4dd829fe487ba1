// Three-way merges of arbitrary documents. The input is cut at its first two 0x01 bytes into base, ours and theirs; its
// first byte says what they are called.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "merge/document_merge.h"
#include "merge/json_scan.h"
#include "merge/yaml_scan.h"

namespace {

using namespace st8::state;
using namespace st8::state::merge;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string_view take_part(std::string_view& rest) {
  const auto end = rest.find('\x01');
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  static constexpr std::string_view kKeys[] = {"a.json", "a.yaml", "a.txt"};
  if (rest.empty()) return 0;
  const std::string_view key = kKeys[static_cast<unsigned char>(rest[0]) % 3];
  rest.remove_prefix(1);
  const std::string_view base = take_part(rest), ours = take_part(rest), theirs = rest;

  const DocumentMerge forth = merge_document(key, {base, ours, theirs}, ConflictSide::kNone);
  const DocumentMerge back = merge_document(key, {base, theirs, ours}, ConflictSide::kNone);
  // An outcome is written into ours' own text, and YAML has texts into which what came from the other side cannot be written:
  // then lines decide. Otherwise it does not matter who is called ours.
  if (key != "a.yaml") require(forth.conflicts.empty() == back.conflicts.empty());
  require(!forth.conflicts.empty() || forth.content.has_value());
  for (const ConflictSide side : {ConflictSide::kOurs, ConflictSide::kTheirs})
    require(merge_document(key, {base, ours, theirs}, side).content.has_value());
  require(merge_document(key, {base, base, theirs}, ConflictSide::kNone).content == theirs);
  require(merge_document(key, {base, ours, base}, ConflictSide::kNone).content == ours);
  // What was sound stays sound.
  if (forth.conflicts.empty() && key == "a.json" && scan_json(base) && scan_json(ours) && scan_json(theirs))
    require(scan_json(*forth.content).has_value());
  return 0;
}
