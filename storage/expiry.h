/*
 * expiry.h - the sweeping hand of one stripe: how far it moves each tick. Expiry itself is checked
 * at every read; the hand only gives memory back. Threads: one at a time, the caller holds the
 * stripe's lock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { EXPIRY_TURN_TICKS = 600, EXPIRY_SPEED_MAX = 32 };

struct hand { /* positions and widths are those of buckets.h: parts of the space of hashes */
    uint64_t position;
    uint64_t owed_width;   /* what it still has to pass in this tick         */
    uint64_t entries_seen; /* in this tick                                    */
    uint64_t entries_expired;
    uint32_t buckets_seen;
    uint32_t speed; /* 1 to EXPIRY_SPEED_MAX turns in EXPIRY_TURN_TICKS ticks */
};

void hand_init(struct hand *hand);
/* A tick begins: it owes one more part of a turn. */
void hand_begin(struct hand *hand);
bool hand_reaches(const struct hand *hand, uint64_t width);
/* It has looked at so many entries, each counted once a tick. */
void hand_see(struct hand *hand, uint64_t entries_seen, uint64_t entries_expired);
/* It has done with a bucket of this width. */
void hand_pass(struct hand *hand, uint64_t width);
/* The tick is over: what was seen in it sets the speed. */
void hand_end(struct hand *hand);
