/*
 * codec_import.c - Import, both ways: entries as codec_scroll.c has written them. Owns nothing.
 * Threads: any; all of it works in the caller's arena.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    SUMS_VERSION = 1,
    ID_HEX = 2 * ENTRY_ID_BYTES,
    SPACE_HEX = 16,
};

static enum status bad_hex(struct failure *failure, const char *field, int digits)
{
    return failure_set(failure, STATUS_BAD_ID, field, "%d lowercase hex digits", digits);
}

/* As many bytes as the digits make, by way of a digest with zeros behind them. */
static bool read_hex(struct text hex, size_t digits, struct digest *out)
{
    char whole[DIGEST_HEX];
    if (hex.length != digits)
        return false;
    memset(whole, '0', sizeof(whole));
    memcpy(whole, hex.bytes, digits);
    return digest_from_hex(whole, sizeof(whole), out);
}

static enum status read_ids(const Reprise__V1__Entry *message, struct cache_import *out,
                            struct failure *failure)
{
    struct digest scope, compatibility, space = {{0}};
    if (!read_hex(text_of(message->entry_id), DIGEST_HEX, &out->id))
        return bad_hex(failure, "entry_id", DIGEST_HEX);
    if (!read_hex(text_of(message->scope_id), ID_HEX, &scope))
        return bad_hex(failure, "scope_id", ID_HEX);
    if (!read_hex(text_of(message->compat_id), ID_HEX, &compatibility))
        return bad_hex(failure, "compat_id", ID_HEX);
    if (message->space_id[0] != '\0' && !read_hex(text_of(message->space_id), SPACE_HEX, &space))
        return bad_hex(failure, "space_id", SPACE_HEX);
    memcpy(out->scope, scope.bytes, ENTRY_ID_BYTES);
    memcpy(out->compatibility, compatibility.bytes, ENTRY_ID_BYTES);
    for (int i = 0; i < SPACE_HEX / 2;
         i++) /* printed as a number: the first digit is the highest */
        out->space = out->space << 8 | space.bytes[i];
    return STATUS_OK;
}

static enum status read_sums(const Reprise__V1__Entry *message, struct cache_import *out,
                             struct failure *failure)
{
    const ProtobufCBinaryData *sums = &message->field_sums;
    if (sums->len == 0)
        return STATUS_OK;
    if (sums->data[0] != SUMS_VERSION)
        return failure_set(failure, STATUS_BAD_MESSAGE, "field_sums",
                           "not what Scroll has written");
    out->has_fields = true;
    out->fields = (struct text){(const char *)sums->data + 1, sums->len - 1};
    return STATUS_OK;
}

static enum status read_info(const Reprise__V1__AnswerInfo *info, struct arena *arena,
                             struct cache_set_request *out, struct failure *failure)
{
    if (info == NULL)
        return STATUS_OK;
    if (codec_pack(&info->base, arena, &out->info) != STATUS_OK)
        return codec_spent(failure);
    out->content_type = text_of(info->content_type);
    return STATUS_OK;
}

static enum status read_lists(const Reprise__V1__Entry *message, struct arena *arena,
                              struct cache_set_request *out, struct failure *failure)
{
    out->tags_count = message->n_tags;
    out->tags = codec_texts(message->tags, message->n_tags, arena);
    out->metadata_count = message->n_metadata;
    out->depends_on_count = message->n_depends_on;
    if (out->tags == NULL ||
        codec_attributes(message->metadata, message->n_metadata, arena, &out->metadata) !=
            STATUS_OK ||
        codec_dependencies(message->depends_on, message->n_depends_on, arena, &out->depends_on) !=
            STATUS_OK)
        return codec_spent(failure);
    return STATUS_OK;
}

static enum status read_entry(const Reprise__V1__Entry *message, struct arena *arena,
                              struct cache_import *out, struct failure *failure)
{
    struct cache_import entry = {
        .created_ms = message->created_unix_ms,
        .expires_ms = message->expires_unix_ms,
        .set = {.content = text_of(message->content),
                .blob = {(const char *)message->blob.data, message->blob.len},
                .pinned = message->pinned != 0},
        .freshness = {.ttl_ms = message->ttl_ms,
                      .sliding_ms = message->sliding_max_ms,
                      .revalidate_ms = message->stale_while_revalidate_ms,
                      .if_error_ms = message->stale_if_error_ms,
                      .negative = message->negative != 0},
    };
    enum status status = read_ids(message, &entry, failure);
    if (status == STATUS_OK)
        status = codec_identity(message->identity, arena, &entry.set.identity, failure);
    if (status == STATUS_OK)
        status =
            codec_vector(message->vector, arena, &entry.set.vector, &entry.set.dimension, failure);
    if (status == STATUS_OK)
        status = read_sums(message, &entry, failure);
    if (status == STATUS_OK)
        status = read_info(message->info, arena, &entry.set, failure);
    if (status == STATUS_OK)
        status = read_lists(message, arena, &entry.set, failure);
    if (status == STATUS_OK)
        *out = entry;
    return status;
}

enum status codec_read_import(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct codec_import *out,
                              struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_IMPORT, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__ImportRequest *message = (const Reprise__V1__ImportRequest *)unpacked;
    struct codec_import request = {
        .entries = arena_calloc(arena, message->n_entries, sizeof(*request.entries)),
        .count = message->n_entries,
        .options = {.overwrite = message->overwrite != 0, .dry_run = message->dry_run != 0},
    };
    if (request.entries == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < request.count && status == STATUS_OK; i++) {
        char place[32];
        status = read_entry(message->entries[i], arena, &request.entries[i], failure);
        (void)snprintf(place, sizeof(place), "entries[%zu]", i);
        if (status != STATUS_OK)
            failure_prefix(failure, place);
    }
    if (status == STATUS_OK)
        *out = request;
    return status;
}

enum status codec_write_import(const struct cache_import_reply *reply, struct arena *arena,
                               struct codec_reply *out)
{
    Reprise__V1__ImportResponse message = REPRISE__V1__IMPORT_RESPONSE__INIT;
    assert(reply->indexed <= reply->imported);
    message.imported = reply->imported;
    message.kept = reply->kept;
    message.expired = reply->expired;
    message.indexed = reply->indexed;
    message.evicted = reply->evicted;
    message.unindexed = reply->unindexed;
    return codec_reply_pack(&message.base, arena, out);
}
