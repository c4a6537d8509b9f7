/*
 * codec_capture.c - a SetStream, message by message, until it is the SetRequest that it comes to.
 *
 * In protobuf the bytes of two messages, one behind the other, are the merged message. So the
 * request is put together from bytes: the head as it came, then an `info` with what deltas and
 * finish brought, then `content`; and it goes the way of every Set from there on (codec_read.c),
 * with the same checks. What the head says of reasoning, refusal, tool calls, finish and usage is
 * thus overwritten by what came later, and kept where nothing came.
 *
 * Limits are kept as the pieces come: a stream never holds more than two answers of the largest
 * size and a head. Owns nothing but what lies in the arena. Threads: the stream's owner.
 */
#include "server/codec_internal.h"

#include <assert.h>

/* Field numbers of proto/reprise/v1/{cache,common}.proto. */
enum {
    STREAM_HEAD = 1,
    STREAM_DELTA = 2,
    STREAM_FINISH = 3,
    DELTA_CONTENT = 2,
    DELTA_REASONING = 3,
    DELTA_REFUSAL = 4,
    DELTA_TOOL_CALLS_JSON = 5,
    FINISH_FINISH_REASON = 1,
    FINISH_USAGE = 2,
    FINISH_EXTRA_CHOICES_JSON = 3,
    SET_INFO = 2,
    SET_CONTENT = 100,
    INFO_REASONING = 1,
    INFO_REFUSAL = 2,
    INFO_TOOL_CALLS_JSON = 3,
    INFO_FINISH_REASON = 4,
    INFO_USAGE = 5,
    INFO_EXTRA_CHOICES_JSON = 10,
};

struct codec_capture {
    struct arena *arena;
    struct text head; /* the SetRequest; empty: it has not come */
    struct text lease_token;
    struct wire content, reasoning, refusal, tool_calls; /* so far */
    struct wire finish;   /* fields of an AnswerInfo                 */
    uint64_t waste_bytes; /* of long messages, what was no text of ours: their bytes may stay */
    bool has_head, is_finished;
};

struct codec_capture *codec_capture_create(struct arena *arena)
{
    struct codec_capture *capture = arena_calloc(arena, 1, sizeof(*capture));
    if (capture == NULL)
        return NULL;
    capture->arena = arena;
    wire_init(&capture->content, arena, 1024);
    wire_init(&capture->reasoning, arena, 0);
    wire_init(&capture->refusal, arena, 0);
    wire_init(&capture->tool_calls, arena, 0);
    wire_init(&capture->finish, arena, 0);
    return capture;
}

struct text codec_capture_lease(const struct codec_capture *capture)
{
    return capture->lease_token;
}

/* ---- The parts -------------------------------------------------------------- */

/* Looked at in full: what is wrong with the question is said before the answer is sent. */
static enum status take_head(struct codec_capture *capture, struct text payload,
                             const struct codec_limits *limits, struct failure *failure)
{
    struct wire copy;
    wire_init(&copy, capture->arena, payload.length);
    wire_raw(&copy, payload);
    struct cache_set_request request;
    if (wire_done(&copy, &capture->head) != STATUS_OK)
        return codec_spent(failure);
    enum status status = codec_read_set(capture->head, limits, capture->arena, &request, failure);
    if (status == STATUS_OK && request.content.length + request.blob.length > 0)
        status = failure_set(failure, STATUS_AMBIGUOUS_INPUT,
                             request.content.length > 0 ? "content" : "blob",
                             "of a stream the answer comes in deltas");
    if (status != STATUS_OK) {
        failure_prefix(failure, "head");
        return status;
    }
    capture->lease_token = request.lease_token;
    capture->has_head = true;
    return STATUS_OK;
}

static struct wire *text_of_delta(struct codec_capture *capture, uint32_t number)
{
    switch (number) {
    case DELTA_CONTENT:
        return &capture->content;
    case DELTA_REASONING:
        return &capture->reasoning;
    case DELTA_REFUSAL:
        return &capture->refusal;
    case DELTA_TOOL_CALLS_JSON:
        return &capture->tool_calls;
    default: /* a field that we do not know */
        return NULL;
    }
}

static size_t text_bytes(const struct codec_capture *capture)
{
    return capture->content.length + capture->reasoning.length + capture->refusal.length +
           capture->tool_calls.length;
}

static enum status check_sizes(const struct codec_capture *capture,
                               const struct codec_limits *limits, struct failure *failure)
{
    const uint64_t others =
        (uint64_t)capture->reasoning.length + capture->refusal.length + capture->tool_calls.length;
    if (capture->content.length > limits->answer_max || others > limits->answer_max)
        return failure_set(failure, STATUS_ENTRY_TOO_LARGE,
                           others > limits->answer_max ? "delta" : "delta.content",
                           "at most limits.answer = %llu bytes",
                           (unsigned long long)limits->answer_max);
    const bool is_spent = capture->content.spent || capture->reasoning.spent ||
                          capture->refusal.spent || capture->tool_calls.spent;
    return is_spent ? codec_spent(failure) : STATUS_OK;
}

/* The sizes are looked at after each field, so that no message grows the texts far beyond. */
static enum status take_delta(struct codec_capture *capture, struct text payload,
                              const struct codec_limits *limits, struct failure *failure)
{
    const uint8_t *at = (const uint8_t *)payload.bytes;
    const uint8_t *end = payload.length > 0 ? at + payload.length : at;
    enum status status = STATUS_OK;
    const size_t before = text_bytes(capture);
    while (at != end && status == STATUS_OK) {
        struct wire_field field;
        bool whole = wire_next(&at, end, &field);
        assert(whole); /* codec_check has walked here before */
        struct wire *text = text_of_delta(capture, field.number);
        if (text == NULL)
            continue;
        wire_raw(text, (struct text){(const char *)field.payload, field.length});
        status = check_sizes(capture, limits, failure);
    }
    if (payload.length > CODEC_BORROW_BYTES)
        capture->waste_bytes += payload.length - (text_bytes(capture) - before);
    if (status == STATUS_OK && capture->waste_bytes > limits->answer_max)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "delta",
                           "more bytes of fields that it does not have than an answer may have");
    return status;
}

static enum status take_finish(struct codec_capture *capture, struct text payload,
                               struct failure *failure)
{
    static const uint32_t numbers[] = {[FINISH_FINISH_REASON] = INFO_FINISH_REASON,
                                       [FINISH_USAGE] = INFO_USAGE,
                                       [FINISH_EXTRA_CHOICES_JSON] = INFO_EXTRA_CHOICES_JSON};
    const uint8_t *at = (const uint8_t *)payload.bytes;
    const uint8_t *end = payload.length > 0 ? at + payload.length : at;
    while (at != end) {
        struct wire_field field;
        bool whole = wire_next(&at, end, &field);
        assert(whole);
        if (field.number <= FINISH_EXTRA_CHOICES_JSON)
            wire_text(&capture->finish, numbers[field.number],
                      (struct text){(const char *)field.payload, field.length});
    }
    capture->is_finished = true;
    return capture->finish.spent ? codec_spent(failure) : STATUS_OK;
}

/* ---- Messages --------------------------------------------------------------- */

/* The one part that counts: of a oneof, the last. */
static enum codec_part find_part(struct text message, struct text *out_payload)
{
    enum codec_part part = CODEC_PART_NONE;
    const uint8_t *at = (const uint8_t *)message.bytes;
    const uint8_t *end = message.length > 0 ? at + message.length : at;
    while (at != end) {
        struct wire_field field;
        bool whole = wire_next(&at, end, &field);
        assert(whole);
        if (field.number > STREAM_FINISH)
            continue;
        part = (enum codec_part)field.number;
        *out_payload = (struct text){(const char *)field.payload, field.length};
    }
    return part;
}

static enum status check_order(const struct codec_capture *capture, enum codec_part part,
                               struct failure *failure)
{
    if (part == CODEC_PART_NONE)
        return failure_set(failure, STATUS_BAD_MESSAGE, "", "one of head, delta, finish");
    if ((part == CODEC_PART_HEAD) == capture->has_head)
        return failure_set(failure, STATUS_BAD_MESSAGE, "head",
                           "the first message is the head, and no other");
    return STATUS_OK;
}

enum status codec_capture_take(struct codec_capture *capture, struct text message,
                               const struct codec_limits *limits, enum codec_part *out_part,
                               struct failure *failure)
{
    assert(!capture->is_finished);
    struct text payload = {NULL, 0};
    enum status status = codec_check(CODEC_SET_STREAM, message, limits, failure);
    if (status != STATUS_OK)
        return status;
    *out_part = find_part(message, &payload);
    status = check_order(capture, *out_part, failure);
    if (status != STATUS_OK)
        return status;
    switch (*out_part) {
    case CODEC_PART_HEAD:
        return take_head(capture, payload, limits, failure);
    case CODEC_PART_DELTA:
        return take_delta(capture, payload, limits, failure);
    case CODEC_PART_FINISH:
        return take_finish(capture, payload, failure);
    case CODEC_PART_NONE:
        break;
    }
    return STATUS_INTERNAL;
}

static struct text so_far(const struct wire *wire)
{
    return (struct text){(const char *)wire->bytes, wire->length};
}

enum status codec_capture_request(const struct codec_capture *capture, struct text *out_request)
{
    assert(capture->is_finished);
    struct wire info, request;
    wire_init(&info, capture->arena,
              64 + capture->reasoning.length + capture->refusal.length +
                  capture->tool_calls.length + capture->finish.length);
    wire_text(&info, INFO_REASONING, so_far(&capture->reasoning));
    wire_text(&info, INFO_REFUSAL, so_far(&capture->refusal));
    wire_text(&info, INFO_TOOL_CALLS_JSON, so_far(&capture->tool_calls));
    wire_raw(&info, so_far(&capture->finish));
    wire_init(&request, capture->arena,
              64 + capture->head.length + info.length + capture->content.length);
    wire_raw(&request, capture->head);
    if (info.length > 0)
        wire_message(&request, SET_INFO, &info);
    wire_text(&request, SET_CONTENT, so_far(&capture->content));
    return info.spent ? STATUS_NO_MEMORY : wire_done(&request, out_request);
}

enum status codec_write_set_stream(const struct cache_set_reply *reply, struct arena *arena,
                                   struct codec_reply *out)
{
    enum { SET_STREAM_RESPONSE = 1 };
    struct codec_reply inner;
    enum status status = codec_write_set(reply, arena, &inner);
    if (status != STATUS_OK)
        return status;
    struct wire wire;
    wire_init(&wire, arena, 16 + inner.head.length);
    wire_open(&wire, SET_STREAM_RESPONSE, inner.head.length);
    wire_raw(&wire, inner.head);
    *out = (struct codec_reply){.tail_entry = NULL};
    return wire_done(&wire, &out->head);
}
