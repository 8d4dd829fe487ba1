// fsck of an engine, with or without a Store over it: see FsckRequest in maintenance.h.
#pragma once

#include "st8/state/engine.h"
#include "st8/state/maintenance.h"

namespace st8::state::maintenance {

// On one snapshot, so it runs beside writers and gc. Damage is reported, not returned, also where the engine itself cannot
// read a block. Memory: about 32 bytes a node, 16 a document version and 48 a revision. Errors: kNotFound for a namespace that is
// asked for and does not exist; the engine's, but for kCorrupt.
Result<FsckReport> fsck_engine(const Engine& engine, const FsckRequest& request);

}  // namespace st8::state::maintenance
