/*
 * enter.c - namespaces found by Gets and entered by Sets. Owns nothing.
 *
 * A Set holds its namespace and then looks whether it closes; a drop (drop.c) closes it and then
 * waits for the holds. Both orders are sequentially consistent, so either the Set is refused, or
 * the drop sees its hold.
 *
 * THREADS. Any.
 */
#include <sched.h>
#include <stdlib.h>

#include "base/check.h"
#include "cache/cache.h"
#include "cache/manage.h"
#include "cache/parts.h"

enum { TENANTS_MAX = 4096 };

enum status cache_make_default(struct cache *cache, const uint8_t names_key[16])
{
    struct namespace_ *made = NULL;
    enum status status =
        namespaces_create(TENANTS_MAX, names_key, cache->epochs, &cache->strangers);
    cache->nobody = calloc(1, sizeof(*cache->nobody));
    if (status == STATUS_OK && cache->nobody == NULL)
        status = STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        return status;
    return namespaces_obtain(cache->namespaces, TEXT("default"), TEXT("default"), &made);
}

static enum status refuse_unknown(struct failure *failure, const char *field)
{
    return failure_set(failure, STATUS_NAMESPACE_UNKNOWN, field, "%s",
                       status_text(STATUS_NAMESPACE_UNKNOWN));
}

/* Under a name that is none. */
struct namespace_ *cache_strangers(struct cache *cache, struct text tenant)
{
    struct namespace_ *strangers = NULL;
    return namespaces_obtain(cache->strangers, tenant, TEXT("?"), &strangers) == STATUS_OK
               ? strangers
               : cache->nobody;
}

enum status cache_peek_namespace(struct cache *cache, struct text tenant, struct text name,
                                 struct namespace_ **out_namespace, struct failure *failure)
{
    struct namespace_ *found = namespaces_find(cache->namespaces, tenant, name);
    if (found == NULL && cache->strict && !cache_is_default(name))
        return refuse_unknown(failure, "identity.namespace");
    *out_namespace = found != NULL ? found : cache->nobody;
    return STATUS_OK;
}

enum status cache_find_namespace(struct cache *cache, const struct identity *identity,
                                 const struct key *key, struct namespace_ **out_namespace,
                                 struct failure *failure)
{
    const struct text tenant = cache_name_or_default(identity->tenant);
    enum status status =
        cache_peek_namespace(cache, tenant, key->namespace_, out_namespace, failure);
    if (status == STATUS_OK && *out_namespace == cache->nobody)
        *out_namespace = cache_strangers(cache, tenant);
    return status;
}

enum status cache_read_wishes(struct cache *cache, const struct identity *identity,
                              struct text name, struct cache_namespace_settings *out_wishes,
                              struct failure *failure)
{
    struct namespace_ *namespace_ = NULL;
    epoch_enter(cache->epochs);
    const enum status status = cache_peek_namespace(cache, cache_name_or_default(identity->tenant),
                                                    name, &namespace_, failure);
    if (status == STATUS_OK)
        *out_wishes = *namespace_wants(namespace_);
    epoch_leave(cache->epochs);
    return status;
}

struct namespace_ *cache_hold_namespace(struct cache *cache, struct text tenant, struct text name)
{
    epoch_enter(cache->epochs);
    struct namespace_ *namespace_ = namespaces_find(cache->namespaces, tenant, name);
    if (namespace_ != NULL)
        namespace_hold(namespace_);
    epoch_leave(cache->epochs);
    return namespace_;
}

/* Inside an epoch. Held before it is looked at: a drop closes first and looks at the holds
 * afterwards. */
static bool hold_open(struct namespace_ *namespace_)
{
    namespace_hold(namespace_);
    if (!atomic_load(&namespace_->is_closing))
        return true;
    namespace_release(namespace_);
    return false;
}

struct namespace_ *cache_hold_open_namespace(struct cache *cache, struct text tenant,
                                             struct text name)
{
    struct namespace_ *namespace_ = NULL;
    bool is_open = false, is_passing = false;
    do {
        epoch_enter(cache->epochs);
        namespace_ = namespaces_find(cache->namespaces, tenant, name);
        is_open = namespace_ != NULL && hold_open(namespace_);
        is_passing = namespace_ != NULL && !is_open && atomic_load(&namespace_->is_passing);
        epoch_leave(cache->epochs);
        if (is_passing)
            (void)sched_yield();
    } while (is_passing);
    return is_open ? namespace_ : NULL;
}

/* Whoever lets an idle namespace pass does a few steps and waits for nobody, so the next round or
 * the one after finds the name free, or that very namespace open again. */
enum status cache_obtain_namespace(struct cache *cache, struct text tenant, struct text name,
                                   struct namespace_ **out_namespace)
{
    for (;;) {
        struct namespace_ *namespace_ = NULL;
        bool is_passing = false;
        epoch_enter(cache->epochs);
        enum status status = namespaces_obtain(cache->namespaces, tenant, name, &namespace_);
        if (status == STATUS_OK && !hold_open(namespace_)) {
            is_passing = atomic_load(&namespace_->is_passing);
            status = STATUS_NAMESPACE_UNKNOWN;
        }
        epoch_leave(cache->epochs);
        if (is_passing) {
            (void)sched_yield();
        } else if (status != STATUS_LIMIT_EXCEEDED || !cache_reclaim_idle(cache)) {
            if (status == STATUS_OK)
                *out_namespace = namespace_;
            return status;
        }
    }
}

static const char *reason_of(enum status status)
{
    if (status == STATUS_LIMIT_EXCEEDED)
        return "cache.namespaces_max namespaces are in use";
    return status == STATUS_NAMESPACE_UNKNOWN ? "it is being dropped" : status_text(status);
}

enum status cache_enter_namespace(struct cache *cache, struct text tenant, struct text name,
                                  struct namespace_ **out_namespace, struct failure *failure)
{
    if (cache->strict && !cache_is_default(name)) {
        *out_namespace = cache_hold_open_namespace(cache, tenant, name);
        return *out_namespace != NULL ? STATUS_OK : refuse_unknown(failure, "identity.namespace");
    }
    const enum status status = cache_obtain_namespace(cache, tenant, name, out_namespace);
    return status == STATUS_OK
               ? status
               : failure_set(failure, status, "identity.namespace", "%s", reason_of(status));
}
