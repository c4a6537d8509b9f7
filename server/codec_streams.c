/*
 * codec_streams.c - GetStream on the wire: its request, and the head, deltas and finish of its
 * reply. The text of a delta stands last in its message, so that it is never copied: what is
 * written here is what stands before it. NOT HERE. SetStream (codec_capture.c).
 * Owns nothing. Threads: any.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <string.h>

/* Field numbers of proto/reprise/v1/cache.proto. */
enum {
    STREAM_HEAD = 1,
    STREAM_DELTA = 2,
    STREAM_FINISH = 3,
    DELTA_CONTENT = 2,
    FINISH_FINISH_REASON = 1,
    FINISH_USAGE = 2,
    FINISH_EXTRA_CHOICES_JSON = 3,
    INFO_FINISH_REASON = 4,
    INFO_USAGE = 5,
    INFO_EXTRA_CHOICES_JSON = 10,
};

static enum status read_pace(const Reprise__V1__GetStreamRequest *message, struct codec_pace *out,
                             struct failure *failure)
{
    const uint32_t bytes = message->chunk_bytes;
    if (bytes != 0 && (bytes < CODEC_CHUNK_MIN || bytes > CODEC_CHUNK_MAX))
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "chunk_bytes", "%d to %d, or none",
                           CODEC_CHUNK_MIN, CODEC_CHUNK_MAX);
    *out =
        (struct codec_pace){.chunk_bytes = bytes, .tokens_per_second = message->tokens_per_second};
    return STATUS_OK;
}

enum status codec_read_get_stream(struct text bytes, const struct codec_limits *limits,
                                  struct arena *arena, struct cache_get_request *out,
                                  struct codec_pace *out_pace, struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_GET_STREAM, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__GetStreamRequest *message = (const Reprise__V1__GetStreamRequest *)unpacked;
    if (message->request == NULL)
        return failure_set(failure, STATUS_EMPTY_PROMPT, "request", "it is required");
    status = read_pace(message, out_pace, failure);
    if (status != STATUS_OK)
        return status;
    status = codec_get_message(message->request, arena, out, failure);
    if (status != STATUS_OK)
        failure_prefix(failure, "request");
    return status;
}

enum status codec_write_stream_head(const struct cache_get *get, int64_t now_ms,
                                    const struct codec_limits *limits, struct arena *arena,
                                    struct codec_reply *out, struct failure *failure)
{
    struct wire wire;
    wire_init(&wire, arena, 512);
    const struct wire_inner head = wire_begin(&wire, STREAM_HEAD, 128);
    codec_write_get_head(&wire, get, now_ms);
    wire_end(&wire, head);
    struct codec_reply packed = {.tail_entry = NULL};
    enum status status = wire_done(&wire, &packed.head);
    if (status != STATUS_OK)
        return codec_spent(failure);
    status = codec_reply_fits(&packed, limits, failure);
    if (status == STATUS_OK)
        *out = packed;
    return status;
}

size_t codec_delta_head(size_t length, char out[CODEC_DELTA_HEAD])
{
    assert(length > 0);
    uint8_t bytes[CODEC_DELTA_HEAD]; /* room for two tags and two lengths: it never grows */
    struct wire wire = {.bytes = bytes, .capacity = sizeof(bytes)};
    wire_open(&wire, STREAM_DELTA, wire_size(length));
    wire_open(&wire, DELTA_CONTENT, length);
    assert(wire.bytes == bytes);
    memcpy(out, bytes, wire.length);
    return wire.length;
}

enum status codec_write_stream_finish(struct text info, struct arena *arena,
                                      struct codec_reply *out)
{
    struct wire wire;
    wire_init(&wire, arena, 128);
    const struct wire_inner finish = wire_begin(&wire, STREAM_FINISH, 32);
    const uint8_t *at = (const uint8_t *)info.bytes, *end = at;
    end = info.length > 0 ? at + info.length : at;
    struct wire_field field;
    while (at != end && wire_next(&at, end, &field)) {
        const struct text payload = {(const char *)field.payload, field.length};
        if (field.type != WIRE_LENGTH)
            continue;
        if (field.number == INFO_FINISH_REASON)
            wire_text(&wire, FINISH_FINISH_REASON, payload);
        else if (field.number == INFO_USAGE)
            wire_text(&wire, FINISH_USAGE, payload);
        else if (field.number == INFO_EXTRA_CHOICES_JSON)
            wire_text(&wire, FINISH_EXTRA_CHOICES_JSON, payload);
    }
    wire_end(&wire, finish);
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head);
}
