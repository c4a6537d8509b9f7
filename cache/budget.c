/*
 * budget.c - namespaces kept within their bytes_max and entries_max: who has come is made known to
 * the quota, who is too many leaves. Owns nothing; the quota is its namespace's.
 *
 * THREADS. Any that hold the namespace; beginning a budget walks all entries, on compute.
 */
#include <stdlib.h>

#include "base/check.h"
#include "cache/answer.h"
#include "cache/cache.h"
#include "cache/manage.h"
#include "cache/parts.h"
#include "cache/quota.h"

struct budget {
    uint64_t bytes_max, entries_max;
    enum cache_eviction rule;
};

static struct budget budget_of(struct cache *cache, const struct namespace_ *namespace_)
{
    epoch_enter(cache->epochs);
    const struct cache_namespace_settings *wants = namespace_wants(namespace_);
    const struct budget budget = {wants->bytes_max, wants->entries_max,
                                  wants->eviction != EVICTION_DEFAULT ? wants->eviction
                                                                      : cache->eviction};
    epoch_leave(cache->epochs);
    return budget;
}

static bool is_over(const struct namespace_ *namespace_, const struct budget *budget)
{
    const struct namespace_counters *counters = &namespace_->counters;
    return (budget->bytes_max != 0 && namespace_read(&counters->size_bytes) > budget->bytes_max) ||
           (budget->entries_max != 0 && namespace_read(&counters->entries) > budget->entries_max);
}

static bool has_sequence(void *context, const struct entry *entry)
{
    return entry_sequence(entry) == *(const uint64_t *)context;
}

/* How many have left. */
static uint32_t keep_within(struct cache *cache, struct namespace_ *namespace_,
                            const struct budget *budget)
{
    uint32_t evicted = 0;
    struct quota *quota = atomic_load(&namespace_->quota);
    struct quota_victim victim;
    while (is_over(namespace_, budget) && quota_victim(quota, cache->store, &victim)) {
        const enum status status =
            store_evict(cache->store, &victim.id, has_sequence, &victim.sequence);
        evicted += status == STATUS_OK;
        if (status == STATUS_OK || status == STATUS_NOT_FOUND)
            continue;
        (void)quota_note(quota, &victim.id, victim.sequence, cache->store);
        break; /* nothing can be written now; the next Set tries again */
    }
    return evicted;
}

uint32_t cache_keep_budget(struct cache *cache, struct namespace_ *namespace_,
                           const struct entry *entry)
{
    struct quota *quota = atomic_load(&namespace_->quota);
    if (quota == NULL)
        return 0;
    const struct budget budget = budget_of(cache, namespace_);
    uint32_t evicted = keep_within(cache, namespace_, &budget); /* not the new one yet */
    (void)quota_note(quota, entry_digest(entry), entry_sequence(entry), cache->store);
    evicted += keep_within(cache, namespace_, &budget); /* but if there was no other, it is */
    return evicted;
}

/* Of a budget, how much pins may hold: so that there is always one to go. */
enum { PINS_PART = 10 };

/* What the pin that it replaces holds. */
static uint64_t replaced_pin_bytes(struct cache *cache, const struct entry *entry)
{
    struct store_hit found;
    if (store_find(cache->store, entry_digest(entry), 0, STORE_PEEK, &found) != STORE_FOUND)
        return 0;
    const bool is_pinned = (entry_marks(found.entry) & ENTRY_PINNED) != 0;
    const uint64_t bytes = is_pinned ? entry_charge_bytes(found.entry) : 0;
    entry_release(found.entry);
    return bytes;
}

enum status cache_check_pins(struct cache *cache, const struct namespace_ *namespace_,
                             const struct entry *entry, struct failure *failure)
{
    if ((entry_marks(entry) & ENTRY_PINNED) == 0)
        return STATUS_OK;
    const struct budget budget = budget_of(cache, namespace_);
    const uint64_t freed_bytes = replaced_pin_bytes(cache, entry);
    const uint64_t bytes = namespace_read(&namespace_->counters.pins_bytes);
    const uint64_t count = namespace_read(&namespace_->counters.pins);
    if (budget.bytes_max != 0 && bytes > budget.bytes_max / PINS_PART + freed_bytes)
        return failure_set(failure, STATUS_NO_MEMORY, "pinned",
                           "pins hold a tenth of the namespace's bytes_max at most, %llu bytes",
                           (unsigned long long)(budget.bytes_max / PINS_PART));
    if (budget.entries_max != 0 && count > budget.entries_max / PINS_PART + (freed_bytes > 0))
        return failure_set(failure, STATUS_NO_MEMORY, "pinned",
                           "a tenth of the namespace's entries_max may be pinned, %llu entries",
                           (unsigned long long)(budget.entries_max / PINS_PART));
    return STATUS_OK;
}

struct belongings { /* the entries of one namespace, for its quota */
    struct text tenant, name;
    struct quota_victim *items;
    size_t count, capacity;
    enum status status;
};

bool cache_belongs(const struct entry *entry, struct text tenant, struct text name)
{
    struct answer_view view;
    answer_view_read(entry_metadata(entry), &view);
    return text_equal(view.namespace_, name) && text_equal(view.tenant, tenant);
}

static bool collect(void *context, const struct entry *entry)
{
    struct belongings *belongings = context;
    if (belongings->status != STATUS_OK ||
        !cache_belongs(entry, belongings->tenant, belongings->name))
        return false;
    if (belongings->count == belongings->capacity) {
        const size_t capacity = belongings->capacity > 0 ? belongings->capacity * 2 : 1024;
        void *grown = reallocarray(belongings->items, capacity, sizeof(*belongings->items));
        if (grown == NULL) {
            belongings->status = STATUS_NO_MEMORY;
            return false;
        }
        belongings->items = grown;
        belongings->capacity = capacity;
    }
    belongings->items[belongings->count++] =
        (struct quota_victim){*entry_digest(entry), entry_sequence(entry)};
    return true;
}

static int by_sequence(const void *a, const void *b)
{
    const uint64_t left = ((const struct quota_victim *)a)->sequence;
    const uint64_t right = ((const struct quota_victim *)b)->sequence;
    return (left > right) - (left < right);
}

/* The first budget of a namespace: what it holds already is made known to the quota, the oldest
 * first. Sets make themselves known from here on. */
static enum status begin_budget(struct cache *cache, struct namespace_ *namespace_,
                                enum cache_eviction rule)
{
    struct belongings belongings = {.tenant = namespace_->tenant, .name = namespace_->name};
    struct quota *made = NULL, *none = NULL;
    enum status status = quota_create(rule, &made);
    if (status != STATUS_OK)
        return status;
    if (!atomic_compare_exchange_strong(&namespace_->quota, &none, made)) {
        quota_destroy(&made); /* another has begun it */
        return STATUS_OK;
    }
    (void)store_count(cache->store, 0, collect, &belongings);
    if (belongings.count > 0)
        qsort(belongings.items, belongings.count, sizeof(belongings.items[0]), by_sequence);
    status = belongings.status;
    for (size_t i = 0; i < belongings.count && status == STATUS_OK; i++)
        status =
            quota_note(made, &belongings.items[i].id, belongings.items[i].sequence, cache->store);
    free(belongings.items);
    return status;
}

enum status cache_apply_budget(struct cache *cache, struct namespace_ *namespace_)
{
    enum status status = STATUS_OK;
    const struct budget budget = budget_of(cache, namespace_);
    if (budget.bytes_max == 0 && budget.entries_max == 0)
        return STATUS_OK;
    if (atomic_load(&namespace_->quota) == NULL)
        status = begin_budget(cache, namespace_, budget.rule);
    if (status == STATUS_OK)
        status = quota_change(atomic_load(&namespace_->quota), budget.rule, cache->store);
    (void)keep_within(cache, namespace_, &budget);
    return status;
}
