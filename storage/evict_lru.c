/*
 * evict_lru.c - least recently used: a hit makes an entry the newest of one queue, the oldest goes.
 *
 * A hit leaves a hole behind it in the ring; a ring that is more than half holes is packed, so a
 * hit costs a constant on the average. The queue starts small and doubles: with no memory for the
 * larger one a hit is forgotten, nothing else.
 */
#include <assert.h>
#include <stdlib.h>

#include "storage/entry_block.h"
#include "storage/evict.h"
#include "storage/ring.h"

enum lru_queue { QUEUE_NONE, QUEUE_ALL };

struct lru {
    struct evict evict;
    struct ring ring; /* the least recently used one first */
};

static struct lru *lru_of(struct evict *evict)
{
    assert(evict->rule == &evict_lru);
    return (struct lru *)evict;
}

static enum status create(struct evict **out_evict)
{
    struct lru *lru = calloc(1, sizeof(*lru));
    if (lru == NULL)
        return STATUS_NO_MEMORY;
    lru->evict.rule = &evict_lru;
    *out_evict = &lru->evict;
    return STATUS_OK;
}

static void destroy(struct evict **evict)
{
    if (*evict == NULL)
        return;
    struct lru *doomed = lru_of(*evict);
    *evict = NULL;
    ring_deinit(&doomed->ring);
    free(doomed);
}

static enum status inserted(struct evict *evict, struct entry *entry)
{
    assert(entry->queue == QUEUE_NONE);
    const enum status status = ring_push(&lru_of(evict)->ring, entry);
    if (status == STATUS_OK)
        entry->queue = QUEUE_ALL;
    return status;
}

/* The replacement keeps the place: being written is not being asked for. */
static void replaced(struct evict *evict, struct entry *old_entry, struct entry *new_entry)
{
    assert(old_entry->queue == QUEUE_ALL);
    assert(new_entry->queue == QUEUE_NONE);
    ring_replace(&lru_of(evict)->ring, old_entry, new_entry);
    new_entry->queue = QUEUE_ALL;
    old_entry->queue = QUEUE_NONE;
}

static void hit(struct evict *evict, struct entry *entry)
{
    assert(entry->queue == QUEUE_ALL);
    ring_renew(&lru_of(evict)->ring, entry);
}

static void removed(struct evict *evict, struct entry *entry)
{
    assert(entry->queue == QUEUE_ALL);
    ring_remove(&lru_of(evict)->ring, entry);
    entry->queue = QUEUE_NONE;
}

static struct entry *victim(struct evict *evict)
{
    struct entry *entry = ring_pop(&lru_of(evict)->ring);
    if (entry != NULL)
        entry->queue = QUEUE_NONE;
    return entry;
}

const struct evict_rule evict_lru = {.create = create,
                                     .destroy = destroy,
                                     .inserted = inserted,
                                     .replaced = replaced,
                                     .hit = hit,
                                     .removed = removed,
                                     .victim = victim};
