/*
 * entry_block.h - the inside of an entry, for the rooms of storage/ alone.
 * The header changes under the lock of the entry's stripe, except for the reference count, which is
 * atomic, and the digest and sizes, which never change once the entry is made. The sequence is
 * written once, by the Set that puts the entry into the table, before any other thread can see it.
 */
#pragma once
#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "storage/entry.h"

struct entry {
    struct digest digest;        /* the exact key                                             */
    uint64_t sequence;           /* identity of its Set on this node; 0 until it is drawn     */
    int64_t expires_ms;          /* under the stripe once it is in the table; 0 = never       */
    uint32_t body_bytes;         /* layout in entry.c                                         */
    uint32_t hits_count;         /* under the stripe; saturates                               */
    _Atomic uint32_t references; /* the entry is freed when the last one is released          */
    uint32_t slot;               /* under the stripe; position in its eviction queue          */
    uint32_t last_hit;           /* under the stripe; low half of its unix ms, if there were hits */
    uint16_t slack_bytes;        /* what the budget is charged beside header and body         */
    uint8_t frequency;           /* under the stripe; the eviction rule's                     */
    uint8_t queue : 4;           /* under the stripe; which of the rule's queues holds it     */
    uint8_t pinned : 1;          /* under the stripe; it is in no queue, and counted as a pin */
    uint8_t body[];
};

enum { ENTRY_HEADER_BYTES = 72 };
static_assert(sizeof(struct entry) == ENTRY_HEADER_BYTES, "the overhead of an entry is a promise");

/* Of a body; the layout stands in entry.c. */
enum entry_body_offset {
    ENTRY_BODY_SCOPE = 0,
    ENTRY_BODY_COMPATIBILITY = 16,
    ENTRY_BODY_TENANT = 32,
    ENTRY_BODY_SPACE = 48,
    ENTRY_BODY_CREATED = 56,
    ENTRY_BODY_METADATA_BYTES = 68,
    ENTRY_BODY_PROMPT_BYTES = 72,
    ENTRY_BODY_ANSWER_BYTES = 76,
    ENTRY_BODY_DIMENSION = 80,
    ENTRY_BODY_MARKS = 83,
    ENTRY_BODY_TEXTS = 88
};

/* What the budget is charged. */
static inline uint32_t entry_charge(const struct entry *entry)
{
    return ENTRY_HEADER_BYTES + entry->body_bytes + entry->slack_bytes;
}

/* Of the vector that its PUT record carries: no part of the entry, but of what it takes on the
 * disk. Written before any other thread can see the entry. */
static inline uint32_t entry_dimension(const struct entry *entry)
{
    uint16_t dimension;
    static_assert(ENTRY_BODY_DIMENSION + sizeof(dimension) < ENTRY_BODY_MARKS, "it has its place");
    memcpy(&dimension, entry->body + ENTRY_BODY_DIMENSION, sizeof(dimension));
    return dimension;
}

static inline void entry_note_dimension(struct entry *entry, uint32_t dimension)
{
    const uint16_t narrow = (uint16_t)dimension;
    assert(dimension == narrow);
    memcpy(entry->body + ENTRY_BODY_DIMENSION, &narrow, sizeof(narrow));
}

/* To the millisecond: at its time of expiry an entry is gone. */
static inline bool entry_is_expired(const struct entry *entry, int64_t now_ms)
{
    return entry->expires_ms != 0 && entry->expires_ms <= now_ms;
}
