/*
 * store.c - the front desk of storage/: what is refused, the sequence, and the report of every
 * death.
 *
 * DEATHS. The verbs of table.c that remove fill a `struct departed` under one hold of a stripe, at
 * most 32. Here they are reported, each once, after that hold: the listener may take locks whose
 * rank comes before STRIPE, and a stripe is never kept waiting for it. Hence one verb may lock and
 * report several times.
 *
 * THE SEQUENCE is drawn inside the stripe's lock, so that for one key the order of numbers is the
 * order in the table. It has a lock of its own, rank JOURNAL, not an atomic counter: a journal has
 * to queue its ticket in the same hold in which the number is drawn, or its log would have gaps. A
 * Set costs microseconds; this lock is held for a nanosecond.
 *
 * THREADS. Any. No lock is held when the listener is called.
 * NOT HERE. Stripes and eviction (table.c), the machine's memory (base/machine.c), anything that
 * outlives the process.
 */
#include "storage/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/machine.h"
#include "storage/entry_block.h"
#include "storage/table.h"

enum { MEMORY_PERCENT = 40 }; /* of what the process may use, for entries by default */

struct store {
    struct store_options options; /* as created */
    struct table *table;
    struct lock sequence_lock;
    uint64_t sequence GUARDED; /* the last one drawn */
};

/* clang-format off */
const struct option_row store_option_rows[] = {
    {.name = "storage.memory", .type = OPTION_SIZE, .standard = "", .low = "1MiB", .high = "4096GiB",
     .unit = "bytes",
     .meaning = "Memory for entries; unset: 40 % of what the container or machine may use."},
    {.name = "storage.entries_max", .type = OPTION_UINT, .standard = "0", .low = "0", .high = "4294967295",
     .unit = "entries",
     .meaning = "How many entries are kept at most; 0: as many as the memory holds."},
    {.name = "table.stripes", .type = OPTION_UINT, .standard = "0", .low = "0", .high = "256",
     .unit = "stripes",
     .meaning = "Locks of the exact table, rounded up to a power of two, fewer when budgets are small; "
                "0: four a core, 16 to 256."},
};
/* clang-format on */
const size_t store_option_rows_count = sizeof(store_option_rows) / sizeof(store_option_rows[0]);

uint64_t store_memory_standard(void)
{
    return machine_memory_bytes() / 100 * MEMORY_PERCENT;
}

static uint64_t draw_sequence(void *context)
{
    struct store *store = context;
    lock_acquire(&store->sequence_lock);
    store->sequence++;
    const uint64_t drawn = store->sequence;
    lock_release(&store->sequence_lock);
    assert(drawn != 0);
    return drawn;
}

UNSHARED enum status store_create(const struct store_options *options, struct store **out_store)
{
    assert(options->memory_bytes > 0);
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return STATUS_NO_MEMORY;
    store->options = *options;
    lock_init(&store->sequence_lock, LOCK_RANK_JOURNAL);
    struct table_options table_options = {.stripes_count =
                                              table_stripes_count(options, machine_cores()),
                                          .memory_bytes = options->memory_bytes,
                                          .entries_max = options->entries_max,
                                          .draw = draw_sequence,
                                          .draw_context = store};
    memcpy(table_options.hash_key, options->hash_key, sizeof(table_options.hash_key));
    const enum status status = table_create(&table_options, &store->table);
    if (status != STATUS_OK)
        goto destroy_store;
    *out_store = store;
    return STATUS_OK;

destroy_store:
    store_destroy(&store);
    return status;
}

UNSHARED void store_destroy(struct store **store)
{
    struct store *doomed = *store;
    if (doomed == NULL)
        return;
    *store = NULL;
    table_destroy(&doomed->table);
    lock_deinit(&doomed->sequence_lock);
    free(doomed);
}

/* Called after each hold, with no lock of ours. Empties `departed` for the next. */
static void report(const struct store *store, struct departed *departed)
{
    assert(departed->count <= TABLE_REMOVALS_PER_HOLD);
    for (size_t i = 0; i < departed->count; i++) {
        struct entry *entry = departed->items[i].entry;
        if (store->options.died != NULL)
            store->options.died(store->options.died_context, entry, departed->items[i].why);
        entry_release(entry);
    }
    departed->count = 0;
}

enum store_found store_find(struct store *store, const struct digest *digest, int64_t now_ms,
                            enum store_touch touch, struct store_hit *out_hit)
{
    assert(out_hit != NULL);
    return table_find(store->table, digest, now_ms, touch, out_hit);
}

enum store_found store_find_prefix(struct store *store, const uint8_t prefix[STORE_PREFIX_BYTES],
                                   int64_t now_ms, struct store_hit *out_hit)
{
    assert(prefix != NULL);
    assert(out_hit != NULL);
    return table_find_prefix(store->table, prefix, now_ms, out_hit);
}

static bool is_too_large(const struct store *store, const struct entry *entry)
{
    return entry_answer(entry).length > store->options.answer_max ||
           entry_charge_bytes(entry) > table_charge_max(store->table);
}

enum status store_set(struct store *store, struct entry *entry, int64_t now_ms,
                      struct store_set_result *out_result)
{
    assert(entry_sequence(entry) == 0);
    if (is_too_large(store, entry))
        return STATUS_ENTRY_TOO_LARGE;
    struct table_set set = {.entry = entry, .now_ms = now_ms};
    struct departed departed = {.count = 0};
    bool is_done = false;
    while (!is_done) {
        is_done = table_set(store->table, &set, &departed);
        report(store, &departed);
    }
    if (set.status != STATUS_OK)
        return set.status;
    assert(entry_sequence(entry) != 0);
    *out_result =
        (struct store_set_result){.sequence = entry_sequence(entry), .replaced = set.replaced};
    return STATUS_OK;
}

bool store_delete(struct store *store, const struct digest *digest, store_matches *matches,
                  void *context)
{
    struct departed departed = {.count = 0};
    const bool was_there = table_delete(store->table, digest, matches, context, &departed);
    assert(departed.count == (was_there ? 1 : 0));
    report(store, &departed);
    return was_there;
}

uint64_t store_count(struct store *store, int64_t now_ms, store_matches *matches, void *context)
{
    struct table_walk walk = {.now_ms = now_ms, .matches = matches, .context = context};
    while (!table_count(store->table, &walk))
        continue;
    return walk.matched_count;
}

uint64_t store_purge(struct store *store, store_matches *matches, void *context)
{
    struct table_walk walk = {.matches = matches, .context = context};
    struct departed departed = {.count = 0};
    bool is_done = false;
    while (!is_done) {
        is_done = table_purge(store->table, &walk, &departed);
        report(store, &departed);
    }
    return walk.matched_count;
}

uint64_t store_sweep(struct store *store, int64_t now_ms)
{
    struct table_sweep sweep = {.now_ms = now_ms};
    struct departed departed = {.count = 0};
    uint64_t removed_count = 0;
    bool is_done = false;
    while (!is_done) {
        is_done = table_sweep(store->table, &sweep, &departed);
        removed_count += departed.count;
        report(store, &departed);
    }
    return removed_count;
}

static uint64_t last_sequence(const struct store *store)
{
    struct lock *lock = (struct lock *)&store->sequence_lock; /* a lock is not part of the value */
    lock_acquire(lock);
    const uint64_t sequence = store->sequence;
    lock_release(lock);
    return sequence;
}

void store_stats(const struct store *store, struct store_stats *out_stats)
{
    struct store_stats stats = {.sequence = last_sequence(store)};
    table_stats(store->table, &stats);
    *out_stats = stats;
}
