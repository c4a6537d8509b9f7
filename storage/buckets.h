/*
 * buckets.h - digest to entry: the map of one stripe. Buckets of one cache line with seven tags and
 * seven pointers; a full bucket chains; growth moves a few buckets a call. It borrows entries:
 * references are the caller's business. Threads: one at a time, the caller holds the stripe's lock.
 */
#pragma once
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

struct entry;
struct bucket;

struct bucket_array {
    void *memory;      /* what calloc gave                            */
    struct bucket *at; /* the same, aligned to a cache line           */
    uint32_t bits;     /* there are 2^bits buckets                    */
};

struct buckets { /* lies inside its stripe; fields are buckets.c's */
    struct bucket_array now;
    struct bucket_array old; /* at == NULL: no growth is under way          */
    uint64_t moved_count;    /* buckets of `old` whose entries lie in `now` */
    uint64_t entries_count;
    struct bucket *spares; /* only while a chain is being moved           */
    uint8_t hash_key[16];
};

enum status buckets_init(struct buckets *buckets, const uint8_t hash_key[16]);
void buckets_deinit(struct buckets *buckets); /* zeroed memory is fine */

/* SipHash, under the key, of a digest's first 8 bytes: so an entry can be found by those alone. */
enum { BUCKETS_PREFIX_BYTES = 8 };
uint64_t buckets_hash(const uint8_t hash_key[16], const uint8_t prefix[BUCKETS_PREFIX_BYTES]);

/* NULL when absent. `hash` is the digest's buckets_hash; all verbs take it from the caller. */
struct entry *buckets_find(const struct buckets *buckets, uint64_t hash,
                           const struct digest *digest);
/* One whose digest begins so; NULL when there is none. */
struct entry *buckets_find_prefix(const struct buckets *buckets, uint64_t hash,
                                  const uint8_t prefix[BUCKETS_PREFIX_BYTES]);
/* The digest must be absent. STATUS_NO_MEMORY: nothing has changed. */
enum status buckets_insert(struct buckets *buckets, uint64_t hash, struct entry *entry);
/* Both must be present. */
void buckets_replace(struct buckets *buckets, uint64_t hash, const struct entry *old_entry,
                     struct entry *new_entry);
void buckets_remove(struct buckets *buckets, uint64_t hash, const struct entry *entry);

/*
 * Walking. A position is a place in the space of hashes: start at 0 and add the width of each
 * bucket visited; when the sum wraps to 0 every bucket has been seen once. Positions stay good
 * while the map grows, so a walk may let go of the lock between two buckets. The visitor changes
 * nothing in the map.
 */
typedef void buckets_visitor(void *context, struct entry *entry);
uint64_t buckets_width(const struct buckets *buckets, uint64_t position);
void buckets_visit(const struct buckets *buckets, uint64_t position, buckets_visitor *visitor,
                   void *context);
