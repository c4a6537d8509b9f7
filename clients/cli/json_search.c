/*
 * json_search.c - the replies of Search and Explain as proto3 JSON. Owns nothing. Threads: any.
 */
#include "clients/cli/json_parts.h"

void json_add_candidates(cJSON *object, const struct reprise_candidate *candidates, size_t count)
{
    cJSON *list = cJSON_AddArrayToObject(object, "candidates");
    for (size_t i = 0; i < count; i++) {
        const struct reprise_candidate *from = &candidates[i];
        cJSON *candidate = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(candidate, "entryId", from->entry_id);
        json_add_float(candidate, "similarity", (double)from->similarity);
        json_add_enum(candidate, "guard", "GUARD_", reprise_guard_name(from->guard));
        (void)cJSON_AddStringToObject(candidate, "prompt", from->prompt);
        if (from->other_compatibility)
            (void)cJSON_AddBoolToObject(candidate, "otherCompatibility", true);
        json_add_info(candidate, from->info);
        if (from->content[0] != '\0')
            (void)cJSON_AddStringToObject(candidate, "content", from->content);
        if (from->blob_size > 0)
            json_add_bytes(candidate, "blob", from->blob, from->blob_size);
        (void)cJSON_AddItemToArray(list, candidate);
    }
}

cJSON *json_search(const struct reprise_search_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    json_add_candidates(tree, reply->candidates, reply->candidates_count);
    json_add_count(tree, "scanned", reply->scanned);
    return tree;
}

static void add_fields(cJSON *tree, const struct reprise_explain_reply *reply)
{
    cJSON *list = cJSON_AddArrayToObject(tree, "fields");
    for (size_t i = 0; i < reply->fields_count; i++) {
        const struct reprise_field_diff *from = &reply->fields[i];
        cJSON *field = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(field, "field", from->field);
        (void)cJSON_AddStringToObject(field, "requestDigest", from->request_digest);
        (void)cJSON_AddStringToObject(field, "entryDigest", from->entry_digest);
        (void)cJSON_AddBoolToObject(field, "equal", from->equal);
        (void)cJSON_AddItemToArray(list, field);
    }
}

cJSON *json_explain(const struct reprise_explain_reply *reply)
{
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "reason", reply->reason);
    (void)cJSON_AddItemToObject(tree, "wouldBe", json_get(reply->would_be));
    json_add_candidates(tree, reply->candidates, reply->candidates_count);
    add_fields(tree, reply);
    (void)cJSON_AddStringToObject(tree, "scopeKey", reply->scope_key);
    (void)cJSON_AddStringToObject(tree, "compatKey", reply->compat_key);
    (void)cJSON_AddStringToObject(tree, "exactKey", reply->exact_key);
    json_add_bytes(tree, "canonical", reply->canonical, reply->canonical_size);
    json_add_strings(tree, "steps", reply->steps, reply->steps_count);
    (void)cJSON_AddStringToObject(tree, "againstEntryId", reply->against_entry_id);
    json_add_float(tree, "againstSimilarity", (double)reply->against_similarity);
    return tree;
}
