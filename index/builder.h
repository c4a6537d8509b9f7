/*
 * builder.h - the threads that work on partitions in the background.
 *
 * Threads: start and stop by one; a step by any thread that is registered, holds nothing, is in no
 * epoch, and has said faiss_c_single_thread.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "index/directory.h"

struct builder;

enum status builder_start(struct directory *directory, uint32_t threads,
                          struct builder **out_builder);
/* Joins them: within 256 rows of a build, or a chunk of a rewrite. NULL is fine. */
void builder_stop(struct builder **builder);

/* Whatever is to be done next, done; false if there was nothing. */
bool builder_step(struct directory *directory, const atomic_bool *stop);

/* Throws removed rows of that scope out, on this thread, but for those of segments; true if
 * some left. */
bool builder_reclaim(struct directory *directory, const struct partition_key *key);
