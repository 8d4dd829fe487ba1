// Stored bytes and names of trees, pinned. A failure here means that the format has changed: stores written before would
// no longer read, or the same documents would have another name. That takes a new format version (docs/formats.md).
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>

#include "support/memory_nodes.h"
#include "tree/delta.h"

namespace st8::state::tree {
namespace {

std::string hex_of(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}
std::string bytes_of(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}
// Hexadecimal digits; white space does not count.
std::string golden(const std::string& name) {
  std::ifstream file(ST8_SOURCE_DIR "/tests/golden/tree/" + name);
  std::string hex, word;
  while (file >> word) hex += word;
  return hex;
}

std::shared_ptr<Node> leaf() {
  NodeBuilder builder(0);
  builder.add("app/config.json", {Hash::of("{}\n"), 1, 3, {1}});
  builder.add("app/db/url", {Hash::of("postgres://db"), 1, 13, {300}});
  builder.add("app/flags.yaml", {Hash::of("on: true\n"), 1, 70'000, {2}});
  return builder.finish();
}
std::shared_ptr<Node> inner() {
  NodeBuilder builder(2);
  builder.add("app/config.json", {Hash::of("one"), 500, 1'000'000, {70'000}});
  builder.add("services/web", {Hash::of("two"), 70'000, 12, {1}});
  return builder.finish();
}
std::shared_ptr<Node> next_leaf() {
  NodeBuilder builder(0);
  builder.add("app/config.json", {Hash::of("{\"a\": 1}\n"), 1, 9, {301}});
  builder.add("app/db/pool", {Hash::of("5"), 1, 1, {301}});
  builder.add("app/db/url", {Hash::of("postgres://db"), 1, 13, {300}});
  return builder.finish();
}

TEST(TreeGolden, NodeBodiesAreTheBytesOfTheFormat) {
  EXPECT_EQ(hex_of(leaf()->body()), golden("leaf.hex"));
  EXPECT_EQ(hex_of(inner()->body()), golden("inner.hex"));
  EXPECT_EQ(hex_of(encode_delta(*leaf(), {300}, 5, *next_leaf())), golden("difference.hex"));
}

TEST(TreeGolden, StoredBodiesStillRead) {
  const auto stored_leaf = Node::decode(bytes_of(golden("leaf.hex")));
  ASSERT_TRUE(stored_leaf) << stored_leaf.error().message;
  EXPECT_EQ((*stored_leaf)->name().hex(), "28a0351fdbdf60461d81b57ba1c383d015f34f3311e3d84efe039123a13c13cf");
  EXPECT_EQ((*stored_leaf)->document(2), (DocumentRef{Hash::of("on: true\n"), 70'000, {2}}));
  const auto stored_inner = Node::decode(bytes_of(golden("inner.hex")));
  ASSERT_TRUE(stored_inner) << stored_inner.error().message;
  EXPECT_EQ((*stored_inner)->name().hex(), "2f706cd4c351582e72bab1616cda08066a8965bd6868c1a860eb717dc10a565d");
  EXPECT_EQ((*stored_inner)->document_count(), 70'500u);
  const std::string difference = bytes_of(golden("difference.hex"));
  const auto header = decode_delta_header(difference);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->step, 5);
  EXPECT_EQ(header->base_written_at.value, 300u);
  const auto next = apply_delta(**stored_leaf, difference);
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ((*next)->body(), next_leaf()->body());
}

TEST(TreeGolden, RootsOfKnownDocuments) {
  const auto root_of = [](std::size_t documents) {
    Model model;
    for (std::size_t i = 0; i < documents; ++i)
      model["services/svc-" + std::to_string(i) + "/config.json"] =
          ref_of("{\"n\": " + std::to_string(i) + "}\n", 1 + i % 7);
    MemoryNodes nodes;
    const auto root = build(model, 7, nodes);
    return std::to_string(root->level) + " " + root->hash.hex();
  };
  EXPECT_EQ(root_of(0), "0 " + std::string(64, '0'));
  EXPECT_EQ(root_of(1), "0 047302074393e30439657d89a1e1abfc51be51fb64b5d1c90a7ef92630b728e5");
  EXPECT_EQ(root_of(100), "1 b8ddfdca994675cae0f869fcbd80fae9b272692ea64d275a43c27a00d32f8311");
  EXPECT_EQ(root_of(10'000), "2 0c4ec6363a5f44685c025d0257329b30a5b823dcef7c8559534fa9666e4332e7");
}

}  // namespace
}  // namespace st8::state::tree
