/*
 * store_open.c - the store and its data folder: taken, read back into the table, left again.
 *
 * A PUT that is read enters unless the table holds the digest with the same or a higher number, or
 * it was deleted with one. Budgets hold: what does not fit is evicted, and a DELETE for it is the
 * first that is written, so that a later start with more room does not bring it back behind an
 * Invalidate. One that has expired enters too, without its vector, since a TOUCH that follows may
 * give it more time; the sweeping hand finds the others, and until the folder has been read it
 * stands still. Each entry is shown to the floor above when it enters; what leaves afterwards is
 * reported as ever.
 *
 * SEQUENCES go on 2^32 above all that were seen (recover.c), so a number lost in a crash is never
 * drawn again.
 *
 * THREADS. store_open: one, once. The rest as in store.h.
 * NOT HERE. Segments (recover.c), the journal's life (journal.c).
 */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "storage/deletions.h"
#include "storage/entry_block.h"
#include "storage/recover.h"
#include "storage/store_block.h"

enum { US_PER_MS = 1000, HANDFUL = 256, PROGRESS_US = 5 * 1000 * 1000 };

static struct journal *journal_of(const struct store *store)
{
    return atomic_load_explicit(&store->journal, memory_order_acquire);
}

/* ---- reading back ---------------------------------------------------------------------------- */

struct turned_away { /* digests of those that found no room */
    struct digest *digests;
    size_t count, capacity;
};

struct loading {
    struct store *store;
    struct deletions deletions;
    struct turned_away *turned_away;
    float *unit; /* RECORD_DIMENSION_MAX floats, aligned */
    int64_t now_ms;
    uint64_t line_due_us; /* the next that says how far it is     */
    enum status status;   /* NO_MEMORY: what follows does not enter */
};

static void turn_away(struct loading *loading, const struct digest *digest)
{
    struct turned_away *away = loading->turned_away;
    if (away->count == away->capacity) {
        const size_t wanted = away->capacity == 0 ? 64 : away->capacity * 2;
        struct digest *larger = reallocarray(away->digests, wanted, sizeof(*larger));
        if (larger == NULL) {
            loading->status = STATUS_NO_MEMORY;
            return;
        }
        away->digests = larger;
        away->capacity = wanted;
    }
    away->digests[away->count++] = *digest;
}

static bool is_older(void *context, const struct entry *entry)
{
    const uint64_t *sequence = context;
    return entry_sequence(entry) < *sequence;
}

static void remove_older(struct loading *loading, const struct digest *digest, uint64_t sequence)
{
    assert(sequence > 0);
    struct departed departed = {.count = 0};
    const struct table_delete delete = {.matches = is_older, .context = &sequence};
    (void)table_delete(loading->store->table, digest, &delete, &departed);
    store_report(loading->store, &departed);
}

static void show(struct loading *loading, struct entry *entry, const struct record_put *put)
{
    assert(put->dimension <= RECORD_DIMENSION_MAX);
    const struct store_open_visitor *visitor = &loading->store->opening.visitor;
    struct store_vector vector = {.unit = loading->unit, .dimension = put->dimension};
    const bool has_row = put->vector != NULL; /* expired too: a TOUCH may be still to come */
    if (has_row)
        memcpy(loading->unit, put->vector, put->dimension * sizeof(float));
    if (visitor->entry != NULL)
        visitor->entry(visitor->context, entry, has_row ? &vector : NULL);
}

static bool enter(struct loading *loading, struct entry *entry, uint64_t sequence)
{
    assert(sequence > 0);
    struct store *store = loading->store;
    struct table_set set = {.entry = entry, .now_ms = loading->now_ms, .back = sequence};
    struct departed departed = {.count = 0};
    bool is_done = false;
    while (!is_done) {
        is_done = table_set(store->table, &set, &departed);
        for (size_t i = 0; i < departed.count; i++) {
            if (departed.items[i].why != STORE_REPLACED)
                turn_away(loading, entry_digest(departed.items[i].entry));
        }
        store_report(store, &departed);
    }
    if (set.status == STATUS_NO_MEMORY)
        loading->status = STATUS_NO_MEMORY;
    return set.status == STATUS_OK;
}

static bool visit_put(void *context, const struct record_put *put, uint64_t sequence,
                      int64_t expires_ms)
{
    assert(sequence > 0);
    struct loading *loading = context;
    struct entry *entry = NULL;
    if (loading->status != STATUS_OK ||
        deletions_cover(&loading->deletions, &put->digest, sequence))
        return false;
    const enum status status = entry_create_from_body(&put->digest, put->body, expires_ms, &entry);
    if (status != STATUS_OK) {
        loading->status = status == STATUS_NO_MEMORY ? status : loading->status;
        return false;
    }
    entry_note_dimension(entry, put->dimension);
    bool has_entered = false;
    if (store_is_too_large(loading->store, entry)) { /* limits have changed: as good as evicted */
        remove_older(loading, &put->digest, sequence);
        turn_away(loading, &put->digest);
    } else {
        has_entered = enter(loading, entry, sequence);
    }
    if (has_entered)
        show(loading, entry, put);
    entry_release(entry);
    return has_entered;
}

static void visit_remove(void *context, const struct digest *digest, uint64_t sequence)
{
    struct loading *loading = context;
    remove_older(loading, digest, sequence);
    if (loading->status == STATUS_OK)
        loading->status = deletions_add(&loading->deletions, digest, sequence);
}

static void visit_touch(void *context, const struct digest *digest, uint64_t sequence,
                        int64_t expires_ms)
{
    assert(expires_ms >= 0);
    struct loading *loading = context;
    struct table *table = loading->store->table;
    const struct store_open_visitor *visitor = &loading->store->opening.visitor;
    struct store_hit hit;
    if (!table_touch(table, digest, expires_ms, sequence, NULL) || visitor->touched == NULL ||
        table_find(table, digest, 0, STORE_PEEK, &hit) != STORE_FOUND)
        return;
    visitor->touched(visitor->context, hit.entry, expires_ms);
    entry_release(hit.entry);
}

static void visit_purge(void *context, const struct record_purge *purge, uint64_t sequence)
{
    struct loading *loading = context;
    struct record_purge copy = *purge;
    (void)sequence;
    (void)store_remove_purged(loading->store, &copy);
}

static void visit_note(void *context, const struct record_note *note, uint64_t sequence)
{
    const struct loading *loading = context;
    const struct store_open_visitor *visitor = &loading->store->opening.visitor;
    (void)sequence;
    if (visitor->note != NULL)
        visitor->note(visitor->context, note);
}

static void visit_progress(void *context, uint64_t bytes_done, uint64_t bytes_total)
{
    struct loading *loading = context;
    struct store *store = loading->store;
    const uint64_t now_us = store->opening.visitor.clock_us();
    if (now_us >= loading->line_due_us) {
        loading->line_due_us = now_us + PROGRESS_US;
        log_write(LOG_INFO, "storage", "the data folder is being read",
                  "bytes=%" PRIu64 " of=%" PRIu64, bytes_done, bytes_total);
    }
    atomic_store_explicit(&store->loaded_bytes, bytes_done, memory_order_relaxed);
    atomic_store_explicit(&store->loading_bytes, bytes_total, memory_order_relaxed);
}

static bool visit_is_wanted(void *context)
{
    const struct loading *loading = context;
    const struct store_open_visitor *visitor = &loading->store->opening.visitor;
    return visitor->is_wanted == NULL || visitor->is_wanted(visitor->context);
}

static enum status load(struct store *store, struct io *io, struct recovered *out_recovered,
                        struct turned_away *turned_away, struct failure *failure)
{
    const struct store_opening *opening = &store->opening;
    struct loading loading = {
        .store = store, .turned_away = turned_away, .now_ms = opening->visitor.clock_ms()};
    memcpy(loading.deletions.hash_key, store->options.hash_key, sizeof(loading.deletions.hash_key));
    loading.unit = calloc(RECORD_DIMENSION_MAX, sizeof(float));
    if (loading.unit == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "storage.path", "no memory to read it back");
    const struct recover_visitor visitor = {.context = &loading,
                                            .put = visit_put,
                                            .remove = visit_remove,
                                            .touch = visit_touch,
                                            .purge = visit_purge,
                                            .note = visit_note,
                                            .progress = visit_progress,
                                            .is_wanted = visit_is_wanted};
    const uint64_t began_us = opening->visitor.clock_us();
    loading.line_due_us = began_us + PROGRESS_US;
    enum status status = recover(io, opening->options.recovery, &visitor, out_recovered, failure);
    if (status == STATUS_OK && loading.status != STATUS_OK) {
        status = failure_set(failure, loading.status, "storage.path", "no memory to read it back");
        recovered_clear(out_recovered);
    }
    if (status == STATUS_OK)
        out_recovered->duration_ms = (opening->visitor.clock_us() - began_us) / US_PER_MS;
    deletions_deinit(&loading.deletions);
    free(loading.unit);
    return status;
}

/* The journal runs, and nobody else writes yet. Who is in the table now came again later in the
 * log. NO_MEMORY. */
static enum status bury(struct store *store, const struct digest *digest)
{
    struct journal *journal = journal_of(store);
    struct table_draw wanted = {.ticket = NULL};
    struct store_hit hit;
    if (table_find(store->table, digest, 0, STORE_PEEK, &hit) == STORE_FOUND) {
        entry_release(hit.entry);
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    do {
        wanted.ticket = ticket_delete(journal, digest, &status);
        if (status == STATUS_OVERLOADED) { /* more than a queue full of them */
            journal_kick(journal);
            (void)sched_yield();
        }
    } while (status == STATUS_OVERLOADED);
    if (status == STATUS_OK)
        store_draw(store, &wanted);
    return status;
}

static enum status bury_turned_away(struct store *store, const struct turned_away *turned_away,
                                    struct failure *failure)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < turned_away->count && status == STATUS_OK; i++)
        status = bury(store, &turned_away->digests[i]);
    if (status != STATUS_OK)
        return failure_set(failure, status, "storage.path", "no memory to read it back");
    journal_kick(journal_of(store));
    return STATUS_OK;
}

/* ---- what lives, by segment ------------------------------------------------------------------ */

static void count_living(struct recovered *recovered, const struct entry *entry)
{
    assert(entry_sequence(entry) > 0);
    const uint64_t sequence = entry_sequence(entry);
    const struct manifest *manifest = &recovered->manifest;
    uint32_t i = manifest->segments_count;
    while (i > 0 && (sequence < manifest->segments[i - 1].first_sequence ||
                     sequence > manifest->segments[i - 1].last_sequence))
        i--;
    if (i > 0)
        recovered->live_bytes[i - 1] += record_size(record_put_size(entry, entry_dimension(entry)));
}

/* Counted anew from the table: while a folder is read, what lives now may be dead at its end. */
static void count_all_living(struct store *store, struct recovered *recovered)
{
    if (recovered->manifest.segments_count == 0)
        return;
    memset(recovered->live_bytes, 0,
           recovered->manifest.segments_count * sizeof(recovered->live_bytes[0]));
    uint64_t cursor = 0;
    do {
        struct entry *entries[HANDFUL];
        const uint32_t count = table_next_entries(store->table, &cursor, entries, HANDFUL);
        for (uint32_t i = 0; i < count; i++) {
            count_living(recovered, entries[i]);
            entry_release(entries[i]);
        }
    } while (cursor != 0);
}

/* ---- what snapshots are made of -------------------------------------------------------------- */

static bool is_live(void *context, const struct digest *digest, uint64_t sequence,
                    int64_t *out_expires_ms)
{
    struct store *store = context;
    struct store_hit hit;
    const int64_t now_ms = store->opening.visitor.clock_ms();
    if (table_find(store->table, digest, now_ms, STORE_PEEK, &hit) != STORE_FOUND)
        return false;
    const bool is_same = entry_sequence(hit.entry) == sequence;
    if (is_same)
        *out_expires_ms = hit.expires_ms;
    entry_release(hit.entry);
    return is_same;
}

static uint32_t next_entries(void *context, uint64_t *cursor, struct entry **out_entries,
                             uint32_t entries_max)
{
    const struct store *store = context;
    return table_next_entries(store->table, cursor, out_entries, entries_max);
}

static uint32_t vector_of(void *context, const struct entry *entry, float *out_unit,
                          uint32_t floats_max)
{
    const struct store *store = context;
    const struct store_open_visitor *visitor = &store->opening.visitor;
    if (visitor->vector_of == NULL)
        return 0;
    return visitor->vector_of(visitor->context, entry, out_unit, floats_max);
}

static enum status renew_notes(void *context)
{
    struct store *store = context;
    const struct store_open_visitor *visitor = &store->opening.visitor;
    if (visitor->renew_notes == NULL)
        return STATUS_OK;
    assert(!atomic_load(&store->renews_notes)); /* one custodian */
    atomic_store(&store->renews_notes, true);
    const enum status status = visitor->renew_notes(visitor->context);
    atomic_store(&store->renews_notes, false);
    return status;
}

static enum status forget(void *context)
{
    const struct store *store = context;
    const struct store_open_visitor *visitor = &store->opening.visitor;
    return visitor->forget != NULL ? visitor->forget(visitor->context) : STATUS_OK;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static enum status keep_options(struct store *store, const struct journal_options *options,
                                const struct store_open_visitor *visitor)
{
    struct store_opening *opening = &store->opening;
    assert(store->opening.path == NULL);
    opening->options = *options;
    opening->visitor = *visitor;
    opening->path = strdup(options->path);
    opening->options.path = opening->path;
    opening->source = (struct custodian_source){.context = store,
                                                .is_live = is_live,
                                                .next_entries = next_entries,
                                                .vector_of = vector_of,
                                                .renew_notes = renew_notes,
                                                .forget = forget};
    return opening->path != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status take_lock(struct io *io, const char *path, struct failure *failure)
{
    int64_t holder = 0;
    const enum status status = io->operations->lock_directory(io, &holder);
    if (status == STATUS_UNAVAILABLE && holder != 0)
        return failure_set(failure, status, "storage.path",
                           "another process, pid %" PRId64 ", has the folder %.96s", holder, path);
    if (status == STATUS_UNAVAILABLE)
        return failure_set(failure, status, "storage.path", "another process has the folder %.96s",
                           path);
    if (status != STATUS_OK)
        return failure_set(failure, status, "storage.path", "its file LOCK cannot be had");
    return STATUS_OK;
}

/* On failure either io may be open all the same. */
static enum status open_disk(const struct journal_options *options, struct store_disk *disk,
                             struct failure *failure)
{
    enum status status = io_choose(options->path, options->io, &disk->backend, failure);
    if (status == STATUS_OK)
        status = io_open(&disk->backend, options->path, &disk->io, failure);
    if (status == STATUS_OK)
        status = io_open(&disk->backend, options->path, &disk->custodian_io, failure);
    return status;
}

static void close_disk(const struct store_disk *disk)
{
    struct io *io = disk->io, *other = disk->custodian_io;
    if (other != NULL)
        other->operations->close(&other);
    if (io != NULL)
        io->operations->close(&io);
}

static enum status start(struct store *store, const struct store_disk *disk,
                         struct recovered *recovered, struct failure *failure)
{
    assert(recovered->sequence_next > 0);
    const struct store_opening *opening = &store->opening;
    const struct journal_setup setup = {.options = &opening->options,
                                        .backend = &opening->backend,
                                        .io = disk->io,
                                        .custodian_io = disk->custodian_io,
                                        .recovered = recovered,
                                        .clock_us = opening->visitor.clock_us,
                                        .clock_ms = opening->visitor.clock_ms,
                                        .chance = opening->visitor.chance,
                                        .chance_context = opening->visitor.chance_context,
                                        .source = &opening->source};
    struct journal *journal = NULL;
    lock_acquire(&store->sequence_lock);
    store->sequence = recovered->sequence_next - 1;
    lock_release(&store->sequence_lock);
    const enum status status = journal_start(&setup, &journal, failure);
    if (status == STATUS_OK)
        atomic_store_explicit(&store->journal, journal, memory_order_release);
    return status;
}

static void say_open(const struct store *store, const struct recovered *recovered)
{
    log_write(LOG_INFO, "storage", "the data folder is open",
              "io=%s entries=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRIu64 " torn_bytes=%" PRIu64
              " damaged_bytes=%" PRIu64 " reason=\"%s\"",
              store->opening.backend.taken == IO_URING ? "io_uring" : "posix", recovered->entries,
              recovered->bytes, recovered->duration_ms, recovered->torn_bytes,
              recovered->damaged_bytes, store->opening.backend.reason);
}

/* The folder's lock, and what it holds. */
static enum status take_over(struct store *store, struct io *io, struct recovered *out_recovered,
                             struct turned_away *turned_away, struct failure *failure)
{
    const enum status status = take_lock(io, store->opening.path, failure);
    return status == STATUS_OK ? load(store, io, out_recovered, turned_away, failure) : status;
}

enum status store_open_on(struct store *store, const struct journal_options *options,
                          const struct store_disk *disk, const struct store_open_visitor *visitor,
                          struct failure *failure)
{
    assert(journal_of(store) == NULL);
    assert(disk->io != NULL);
    assert(disk->custodian_io != NULL);
    atomic_store_explicit(&store->phase, PHASE_LOADING, memory_order_release);
    struct recovered recovered = {.entries = 0};
    struct turned_away turned_away = {.digests = NULL};
    enum status status = keep_options(store, options, visitor);
    store->opening.backend = disk->backend;
    if (status == STATUS_OK)
        status = take_over(store, disk->io, &recovered, &turned_away, failure);
    else
        (void)failure_set(failure, status, "storage.path", "%s", status_text(status));
    if (status != STATUS_OK) {
        close_disk(disk);
        free(turned_away.digests);
        return status;
    }
    count_all_living(store, &recovered);
    status = start(store, disk, &recovered, failure); /* takes both io over in any case */
    if (status == STATUS_OK)
        status = bury_turned_away(store, &turned_away, failure);
    if (status == STATUS_OK) {
        say_open(store, &recovered);
        atomic_store_explicit(&store->phase, PHASE_OPEN, memory_order_release);
    } else {
        store_close_journal(store); /* nothing, if it has not begun */
    }
    recovered_clear(&recovered);
    free(turned_away.digests);
    return status;
}

enum status store_open(struct store *store, const struct journal_options *options,
                       const struct store_open_visitor *visitor, struct failure *failure)
{
    assert(visitor->clock_us != NULL);
    assert(visitor->clock_ms != NULL);
    assert(visitor->chance != NULL);
    if (options->path == NULL || options->path[0] == '\0') {
        atomic_store_explicit(&store->phase, PHASE_MEMORY, memory_order_release);
        return STATUS_OK;
    }
    atomic_store_explicit(&store->phase, PHASE_LOADING, memory_order_release);
    struct store_disk disk = {.io = NULL};
    const enum status status = open_disk(options, &disk, failure);
    if (status == STATUS_OK)
        return store_open_on(store, options, &disk, visitor, failure);
    close_disk(&disk);
    return status;
}

void store_close_journal(struct store *store)
{
    struct journal *journal = journal_of(store);
    if (journal == NULL)
        return;
    atomic_store_explicit(&store->phase, PHASE_LOADING, memory_order_release);
    journal_stop(&journal); /* its custodian may still be writing notes */
    atomic_store_explicit(&store->journal, NULL, memory_order_release);
}

/* ---- the custodian's verbs ------------------------------------------------------------------- */

enum status store_snapshot(struct store *store, struct text name, snapshot_done *done,
                           void *context)
{
    struct journal *journal = journal_of(store);
    if (journal == NULL)
        return STATUS_NO_JOURNAL;
    journal_snapshot(journal, name, done, context);
    return STATUS_OK;
}

enum status store_compact(struct store *store, journal_done *done, void *context)
{
    struct journal *journal = journal_of(store);
    if (journal == NULL)
        return STATUS_NO_JOURNAL;
    journal_compact(journal, done, context);
    return STATUS_OK;
}

enum status store_snapshots(struct store *store, struct snapshot_info *out_infos,
                            uint32_t infos_max, uint32_t *out_count)
{
    struct journal *journal = journal_of(store);
    if (journal == NULL)
        return STATUS_NO_JOURNAL;
    return journal_snapshots(journal, out_infos, infos_max, out_count);
}

enum status store_snapshot_remove(struct store *store, struct text name)
{
    struct journal *journal = journal_of(store);
    return journal != NULL ? journal_snapshot_remove(journal, name) : STATUS_NO_JOURNAL;
}

const struct histogram *store_sync_us(const struct store *store)
{
    const struct journal *journal = journal_of(store);
    return journal != NULL ? journal_sync_us(journal) : NULL;
}

void store_journal_stats(struct store *store, struct journal_stats *out_stats)
{
    struct journal *journal = journal_of(store);
    if (journal != NULL) {
        journal_stats(journal, out_stats);
        return;
    }
    const uint64_t done = atomic_load_explicit(&store->loaded_bytes, memory_order_relaxed);
    const uint64_t total = atomic_load_explicit(&store->loading_bytes, memory_order_relaxed);
    *out_stats = (struct journal_stats){.state = store_state(store), .io_backend = ""};
    out_stats->loading_done = total > 0 ? (double)done / (double)total : 0.0;
}
