/*
 * store.c - the front desk of storage/: what is refused, the sequence, the journal's tickets, and
 * the report of every death.
 *
 * DEATHS. The verbs of table.c that remove fill a `struct departed` under one hold of a stripe, at
 * most 32. Here they are reported, each once, after that hold: the listener may take locks whose
 * rank comes before STRIPE, and a stripe is never kept waiting for it. Hence one verb may lock and
 * report several times.
 *
 * THE SEQUENCE is drawn inside the stripe's lock, so that for one key the order of numbers is the
 * order in the table. It has a lock of its own, rank JOURNAL, not an atomic counter: the journal's
 * ticket is queued in the same hold in which the number is drawn, or the log would have gaps. A Set
 * costs microseconds; this lock is held for nanoseconds. Tickets are made before any lock is taken,
 * so that what can fail has failed before anything has changed.
 *
 * EVICTED entries leave a DELETE, as those that are deleted do: otherwise a restart could bring one
 * back behind an Invalidate that did not see it any more. It costs 64 bytes a Set in a full store.
 * An EXPIRED one leaves no record: the log says itself when it ends.
 *
 * THREADS. Any. No lock is held when the listener or a `done` is called.
 * NOT HERE. Stripes and eviction (table.c), records and files (journal*.c), reading them back
 * (store_open.c), the machine's memory (base/machine.c).
 */
#include "storage/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/machine.h"
#include "storage/entry_block.h"
#include "storage/evict.h"
#include "storage/store_block.h"

enum { MEMORY_PERCENT = 40 }; /* of what the process may use, for entries by default */

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
    {.name = "evict.policy", .type = OPTION_CHOICE, .standard = "s3fifo", .choices = "s3fifo|lru|lfu_aging",
     .unit = "policy",
     .meaning = "Who goes when a budget is spent: what was asked for once, before all that was asked for again; "
                "what was not asked for longest; or what was asked for least, hits fading."},
};
/* clang-format on */
const size_t store_option_rows_count = sizeof(store_option_rows) / sizeof(store_option_rows[0]);

const struct evict_rule *store_evict_rule(const char *name)
{
    if (strcmp(name, "lru") == 0)
        return &evict_lru;
    if (strcmp(name, "lfu_aging") == 0)
        return &evict_lfu_aging;
    assert(strcmp(name, "s3fifo") == 0);
    return &evict_s3fifo;
}

uint64_t store_memory_standard(void)
{
    return machine_memory_bytes() / 100 * MEMORY_PERCENT;
}

static struct journal *journal_of(const struct store *store)
{
    return atomic_load_explicit(&store->journal, memory_order_acquire);
}

void store_draw(struct store *store, struct table_draw *wanted)
{
    lock_acquire(&store->sequence_lock);
    store->sequence++;
    wanted->sequence = store->sequence;
    if (wanted->ticket != NULL && wanted->digest != NULL)
        ticket_name(wanted->ticket, wanted->digest);
    if (wanted->ticket != NULL)
        journal_submit(journal_of(store), wanted->ticket, wanted->sequence, wanted->wish);
    lock_release(&store->sequence_lock);
    wanted->ticket = NULL;
    assert(wanted->sequence != 0);
}

static void draw(void *context, struct table_draw *wanted)
{
    store_draw(context, wanted);
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
                                          .rule = options->rule,
                                          .draw = draw,
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
    assert(journal_of(doomed) == NULL); /* store_close_journal comes first */
    table_destroy(&doomed->table);
    free(doomed->opening.path);
    lock_deinit(&doomed->sequence_lock);
    free(doomed);
}

void store_report(struct store *store, struct departed *departed)
{
    assert(departed->count <= TABLE_REMOVALS_PER_HOLD);
    struct journal *const journal = journal_of(store);
    for (size_t i = 0; i < departed->count; i++) {
        struct entry *entry = departed->items[i].entry;
        if (store->options.died != NULL)
            store->options.died(store->options.died_context, entry, departed->items[i].why);
        if (journal != NULL)
            journal_count_dead(journal, entry_sequence(entry),
                               record_put_size(entry, entry_dimension(entry)));
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

enum store_found store_find_accepted(struct store *store, const struct digest *digest,
                                     int64_t now_ms, const struct store_look *look,
                                     struct store_hit *out_hit)
{
    assert(look->accepts != NULL);
    assert(out_hit != NULL);
    return table_find_accepted(store->table, digest, now_ms, look, out_hit);
}

enum store_found store_find_prefix(struct store *store, const uint8_t prefix[STORE_PREFIX_BYTES],
                                   int64_t now_ms, struct store_hit *out_hit)
{
    assert(prefix != NULL);
    assert(out_hit != NULL);
    return table_find_prefix(store->table, prefix, now_ms, out_hit);
}

bool store_is_too_large(const struct store *store, const struct entry *entry)
{
    return entry_answer(entry).length > store->options.answer_max ||
           entry_charge_bytes(entry) > table_charge_max(store->table);
}

enum storage_state store_state(const struct store *store)
{
    const int phase = atomic_load_explicit(&store->phase, memory_order_acquire);
    if (phase == PHASE_LOADING)
        return STORAGE_LOADING;
    struct journal *const journal = journal_of(store);
    return journal != NULL ? journal_state(journal) : STORAGE_NONE;
}

void store_expect_open(struct store *store)
{
    assert(atomic_load_explicit(&store->phase, memory_order_relaxed) == PHASE_MEMORY);
    atomic_store_explicit(&store->phase, PHASE_LOADING, memory_order_release);
}

enum journal_ack store_ack_default(const struct store *store, enum journal_ack asked)
{
    if (asked != ACK_DEFAULT)
        return asked;
    if (atomic_load_explicit(&store->phase, memory_order_acquire) != PHASE_OPEN)
        return ACK_MEMORY;
    const struct journal_options *options = &store->opening.options;
    if (options->ack_default != ACK_DEFAULT)
        return options->ack_default;
    return options->durability == DURABILITY_ALWAYS ? ACK_SYNCED : ACK_MEMORY;
}

enum journal_ack store_ack_removal(const struct store *store)
{
    if (atomic_load_explicit(&store->phase, memory_order_acquire) != PHASE_OPEN)
        return ACK_MEMORY;
    return store->opening.options.durability == DURABILITY_ALWAYS ? ACK_SYNCED : ACK_LOGGED;
}

/* ---- what writes ----------------------------------------------------------------------------- */

struct writing {
    struct journal *journal;  /* NULL: none                                             */
    struct journal_wish wish; /* for the ticket; its done is NULL if it is called here   */
    struct journal_wish asked;
};

static enum status begin_in(struct store *store, const struct journal_wish *wish,
                            bool also_read_only, struct writing *out_writing)
{
    assert(out_writing != NULL);
    const struct journal_wish asked =
        wish != NULL ? *wish : (struct journal_wish){.ack = ACK_MEMORY};
    struct writing writing = {.asked = asked};
    if (atomic_load_explicit(&store->phase, memory_order_acquire) == PHASE_LOADING)
        return STATUS_LOADING;
    writing.asked.ack = store_ack_default(store, asked.ack);
    writing.journal = journal_of(store);
    if (writing.journal == NULL && writing.asked.ack != ACK_MEMORY)
        return STATUS_NO_JOURNAL;
    if (writing.journal != NULL && !also_read_only &&
        journal_state(writing.journal) == STORAGE_READ_ONLY)
        return STATUS_STORAGE_DEGRADED;
    assert(writing.asked.done != NULL || writing.asked.ack == ACK_MEMORY);
    writing.wish = writing.asked;
    if (writing.asked.ack == ACK_MEMORY &&
        (writing.journal == NULL || !journal_is_pressed(writing.journal)))
        writing.wish.done = NULL;
    *out_writing = writing;
    return STATUS_OK;
}

static enum status begin(struct store *store, const struct journal_wish *wish,
                         struct writing *out_writing)
{
    return begin_in(store, wish, false, out_writing);
}

/* After the last hold. told_by_ticket: a ticket with the wish was handed in. */
static void end(const struct writing *writing, bool told_by_ticket)
{
    if (writing->journal != NULL)
        journal_kick(writing->journal);
    if (writing->asked.done == NULL || (told_by_ticket && writing->wish.done != NULL))
        return;
    writing->asked.done(writing->asked.context, STATUS_OK);
}

static enum status make_put(const struct writing *writing, struct entry *entry,
                            const struct store_vector *vector, struct table_draw *out_draw)
{
    assert(entry_sequence(entry) == 0);
    *out_draw = (struct table_draw){.wish = &writing->wish};
    if (writing->journal == NULL)
        return STATUS_OK;
    enum status status = STATUS_OK;
    const bool has_vector = vector != NULL && vector->dimension > 0;
    out_draw->ticket = ticket_put(writing->journal, entry, has_vector ? vector->unit : NULL,
                                  has_vector ? vector->dimension : 0, &status);
    return status;
}

/* DELETEs for entries that are not known yet: each gets its digest when it is drawn. Those that
 * were not used last time are still there. */
static enum status make_deletes(const struct writing *writing, struct table_draw *draws,
                                size_t count)
{
    static const struct digest unknown;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        draws[i].sequence = 0;
        if (writing->journal != NULL && draws[i].ticket == NULL)
            draws[i].ticket = ticket_delete(writing->journal, &unknown, &status);
    }
    return status;
}

static void discard_deletes(const struct writing *writing, struct table_draw *draws, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ticket_discard(writing->journal, &draws[i].ticket);
}

static uint32_t count_evicted(const struct departed *departed)
{
    uint32_t count = 0;
    for (size_t i = 0; i < departed->count; i++)
        count += departed->items[i].why == STORE_EVICTED;
    return count;
}

/* Whether somebody has to go is known in the stripe alone. So the first hold may evict nobody; then
 * it is one, two, four. */
static enum status set_entry(struct store *store, const struct writing *writing,
                             struct table_set *set, uint32_t *evicted)
{
    struct table_draw graves[TABLE_REMOVALS_PER_HOLD]; /* as many as graves_count says */
    struct departed departed = {.count = 0};
    set->graves = writing->journal != NULL ? graves : NULL;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !table_set(store->table, set, &departed)) {
        *evicted += count_evicted(&departed);
        store_report(store, &departed);
        if (set->graves == NULL)
            continue;
        const uint32_t before = set->graves_count;
        set->graves_count = before == 0 ? 1 : before * 2;
        if (set->graves_count > TABLE_REMOVALS_PER_HOLD)
            set->graves_count = TABLE_REMOVALS_PER_HOLD;
        memset(graves + before, 0, (set->graves_count - before) * sizeof(graves[0]));
        status = make_deletes(writing, graves, set->graves_count);
    }
    *evicted += count_evicted(&departed);
    store_report(store, &departed);
    discard_deletes(writing, graves, set->graves_count);
    return status == STATUS_OK ? set->status : status;
}

enum status store_add(struct store *store, const struct store_addition *addition,
                      const struct journal_wish *wish, int64_t now_ms,
                      struct store_set_result *out_result)
{
    struct entry *entry = addition->entry;
    assert(entry_sequence(entry) == 0);
    struct writing writing;
    enum status status = begin(store, wish, &writing);
    if (status == STATUS_OK && store_is_too_large(store, entry))
        status = STATUS_ENTRY_TOO_LARGE;
    if (status != STATUS_OK)
        return status;
    struct table_draw wanted;
    status = make_put(&writing, entry, addition->vector, &wanted);
    if (status != STATUS_OK)
        return status;
    struct table_set set = {
        .entry = entry, .now_ms = now_ms, .draw = &wanted, .unless = addition->unless};
    uint32_t evicted = 0;
    status = set_entry(store, &writing, &set, &evicted);
    if (status != STATUS_OK) {
        assert(wanted.sequence == 0);
        ticket_discard(writing.journal, &wanted.ticket);
        return status;
    }
    assert(entry_sequence(entry) != 0);
    *out_result = (struct store_set_result){
        .sequence = entry_sequence(entry), .replaced = set.replaced, .evicted = evicted};
    end(&writing, writing.journal != NULL);
    return STATUS_OK;
}

enum status store_set(struct store *store, struct entry *entry, const struct store_vector *vector,
                      const struct journal_wish *wish, int64_t now_ms,
                      struct store_set_result *out_result)
{
    const struct store_addition addition = {.entry = entry, .vector = vector};
    return store_add(store, &addition, wish, now_ms, out_result);
}

enum status store_delete(struct store *store, const struct digest *digest, store_matches *matches,
                         void *context, const struct journal_wish *wish, bool *out_was_there)
{
    struct writing writing;
    enum status status = begin(store, wish, &writing);
    if (status != STATUS_OK)
        return status;
    struct table_draw wanted = {.wish = &writing.wish};
    if (writing.journal != NULL)
        wanted.ticket = ticket_delete(writing.journal, digest, &status);
    if (status != STATUS_OK)
        return status;
    struct departed departed = {.count = 0};
    const struct table_delete delete = {.matches = matches, .context = context, .draw = &wanted};
    *out_was_there = table_delete(store->table, digest, &delete, &departed);
    assert(departed.count == (*out_was_there ? 1 : 0));
    store_report(store, &departed);
    const bool is_written = writing.journal != NULL && wanted.sequence != 0;
    ticket_discard(writing.journal, &wanted.ticket);
    end(&writing, is_written);
    return STATUS_OK;
}

enum status store_evict(struct store *store, const struct digest *digest, store_matches *matches,
                        void *context)
{
    struct writing writing;
    enum status status = begin(store, NULL, &writing);
    if (status != STATUS_OK)
        return status;
    struct table_draw wanted = {.wish = &writing.wish};
    if (writing.journal != NULL)
        wanted.ticket = ticket_delete(writing.journal, digest, &status);
    if (status != STATUS_OK)
        return status;
    struct departed departed = {.count = 0};
    const struct table_delete delete = {
        .matches = matches, .context = context, .draw = &wanted, .why = STORE_EVICTED};
    const bool left = table_delete(store->table, digest, &delete, &departed);
    assert(departed.count == (left ? 1 : 0));
    store_report(store, &departed);
    ticket_discard(writing.journal, &wanted.ticket);
    end(&writing, false);
    return left ? STATUS_OK : STATUS_NOT_FOUND;
}

enum status store_touch(struct store *store, const struct digest *digest, int64_t expires_ms,
                        const struct journal_wish *wish)
{
    assert(expires_ms >= 0);
    struct writing writing;
    enum status status = begin(store, wish, &writing);
    if (status != STATUS_OK)
        return status;
    struct table_draw wanted = {.wish = &writing.wish};
    if (writing.journal != NULL)
        wanted.ticket = ticket_touch(writing.journal, digest, expires_ms, &status);
    if (status != STATUS_OK)
        return status;
    if (!table_touch(store->table, digest, expires_ms, UINT64_MAX, &wanted)) {
        ticket_discard(writing.journal, &wanted.ticket);
        return STATUS_NOT_FOUND;
    }
    end(&writing, writing.journal != NULL);
    return STATUS_OK;
}

enum status store_retime(struct store *store, const struct entry *entry, int64_t expires_ms,
                         enum store_retime how, bool is_recorded)
{
    struct writing writing = {.journal = NULL};
    struct table_draw wanted = {.wish = &writing.wish};
    struct table_retime retime = {
        .entry = entry, .expires_ms = expires_ms, .only_later = how == STORE_RETIME_LATER};
    if (!is_recorded)
        return table_retime(store->table, &retime) ? STATUS_OK : STATUS_NOT_FOUND;
    enum status status = begin(store, NULL, &writing);
    if (status == STATUS_OK && writing.journal != NULL)
        wanted.ticket = ticket_touch(writing.journal, entry_digest(entry), expires_ms, &status);
    if (status != STATUS_OK)
        return status;
    retime.draw = &wanted;
    const bool is_meant = table_retime(store->table, &retime);
    ticket_discard(writing.journal, &wanted.ticket);
    end(&writing, false);
    return is_meant ? STATUS_OK : STATUS_NOT_FOUND;
}

static void submit_barrier(struct store *store, const struct writing *writing,
                           struct ticket *barrier)
{
    lock_acquire(&store->sequence_lock);
    journal_submit(writing->journal, barrier, 0, &writing->wish);
    lock_release(&store->sequence_lock);
}

enum status store_barrier(struct store *store, const struct journal_wish *wish)
{
    struct writing writing;
    struct ticket *barrier = NULL;
    enum status status = begin(store, wish, &writing);
    if (status == STATUS_OK && writing.wish.done != NULL)
        barrier = ticket_barrier(writing.journal, &status);
    if (status != STATUS_OK)
        return status;
    if (barrier != NULL)
        submit_barrier(store, &writing, barrier);
    end(&writing, barrier != NULL);
    return STATUS_OK;
}

uint32_t store_next_entries(struct store *store, uint64_t *cursor, struct entry **out_entries,
                            uint32_t entries_max)
{
    assert(out_entries != NULL);
    return table_next_entries(store->table, cursor, out_entries, entries_max);
}

enum status store_note(struct store *store, const struct record_note *note,
                       const struct journal_wish *wish)
{
    assert(note != NULL);
    struct writing writing;
    enum status status = begin_in(store, wish, atomic_load(&store->renews_notes), &writing);
    if (status != STATUS_OK)
        return status;
    struct table_draw wanted = {.wish = &writing.wish};
    if (writing.journal != NULL)
        wanted.ticket = ticket_note(writing.journal, note, &status);
    if (status != STATUS_OK)
        return status;
    draw(store, &wanted);
    end(&writing, writing.journal != NULL);
    return STATUS_OK;
}

uint64_t store_count(struct store *store, int64_t now_ms, store_matches *matches, void *context)
{
    struct table_walk walk = {.now_ms = now_ms, .matches = matches, .context = context};
    while (!table_count(store->table, &walk))
        continue;
    return walk.matched_count;
}

/* ---- removal of many ------------------------------------------------------------------------- */

static enum status purge(struct store *store, const struct writing *writing,
                         struct table_walk *walk)
{
    struct table_draw draws[TABLE_REMOVALS_PER_HOLD] = {{.ticket = NULL}};
    struct departed departed = {.count = 0};
    enum status status = STATUS_OK;
    bool is_done = false;
    walk->draws = draws;
    while (!is_done && status == STATUS_OK) {
        status = make_deletes(writing, draws, TABLE_REMOVALS_PER_HOLD);
        if (status == STATUS_OK)
            is_done = table_purge(store->table, walk, &departed);
        if (writing->journal != NULL)
            journal_kick(writing->journal); /* or a long walk fills the queue of one who sleeps */
        store_report(store, &departed);
    }
    discard_deletes(writing, draws, TABLE_REMOVALS_PER_HOLD);
    return status;
}

/* Its records bear no wish: which is the last is not known before the walk is over. A barrier
 * behind them does; also when nothing was found, since it may be an earlier purge whose records
 * have not reached the disk that has left nothing. */
enum status store_purge(struct store *store, store_matches *matches, void *context,
                        const struct journal_wish *wish, uint64_t *out_removed)
{
    *out_removed = 0;
    struct writing writing;
    enum status status = begin(store, wish, &writing);
    if (status != STATUS_OK)
        return status;
    struct ticket *barrier = NULL;
    if (writing.wish.done != NULL)
        barrier = ticket_barrier(writing.journal, &status);
    if (status != STATUS_OK)
        return status;
    struct table_walk walk = {.matches = matches, .context = context};
    status = purge(store, &writing, &walk);
    *out_removed = walk.matched_count;
    if (writing.journal != NULL)
        journal_note_purge(writing.journal); /* also of none: they may have been evicted before */
    const bool is_written = status == STATUS_OK && barrier != NULL;
    if (is_written) {
        submit_barrier(store, &writing, barrier);
        barrier = NULL;
    }
    ticket_discard(writing.journal, &barrier);
    if (status == STATUS_OK)
        end(&writing, is_written);
    return status;
}

static bool is_any(const uint8_t id[ENTRY_ID_BYTES])
{
    static const uint8_t any[ENTRY_ID_BYTES];
    return memcmp(id, any, sizeof(any)) == 0;
}

bool store_is_purged(const struct record_purge *purge, const struct entry *entry)
{
    return entry_sequence(entry) <= purge->floor &&
           (is_any(purge->tenant) ||
            memcmp(purge->tenant, entry_tenant(entry), ENTRY_ID_BYTES) == 0) &&
           (is_any(purge->scope) || memcmp(purge->scope, entry_scope(entry), ENTRY_ID_BYTES) == 0);
}

static bool matches_purge(void *context, const struct entry *entry)
{
    return store_is_purged(context, entry);
}

uint64_t store_remove_purged(struct store *store, struct record_purge *purge)
{
    struct table_walk walk = {.matches = matches_purge, .context = purge};
    struct departed departed = {.count = 0};
    bool is_done = false;
    while (!is_done) {
        is_done = table_purge(store->table, &walk, &departed);
        store_report(store, &departed);
    }
    return walk.matched_count;
}

/* The floor is drawn before the walk: whatever has a lower number is in the table by then, or its
 * stripe is still locked. */
static enum status drop_by_floor(struct store *store, const struct record_purge *what,
                                 const struct writing *writing, uint64_t *out_removed)
{
    struct table_draw wanted = {.wish = &writing->wish};
    enum status status = STATUS_OK;
    if (writing->journal != NULL)
        wanted.ticket = ticket_purge(writing->journal, what, &status);
    if (status != STATUS_OK)
        return status;
    store_draw(store, &wanted);
    struct record_purge drawn = *what;
    drawn.floor = wanted.sequence;
    *out_removed = store_remove_purged(store, &drawn);
    end(writing, writing->journal != NULL);
    return STATUS_OK;
}

enum status store_drop(struct store *store, const struct record_purge *what,
                       const struct journal_wish *wish, uint64_t *out_removed)
{
    assert(what != NULL);
    *out_removed = 0;
    struct writing writing;
    enum status status = begin(store, wish, &writing);
    if (status != STATUS_OK)
        return status;
    if (writing.journal != NULL && !journal_drop_begin(writing.journal)) {
        struct record_purge all = *what;
        all.floor = UINT64_MAX;
        return store_purge(store, matches_purge, &all, wish, out_removed);
    }
    status = drop_by_floor(store, what, &writing, out_removed);
    if (writing.journal != NULL)
        journal_drop_end(writing.journal);
    return status;
}

uint32_t store_scan(struct store *store, uint64_t *cursor, struct entry **out_entries,
                    uint32_t entries_max)
{
    static_assert((int)STORE_SCAN_MIN >= (int)TABLE_HANDFUL_MIN, "room for a bucket");
    return table_scan(store->table, cursor, out_entries, entries_max);
}

uint64_t store_cursor(const struct store *store, const struct digest *digest)
{
    return table_cursor(store->table, digest);
}

uint64_t store_sweep(struct store *store, int64_t now_ms)
{
    if (atomic_load_explicit(&store->phase, memory_order_acquire) == PHASE_LOADING)
        return 0; /* a TOUCH that is still to be read may give an entry more time */
    struct table_sweep sweep = {.now_ms = now_ms};
    struct departed departed = {.count = 0};
    uint64_t removed_count = 0;
    bool is_done = false;
    while (!is_done) {
        is_done = table_sweep(store->table, &sweep, &departed);
        removed_count += departed.count;
        store_report(store, &departed);
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
