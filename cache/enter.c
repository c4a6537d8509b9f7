/*
 * enter.c - namespaces found by Gets and entered by Sets. Owns nothing.
 *
 * A Set holds its namespace and then looks whether it closes; a drop (drop.c) closes it and then
 * waits for the holds. Both orders are sequentially consistent, so either the Set is refused, or
 * the drop sees its hold.
 *
 * THREADS. Any.
 */
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

/* Held before it is looked at: a drop closes first and looks at the holds afterwards. */
struct namespace_ *cache_hold_open_namespace(struct cache *cache, struct text tenant,
                                             struct text name)
{
    epoch_enter(cache->epochs);
    struct namespace_ *namespace_ = namespaces_find(cache->namespaces, tenant, name);
    if (namespace_ != NULL)
        namespace_hold(namespace_);
    if (namespace_ != NULL && atomic_load(&namespace_->is_closing)) {
        namespace_release(namespace_);
        namespace_ = NULL;
    }
    epoch_leave(cache->epochs);
    return namespace_;
}

/* Inside an epoch. */
static enum status obtain(struct cache *cache, struct text tenant, struct text name,
                          struct namespace_ **out_namespace, struct failure *failure)
{
    enum status status = STATUS_OK;
    struct namespace_ *namespace_ = namespaces_find(cache->namespaces, tenant, name);
    if (namespace_ == NULL && cache->strict && !cache_is_default(name))
        return refuse_unknown(failure, "identity.namespace");
    if (namespace_ == NULL)
        status = namespaces_obtain(cache->namespaces, tenant, name, &namespace_);
    if (status != STATUS_OK)
        return failure_set(failure, status, "identity.namespace", "%s",
                           status == STATUS_LIMIT_EXCEEDED
                               ? "cache.namespaces_max namespaces are in use"
                               : status_text(status));
    namespace_hold(namespace_);
    if (atomic_load(&namespace_->is_closing)) {
        namespace_release(namespace_);
        return failure_set(failure, STATUS_NAMESPACE_UNKNOWN, "identity.namespace",
                           "it is being dropped");
    }
    *out_namespace = namespace_;
    return STATUS_OK;
}

enum status cache_enter_namespace(struct cache *cache, struct text tenant, struct text name,
                                  struct namespace_ **out_namespace, struct failure *failure)
{
    epoch_enter(cache->epochs);
    const enum status status = obtain(cache, tenant, name, out_namespace, failure);
    epoch_leave(cache->epochs);
    return status;
}
