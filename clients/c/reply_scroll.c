/*
 * reply_scroll.c - stored entries as plain structs. Owns nothing. Threads: any; pure.
 */
#include "clients/c/reply.h"

#include "base/check.h"

static bool read_dependencies(const Reprise__V1__Entry *message, struct arena *arena,
                              struct reprise_stored *entry)
{
    struct reprise_dependency *list = arena_calloc(arena, message->n_depends_on, sizeof(*list));
    if (list == NULL)
        return false;
    for (size_t i = 0; i < message->n_depends_on; i++)
        list[i] = (struct reprise_dependency){message->depends_on[i]->id,
                                              message->depends_on[i]->version};
    entry->depends_on = list;
    entry->depends_on_count = message->n_depends_on;
    return true;
}

static bool read_entry(const Reprise__V1__Entry *message, struct arena *arena,
                       struct reprise_stored *out_entry)
{
    static const Reprise__V1__Identity nobody = REPRISE__V1__IDENTITY__INIT;
    const Reprise__V1__Identity *identity = message->identity != NULL ? message->identity : &nobody;
    *out_entry = (struct reprise_stored){
        .entry_id = message->entry_id,
        .namespace_ = identity->namespace_,
        .model = identity->model,
        .prompt = identity->prompt,
        .created_unix_ms = message->created_unix_ms,
        .expires_unix_ms = message->expires_unix_ms,
        .hit_count = message->hit_count,
        .size_bytes = message->size_bytes,
        .tags = (const char *const *)message->tags,
        .tags_count = message->n_tags,
        .metadata_count = message->n_metadata,
        .pinned = message->pinned,
        .negative = message->negative,
        .ttl_ms = message->ttl_ms,
        .sliding_max_ms = message->sliding_max_ms,
        .stale_while_revalidate_ms = message->stale_while_revalidate_ms,
        .stale_if_error_ms = message->stale_if_error_ms,
        .content = message->content,
        .blob = message->blob.data,
        .blob_size = message->blob.len,
        .embedder = identity->embedder,
        .attributes_count = identity->n_attributes,
        .scope_id = message->scope_id,
        .compat_id = message->compat_id,
        .space_id = message->space_id,
        .field_sums = message->field_sums.data,
        .field_sums_size = message->field_sums.len,
    };
    if (message->vector != NULL && message->vector->n_f32 > 0)
        out_entry->vector = (struct reprise_vector){message->vector->f32, message->vector->n_f32};
    return reply_pairs(identity->attributes, identity->n_attributes, arena,
                       &out_entry->attributes) &&
           read_dependencies(message, arena, out_entry) &&
           reply_pairs(message->metadata, message->n_metadata, arena, &out_entry->metadata) &&
           reply_info(message->info, arena, &out_entry->info);
}

const struct reprise_scroll_reply *reply_entries(Reprise__V1__Entry *const *messages, size_t count,
                                                 const char *next_cursor, struct arena *arena)
{
    assert(next_cursor != NULL);
    struct reprise_scroll_reply *reply = arena_calloc(arena, 1, sizeof(*reply));
    struct reprise_stored *entries = arena_calloc(arena, count, sizeof(*entries));
    if (reply == NULL || entries == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!read_entry(messages[i], arena, &entries[i]))
            return NULL;
    }
    *reply = (struct reprise_scroll_reply){entries, count, next_cursor};
    return reply;
}
