#include "service/target_documents.h"

#include "st8/target/policy.h"

namespace st8::target {

std::optional<TargetName> target_of_key(std::string_view key) {
  if (!key.starts_with(kTargetPrefix) || !key.ends_with(".yaml")) return std::nullopt;
  key.remove_prefix(kTargetPrefix.size());
  key.remove_suffix(5);
  auto name = TargetName::parse(key);
  return name ? std::optional<TargetName>(std::move(*name)) : std::nullopt;
}

TargetDocument TargetDocument::read(const TargetName& name, const Hash& hash, std::string text) {
  TargetDocument document{hash, std::nullopt, {}, ""};
  document.target = parse_target(name, text, document.problems);
  if (!document.target) document.text = std::move(text);
  return document;
}

Result<std::shared_ptr<const TargetDocuments>> TargetDocumentCache::read(const state::View& view) {
  std::shared_ptr<const TargetDocuments> before;
  {
    const std::lock_guard lock(mutex_);
    if (kept_ != nullptr && root_ == view.root()) return kept_;
    before = kept_;
  }
  auto documents = std::make_shared<TargetDocuments>();
  std::size_t bytes = 0;
  Status read;
  ST8_TRY(view.for_each(kTargetPrefix, [&](const state::Entry& entry) {
    const auto name = target_of_key(entry.key.str());
    if (!name) return true;
    bytes += entry.ref.size;
    if (before != nullptr) {
      const auto known = before->find(*name);
      if (known != before->end() && known->second->hash == entry.ref.hash) {
        documents->emplace_hint(documents->end(), *known);
        return true;
      }
    }
    auto text = view.read(entry.key, entry.ref);
    if (!text) {
      read = fail(text.error());
      return false;
    }
    documents->emplace(
        *name, std::make_shared<const TargetDocument>(TargetDocument::read(*name, entry.ref.hash, std::move(*text))));
    return true;
  }));
  if (!read) return fail(read.error());
  const std::lock_guard lock(mutex_);
  kept_ = bytes <= bytes_max_ ? documents : nullptr;
  root_ = view.root();
  return documents;
}

}  // namespace st8::target
