// The `worker` driver: a directory of a machine on which `st8d worker` runs.
//
//   spec:
//     worker: web-1             # as `st8d worker --name`
//     directory: app            # optional: below the worker's own root
//     mode: directory           # or `files`, as the file driver
//     keep: 5
//
// Each call becomes an assignment that the worker fetches, does with the file driver's code, and reports.
#pragma once

#include <memory>
#include <string>

#include "document/strict_yaml.h"
#include "drivers/file/file_driver.h"
#include "st8/target/target.h"
#include "st8/target/worker_hub.h"

namespace st8::target::worker {

struct WorkerSpec {
  std::string worker;
  std::string directory;  // Relative; empty: the worker's root itself.
  file::Layout layout = file::Layout::kDirectory;
  std::uint32_t keep = 5;
  void read(strict_yaml::Context& context, const strict_yaml::Value& value);
};

// Errors: kUnprocessable (the worker's name).
Result<std::unique_ptr<TargetDriver>> make_worker_driver(WorkerHub& hub, WorkerSpec spec);

}  // namespace st8::target::worker
