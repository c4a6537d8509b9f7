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
#include "base/status.h"
#include "index/partition.h"
#include "index/settings.h"

struct directory;

struct partition_key {
    uint8_t scope[16]; /* first half of the scope digest         */
    uint64_t space;    /* embed_space.id: vectors of two spaces never meet */
};

/* epochs outlive the directory. clock_us: monotonic, for lookup rates and the time of builds; NULL:
 * a scan becomes a graph by its rows alone. */
struct directory_setup {
    struct epochs *epochs;
    struct index_settings settings;
    uint64_t (*clock_us)(void);
};
enum status directory_create(const struct directory_setup *setup, struct directory **out_directory);
void directory_destroy(struct directory **directory); /* nobody is inside any more */

/* Graphs and lists are built, and removed rows thrown out, only while builders run. Stop waits for
 * them, at most for 256 rows of a build; once stopped they may be started again. */
enum status directory_builder_start(struct directory *directory);
void directory_builder_stop(struct directory *directory);

/* Inside an epoch. NULL if the scope has no rows. The partition lives until epoch_leave. */
struct partition *directory_find(struct directory *directory, const struct partition_key *key);

/*
 * Makes the partition at its first row. Findable when it returns. STATUS_DIM_MISMATCH if the
 * partition has rows of another dimension, STATUS_NO_MEMORY if the budget is spent: then builders
 * make room for later rows. The vector is unit length (vector_normalise). Like directory_remove:
 * holding no lock, outside of any epoch.
 */
enum status directory_insert(struct directory *directory, const struct partition_key *key,
                             uint32_t dimension, const struct index_row *row);

/* Removes the rows of one entry at or below a sequence; removing twice is harmless. Returns how
 * many. An emptied partition is retired through the epoch. */
size_t directory_remove(struct directory *directory, const struct partition_key *key,
                        const struct digest *id, uint64_t sequence);

/* 0 if the scope has no rows yet. */
uint32_t directory_dimension(struct directory *directory, const struct partition_key *key);

/* Copies the vector of that entry's row of that very sequence. Returns its dimension; 0 if no such
 * row lives, or it has more than `max` floats. Outside of any epoch. */
uint32_t directory_vector(struct directory *directory, const struct partition_key *key,
                          const struct digest *id, uint64_t sequence, float *out, uint32_t max);

/* A live partition is searched otherwise at once, and built otherwise in the background; searches
 * go on meanwhile. NULL: by the options. STATUS_NOT_FOUND if the scope has no rows. */
enum status directory_set_kind(struct directory *directory, const struct partition_key *key,
                               const struct index_choice *choice);

/* ---- over a restart -------------------------------------------------------------------------- */

/* Takes all of the bytes; whatever it returns but STATUS_OK ends the writing. */
struct snapshot_sink {
    enum status (*write)(void *context, const void *bytes, size_t size);
    void *context;
};
/* Fewer bytes than asked for: there are no more. */
struct snapshot_source {
    size_t (*read)(void *context, void *out, size_t size);
    void *context;
};

/*
 * The graphs and lists of all scopes as bytes (snapshot.h): rows that are only scanned are not in
 * it. Beside searches, inserts, removals and builders; a scope's segments are those it has when its
 * turn comes, and their memory is held until they are written. The sink is called holding no lock,
 * outside of any epoch, on a registered thread. *out_segments: how many were written.
 */
enum status directory_write_segments(struct directory *directory, const struct snapshot_sink *sink,
                                     uint64_t *out_segments);

/*
 * What was written comes back, in three steps, before the first search and without builders:
 * directory_restore_begin reads the bytes; directory_insert, called as ever for each row that
 * lives, in any order, puts those that the bytes know into their places; directory_restore_end
 * makes the graphs searchable. A row that does not come back stays dead, one that the bytes do not
 * know, or know otherwise, is scanned until a builder takes it in. Damaged bytes, those of other
 * settings and those that do not fit into the budget cost a build and no row: begin fails by
 * STATUS_NO_MEMORY only if it cannot begin at all.
 */
enum status directory_restore_begin(struct directory *directory,
                                    const struct snapshot_source *source);
struct directory_restored {
    uint64_t segments, segments_refused; /* read; damaged, of other settings, without room */
    uint64_t rows, rows_missing;         /* of those read: came back, or did not            */
    uint64_t segments_used;              /* that are searched now                          */
};
void directory_restore_end(struct directory *directory, struct directory_restored *out_restored);

/* ---- figures --------------------------------------------------------------------------------- */

struct directory_stats {
    uint64_t partitions, rows, dead_rows, size_bytes, bytes_max;
    uint64_t refused;              /* inserts refused because the budget was spent           */
    uint64_t segments, graph_rows; /* what graphs and lists cover                            */
    uint64_t builds;               /* that were published                                    */
    uint64_t builds_refused;       /* because their memory did not fit; rows stayed flat     */
    uint64_t rewrites;             /* of rows with dead ones among them                      */
    uint64_t graphs_given_up;      /* of cold partitions, for their memory                   */
    uint64_t rows_given_up;        /* living rows of unused partitions, for their memory     */
    uint64_t recall_found, recall_wanted; /* hits of sampled searches; of an exact search    */
};
void directory_stats(const struct directory *directory, struct directory_stats *out_stats);

struct directory_work {
    uint64_t running;   /* builds and rewrites                                      */
    uint64_t queued;    /* scopes that wait for a builder, perhaps for nothing      */
    uint64_t rows_left; /* that the running ones have yet to take in; a rewrite first copies its
                           rows, and then builds over as many                       */
};
/* Looks at each partition: for who shows it, not for who is in a hurry. Outside of any epoch. */
void directory_work(struct directory *directory, struct directory_work *out_work);

enum partition_state {
    PARTITION_RESTS,
    PARTITION_WAITS,   /* for a builder                   */
    PARTITION_WATCHED, /* flat, and looked at every second */
    PARTITION_BUILDS,
    PARTITION_REWRITES, /* also while rows come back over a restart */
    PARTITION_STATES_SHOWN,
    PARTITION_RESTORES = PARTITION_STATES_SHOWN, /* told as REWRITES                      */
};

struct partition_stats {
    struct partition_key key;
    uint32_t dimension, segments;
    enum index_kind kind;  /* of its segments; INDEX_FLAT without           */
    enum index_kind asked; /* INDEX_AUTO: by the promotion rule             */
    enum partition_state state;
    uint32_t work_rows, work_rows_done;  /* of what is being built            */
    uint64_t rows, dead_rows, flat_rows; /* flat: scanned, dead ones included */
    uint64_t size_bytes;                 /* all that it holds                */
    uint64_t searches;
    uint64_t recall_found, recall_wanted;
};
/* Calls `visit` for each partition there is, holding no lock; one that comes or goes meanwhile may
 * be left out. Outside of any epoch. */
enum status directory_each_stats(struct directory *directory,
                                 void (*visit)(void *context, const struct partition_stats *stats),
                                 void *context);
