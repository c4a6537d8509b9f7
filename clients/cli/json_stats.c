/*
 * json_stats.c - the statistics as proto3 JSON. Owns nothing. Threads: any.
 */
#include "clients/cli/json_parts.h"

static void add_tiers(cJSON *tree, const struct reprise_stats_reply *reply)
{
    cJSON *list = cJSON_AddArrayToObject(tree, "tiers");
    for (size_t i = 0; i < reply->tiers_count; i++) {
        const struct reprise_tier_stats *tier = &reply->tiers[i];
        cJSON *object = cJSON_CreateObject();
        json_add_enum(object, "tier", "TIER_", reprise_tier_name(tier->tier));
        json_add_count(object, "lookups", tier->lookups);
        json_add_count(object, "hits", tier->hits);
        json_add_count(object, "misses", tier->misses);
        json_add_count(object, "staleHits", tier->stale_hits);
        json_add_float(object, "hitRate", tier->hit_rate);
        json_add_float(object, "tierRate", tier->tier_rate);
        json_add_count(object, "entries", tier->entries);
        json_add_count(object, "sizeBytes", tier->size_bytes);
        json_add_count(object, "p50Us", tier->p50_us);
        json_add_count(object, "p99Us", tier->p99_us);
        json_add_count(object, "negativeHits", tier->negative_hits);
        (void)cJSON_AddItemToArray(list, object);
    }
}

static void add_misses(cJSON *tree, const struct reprise_stats_reply *reply)
{
    cJSON *list = cJSON_AddArrayToObject(tree, "misses");
    for (size_t i = 0; i < reply->misses_count; i++) {
        cJSON *object = cJSON_CreateObject();
        json_add_enum(object, "reason", "MISS_REASON_",
                      reprise_miss_reason_name(reply->misses[i].reason));
        json_add_count(object, "count", reply->misses[i].count);
        (void)cJSON_AddItemToArray(list, object);
    }
}

static void add_policies(cJSON *tree, const struct reprise_stats_reply *reply)
{
    cJSON *list = cJSON_AddArrayToObject(tree, "policies");
    for (size_t i = 0; i < reply->policies_count; i++) {
        const struct reprise_scope_policy *policy = &reply->policies[i];
        cJSON *object = cJSON_CreateObject();
        cJSON *scope = cJSON_AddObjectToObject(object, "scope");
        (void)cJSON_AddStringToObject(scope, "namespace", policy->namespace_);
        (void)cJSON_AddStringToObject(scope, "model", policy->model);
        json_add_pairs(scope, "attributes", policy->attributes, policy->attributes_count);
        (void)cJSON_AddStringToObject(scope, "embedder", policy->embedder);
        json_add_enum(object, "mode", "POLICY_MODE_", reprise_mode_name(policy->mode));
        json_add_float(object, "threshold", (double)policy->threshold);
        if (policy->recent_accuracy >= 0)
            json_add_float(object, "recentAccuracy", policy->recent_accuracy);
        json_add_count(object, "feedbackCount", policy->feedback_count);
        (void)cJSON_AddBoolToObject(object, "certified", policy->certified);
        json_add_count(object, "lookups", policy->lookups);
        json_add_count(object, "hits", policy->hits);
        json_add_count(object, "guardBlocked", policy->guard_blocked);
        json_add_count(object, "rows", policy->rows);
        json_add_enum(object, "indexKind", "INDEX_KIND_",
                      reprise_index_kind_name(policy->index_kind));
        (void)cJSON_AddStringToObject(object, "indexState", policy->index_state);
        json_add_float(object, "indexDone", policy->index_done);
        if (policy->recall_sample >= 0)
            json_add_float(object, "recallSample", policy->recall_sample);
        (void)cJSON_AddItemToArray(list, object);
    }
}

static void add_embedder_figures(cJSON *object, const struct reprise_embedder_info *embedder)
{
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"packs", embedder->packs},
                  {"recentHits", embedder->recent_hits},
                  {"wordless", embedder->wordless},
                  {"waiting", embedder->waiting},
                  {"requests", embedder->requests},
                  {"retries", embedder->retries},
                  {"openings", embedder->openings},
                  {"canaries", embedder->canaries},
                  {"canaryDrifts", embedder->canary_drifts},
                  {"badVectors", embedder->bad_vectors},
                  {"uncounted", embedder->uncounted}};
    (void)cJSON_AddStringToObject(object, "provider", embedder->provider);
    (void)cJSON_AddStringToObject(object, "precision", embedder->precision);
    (void)cJSON_AddStringToObject(object, "isa", embedder->isa);
    (void)cJSON_AddStringToObject(object, "circuit", embedder->circuit);
    if (embedder->tokens_given)
        json_add_count(object, "tokens", embedder->tokens);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        json_add_count(object, counts[i].name, counts[i].count);
    cJSON *errors = cJSON_AddArrayToObject(object, "errors");
    for (size_t i = 0; i < embedder->errors_count && errors != NULL; i++) {
        cJSON *error = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(error, "reason", embedder->errors[i].reason);
        json_add_count(error, "count", embedder->errors[i].count);
        (void)cJSON_AddItemToArray(errors, error);
    }
}

static void add_embedders(cJSON *tree, const struct reprise_stats_reply *reply)
{
    cJSON *list = cJSON_AddArrayToObject(tree, "embedders");
    for (size_t i = 0; i < reply->embedders_count; i++) {
        const struct reprise_embedder_info *embedder = &reply->embedders[i];
        cJSON *object = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(object, "name", embedder->name);
        (void)cJSON_AddStringToObject(object, "version", embedder->version);
        json_add_count(object, "dimension", embedder->dimension);
        json_add_float(object, "thresholdDefault", (double)embedder->threshold_default);
        json_add_float(object, "minSimilarity", (double)embedder->min_similarity);
        (void)cJSON_AddStringToObject(object, "spaceId", embedder->space_id);
        json_add_count(object, "texts", embedder->texts);
        json_add_count(object, "tooLong", embedder->too_long);
        json_add_count(object, "overloaded", embedder->overloaded);
        json_add_count(object, "late", embedder->late);
        json_add_count(object, "failed", embedder->failed);
        add_embedder_figures(object, embedder);
        (void)cJSON_AddItemToArray(list, object);
    }
}

static void add_journal(cJSON *tree, const struct reprise_journal_info *journal)
{
    if (journal == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(tree, "journal");
    (void)cJSON_AddStringToObject(object, "ioReason", journal->io_reason);
    (void)cJSON_AddStringToObject(object, "cause", journal->cause);
    json_add_count(object, "sizeBytes", journal->size_bytes);
    json_add_count(object, "liveBytes", journal->live_bytes);
    json_add_count(object, "segments", journal->segments);
    json_add_count(object, "records", journal->records);
    json_add_count(object, "batches", journal->batches);
    json_add_count(object, "syncs", journal->syncs);
    json_add_count(object, "syncUsLast", journal->sync_us_last);
    json_add_count(object, "queueBytes", journal->queue_bytes);
    json_add_count(object, "durableSequence", journal->durable_sequence);
    json_add_count(object, "recoveredEntries", journal->recovered_entries);
    json_add_count(object, "recoveredBytes", journal->recovered_bytes);
    json_add_count(object, "recoveredMs", journal->recovered_ms);
    json_add_count(object, "recoveredRows", journal->recovered_rows);
    json_add_count(object, "rowsWithoutSpace", journal->rows_without_space);
    json_add_count(object, "damagedBytes", journal->damaged_bytes);
    json_add_count(object, "tornBytes", journal->torn_bytes);
    json_add_count(object, "readErrors", journal->read_errors);
    json_add_count(object, "segmentsSetAside", journal->segments_set_aside);
    json_add_count(object, "purgePendingMs", journal->purge_pending_ms);
    json_add_count(object, "purgeMsLast", journal->purge_ms_last);
    json_add_count(object, "purgesSettled", journal->purges_settled);
}

cJSON *json_stats(const struct reprise_stats_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    add_tiers(tree, reply);
    add_misses(tree, reply);
    json_add_count(tree, "totalRequests", reply->total_requests);
    json_add_count(tree, "cachedRequests", reply->cached_requests);
    json_add_float(tree, "cacheRate", reply->cache_rate);
    json_add_count(tree, "entries", reply->entries);
    json_add_count(tree, "sizeBytes", reply->size_bytes);
    json_add_count(tree, "bytesMax", reply->bytes_max);
    json_add_count(tree, "entriesMax", reply->entries_max);
    json_add_count(tree, "sets", reply->sets);
    json_add_count(tree, "evictions", reply->evictions);
    json_add_count(tree, "expirations", reply->expirations);
    json_add_count(tree, "leases", reply->leases);
    json_add_count(tree, "calibratedPairs", reply->calibrated_pairs);
    json_add_count(tree, "leaseWaits", reply->lease_waits);
    json_add_strings(tree, "degraded", reply->degraded, reply->degraded_count);
    json_add_count(tree, "uptimeS", reply->uptime_s);
    (void)cJSON_AddStringToObject(tree, "version", reply->version);
    (void)cJSON_AddStringToObject(tree, "storageState", reply->storage_state);
    (void)cJSON_AddStringToObject(tree, "ioBackend", reply->io_backend);
    json_add_float(tree, "loadingDone", reply->loading_done);
    add_journal(tree, reply->journal);
    add_policies(tree, reply);
    add_embedders(tree, reply);
    return tree;
}
