// Other tools' rollout documents, as st8's policy and targets. Pure translation: text in, documents and a report out. The report
// names every field of the source: taken over, changed (and how), or left out (and why), so that nothing is lost unseen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "st8/state/result.h"
#include "wire/json.h"

namespace st8::ctl {

struct ImportRow {
  enum class What : std::uint8_t { kTaken, kChanged, kLeft };
  int line = 0;      // Of the source, from 1.
  std::string from;  // "spec.strategy.steps[0].weight"; a whole subtree is named by its root.
  What what = What::kTaken;
  std::string to;   // Where it went; empty when it was left out.
  std::string why;  // What was changed, or why it was left out.
};
std::string_view import_word(ImportRow::What what);

struct ImportOptions {
  std::string branch = "main";  // The one whose head goes live.
  std::string kind = "worker";  // Of targets that the source names and does not describe: worker, ssh, file.
  std::string root =
      "/srv/st8";  // Where their documents lie; a worker has its own. Of kind file: below it, a directory each.
};

struct Imported {
  std::string name;                                              // What the source calls itself; may be empty.
  wire::JsonValue policy;                                        // .st8/rollout.yaml
  std::vector<std::pair<std::string, wire::JsonValue>> targets;  // Name, and targets/<name>.yaml; by name.
  std::vector<ImportRow> report;                                 // In the order of the source.
};

inline constexpr std::size_t kImportBytesMax = 256u << 10;

// Errors of all: kUnprocessable (not that tool's document, or one that means nothing there either: an unknown strategy or step
// type, a value that is out of range), with line and field. What comes out passes st8's strict reader. Cost: one pass.
//
// Kitsune orchestration JSON: {servers, steps, rolloutStrategy}, in the field names of its README and in those of its code.
Result<Imported> import_kitsune(std::string_view text, const ImportOptions& options = {});
// RollOps: apiVersion rollops.klarlabs.de/v1, kind RolloutConfig.
Result<Imported> import_rollops(std::string_view text, const ImportOptions& options = {});
// Argo Rollouts: apiVersion argoproj.io/v1alpha1, kind Rollout; of its spec, the strategy and what goes with it.
Result<Imported> import_argo(std::string_view text, const ImportOptions& options = {});

}  // namespace st8::ctl
