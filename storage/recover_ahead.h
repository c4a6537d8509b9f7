/*
 * recover_ahead.h - segments read and checked by a thread of its own, a few pieces ahead of who
 * replays them: checksums on one core, the table on another. Threads: one caller; the io is the
 * thread's from ahead_start to ahead_stop.
 */
#pragma once
#include "storage/recover_segment.h"

struct ahead;

struct ahead_setup { /* borrowed until ahead_stop */
    struct io *io;
    const struct manifest_segment *segments; /* in the order they are read */
    uint32_t segments_count;
    bool skips_in_logs, skips_in_compacted; /* damage; else all ends there */
    segment_damaged *damaged;               /* on the thread ahead; NULL: nobody wants to know */
};

struct ahead_piece {
    struct piece piece;
    uint32_t segment;             /* which of the setup's                                    */
    bool is_last;                 /* of its segment; then `reader` says how it ended         */
    struct segment_reader reader; /* a copy, without its file                                */
    enum status status;           /* not OK: reading has failed, the reader says where       */
};

enum status ahead_start(const struct ahead_setup *setup, struct ahead **out_ahead);
/* The next, in order; NULL behind the last. To be given back before the next is taken. */
struct ahead_piece *ahead_take(struct ahead *ahead);
void ahead_give_back(struct ahead *ahead);
void ahead_stop(struct ahead **ahead);
