// The backup stream, whatever the engine. Byte layout (numbers big-endian; docs/formats.md):
//
//   stream   := header records* trailer
//   header   := "ST8BKUP\0" version:u32 (now 1)
//   records  := 1:u8 length:u32 payload checksum:8 bytes        length is the payload's, at most 64 MiB
//   trailer  := 2:u8 48:u32 count:u64 bytes:u64 digest:32 bytes checksum:8 bytes
//   payload  := record+          record := key_length:u32 key value_length:u32 value        keys strictly ascending
//   checksum := the first 8 bytes of SHA-256 over the frame before it, from its type on
//   digest   := SHA-256 over every byte of the stream before the trailer
//   count, bytes := of all records; bytes of keys and values
//
// A frame's checksum tells early and where; the digest tells of frames lost, repeated or reordered.
#pragma once

#include <functional>
#include <string_view>

#include "st8/state/engine.h"
#include "st8/state/maintenance.h"

namespace st8::state::maintenance {

// Writes one snapshot of the engine to `sink`, a frame at a time. Memory: one frame. Errors: the engine's and the sink's.
Result<BackupReport> write_backup(const Engine& engine, const std::function<Status(std::string_view)>& sink);

// Set in an engine while a restore fills it, and left there when the restore fails: a store must not open over it.
std::string restoring_key();

}  // namespace st8::state::maintenance
