/*
 * manage.c - namespaces created, changed and listed; their scopes and budgets follow. Owns nothing.
 *
 * THREADS. Compute; it may walk all entries, scopes or namespaces.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cache/cache.h"
#include "cache/manage.h"
#include "cache/parts.h"

/* ---- scopes that follow ---------------------------------------------------------------------- */

struct telling { /* all scopes of a namespace */
    struct cache *cache;
    const struct namespace_ *namespace_;
    struct scope **scopes;
    size_t count, max;
};

static void collect_scope(void *context, struct scope *scope)
{
    struct telling *telling = context;
    if (!text_equal(scope->tenant, telling->namespace_->tenant) ||
        !text_equal(scope->namespace_, telling->namespace_->name))
        return;
    if (telling->count < telling->max)
        telling->scopes[telling->count++] = scope;
}

/* The namespace is held, so its scopes stay. NULL when memory is spent. */
static struct scope **scopes_of(struct cache *cache, const struct namespace_ *namespace_,
                                size_t *out_count)
{
    struct telling telling = {.cache = cache, .namespace_ = namespace_};
    do {
        telling.max = telling.max > 0 ? telling.max * 4 : 256;
        free(telling.scopes);
        telling.count = 0;
        telling.scopes = calloc(telling.max, sizeof(struct scope *));
        if (telling.scopes == NULL)
            return NULL;
        epoch_enter(cache->epochs);
        scopes_each(cache->scopes, collect_scope, &telling);
        epoch_leave(cache->epochs);
    } while (telling.count == telling.max);
    *out_count = telling.count;
    return telling.scopes;
}

/* A scope without rows has nobody to tell; its first row will say it. */
void cache_tell_scope(struct cache *cache, const struct namespace_ *namespace_, struct scope *scope,
                      const struct index_choice *choice)
{
    const struct partition_key key = cache_partition_key(scope->digest, scope->space);
    cache_configure_scope(cache, namespace_, scope);
    (void)directory_set_kind(cache->directory, &key, choice);
}

static enum status tell_scopes(struct cache *cache, const struct namespace_ *namespace_)
{
    struct index_choice choice;
    size_t count = 0;
    const bool some = cache_index_choice(cache, namespace_, &choice);
    struct scope **scopes = scopes_of(cache, namespace_, &count);
    if (scopes == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        cache_tell_scope(cache, namespace_, scopes[i], some ? &choice : NULL);
    free(scopes);
    return STATUS_OK;
}

/* ---- created, changed ------------------------------------------------------------------------ */

static enum status copy_text(struct text text, struct arena *arena, struct text *out_copy)
{
    char *bytes = arena_alloc(arena, text.length + 1);
    if (bytes == NULL)
        return STATUS_NO_MEMORY;
    memcpy(bytes, text.bytes, text.length);
    *out_copy = (struct text){bytes, text.length};
    return STATUS_OK;
}

/* Inside an epoch. STATUS_NO_MEMORY. */
static enum status view_of(const struct cache *cache, const struct namespace_ *namespace_,
                           struct arena *arena, struct cache_namespace_view *out_view)
{
    struct cache_degraded degraded;
    struct text name;
    enum status status = copy_text(namespace_->name, arena, &name);
    if (status != STATUS_OK)
        return status;
    *out_view = (struct cache_namespace_view){
        .name = name,
        .version = namespace_version(namespace_),
        .settings = *namespace_wants(namespace_),
        .entries = namespace_read(&namespace_->counters.entries),
        .size_bytes = namespace_read(&namespace_->counters.size_bytes),
        .rows = namespace_read(&namespace_->counters.rows),
    };
    cache_degraded_settings(cache, &out_view->settings, &degraded);
    return copy_text(text_of(degraded.text), arena, &out_view->degraded);
}

/* The namespace is held. */
static enum status change_held(struct cache *cache, struct namespace_ *namespace_,
                               const struct cache_namespace_change *change,
                               const struct cache_waiter *waiter, struct failure *failure)
{
    enum status status = namespace_change(cache->namespaces, namespace_, change,
                                          cache_check_settings, cache, failure);
    if (status != STATUS_OK)
        return status;
    status = tell_scopes(cache, namespace_);
    if (status == STATUS_OK)
        status = cache_apply_budget(cache, namespace_);
    if (status == STATUS_OK)
        status = cache_note_namespace(cache, namespace_, waiter);
    return status == STATUS_OK ? status
                               : failure_set(failure, status, "", "%s", status_text(status));
}

static enum status view_held(struct cache *cache, const struct namespace_ *namespace_,
                             struct arena *arena, struct cache_namespace_view *out_view)
{
    epoch_enter(cache->epochs);
    const enum status status = view_of(cache, namespace_, arena, out_view);
    epoch_leave(cache->epochs);
    return status;
}

enum status cache_no_such_namespace(struct failure *failure)
{
    return failure_set(failure, STATUS_NOT_FOUND, "name", "there is no such namespace");
}

enum status cache_update_namespace(struct cache *cache, const struct cache_namespace_change *change,
                                   struct arena *arena, const struct cache_waiter *waiter,
                                   struct cache_namespace_view *out_view, struct failure *failure)
{
    struct namespace_ *namespace_ =
        cache_hold_open_namespace(cache, cache_name_or_default(change->tenant), change->name);
    if (namespace_ == NULL)
        return cache_no_such_namespace(failure);
    enum status status = change_held(cache, namespace_, change, waiter, failure);
    if (status == STATUS_OK)
        status = view_held(cache, namespace_, arena, out_view);
    namespace_release(namespace_);
    return status;
}

/* Inside an epoch. One that Sets have made is anybody's to create, once. */
static enum status make_held(struct cache *cache, const struct cache_namespace_change *change,
                             struct namespace_ **out_namespace, struct failure *failure)
{
    bool made = false;
    struct namespace_ *namespace_ = NULL;
    const enum status status = namespaces_obtain(
        cache->namespaces, cache_name_or_default(change->tenant), change->name, &namespace_);
    if (status != STATUS_OK)
        return failure_set(failure, status, "namespace.name", "%s",
                           status == STATUS_LIMIT_EXCEEDED
                               ? "cache.namespaces_max namespaces are in use"
                               : status_text(status));
    namespace_hold(namespace_);
    if (!atomic_load(&namespace_->is_closing) &&
        atomic_compare_exchange_strong(&namespace_->is_made, &made, true)) {
        *out_namespace = namespace_;
        return STATUS_OK;
    }
    namespace_release(namespace_);
    return failure_set(failure, STATUS_ALREADY_EXISTS, "namespace.name",
                       "there is one of that name already");
}

enum status cache_create_namespace(struct cache *cache, const struct cache_namespace_change *change,
                                   struct arena *arena, const struct cache_waiter *waiter,
                                   struct cache_namespace_view *out_view, struct failure *failure)
{
    struct namespace_ *namespace_ = NULL;
    enum status status = cache_check_settings(cache, &change->settings, failure);
    if (status != STATUS_OK)
        return status;
    epoch_enter(cache->epochs);
    status = make_held(cache, change, &namespace_, failure);
    epoch_leave(cache->epochs);
    if (status != STATUS_OK)
        return status;
    status = change_held(cache, namespace_, change, waiter, failure);
    if (status == STATUS_OK)
        status = view_held(cache, namespace_, arena, out_view);
    namespace_release(namespace_);
    return status;
}

/* ---- shown ----------------------------------------------------------------------------------- */

enum status cache_get_namespace(struct cache *cache, struct text tenant, struct text name,
                                struct arena *arena, struct cache_namespace_view *out_view,
                                struct failure *failure)
{
    struct namespace_ *namespace_ =
        cache_hold_open_namespace(cache, cache_name_or_default(tenant), name);
    if (namespace_ == NULL)
        return cache_no_such_namespace(failure);
    const enum status status = view_held(cache, namespace_, arena, out_view);
    namespace_release(namespace_);
    return status;
}

struct listing { /* the first `max` behind `after`, in order */
    struct text tenant, after;
    const struct namespace_ **found;
    size_t count, max;
    bool more;
};

static int compare_names(struct text a, struct text b)
{
    const size_t shorter = a.length < b.length ? a.length : b.length;
    const int order = memcmp(a.bytes, b.bytes, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* How many of those found stand before the name. */
static size_t place_of(const struct listing *listing, struct text name)
{
    size_t low = 0, high = listing->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare_names(listing->found[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void list_namespace(void *context, struct namespace_ *namespace_)
{
    struct listing *listing = context;
    if (!text_equal(namespace_->tenant, listing->tenant) || atomic_load(&namespace_->is_closing))
        return;
    if (listing->after.length > 0 && compare_names(namespace_->name, listing->after) <= 0)
        return;
    const size_t at = place_of(listing, namespace_->name);
    listing->more |= listing->count == listing->max;
    if (at == listing->max)
        return;
    const size_t kept = listing->count < listing->max ? listing->count : listing->max - 1;
    memmove(&listing->found[at + 1], &listing->found[at],
            (kept - at) * sizeof(struct namespace_ *));
    listing->found[at] = namespace_;
    listing->count = kept + 1;
}

static enum status show_list(const struct cache *cache, const struct listing *listing,
                             struct arena *arena, struct cache_namespace_view *views)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < listing->count && status == STATUS_OK; i++)
        status = view_of(cache, listing->found[i], arena, &views[i]);
    return status;
}

enum status cache_list_namespaces(struct cache *cache, struct text tenant, struct text after,
                                  size_t max, struct arena *arena,
                                  struct cache_namespace_view **out_views, size_t *out_count,
                                  bool *out_more)
{
    assert(max > 0);
    assert(max <= CACHE_NAMESPACES_LISTED_MAX);
    struct listing listing = {.tenant = cache_name_or_default(tenant), .after = after, .max = max};
    struct cache_namespace_view *views = arena_calloc(arena, max, sizeof(*views));
    listing.found = arena_calloc(arena, max, sizeof(struct namespace_ *));
    if (views == NULL || listing.found == NULL)
        return STATUS_NO_MEMORY;
    epoch_enter(cache->epochs);
    namespaces_each(cache->namespaces, list_namespace, &listing);
    const enum status status = show_list(cache, &listing, arena, views);
    epoch_leave(cache->epochs);
    if (status != STATUS_OK)
        return status;
    *out_views = views;
    *out_count = listing.count;
    *out_more = listing.more;
    return STATUS_OK;
}
