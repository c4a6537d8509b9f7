/*
 * stored_line.c - the JSON of one entry, as json_scan.c writes it, as a struct for the client.
 * Names that are not known are passed over: a newer version may say more. Owns nothing. Threads:
 * any; pure.
 */
#include "clients/cli/stored_line.h"

#include <math.h>
#include <string.h>

#include "base/digest.h"

static const char *text_at(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text != NULL ? text : "";
}

/* 0 for what is no number, or none of ours. */
static int64_t count_at(const cJSON *object, const char *name)
{
    const double number = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return number >= 0 && number < 9e15 ? (int64_t)number : 0; /* NaN is neither */
}

static bool read_bytes(const char *text, struct arena *arena, const void **out_bytes,
                       size_t *out_size)
{
    const size_t length = strlen(text), size = length * 3 / 4;
    void *bytes = arena_alloc(arena, size);
    if (bytes == NULL || !base64url_decode(text, length, bytes, size))
        return false;
    *out_bytes = bytes;
    *out_size = size;
    return true;
}

static bool read_strings(const cJSON *list, struct arena *arena, const char *const **out_strings,
                         size_t *out_count)
{
    const int count = cJSON_GetArraySize(list);
    const char **strings = arena_calloc(arena, (size_t)count, sizeof(*strings));
    for (int i = 0; strings != NULL && i < count; i++) {
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(list, i));
        strings[i] = text != NULL ? text : "";
    }
    *out_strings = strings;
    *out_count = strings != NULL ? (size_t)count : 0;
    return strings != NULL;
}

static bool read_pairs(const cJSON *list, struct arena *arena,
                       const struct reprise_pair **out_pairs, size_t *out_count)
{
    const int count = cJSON_GetArraySize(list);
    struct reprise_pair *pairs = arena_calloc(arena, (size_t)count, sizeof(*pairs));
    for (int i = 0; pairs != NULL && i < count; i++) {
        const cJSON *pair = cJSON_GetArrayItem(list, i);
        pairs[i] = (struct reprise_pair){text_at(pair, "name"), text_at(pair, "value")};
    }
    *out_pairs = pairs;
    *out_count = pairs != NULL ? (size_t)count : 0;
    return pairs != NULL;
}

static bool read_depends_on(const cJSON *list, struct arena *arena, struct reprise_stored *entry)
{
    const int count = cJSON_GetArraySize(list);
    struct reprise_dependency *dependencies =
        arena_calloc(arena, (size_t)count, sizeof(*dependencies));
    if (dependencies == NULL)
        return false;
    for (int i = 0; i < count; i++) {
        const cJSON *dependency = cJSON_GetArrayItem(list, i);
        dependencies[i] =
            (struct reprise_dependency){text_at(dependency, "id"), text_at(dependency, "version")};
    }
    entry->depends_on = dependencies;
    entry->depends_on_count = (size_t)count;
    return true;
}

static bool read_vector(const cJSON *list, struct arena *arena, struct reprise_vector *out_vector)
{
    const int count = cJSON_GetArraySize(list);
    float *numbers = arena_calloc(arena, (size_t)count, sizeof(*numbers));
    const cJSON *item = NULL;
    size_t at = 0;
    if (numbers == NULL)
        return false;
    cJSON_ArrayForEach(item, list) numbers[at++] = (float)cJSON_GetNumberValue(item);
    *out_vector = (struct reprise_vector){count > 0 ? numbers : NULL, at};
    return true;
}

static bool read_usage(const cJSON *tree, struct arena *arena,
                       const struct reprise_usage **out_usage)
{
    if (!cJSON_IsObject(tree))
        return true;
    struct reprise_usage *usage = arena_calloc(arena, 1, sizeof(*usage));
    if (usage == NULL)
        return false;
    *usage = (struct reprise_usage){
        .input_tokens = (uint32_t)count_at(tree, "inputTokens"),
        .output_tokens = (uint32_t)count_at(tree, "outputTokens"),
        .cache_read_tokens = (uint32_t)count_at(tree, "cacheReadTokens"),
        .cache_creation_tokens = (uint32_t)count_at(tree, "cacheCreationTokens"),
        .reasoning_tokens = (uint32_t)count_at(tree, "reasoningTokens"),
        .latency_ms = (uint32_t)count_at(tree, "latencyMs"),
        .nano_usd = (uint64_t)count_at(tree, "nanoUsd"),
        .estimated = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "estimated")),
    };
    *out_usage = usage;
    return true;
}

static bool read_info(const cJSON *tree, struct arena *arena, const struct reprise_info **out_info)
{
    if (!cJSON_IsObject(tree))
        return true;
    struct reprise_info *info = arena_calloc(arena, 1, sizeof(*info));
    if (info == NULL)
        return false;
    *info = (struct reprise_info){
        .reasoning = text_at(tree, "reasoning"),
        .refusal = text_at(tree, "refusal"),
        .tool_calls_json = text_at(tree, "toolCallsJson"),
        .finish_reason = text_at(tree, "finishReason"),
        .upstream_id = text_at(tree, "upstreamId"),
        .system_fingerprint = text_at(tree, "systemFingerprint"),
        .created_unix_ms = count_at(tree, "createdUnixMs"),
        .content_type = text_at(tree, "contentType"),
        .extra_choices_json = text_at(tree, "extraChoicesJson"),
    };
    *out_info = info;
    return read_usage(cJSON_GetObjectItemCaseSensitive(tree, "usage"), arena, &info->usage);
}

static bool read_lists(const cJSON *tree, const cJSON *identity, struct arena *arena,
                       struct reprise_stored *entry)
{
    const cJSON *vector = cJSON_GetObjectItemCaseSensitive(tree, "vector");
    return read_strings(cJSON_GetObjectItemCaseSensitive(tree, "tags"), arena, &entry->tags,
                        &entry->tags_count) &&
           read_pairs(cJSON_GetObjectItemCaseSensitive(tree, "metadata"), arena, &entry->metadata,
                      &entry->metadata_count) &&
           read_depends_on(cJSON_GetObjectItemCaseSensitive(tree, "dependsOn"), arena, entry) &&
           read_pairs(cJSON_GetObjectItemCaseSensitive(identity, "attributes"), arena,
                      &entry->attributes, &entry->attributes_count) &&
           read_vector(cJSON_GetObjectItemCaseSensitive(vector, "f32"), arena, &entry->vector) &&
           read_info(cJSON_GetObjectItemCaseSensitive(tree, "info"), arena, &entry->info);
}

const char *stored_line_read(const cJSON *tree, struct arena *arena,
                             struct reprise_stored *out_entry)
{
    const cJSON *identity = cJSON_GetObjectItemCaseSensitive(tree, "identity");
    if (!cJSON_IsObject(tree) || !cJSON_IsObject(identity))
        return "it is no line of reprise export";
    struct reprise_stored entry = {
        .entry_id = text_at(tree, "entryId"),
        .namespace_ = text_at(identity, "namespace"),
        .model = text_at(identity, "model"),
        .prompt = text_at(identity, "prompt"),
        .embedder = text_at(identity, "embedder"),
        .created_unix_ms = count_at(tree, "createdUnixMs"),
        .expires_unix_ms = count_at(tree, "expiresUnixMs"),
        .scope_id = text_at(tree, "scopeId"),
        .compat_id = text_at(tree, "compatId"),
        .space_id = text_at(tree, "spaceId"),
        .content = text_at(tree, "content"),
        .pinned = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "pinned")),
        .negative = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "negative")),
        .ttl_ms = (uint64_t)count_at(tree, "ttlMs"),
        .sliding_max_ms = (uint64_t)count_at(tree, "slidingMaxMs"),
        .stale_while_revalidate_ms = (uint64_t)count_at(tree, "staleWhileRevalidateMs"),
        .stale_if_error_ms = (uint64_t)count_at(tree, "staleIfErrorMs"),
    };
    if (!read_bytes(text_at(tree, "fieldSums"), arena, &entry.field_sums, &entry.field_sums_size))
        return "fieldSums is not base64url";
    if (!read_bytes(text_at(tree, "blob"), arena, &entry.blob, &entry.blob_size))
        return "blob is not base64url";
    if (!read_lists(tree, identity, arena, &entry))
        return "out of memory";
    *out_entry = entry;
    return NULL;
}
