/*
 * directory.h - scope to partition, and the front desk of index/. A partition holds the rows of
 * one scope in one vector space; no search can see another's.
 *
 * Threads: registered ones. Searches take no lock: the caller enters the epoch before
 * directory_find and leaves it after partition_search. Writers take DIRECTORY, then PARTITION.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/options.h"
#include "base/status.h"
#include "index/partition.h"

struct directory;

struct partition_key {
    uint8_t scope[16]; /* first half of the scope digest         */
    uint64_t space;    /* embed_space.id: vectors of two spaces never meet */
};

extern const struct option_row index_option_rows[]; /* index.memory */
extern const size_t index_option_rows_count;

/* memory_bytes: budget for rows of all partitions; 0: a quarter of the container's memory, which is
 * what `index.memory` means when it is not set. The epochs outlive the directory. */
enum status directory_create(struct epochs *epochs, uint64_t memory_bytes,
                             struct directory **out_directory);
void directory_destroy(struct directory **directory); /* nobody is inside any more */

/* Inside an epoch. NULL if the scope has no rows. The partition lives until epoch_leave. */
struct partition *directory_find(struct directory *directory, const struct partition_key *key);

/*
 * Makes the partition at its first row. Findable when it returns. STATUS_DIM_MISMATCH if the
 * partition has rows of another dimension, STATUS_NO_MEMORY if the budget is spent. The vector is
 * unit length (vector_normalise). Like directory_remove: holding no lock, outside of any epoch.
 */
enum status directory_insert(struct directory *directory, const struct partition_key *key,
                             uint32_t dimension, const struct index_row *row);

/* Removes the rows of one entry at or below a sequence; removing twice is harmless. Returns how
 * many. An emptied partition is retired through the epoch. */
size_t directory_remove(struct directory *directory, const struct partition_key *key,
                        const struct digest *id, uint64_t sequence);

/* 0 if the scope has no rows yet. */
uint32_t directory_dimension(struct directory *directory, const struct partition_key *key);

struct directory_stats {
    uint64_t partitions, rows, dead_rows, size_bytes, bytes_max;
    uint64_t refused; /* inserts refused because the budget was spent */
};
void directory_stats(const struct directory *directory, struct directory_stats *out_stats);
