/*
 * json_scan.c - stored entries as proto3 JSON. Owns nothing. Threads: any.
 */
#include "clients/cli/json_parts.h"

static void add_vector(cJSON *tree, const struct reprise_vector *vector)
{
    if (vector->count == 0)
        return;
    cJSON *list = cJSON_AddArrayToObject(cJSON_AddObjectToObject(tree, "vector"), "f32");
    for (size_t i = 0; i < vector->count; i++)
        (void)cJSON_AddItemToArray(list, json_float((double)vector->numbers[i]));
}

static void add_depends_on(cJSON *tree, const struct reprise_stored *entry)
{
    if (entry->depends_on_count == 0)
        return;
    cJSON *list = cJSON_AddArrayToObject(tree, "dependsOn");
    for (size_t i = 0; i < entry->depends_on_count; i++) {
        cJSON *dependency = cJSON_CreateObject();
        (void)cJSON_AddStringToObject(dependency, "id", entry->depends_on[i].id);
        (void)cJSON_AddStringToObject(dependency, "version", entry->depends_on[i].version);
        (void)cJSON_AddItemToArray(list, dependency);
    }
}

static void add_time(cJSON *tree, const char *name, uint64_t ms)
{
    if (ms > 0)
        (void)cJSON_AddNumberToObject(tree, name, (double)ms);
}

static void add_life(cJSON *tree, const struct reprise_stored *entry)
{
    if (entry->pinned)
        (void)cJSON_AddBoolToObject(tree, "pinned", true);
    if (entry->negative)
        (void)cJSON_AddBoolToObject(tree, "negative", true);
    add_time(tree, "ttlMs", entry->ttl_ms);
    add_time(tree, "slidingMaxMs", entry->sliding_max_ms);
    add_time(tree, "staleWhileRevalidateMs", entry->stale_while_revalidate_ms);
    add_time(tree, "staleIfErrorMs", entry->stale_if_error_ms);
}

cJSON *json_stored(const struct reprise_stored *entry)
{
    cJSON *tree = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(tree, "entryId", entry->entry_id);
    cJSON *identity = cJSON_AddObjectToObject(tree, "identity");
    (void)cJSON_AddStringToObject(identity, "namespace", entry->namespace_);
    (void)cJSON_AddStringToObject(identity, "model", entry->model);
    (void)cJSON_AddStringToObject(identity, "prompt", entry->prompt);
    if (entry->attributes_count > 0)
        json_add_pairs(identity, "attributes", entry->attributes, entry->attributes_count);
    if (entry->embedder[0] != '\0')
        (void)cJSON_AddStringToObject(identity, "embedder", entry->embedder);
    json_add_info(tree, entry->info);
    (void)cJSON_AddNumberToObject(tree, "createdUnixMs", (double)entry->created_unix_ms);
    (void)cJSON_AddNumberToObject(tree, "expiresUnixMs", (double)entry->expires_unix_ms);
    json_add_count(tree, "hitCount", entry->hit_count);
    json_add_count(tree, "sizeBytes", entry->size_bytes);
    json_add_strings(tree, "tags", entry->tags, entry->tags_count);
    add_vector(tree, &entry->vector);
    json_add_pairs(tree, "metadata", entry->metadata, entry->metadata_count);
    add_depends_on(tree, entry);
    add_life(tree, entry);
    (void)cJSON_AddStringToObject(tree, "scopeId", entry->scope_id);
    (void)cJSON_AddStringToObject(tree, "compatId", entry->compat_id);
    json_add_bytes(tree, "fieldSums", entry->field_sums, entry->field_sums_size);
    (void)cJSON_AddStringToObject(tree, "spaceId", entry->space_id);
    if (entry->content[0] != '\0')
        (void)cJSON_AddStringToObject(tree, "content", entry->content);
    if (entry->blob_size > 0)
        json_add_bytes(tree, "blob", entry->blob, entry->blob_size);
    return tree;
}
