/*
 * json.c - replies as proto3 JSON. Owns nothing. Threads: any; cJSON keeps no state but its error
 * position, which is not read here. cJSON's Add functions return NULL when memory is spent and take
 * NULL for a parent, so a tree that lost a branch is only noticed when a needed parent is missing;
 * at such a moment the command ends anyway. NOT HERE. Statistics (json_stats.c).
 */
#include "clients/cli/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "clients/cli/json_parts.h"

void json_add_float(cJSON *object, const char *name, double number)
{
    (void)cJSON_AddItemToObject(object, name, json_float(number));
}

cJSON *json_float(double number)
{
    char digits[32];
    (void)snprintf(digits, sizeof(digits), "%.7g", number);
    return cJSON_CreateNumber(strtod(digits, NULL));
}

void json_add_enum(cJSON *object, const char *name, const char *prefix, const char *value)
{
    char full[64];
    (void)snprintf(full, sizeof(full), "%s%s", prefix, value);
    (void)cJSON_AddStringToObject(object, name, full);
}

void json_add_count(cJSON *object, const char *name, uint64_t count)
{
    (void)cJSON_AddNumberToObject(object, name, (double)count);
}

void json_add_strings(cJSON *object, const char *name, const char *const *strings, size_t count)
{
    cJSON *list = cJSON_AddArrayToObject(object, name);
    for (size_t i = 0; i < count; i++)
        (void)cJSON_AddItemToArray(list, cJSON_CreateString(strings[i]));
}

void json_add_pairs(cJSON *object, const char *name, const struct reprise_pair *pairs, size_t count)
{
    cJSON *list = cJSON_AddArrayToObject(object, name);
    for (size_t i = 0; i < count; i++) {
        cJSON *pair = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(pair, "name", pairs[i].name);
        (void)cJSON_AddStringToObject(pair, "value", pairs[i].value);
        (void)cJSON_AddItemToArray(list, pair);
    }
}

/* proto3 JSON writes base64 and reads base64url as well. */
void json_add_bytes(cJSON *object, const char *name, const void *bytes, size_t size)
{
    char *text = malloc((size * 4 + 2) / 3 + 1);
    if (text == NULL)
        return;
    size_t length = base64url_encode(bytes, size, text);
    text[length] = '\0';
    (void)cJSON_AddStringToObject(object, name, text);
    free(text);
}

static void add_entry(cJSON *reply, const struct reprise_entry *entry)
{
    if (entry == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(reply, "entry");
    (void)cJSON_AddStringToObject(object, "entryId", entry->entry_id);
    (void)cJSON_AddNumberToObject(object, "createdUnixMs", (double)entry->created_unix_ms);
    json_add_count(object, "ageMs", entry->age_ms);
    (void)cJSON_AddNumberToObject(object, "ttlRemainingMs", (double)entry->ttl_remaining_ms);
    json_add_count(object, "hitCount", entry->hit_count);
    (void)cJSON_AddBoolToObject(object, "negative", entry->negative);
    json_add_pairs(object, "metadata", entry->metadata, entry->metadata_count);
}

static void add_usage(cJSON *info, const struct reprise_usage *usage)
{
    if (usage == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(info, "usage");
    json_add_count(object, "inputTokens", usage->input_tokens);
    json_add_count(object, "outputTokens", usage->output_tokens);
    json_add_count(object, "cacheReadTokens", usage->cache_read_tokens);
    json_add_count(object, "cacheCreationTokens", usage->cache_creation_tokens);
    json_add_count(object, "reasoningTokens", usage->reasoning_tokens);
    json_add_count(object, "latencyMs", usage->latency_ms);
    json_add_count(object, "nanoUsd", usage->nano_usd);
    (void)cJSON_AddBoolToObject(object, "estimated", usage->estimated);
}

void json_add_info(cJSON *reply, const struct reprise_info *info)
{
    if (info == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(reply, "info");
    (void)cJSON_AddStringToObject(object, "reasoning", info->reasoning);
    (void)cJSON_AddStringToObject(object, "refusal", info->refusal);
    (void)cJSON_AddStringToObject(object, "toolCallsJson", info->tool_calls_json);
    (void)cJSON_AddStringToObject(object, "finishReason", info->finish_reason);
    (void)cJSON_AddStringToObject(object, "upstreamId", info->upstream_id);
    (void)cJSON_AddStringToObject(object, "systemFingerprint", info->system_fingerprint);
    (void)cJSON_AddNumberToObject(object, "createdUnixMs", (double)info->created_unix_ms);
    (void)cJSON_AddStringToObject(object, "contentType", info->content_type);
    (void)cJSON_AddStringToObject(object, "extraChoicesJson", info->extra_choices_json);
    add_usage(object, info->usage);
}

static void add_decision(cJSON *reply, const struct reprise_decision *decision)
{
    if (decision == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(reply, "decision");
    (void)cJSON_AddStringToObject(object, "token", decision->token);
    (void)cJSON_AddBoolToObject(object, "certified", decision->certified);
    cJSON *guards = cJSON_AddArrayToObject(object, "guards");
    for (size_t i = 0; i < decision->guards_count; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "GUARD_%s", reprise_guard_name(decision->guards[i]));
        (void)cJSON_AddItemToArray(guards, cJSON_CreateString(name));
    }
    if (!decision->near_miss)
        return;
    cJSON *near_miss = cJSON_AddObjectToObject(object, "nearMiss");
    (void)cJSON_AddStringToObject(near_miss, "entryId", decision->near_entry_id);
    json_add_float(near_miss, "similarity", (double)decision->near_similarity);
    json_add_float(near_miss, "delta", (double)decision->near_delta);
}

static void add_timing(cJSON *debug, const struct reprise_timing *timing)
{
    if (timing == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(debug, "timing");
    json_add_count(object, "keyUs", timing->key_us);
    json_add_count(object, "embedUs", timing->embed_us);
    json_add_count(object, "searchUs", timing->search_us);
    json_add_count(object, "decideUs", timing->decide_us);
    json_add_count(object, "totalUs", timing->total_us);
}

static void add_debug(cJSON *reply, const struct reprise_debug *debug)
{
    if (debug == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(reply, "debug");
    (void)cJSON_AddStringToObject(object, "key", debug->key);
    (void)cJSON_AddStringToObject(object, "matchedPrompt", debug->matched_prompt);
    add_timing(object, debug->timing);
    json_add_candidates(object, debug->candidates, debug->candidates_count);
}

static void add_lease(cJSON *reply, const struct reprise_lease *lease)
{
    if (lease == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(reply, "lease");
    (void)cJSON_AddStringToObject(object, "token", lease->token);
    json_add_count(object, "holdMs", lease->hold_ms);
    (void)cJSON_AddBoolToObject(object, "heldByOther", lease->held_by_other);
}

cJSON *json_get(const struct reprise_get_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddBoolToObject(tree, "hit", reply->hit);
    json_add_enum(tree, "tier", "TIER_", reprise_tier_name(reply->tier));
    json_add_enum(tree, "missReason", "MISS_REASON_", reprise_miss_reason_name(reply->miss_reason));
    (void)cJSON_AddBoolToObject(tree, "stale", reply->stale);
    json_add_float(tree, "similarity", (double)reply->similarity);
    json_add_float(tree, "threshold", (double)reply->threshold);
    add_entry(tree, reply->entry);
    json_add_info(tree, reply->info);
    add_decision(tree, reply->decision);
    add_lease(tree, reply->lease);
    json_add_strings(tree, "degraded", reply->degraded, reply->degraded_count);
    add_debug(tree, reply->debug);
    (void)cJSON_AddStringToObject(tree, "content", reply->content);
    if (reply->blob_size > 0)
        json_add_bytes(tree, "blob", reply->blob, reply->blob_size);
    return tree;
}

cJSON *json_set(const struct reprise_set_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "entryId", reply->entry_id);
    (void)cJSON_AddBoolToObject(tree, "stored", reply->stored);
    json_add_enum(tree, "skip", "SET_SKIP_", reprise_skip_name(reply->skip));
    (void)cJSON_AddBoolToObject(tree, "indexed", reply->indexed);
    (void)cJSON_AddNumberToObject(tree, "expiresUnixMs", (double)reply->expires_unix_ms);
    json_add_count(tree, "sequence", reply->sequence);
    json_add_enum(tree, "ack", "ACK_", reprise_ack_name(reply->ack));
    json_add_strings(tree, "degraded", reply->degraded, reply->degraded_count);
    return tree;
}

cJSON *json_delete(const struct reprise_delete_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "deleted", reply->deleted);
    return tree;
}

cJSON *json_invalidate(const struct reprise_invalidate_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_count(tree, "matched", reply->matched);
    json_add_strings(tree, "sampleIds", reply->sample_ids, reply->sample_ids_count);
    return tree;
}

cJSON *json_report(const struct reprise_report_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "feedbackId", reply->feedback_id);
    json_add_enum(tree, "outcome", "REPORT_OUTCOME_", reprise_outcome_name(reply->outcome));
    json_add_count(tree, "labelsLeftThisMinute", reply->labels_left_this_minute);
    return tree;
}

cJSON *json_health(const struct reprise_health_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_enum(tree, "status", "", reprise_health_name(reply->status));
    return tree;
}

cJSON *json_error(const struct reprise_error *error)
{
    cJSON *tree = cJSON_CreateObject();
    cJSON *object = cJSON_AddObjectToObject(tree, "error");
    json_add_enum(object, "code", "", reprise_code_name(error->code));
    (void)cJSON_AddStringToObject(object, "reason", error->reason);
    (void)cJSON_AddStringToObject(object, "field", error->field);
    (void)cJSON_AddStringToObject(object, "message", error->message);
    if (error->retry_after_ms >= 0)
        (void)cJSON_AddNumberToObject(object, "retryAfterMs", (double)error->retry_after_ms);
    return tree;
}

bool json_print(cJSON *tree, bool compact, FILE *out)
{
    char *text = compact ? cJSON_PrintUnformatted(tree) : cJSON_Print(tree);
    cJSON_Delete(tree);
    if (text == NULL)
        return false;
    (void)fprintf(out, "%s\n", text);
    cJSON_free(text);
    return true;
}
