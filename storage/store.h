/*
 * store.h - the front desk of storage/: entries by digest, within budgets, with expiry and
 * eviction, remembered in a journal if there is a data folder. Threads: any may call any verb. A
 * caller holds no lock of rank DIRECTORY or later when it calls a verb that can remove (set,
 * delete, purge, drop, sweep): those report to the `died` listener before they return.
 *
 * WISHES. A verb that writes takes a journal_wish: how durable it is to be before `done` is called
 * (NULL: ACK_MEMORY, and nobody wants to know). `done` is called exactly once if and only if the
 * verb returned STATUS_OK; maybe before it returns, maybe on the journal's thread. ACK_DEFAULT
 * means store_ack_default. What the verbs that write refuse, with nothing applied and done not
 * called: STATUS_NO_JOURNAL        LOGGED or SYNCED without a data folder STATUS_LOADING the data
 * folder is still being read STATUS_STORAGE_DEGRADED  the disk has failed and storage.error_action
 * is read_only STATUS_OVERLOADED        the journal's queue is full STATUS_NO_MEMORY In memory_only
 * all is applied; done says STATUS_STORAGE_DEGRADED to whoever asked for more than memory.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "base/options.h"
#include "storage/custodian.h"
#include "storage/entry.h"
#include "storage/journal.h"

struct store;
struct evict_rule;

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
    const struct evict_rule *rule; /* who goes when a budget is spent; NULL: evict_s3fifo    */
    store_died *died; /* NULL: nobody listens                                         */
    void *died_context;
};

/* storage.memory, storage.entries_max, table.stripes, evict.policy */
extern const struct option_row store_option_rows[];
extern const size_t store_option_rows_count;
/* What evict.policy calls it. */
const struct evict_rule *store_evict_rule(const char *name);

/* What storage.memory means when nobody sets it: 40 % of what the container, else the machine, may
 * use. */
uint64_t store_memory_standard(void);

enum status store_create(const struct store_options *options, struct store **out_store);
/* Reports nothing: the listener is being destroyed too. */
void store_destroy(struct store **store);

enum store_found { STORE_ABSENT, STORE_PAST_EXPIRY, STORE_REFUSED, STORE_FOUND };
/* whether hit count and eviction frequency rise */
enum store_touch { STORE_PEEK, STORE_COUNT_HIT };

struct store_hit {
    struct entry *entry; /* a reference of the caller's */
    int64_t expires_ms;  /* 0 = never                   */
    uint32_t hits_count; /* this one included if counted */
    uint32_t last_hit;   /* low half of the unix ms of the last counted one */
};

/* Writes *out_hit only when STORE_FOUND. */
enum store_found store_find(struct store *store, const struct digest *digest, int64_t now_ms,
                            enum store_touch touch, struct store_hit *out_hit);

/*
 * Whether a living entry serves. Asked under the stripe's lock of those that are ENTRY_TIMED, or of
 * every one: it reads the entry and nothing else. The moment is when its life ends, 0 = never.
 */
typedef bool store_accepts(void *context, const struct entry *entry, int64_t expires_ms);
struct store_look {
    store_accepts *accepts;
    void *context;
    bool every; /* not only those that are ENTRY_TIMED */
};
/* A hit is counted if it serves; STORE_REFUSED: it is there, and does not. */
enum store_found store_find_accepted(struct store *store, const struct digest *digest,
                                     int64_t now_ms, const struct store_look *look,
                                     struct store_hit *out_hit);

/* The same, not counted, of an entry whose digest begins with these bytes: what a decision token
 * knows. Of several, one (they are as rare as equal 64-bit hashes). */
enum { STORE_PREFIX_BYTES = 8 };
enum store_found store_find_prefix(struct store *store, const uint8_t prefix[STORE_PREFIX_BYTES],
                                   int64_t now_ms, struct store_hit *out_hit);

struct store_set_result {
    uint64_t sequence; /* of this Set; never reused     */
    bool replaced;     /* the digest had a live entry    */
    uint32_t evicted;  /* how many had to go for it      */
};

struct store_vector { /* of an entry's row: the journal keeps it beside the entry */
    const float *unit;
    uint32_t dimension;
};

/*
 * Takes over nothing: the store keeps a reference of its own, the journal a copy of the vector
 * (NULL: none). The entry must be new (sequence 0). Evicts others when a budget would be passed,
 * and records it: some may have gone also when it fails; replacing an entry by one that is not
 * larger evicts nobody. STATUS_ENTRY_TOO_LARGE (answer over
 * answer_max, or entry over 1/8 of a stripe's share, or over what a segment takes; the digest keeps
 * what it had), STATUS_NO_MEMORY, and those of all that write.
 */
enum status store_set(struct store *store, struct entry *entry, const struct store_vector *vector,
                      const struct journal_wish *wish, int64_t now_ms,
                      struct store_set_result *out_result);

/* The same, unless there is an entry that lives and serves by this look: ENTRY_EXISTS, and nothing
 * has changed. Of a pinned one NO_MEMORY may mean that its stripe has no room for more pins. */
struct store_addition {
    struct entry *entry;
    const struct store_vector *vector;
    const struct store_look *unless; /* NULL: whatever is there */
};
enum status store_add(struct store *store, const struct store_addition *addition,
                      const struct journal_wish *wish, int64_t now_ms,
                      struct store_set_result *out_result);

/* Asked of an entry; see where it is passed. */
typedef bool store_matches(void *context, const struct entry *entry);
/* *out_was_there: there was one (live or expired) and `matches`, unless NULL, said yes under the
 * stripe's lock. A deletion is written also when nothing was there, since the one before it may not
 * have reached the disk, but not when `matches` said no; then done is called at once. */
enum status store_delete(struct store *store, const struct digest *digest, store_matches *matches,
                         void *context, const struct journal_wish *wish, bool *out_was_there);

/* One leaves to make room, as the eviction rule would have it; it is recorded and nobody waits. OK:
 * it was there, and `matches` (NULL: whatever it is) said yes under the stripe's lock. NOT_FOUND,
 * and those of all that write. */
enum status store_evict(struct store *store, const struct digest *digest, store_matches *matches,
                        void *context);

/* The entry lives until then from now on (0: for ever). STATUS_NOT_FOUND, and those of all that
 * write. */
enum status store_touch(struct store *store, const struct digest *digest, int64_t expires_ms,
                        const struct journal_wish *wish);

/*
 * This very entry lives until then (NOT_FOUND: it has left). LATER: unless it lives longer already.
 * Without a record a restart knows only what was recorded last. NOT_FOUND, and those of all that
 * write if it is recorded; nobody waits.
 */
enum store_retime { STORE_RETIME, STORE_RETIME_LATER };
enum status store_retime(struct store *store, const struct entry *entry, int64_t expires_ms,
                         enum store_retime how, bool is_recorded);
/* `done` comes when all that was handed in before is as durable as the wish wants it. */
enum status store_barrier(struct store *store, const struct journal_wish *wish);

/* References of up to entries_max entries (64 at least), live or expired; `cursor` is 0 at first
 * and at the end. While the table grows it may hand one out twice. */
uint32_t store_next_entries(struct store *store, uint64_t *cursor, struct entry **out_entries,
                            uint32_t entries_max);

/* Count visits the entries that are alive at now_ms (all that are there, if it is 0); purge removes
 * those that match, live or expired; both count how many matched. `matches` (NULL: all) runs under
 * a stripe lock: it reads the entry and nothing else. At most 32 removals a hold of the lock; to
 * whom `matches` says yes is removed in that hold. Purge writes *out_removed on any status: on one
 * that is not OK it has stopped half-way, and may be called again. */
uint64_t store_count(struct store *store, int64_t now_ms, store_matches *matches, void *context);
enum status store_purge(struct store *store, store_matches *matches, void *context,
                        const struct journal_wish *wish, uint64_t *out_removed);

/* A walk over all entries, live or expired, with a reference each: see table_scan in table.h. */
enum { STORE_SCAN_MIN = 64 };
uint32_t store_scan(struct store *store, uint64_t *cursor, struct entry **out_entries,
                    uint32_t entries_max);
uint64_t store_cursor(const struct store *store, const struct digest *digest);

/* Removes all of an owner, of a scope, or of an owner's scope (zeros: any), also what is in the log
 * alone, by one record and a line of MANIFEST that outlives it; by DELETEs when there are tens of
 * thousands of such lines. `what->floor` is not read: it is the number drawn here. */
enum status store_drop(struct store *store, const struct record_purge *what,
                       const struct journal_wish *wish, uint64_t *out_removed);

/* Writes a note of an upper floor into the journal; without one it is forgotten at once. */
enum status store_note(struct store *store, const struct record_note *note,
                       const struct journal_wish *wish);

/* One tick of the sweeping hands; call it every 100 ms. Returns how many expired entries it
 * removed. */
uint64_t store_sweep(struct store *store, int64_t now_ms);

struct store_stats {
    uint64_t entries, size_bytes, bytes_max, entries_max;
    uint64_t sets, evictions, expirations, deletions, replacements;
    uint64_t sequence; /* the last one drawn */
};
void store_stats(const struct store *store, struct store_stats *out_stats);

/* ---- the data folder ------------------------------------------------------------------------- */

struct store_open_visitor { /* the floor above */
    void *context;
    /* An entry that has entered the table, borrowed, with its vector if it has one (dimension 0:
     * none). It may be called again for a digest; whatever leaves afterwards is reported to `died`.
     */
    void (*entry)(void *context, struct entry *entry, const struct store_vector *vector);
    /* One of them, borrowed, lives until then, and no longer or shorter as it was said before. */
    void (*touched)(void *context, const struct entry *entry, int64_t expires_ms);
    /* In the order of the log, between the entries. */
    void (*note)(void *context, const struct record_note *note);
    /* Of custodian.h, for snapshots and compaction; later, on the custodian's thread. */
    uint32_t (*vector_of)(void *context, const struct entry *entry, float *out_unit,
                          uint32_t floats_max);
    enum status (*renew_notes)(void *context); /* by store_note */
    enum status (*forget)(void *context);      /* NULL: nothing */
    /* While the folder is read, every few MiB: false ends store_open with STATUS_CANCELLED, and
     * nothing of what counts in the folder has changed. NULL: it is. */
    bool (*is_wanted)(void *context);
    uint64_t (*clock_us)(void); /* monotonic */
    int64_t (*clock_ms)(void);  /* wall      */
    uint64_t (*chance)(void *chance_context);
    void *chance_context;
};

/*
 * Takes the data folder, reads it back into the table and starts the journal. Blocks for as long as
 * that takes; meanwhile the verbs that write return STATUS_LOADING, finding works and
 * store_journal_stats tells how far it is. The strings of `options` are copied. Path "": nothing is
 * done. On failure the store stays in memory and refuses to write (STATUS_LOADING).
 * STATUS_UNAVAILABLE: another process has the folder, `failure` says which; at once.
 */
enum status store_open(struct store *store, const struct journal_options *options,
                       const struct store_open_visitor *visitor, struct failure *failure);
/* From before threads are started until store_open has been called: refuse to write. */
void store_expect_open(struct store *store);
/* Writes and syncs all that is queued and stops the journal; nobody may be in a verb that writes.
 */
void store_close_journal(struct store *store);

enum storage_state store_state(const struct store *store);
/* What ACK_DEFAULT means here: journal.ack_default, and if that is auto SYNCED under
 * journal.durability = always, else MEMORY; without a data folder MEMORY. Others as they are. */
enum journal_ack store_ack_default(const struct store *store, enum journal_ack asked);
/* What removals ask for: LOGGED, under `always` SYNCED; without a data folder MEMORY. */
enum journal_ack store_ack_removal(const struct store *store);

/* As in custodian.h; STATUS_NO_JOURNAL without a data folder, and then `done` is not called. */
enum status store_snapshot(struct store *store, struct text name, snapshot_done *done,
                           void *context);
enum status store_compact(struct store *store, journal_done *done, void *context);
enum status store_snapshots(struct store *store, struct snapshot_info *out_infos,
                            uint32_t infos_max, uint32_t *out_count);
enum status store_snapshot_remove(struct store *store, struct text name);
void store_journal_stats(struct store *store, struct journal_stats *out_stats);
/* What its syncs took; NULL: no journal is open. It goes with the journal. */
const struct histogram *store_sync_us(const struct store *store);
