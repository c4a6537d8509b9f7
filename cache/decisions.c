/*
 * decisions.c - what a Get or a Set has come to, told to whoever watches (monitor.c). Owns nothing.
 * Threads: whoever decided.
 */
#include "base/check.h"
#include "cache/lookup.h"
#include "cache/parts.h"

static int64_t wall_ms(const struct cache *cache)
{
    return cache->clock_ms != NULL ? cache->clock_ms() : 0;
}

/* What was asked; of a conversation its last word. */
static struct text prompt_of(const struct identity *identity, const struct key *key)
{
    return key->query.length > 0 ? key->query : identity->prompt;
}

static void note_get(const struct cache *cache, const struct cache_get *get,
                     enum monitor_result result)
{
    const struct cache_get_reply *reply = &get->reply;
    const struct identity *identity = &get->request->identity;
    struct monitor_decision decision;
    decision.at_unix_ms = wall_ms(cache);
    decision.result = result;
    decision.tier = (int)reply->tier;
    decision.miss_reason = (int)reply->miss_reason;
    decision.skip = CACHE_SKIP_NONE;
    decision.similarity = reply->similarity;
    decision.threshold = reply->threshold;
    decision.guards = reply->guards;
    decision.latency_us = (uint32_t)lookup_elapsed_us(cache, get);
    const struct monitor_texts texts = {.tenant = cache_name_or_default(identity->tenant),
                                        .namespace_ = get->key.namespace_,
                                        .model = identity->model,
                                        .prompt = prompt_of(identity, &get->key)};
    monitor_note(cache->monitor, &decision, &texts);
}

void cache_note_get(const struct cache *cache, const struct cache_get *get,
                    enum monitor_result result)
{
    if (monitor_is_watched(cache->monitor) && get->unseen == NULL)
        note_get(cache, get, result);
}

void cache_note_set(const struct cache *cache, const struct cache_set *set)
{
    if (!monitor_is_watched(cache->monitor))
        return;
    const struct identity *identity = &set->request->identity;
    struct monitor_decision decision;
    decision.at_unix_ms = wall_ms(cache);
    decision.result = set->reply.stored ? MONITOR_STORED : MONITOR_SKIPPED;
    decision.tier = CACHE_TIER_NONE;
    decision.miss_reason = CACHE_MISS_NONE;
    decision.skip = (int)set->reply.skip;
    decision.similarity = decision.threshold = 0;
    decision.guards = 0;
    decision.latency_us = 0;
    const struct monitor_texts texts = {.tenant = cache_name_or_default(identity->tenant),
                                        .namespace_ = set->key.namespace_,
                                        .model = identity->model,
                                        .prompt = prompt_of(identity, &set->key)};
    monitor_note(cache->monitor, &decision, &texts);
}
