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
    TABLE_BUCKETS_PER_HOLD = 64,
    TABLE_HANDFUL_MIN = 64
};

struct table;

struct ticket;

struct table_draw {
    struct ticket *ticket;           /* NULL: none, or taken over            */
    const struct journal_wish *wish; /* NULL: nobody wants to know           */
    const struct digest *digest;     /* of a ticket that has none yet; set by the purge */
    uint64_t sequence;               /* out; 0 as long as none has been drawn */
};

struct table_options {
    uint32_t stripes_count; /* a power of two, see table_stripes_count */
    uint64_t memory_bytes;
    uint32_t entries_max;          /* 0 = no limit */
    const struct evict_rule *rule; /* NULL: evict_s3fifo */
    uint8_t hash_key[16];
    /* The next sequence, and the ticket is queued with it; called under the stripe's lock. */
    void (*draw)(void *context, struct table_draw *draw);
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

/* As table_find with STORE_COUNT_HIT, of one that is accepted. */
enum store_found table_find_accepted(struct table *table, const struct digest *digest,
                                     int64_t now_ms, const struct store_look *look,
                                     struct store_hit *out_hit);

struct table_set {
    struct entry *entry; /* to enter; the table acquires a reference    */
    int64_t now_ms;
    struct table_draw *draw; /* NULL: the entry comes back, with the number that stands in `back` */
    uint64_t back;
    /* A DELETE's for each that this hold may evict before its time, graves_count of them; NULL: who
     * is evicted leaves no record. */
    struct table_draw *graves;
    uint32_t graves_count;
    const struct store_look *unless; /* NULL, or: ENTRY_EXISTS where it accepts what is there */
    bool replaced;                   /* out: the digest had a live entry            */
    enum status status;              /* out, once it is done                        */
};

/* True when it is done; false when 32 entries went, or as many as there are graves, and more have
 * to. STATUS_NOT_FOUND of one that comes back: the table holds a newer one. */
bool table_set(struct table *table, struct table_set *set, struct departed *departed);

struct table_delete {
    store_matches *matches; /* NULL: whatever it is */
    void *context;
    struct table_draw *draw;
    enum store_death why; /* DELETED or EVICTED */
};
/* True if one left. Draws, unless `draw` is NULL, or an entry is there and not meant, or there is
 * none to evict. */
bool table_delete(struct table *table, const struct digest *digest,
                  const struct table_delete *delete, struct departed *departed);

/* True if there is one with a number below `below`; draws then, unless `draw` is NULL. */
bool table_touch(struct table *table, const struct digest *digest, int64_t expires_ms,
                 uint64_t below, struct table_draw *draw);

struct table_retime {
    const struct entry *entry; /* this very one */
    int64_t expires_ms;
    bool only_later;         /* nothing changes unless it lives longer by it */
    struct table_draw *draw; /* NULL: none                                   */
};
/* False: another stands there, or none. Draws if something changes. */
bool table_retime(struct table *table, const struct table_retime *retime);

struct table_walk { /* over all stripes; begins zeroed but for the inputs */
    int64_t now_ms;
    store_matches *matches; /* NULL: all */
    void *context;
    struct table_draw *draws; /* one for each that this hold removes, 32 of them; NULL: none */
    uint64_t matched_count;   /* out */
    uint32_t stripe;          /* where it stands */
    uint64_t position;
};

/* Each is one hold; true when every stripe has been seen. Counting looks at live entries only. */
bool table_count(struct table *table, struct table_walk *walk);
bool table_purge(struct table *table, struct table_walk *walk, struct departed *departed);

/* References of up to entries_max entries (TABLE_HANDFUL_MIN at least); `cursor` is 0 at first and
 * at the end. */
uint32_t table_next_entries(struct table *table, uint64_t *cursor, struct entry **out_entries,
                            uint32_t entries_max);

/*
 * The same in the order of stripe and hash, which growth does not change: those from *cursor on,
 * 0 at first and at the end. table_cursor is where an entry of that digest stands, present or not,
 * so a walk may stop between any two and go on later; who lives all the while is seen once.
 */
uint32_t table_scan(struct table *table, uint64_t *cursor, struct entry **out_entries,
                    uint32_t entries_max);
uint64_t table_cursor(const struct table *table, const struct digest *digest);

struct table_sweep { /* one tick of all hands; begins zeroed but for now_ms */
    int64_t now_ms;
    uint32_t stripe; /* where it stands */
    bool begun;      /* that stripe's hand has begun this tick */
};

/* One hold; true when every hand has done this tick. */
bool table_sweep(struct table *table, struct table_sweep *sweep, struct departed *departed);

/* Adds up the stripes; the sequence is the store's and left alone. */
void table_stats(struct table *table, struct store_stats *out_stats);
