/*
 * arena.h - scratch memory of one request: allocate, never free, give all back at once.
 * One owner at a time. Blocks beyond the first are chained and freed at reset. Threads: the owner.
 */
#pragma once
#include <stddef.h>

#include "base/status.h"

enum { ARENA_BLOCK_BYTES = 8192 };

struct arena;

enum status arena_create(struct arena **out_arena);
void arena_destroy(struct arena **arena);

/* 16-byte aligned, not cleared; NULL when memory is spent. A size of 0 gives a unique pointer. */
void *arena_alloc(struct arena *arena, size_t size_bytes);
/* overflow-checked, zeroed */
void *arena_calloc(struct arena *arena, size_t count, size_t size_bytes);

/* Everything allocated is gone; the first block is kept for the next request. */
void arena_reset(struct arena *arena);
size_t arena_used_bytes(const struct arena *arena);
