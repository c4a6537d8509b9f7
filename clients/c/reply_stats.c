/*
 * reply_stats.c - the reply of Stats as plain structs. Owns nothing. Threads: any; pure.
 */
#include "base/check.h"
#include "clients/c/reply.h"

static bool read_tiers(const Reprise__V1__StatsResponse *message, struct arena *arena,
                       struct reprise_stats_reply *reply)
{
    struct reprise_tier_stats *tiers = arena_calloc(arena, message->n_tiers, sizeof(*tiers));
    if (tiers == NULL)
        return false;
    for (size_t i = 0; i < message->n_tiers; i++) {
        const Reprise__V1__TierStats *from = message->tiers[i];
        tiers[i] = (struct reprise_tier_stats){
            .tier = (enum reprise_tier)from->tier,
            .lookups = from->lookups,
            .hits = from->hits,
            .misses = from->misses,
            .stale_hits = from->stale_hits,
            .negative_hits = from->negative_hits,
            .hit_rate = from->hit_rate,
            .tier_rate = from->tier_rate,
            .entries = from->entries,
            .size_bytes = from->size_bytes,
            .p50_us = from->p50_us,
            .p99_us = from->p99_us,
        };
    }
    reply->tiers = tiers;
    reply->tiers_count = message->n_tiers;
    return true;
}

static bool read_misses(const Reprise__V1__StatsResponse *message, struct arena *arena,
                        struct reprise_stats_reply *reply)
{
    struct reprise_miss_count *misses = arena_calloc(arena, message->n_misses, sizeof(*misses));
    if (misses == NULL)
        return false;
    for (size_t i = 0; i < message->n_misses; i++) {
        misses[i].reason = (enum reprise_miss_reason)message->misses[i]->reason;
        misses[i].count = message->misses[i]->count;
    }
    reply->misses = misses;
    reply->misses_count = message->n_misses;
    return true;
}

bool reply_scope_policy(const Reprise__V1__ScopePolicy *from, struct arena *arena,
                        struct reprise_scope_policy *policy)
{
    *policy = (struct reprise_scope_policy){
        .namespace_ = "",
        .model = "",
        .embedder = "",
        .mode = (enum reprise_mode)from->mode,
        .threshold = from->threshold,
        .recent_accuracy = from->recent_accuracy_given_case != 0 ? from->recent_accuracy : -1,
        .feedback_count = from->feedback_count,
        .certified = from->certified,
        .lookups = from->lookups,
        .hits = from->hits,
        .guard_blocked = from->guard_blocked,
        .rows = from->rows,
        .index_kind = (enum reprise_index_kind)from->index_kind,
        .would_hits = from->would_hits,
        .near_verdicts = from->near_verdicts,
        .index_state = from->index_state,
        .index_done = from->index_done,
        .recall_sample = from->recall_sample_given_case != 0 ? from->recall_sample : -1,
    };
    if (from->scope == NULL)
        return true;
    policy->namespace_ = from->scope->namespace_;
    policy->model = from->scope->model;
    policy->embedder = from->scope->embedder;
    policy->attributes_count = from->scope->n_attributes;
    return reply_pairs(from->scope->attributes, from->scope->n_attributes, arena,
                       &policy->attributes);
}

static bool read_policies(const Reprise__V1__StatsResponse *message, struct arena *arena,
                          struct reprise_stats_reply *reply)
{
    struct reprise_scope_policy *policies =
        arena_calloc(arena, message->n_policies, sizeof(*policies));
    if (policies == NULL)
        return false;
    for (size_t i = 0; i < message->n_policies; i++) {
        if (!reply_scope_policy(message->policies[i], arena, &policies[i]))
            return false;
    }
    reply->policies = policies;
    reply->policies_count = message->n_policies;
    return true;
}

static bool read_embedder_errors(const Reprise__V1__EmbedderInfo *from, struct arena *arena,
                                 struct reprise_embedder_info *embedder)
{
    struct reprise_embedder_error *errors = arena_calloc(arena, from->n_errors, sizeof(*errors));
    if (errors == NULL)
        return false;
    for (size_t i = 0; i < from->n_errors; i++)
        errors[i] =
            (struct reprise_embedder_error){from->errors[i]->reason, from->errors[i]->count};
    embedder->errors = errors;
    embedder->errors_count = from->n_errors;
    return true;
}

static bool read_embedders(const Reprise__V1__StatsResponse *message, struct arena *arena,
                           struct reprise_stats_reply *reply)
{
    struct reprise_embedder_info *embedders =
        arena_calloc(arena, message->n_embedders, sizeof(*embedders));
    if (embedders == NULL)
        return false;
    for (size_t i = 0; i < message->n_embedders; i++) {
        const Reprise__V1__EmbedderInfo *from = message->embedders[i];
        embedders[i] = (struct reprise_embedder_info){
            .name = from->name,
            .version = from->version,
            .dimension = from->dimension,
            .threshold_default = from->threshold_default,
            .min_similarity = from->min_similarity,
            .space_id = from->space_id,
            .texts = from->texts,
            .too_long = from->too_long,
            .overloaded = from->overloaded,
            .late = from->late,
            .failed = from->failed,
            .provider = from->provider,
            .precision = from->precision,
            .isa = from->isa,
            .tokens_given = from->tokens_given_case != 0,
            .tokens = from->tokens_given_case != 0 ? from->tokens : 0,
            .packs = from->packs,
            .recent_hits = from->recent_hits,
            .wordless = from->wordless,
            .waiting = from->waiting,
            .circuit = from->circuit,
            .requests = from->requests,
            .retries = from->retries,
            .openings = from->openings,
            .canaries = from->canaries,
            .canary_drifts = from->canary_drifts,
            .bad_vectors = from->bad_vectors,
            .uncounted = from->uncounted,
        };
        if (!read_embedder_errors(from, arena, &embedders[i]))
            return false;
    }
    reply->embedders = embedders;
    reply->embedders_count = message->n_embedders;
    return true;
}

/* A server without a data folder sends none. */
static bool read_journal(const Reprise__V1__StatsResponse *message, struct arena *arena,
                         struct reprise_stats_reply *reply)
{
    const Reprise__V1__JournalInfo *from = message->journal;
    if (from == NULL)
        return true;
    struct reprise_journal_info *journal = arena_calloc(arena, 1, sizeof(*journal));
    if (journal == NULL)
        return false;
    *journal = (struct reprise_journal_info){
        .io_reason = from->io_reason,
        .cause = from->cause,
        .size_bytes = from->size_bytes,
        .live_bytes = from->live_bytes,
        .segments = from->segments,
        .records = from->records,
        .batches = from->batches,
        .syncs = from->syncs,
        .sync_us_last = from->sync_us_last,
        .queue_bytes = from->queue_bytes,
        .durable_sequence = from->durable_sequence,
        .recovered_entries = from->recovered_entries,
        .recovered_bytes = from->recovered_bytes,
        .recovered_ms = from->recovered_ms,
        .recovered_rows = from->recovered_rows,
        .rows_without_space = from->rows_without_space,
        .damaged_bytes = from->damaged_bytes,
        .torn_bytes = from->torn_bytes,
        .read_errors = from->read_errors,
        .segments_set_aside = from->segments_set_aside,
        .purge_pending_ms = from->purge_pending_ms,
        .purge_ms_last = from->purge_ms_last,
        .purges_settled = from->purges_settled,
    };
    reply->journal = journal;
    return true;
}

const struct reprise_stats_reply *reply_stats(const Reprise__V1__StatsResponse *message,
                                              struct arena *arena)
{
    struct reprise_stats_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    *reply = (struct reprise_stats_reply){
        .total_requests = message->total_requests,
        .cached_requests = message->cached_requests,
        .cache_rate = message->cache_rate,
        .entries = message->entries,
        .size_bytes = message->size_bytes,
        .bytes_max = message->bytes_max,
        .entries_max = message->entries_max,
        .sets = message->sets,
        .evictions = message->evictions,
        .expirations = message->expirations,
        .leases = message->leases,
        .calibrated_pairs = message->calibrated_pairs,
        .lease_waits = message->lease_waits,
        .degraded = (const char *const *)message->degraded,
        .degraded_count = message->n_degraded,
        .uptime_s = message->uptime_s,
        .version = message->version,
        .storage_state = message->storage_state,
        .io_backend = message->io_backend,
        .loading_done = message->loading_done,
    };
    bool read_all = read_tiers(message, arena, reply) && read_misses(message, arena, reply) &&
                    read_policies(message, arena, reply) && read_embedders(message, arena, reply) &&
                    read_journal(message, arena, reply);
    return read_all ? reply : NULL;
}
