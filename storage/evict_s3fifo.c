/*
 * evict_s3fifo.c - S3-FIFO by bytes: three queues, no list ever moves on a hit (Yang, Zhang, Qiu,
 * Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023).
 *
 * New digests enter `small`, those found in the ghost enter `main`. A hit raises the frequency, up
 * to 3. Small gives the victim while it holds more than a tenth of the bytes, else main does.
 * Small's tail: frequency above 1 moves to main and starts from 0 there, the rest leaves and is
 * remembered by the ghost. Main's tail: frequency above 0 goes round once more with one less, the
 * rest leaves.
 *
 * The tenth is one of the bytes held, not of the budget: the same when bytes are what is short, and
 * still right when the limit on entries is reached first. The ghost remembers as many as main has
 * once it holds its nine tenths; taking main's count itself would keep the ghost, and with it main,
 * empty while the store fills up.
 *
 * The fingerprint is cut from the digest, which is already even. It may be ground offline; what
 * that wins is a place in main, which asking twice wins too. A victim costs at most four visits for
 * each entry before it, and each of those was paid for by a hit.
 */
#include "storage/evict.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/entry_block.h"
#include "storage/ghost.h"
#include "storage/ring.h"

enum { FREQUENCY_MAX = 3, SMALL_PART = 10 };

enum s3fifo_queue { QUEUE_NONE, QUEUE_SMALL, QUEUE_MAIN };

struct s3fifo {
    struct evict evict;
    struct ring small;
    struct ring main;
    struct ghost ghost;
};

static struct s3fifo *s3fifo_of(struct evict *evict)
{
    assert(evict->rule == &evict_s3fifo);
    return (struct s3fifo *)evict;
}

static enum status create(struct evict **out_evict)
{
    struct s3fifo *s3fifo = calloc(1, sizeof(*s3fifo));
    if (s3fifo == NULL)
        return STATUS_NO_MEMORY;
    s3fifo->evict.rule = &evict_s3fifo;
    *out_evict = &s3fifo->evict;
    return STATUS_OK;
}

static void destroy(struct evict **evict)
{
    if (*evict == NULL)
        return;
    struct s3fifo *doomed = s3fifo_of(*evict);
    *evict = NULL;
    ghost_deinit(&doomed->ghost);
    ring_deinit(&doomed->main);
    ring_deinit(&doomed->small);
    free(doomed);
}

static struct ring *ring_of(struct s3fifo *s3fifo, const struct entry *entry)
{
    assert(entry->queue != QUEUE_NONE);
    assert(entry->queue <= QUEUE_MAIN);
    return entry->queue == QUEUE_SMALL ? &s3fifo->small : &s3fifo->main;
}

static uint32_t fingerprint_of(const struct entry *entry)
{
    uint32_t fingerprint;
    memcpy(&fingerprint, entry->digest.bytes, sizeof(fingerprint));
    return fingerprint;
}

static uint32_t ghost_max(const struct s3fifo *s3fifo)
{
    const uint64_t held = (uint64_t)s3fifo->small.entries_count + s3fifo->main.entries_count;
    const uint64_t entries_max = (held * (SMALL_PART - 1) + SMALL_PART - 1) / SMALL_PART;
    return entries_max > UINT32_MAX ? UINT32_MAX : (uint32_t)entries_max;
}

static enum status enter(struct s3fifo *s3fifo, struct entry *entry, enum s3fifo_queue queue)
{
    const enum status status =
        ring_push(queue == QUEUE_SMALL ? &s3fifo->small : &s3fifo->main, entry);
    if (status == STATUS_OK)
        entry->queue = (uint8_t)queue;
    return status;
}

static enum status inserted(struct evict *evict, struct entry *entry)
{
    struct s3fifo *s3fifo = s3fifo_of(evict);
    assert(entry->queue == QUEUE_NONE);
    const bool known = ghost_take(&s3fifo->ghost, fingerprint_of(entry), ghost_max(s3fifo));
    entry->frequency = 0;
    return enter(s3fifo, entry, known ? QUEUE_MAIN : QUEUE_SMALL);
}

static void replaced(struct evict *evict, struct entry *old_entry, struct entry *new_entry)
{
    assert(new_entry->queue == QUEUE_NONE);
    ring_replace(ring_of(s3fifo_of(evict), old_entry), old_entry, new_entry);
    new_entry->queue = old_entry->queue;
    new_entry->frequency = old_entry->frequency;
    old_entry->queue = QUEUE_NONE;
}

static void hit(struct evict *evict, struct entry *entry)
{
    assert(evict->rule == &evict_s3fifo);
    assert(entry->queue != QUEUE_NONE);
    assert(entry->frequency <= FREQUENCY_MAX);
    if (entry->frequency < FREQUENCY_MAX)
        entry->frequency++;
}

static void removed(struct evict *evict, struct entry *entry)
{
    ring_remove(ring_of(s3fifo_of(evict), entry), entry);
    entry->queue = QUEUE_NONE;
}

/* NULL when the tail had earned a place in main. If main cannot grow, it has to go in spite of it.
 */
static struct entry *judge_small(struct s3fifo *s3fifo)
{
    struct entry *entry = ring_pop(&s3fifo->small);
    assert(entry != NULL);
    assert(entry->queue == QUEUE_SMALL);
    if (entry->frequency > 1 && enter(s3fifo, entry, QUEUE_MAIN) == STATUS_OK) {
        entry->frequency = 0;
        return NULL;
    }
    ghost_add(&s3fifo->ghost, fingerprint_of(entry), ghost_max(s3fifo));
    return entry;
}

static struct entry *judge_main(struct s3fifo *s3fifo)
{
    struct entry *entry = ring_pop(&s3fifo->main);
    assert(entry != NULL);
    assert(entry->queue == QUEUE_MAIN);
    if (entry->frequency == 0)
        return entry;
    entry->frequency--;
    const enum status status = enter(s3fifo, entry, QUEUE_MAIN);
    assert(status == STATUS_OK); /* the pop has left room */
    return NULL;
}

static bool is_small_over(const struct s3fifo *s3fifo)
{
    const uint64_t held_bytes = s3fifo->small.size_bytes + s3fifo->main.size_bytes;
    return s3fifo->small.size_bytes > held_bytes / SMALL_PART;
}

static struct entry *victim(struct evict *evict)
{
    struct s3fifo *s3fifo = s3fifo_of(evict);
    struct entry *entry = NULL;
    while (entry == NULL && s3fifo->small.entries_count + s3fifo->main.entries_count > 0) {
        const bool from_small = s3fifo->main.entries_count == 0 || is_small_over(s3fifo);
        entry = from_small ? judge_small(s3fifo) : judge_main(s3fifo);
    }
    if (entry != NULL)
        entry->queue = QUEUE_NONE;
    return entry;
}

const struct evict_rule evict_s3fifo = {.create = create,
                                        .destroy = destroy,
                                        .inserted = inserted,
                                        .replaced = replaced,
                                        .hit = hit,
                                        .removed = removed,
                                        .victim = victim};
