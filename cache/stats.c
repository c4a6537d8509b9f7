/*
 * stats.c - what Stats says: sums over the namespaces of a tenant, made when somebody asks, so that
 * counting stays one atomic add. Figures are approximate while calls run and exact at rest. Owns
 * nothing. Threads: any.
 */
#include "base/check.h"
#include "cache/cache.h"
#include "cache/parts.h"

/* ---- namespaces ------------------------------------------------------------------------------ */

struct summing {
    struct text tenant;
    struct cache_stats *stats;
};

static void add_namespace(struct cache_stats *stats, const struct namespace_counters *counters)
{
    const uint64_t exact_hits = namespace_read(&counters->exact_hits);
    const uint64_t stale_hits = namespace_read(&counters->stale_hits);
    const uint64_t negative_hits = namespace_read(&counters->negative_hits);
    const uint64_t semantic_hits = namespace_read(&counters->semantic_hits);
    const uint64_t answered = exact_hits + stale_hits + semantic_hits;
    stats->exact.hits += exact_hits;
    stats->exact.stale_hits += stale_hits;
    stats->exact.negative_hits += negative_hits;
    stats->exact.misses += namespace_read(&counters->exact_misses);
    stats->semantic.hits += semantic_hits;
    stats->semantic.misses += namespace_read(&counters->semantic_misses);
    stats->cached_requests += answered;
    stats->total_requests += answered + negative_hits;
    for (int i = 0; i < CACHE_MISS_COUNT; i++) {
        const uint64_t count = namespace_read(&counters->misses[i]);
        assert(i != CACHE_MISS_NONE || count == 0);
        stats->misses[i] += count;
        stats->total_requests += count;
    }
    stats->exact.entries += namespace_read(&counters->entries);
    stats->exact.size_bytes += namespace_read(&counters->size_bytes);
    stats->semantic.entries += namespace_read(&counters->rows);
    stats->sets += namespace_read(&counters->sets);
    stats->evictions += namespace_read(&counters->evictions);
    stats->expirations += namespace_read(&counters->expirations);
    stats->leases += namespace_read(&counters->leases);
    stats->lease_waits += namespace_read(&counters->lease_waits);
}

static void sum_namespace(void *context, struct namespace_ *namespace_)
{
    struct summing *summing = context;
    if (text_equal(namespace_->tenant, summing->tenant))
        add_namespace(summing->stats, &namespace_->counters);
}

static void fill_counters(const struct cache *cache, struct text tenant, struct text name,
                          struct cache_stats *stats)
{
    if (name.length == 0) {
        struct summing summing = {tenant, stats};
        epoch_enter(cache->epochs);
        namespaces_each(cache->namespaces, sum_namespace, &summing);
        namespaces_each(cache->strangers, sum_namespace, &summing);
        epoch_leave(cache->epochs);
    } else {
        epoch_enter(cache->epochs);
        const struct namespace_ *namespace_ = namespaces_find(cache->namespaces, tenant, name);
        if (namespace_ != NULL)
            add_namespace(stats, &namespace_->counters);
        epoch_leave(cache->epochs);
    }
    stats->exact.lookups = stats->exact.hits + stats->exact.stale_hits +
                           stats->exact.negative_hits + stats->exact.misses;
    stats->semantic.lookups = stats->semantic.hits + stats->semantic.misses;
    stats->entries = stats->exact.entries;
    stats->size_bytes = stats->exact.size_bytes;
}

static void fill_server(const struct cache *cache, bool whole, int64_t now_ms,
                        struct cache_stats *stats)
{
    struct store_stats store;
    store_stats(cache->store, &store);
    stats->bytes_max = store.bytes_max;
    stats->entries_max = store.entries_max;
    stats->index_memory_spent =
        atomic_load_explicit(&cache->index_memory_spent, memory_order_relaxed);
    stats->config_rejected = atomic_load_explicit(&cache->config_rejected, memory_order_relaxed);
    stats->uptime_s =
        now_ms > cache->started_ms ? (uint64_t)(now_ms - cache->started_ms) / 1000 : 0;
    stats->calibrated_pairs = namespace_read(&cache->calibrated_pairs);
    stats->version = cache->version;
    if (cache->embedder != NULL) {
        stats->embedder = embedder_space(cache->embedder);
        embedder_state(cache->embedder, &stats->embedder_state);
    }
    cache_folder_stats(cache, stats);
    if (!whole)
        return;
    directory_stats(cache->directory, &stats->index);
    directory_work(cache->directory, &stats->index_work);
    stats->semantic.size_bytes = stats->index.size_bytes;
    stats->exact.p50_us = (uint32_t)histogram_quantile_us(cache->exact_us, 0.5);
    stats->exact.p99_us = (uint32_t)histogram_quantile_us(cache->exact_us, 0.99);
    stats->semantic.p50_us = (uint32_t)histogram_quantile_us(cache->semantic_us, 0.5);
    stats->semantic.p99_us = (uint32_t)histogram_quantile_us(cache->semantic_us, 0.99);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

struct ranked {
    void *used; /* a scope, or a namespace */
    uint64_t uses;
};

struct ranking { /* the most used, most used first */
    struct text tenant, namespace_;
    struct ranked *ranked;
    size_t count, max;
};

/* Among 100,000 scopes nearly all stop at the first compare. */
static void rank(struct ranking *ranking, void *used, uint64_t uses)
{
    size_t at = ranking->count;
    if (at == ranking->max) {
        if (at == 0 || ranking->ranked[at - 1].uses >= uses)
            return;
        at--;
    } else {
        ranking->count++;
    }
    for (; at > 0 && ranking->ranked[at - 1].uses < uses; at--)
        ranking->ranked[at] = ranking->ranked[at - 1];
    assert(at < ranking->max);
    ranking->ranked[at] = (struct ranked){used, uses};
}

static void rank_scope(void *context, struct scope *scope)
{
    struct ranking *ranking = context;
    if (!text_equal(scope->tenant, ranking->tenant))
        return;
    if (ranking->namespace_.length > 0 && !text_equal(scope->namespace_, ranking->namespace_))
        return;
    rank(ranking, scope, namespace_read(&scope->lookups));
}

static struct text copy_text(struct text text, struct arena *arena, bool *spent)
{
    char *bytes = arena_alloc(arena, text.length + 1);
    *spent |= bytes == NULL;
    if (bytes != NULL && text.length > 0)
        memcpy(bytes, text.bytes, text.length);
    return (struct text){bytes, bytes != NULL ? text.length : 0};
}

/* A scope may be gone before the reply is. */
static bool copy_names(const struct scope *scope, struct arena *arena,
                       struct cache_scope_stats *stats)
{
    bool spent = false;
    struct key_attribute *attributes =
        arena_calloc(arena, scope->attributes_count + 1, sizeof(*attributes));
    if (attributes == NULL)
        return false;
    for (size_t i = 0; i < scope->attributes_count; i++) {
        attributes[i].name = copy_text(scope->attributes[i].name, arena, &spent);
        attributes[i].value = copy_text(scope->attributes[i].value, arena, &spent);
    }
    stats->namespace_ = copy_text(scope->namespace_, arena, &spent);
    stats->model = copy_text(scope->model, arena, &spent);
    stats->embedder = copy_text(scope->embedder, arena, &spent);
    stats->attributes = attributes;
    stats->attributes_count = scope->attributes_count;
    return !spent;
}

bool cache_show_scope(const struct scope *scope, struct arena *arena,
                      struct cache_scope_stats *out_stats)
{
    struct policy_view view;
    policy_scope_view(scope->policy, &view);
    assert(view.feedback_right <= view.feedback_count);
    assert(scope->id != 0); /* the shared states are nobody's in particular */
    *out_stats = (struct cache_scope_stats){
        .id = scope->id,
        .mode = view.mode,
        .threshold = view.threshold,
        .feedback_count = view.feedback_count,
        .feedback_right = view.feedback_right,
        .lookups = namespace_read(&scope->lookups),
        .would_hits = namespace_read(&scope->would_hits),
        .hits = namespace_read(&scope->hits),
        .guard_blocked = namespace_read(&scope->guard_blocked),
        .near_verdicts = namespace_read(&scope->near_verdicts),
    };
    return copy_names(scope, arena, out_stats);
}

struct shown { /* scopes that Stats lists, and where */
    const struct cache *cache;
    const struct ranking *ranking;
    struct cache_scope_stats *scopes;
};

static void note_partition(void *context, const struct partition_stats *partition)
{
    const struct shown *shown = context;
    epoch_enter(shown->cache->epochs);
    const struct scope *scope =
        scopes_find(shown->cache->scopes, partition->key.scope, partition->key.space);
    for (size_t i = 0; scope->id != 0 && i < shown->ranking->count; i++) {
        if (shown->ranking->ranked[i].used == scope)
            shown->scopes[i].index = *partition;
    }
    epoch_leave(shown->cache->epochs);
}

static enum status fill_scopes(const struct cache *cache, struct ranking *ranking,
                               struct arena *arena, struct cache_stats *stats)
{
    ranking->max = cache->limits.scopes_shown;
    ranking->ranked = arena_calloc(arena, ranking->max + 1, sizeof(*ranking->ranked));
    if (ranking->ranked == NULL)
        return STATUS_NO_MEMORY;
    stats->scopes = arena_calloc(arena, ranking->max + 1, sizeof(*stats->scopes));
    if (stats->scopes == NULL)
        return STATUS_NO_MEMORY;
    epoch_enter(cache->epochs);
    scopes_each(cache->scopes, rank_scope, ranking);
    assert(ranking->count <= ranking->max);
    bool whole = true;
    for (size_t i = 0; i < ranking->count; i++)
        whole &= cache_show_scope(ranking->ranked[i].used, arena, &stats->scopes[i]);
    epoch_leave(cache->epochs);
    if (!whole)
        return STATUS_NO_MEMORY;
    stats->scopes_count = ranking->count;
    struct shown shown = {cache, ranking, stats->scopes};
    return directory_each_stats(cache->directory, note_partition, &shown);
}

enum status cache_stats(struct cache *cache, struct text tenant, struct text namespace_,
                        struct arena *arena, int64_t now_ms, struct cache_stats *out_stats)
{
    assert(arena != NULL);
    assert(out_stats != NULL);
    struct cache_stats stats = {0};
    tenant = cache_name_or_default(tenant);
    struct ranking ranking = {.tenant = tenant, .namespace_ = namespace_};
    fill_counters(cache, tenant, namespace_, &stats);
    fill_server(cache, namespace_.length == 0, now_ms, &stats);
    enum status status = fill_scopes(cache, &ranking, arena, &stats);
    if (status == STATUS_OK)
        *out_stats = stats;
    return status;
}

/* ---- each namespace -------------------------------------------------------------------------- */

static void rank_namespace(void *context, struct namespace_ *namespace_)
{
    struct ranking *ranking = context;
    struct cache_stats sums = {0};
    if (!text_equal(namespace_->tenant, ranking->tenant))
        return;
    add_namespace(&sums, &namespace_->counters);
    rank(ranking, namespace_, sums.total_requests);
}

static bool show_namespace(const struct namespace_ *namespace_, struct arena *arena,
                           struct cache_namespace_stats *out_stats)
{
    struct cache_stats sums = {0};
    bool spent = false;
    add_namespace(&sums, &namespace_->counters);
    *out_stats = (struct cache_namespace_stats){
        .name = copy_text(namespace_->name, arena, &spent),
        .requests = sums.total_requests,
        .answered = sums.cached_requests,
        .sets = sums.sets,
        .evictions = sums.evictions,
        .expirations = sums.expirations,
        .entries = sums.exact.entries,
        .size_bytes = sums.exact.size_bytes,
    };
    return !spent;
}

enum status cache_each_namespace_stats(struct cache *cache, struct text tenant, struct arena *arena,
                                       struct cache_namespace_stats **out_stats, size_t *out_count)
{
    struct ranking ranking = {.tenant = cache_name_or_default(tenant),
                              .max = cache->limits.scopes_shown};
    ranking.ranked = arena_calloc(arena, ranking.max + 1, sizeof(*ranking.ranked));
    struct cache_namespace_stats *stats = arena_calloc(arena, ranking.max + 1, sizeof(*stats));
    if (ranking.ranked == NULL || stats == NULL)
        return STATUS_NO_MEMORY;
    bool whole = true;
    epoch_enter(cache->epochs);
    namespaces_each(cache->namespaces, rank_namespace, &ranking);
    for (size_t i = 0; i < ranking.count; i++)
        whole &= show_namespace(ranking.ranked[i].used, arena, &stats[i]);
    epoch_leave(cache->epochs);
    *out_stats = stats;
    *out_count = ranking.count;
    return whole ? STATUS_OK : STATUS_NO_MEMORY;
}

/* ---- what is wrong --------------------------------------------------------------------------- */

const char *const cache_degraded_words[] = {
    "index_memory", "no_weights",  "embedder_down", "embedder_changed", "embedder_bad_vectors",
    "loading",      "memory_only", "read_only",     "config_rejected",  NULL};

size_t cache_degraded(const struct cache_stats *stats, const char *out_words[CACHE_DEGRADED_MAX])
{
    size_t count = 0;
    if (stats->index_memory_spent)
        out_words[count++] = "index_memory";
    for (size_t i = 0; i < stats->embedder_state.degraded_count; i++)
        out_words[count++] = stats->embedder_state.degraded[i];
    const enum storage_state storage = stats->journal.state;
    if (storage != STORAGE_NONE && storage != STORAGE_DURABLE)
        out_words[count++] = storage_state_name(storage);
    if (stats->config_rejected)
        out_words[count++] = "config_rejected";
    assert(count <= CACHE_DEGRADED_MAX);
    return count;
}

const struct histogram *cache_exact_us(const struct cache *cache)
{
    return cache->exact_us;
}

const struct histogram *cache_semantic_us(const struct cache *cache)
{
    return cache->semantic_us;
}

const struct histogram *cache_sync_us(const struct cache *cache)
{
    return store_sync_us(cache->store);
}

void cache_embedder_metrics(const struct cache *cache, FILE *out)
{
    embedder_metrics(cache->embedder, out);
}
