/*
 * journal_batch.c - group commit: tickets become records in a buffer, which goes to the disk in one
 * write while the other buffer fills. One in flight, not two: two halve the batches and cost a
 * third to a half of the throughput.
 *
 * A SYNCED BLOCK IS NEVER WRITTEN AGAIN (a torn rewrite would harm what was safe): a batch that is
 * to be synced is padded to 4096 bytes, and the next begins behind.
 *
 * THREADS. The journal's alone. No lock is held during a write or a `done`.
 * NOT HERE. When a batch leaves (journal.c), what a failure means (journal_state.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "storage/entry_block.h"
#include "storage/journal_block.h"

enum { US_PER_MS = 1000 };

bool journal_batch_create(struct batch *batch)
{
    batch->memory = aligned_alloc(IO_ALIGNMENT, BATCH_BYTES);
    if (batch->memory != NULL)
        batch_clear(batch);
    return batch->memory != NULL;
}

void journal_batch_destroy(struct batch *batch)
{
    assert(batch->tickets.first == NULL);
    free(batch->memory);
    batch->memory = NULL;
}

void batch_clear(struct batch *batch)
{
    *batch = (struct batch){
        .memory = batch->memory, .bytes = batch->memory, .capacity_bytes = BATCH_BYTES};
}

static struct batch *filling_of(struct journal *journal)
{
    return &journal->batches[journal->filling];
}

/* ---- filling --------------------------------------------------------------------------------- */

static void write_payload(const struct ticket *ticket, uint8_t *payload)
{
    if (ticket->type == RECORD_PUT) {
        const float *vector =
            ticket->dimension > 0 ? (const float *)(const void *)ticket->bytes : NULL;
        record_put_write(payload, ticket->entry, vector, ticket->dimension);
        return;
    }
    memcpy(payload, ticket->bytes, ticket->payload_bytes);
    if (ticket->type != RECORD_PURGE)
        return;
    struct record_purge purge;
    const enum status status =
        record_purge_read((struct text){(char *)payload, RECORD_PURGE_BYTES}, &purge);
    assert(status == STATUS_OK);
    purge.floor = ticket->sequence;
    record_purge_write(payload, &purge);
}

static void write_record(struct journal *journal, struct batch *batch, const struct ticket *ticket)
{
    uint8_t *at = batch->bytes + batch->used_bytes;
    assert(ticket->sequence == journal->log.last_sequence + 1); /* the log has no gaps */
    write_payload(ticket, at + RECORD_HEADER_BYTES);
    const struct record record = {.type = ticket->type,
                                  .version = RECORD_VERSION,
                                  .sequence = ticket->sequence,
                                  .expires_ms = ticket->expires_ms,
                                  .payload = {NULL, ticket->payload_bytes}};
    record_seal(at, &record, journal->log.epoch);
    batch->used_bytes += record_size(ticket->payload_bytes);
    assert(batch->used_bytes + LOG_END_BYTES <= batch->capacity_bytes);
    batch->records_count++;
    batch->last_sequence = ticket->sequence;
    batch->has_purge |= ticket->type == RECORD_PURGE;
    journal->log.last_sequence = ticket->sequence;
    journal->log.records_count++;
}

/* FILL_ALL: there is room for it. */
static enum batch_fill room_for(const struct journal *journal, const struct batch *batch,
                                const struct ticket *ticket)
{
    if (ticket->type == TICKET_BARRIER)
        return FILL_ALL;
    const size_t size = record_size(ticket->payload_bytes);
    const struct log_segment *log = &journal->log;
    if (log->used_bytes + batch->used_bytes + size + LOG_END_BYTES > log->size_bytes)
        return FILL_SEGMENT_FULL;
    if (ticket->large != NULL)
        return batch->tickets.first == NULL ? FILL_ALL : FILL_BATCH_FULL;
    return batch->used_bytes + size + LOG_END_BYTES <= batch->capacity_bytes ? FILL_ALL
                                                                             : FILL_BATCH_FULL;
}

/* Dead already when it is written, perhaps: the count of the living may be below zero meanwhile. */
static void count_live(struct journal *journal, const struct ticket *ticket)
{
    if (ticket->type != RECORD_PUT)
        return;
    lock_acquire(&journal->segments_lock);
    journal->open_live_bytes += (int64_t)record_size(ticket->payload_bytes);
    lock_release(&journal->segments_lock);
}

static void add_ticket(struct journal *journal, struct batch *batch, struct ticket *ticket)
{
    if (batch->tickets.first == NULL)
        batch->began_us = journal->clock_us();
    if (ticket->large != NULL) {
        assert(batch->used_bytes == 0);
        batch->bytes = ticket->large;
        batch->capacity_bytes = ticket->large_bytes;
    }
    if (ticket->type != TICKET_BARRIER)
        write_record(journal, batch, ticket);
    count_live(journal, ticket);
    batch->awaited_count += ticket->done != NULL;
    batch->is_sync_asked |= ticket->ack == ACK_SYNCED;
    batch->sync |= ticket->ack == ACK_SYNCED;
    chain_append(&batch->tickets, ticket);
}

enum batch_fill batch_fill(struct journal *journal)
{
    struct batch *batch = filling_of(journal);
    assert(journal->log.file != NULL);
    while (journal->waiting.first != NULL) {
        const enum batch_fill room = room_for(journal, batch, journal->waiting.first);
        if (room != FILL_ALL)
            return room;
        add_ticket(journal, batch, chain_take_first(&journal->waiting));
    }
    return FILL_ALL;
}

/* ---- done ------------------------------------------------------------------------------------ */

static void note_sync(struct journal *journal, const struct batch *batch, uint64_t took_us)
{
    struct journal_counters *counters = &journal->counters;
    atomic_fetch_add_explicit(&counters->syncs, 1, memory_order_relaxed);
    atomic_store_explicit(&counters->sync_us_last, took_us, memory_order_relaxed);
    histogram_add(journal->sync_us, took_us);
    if (batch->last_sequence != 0)
        journal->sequence_written = batch->last_sequence;
    if (journal->sequence_written != 0)
        atomic_store_explicit(&counters->durable_sequence, journal->sequence_written,
                              memory_order_relaxed);
    atomic_store_explicit(&journal->unsynced_since_us, 0, memory_order_relaxed);
    if (took_us > SYNC_SLOW_US)
        log_write(LOG_WARNING, "storage", "a sync was slow", "ms=%llu",
                  (unsigned long long)(took_us / US_PER_MS));
}

static void note_written(struct journal *journal, const struct batch *batch)
{
    struct journal_counters *counters = &journal->counters;
    atomic_fetch_add_explicit(&counters->records, batch->records_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->batches, 1, memory_order_relaxed);
    const uint64_t took_us = journal->clock_us() - journal->flight_began_us;
    if (batch->sync) {
        note_sync(journal, batch, took_us);
        return;
    }
    if (batch->last_sequence != 0)
        journal->sequence_written = batch->last_sequence;
    if (atomic_load_explicit(&journal->unsynced_since_us, memory_order_relaxed) == 0 &&
        batch->records_count > 0)
        atomic_store_explicit(&journal->unsynced_since_us, batch->began_us, memory_order_relaxed);
}

/* In this order: what is written, what MANIFEST must say of it, who waits. */
static void finish_batch(struct journal *journal, struct batch *batch,
                         const struct io_completion *completion)
{
    if (completion->status != STATUS_OK) {
        journal_fail(journal,
                     completion->sync_failed ? "syncing the journal" : "writing the journal",
                     completion->error);
        return;
    }
    note_written(journal, batch);
    if (batch->is_sync_asked || (batch->sync && journal->options.durability == DURABILITY_ALWAYS))
        gather_begin(journal, batch->awaited_count, journal->clock_us() - journal->flight_began_us);
    enum status status = STATUS_OK;
    if (batch->has_purge)
        status = manifest_write_floors(journal, &batch->tickets);
    if (status != STATUS_OK) {
        journal_fail(journal, "writing MANIFEST",
                     status == STATUS_IO_FAILED ? journal->io->error : ENOMEM);
        return;
    }
    struct chain tickets = batch->tickets;
    batch_clear(batch);
    const bool is_durable = journal_state(journal) == STORAGE_DURABLE;
    chain_finish(journal, &tickets, is_durable ? STATUS_OK : STATUS_STORAGE_DEGRADED);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* When the backend has no memory for a commit: the plain way, which needs none. */
static void send_plainly(struct journal *journal, struct batch *batch,
                         const struct io_commit *commit)
{
    struct io *io = journal->io;
    struct io_completion completion = {.tag = commit->tag, .status = STATUS_OK};
    if (commit->size_bytes > 0)
        completion.status = io->operations->write_at(io, journal->log.file, commit->bytes,
                                                     commit->size_bytes, commit->offset_bytes);
    if (completion.status == STATUS_OK && commit->sync) {
        completion.status = io->operations->sync_file(io, journal->log.file);
        completion.sync_failed = completion.status != STATUS_OK;
    }
    completion.error = completion.status != STATUS_OK ? io->error : 0;
    finish_batch(journal, batch, &completion);
}

static void pad(struct journal *journal, struct batch *batch)
{
    struct log_segment *log = &journal->log;
    batch->used_bytes +=
        record_pad(batch->bytes + batch->used_bytes, log->used_bytes + batch->used_bytes,
                   log->last_sequence, log->epoch);
    assert(batch->used_bytes <= batch->capacity_bytes);
}

static void submit(struct journal *journal, struct batch *batch)
{
    struct log_segment *log = &journal->log;
    assert(log->used_bytes + batch->used_bytes <= log->size_bytes);
    const struct io_commit commit = {.bytes = batch->bytes,
                                     .offset_bytes = log->used_bytes,
                                     .size_bytes = batch->used_bytes,
                                     .sync = batch->sync,
                                     .tag = (uint64_t)(uintptr_t)batch};
    log->used_bytes += batch->used_bytes;
    journal->filling = (journal->filling + 1) % BATCHES_COUNT;
    if (journal->io->operations->submit(journal->io, log->file, &commit) == STATUS_OK)
        journal->is_flying = true;
    else
        send_plainly(journal, batch, &commit);
}

void batch_send(struct journal *journal, bool sync)
{
    struct batch *batch = filling_of(journal);
    assert(!journal->is_flying);
    assert(journal->log.file != NULL);
    const bool is_unsynced =
        batch->used_bytes > 0 ||
        atomic_load_explicit(&journal->unsynced_since_us, memory_order_relaxed) != 0;
    batch->sync = (batch->sync || sync) && is_unsynced;
    journal->flight_began_us = journal->clock_us();
    if (batch->sync)
        pad(journal, batch);
    if (batch->sync || batch->used_bytes > 0) {
        submit(journal, batch);
        return;
    }
    const struct io_completion nothing_to_do = {.status = STATUS_OK};
    finish_batch(journal, batch, &nothing_to_do);
}

void batch_reap(struct journal *journal, int timeout_ms)
{
    struct io *io = journal->io;
    struct io_completion completion;
    if (io->operations->reap(io, timeout_ms, &completion, 1) == 0)
        return;
    struct batch *batch = &journal->batches[(journal->filling + 1) % BATCHES_COUNT];
    assert(journal->is_flying);
    assert(completion.tag == (uint64_t)(uintptr_t)batch);
    journal->is_flying = false;
    finish_batch(journal, batch, &completion);
}

void batch_send_end(struct journal *journal)
{
    struct batch *batch = filling_of(journal);
    struct log_segment *log = &journal->log;
    assert(!journal->is_flying);
    assert(log->last_sequence >= log->first_sequence);
    batch->used_bytes += record_end(batch->bytes + batch->used_bytes, log->records_count,
                                    log->last_sequence, log->epoch);
    batch_send(journal, true);
    while (journal->is_flying)
        batch_reap(journal, -1);
}
