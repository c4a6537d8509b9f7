/*
 * evict_lfu_aging.c - least frequently used, with hits that fade: after as many hits as there are
 * entries, all earlier hits count half. So yesterday's favourite does not stay for ever.
 *
 * HALVING WITHOUT VISITING. Instead of halving every score, later hits weigh twice as much: the
 * order is the same (forward decay; Cormode, Shkapenyuk, Srivastava, Xu, "Forward decay: a
 * practical time decay model for streaming systems", ICDE 2009). Scores are doubles in a binary
 * heap, the least on top; an entry's slot is its place in it. Before the weight could leave the
 * range of a double, every 256 periods, all scores are scaled down once: what falls to zero then
 * was 2^-256 of a hit.
 *
 * A new entry weighs one hit of its time, else it would be the next to go before anybody could ask
 * for it. Of equals the older Set goes first. A hit costs log2(entries) swaps at most, under the
 * stripe.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "storage/entry_block.h"
#include "storage/evict.h"

enum { HEAP_CAPACITY_MIN = 16, PERIODS_MAX = 256 };
enum lfu_queue { QUEUE_NONE, QUEUE_HEAP };

struct scored {
    double score; /* hits, each with the weight of its time */
    struct entry *entry;
};

struct lfu {
    struct evict evict;
    struct scored *heap;
    uint32_t capacity, count;
    uint32_t hits_count; /* of this period */
    uint32_t periods;    /* since the last scaling */
    double weight;       /* of a hit now: 2^periods */
};

static struct lfu *lfu_of(struct evict *evict)
{
    assert(evict->rule == &evict_lfu_aging);
    return (struct lfu *)evict;
}

static enum status create(struct evict **out_evict)
{
    struct lfu *lfu = calloc(1, sizeof(*lfu));
    if (lfu == NULL)
        return STATUS_NO_MEMORY;
    lfu->evict.rule = &evict_lfu_aging;
    lfu->weight = 1;
    *out_evict = &lfu->evict;
    return STATUS_OK;
}

static void destroy(struct evict **evict)
{
    if (*evict == NULL)
        return;
    struct lfu *doomed = lfu_of(*evict);
    *evict = NULL;
    free(doomed->heap);
    free(doomed);
}

/* ---- the heap -------------------------------------------------------------------------------- */

static bool goes_first(const struct scored *a, const struct scored *b)
{
    if (a->score < b->score || b->score < a->score)
        return a->score < b->score;
    return a->entry->sequence < b->entry->sequence;
}

static void place(struct lfu *lfu, uint32_t at, struct scored scored)
{
    assert(at < lfu->count);
    lfu->heap[at] = scored;
    scored.entry->slot = at;
}

static void sift_up(struct lfu *lfu, uint32_t at, struct scored moving)
{
    while (at > 0 && goes_first(&moving, &lfu->heap[(at - 1) / 2])) {
        place(lfu, at, lfu->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(lfu, at, moving);
}

static void sift_down(struct lfu *lfu, uint32_t at, struct scored moving)
{
    for (uint64_t child = 2 * (uint64_t)at + 1; child < lfu->count; child = 2 * (uint64_t)at + 1) {
        if (child + 1 < lfu->count && goes_first(&lfu->heap[child + 1], &lfu->heap[child]))
            child++;
        if (!goes_first(&lfu->heap[child], &moving))
            break;
        place(lfu, at, lfu->heap[child]);
        at = (uint32_t)child;
    }
    place(lfu, at, moving);
}

static struct scored *scored_of(struct lfu *lfu, const struct entry *entry)
{
    assert(entry->queue == QUEUE_HEAP);
    assert(entry->slot < lfu->count);
    assert(lfu->heap[entry->slot].entry == entry);
    return &lfu->heap[entry->slot];
}

static void take_out(struct lfu *lfu, uint32_t at)
{
    assert(at < lfu->count);
    lfu->count--;
    if (at == lfu->count)
        return;
    const struct scored last = lfu->heap[lfu->count];
    if (at > 0 && goes_first(&last, &lfu->heap[(at - 1) / 2]))
        sift_up(lfu, at, last);
    else
        sift_down(lfu, at, last);
}

static enum status make_room(struct lfu *lfu)
{
    if (lfu->count < lfu->capacity)
        return STATUS_OK;
    if (lfu->capacity > UINT32_MAX / 2)
        return STATUS_NO_MEMORY;
    const uint32_t capacity = lfu->capacity == 0 ? HEAP_CAPACITY_MIN : lfu->capacity * 2;
    struct scored *heap = reallocarray(lfu->heap, capacity, sizeof(*heap));
    if (heap == NULL)
        return STATUS_NO_MEMORY;
    lfu->heap = heap;
    lfu->capacity = capacity;
    return STATUS_OK;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void scale_down(struct lfu *lfu)
{
    for (uint32_t i = 0; i < lfu->count; i++)
        lfu->heap[i].score /= lfu->weight; /* a common factor: the order stays */
    lfu->weight = 1;
    lfu->periods = 0;
}

static void count_hit(struct lfu *lfu)
{
    if (++lfu->hits_count < lfu->count)
        return;
    lfu->hits_count = 0;
    lfu->weight *= 2;
    if (++lfu->periods == PERIODS_MAX)
        scale_down(lfu);
}

/* ---- the rule -------------------------------------------------------------------------------- */

static enum status inserted(struct evict *evict, struct entry *entry)
{
    struct lfu *lfu = lfu_of(evict);
    assert(entry->queue == QUEUE_NONE);
    const enum status status = make_room(lfu);
    if (status != STATUS_OK)
        return status;
    entry->queue = QUEUE_HEAP;
    lfu->count++;
    sift_up(lfu, lfu->count - 1, (struct scored){lfu->weight, entry});
    return STATUS_OK;
}

/* The score is inherited. The sequence has grown, so the new one may have to go down among equals.
 */
static void replaced(struct evict *evict, struct entry *old_entry, struct entry *new_entry)
{
    struct lfu *lfu = lfu_of(evict);
    const struct scored heir = {scored_of(lfu, old_entry)->score, new_entry};
    assert(new_entry->queue == QUEUE_NONE);
    new_entry->queue = QUEUE_HEAP;
    old_entry->queue = QUEUE_NONE;
    sift_down(lfu, old_entry->slot, heir);
}

static void hit(struct evict *evict, struct entry *entry)
{
    struct lfu *lfu = lfu_of(evict);
    struct scored more = *scored_of(lfu, entry);
    more.score += lfu->weight;
    sift_down(lfu, entry->slot, more);
    count_hit(lfu);
}

static void removed(struct evict *evict, struct entry *entry)
{
    struct lfu *lfu = lfu_of(evict);
    assert(scored_of(lfu, entry)->entry == entry);
    entry->queue = QUEUE_NONE;
    take_out(lfu, entry->slot);
}

static struct entry *victim(struct evict *evict)
{
    struct lfu *lfu = lfu_of(evict);
    if (lfu->count == 0)
        return NULL;
    struct entry *entry = lfu->heap[0].entry;
    removed(evict, entry);
    return entry;
}

const struct evict_rule evict_lfu_aging = {.create = create,
                                           .destroy = destroy,
                                           .inserted = inserted,
                                           .replaced = replaced,
                                           .hit = hit,
                                           .removed = removed,
                                           .victim = victim};
