/*
 * ring.h - a queue of entries with removal from the middle: 8-byte pointers in a ring. An entry
 * knows its slot; removal leaves a hole, and a full ring that is more than half holes is packed
 * instead of enlarged. It borrows entries. Threads: one at a time, the caller holds the stripe's
 * lock.
 */
#pragma once
#include <stdint.h>

#include "base/status.h"

struct entry;

struct ring { /* zeroed memory is an empty ring; fields are ring.c's, counts may be read */
    struct entry **slots;
    uint32_t capacity; /* a power of two, or 0 before the first push                       */
    uint32_t head;     /* position of the oldest; positions run on and wrap at 2^32        */
    uint32_t tail;     /* position after the newest; its slot is position mod capacity     */
    uint32_t entries_count;
    uint64_t size_bytes; /* the sum of their charges                                         */
};

void ring_deinit(struct ring *ring);
/* STATUS_NO_MEMORY: nothing has changed. Never fails directly after a ring_pop that gave an entry.
 */
enum status ring_push(struct ring *ring, struct entry *entry);
/* The oldest, no longer in the ring; NULL when empty. */
struct entry *ring_pop(struct ring *ring);
/* The new entry takes the place of the old one. */
void ring_replace(struct ring *ring, struct entry *old_entry, struct entry *new_entry);
void ring_remove(struct ring *ring, struct entry *entry);
/* The entry becomes the newest. Where that takes memory that cannot be had, it stays where it is.
 */
void ring_renew(struct ring *ring, struct entry *entry);
