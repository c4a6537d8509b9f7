/*
 * journal_ticket.c - tickets: what is to become a record, made by the caller before it takes a lock
 * and queued under the one in which its sequence is drawn.
 *
 * THE QUEUE is a list that grows at its head and is taken as a whole. Hand-ins come one at a time
 * (they share the store's lock), so the list is in order of sequence, newest first, and the
 * journal's thread turns it round. It needs no lock of its own, which could not be taken inside the
 * store's anyway: both would have the rank JOURNAL.
 *
 * MEMORY. All that a record needs is there when the ticket is made: a vector's copy, a reference of
 * the entry, and the block of a record that is too large for the common buffers. The journal's
 * thread allocates nothing for a record, so nothing can be missing in the log for lack of memory.
 *
 * THREADS. Any make and hand in; the journal's takes and finishes.
 * NOT HERE. Records and batches (journal_batch.c).
 */
#include <stdlib.h>
#include <string.h>

#include "storage/entry_block.h"
#include "storage/journal_block.h"

/* Charges the queue or refuses. */
static enum status charge(struct journal *journal, size_t bytes)
{
    const uint64_t before =
        atomic_fetch_add_explicit(&journal->queue_bytes, bytes, memory_order_relaxed);
    if (before + bytes <= journal->options.queue_bytes)
        return STATUS_OK;
    (void)atomic_fetch_sub_explicit(&journal->queue_bytes, bytes, memory_order_relaxed);
    return STATUS_OVERLOADED;
}

static void uncharge(struct journal *journal, size_t bytes)
{
    const uint64_t before =
        atomic_fetch_sub_explicit(&journal->queue_bytes, bytes, memory_order_relaxed);
    assert(before >= bytes);
}

/* A record that fits no common batch gets a block with room for all that may stand behind it. */
static bool make_large(struct ticket *ticket)
{
    const size_t size = record_size(ticket->payload_bytes) + LOG_END_BYTES;
    if (size <= BATCH_BYTES)
        return true;
    ticket->large_bytes = (size + IO_ALIGNMENT - 1) / IO_ALIGNMENT * IO_ALIGNMENT;
    ticket->large = aligned_alloc(IO_ALIGNMENT, ticket->large_bytes);
    return ticket->large != NULL;
}

/* extra_bytes: behind the ticket, what it copies. */
static struct ticket *make(struct journal *journal, uint8_t type, size_t payload_bytes,
                           size_t extra_bytes, enum status *out_status)
{
    if (record_size(payload_bytes) > journal->record_bytes_max) {
        *out_status = STATUS_ENTRY_TOO_LARGE;
        return NULL;
    }
    const size_t charge_bytes = sizeof(struct ticket) + record_size(payload_bytes);
    *out_status = charge(journal, charge_bytes);
    if (*out_status != STATUS_OK)
        return NULL;
    struct ticket *ticket = calloc(1, sizeof(*ticket) + extra_bytes);
    if (ticket == NULL)
        goto uncharge_queue;
    ticket->magic = TICKET_MAGIC;
    ticket->type = type;
    ticket->ack = ACK_MEMORY;
    ticket->payload_bytes = payload_bytes;
    ticket->charge_bytes = charge_bytes;
    if (!make_large(ticket))
        goto free_ticket;
    return ticket;

free_ticket:
    free(ticket);
uncharge_queue:
    uncharge(journal, charge_bytes);
    *out_status = STATUS_NO_MEMORY;
    return NULL;
}

struct ticket *ticket_put(struct journal *journal, struct entry *entry, const float *vector,
                          uint32_t dimension, enum status *out_status)
{
    assert((vector != NULL) == (dimension > 0));
    const size_t vector_bytes = dimension * sizeof(float);
    struct ticket *ticket =
        make(journal, RECORD_PUT, record_put_size(entry, dimension), vector_bytes, out_status);
    if (ticket == NULL)
        return NULL;
    entry_note_dimension(entry, dimension);
    ticket->entry = entry_acquire(entry);
    ticket->expires_ms = entry->expires_ms;
    ticket->dimension = dimension;
    if (vector_bytes > 0)
        memcpy(ticket->bytes, vector, vector_bytes);
    return ticket;
}

static struct ticket *make_of_digest(struct journal *journal, uint8_t type,
                                     const struct digest *digest, enum status *out_status)
{
    static_assert((int)RECORD_DELETE_BYTES == (int)DIGEST_BYTES, "a digest is all it holds");
    struct ticket *ticket =
        make(journal, type, RECORD_DELETE_BYTES, RECORD_DELETE_BYTES, out_status);
    if (ticket != NULL)
        memcpy(ticket->bytes, digest->bytes, DIGEST_BYTES);
    return ticket;
}

struct ticket *ticket_delete(struct journal *journal, const struct digest *digest,
                             enum status *out_status)
{
    return make_of_digest(journal, RECORD_DELETE, digest, out_status);
}

void ticket_name(struct ticket *ticket, const struct digest *digest)
{
    assert(ticket->magic == TICKET_MAGIC);
    assert(ticket->type == RECORD_DELETE);
    memcpy(ticket->bytes, digest->bytes, DIGEST_BYTES);
}

struct ticket *ticket_touch(struct journal *journal, const struct digest *digest,
                            int64_t expires_ms, enum status *out_status)
{
    assert(expires_ms >= 0);
    struct ticket *ticket = make_of_digest(journal, RECORD_TOUCH, digest, out_status);
    if (ticket != NULL)
        ticket->expires_ms = expires_ms;
    return ticket;
}

struct ticket *ticket_purge(struct journal *journal, const struct record_purge *purge,
                            enum status *out_status)
{
    struct ticket *ticket =
        make(journal, RECORD_PURGE, RECORD_PURGE_BYTES, RECORD_PURGE_BYTES, out_status);
    if (ticket != NULL)
        record_purge_write(ticket->bytes, purge);
    return ticket;
}

struct ticket *ticket_note(struct journal *journal, const struct record_note *note,
                           enum status *out_status)
{
    const size_t size = RECORD_NOTE_FIXED_BYTES + note->bytes.length;
    struct ticket *ticket = make(journal, RECORD_NOTE, size, size, out_status);
    if (ticket != NULL)
        record_note_write(ticket->bytes, note);
    return ticket;
}

struct ticket *ticket_barrier(struct journal *journal, enum status *out_status)
{
    return make(journal, TICKET_BARRIER, 0, 0, out_status);
}

static void ticket_free(struct journal *journal, struct ticket *ticket)
{
    assert(ticket->magic == TICKET_MAGIC);
    ticket->magic = 0;
    uncharge(journal, ticket->charge_bytes);
    entry_release(ticket->entry);
    free(ticket->large);
    free(ticket);
}

void ticket_discard(struct journal *journal, struct ticket **ticket)
{
    struct ticket *doomed = *ticket;
    if (doomed == NULL)
        return;
    *ticket = NULL;
    assert(doomed->sequence == 0);
    ticket_free(journal, doomed);
}

void journal_submit(struct journal *journal, struct ticket *ticket, uint64_t sequence,
                    const struct journal_wish *wish)
{
    assert(ticket->magic == TICKET_MAGIC);
    assert(ticket->sequence == 0);
    assert((sequence == 0) == (ticket->type == TICKET_BARRIER));
    ticket->sequence = sequence;
    if (wish != NULL) {
        assert(wish->ack != ACK_DEFAULT);
        assert(wish->ack == ACK_MEMORY || wish->done != NULL);
        ticket->ack = wish->ack;
        ticket->done = wish->done;
        ticket->context = wish->context;
    }
    const bool is_awaited = ticket->done != NULL; /* later the ticket may be gone */
    if (is_awaited)
        atomic_store(&journal->is_awaited, true);
    struct ticket *newest = atomic_load_explicit(&journal->queue, memory_order_relaxed);
    do {
        ticket->next = newest;
        /* Pairs with ticket_take_all, and with the look that the thread takes before it sleeps. */
    } while (!atomic_compare_exchange_weak(&journal->queue, &newest, ticket));
    if (is_awaited)
        atomic_fetch_add(&journal->awaited_count, 1);
}

uint64_t ticket_take_all(struct journal *journal, struct chain *chain)
{
    atomic_store(&journal->is_awaited, false); /* first: a later one sets it again */
    atomic_store(&journal->awaited_count, 0);
    struct ticket *newest = atomic_exchange(&journal->queue, NULL);
    if (newest == NULL)
        return 0;
    struct ticket *const last = newest;
    struct ticket *first = NULL;
    uint64_t last_sequence = 0;
    while (newest != NULL) {
        assert(newest->magic == TICKET_MAGIC);
        if (last_sequence == 0) /* a barrier has none */
            last_sequence = newest->sequence;
        struct ticket *older = newest->next;
        newest->next = first;
        first = newest;
        newest = older;
    }
    if (chain->last != NULL)
        chain->last->next = first;
    else
        chain->first = first;
    chain->last = last;
    return last_sequence;
}

void chain_append(struct chain *chain, struct ticket *ticket)
{
    assert(ticket->next == NULL);
    if (chain->last != NULL)
        chain->last->next = ticket;
    else
        chain->first = ticket;
    chain->last = ticket;
}

struct ticket *chain_take_first(struct chain *chain)
{
    struct ticket *ticket = chain->first;
    if (ticket == NULL)
        return NULL;
    chain->first = ticket->next;
    if (chain->first == NULL)
        chain->last = NULL;
    ticket->next = NULL;
    return ticket;
}

void ticket_finish(struct journal *journal, struct ticket *ticket, enum status status)
{
    journal_done *const done = ticket->done;
    void *const context = ticket->context;
    const enum status told = ticket->ack == ACK_MEMORY ? STATUS_OK : status;
    ticket_free(journal, ticket);
    if (done != NULL)
        done(context, told);
}

void chain_finish(struct journal *journal, struct chain *chain, enum status status)
{
    struct ticket *ticket = chain_take_first(chain);
    while (ticket != NULL) {
        ticket_finish(journal, ticket, status);
        ticket = chain_take_first(chain);
    }
}

bool journal_is_pressed(const struct journal *journal)
{
    if (atomic_load_explicit(&journal->queue_bytes, memory_order_relaxed) >
        journal->options.queue_bytes / 2)
        return true;
    const uint64_t since = atomic_load_explicit(&journal->unsynced_since_us, memory_order_relaxed);
    return journal->options.durability == DURABILITY_EVERYSEC && since != 0 &&
           journal->clock_us() > since + EVERYSEC_LATE_US;
}
