/*
 * guard.h - opposites lie as close as paraphrases; the guard tells them apart by their words. A
 * pure function over two signatures of 64 bytes; the cached side's is made once and lies beside its
 * vector. Threads: any.
 */
#pragma once
#include <stdint.h>

#include "base/status.h"
#include "base/text.h"

struct guard_signature { /* 64 bytes; layout and rules in guard.c */
    uint64_t numbers, bag, order;
    uint64_t left, right;
    uint32_t names[4];
    uint16_t words;
    uint8_t negations, names_count;
    uint32_t flags;
};

/* bits; the order of proto enum Guard */
enum guard_reason {
    GUARD_NUMBER = 1 << 0,
    GUARD_NEGATION = 1 << 1,
    GUARD_ANTONYM = 1 << 2,
    GUARD_ORDER = 1 << 3,
    GUARD_NAMES = 1 << 4,
    GUARD_ALL = (1 << 5) - 1,
};

/* The text is clean UTF-8; the arena is scratch. STATUS_NO_MEMORY. */
enum status guard_sign(struct text text, struct arena *arena,
                       struct guard_signature *out_signature);

/* The reasons that forbid serving one for the other, among `rules`; 0 is clean. Symmetric. */
unsigned guard_check(const struct guard_signature *a, const struct guard_signature *b,
                     unsigned rules);
