/*
 * codec_touch.c - Touch, both ways, and CacheControl as Get and Set carry it. Owns nothing.
 * Threads: any; all of it works in the caller's arena.
 */
#include "server/codec_internal.h"

void codec_control(const Reprise__V1__CacheControl *message, struct cache_control *out)
{
    *out = (struct cache_control){.bypass = false};
    if (message == NULL) /* as if all of it were absent */
        return;
    *out = (struct cache_control){
        .no_cache = message->no_cache != 0,
        .no_store = message->no_store != 0,
        .only_if_cached = message->only_if_cached != 0,
        .bypass = message->bypass != 0,
        .max_age_given = message->max_age_ms_given_case != 0,
        .max_age_ms = message->max_age_ms_given_case != 0 ? message->max_age_ms : 0,
        .min_fresh_ms = message->min_fresh_ms,
        .max_stale_ms = message->max_stale_ms,
    };
}

enum status codec_read_touch(struct text bytes, const struct codec_limits *limits,
                             struct arena *arena, struct cache_touch_request *out,
                             struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_TOUCH, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__TouchRequest *message = (const Reprise__V1__TouchRequest *)unpacked;
    struct cache_touch_request request = {
        .namespace_ = text_of(message->namespace_),
        .entry_ids_count = message->n_entry_ids,
        .ttl_given = message->ttl_ms_given_case != 0,
        .ttl_ms = message->ttl_ms_given_case != 0 ? message->ttl_ms : 0,
    };
    status =
        codec_ids(message->entry_ids, message->n_entry_ids, arena, &request.entry_ids, failure);
    if (status == STATUS_OK)
        *out = request;
    return status;
}

enum status codec_write_touch(const struct cache_touch_reply *reply, struct arena *arena,
                              struct codec_reply *out)
{
    Reprise__V1__TouchResponse message = REPRISE__V1__TOUCH_RESPONSE__INIT;
    message.touched = reply->touched;
    message.missing = reply->missing;
    return codec_reply_pack(&message.base, arena, out);
}
