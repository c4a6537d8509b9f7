/*
 * reply.c - replies of the cache verbs as plain structs. Owns nothing. Threads: any; pure.
 * A server may be newer or of another make: enum numbers are handed on as they are, and every list
 * may be empty. NOT HERE. Stats (reply_stats.c).
 */
#include "clients/c/reply.h"

#include "base/check.h"

bool reply_pairs(Reprise__V1__Attribute *const *attributes, size_t count, struct arena *arena,
                 const struct reprise_pair **out_pairs)
{
    struct reprise_pair *pairs = arena_calloc(arena, count, sizeof(*pairs));
    if (pairs == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct reprise_pair){attributes[i]->name, attributes[i]->value};
    *out_pairs = pairs;
    return true;
}

static bool read_entry(const Reprise__V1__EntryInfo *message, struct arena *arena,
                       const struct reprise_entry **out_entry)
{
    if (message == NULL)
        return true;
    struct reprise_entry *entry = arena_calloc(arena, 1, sizeof(*entry));
    if (entry == NULL)
        return false;
    *entry = (struct reprise_entry){
        .entry_id = message->entry_id,
        .created_unix_ms = message->created_unix_ms,
        .age_ms = message->age_ms,
        .ttl_remaining_ms = message->ttl_remaining_ms,
        .hit_count = message->hit_count,
        .negative = message->negative,
        .metadata_count = message->n_metadata,
    };
    *out_entry = entry;
    return reply_pairs(message->metadata, message->n_metadata, arena, &entry->metadata);
}

static struct reprise_usage usage_of(const Reprise__V1__Usage *message)
{
    return (struct reprise_usage){
        .input_tokens = message->input_tokens,
        .output_tokens = message->output_tokens,
        .cache_read_tokens = message->cache_read_tokens,
        .cache_creation_tokens = message->cache_creation_tokens,
        .reasoning_tokens = message->reasoning_tokens,
        .latency_ms = message->latency_ms,
        .nano_usd = message->nano_usd,
        .estimated = message->estimated,
    };
}

struct reprise_finish reply_finish(const Reprise__V1__Finish *message,
                                   struct reprise_usage *out_usage)
{
    if (message->usage != NULL)
        *out_usage = usage_of(message->usage);
    return (struct reprise_finish){.finish_reason = message->finish_reason,
                                   .extra_choices_json = message->extra_choices_json,
                                   .usage = message->usage != NULL ? out_usage : NULL};
}

static bool read_usage(const Reprise__V1__Usage *message, struct arena *arena,
                       const struct reprise_usage **out_usage)
{
    if (message == NULL)
        return true;
    struct reprise_usage *usage = arena_calloc(arena, 1, sizeof(*usage));
    if (usage == NULL)
        return false;
    *usage = usage_of(message);
    *out_usage = usage;
    return true;
}

bool reply_info(const Reprise__V1__AnswerInfo *message, struct arena *arena,
                const struct reprise_info **out_info)
{
    if (message == NULL)
        return true;
    struct reprise_info *info = arena_calloc(arena, 1, sizeof(*info));
    if (info == NULL)
        return false;
    *info = (struct reprise_info){
        .reasoning = message->reasoning,
        .refusal = message->refusal,
        .tool_calls_json = message->tool_calls_json,
        .finish_reason = message->finish_reason,
        .upstream_id = message->upstream_id,
        .system_fingerprint = message->system_fingerprint,
        .created_unix_ms = message->created_unix_ms,
        .content_type = message->content_type,
        .extra_choices_json = message->extra_choices_json,
    };
    *out_info = info;
    return read_usage(message->usage, arena, &info->usage);
}

static bool read_guards(const Reprise__V1__Decision *message, struct arena *arena,
                        struct reprise_decision *decision)
{
    enum reprise_guard *guards = arena_calloc(arena, message->n_guards, sizeof(*guards));
    if (guards == NULL)
        return false;
    for (size_t i = 0; i < message->n_guards; i++)
        guards[i] = (enum reprise_guard)message->guards[i];
    decision->guards = guards;
    decision->guards_count = message->n_guards;
    return true;
}

static bool read_decision(const Reprise__V1__Decision *message, struct arena *arena,
                          const struct reprise_decision **out_decision)
{
    if (message == NULL)
        return true;
    struct reprise_decision *decision = arena_calloc(arena, 1, sizeof(*decision));
    if (decision == NULL)
        return false;
    decision->token = message->token;
    decision->certified = message->certified;
    decision->near_entry_id = "";
    const Reprise__V1__NearMiss *near_miss = message->near_miss;
    if (near_miss != NULL) {
        decision->near_miss = true;
        decision->near_entry_id = near_miss->entry_id;
        decision->near_similarity = near_miss->similarity;
        decision->near_delta = near_miss->delta;
    }
    *out_decision = decision;
    return read_guards(message, arena, decision);
}

static bool read_timing(const Reprise__V1__Timing *message, struct arena *arena,
                        const struct reprise_timing **out_timing)
{
    if (message == NULL)
        return true;
    struct reprise_timing *timing = arena_calloc(arena, 1, sizeof(*timing));
    if (timing == NULL)
        return false;
    *timing = (struct reprise_timing){
        .key_us = message->key_us,
        .embed_us = message->embed_us,
        .search_us = message->search_us,
        .decide_us = message->decide_us,
        .total_us = message->total_us,
    };
    *out_timing = timing;
    return true;
}

bool reply_candidates(Reprise__V1__Candidate *const *messages, size_t count, struct arena *arena,
                      const struct reprise_candidate **out_candidates)
{
    struct reprise_candidate *candidates = arena_calloc(arena, count, sizeof(*candidates));
    if (candidates == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const Reprise__V1__Candidate *from = messages[i];
        candidates[i] = (struct reprise_candidate){
            .entry_id = from->entry_id,
            .similarity = from->similarity,
            .guard = (enum reprise_guard)from->guard,
            .prompt = from->prompt,
            .other_compatibility = from->other_compatibility,
            .content = from->content,
            .blob = from->blob.data,
            .blob_size = from->blob.len,
        };
        if (!reply_info(from->info, arena, &candidates[i].info))
            return false;
    }
    *out_candidates = candidates;
    return true;
}

static bool read_debug(const Reprise__V1__Debug *message, struct arena *arena,
                       const struct reprise_debug **out_debug)
{
    if (message == NULL)
        return true;
    struct reprise_debug *debug = arena_calloc(arena, 1, sizeof(*debug));
    if (debug == NULL)
        return false;
    debug->key = message->key;
    debug->matched_prompt = message->matched_prompt;
    debug->candidates_count = message->n_candidates;
    *out_debug = debug;
    return read_timing(message->timing, arena, &debug->timing) &&
           reply_candidates(message->candidates, message->n_candidates, arena, &debug->candidates);
}

static bool read_lease(const Reprise__V1__Lease *message, struct arena *arena,
                       const struct reprise_lease **out_lease)
{
    if (message == NULL)
        return true;
    struct reprise_lease *lease = arena_calloc(arena, 1, sizeof(*lease));
    if (lease == NULL)
        return false;
    *lease = (struct reprise_lease){.token = message->token,
                                    .hold_ms = message->hold_ms,
                                    .held_by_other = message->held_by_other};
    *out_lease = lease;
    return true;
}

const struct reprise_get_reply *reply_get(const Reprise__V1__GetResponse *message,
                                          struct arena *arena)
{
    struct reprise_get_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    *reply = (struct reprise_get_reply){
        .hit = message->hit,
        .tier = (enum reprise_tier)message->tier,
        .miss_reason = (enum reprise_miss_reason)message->miss_reason,
        .stale = message->stale,
        .similarity = message->similarity,
        .threshold = message->threshold,
        .degraded = (const char *const *)message->degraded,
        .degraded_count = message->n_degraded,
        .content = message->content,
        .blob = message->blob.data,
        .blob_size = message->blob.len,
    };
    bool read_all = read_entry(message->entry, arena, &reply->entry) &&
                    reply_info(message->info, arena, &reply->info) &&
                    read_decision(message->decision, arena, &reply->decision) &&
                    read_lease(message->lease, arena, &reply->lease) &&
                    read_debug(message->debug, arena, &reply->debug);
    return read_all ? reply : NULL;
}

const struct reprise_set_reply *reply_set(const Reprise__V1__SetResponse *message,
                                          struct arena *arena)
{
    struct reprise_set_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    *reply = (struct reprise_set_reply){
        .entry_id = message->entry_id,
        .stored = message->stored,
        .indexed = message->indexed,
        .skip = (enum reprise_skip)message->skip,
        .expires_unix_ms = message->expires_unix_ms,
        .sequence = message->sequence,
        .ack = (enum reprise_ack)message->ack,
        .degraded = (const char *const *)message->degraded,
        .degraded_count = message->n_degraded,
    };
    return reply;
}

/* An item that holds neither a reply nor an error is the fault of the server; it must not look like
 * a miss. */
static const struct reprise_error *read_item_error(const Reprise__V1__ItemError *message,
                                                   struct arena *arena)
{
    struct reprise_error *error = arena_calloc(arena, 1, sizeof(*error));
    if (error == NULL)
        return NULL;
    *error = (struct reprise_error){
        .code = message != NULL ? (enum reprise_code)message->code : REPRISE_INTERNAL,
        .reason = message != NULL ? message->reason : "",
        .field = "",
        .message = message != NULL ? message->message : "the item came back empty",
        .retry_after_ms = -1,
    };
    return error;
}

const struct reprise_batch_get_reply *reply_batch_get(const Reprise__V1__BatchGetResponse *message,
                                                      struct arena *arena)
{
    struct reprise_batch_get_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_get_item *items = arena_calloc(arena, message->n_results, sizeof(*items));
    if (reply == NULL || items == NULL)
        return NULL;
    for (size_t i = 0; i < message->n_results; i++) {
        const Reprise__V1__GetResult *result = message->results[i];
        if (result->response != NULL)
            items[i].reply = reply_get(result->response, arena);
        else
            items[i].error = read_item_error(result->error, arena);
        if (items[i].reply == NULL && items[i].error == NULL)
            return NULL;
    }
    *reply = (struct reprise_batch_get_reply){
        .items = items, .items_count = message->n_results, .server_us = message->server_us};
    return reply;
}

const struct reprise_batch_set_reply *reply_batch_set(const Reprise__V1__BatchSetResponse *message,
                                                      struct arena *arena)
{
    struct reprise_batch_set_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_set_item *items = arena_calloc(arena, message->n_results, sizeof(*items));
    if (reply == NULL || items == NULL)
        return NULL;
    for (size_t i = 0; i < message->n_results; i++) {
        const Reprise__V1__SetResult *result = message->results[i];
        if (result->response != NULL)
            items[i].reply = reply_set(result->response, arena);
        else
            items[i].error = read_item_error(result->error, arena);
        if (items[i].reply == NULL && items[i].error == NULL)
            return NULL;
    }
    *reply = (struct reprise_batch_set_reply){
        .items = items, .items_count = message->n_results, .server_us = message->server_us};
    return reply;
}

const struct reprise_invalidate_reply *
reply_invalidate(const Reprise__V1__InvalidateResponse *message, struct arena *arena)
{
    struct reprise_invalidate_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    if (reply == NULL)
        return NULL;
    *reply = (struct reprise_invalidate_reply){
        .matched = message->matched,
        .sample_ids = (const char *const *)message->sample_ids,
        .sample_ids_count = message->n_sample_ids,
    };
    return reply;
}

const struct reprise_snapshots_reply *reply_snapshots(Reprise__V1__Snapshot *const *messages,
                                                      size_t count, struct arena *arena)
{
    struct reprise_snapshots_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_snapshot *snapshots = arena_calloc(arena, count, sizeof(*snapshots));
    if (reply == NULL || snapshots == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        snapshots[i] = (struct reprise_snapshot){.name = messages[i]->name,
                                                 .created_unix_ms = messages[i]->created_unix_ms,
                                                 .size_bytes = messages[i]->size_bytes,
                                                 .entries = messages[i]->entries};
    *reply = (struct reprise_snapshots_reply){.snapshots = snapshots, .snapshots_count = count};
    return reply;
}
