/*
 * store.h - the front desk of storage/: entries by digest, within budgets, with expiry and
 * eviction. Threads: any may call any verb. A caller holds no lock of rank DIRECTORY or later when
 * it calls a verb that can remove (set, delete, purge, sweep): those report to the `died` listener
 * before they return.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "storage/entry.h"

struct store;

enum store_death { STORE_DELETED, STORE_EVICTED, STORE_EXPIRED, STORE_REPLACED, STORE_PURGED };

/*
 * Called once for each entry that left the table, by the thread that removed it, after it has
 * released the stripe and while it holds no lock of storage/. The entry is borrowed. The listener
 * may take DIRECTORY, PARTITION and read the store; it neither sets nor deletes.
 */
typedef void store_died(void *context, const struct entry *entry, enum store_death why);

struct store_options {
    uint64_t memory_bytes;  /* budget for entries; > 0                                      */
    uint32_t entries_max;   /* 0 = no limit                                                 */
    uint32_t stripes_count; /* 0 = 4 x cores; made a power of two, 1 to 256, see store.c     */
    uint64_t answer_max;    /* bytes; larger answers are refused                            */
    uint8_t hash_key[16];   /* drawn at start                                               */
    store_died *died;       /* NULL: nobody listens                                         */
    void *died_context;
};

/* storage.memory, storage.entries_max, table.stripes */
extern const struct option_row store_option_rows[];
extern const size_t store_option_rows_count;

/* What storage.memory means when nobody sets it: 40 % of what the container, else the machine, may
 * use. */
uint64_t store_memory_standard(void);

enum status store_create(const struct store_options *options, struct store **out_store);
/* Reports nothing: the listener is being destroyed too. */
void store_destroy(struct store **store);

enum store_found { STORE_ABSENT, STORE_PAST_EXPIRY, STORE_FOUND };
/* whether hit count and eviction frequency rise */
enum store_touch { STORE_PEEK, STORE_COUNT_HIT };

struct store_hit {
    struct entry *entry; /* a reference of the caller's */
    int64_t expires_ms;  /* 0 = never                   */
    uint32_t hits_count; /* this one included if counted */
};

/* Writes *out_hit only when STORE_FOUND. */
enum store_found store_find(struct store *store, const struct digest *digest, int64_t now_ms,
                            enum store_touch touch, struct store_hit *out_hit);

/* The same, not counted, of an entry whose digest begins with these bytes: what a decision token
 * knows. Of several, one (they are as rare as equal 64-bit hashes). */
enum { STORE_PREFIX_BYTES = 8 };
enum store_found store_find_prefix(struct store *store, const uint8_t prefix[STORE_PREFIX_BYTES],
                                   int64_t now_ms, struct store_hit *out_hit);

struct store_set_result {
    uint64_t sequence; /* of this Set; never reused     */
    bool replaced;     /* the digest had a live entry    */
};

/*
 * Takes over nothing: the store keeps a reference of its own. The entry must be new (sequence 0).
 * Evicts others when a budget would be passed; replacing an entry by one that is not larger evicts
 * nobody. STATUS_ENTRY_TOO_LARGE (answer over answer_max, or entry over 1/8 of a stripe's share;
 * the digest keeps what it had), STATUS_NO_MEMORY.
 */
enum status store_set(struct store *store, struct entry *entry, int64_t now_ms,
                      struct store_set_result *out_result);

/* Asked of an entry; see where it is passed. */
typedef bool store_matches(void *context, const struct entry *entry);
/* True if there was one (live or expired) and `matches`, unless NULL, said yes under the stripe's
 * lock. */
bool store_delete(struct store *store, const struct digest *digest, store_matches *matches,
                  void *context);

/* Count visits the entries that are alive at now_ms (all that are there, if it is 0); purge removes
 * those that match, live or expired; both return how many matched. `matches` (NULL: all) runs under
 * a stripe lock: it reads the entry and nothing else. At most 32 removals a hold of the lock; to
 * whom `matches` says yes is removed in that hold. */
uint64_t store_count(struct store *store, int64_t now_ms, store_matches *matches, void *context);
uint64_t store_purge(struct store *store, store_matches *matches, void *context);

/* One tick of the sweeping hands; call it every 100 ms. Returns how many expired entries it
 * removed. */
uint64_t store_sweep(struct store *store, int64_t now_ms);

struct store_stats {
    uint64_t entries, size_bytes, bytes_max, entries_max;
    uint64_t sets, evictions, expirations, deletions, replacements;
    uint64_t sequence; /* the last one drawn */
};
void store_stats(const struct store *store, struct store_stats *out_stats);
