/*
 * journal_state.c - what others may ask of a journal at any time: its state, its figures, how much
 * of each segment still lives; and what changes the state.
 *
 * DEAD BYTES are counted by sequence: an entry that leaves the table takes its record out of the
 * segment whose numbers cover it. A compacted segment may cover the numbers of its neighbours; then
 * the newest that covers it is taken. The figures decide when to compact, nothing else, so that
 * they may be off by a neighbour.
 *
 * WHEN THE DISK FAILS nothing is tried again on the file: after a failed fsync ext4, XFS and Btrfs
 * mark its pages clean, and the next fsync reports success for lost data (Rebello et al., "Can
 * Applications Recover from fsync Failures?", ATC 2020). Sequences are drawn and tickets handed in
 * as before; the journal's thread takes and drops them, so that the log that is begun later has no
 * gap.
 *
 * A DISK IS SUSPECT from its first failure that is not ENOSPC until an operator's snapshot has gone
 * through, whatever it says meanwhile: one that is full besides does not become trustworthy by
 * being emptied.
 *
 * THREADS. Any, unless it says otherwise. `segments_lock` is held for moments, never during a
 * write.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "storage/journal_block.h"

enum { EXIT_DISK_FAILED = 74 /* EX_IOERR of sysexits.h */ };

static const char *const state_names[] = {
    [STORAGE_NONE] = "memory",         [STORAGE_LOADING] = "loading",
    [STORAGE_DURABLE] = "durable",     [STORAGE_MEMORY_ONLY] = "memory_only",
    [STORAGE_READ_ONLY] = "read_only",
};

const char *storage_state_name(enum storage_state state)
{
    assert((size_t)state < sizeof(state_names) / sizeof(state_names[0]));
    return state_names[state];
}

enum storage_state journal_state(const struct journal *journal)
{
    return (enum storage_state)atomic_load_explicit(&journal->state, memory_order_acquire);
}

bool journal_is_full(const struct journal *journal)
{
    return journal_state(journal) == STORAGE_MEMORY_ONLY &&
           atomic_load_explicit(&journal->is_full, memory_order_acquire);
}

/* To end a sleep that has an end of its own. */
static bool is_enough(const struct journal *journal, int rest)
{
    const uint64_t bytes = atomic_load_explicit(&journal->queue_bytes, memory_order_relaxed);
    if (rest == REST_GATHERING)
        return bytes >= BATCH_BYTES ||
               atomic_load(&journal->awaited_count) >= atomic_load(&journal->missing_to_wake);
    return bytes >= BATCH_BYTES / 2 || atomic_load(&journal->is_awaited);
}

/* Every hand-in comes by here, so a wake costs a call to the kernel only when the thread sleeps
 * deeper than this ticket can bear. */
void journal_kick(struct journal *journal)
{
    int rest = atomic_load(&journal->rest);
    if (rest == REST_AWAKE)
        return;
    if (rest != REST_ASLEEP && !is_enough(journal, rest))
        return;
    if (atomic_compare_exchange_strong(&journal->rest, &rest, REST_AWAKE))
        journal->io->operations->wake(journal->io);
}

void journal_wake_custodian(struct journal *journal)
{
    lock_acquire(&journal->segments_lock); /* it is gone before the journal's thread is */
    if (journal->custodian != NULL)
        custodian_wake(journal->custodian);
    lock_release(&journal->segments_lock);
}

static bool covers(const struct journal_segment *segment, uint64_t sequence)
{
    const uint64_t last = segment->segment.last_sequence;
    return sequence >= segment->segment.first_sequence && (last == 0 || sequence <= last);
}

/* True if it has just become more than half dead. */
static bool take_from(struct journal_segment *segment, uint64_t bytes)
{
    assert(segment->segment.last_sequence != 0);
    const uint64_t before = segment->live_bytes, half = segment->used_bytes / 2;
    segment->live_bytes -= before < bytes ? before : bytes;
    return before > half && segment->live_bytes <= half;
}

void journal_count_dead(struct journal *journal, uint64_t sequence, uint64_t put_payload_bytes)
{
    assert(sequence > 0);
    const uint64_t bytes = record_size(put_payload_bytes);
    bool is_hollow = false;
    lock_acquire(&journal->segments_lock);
    uint32_t i = journal->segments_count;
    while (i > 0 && !covers(&journal->segments[i - 1], sequence))
        i--;
    if (i > 0 && journal->segments[i - 1].segment.last_sequence == 0)
        journal->open_live_bytes -= (int64_t)bytes;
    else if (i > 0)
        is_hollow = take_from(&journal->segments[i - 1], bytes);
    lock_release(&journal->segments_lock);
    if (is_hollow)
        journal_wake_custodian(journal);
}

/* ---- failure and resumption ------------------------------------------------------------------ */

/* A full disk is no suspect: whatever the error action, memory is enough until there is space. */
static enum storage_state state_of(const struct journal *journal, bool is_suspect)
{
    if (!is_suspect || journal->options.error_action == ON_ERROR_MEMORY_ONLY)
        return STORAGE_MEMORY_ONLY;
    return STORAGE_READ_ONLY;
}

static const char *name_of(int error)
{
    const char *name = strerrordesc_np(error);
    return name != NULL ? name : "unknown error";
}

/* The cause is the worst so far: that a suspect disk is full as well is no news. */
static void enter(struct journal *journal, const char *what, int error)
    REQUIRES(&journal->segments_lock)
{
    assert(what != NULL);
    assert(error > 0);
    const bool was_suspect = journal->is_suspect;
    journal->is_suspect = was_suspect || error != ENOSPC;
    if (!was_suspect || error != ENOSPC)
        (void)snprintf(journal->cause, sizeof(journal->cause), "%s: %s", what, name_of(error));
    atomic_store_explicit(&journal->is_full, !journal->is_suspect, memory_order_release);
    atomic_store_explicit(&journal->state, (int)state_of(journal, journal->is_suspect),
                          memory_order_release);
}

static void degrade(struct journal *journal, const char *what, int error)
{
    lock_acquire(&journal->segments_lock);
    journal->is_writing = false;
    atomic_fetch_add(&journal->failures, 1);
    enter(journal, what, error);
    lock_release(&journal->segments_lock);
}

static void drop_batch(struct journal *journal, struct batch *batch)
{
    struct chain tickets = batch->tickets;
    batch_clear(batch);
    chain_finish(journal, &tickets, STATUS_STORAGE_DEGRADED);
}

void journal_fail(struct journal *journal, const char *what, int error)
{
    assert(!journal->is_flying);
    assert(error > 0);
    const bool ends = error != ENOSPC && journal->options.error_action == ON_ERROR_EXIT;
    if (!ends)
        degrade(journal, what, error);
    log_write(LOG_ERROR, "storage", "the disk has failed", "what=\"%s\" error=\"%s\" state=%s",
              what, name_of(error), ends ? "exit" : storage_state_name(journal_state(journal)));
    if (ends)
        _exit(EXIT_DISK_FAILED); /* what an operator asked for, who has no use for a cache that
                                    forgets */
    log_abandon(journal);
    atomic_store_explicit(&journal->unsynced_since_us, 0, memory_order_relaxed);
    for (size_t i = 0; i < BATCHES_COUNT; i++)
        drop_batch(journal, &journal->batches[i]);
    journal_wake_custodian(journal);
}

void journal_suspect(struct journal *journal, const char *what, int error)
{
    bool is_news = false;
    lock_acquire(&journal->segments_lock);
    if (journal_is_full(journal) && error != ENOSPC) {
        enter(journal, what, error);
        is_news = true;
    }
    lock_release(&journal->segments_lock);
    if (is_news)
        log_write(LOG_ERROR, "storage", "the full disk has failed as well",
                  "what=\"%s\" error=\"%s\" state=%s", what, name_of(error),
                  storage_state_name(journal_state(journal)));
}

uint64_t journal_failures(const struct journal *journal)
{
    return atomic_load(&journal->failures);
}

enum status journal_resume(struct journal *journal, uint64_t failures)
{
    assert(failures <= atomic_load(&journal->failures));
    lock_acquire(&journal->segments_lock);
    const bool is_writing = journal->is_writing && atomic_load(&journal->failures) == failures;
    const bool resumes = is_writing && journal_state(journal) != STORAGE_DURABLE;
    if (resumes) {
        journal->cause[0] = '\0';
        journal->is_suspect = false;
        atomic_store_explicit(&journal->is_full, false, memory_order_release);
        atomic_store_explicit(&journal->state, STORAGE_DURABLE, memory_order_release);
    }
    lock_release(&journal->segments_lock);
    if (resumes)
        log_write(LOG_INFO, "storage", "the disk is in use again", "state=%s",
                  storage_state_name(STORAGE_DURABLE));
    return is_writing ? STATUS_OK : STATUS_STORAGE_DEGRADED;
}

/* ---- figures --------------------------------------------------------------------------------- */

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_segments(struct journal *journal, struct journal_stats *stats)
{
    lock_acquire(&journal->segments_lock);
    for (uint32_t i = 0; i < journal->segments_count; i++) {
        const bool is_open = journal->segments[i].segment.last_sequence == 0;
        const int64_t open_bytes = journal->open_live_bytes > 0 ? journal->open_live_bytes : 0;
        stats->bytes += journal->segments[i].file_bytes;
        stats->segments_set_aside += journal->segments[i].is_set_aside;
        stats->live_bytes += is_open ? (uint64_t)open_bytes : journal->segments[i].live_bytes;
    }
    stats->segments = journal->segments_count;
    memcpy(stats->cause, journal->cause, sizeof(stats->cause));
    lock_release(&journal->segments_lock);
}

void journal_stats(struct journal *journal, struct journal_stats *out_stats)
{
    const struct journal_counters *counters = &journal->counters;
    const struct recovered *recovered = &journal->recovered;
    struct journal_stats stats = {
        .state = journal_state(journal),
        .io_backend = journal->io->operations->name,
        .records = read_counter(&counters->records),
        .batches = read_counter(&counters->batches),
        .syncs = read_counter(&counters->syncs),
        .sync_us_last = read_counter(&counters->sync_us_last),
        .durable_sequence = read_counter(&counters->durable_sequence),
        .queue_bytes = read_counter(&journal->queue_bytes),
        .recovered_entries = recovered->entries,
        .recovered_bytes = recovered->bytes,
        .recovered_ms = recovered->duration_ms,
        .damaged_bytes = recovered->damaged_bytes,
        .torn_bytes = recovered->torn_bytes,
        .read_errors = recovered->read_errors + read_counter(&counters->read_errors),
        .loading_done = 1.0,
    };
    static_assert(sizeof(stats.cause) == CAUSE_MAX, "causes fit");
    static_assert(sizeof(stats.io_reason) == sizeof(journal->backend.reason), "reasons fit");
    memcpy(stats.io_reason, journal->backend.reason, sizeof(stats.io_reason));
    add_segments(journal, &stats);
    journal_add_purges(journal, &stats);
    *out_stats = stats;
}

const struct histogram *journal_sync_us(const struct journal *journal)
{
    return journal->sync_us;
}
