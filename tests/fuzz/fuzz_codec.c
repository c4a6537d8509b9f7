/*
 * fuzz_codec.c - any bytes at the codec's door. The first byte chooses the request, the rest is its
 * message. Beyond "it does not crash", four things hold: what codec_check lets through protobuf-c
 * can unpack, with bounded memory; what was unpacked and packed again passes codec_check; a refusal
 * names its status; a Get that goes the short way says what it says the general way.
 */
#include <stdio.h>
#include <stdlib.h>

#include "server/codec_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codec_limits limits = {
    .batch_max = 16,
    .tags_max = 16,
    .metadata_max = 16,
    .dimension_max = 64,
    .reply_max = 1 << 20,
    .answer_max = 1 << 16,
    .key = {.prompt_bytes = 1 << 18,
            .messages_max = 32,
            .attributes_max = 16,
            .stop_max = 16,
            .context_ids_max = 64},
};

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "fuzz_codec: %s\n", what);
    abort();
}

/* How many Params the bytes hold: protobuf-c 1.4 cannot merge two of them (see codec_unpack.c). */
static size_t count_params(const ProtobufCMessageDescriptor *message, const uint8_t *at,
                           const uint8_t *end)
{
    size_t count = message == &reprise__v1__params__descriptor ? 1 : 0;
    while (at != end) {
        struct wire_field field;
        must(wire_next(&at, end, &field), "checked bytes are broken");
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(message, field.number);
        if (known != NULL && known->type == PROTOBUF_C_TYPE_MESSAGE)
            count += count_params(known->descriptor, field.payload, field.payload + field.length);
    }
    return count;
}

static void unpack_and_pack(enum codec_message type, struct text bytes, struct arena *arena)
{
    const ProtobufCMessageDescriptor *descriptor = codec_descriptor(type);
    ProtobufCMessage *message = NULL;
    if (codec_unpack_as(descriptor, bytes, arena, &message, NULL) != STATUS_OK) {
        const uint8_t *start = (const uint8_t *)bytes.bytes;
        /* Nor can two requests of a stream, or two namespaces. */
        must(type == CODEC_GET_STREAM || type == CODEC_UPDATE_NAMESPACE ||
                 count_params(descriptor, start, start + bytes.length) > 1,
             "checked bytes cannot be unpacked");
        return;
    }
    must(arena_used_bytes(arena) <= 65536 + 64 * bytes.length, "unpacking cost too much memory");
    struct text again;
    must(codec_pack(message, arena, &again) == STATUS_OK, "an unpacked message cannot be packed");
    must(codec_check_as(descriptor, again, &limits, NULL) == STATUS_OK,
         "a packed message is refused");
}

static bool is_same(const struct identity *a, const struct identity *b)
{
    const size_t lists = b->messages_count + b->attributes_count + b->context_ids_count;
    return text_equal(a->namespace_, b->namespace_) && text_equal(a->model, b->model) &&
           text_equal(a->prompt, b->prompt) && text_equal(a->system_prompt, b->system_prompt) &&
           text_equal(a->embedder, b->embedder) && text_equal(a->tools_json, b->tools_json) &&
           text_equal(a->tool_choice_json, b->tool_choice_json) &&
           text_equal(a->response_format_json, b->response_format_json) && lists == 0;
}

static void compare_ways(struct text bytes, struct arena *arena)
{
    struct cache_get_request plain, general;
    if (!codec_plain_get(bytes, &plain))
        return;
    must(codec_general_get(bytes, &limits, arena, &general, NULL) == STATUS_OK,
         "the short way takes what the general way refuses");
    must(is_same(&plain.identity, &general.identity), "the two ways of a Get differ");
    must(general.vector == NULL && general.include == 0 && !general.min_similarity_given &&
             !general.only_exact && !general.only_semantic,
         "the short way leaves something out");
}

/* The same message twice: as the first it may be a head, as the second it may not. */
static enum status capture(struct text bytes, struct arena *arena, struct failure *failure)
{
    enum codec_part part = CODEC_PART_NONE;
    struct codec_capture *stream = codec_capture_create(arena);
    must(stream != NULL, "no memory for a capture");
    enum status status = codec_capture_take(stream, bytes, &limits, &part, failure);
    if (status != STATUS_OK)
        return status;
    must(part == CODEC_PART_HEAD, "a stream begins with something else");
    must(codec_capture_take(stream, bytes, &limits, &part, NULL) != STATUS_OK,
         "a stream has two heads");
    return STATUS_OK;
}

static enum status read_request(enum codec_message type, struct text bytes, struct arena *arena,
                                struct failure *failure)
{
    struct cache_get_request get = {.include = 0};
    struct cache_set_request set;
    struct codec_get_item *gets = NULL;
    struct codec_set_item *sets = NULL;
    struct cache_delete_request doomed;
    struct cache_touch_request touched;
    struct cache_selector selector;
    struct codec_report report;
    struct cache_namespace_change change;
    struct codec_pace pace;
    struct codec_reflection reflection;
    struct text text;
    size_t count = 0;
    switch (type) {
    case CODEC_GET:
        compare_ways(bytes, arena);
        return codec_read_get(bytes, &limits, arena, &get, failure);
    case CODEC_SET:
        return codec_read_set(bytes, &limits, arena, &set, failure);
    case CODEC_BATCH_GET:
        return codec_read_batch_get(bytes, &limits, arena, &gets, &count, failure);
    case CODEC_BATCH_SET:
        return codec_read_batch_set(bytes, &limits, arena, &sets, &count, failure);
    case CODEC_DELETE:
        return codec_read_delete(bytes, &limits, arena, &doomed, failure);
    case CODEC_TOUCH:
        return codec_read_touch(bytes, &limits, arena, &touched, failure);
    case CODEC_INVALIDATE:
        return codec_read_invalidate(bytes, &limits, arena, &selector, failure);
    case CODEC_REPORT:
        return codec_read_report(bytes, &limits, arena, &report, failure);
    case CODEC_STATS:
        return codec_read_stats(bytes, &limits, arena, &text, failure);
    case CODEC_CREATE_SNAPSHOT:
        return codec_read_create_snapshot(bytes, &limits, arena, &text, failure);
    case CODEC_DELETE_SNAPSHOT:
        return codec_read_delete_snapshot(bytes, &limits, arena, &text, failure);
    case CODEC_UPDATE_NAMESPACE:
        return codec_read_update_namespace(bytes, &limits, arena, &change, failure);
    case CODEC_RELEASE_LEASE:
        return codec_read_release_lease(bytes, &limits, arena, &text, failure);
    case CODEC_GET_STREAM:
        return codec_read_get_stream(bytes, &limits, arena, &get, &pace, failure);
    case CODEC_SET_STREAM:
        return capture(bytes, arena, failure);
    case CODEC_HEALTH_CHECK:
        return codec_read_health(bytes, &limits, arena, &text, failure);
    case CODEC_REFLECTION:
        return codec_read_reflection(bytes, &limits, arena, &reflection, failure);
    case CODEC_MESSAGES_COUNT:
        break;
    }
    return STATUS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = NULL;
    if (size == 0 || arena_create(&arena) != STATUS_OK)
        return 0;
    const enum codec_message type = (enum codec_message)(data[0] % CODEC_MESSAGES_COUNT);
    const struct text bytes = {(const char *)data + 1, size - 1};
    struct failure failure = {.status = STATUS_OK};
    if (codec_check(type, bytes, &limits, &failure) == STATUS_OK)
        unpack_and_pack(type, bytes, arena);
    arena_reset(arena);
    failure.status = STATUS_OK;
    const enum status status = read_request(type, bytes, arena, &failure);
    must(status == failure.status, "a refusal does not name its status");
    arena_destroy(&arena);
    return 0;
}
