/*
 * configure.c - what the options say while the cache runs: limits are fields that each is read by
 * whoever needs it; the policy is a block that never changes and is replaced as a whole, and scopes
 * are then brought to follow it, one by one. Owns the block. Threads: one that changes, all that
 * read.
 */
#include <stdlib.h>

#include "base/check.h"
#include "cache/cache.h"
#include "cache/parts.h"

struct cache_policy {
    struct epoch_retired retired; /* first, so that it is the block */
    struct policy_settings settings;
};

/* ---- Limits ------------------------------------------------------------------------------------
 */

static uint64_t option_ms(const struct options *options, const char *name)
{
    return options_us(options, name) / 1000;
}

void cache_take_live_limits(struct cache *cache, const struct options *options)
{
    struct cache_limits *limits = &cache->limits;
    atomic_store(&limits->ttl_default_ms, option_ms(options, "cache.ttl_default"));
    atomic_store(&limits->ttl_max_ms, option_ms(options, "cache.ttl_max"));
    atomic_store(&limits->stale_max_ms, option_ms(options, "cache.stale_max"));
    atomic_store(&limits->scopes_shown, (uint32_t)options_uint(options, "metrics.scopes_max"));
    atomic_store(&limits->lease_hold_ms, (uint32_t)option_ms(options, "lease.hold"));
    atomic_store(&limits->lease_hold_max_ms, (uint32_t)option_ms(options, "lease.hold_max"));
    atomic_store(&limits->lease_wait_max_ms, (uint32_t)option_ms(options, "lease.wait_max"));
    atomic_store(&cache->strict, options_flag(options, "cache.strict_namespaces"));
}

enum status cache_check_options(const struct options *options, struct failure *failure)
{
    struct policy_settings settings;
    const enum status status = policy_settings_read(options, &settings, failure);
    if (status == STATUS_OK &&
        options_us(options, "cache.ttl_default") > options_us(options, "cache.ttl_max"))
        return failure_set(failure, STATUS_BAD_OPTION, "cache.ttl_default",
                           "longer than cache.ttl_max");
    return status;
}

void cache_note_config(struct cache *cache, bool rejected)
{
    atomic_store_explicit(&cache->config_rejected, rejected, memory_order_relaxed);
}

/* ---- The policy --------------------------------------------------------------------------------
 */

enum status cache_start_policy(struct cache *cache, const struct options *options,
                               struct failure *failure)
{
    struct cache_policy *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, "", "no memory for the cache");
    const enum status status = policy_settings_read(options, &made->settings, failure);
    assert(status == STATUS_OK); /* cache_check_options */
    cache->policy_at_start = made->settings;
    atomic_store(&cache->policy, made);
    return status;
}

/* Nobody reads any more. */
void cache_end_policy(struct cache *cache)
{
    free(atomic_exchange(&cache->policy, NULL));
}

struct policy_settings cache_policy(const struct cache *cache)
{
    epoch_enter(cache->epochs);
    const struct policy_settings settings =
        atomic_load_explicit(&cache->policy, memory_order_acquire)->settings;
    epoch_leave(cache->epochs);
    return settings;
}

static void release_policy(struct epoch_retired *object)
{
    free(object);
}

static void follow(void *context, struct scope *scope)
{
    struct cache *cache = context;
    const struct namespace_ *namespace_ =
        namespaces_find(cache->namespaces, scope->tenant, scope->namespace_);
    if (namespace_ != NULL)
        cache_configure_scope(cache, namespace_, scope);
}

/* A scope that is made meanwhile by the settings of before follows at the end of the Set that makes
 * it: its stamp is another one. */
static enum status change_policy(struct cache *cache, const struct policy_settings *settings)
{
    struct cache_policy *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return STATUS_NO_MEMORY;
    made->settings = *settings;
    struct cache_policy *before = atomic_exchange(&cache->policy, made);
    atomic_fetch_add(&cache->policy_changes, 1);
    epoch_retire(cache->epochs, &before->retired, release_policy);
    epoch_enter(cache->epochs);
    scopes_each(cache->scopes, follow, cache);
    epoch_leave(cache->epochs);
    scopes_configure_shared(cache->scopes, settings);
    return STATUS_OK;
}

enum status cache_configure(struct cache *cache, const struct options *options)
{
    struct policy_settings settings;
    enum status status = policy_settings_read(options, &settings, NULL);
    assert(status == STATUS_OK); /* cache_check_options */
    const struct policy_settings before = cache_policy(cache);
    if (!policy_settings_equal(&before, &settings))
        status = change_policy(cache, &settings);
    if (status == STATUS_OK)
        cache_take_live_limits(cache, options);
    if (status == STATUS_OK)
        leases_set_waiters_max(cache->leases, (uint32_t)options_uint(options, "lease.waiters_max"));
    if (status == STATUS_OK)
        monitor_show_prompts(cache->monitor, options_flag(options, "monitor.prompts"));
    return status;
}
