// How jemalloc, where st8d is linked with it, serves st8d. It looks for this name when the process starts; without it, nobody reads it.
//
// Few arenas, no large blocks kept by threads, and what is free given back soon: memory follows what the caches hold. Measured
// with 500,000 keys under writes and random reads, caches of 104 MB in all: 150 MB resident, 180 to 240 with jemalloc's defaults,
// 250 with glibc's allocator.
// Source: jemalloc 5.3, jemalloc(3), "TUNING".
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "narenas:2,tcache_max:4096,dirty_decay_ms:200,muzzy_decay_ms:0";
}
