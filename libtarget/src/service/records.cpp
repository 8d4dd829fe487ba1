#include "service/records.h"

#include <algorithm>
#include <charconv>

#include "codec/json.h"
#include "st8/state/text.h"
#include "st8/target/quarantine.h"

namespace st8::target {

using codec::Json;

std::string encode_ledger_entry(const LedgerEntry& entry) {
  Json json = {{"target", entry.target.str()},     {"namespace", entry.name_space},  {"branch", entry.branch},
               {"revision", entry.revision.value}, {"content", entry.content.hex()}, {"rollout", entry.rollout.value},
               {"promoted", entry.promoted},       {"since", entry.since.micros}};
  if (entry.until) json["until"] = entry.until->micros;
  return codec::dump(json);
}
Result<LedgerEntry> decode_ledger_entry(std::string_view bytes) {
  return codec::guarded<LedgerEntry>("ledger entry", bytes, [](const Json& json) -> Result<LedgerEntry> {
    ST8_ASSIGN(auto name, TargetName::parse(json.at("target").get<std::string>()));
    LedgerEntry entry{std::move(name),
                      json.at("namespace").get<std::string>(),
                      json.at("branch").get<std::string>(),
                      {json.at("revision").get<std::uint64_t>()},
                      codec::hash(json.at("content")),
                      {json.at("rollout").get<std::uint64_t>()},
                      json.at("promoted").get<bool>(),
                      {json.at("since").get<std::int64_t>()},
                      std::nullopt};
    if (json.contains("until")) entry.until = Timestamp{json.at("until").get<std::int64_t>()};
    return entry;
  });
}

namespace {

Result<QuarantinedTargets> names_of(const Json& array) {
  std::vector<TargetName> names;
  for (const Json& each : array) {
    ST8_ASSIGN(auto name, TargetName::parse(each.get<std::string>()));
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return std::make_shared<const std::vector<TargetName>>(std::move(names));
}

}  // namespace

bool Quarantine::concerns(std::span<const TargetName> these) const {
  return std::any_of(these.begin(), these.end(), [this](const TargetName& target) {
    return std::binary_search(targets->begin(), targets->end(), target);
  });
}

std::string encode_quarantine(const Quarantine& quarantine) {
  return codec::dump({{"namespace", quarantine.name_space},
                      {"branch", quarantine.branch},
                      {"key", quarantine.key},
                      {"after", quarantine.after ? Json(quarantine.after->hex()) : Json(nullptr)},
                      {"rollout", quarantine.rollout.value},
                      {"reason", quarantine.reason},
                      {"at", quarantine.at.micros}});
}
Result<Quarantine> decode_quarantine(std::string_view bytes) {
  return codec::guarded<Quarantine>("quarantine", bytes, [](const Json& json) -> Result<Quarantine> {
    Quarantine quarantine{json.at("namespace").get<std::string>(),
                          json.at("branch").get<std::string>(),
                          json.at("key").get<std::string>(),
                          codec::optional_hash(json.at("after")),
                          {},
                          {json.at("rollout").get<std::uint64_t>()},
                          json.at("reason").get<std::string>(),
                          {json.at("at").get<std::int64_t>()}};
    if (json.contains("targets")) {
      ST8_ASSIGN(quarantine.targets, names_of(json.at("targets")));
    }
    return quarantine;
  });
}

std::string encode_quarantined_targets(const std::vector<TargetName>& targets) {
  Json names = Json::array();
  for (const TargetName& target : targets) names.push_back(target.str());
  return codec::dump({{"targets", std::move(names)}});
}
Result<QuarantinedTargets> decode_quarantined_targets(std::string_view bytes) {
  return codec::guarded<QuarantinedTargets>("quarantined targets", bytes,
                                            [](const Json& json) { return names_of(json.at("targets")); });
}

std::string encode_freeze(const Freeze& freeze) {
  return codec::dump(
      {{"scope", freeze.scope}, {"actor", freeze.actor}, {"reason", freeze.reason}, {"since", freeze.since.micros}});
}
Result<Freeze> decode_freeze(std::string_view bytes) {
  return codec::guarded<Freeze>("freeze", bytes, [](const Json& json) -> Result<Freeze> {
    return Freeze{json.at("scope").get<std::string>(),
                  json.at("actor").get<std::string>(),
                  json.at("reason").get<std::string>(),
                  {json.at("since").get<std::int64_t>()}};
  });
}

namespace records {
namespace {

std::string join(std::string_view a, std::string_view b) { return std::string(a) + std::string(b); }
std::string branch_key(std::string_view prefix, const BranchId& branch) {
  return std::string(prefix) + branch.first + '\0' + branch.second;
}

}  // namespace

std::string sixteen(std::uint64_t number) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; number >>= 4) text[i] = kDigits[number & 15];
  return text;
}

std::string plan(RolloutId id) { return join("rollout/plan/", sixteen(id.value)); }
std::string event_prefix(RolloutId id) { return join("rollout/event/", sixteen(id.value)) + "/"; }
std::string event(RolloutId id, std::uint64_t sequence) { return event_prefix(id) + sixteen(sequence); }
std::string open(RolloutId id) { return join(kOpenPrefix, sixteen(id.value)); }
std::string index(RolloutId id) { return join(kIndexPrefix, sixteen(id.value)); }
std::string lease(const TargetName& target) { return join(kLeasePrefix, target.str()); }
std::string live(const TargetName& target) { return join(kLivePrefix, target.str()); }
std::string ledger_prefix(const TargetName& target) { return join("rollout/ledger/", target.str()) + '\0'; }
std::string ledger(const TargetName& target, Timestamp since) {
  return ledger_prefix(target) + sixteen(static_cast<std::uint64_t>(since.micros));
}
std::string planned(const BranchId& branch) { return branch_key(kPlannedPrefix, branch); }
std::string promoted(const BranchId& branch) { return branch_key(kPromotedPrefix, branch); }
std::string content(const Hash& hash) { return join("rollout/content/", hash.hex()); }
std::string quarantine(std::string_view name_space, std::string_view key, const std::optional<Hash>& after) {
  return std::string(kQuarantinePrefix) + std::string(name_space) + '\0' + std::string(key) + '\0' +
         (after ? after->hex() : "deleted");
}
std::string quarantined_targets(RolloutId id) { return join(kQuarantinedTargetsPrefix, sixteen(id.value)); }
std::string freeze(std::string_view scope) { return join(kFreezePrefix, scope); }

std::optional<BranchId> branch_of(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix)) return std::nullopt;
  key.remove_prefix(prefix.size());
  const std::size_t nul = key.find('\0');
  if (nul == std::string_view::npos) return std::nullopt;
  return BranchId{std::string(key.substr(0, nul)), std::string(key.substr(nul + 1))};
}

std::string encode(const Lease& lease) { return codec::dump({{"holder", lease.holder.value}, {"token", lease.token}}); }
Result<Lease> decode_lease(std::string_view bytes) {
  return codec::guarded<Lease>("lease", bytes, [](const Json& json) -> Result<Lease> {
    return Lease{{json.at("holder").get<std::uint64_t>()}, json.at("token").get<std::uint64_t>()};
  });
}

std::string encode(const Planned& planned) {
  std::string text = std::to_string(planned.revision.value);
  if (planned.hash) text += " " + planned.hash->hex();
  return text;
}
Result<Planned> decode_planned(std::string_view bytes) {
  Planned planned;
  const char* const end = bytes.data() + bytes.size();
  const auto [number_end, error] = std::from_chars(bytes.data(), end, planned.revision.value);
  bool whole = error == std::errc{};
  if (whole && number_end != end) {
    planned.hash = Hash::from_hex(std::string_view(number_end + 1, end));
    whole = *number_end == ' ' && planned.hash.has_value();
  }
  if (whole) return planned;
  return fail(ErrorCode::kCorrupt, "the record of a planned revision cannot be read: " + quote(bytes),
              "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
}

std::string encode(const Promoted& promoted) {
  Json json{{"revision", promoted.revision.value}, {"rollout", promoted.rollout.value}, {"at", promoted.at.micros}};
  if (promoted.hash) json["hash"] = promoted.hash->hex();
  return codec::dump(json);
}
Result<Promoted> decode_promoted(std::string_view bytes) {
  return codec::guarded<Promoted>("promotion", bytes, [](const Json& json) -> Result<Promoted> {
    Promoted promoted{{json.at("revision").get<std::uint64_t>()},
                      {json.at("rollout").get<std::uint64_t>()},
                      {json.at("at").get<std::int64_t>()},
                      std::nullopt};
    if (const auto hash = json.find("hash"); hash != json.end()) {
      promoted.hash = Hash::from_hex(hash->get<std::string>());
      if (!promoted.hash) return fail(ErrorCode::kCorrupt, "its hash is not one", "");
    }
    return promoted;
  });
}

std::string encode(const std::vector<FileEntry>& files) {
  Json json = Json::array();
  for (const FileEntry& file : files)
    json.push_back({{"path", file.path}, {"mode", file.mode}, {"hash", file.hash.hex()}});
  return codec::dump(json);
}
Result<std::vector<FileEntry>> decode_files(std::string_view bytes) {
  return codec::guarded<std::vector<FileEntry>>(
      "content", bytes, [](const Json& json) -> Result<std::vector<FileEntry>> {
        std::vector<FileEntry> files;
        for (const Json& file : json)
          files.push_back(
              {file.at("path").get<std::string>(), file.at("mode").get<std::uint32_t>(), codec::hash(file.at("hash"))});
        return files;
      });
}

}  // namespace records
}  // namespace st8::target
