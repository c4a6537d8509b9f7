/*
 * drop.c - namespaces dropped, and those let go that the folder has read but nobody needs. Owns
 * nothing.
 *
 * A DROP and the Sets that are at work meanwhile: a Set holds its namespace and then looks whether
 * it closes; a drop closes it and then waits for the holds. Both orders are sequentially
 * consistent, so either the Set is refused, or the drop sees its hold, and after that its entry.
 * Deaths hold too. So when nobody holds it and no entry is left, nothing will ever be counted in it
 * again.
 *
 * THREADS. Compute; it walks all entries. cache_settle_loaded: who loads, alone.
 */
#include <sched.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "cache/cache.h"
#include "cache/manage.h"
#include "cache/parts.h"

/* ---- dropped --------------------------------------------------------------------------------- */

struct doomed { /* the namespace whose entries go */
    struct text tenant, name;
};

/* Under a stripe's lock. */
static bool is_doomed(void *context, const struct entry *entry)
{
    const struct doomed *doomed = context;
    return cache_belongs(entry, doomed->tenant, doomed->name);
}

/* All at once, in the log as well: one record. */
static enum status drop_all(struct cache *cache, const struct doomed *doomed,
                            const struct journal_wish *wish, uint64_t *out_removed)
{
    struct record_purge what = {.floor = 0};
    const struct digest owner = key_owner(doomed->tenant, doomed->name);
    memcpy(what.tenant, owner.bytes, sizeof(what.tenant));
    return store_drop(cache->store, &what, wish, out_removed);
}

/* The holds first: who lets go has counted its entry by then. */
static bool is_empty(const struct namespace_ *namespace_)
{
    return atomic_load(&namespace_->holds) == 1 &&
           namespace_read(&namespace_->counters.entries) == 0;
}

/* Until no entry is left and nobody but this thread holds it. What comes after the first round is
 * of Sets that were half-way, or bears no owner yet, as the first format of a folder had it. */
static enum status empty(struct cache *cache, struct namespace_ *namespace_,
                         const struct cache_waiter *waiter, uint64_t *removed)
{
    struct doomed doomed = {namespace_->tenant, namespace_->name};
    struct journal_wish wish = {.ack = ACK_MEMORY};
    if (waiter != NULL)
        wish = (struct journal_wish){cache_ack_removal(cache), waiter->done, waiter->context};
    bool is_first = true;
    while (is_first || !is_empty(namespace_)) {
        uint64_t gone = 0;
        if (waiter != NULL)
            waiter->expect(waiter->context);
        const enum status status =
            is_first ? drop_all(cache, &doomed, &wish, &gone)
                     : store_purge(cache->store, is_doomed, &doomed, &wish, &gone);
        *removed += gone;
        is_first = false;
        if (status != STATUS_OK && waiter != NULL)
            waiter->done(waiter->context, STATUS_OK);
        if (status != STATUS_OK)
            return status;
        if (!is_empty(namespace_))
            (void)sched_yield(); /* a Set or a death is half-way */
    }
    return STATUS_OK;
}

static void add(_Atomic uint64_t *sum, const _Atomic uint64_t *part)
{
    namespace_count(sum, namespace_read(part));
}

/* What the server has done stays done. */
static void inherit(struct namespace_counters *heir, const struct namespace_counters *counters)
{
    add(&heir->exact_hits, &counters->exact_hits);
    add(&heir->stale_hits, &counters->stale_hits);
    add(&heir->negative_hits, &counters->negative_hits);
    add(&heir->exact_misses, &counters->exact_misses);
    add(&heir->semantic_hits, &counters->semantic_hits);
    add(&heir->semantic_misses, &counters->semantic_misses);
    for (int i = 0; i < CACHE_MISS_COUNT; i++)
        add(&heir->misses[i], &counters->misses[i]);
    add(&heir->leases, &counters->leases);
    add(&heir->lease_waits, &counters->lease_waits);
    add(&heir->sets, &counters->sets);
    add(&heir->evictions, &counters->evictions);
    add(&heir->expirations, &counters->expirations);
}

struct forgetting {
    struct cache *cache;
    struct text tenant, name;
};

static void forget_scope(void *context, struct scope *scope)
{
    const struct forgetting *forgetting = context;
    if (text_equal(scope->tenant, forgetting->tenant) &&
        text_equal(scope->namespace_, forgetting->name))
        scopes_remove(forgetting->cache->scopes, scope);
}

void cache_forget_scopes(struct cache *cache, struct text tenant, struct text name)
{
    struct forgetting forgetting = {cache, tenant, name};
    epoch_enter(cache->epochs);
    scopes_each(cache->scopes, forget_scope, &forgetting);
    epoch_leave(cache->epochs);
}

/* It is closing, empty and held by this thread alone. */
static void take_out(struct cache *cache, struct namespace_ *namespace_)
{
    cache_forget_scopes(cache, namespace_->tenant, namespace_->name);
    epoch_enter(cache->epochs);
    inherit(&cache_strangers(cache, namespace_->tenant)->counters, &namespace_->counters);
    epoch_leave(cache->epochs);
    namespaces_remove(cache->namespaces, namespace_);
}

static enum status drop_held(struct cache *cache, struct namespace_ *namespace_, struct text tenant,
                             const struct cache_waiter *waiter, uint64_t *removed)
{
    bool closing = false;
    const bool comes_back = cache_is_default(namespace_->name);
    char name[64];
    const size_t length = namespace_->name.length;
    assert(length <= sizeof(name));
    memcpy(name, namespace_->name.bytes, length);
    if (!atomic_compare_exchange_strong(&namespace_->is_closing, &closing, true)) {
        namespace_release(namespace_);
        return STATUS_NOT_FOUND; /* another drops it */
    }
    enum status status = empty(cache, namespace_, waiter, removed);
    if (status != STATUS_OK) { /* it stays, with what is left of it */
        atomic_store(&namespace_->is_closing, false);
        namespace_release(namespace_);
        return status;
    }
    /* Before it can be made again: a later note must be the newer one. */
    status = cache_note_dropped(cache, tenant, (struct text){name, length}, waiter);
    take_out(cache, namespace_);
    if (comes_back && status == STATUS_OK) {
        struct namespace_ *made = NULL;
        epoch_enter(cache->epochs);
        status = namespaces_obtain(cache->namespaces, tenant, TEXT("default"), &made);
        epoch_leave(cache->epochs);
    }
    return status;
}

enum status cache_drop_namespace(struct cache *cache, struct text tenant, struct text name,
                                 struct text confirm, const struct cache_waiter *waiter,
                                 uint64_t *out_removed, struct failure *failure)
{
    uint64_t removed = 0;
    tenant = cache_name_or_default(tenant);
    if (!text_equal(confirm, name))
        return failure_set(failure, STATUS_UNCONFIRMED, "confirm", "%s",
                           status_text(STATUS_UNCONFIRMED));
    struct namespace_ *namespace_ = cache_hold_open_namespace(cache, tenant, name);
    if (namespace_ == NULL)
        return cache_no_such_namespace(failure);
    const enum status status = drop_held(cache, namespace_, tenant, waiter, &removed);
    if (status == STATUS_NOT_FOUND)
        return cache_no_such_namespace(failure);
    if (status != STATUS_OK)
        return failure_set(failure, status, "", "%s", status_text(status));
    *out_removed = removed;
    return STATUS_OK;
}

/* ---- after the folder has been read ---------------------------------------------------------- */

static void warn_of(const struct cache *cache, const struct namespace_ *namespace_)
{
    struct cache_degraded degraded;
    cache_degraded_settings(cache, namespace_wants(namespace_), &degraded);
    if (degraded.text[0] != '\0')
        log_write(LOG_WARNING, "cache",
                  "settings of a namespace are against today's options: kept, and clamped",
                  "namespace=\"%.*s\" reason=\"%s\"", (int)namespace_->name.length,
                  namespace_->name.bytes, degraded.text);
}

void cache_let_go(struct cache *cache, struct namespace_ *namespace_)
{
    assert(!atomic_load(&namespace_->is_made));
    if (namespace_read(&namespace_->counters.entries) > 0 || cache_is_default(namespace_->name))
        return;
    atomic_store(&namespace_->is_closing, true);
    namespaces_remove(cache->namespaces, namespace_);
}

static void settle_namespace(void *context, struct namespace_ *namespace_)
{
    struct cache *cache = context;
    if (atomic_load(&namespace_->is_made)) {
        warn_of(cache, namespace_);
        (void)cache_apply_budget(cache, namespace_);
        return;
    }
    cache_let_go(cache, namespace_);
}

static void settle_scope(void *context, struct scope *scope)
{
    struct cache *cache = context;
    struct namespace_ *namespace_ =
        namespaces_find(cache->namespaces, scope->tenant, scope->namespace_);
    struct index_choice choice;
    if (namespace_ == NULL || (cache_is_by_wish(cache, scope->space) &&
                               !cache_compares(cache, namespace_wants(namespace_), scope->space)))
        scopes_remove(cache->scopes, scope); /* and its rows, as load.c has it */
    else if (namespace_version(namespace_) != 0)
        cache_tell_scope(cache, namespace_, scope,
                         cache_index_choice(cache, namespace_, &choice) ? &choice : NULL);
}

/* Nobody else removes anything yet, so there is no need of an epoch. Rows that were read before
 * their namespace's note are searched as the options say until here. */
void cache_settle_loaded(struct cache *cache)
{
    namespaces_each(cache->namespaces, settle_namespace, cache);
    scopes_each(cache->scopes, settle_scope, cache);
}
