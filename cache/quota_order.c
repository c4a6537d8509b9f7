/*
 * quota_order.c - the rules, each exact but for what only a hit could say.
 *
 * S3FIFO (Yang et al., SOSP 2023; storage/evict_s3fifo.c has the rule). It asks for a frequency at
 * the tail of a queue alone, so counting hits later changes nothing: what an entry was asked for
 * since it was queued, up to 3, is its frequency.
 *
 * LRU. A heap by the moment of the last use, the earliest on top. A hit only makes that later, so
 * what is noted is a lower bound: is the top later by now, it is noted anew and goes down; the
 * first whose note is true is the least recent of all.
 *
 * LFU_AGING. The same with hits by weight; as many hits as there are entries double the weight of
 * all later ones (forward decay; Cormode et al., ICDE 2009). A hit weighs what one weighs when it
 * is found, and all that are found for one victim weigh the same: so those of an entry that nobody
 * looked at for a while fade later than in storage/evict_lfu_aging.c.
 *
 * Each look but the last is paid for by a hit or a death since the entry was noted.
 */
#include "cache/quota_order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { LIST_FIRST = 64, FREQUENCY_MAX = 3, SMALL_PART = 10, PERIODS_MAX = 64 };
static const double WEIGHT_MAX = 0x1p256;

/* ---- rings ----------------------------------------------------------------------------------- */

static bool grow(struct noted_list *list)
{
    const size_t capacity = list->capacity > 0 ? list->capacity * 2 : LIST_FIRST;
    if (list->count < list->capacity)
        return true;
    struct noted *grown = calloc(capacity, sizeof(*grown));
    if (grown == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++)
        grown[i] = list->items[(list->first + i) & (list->capacity - 1)];
    free(list->items);
    list->items = grown;
    list->first = 0;
    list->capacity = capacity;
    return true;
}

static bool push(struct noted_list *list, const struct noted *noted)
{
    if (!grow(list))
        return false;
    list->items[(list->first + list->count++) & (list->capacity - 1)] = *noted;
    list->bytes += noted->bytes;
    return true;
}

static struct noted pop(struct noted_list *list)
{
    assert(list->count > 0);
    const struct noted noted = list->items[list->first];
    assert(list->bytes >= noted.bytes);
    list->first = (list->first + 1) & (list->capacity - 1);
    list->count--;
    list->bytes -= noted.bytes;
    return noted;
}

/* ---- heaps: rings whose first is 0 ----------------------------------------------------------- */

static bool goes_first(const struct noted *a, const struct noted *b)
{
    if (a->score < b->score || b->score < a->score)
        return a->score < b->score;
    return a->sequence < b->sequence;
}

static void sift_down(struct noted_list *heap, size_t at)
{
    const struct noted moving = heap->items[at];
    for (size_t child = 2 * at + 1; child < heap->count; child = 2 * at + 1) {
        if (child + 1 < heap->count && goes_first(&heap->items[child + 1], &heap->items[child]))
            child++;
        if (!goes_first(&heap->items[child], &moving))
            break;
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = moving;
}

static bool heap_push(struct noted_list *heap, const struct noted *noted)
{
    assert(heap->first == 0);
    if (!grow(heap))
        return false;
    size_t at = heap->count++;
    for (; at > 0 && goes_first(noted, &heap->items[(at - 1) / 2]); at = (at - 1) / 2)
        heap->items[at] = heap->items[(at - 1) / 2];
    heap->items[at] = *noted;
    heap->bytes += noted->bytes;
    return true;
}

static void heap_pop(struct noted_list *heap)
{
    assert(heap->count > 0);
    assert(heap->bytes >= heap->items[0].bytes);
    heap->bytes -= heap->items[0].bytes;
    heap->items[0] = heap->items[--heap->count];
    if (heap->count > 0)
        sift_down(heap, 0);
}

/* ---- s3fifo ---------------------------------------------------------------------------------- */

static uint32_t fingerprint_of(const struct noted *noted)
{
    uint32_t fingerprint;
    memcpy(&fingerprint, noted->id.bytes, sizeof(fingerprint));
    return fingerprint;
}

/* As many as main holds of its nine tenths; storage/evict_s3fifo.c says why not what it holds now.
 */
static uint32_t ghost_max(const struct order *order)
{
    const size_t most = (order_count(order) * (SMALL_PART - 1) + SMALL_PART - 1) / SMALL_PART;
    return most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
}

static double frequency_of(const struct noted *noted, const struct noted_now *now)
{
    return fmin(FREQUENCY_MAX, noted->score + (now->hits - noted->hits));
}

/* The tail of a queue: whether it leaves, or goes round. */
static bool leaves(struct order *order, bool from_small, struct noted *noted,
                   const struct noted_now *now)
{
    const double frequency = frequency_of(noted, now);
    const bool stays = from_small ? frequency > 1 : frequency > 0;
    noted->hits = now->hits;
    noted->bytes = now->bytes;
    noted->score = from_small ? 0 : frequency - 1;
    if (stays && push(&order->main, noted))
        return false;
    if (from_small)
        ghost_add(&order->ghost, fingerprint_of(noted), ghost_max(order));
    return true;
}

static bool s3fifo_victim(struct order *order, const struct order_eyes *eyes,
                          struct noted *out_noted)
{
    while (order_count(order) > 0) {
        const bool from_small =
            order->main.count == 0 ||
            order->small.bytes > (order->small.bytes + order->main.bytes) / SMALL_PART;
        struct noted noted = pop(from_small ? &order->small : &order->main);
        struct noted_now now;
        if (!eyes->look(eyes->context, &noted, &now) || !leaves(order, from_small, &noted, &now))
            continue;
        *out_noted = noted;
        return true;
    }
    return false;
}

/* ---- lru, lfu_aging -------------------------------------------------------------------------- */

static double weight_of(const struct order *order)
{
    return order->weight > 0 ? order->weight : 1;
}

/* Scaled down by a common factor now and then, so that it stays a number. After PERIODS_MAX at once
 * nothing is left of what was before. */
static void count_hits(struct order *order, uint64_t hits)
{
    if (order->main.count == 0)
        return;
    order->period_hits += hits;
    for (int period = 0; period < PERIODS_MAX && order->period_hits >= order->main.count;
         period++) {
        order->period_hits -= order->main.count;
        order->weight = weight_of(order) * 2;
        if (order->weight < WEIGHT_MAX)
            continue;
        for (size_t i = 0; i < order->main.count; i++)
            order->main.items[i].score /= order->weight;
        order->weight = 1;
    }
    order->period_hits %= order->main.count;
}

/* Its score by what its entry says; not less than before, for the clock may have been set back. */
static bool has_risen(struct order *order, struct noted *noted, const struct noted_now *now)
{
    const double before = noted->score;
    const uint32_t hits = now->hits - noted->hits;
    noted->hits = now->hits;
    if (order->rule == EVICTION_LRU)
        noted->score = fmax(before, (double)now->used_ms);
    else
        noted->score += hits * weight_of(order);
    return noted->score > before;
}

static bool heap_victim(struct order *order, const struct order_eyes *eyes, struct noted *out_noted)
{
    struct noted_list *heap = &order->main;
    uint64_t hits = 0;
    bool found = false;
    while (heap->count > 0 && !found) {
        struct noted_now now;
        const struct noted before = heap->items[0];
        if (!eyes->look(eyes->context, &before, &now)) {
            heap_pop(heap);
        } else if (has_risen(order, &heap->items[0], &now)) {
            sift_down(heap, 0);
            hits += now.hits - before.hits;
        } else {
            *out_noted = before;
            heap_pop(heap);
            found = true;
        }
    }
    if (order->rule == EVICTION_LFU_AGING)
        count_hits(order, hits);
    return found;
}

/* ---- one of the three ------------------------------------------------------------------------ */

void order_deinit(struct order *order)
{
    free(order->small.items);
    free(order->main.items);
    ghost_deinit(&order->ghost);
}

size_t order_count(const struct order *order)
{
    return order->small.count + order->main.count;
}

enum status order_add(struct order *order, const struct noted *noted, const struct noted_now *now)
{
    struct noted fresh = *noted;
    bool fits = false;
    fresh.bytes = now->bytes;
    switch (order->rule) {
    case EVICTION_LRU:
        fresh.score = (double)now->used_ms;
        fits = heap_push(&order->main, &fresh);
        break;
    case EVICTION_LFU_AGING:
        fresh.score = weight_of(order); /* else it went before anybody could ask for it */
        fits = heap_push(&order->main, &fresh);
        break;
    case EVICTION_S3FIFO:
    case EVICTION_DEFAULT:
        fresh.score = 0;
        fits = push(ghost_take(&order->ghost, fingerprint_of(&fresh), ghost_max(order))
                        ? &order->main
                        : &order->small,
                    &fresh);
        break;
    }
    return fits ? STATUS_OK : STATUS_NO_MEMORY;
}

bool order_victim(struct order *order, const struct order_eyes *eyes, struct noted *out_noted)
{
    return order->rule == EVICTION_S3FIFO ? s3fifo_victim(order, eyes, out_noted)
                                          : heap_victim(order, eyes, out_noted);
}

/* A ring keeps its order so, and a heap is one again when all have been put in anew. */
static void clean_list(struct noted_list *list, const struct order_eyes *eyes, bool is_heap)
{
    size_t kept = 0;
    list->bytes = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct noted noted = list->items[(list->first + i) & (list->capacity - 1)];
        struct noted_now now;
        if (!eyes->look(eyes->context, &noted, &now))
            continue;
        list->items[(list->first + kept++) & (list->capacity - 1)] = noted;
        list->bytes += noted.bytes;
    }
    list->count = kept;
    for (size_t i = kept / 2; is_heap && i-- > 0;)
        sift_down(list, i);
}

void order_clean(struct order *order, const struct order_eyes *eyes)
{
    clean_list(&order->small, eyes, false);
    clean_list(&order->main, eyes, order->rule != EVICTION_S3FIFO);
}

/* What the new rule makes of one: it was noted before it was ever asked for. */
static enum status move_list(struct order *to, const struct noted_list *from,
                             const struct order_eyes *eyes)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < from->count && status == STATUS_OK; i++) {
        struct noted noted = from->items[(from->first + i) & (from->capacity - 1)];
        struct noted_now now;
        noted.hits = 0;
        if (eyes->look(eyes->context, &noted, &now))
            status = order_add(to, &noted, &now);
    }
    return status;
}

static int by_sequence(const void *a, const void *b)
{
    const uint64_t left = ((const struct noted *)a)->sequence;
    const uint64_t right = ((const struct noted *)b)->sequence;
    return (left > right) - (left < right);
}

enum status order_change(struct order *order, enum cache_eviction rule,
                         const struct order_eyes *eyes)
{
    struct order made = {.rule = rule};
    if (order->rule == rule)
        return STATUS_OK;
    if (order->rule != EVICTION_S3FIFO && order->main.count > 0) /* a heap is no queue */
        qsort(order->main.items, order->main.count, sizeof(order->main.items[0]), by_sequence);
    enum status status = move_list(&made, &order->main, eyes);
    if (status == STATUS_OK)
        status = move_list(&made, &order->small, eyes);
    if (status != STATUS_OK) { /* sorted by sequence it is no heap by score */
        order_deinit(&made);
        for (size_t i = order->main.count / 2; order->rule != EVICTION_S3FIFO && i-- > 0;)
            sift_down(&order->main, i);
        return status;
    }
    order_deinit(order);
    *order = made;
    return STATUS_OK;
}
