/*
 * journal.c - the append log: how answers survive a restart.
 * Every Set and every Delete becomes one record at the end of the newest segment. Nothing is
 * changed in place; the custodian copies what is still alive and drops the rest.
 *
 * THE THREAD takes tickets, fills a batch, sends it when nothing is in flight, and sleeps. A batch
 * leaves at once when somebody waits for it, when it is half full, when it is flush_interval old,
 * or when a sync is due; but after a slow sync it waits a moment for those who were just answered
 * (journal_gather.c). While one is in flight the next fills: so the slower the disk, the larger
 * the groups. Whoever waits has left a `done` and holds no thread: one thread with a thousand
 * records outstanding beats a thousand blocked writers by four to six times.
 *
 * SYNCS. `always`: every batch. `everysec`: the first batch a second after the first unsynced
 * record, an empty one if there is no other. `none`: at a segment's end and at stop. A ticket that
 * asks for SYNCED has its batch synced in any mode. Write and sync share this thread: another one
 * for syncs would have writes stall behind fdatasync on the same file all the same.
 *
 * DEGRADED, the thread goes on taking tickets and drops them, until the custodian asks for a new
 * segment (journal_rotate); from then on they are written again, and after its snapshot of all that
 * lives the state is DURABLE again (journal_resume).
 *
 * THREADS. Any hand in tickets; the journal's own makes records and writes them; the custodian's
 * rotates and replaces. No lock is held during a write of the journal.
 * NOT HERE. Tickets (journal_ticket.c), batches (journal_batch.c), files (journal_segments.c,
 * journal_custody.c), states (journal_state.c), bytes of a record (record.c), reading old segments
 * (recover.c), copying them (custodian.c), system calls (io_*.c). One file per stripe was
 * considered and rejected: batches would shrink by the number of stripes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "storage/journal_block.h"

enum { US_PER_MS = 1000 };

/* ---- the thread ------------------------------------------------------------------------------ */

static bool is_stopping(const struct journal *journal)
{
    return atomic_load(&journal->is_stopping);
}

static bool is_rotation_due(struct journal *journal)
{
    lock_acquire(&journal->rotation_lock);
    const bool is_due = journal->is_rotation_due;
    lock_release(&journal->rotation_lock);
    return is_due;
}

static uint64_t sync_due_us(const struct journal *journal)
{
    const uint64_t since = atomic_load_explicit(&journal->unsynced_since_us, memory_order_relaxed);
    if (since == 0 || journal->options.durability != DURABILITY_EVERYSEC)
        return UINT64_MAX;
    return since + EVERYSEC_US;
}

/* When the batch that fills leaves, if nobody awaits it and it does not fill up. */
static uint64_t flush_due_us(const struct journal *journal)
{
    const struct batch *batch = &journal->batches[journal->filling];
    if (batch->tickets.first == NULL)
        return UINT64_MAX;
    return batch->began_us + (uint64_t)journal->options.flush_interval_ms * US_PER_MS;
}

static bool should_leave(struct journal *journal, enum batch_fill fill, uint64_t now_us)
{
    const struct batch *batch = &journal->batches[journal->filling];
    if (sync_due_us(journal) <= now_us)
        return true;
    if (batch->tickets.first == NULL)
        return false;
    if (fill == FILL_ALL && !is_stopping(journal) && gather_goes_on(journal, now_us))
        return false;
    return batch->awaited_count > 0 || batch->used_bytes >= BATCH_BYTES / 2 || fill != FILL_ALL ||
           flush_due_us(journal) <= now_us || is_stopping(journal);
}

static void take_tickets(struct journal *journal)
{
    const uint64_t last = ticket_take_all(journal, &journal->waiting);
    assert(last == 0 || last > journal->sequence_taken);
    if (last != 0)
        journal->sequence_taken = last;
}

/* Degraded: they are told, and forgotten. */
static void drop_waiting(struct journal *journal)
{
    assert(journal->log.file == NULL);
    chain_finish(journal, &journal->waiting, STATUS_STORAGE_DEGRADED);
}

/* A new segment for what is taken next. */
static void begin_segment(struct journal *journal)
{
    assert(journal->log.file == NULL);
    const struct ticket *first = journal->waiting.first;
    while (first != NULL && first->sequence == 0)
        first = first->next;
    const uint64_t sequence = first != NULL ? first->sequence : journal->sequence_taken + 1;
    const enum status status = log_open(journal, sequence);
    if (status != STATUS_OK)
        journal_fail(journal, "beginning a segment",
                     status == STATUS_IO_FAILED ? journal->io->error : ENOMEM);
}

static bool has_records(const struct journal *journal)
{
    return journal->log.last_sequence >= journal->log.first_sequence;
}

/* The open segment is written, synced and finished. False: the disk has failed on the way. */
static bool end_segment(struct journal *journal)
{
    assert(has_records(journal));
    while (journal->is_flying)
        batch_reap(journal, -1);
    if (journal->log.file != NULL)
        batch_send_end(journal);
    const bool has_ended = journal->log.file != NULL;
    if (has_ended)
        log_finish(journal);
    return has_ended;
}

static void rotate(struct journal *journal)
{
    assert(has_records(journal));
    if (end_segment(journal))
        begin_segment(journal);
}

/* All that has been taken is in a batch that fills or on the disk, however many it needs: whoever
 * asks for a rotation counts on what was handed in before. */
static void write_waiting(struct journal *journal)
{
    while (journal->log.file != NULL && journal->waiting.first != NULL) {
        while (journal->is_flying)
            batch_reap(journal, -1);
        const enum batch_fill fill = journal->log.file != NULL ? batch_fill(journal) : FILL_ALL;
        if (fill == FILL_SEGMENT_FULL)
            rotate(journal);
        else if (fill == FILL_BATCH_FULL)
            batch_send(journal, journal->options.durability == DURABILITY_ALWAYS);
    }
    while (journal->is_flying)
        batch_reap(journal, -1);
    if (journal->log.file == NULL)
        drop_waiting(journal);
    assert(journal->waiting.first == NULL);
}

/* What the custodian waits for. An open segment without records is as good as a new one. */
static void rotate_as_asked(struct journal *journal)
{
    assert(is_rotation_due(journal));
    write_waiting(journal);
    const bool was_writing = journal->log.file != NULL;
    const uint64_t last = was_writing ? journal->log.last_sequence : journal->sequence_taken;
    if (!was_writing)
        begin_segment(journal);
    else if (has_records(journal))
        rotate(journal);
    lock_acquire(&journal->rotation_lock);
    journal->rotation_status = journal->log.file != NULL ? STATUS_OK : STATUS_STORAGE_DEGRADED;
    journal->rotation_last = last;
    journal->is_rotation_due = false;
    (void)pthread_cond_broadcast(&journal->rotation_done);
    lock_release(&journal->rotation_lock);
}

static int timeout_until(uint64_t due_us, uint64_t now_us)
{
    if (due_us == UINT64_MAX)
        return -1;
    return due_us <= now_us ? 0 : (int)((due_us - now_us + US_PER_MS - 1) / US_PER_MS);
}

/* For those who are to come: see journal_gather.c. */
static void sleep_gathering(struct journal *journal, uint64_t now_us)
{
    const uint32_t missing = gather_missing(journal);
    const uint64_t sync_us = sync_due_us(journal), until_us = journal->gather.until_us;
    atomic_store(&journal->missing_to_wake, missing);
    atomic_store(&journal->rest, REST_GATHERING);
    if (atomic_load(&journal->awaited_count) < missing && !is_stopping(journal))
        batch_reap(journal, timeout_until(until_us < sync_us ? until_us : sync_us, now_us));
    atomic_store(&journal->rest, REST_AWAKE);
}

/* Until something is due or handed in. Whoever hands in after the look at the queue sees how deep
 * this thread sleeps and wakes it; stop and rotation wake it in any case. */
static void sleep_until_due(struct journal *journal, uint64_t now_us)
{
    assert(!journal->is_flying);
    const uint64_t flush_us = flush_due_us(journal), sync_us = sync_due_us(journal);
    const uint64_t due_us = flush_us < sync_us ? flush_us : sync_us;
    if (journal->gather.until_us != 0 && journal->batches[journal->filling].tickets.first != NULL) {
        sleep_gathering(journal, now_us);
        return;
    }
    atomic_store(&journal->rest, flush_us != UINT64_MAX ? REST_DOZING : REST_ASLEEP);
    if (atomic_load(&journal->queue) == NULL && !is_stopping(journal))
        batch_reap(journal, timeout_until(due_us, now_us));
    atomic_store(&journal->rest, REST_AWAKE);
}

static void step(struct journal *journal)
{
    const bool rotates = is_rotation_due(journal); /* before the look: with all handed in before */
    take_tickets(journal);
    enum batch_fill fill = FILL_ALL;
    if (journal->log.file != NULL)
        fill = batch_fill(journal);
    else
        drop_waiting(journal);
    if (rotates) {
        rotate_as_asked(journal);
        return;
    }
    if (journal->is_flying) {
        batch_reap(journal, -1);
        return;
    }
    const uint64_t now_us = journal->clock_us();
    if (journal->log.file != NULL && fill == FILL_SEGMENT_FULL)
        rotate(journal);
    else if (journal->log.file != NULL && should_leave(journal, fill, now_us))
        batch_send(journal, journal->options.durability == DURABILITY_ALWAYS ||
                                sync_due_us(journal) <= now_us);
    else
        sleep_until_due(journal, now_us);
}

static bool is_idle(const struct journal *journal)
{
    return journal->waiting.first == NULL && !journal->is_flying &&
           journal->batches[journal->filling].tickets.first == NULL &&
           atomic_load(&journal->queue) == NULL;
}

/* Whatever became of the open segment: MANIFEST says so, if the disk lets it. */
static void close_log(struct journal *journal)
{
    if (journal->log.file != NULL && has_records(journal))
        (void)end_segment(journal);
    else if (journal->log.file != NULL)
        log_finish(journal);
    assert(journal->log.file == NULL);
    if (manifest_write(journal) != STATUS_OK)
        log_write(LOG_ERROR, "storage", "MANIFEST cannot be written at the end", NULL);
}

static void run(void *argument)
{
    struct journal *journal = argument;
    while (!is_stopping(journal) || !is_idle(journal))
        step(journal);
    close_log(journal);
}

/* ---- starting and ending --------------------------------------------------------------------- */

UNSHARED static enum status take_over(struct journal *journal, const struct journal_setup *setup)
{
    struct recovered *recovered = setup->recovered;
    enum status status = segments_init(journal, recovered);
    journal->recovered = *recovered;
    journal->manifest = recovered->manifest;
    journal->recovered.manifest = (struct manifest){.segments = NULL};
    atomic_init(&journal->purges.floors, journal->manifest.floors_count);
    journal->recovered.live_bytes = NULL;
    journal->recovered.is_damaged = NULL;
    recovered->manifest = (struct manifest){.segments = NULL};
    static const uint8_t none[sizeof(journal->manifest.node)];
    if (memcmp(journal->manifest.node, none, sizeof(none)) == 0) {
        for (size_t i = 0; i < sizeof(none); i++)
            journal->manifest.node[i] = (uint8_t)setup->chance(setup->chance_context);
    }
    memcpy(journal->node, journal->manifest.node, sizeof(journal->node));
    journal->sequence_taken = recovered->sequence_next - 1;
    if (journal->recovered.removals > 0)
        journal_note_purge(journal);
    atomic_init(&journal->counters.durable_sequence, recovered->sequence_next - 1);
    return status;
}

static void init(struct journal *journal, const struct journal_setup *setup)
{
    journal->options = *setup->options;
    journal->backend = *setup->backend;
    journal->clock_us = setup->clock_us;
    journal->clock_ms = setup->clock_ms;
    journal->chance = setup->chance;
    journal->chance_context = setup->chance_context;
    journal->record_bytes_max = record_bytes_max(setup->options->segment_bytes) - LOG_END_BYTES;
    journal->io = setup->io;
    journal->custodian_io = setup->custodian_io;
    atomic_init(&journal->state, STORAGE_DURABLE);
    lock_init(&journal->manifest_lock, LOCK_RANK_MANIFEST);
    lock_init(&journal->segments_lock, LOCK_RANK_JOURNAL);
    lock_init(&journal->rotation_lock, LOCK_RANK_JOURNAL);
    const int error = pthread_cond_init(&journal->rotation_done, NULL);
    assert(error == 0);
}

static enum status make_buffers(struct journal *journal)
{
    journal->block = aligned_alloc(IO_ALIGNMENT, RECORD_BLOCK_BYTES);
    bool is_made = journal->block != NULL && histogram_create(&journal->sync_us) == STATUS_OK;
    for (size_t i = 0; i < BATCHES_COUNT; i++)
        is_made = journal_batch_create(&journal->batches[i]) && is_made;
    return is_made ? STATUS_OK : STATUS_NO_MEMORY;
}

static void close_ios(struct io *io, struct io *custodian_io)
{
    if (custodian_io != NULL)
        custodian_io->operations->close(&custodian_io);
    if (io != NULL)
        io->operations->close(&io);
}

/* No thread runs any more, or yet. */
UNSHARED static void destroy(struct journal **journal)
{
    struct journal *doomed = *journal;
    *journal = NULL;
    assert(atomic_load(&doomed->queue) == NULL);
    if (doomed->log.file != NULL)
        doomed->io->operations->close_file(doomed->io, &doomed->log.file);
    for (size_t i = 0; i < BATCHES_COUNT; i++)
        journal_batch_destroy(&doomed->batches[i]);
    histogram_destroy(&doomed->sync_us);
    free(doomed->block);
    close_ios(doomed->io, doomed->custodian_io);
    manifest_clear(&doomed->manifest);
    free(doomed->segments);
    const int error = pthread_cond_destroy(&doomed->rotation_done);
    assert(error == 0);
    lock_deinit(&doomed->rotation_lock);
    lock_deinit(&doomed->segments_lock);
    lock_deinit(&doomed->manifest_lock);
    free(doomed);
}

/* Nobody will rotate for a custodian that asks. */
static void refuse_rotations(struct journal *journal)
{
    lock_acquire(&journal->rotation_lock);
    journal->is_closed = true;
    (void)pthread_cond_broadcast(&journal->rotation_done);
    lock_release(&journal->rotation_lock);
}

static void stop_custodian(struct journal *journal)
{
    lock_acquire(&journal->segments_lock);
    struct custodian *custodian = journal->custodian;
    journal->custodian = NULL;
    lock_release(&journal->segments_lock);
    custodian_stop(&custodian);
}

static enum status start_threads(struct journal *journal, const struct custodian_source *source)
{
    struct custodian *custodian = NULL;
    enum status status =
        custodian_start(journal, journal->custodian_io, source, &journal->options, &custodian);
    if (status != STATUS_OK)
        return status;
    lock_acquire(&journal->segments_lock);
    journal->custodian = custodian;
    lock_release(&journal->segments_lock);
    status = thread_create(THREAD_STORAGE, "journal", run, journal, &journal->thread);
    if (status != STATUS_OK) {
        refuse_rotations(journal);
        stop_custodian(journal);
    }
    return status;
}

/* A full disk is no reason not to serve: as if it had become full later. */
static enum status begin_log(struct journal *journal)
{
    const enum status status = log_open(journal, journal->sequence_taken + 1);
    if (status != STATUS_IO_FAILED || journal->io->error != ENOSPC)
        return status;
    journal_fail(journal, "beginning a segment", ENOSPC);
    assert(journal_is_full(journal));
    return STATUS_OK;
}

enum status journal_start(const struct journal_setup *setup, struct journal **out_journal,
                          struct failure *failure)
{
    assert(setup->options->segment_bytes % IO_ALIGNMENT == 0);
    assert(setup->recovered->sequence_next > 0);
    assert(setup->recovered->segment_next > 0);
    struct journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL) {
        close_ios(setup->io, setup->custodian_io);
        return failure_set(failure, STATUS_NO_MEMORY, "storage.path", "no memory for a journal");
    }
    init(journal, setup);
    enum status status = take_over(journal, setup);
    if (status == STATUS_OK)
        status = make_buffers(journal);
    if (status == STATUS_OK)
        status = begin_log(journal);
    if (status == STATUS_OK)
        status = start_threads(journal, setup->source);
    if (status != STATUS_OK)
        goto destroy_journal;
    *out_journal = journal;
    return STATUS_OK;

destroy_journal:
    (void)failure_set(failure, status, "storage.path", "the journal cannot be begun: %s",
                      journal->io->error != 0 ? strerrordesc_np(journal->io->error)
                                              : status_text(status));
    destroy(&journal);
    return status;
}

void journal_stop(struct journal **journal)
{
    struct journal *doomed = *journal;
    if (doomed == NULL)
        return;
    *journal = NULL;
    stop_custodian(doomed); /* first: it may be waiting for a rotation */
    atomic_store(&doomed->is_stopping, true);
    doomed->io->operations->wake(doomed->io);
    thread_join(&doomed->thread);
    destroy(&doomed);
}
