/*
 * ghost.h - which entries left a short while ago: 32-bit fingerprints with an age, and nothing else
 * of them. It is advice: a fingerprint may be lost early or mistaken for another, and memory that
 * cannot be had is done without. Threads: one at a time, the caller holds the stripe's lock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct ghost_bucket;

struct ghost { /* zeroed memory is an empty ghost; fields are ghost.c's */
    struct ghost_bucket *buckets;
    uint32_t buckets_count; /* a power of two, or 0 before the first addition */
    uint32_t additions;     /* the clock of ages; wraps                       */
};

void ghost_deinit(struct ghost *ghost);
/* Remembers one more; those with entries_max or more additions after theirs are forgotten. */
void ghost_add(struct ghost *ghost, uint32_t fingerprint, uint32_t entries_max);
/* Was it among the last entries_max additions? Then it is taken out. */
bool ghost_take(struct ghost *ghost, uint32_t fingerprint, uint32_t entries_max);
