/*
 * table.h - the lock-striped table: who lies where, who has to go, all of it under one stripe's
 * lock at a time. Each verb that removes is one hold of the lock and fills a `struct departed`; the
 * caller reports and releases those after it, and calls again until the verb says it is done.
 * Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/store.h"

enum {
    TABLE_STRIPES_MAX = 256,
    TABLE_ENTRIES_SHARE_MIN = 256, /* of entries_max, for a stripe  */
    TABLE_ANSWERS_SHARE_MIN = 8,   /* of answer_max, for a stripe   */
    TABLE_REMOVALS_PER_HOLD = 32,
    TABLE_BUCKETS_PER_HOLD = 64
};

struct table;

struct table_options {
    uint32_t stripes_count; /* a power of two, see table_stripes_count */
    uint64_t memory_bytes;
    uint32_t entries_max; /* 0 = no limit */
    uint8_t hash_key[16];
    uint64_t (*draw)(void *context); /* the next sequence; called under the stripe's lock */
    void *draw_context;
};

/* How many stripes suit these budgets on a machine of so many cores. */
uint32_t table_stripes_count(const struct store_options *options, uint32_t cores_count);

enum status table_create(const struct table_options *options, struct table **out_table);
void table_destroy(struct table **table);

/* What left the table in one hold, each with the reference that the table had. */
struct departed {
    size_t count;
    struct {
        struct entry *entry;
        enum store_death why;
    } items[TABLE_REMOVALS_PER_HOLD];
};

/* The largest charge that an entry may have: an eighth of a stripe's share. */
uint64_t table_charge_max(const struct table *table);

enum store_found table_find(struct table *table, const struct digest *digest, int64_t now_ms,
                            enum store_touch touch, struct store_hit *out_hit);

enum store_found table_find_prefix(struct table *table, const uint8_t prefix[STORE_PREFIX_BYTES],
                                   int64_t now_ms, struct store_hit *out_hit);

struct table_set {
    struct entry *entry; /* to enter; the table acquires a reference    */
    int64_t now_ms;
    bool replaced;      /* out: the digest had a live entry            */
    enum status status; /* out, once it is done                        */
};

/* True when it is done; false when 32 entries went and more have to. */
bool table_set(struct table *table, struct table_set *set, struct departed *departed);

bool table_delete(struct table *table, const struct digest *digest, store_matches *matches,
                  void *context, struct departed *departed);

struct table_walk { /* over all stripes; begins zeroed but for the inputs */
    int64_t now_ms;
    store_matches *matches; /* NULL: all */
    void *context;
    uint64_t matched_count; /* out */
    uint32_t stripe;        /* where it stands */
    uint64_t position;
};

/* Each is one hold; true when every stripe has been seen. Counting looks at live entries only. */
bool table_count(struct table *table, struct table_walk *walk);
bool table_purge(struct table *table, struct table_walk *walk, struct departed *departed);

struct table_sweep { /* one tick of all hands; begins zeroed but for now_ms */
    int64_t now_ms;
    uint32_t stripe; /* where it stands */
    bool begun;      /* that stripe's hand has begun this tick */
};

/* One hold; true when every hand has done this tick. */
bool table_sweep(struct table *table, struct table_sweep *sweep, struct departed *departed);

/* Adds up the stripes; the sequence is the store's and left alone. */
void table_stats(struct table *table, struct store_stats *out_stats);
