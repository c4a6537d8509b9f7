/*
 * quota.c - who is known of one namespace, and who goes first. What has died or been replaced stays
 * known until the order comes to it, or until twice as many are known as when it was last cleaned:
 * so it holds at most about twice what lives. Owns the order. Threads: see quota.h.
 *
 * NOT HERE. How much a namespace holds and may hold (budget.c), in which order (quota_order.c), the
 * removal itself (storage/).
 */
#include "cache/quota.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/lock.h"
#include "cache/quota_order.h"
#include "storage/entry.h"

enum { CLEAN_FIRST = 256 };

struct quota {
    struct lock lock;
    struct order order GUARDED;
    size_t clean_at GUARDED; /* at so many the dead are taken out */
};

UNSHARED enum status quota_create(enum cache_eviction rule, struct quota **out_quota)
{
    assert(out_quota != NULL);
    assert(rule != EVICTION_DEFAULT);
    struct quota *quota = calloc(1, sizeof(*quota));
    if (quota == NULL)
        return STATUS_NO_MEMORY;
    quota->clean_at = CLEAN_FIRST;
    quota->order.rule = rule;
    lock_init(&quota->lock, LOCK_RANK_QUOTA);
    *out_quota = quota;
    return STATUS_OK;
}

UNSHARED void quota_destroy(struct quota **quota)
{
    assert(quota != NULL);
    if (*quota == NULL)
        return;
    lock_deinit(&(*quota)->lock);
    order_deinit(&(*quota)->order);
    free(*quota);
    *quota = NULL;
}

/* When it was last asked for, of which the entry keeps the low half; its Set counts as well. More
 * than half of that range is a clock that was set back. */
static int64_t used_ms(const struct store_hit *found)
{
    const int64_t created_ms = entry_created_ms(found->entry);
    const uint32_t later_ms = found->last_hit - (uint32_t)created_ms;
    return found->hits_count > 0 && later_ms <= INT32_MAX ? created_ms + later_ms : created_ms;
}

/* Whether it is the entry that was noted, expired or not. A pin is nobody's victim: its entry is in
 * no order. */
static bool lives(void *context, const struct noted *noted, struct noted_now *out_now)
{
    struct store_hit found;
    if (store_find(context, &noted->id, 0, STORE_PEEK, &found) != STORE_FOUND)
        return false;
    const bool same = entry_sequence(found.entry) == noted->sequence;
    const bool is_pinned = (entry_marks(found.entry) & ENTRY_PINNED) != 0;
    *out_now = (struct noted_now){.used_ms = used_ms(&found),
                                  .hits = found.hits_count,
                                  .bytes = (uint32_t)entry_charge_bytes(found.entry)};
    entry_release(found.entry);
    return same && !is_pinned;
}

static struct order_eyes eyes_of(struct store *store)
{
    return (struct order_eyes){lives, store};
}

/* QUOTA ranks before STRIPE, so the store may be asked under it. */
enum status quota_note(struct quota *quota, const struct digest *id, uint64_t sequence,
                       struct store *store)
{
    const struct order_eyes eyes = eyes_of(store);
    const struct noted noted = {.id = *id, .sequence = sequence};
    struct noted_now now;
    enum status status = STATUS_OK;
    assert(sequence != 0);
    lock_acquire(&quota->lock);
    if (order_count(&quota->order) >= quota->clean_at) {
        order_clean(&quota->order, &eyes);
        const size_t twice = 2 * order_count(&quota->order);
        quota->clean_at = twice > CLEAN_FIRST ? twice : CLEAN_FIRST;
    }
    if (lives(store, &noted, &now))
        status = order_add(&quota->order, &noted, &now);
    lock_release(&quota->lock);
    return status;
}

bool quota_victim(struct quota *quota, struct store *store, struct quota_victim *out_victim)
{
    const struct order_eyes eyes = eyes_of(store);
    struct noted noted;
    lock_acquire(&quota->lock);
    const bool found = order_victim(&quota->order, &eyes, &noted);
    lock_release(&quota->lock);
    if (found)
        *out_victim = (struct quota_victim){noted.id, noted.sequence};
    return found;
}

enum status quota_change(struct quota *quota, enum cache_eviction rule, struct store *store)
{
    const struct order_eyes eyes = eyes_of(store);
    assert(rule != EVICTION_DEFAULT);
    lock_acquire(&quota->lock);
    const enum status status = order_change(&quota->order, rule, &eyes);
    lock_release(&quota->lock);
    return status;
}
