/*
 * deletions.h - which digests have been deleted, and with what sequence: kept while a data folder
 * is read, so that no older Set of one comes back. Threads: the caller's.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

struct deletion {
    struct digest digest;
    uint64_t sequence; /* 0: a free slot */
};

struct deletions { /* zeros but for the key: none */
    uint8_t hash_key[16];
    struct deletion *slots;
    uint64_t count, capacity;
};
void deletions_deinit(struct deletions *deletions);
/* The highest sequence of a digest counts. STATUS_NO_MEMORY. */
enum status deletions_add(struct deletions *deletions, const struct digest *digest,
                          uint64_t sequence);
/* Was it deleted after the Set of this sequence? */
bool deletions_cover(const struct deletions *deletions, const struct digest *digest,
                     uint64_t sequence);
