/*
 * wishes.c - what a namespace wants: what follows from it for a request, a scope's policy and the
 * index, and which wishes are refused. Owns nothing. Threads: any.
 */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "cache/cache.h"
#include "cache/manage.h"
#include "cache/parts.h"

enum { MILLION = 1000000, TEMPERATURE_MAX = 10, USER_TURNS_MAX = 1024 };
enum policy_mode cache_mode(const struct cache *cache, const struct cache_namespace_settings *wants)
{
    return wants->policy.mode != 0 ? (enum policy_mode)(wants->policy.mode - 1)
                                   : cache_policy(cache).mode;
}

void cache_overlay_policy(const struct cache *cache, const struct policy_wishes *wishes,
                          struct policy_settings *out_settings)
{
    struct policy_wishes clamped = *wishes;
    *out_settings = cache_policy(cache);
    policy_settings_overlay(out_settings, wishes);
    if (policy_settings_check(out_settings, NULL) == STATUS_OK)
        return;
    clamped.adaptive_initial = clamped.adaptive_min = clamped.adaptive_max = NAN;
    *out_settings = cache_policy(cache);
    policy_settings_overlay(out_settings, &clamped);
    assert(policy_settings_check(out_settings, NULL) == STATUS_OK);
}

unsigned cache_guard_rules(const struct cache *cache, const struct cache_namespace_settings *wants)
{
    struct policy_settings settings;
    cache_overlay_policy(cache, &wants->policy, &settings);
    return settings.guard_rules;
}

bool cache_opens(const struct cache_namespace_settings *wants, enum cache_tier tier)
{
    return wants->tiers == 0 || (wants->tiers & 1u << tier) != 0;
}

void cache_settle_key(struct key *key, const struct cache_namespace_settings *wants)
{
    const double most = isnan(wants->temperature_max) ? 0 : wants->temperature_max;
    const uint32_t turns_max = wants->user_turns_max != 0 ? wants->user_turns_max : 1;
    key->semantic = key->comparable && key->user_turns <= turns_max &&
                    key->temperature <= (int64_t)floor(most * MILLION + 0.5);
}

/* Of what a scope's policy follows: the options', and its namespace's. Read before them. */
static uint64_t stamp_of(const struct cache *cache, const struct namespace_ *namespace_)
{
    const uint64_t changes = atomic_load_explicit(&cache->policy_changes, memory_order_acquire);
    return (changes << 32) + namespace_version(namespace_);
}

void cache_configure_scope(struct cache *cache, const struct namespace_ *namespace_,
                           struct scope *scope)
{
    if (scope->id == 0)
        return;
    epoch_enter(cache->epochs);
    const uint64_t stamp = stamp_of(cache, namespace_);
    if (atomic_load_explicit(&scope->configured, memory_order_acquire) != stamp) {
        struct policy_settings settings;
        cache_overlay_policy(cache, &namespace_wants(namespace_)->policy, &settings);
        policy_scope_configure(scope->policy, &settings);
        atomic_store_explicit(&scope->configured, stamp, memory_order_release);
    }
    epoch_leave(cache->epochs);
}

bool cache_index_choice(struct cache *cache, const struct namespace_ *namespace_,
                        struct index_choice *out_choice)
{
    epoch_enter(cache->epochs);
    const struct cache_namespace_settings *wants = namespace_wants(namespace_);
    const bool is_kind_set = wants->index_kind != 0;
    *out_choice = (struct index_choice){
        .is_kind_set = is_kind_set, /* proto's numbers are one higher: 0 is none there */
        .kind = is_kind_set ? (enum index_kind)(wants->index_kind - 1) : INDEX_AUTO,
        .ef_search = wants->ef_search,
        .nprobe = wants->nprobe,
    };
    epoch_leave(cache->epochs);
    return is_kind_set || out_choice->ef_search != 0 || out_choice->nprobe != 0;
}

static enum status check_numbers(const struct cache_namespace_settings *settings,
                                 struct failure *failure)
{
    if (settings->ef_search > INDEX_EF_SEARCH_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.ef_search", "at most %d",
                           INDEX_EF_SEARCH_MAX);
    if (settings->nprobe > INDEX_NPROBE_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.nprobe", "at most %d",
                           INDEX_NPROBE_MAX);
    if (!isnan(settings->temperature_max) &&
        !(settings->temperature_max >= 0 && settings->temperature_max <= TEMPERATURE_MAX))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.temperature_max",
                           "a number from 0 to %d", TEMPERATURE_MAX);
    if (settings->user_turns_max > USER_TURNS_MAX)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.user_turns_max", "at most %d",
                           USER_TURNS_MAX);
    return STATUS_OK;
}

/* A namespace may allow longer lives than the option, as long as the option could have been set so.
 */
static enum status check_ttls(uint64_t option_max_ms,
                              const struct cache_namespace_settings *settings,
                              struct failure *failure)
{
    const uint64_t max_ms = settings->ttl_max_ms != 0 ? settings->ttl_max_ms : option_max_ms;
    if (settings->ttl_max_ms > CACHE_TTL_MAX_MS)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.ttl_max_ms", "at most %llu",
                           CACHE_TTL_MAX_MS);
    if (settings->ttl_ms > max_ms)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "namespace.ttl_ms",
                           "at most the longest life, %llu ms", (unsigned long long)max_ms);
    return STATUS_OK;
}

static bool is_cosine(float number)
{
    return isnan(number) || (number >= 0 && number <= 1);
}

static enum status check_cosines(const struct policy_wishes *wishes, struct failure *failure)
{
    static const char field[] = "namespace.policy";
    if (!is_cosine(wishes->min_similarity) || !is_cosine(wishes->static_threshold) ||
        !is_cosine(wishes->adaptive_initial) || !is_cosine(wishes->adaptive_min) ||
        !is_cosine(wishes->adaptive_max))
        return failure_set(failure, STATUS_BAD_THRESHOLD, field, "%s",
                           status_text(STATUS_BAD_THRESHOLD));
    if (!isnan(wishes->adaptive_step) &&
        !(wishes->adaptive_step >= 0.001f && wishes->adaptive_step <= 0.1f))
        return failure_set(failure, STATUS_BAD_THRESHOLD, "namespace.policy.adaptive.step",
                           "a number from 0.001 to 0.1");
    return STATUS_OK;
}

/* Against today's options. */
static enum status check_policy(struct policy_settings settings, const struct policy_wishes *wishes,
                                struct failure *failure)
{
    policy_settings_overlay(&settings, wishes);
    return policy_settings_check(&settings, failure);
}

enum status cache_check_settings(const void *context,
                                 const struct cache_namespace_settings *settings,
                                 struct failure *failure)
{
    const struct cache *cache = context;
    enum journal_ack ack;
    enum status status = check_numbers(settings, failure);
    if (status == STATUS_OK)
        status = check_cosines(&settings->policy, failure);
    if (status == STATUS_OK)
        status = check_ttls(cache->limits.ttl_max_ms, settings, failure);
    if (status == STATUS_OK)
        status = check_policy(cache_policy(cache), &settings->policy, failure);
    if (status == STATUS_OK && settings->ack != ACK_DEFAULT)
        status = cache_resolve_ack(cache, settings->ack, &ack, failure);
    return status;
}

bool cache_settings_are_whole(const struct cache_namespace_settings *settings)
{
    const unsigned tiers = 1u << CACHE_TIER_EXACT | 1u << CACHE_TIER_SEMANTIC;
    struct failure failure;
    return settings->index_kind <= INDEX_KINDS && (settings->tiers & ~tiers) == 0 &&
           settings->policy.mode <= (unsigned)POLICY_SHADOW + 1 &&
           (settings->policy.guards_off & ~(unsigned)GUARD_NAMES) == 0 &&
           settings->ack <= ACK_SYNCED && settings->eviction <= EVICTION_LFU_AGING &&
           settings->embedder <= EMBEDDER_CLIENT && settings->ttl_ms <= CACHE_TTL_MAX_MS &&
           settings->ttl_max_ms <= CACHE_TTL_MAX_MS &&
           check_numbers(settings, &failure) == STATUS_OK &&
           check_cosines(&settings->policy, &failure) == STATUS_OK;
}

void cache_degraded_settings(const struct cache *cache,
                             const struct cache_namespace_settings *settings,
                             struct cache_degraded *out_degraded)
{
    struct failure failure = {0};
    int length = 0;
    *out_degraded = (struct cache_degraded){0};
    char *text = out_degraded->text;
    if (check_ttls(cache->limits.ttl_max_ms, settings, &failure) != STATUS_OK)
        length =
            snprintf(text, sizeof(out_degraded->text), "%s: %s", failure.field, failure.message);
    failure = (struct failure){0};
    if (check_policy(cache_policy(cache), &settings->policy, &failure) != STATUS_OK)
        (void)snprintf(text + length, sizeof(out_degraded->text) - (size_t)length,
                       "%snamespace.policy.%s: %s", length > 0 ? "; " : "", failure.field,
                       failure.message);
}
