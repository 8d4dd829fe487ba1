// What the importers make alike.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "import/source.h"

namespace st8::ctl {

// What a document of Kubernetes' kind begins with: `apiVersion`, which begins with `group` + "/", and `kind`. `hint` may say what to do with
// another kind.
inline Status read_opening(const Part& root, std::string_view group, std::string_view version, std::string_view kind,
                           std::string_view other_kind = {}, std::string_view hint = {}) {
  ST8_ASSIGN(const Part api, root.require("apiVersion"));
  ST8_ASSIGN(const std::string api_text, api.text());
  if (!api_text.starts_with(std::string(group) + "/"))
    return api.refuse("is not " + std::string(group) + "/" + std::string(version));
  api.left("it says what the document is");
  ST8_ASSIGN(const Part kind_part, root.require("kind"));
  ST8_ASSIGN(const std::string kind_text, kind_part.text());
  if (kind_text != kind)
    return kind_part.refuse("is not " + std::string(kind),
                            !other_kind.empty() && kind_text == other_kind ? std::string(hint) : std::string());
  kind_part.left("it says what the document is");
  return {};
}

// A policy that names the branch and nothing else yet.
inline wire::JsonValue new_policy(const ImportOptions& options) {
  wire::JsonValue policy = json_object();
  put(policy, "branches", json_texts({options.branch}));
  return policy;
}

// A name that no other has: itself, or with -2, -3 ... behind it.
inline std::string unique_name(const std::string& wanted, std::set<std::string>& names) {
  std::string name = wanted;
  for (int i = 2; !names.insert(name).second; ++i) name = wanted.substr(0, 63 - 5) + "-" + std::to_string(i);
  return name;
}

// The document of a target that the source only names. `host`: what it is called there.
inline wire::JsonValue new_target(const std::string& name, const std::string& host, const ImportOptions& options) {
  wire::JsonValue target = json_object();
  wire::JsonValue spec = json_object();
  put(target, "kind", json_text(options.kind));
  if (options.kind == "worker") put(spec, "worker", json_text(name));
  if (options.kind == "ssh") put(spec, "host", json_text(host));
  if (options.kind != "worker")
    put(spec, "root", json_text(options.kind == "file" ? options.root + "/" + name : options.root));
  put(target, "spec", std::move(spec));
  return target;
}

// What ssh takes for a machine's name.
inline bool is_host(std::string_view text) {
  if (text.empty() || text.size() > 255 || text.front() == '-') return false;
  for (const char c : text) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                      c == '_' || c == ':' || c == '-';
    if (!good) return false;
  }
  return true;
}

// Puts a field whose text st8 would render, as it was; and says so when that needed a change.
inline Status put_unrendered(wire::JsonValue& object, std::string_view name, const Part& part, const std::string& to) {
  ST8_ASSIGN(const std::string text, part.text());
  const std::string kept = unrendered(text);
  put(object, name, json_text(kept));
  if (kept == text) {
    part.taken(to);
  } else {
    part.changed(to, "\"{{\" is written \"{{{{\", since st8 fills in what stands in double braces");
  }
  return {};
}

}  // namespace st8::ctl
