/*
 * json_request.c - the body of a Get as proto3 JSON, ready for grpcurl -d and ghz -d: only what is
 * given, so that the line stays short enough to read. Owns nothing. Threads: any.
 */
#include "clients/cli/json_parts.h"

static void add_given(cJSON *object, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        (void)cJSON_AddStringToObject(object, name, text);
}

/* Covers what the command's flags can give; the whole of Identity is for programs. */
static void add_identity(cJSON *tree, const struct reprise_identity *identity)
{
    cJSON *object = cJSON_AddObjectToObject(tree, "identity");
    add_given(object, "namespace", identity->namespace_);
    add_given(object, "model", identity->model);
    add_given(object, "prompt", identity->prompt);
    add_given(object, "systemPrompt", identity->system_prompt);
    if (identity->params.temperature_given) {
        cJSON *params = cJSON_AddObjectToObject(object, "params");
        (void)cJSON_AddNumberToObject(params, "temperature", identity->params.temperature);
    }
    if (identity->attributes_count > 0)
        json_add_pairs(object, "attributes", identity->attributes, identity->attributes_count);
    add_given(object, "embedder", identity->embedder);
}

static void add_vector(cJSON *tree, const struct reprise_vector *vector)
{
    if (vector->numbers == NULL)
        return;
    cJSON *object = cJSON_AddObjectToObject(tree, "vector");
    cJSON *list = cJSON_AddArrayToObject(object, "f32");
    for (size_t i = 0; i < vector->count; i++) {
        char digits[32]; /* nine digits bring every float back */
        (void)snprintf(digits, sizeof(digits), "%.9g", (double)vector->numbers[i]);
        (void)cJSON_AddItemToArray(list, cJSON_CreateRaw(digits));
    }
}

static void add_control(cJSON *tree, const struct reprise_cache_control *control)
{
    cJSON *object = cJSON_CreateObject();
    if (control->no_cache)
        (void)cJSON_AddBoolToObject(object, "noCache", true);
    if (control->only_if_cached)
        (void)cJSON_AddBoolToObject(object, "onlyIfCached", true);
    if (control->bypass)
        (void)cJSON_AddBoolToObject(object, "bypass", true);
    if (control->max_age_given)
        json_add_count(object, "maxAgeMs", control->max_age_ms);
    if (control->min_fresh_ms > 0)
        json_add_count(object, "minFreshMs", control->min_fresh_ms);
    if (control->max_stale_ms > 0)
        json_add_count(object, "maxStaleMs", control->max_stale_ms);
    if (cJSON_GetArraySize(object) > 0)
        (void)cJSON_AddItemToObject(tree, "cacheControl", object);
    else
        cJSON_Delete(object);
}

cJSON *json_get_request(const struct reprise_get_request *request)
{
    cJSON *tree = cJSON_CreateObject();
    add_identity(tree, &request->identity);
    add_vector(tree, &request->vector);
    add_control(tree, &request->cache_control);
    if (request->tiers_count > 0) {
        cJSON *list = cJSON_AddArrayToObject(tree, "tiers");
        for (size_t i = 0; i < request->tiers_count; i++)
            (void)cJSON_AddItemToArray(list,
                                       cJSON_CreateString(request->tiers[i] == REPRISE_TIER_EXACT
                                                              ? "TIER_EXACT"
                                                              : "TIER_SEMANTIC"));
    }
    if (request->min_similarity_given)
        json_add_float(tree, "minSimilarity", (double)request->min_similarity);
    if (request->include_count > 0) {
        cJSON *list = cJSON_AddArrayToObject(tree, "include");
        for (size_t i = 0; i < request->include_count; i++) {
            char name[64];
            (void)snprintf(name, sizeof(name), "INCLUDE_%s",
                           reprise_include_name(request->include[i]));
            (void)cJSON_AddItemToArray(list, cJSON_CreateString(name));
        }
    }
    if (request->lease != REPRISE_LEASE_NONE) {
        cJSON *lease = cJSON_AddObjectToObject(tree, "lease");
        (void)cJSON_AddStringToObject(lease, "mode",
                                      request->lease == REPRISE_LEASE_WAIT ? "LEASE_MODE_WAIT"
                                                                           : "LEASE_MODE_FIRST");
        if (request->lease_wait_ms > 0)
            json_add_count(lease, "waitMs", request->lease_wait_ms);
        if (request->lease_hold_ms > 0)
            json_add_count(lease, "holdMs", request->lease_hold_ms);
    }
    return tree;
}
