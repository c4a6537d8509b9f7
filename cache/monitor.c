/*
 * monitor.c - decisions as they are made, for those who watch.
 *
 * The rate is a bucket of tokens (leaky bucket as a meter; ITU-T I.371, annex A) that is filled
 * when a watch is taken and emptied by decisions, so that who decides needs no clock for it. A
 * bucket holds a tenth of a second's worth, and so does a watch: it has room for every token. Two
 * halves: one is filled while the other is read, and they change places under the lock in no time.
 *
 * Owns the watches. Threads: see monitor.h.
 */
#include "cache/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/lock.h"

struct monitor_watch {
    struct text tenant, namespace_; /* our own copies, behind the halves */
    unsigned results;
    uint32_t rate, room;
    double tokens;
    uint64_t filled_us; /* when the bucket was filled; 0: never */
    uint64_t dropped;
    uint64_t misses_seen;
    size_t count; /* in the half that is filled */
    struct monitor_decision *filled, *read;
    char texts[2 * MONITOR_NAME_MAX];
};

struct monitor {
    atomic_uint watches_count;
    atomic_bool shows_prompts;
    _Atomic uint64_t misses; /* decisions that found the lock taken */
    struct lock lock;
    struct monitor_watch *watches[MONITOR_WATCHES_MAX] GUARDED; /* NULL: free */
};

UNSHARED enum status monitor_create(struct monitor **out_monitor)
{
    struct monitor *monitor = calloc(1, sizeof(*monitor));
    if (monitor == NULL)
        return STATUS_NO_MEMORY;
    lock_init(&monitor->lock, LOCK_RANK_MONITOR);
    *out_monitor = monitor;
    return STATUS_OK;
}

void monitor_destroy(struct monitor **monitor)
{
    struct monitor *doomed = *monitor;
    if (doomed == NULL)
        return;
    *monitor = NULL;
    assert(atomic_load(&doomed->watches_count) == 0);
    lock_deinit(&doomed->lock);
    free(doomed);
}

void monitor_show_prompts(struct monitor *monitor, bool shown)
{
    atomic_store_explicit(&monitor->shows_prompts, shown, memory_order_relaxed);
}

bool monitor_is_watched(const struct monitor *monitor)
{
    return atomic_load_explicit(&monitor->watches_count, memory_order_relaxed) > 0;
}

/* ---- Who decides -------------------------------------------------------------------------------
 */

/* As much as there is room for, not a part of a character. */
static size_t copy_text(struct text text, char *out, size_t room)
{
    size_t length = text.length;
    if (length > room) {
        length = room;
        while (length > 0 && ((unsigned char)text.bytes[length] & 0xC0) == 0x80)
            length--;
    }
    if (length > 0)
        memcpy(out, text.bytes, length);
    return length;
}

static bool wants(const struct monitor_watch *watch, const struct monitor_decision *decision,
                  const struct monitor_texts *texts)
{
    return (watch->results == 0 || (watch->results & 1u << decision->result) != 0) &&
           text_equal(watch->tenant, texts->tenant) &&
           (watch->namespace_.length == 0 || text_equal(watch->namespace_, texts->namespace_));
}

static void offer(struct monitor_watch *watch, const struct monitor_decision *decision)
{
    if (watch->tokens < 1 || watch->count == watch->room) {
        watch->dropped++;
        return;
    }
    watch->tokens -= 1;
    watch->filled[watch->count++] = *decision;
}

static void fill_texts(const struct monitor *monitor, struct monitor_decision *decision,
                       const struct monitor_texts *texts)
{
    decision->namespace_length =
        (uint8_t)copy_text(texts->namespace_, decision->namespace_, MONITOR_NAME_MAX);
    decision->model_length = (uint8_t)copy_text(texts->model, decision->model, MONITOR_NAME_MAX);
    decision->prompt_length = 0;
    if (atomic_load_explicit(&monitor->shows_prompts, memory_order_relaxed))
        decision->prompt_length =
            (uint16_t)copy_text(texts->prompt, decision->prompt, MONITOR_PROMPT_MAX);
}

void monitor_note(struct monitor *monitor, struct monitor_decision *decision,
                  const struct monitor_texts *texts)
{
    assert(decision->result >= MONITOR_HIT);
    assert(decision->result < MONITOR_RESULTS);
    fill_texts(monitor, decision, texts);
    if (!lock_try_acquire(&monitor->lock)) {
        atomic_fetch_add_explicit(&monitor->misses, 1, memory_order_relaxed);
        return;
    }
    for (size_t i = 0; i < MONITOR_WATCHES_MAX; i++) {
        if (monitor->watches[i] != NULL && wants(monitor->watches[i], decision, texts))
            offer(monitor->watches[i], decision);
    }
    lock_release(&monitor->lock);
}

/* ---- Who watches -------------------------------------------------------------------------------
 */

static struct monitor_watch *make(const struct monitor *monitor,
                                  const struct monitor_filter *filter)
{
    const uint32_t room = filter->rate > 10 ? filter->rate / 10 : 1;
    struct monitor_watch *watch = calloc(1, sizeof(*watch));
    struct monitor_decision *halves = calloc(2 * (size_t)room, sizeof(*halves));
    if (watch == NULL || halves == NULL) {
        free(watch);
        free(halves);
        return NULL;
    }
    *watch = (struct monitor_watch){
        .results = filter->results,
        .rate = filter->rate,
        .room = room,
        .tokens = room,
        .misses_seen = atomic_load_explicit(&monitor->misses, memory_order_relaxed),
        .filled = halves,
        .read = halves + room,
    };
    char *texts = watch->texts;
    watch->tenant = (struct text){texts, copy_text(filter->tenant, texts, MONITOR_NAME_MAX)};
    texts += MONITOR_NAME_MAX;
    watch->namespace_ =
        (struct text){texts, copy_text(filter->namespace_, texts, MONITOR_NAME_MAX)};
    return watch;
}

static void destroy(struct monitor_watch *watch)
{
    free(watch->filled < watch->read ? watch->filled : watch->read); /* one block */
    free(watch);
}

enum status monitor_watch_begin(struct monitor *monitor, const struct monitor_filter *filter,
                                struct monitor_watch **out_watch)
{
    assert(filter->rate >= 1);
    assert(filter->rate <= MONITOR_RATE_MAX);
    struct monitor_watch *made = make(monitor, filter);
    if (made == NULL)
        return STATUS_NO_MEMORY;
    bool placed = false;
    lock_acquire(&monitor->lock);
    for (size_t i = 0; i < MONITOR_WATCHES_MAX && !placed; i++) {
        placed = monitor->watches[i] == NULL;
        if (placed)
            monitor->watches[i] = made;
    }
    lock_release(&monitor->lock);
    if (!placed) {
        destroy(made);
        return STATUS_LIMIT_EXCEEDED;
    }
    atomic_fetch_add_explicit(&monitor->watches_count, 1, memory_order_relaxed);
    *out_watch = made;
    return STATUS_OK;
}

void monitor_watch_end(struct monitor *monitor, struct monitor_watch **watch)
{
    struct monitor_watch *doomed = *watch;
    if (doomed == NULL)
        return;
    *watch = NULL;
    bool found = false;
    lock_acquire(&monitor->lock);
    for (size_t i = 0; i < MONITOR_WATCHES_MAX; i++) {
        if (monitor->watches[i] == doomed) {
            monitor->watches[i] = NULL;
            found = true;
        }
    }
    lock_release(&monitor->lock);
    assert(found);
    atomic_fetch_sub_explicit(&monitor->watches_count, 1, memory_order_relaxed);
    destroy(doomed);
}

static void refill(struct monitor_watch *watch, uint64_t now_us)
{
    if (watch->filled_us != 0 && now_us > watch->filled_us)
        watch->tokens += (double)(now_us - watch->filled_us) * watch->rate / 1e6;
    if (watch->tokens > watch->room)
        watch->tokens = watch->room;
    watch->filled_us = now_us;
}

size_t monitor_watch_take(struct monitor *monitor, struct monitor_watch *watch, uint64_t now_us,
                          const struct monitor_decision **out_decisions, uint64_t *out_dropped)
{
    const uint64_t misses = atomic_load_explicit(&monitor->misses, memory_order_relaxed);
    lock_acquire(&monitor->lock);
    struct monitor_decision *taken = watch->filled;
    const size_t count = watch->count;
    *out_dropped = watch->dropped + (misses - watch->misses_seen);
    watch->filled = watch->read;
    watch->read = taken;
    watch->count = 0;
    watch->dropped = 0;
    watch->misses_seen = misses;
    refill(watch, now_us);
    lock_release(&monitor->lock);
    *out_decisions = taken;
    return count;
}
