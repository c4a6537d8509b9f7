/*
 * snapshot.h - segments as bytes: what costs time to build, a graph or lists, with the codes it was
 * built over. Written through a sink, read through a source; this folder opens no files.
 *
 * No answer comes from these bytes. They hold no vector, no entry id and no expiry: a row read back
 * counts as dead until an insert brings its vector again, under the same sequence and with the very
 * same codes. So a file of another time or folder costs a build, and nothing else.
 *
 * Threads: writing beside searches, inserts and removals, as long as the chunks stay; reading
 * alone, and what was read belongs to the caller.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "index/directory.h"
#include "index/rows.h"
#include "index/segment_inside.h"

/* The segment of those chunks as bytes, one after the other, without the vectors of rows that are
 * dead. The sink's failure is returned, or NO_MEMORY. */
enum status segment_save(const struct segment *segment, struct rows_chunk *const *chunks,
                         const struct partition_key *key, const struct snapshot_sink *sink);

/* One that was read. All rows of its chunks are dead so far. */
struct snapshot_segment {
    struct partition_key key;
    uint32_t dimension;
    uint32_t chunks_count;
    struct rows_chunk **chunks; /* the caller may take them over; NULL: not that one any more */
    struct segment_structure structure;
};

struct snapshot_limits {
    struct memory *memory; /* charged with what is read */
    uint32_t links;        /* graphs of another number are of no use */
    uint32_t rows_max;
};

/*
 * The next one of the source. STATUS_NOT_FOUND: there is none. STATUS_CORRUPT, STATUS_UNSUPPORTED
 * and STATUS_NO_MEMORY: that one is of no use or does not fit, and the next may be asked for, until
 * there is none.
 */
enum status segment_load(const struct snapshot_source *source, const struct snapshot_limits *limits,
                         struct snapshot_segment *out_read);
void snapshot_segment_deinit(struct snapshot_segment *read);
