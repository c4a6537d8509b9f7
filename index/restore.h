/*
 * restore.h - segments over a restart: written from the partitions, and read back into them while
 * their rows come (directory.h).
 *
 * Threads: as the verbs in directory.h; what is here is called by directory.c and partition.c,
 * holding what REQUIRES says.
 */
#pragma once
#include "index/directory_inside.h"

/* The directory is being destroyed: whoever still waits for rows waits no more. */
void restore_abandon(struct directory *directory);

/* A partition that has just been made gets the chunks that were read for it, all rows dead; nobody
 * else knows it yet. Without memory, or of another dimension, it gets none. */
void restore_attach(struct restore *restore, struct partition *partition, struct garbage *garbage);

/* If the row has a place that waits for it, it lives there from now on. */
bool awaited_take(struct partition *partition, const struct index_row *row, struct row_at *out_at)
    REQUIRES(partition->lock);
