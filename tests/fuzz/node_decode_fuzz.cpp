// Stored tree nodes, whole and as differences: nothing crashes, and what decodes is the one encoding of what it says.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tree/delta.h"
#include "tree/node.h"

namespace {

using namespace st8;
using namespace st8::state;
using namespace st8::state::tree;

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const Node& node) {
  std::uint64_t documents = 0, bytes = 0;
  NodeBuilder builder(node.level());
  for (std::size_t i = 0; i < node.count(); ++i) {
    const std::string key = node.key(i);
    require(node.find(key) == i);
    require(node.child_for(key) == i);
    documents += node.documents(i);
    bytes += node.bytes(i);
    builder.add(node, i);
  }
  require(documents == node.document_count() && bytes == node.content_bytes());
  const auto again = builder.finish();
  require(again->body() == node.body() && again->name() == node.name());
}

std::shared_ptr<const Node> base_of(std::uint8_t level) {
  NodeBuilder builder(level);
  for (char c = 'b'; c < 'z'; ++c)
    builder.add(std::string("app/") + c, {Hash::of({&c, 1}), 1, static_cast<std::uint64_t>(c) * 3, {5}});
  return builder.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string body(reinterpret_cast<const char*>(data), size);
  if (const auto node = Node::decode(body)) {
    require((*node)->body() == body);
    use(**node);
  }
  // Checksums are what mutations fail at, so the changes are tried without them too.
  static const auto leaf = base_of(0), inner = base_of(1);
  static_cast<void>(decode_delta_header(body));
  for (const auto& base : {leaf, inner}) {
    if (const auto node = apply_delta(*base, body)) {
      use(**node);
      require((*node)->level() == base->level() && (*node)->first_key() == base->first_key());
      // The difference of the two gives the node again.
      const std::string delta = encode_delta(*base, {1}, 1, **node);
      require(decode_delta_header(delta).has_value());
      const auto again = apply_delta(*base, delta);
      require(again.has_value() && (*again)->body() == (*node)->body());
    }
  }
  return 0;
}
