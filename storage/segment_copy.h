/*
 * segment_copy.h - what lives, out of segments into compacted ones, records as they are: vectors
 * too. Threads: the custodian's.
 */
#pragma once
#include "storage/recover_segment.h"
#include "storage/segment_writer.h"

struct sequences { /* of the PUTs that were copied */
    uint64_t *items;
    size_t count, capacity;
    bool is_sorted;
};

struct segment_copy { /* zeros but for the inputs */
    struct segment_writer *writer;
    bool copies_notes; /* else they are counted */
    bool skips_damage; /* takes what can be read, and a segment that cannot is no failure */
    uint64_t notes_count;
    struct sequences *copied; /* NULL: nobody wants to know */
    struct piece piece;       /* its own */
};
void segment_copy_deinit(struct segment_copy *copy);

/*
 * Each PUT whose very Set the table still holds, with its expiry of today. STATUS_CORRUPT: a
 * segment is damaged; STATUS_CANCELLED: the custodian is to stop; and those of io and
 * segment_writer.
 */
enum status segment_copy_run(struct segment_copy *copy, const struct journal_segment *segments,
                             uint32_t count);

bool sequences_hold(struct sequences *sequences, uint64_t sequence);
void sequences_deinit(struct sequences *sequences);
