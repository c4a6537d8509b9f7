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

/* Whether a message that may stand once stands twice in its parent: protobuf-c 1.4 cannot merge two
 * that hold an optional number (see codec_unpack.c). */
static bool has_twins(const ProtobufCMessageDescriptor *message, const uint8_t *at,
                      const uint8_t *end)
{
    uint64_t seen = 0; /* by place among the message's fields */
    while (at != end) {
        struct wire_field field;
        must(wire_next(&at, end, &field), "checked bytes are broken");
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(message, field.number);
        if (known == NULL || known->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const uint64_t place = (uint64_t)1 << ((known - message->fields) % 64);
        if (known->label != PROTOBUF_C_LABEL_REPEATED && (seen & place) != 0)
            return true;
        seen |= place;
        if (has_twins(known->descriptor, field.payload, field.payload + field.length))
            return true;
    }
    return false;
}

static void unpack_and_pack(enum codec_message type, struct text bytes, struct arena *arena)
{
    const ProtobufCMessageDescriptor *descriptor = codec_descriptor(type);
    ProtobufCMessage *message = NULL;
    if (codec_unpack_as(descriptor, bytes, arena, &message, NULL) != STATUS_OK) {
        const uint8_t *start = (const uint8_t *)bytes.bytes;
        must(has_twins(descriptor, start, start + bytes.length),
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

struct scratch { /* what a reader writes; nobody looks */
    struct cache_get_request get;
    struct cache_set_request set;
    struct codec_get_item *gets;
    struct codec_set_item *sets;
    struct cache_delete_request doomed;
    struct cache_touch_request touched;
    struct cache_selector selector;
    struct codec_report report, *reports;
    struct cache_namespace_change change;
    struct cache_policy_scope scope;
    struct cache_search_request search;
    struct cache_explain_request explain;
    struct cache_page_request page;
    struct codec_entry_request entry;
    struct codec_import import;
    struct codec_listing listing;
    struct codec_drop drop;
    struct codec_calibrate calibrate;
    struct codec_config config;
    struct monitor_filter filter;
    uint32_t number;
    struct codec_pace pace;
    struct codec_reflection reflection;
    struct text text;
    size_t count;
};

/* A message that is read in one call is a row here. */
/* clang-format off */
#define READERS(X) \
    X(SET,              set,              &out.set) \
    X(BATCH_GET,        batch_get,        &out.gets, &out.count) \
    X(BATCH_SET,        batch_set,        &out.sets, &out.count) \
    X(DELETE,           delete,           &out.doomed) \
    X(TOUCH,            touch,            &out.touched) \
    X(INVALIDATE,       invalidate,       &out.selector) \
    X(REPORT,           report,           &out.report) \
    X(STATS,            stats,            &out.text) \
    X(CREATE_SNAPSHOT,  create_snapshot,  &out.text) \
    X(DELETE_SNAPSHOT,  delete_snapshot,  &out.text) \
    X(UPDATE_NAMESPACE, update_namespace, &out.change) \
    X(CREATE_NAMESPACE, create_namespace, &out.change) \
    X(GET_NAMESPACE,    get_namespace,    &out.text) \
    X(LIST_NAMESPACES,  list_namespaces,  &out.listing) \
    X(DROP_NAMESPACE,   drop_namespace,   &out.drop) \
    X(WATCH_STATS,      watch_stats,      &out.text, &out.number) \
    X(MONITOR,          monitor,          &out.filter) \
    X(GET_CONFIG,       get_config,       &out.text) \
    X(SET_CONFIG,       set_config,       &out.config) \
    X(CALIBRATE,        calibrate,        &out.calibrate) \
    X(SET_POLICY,       set_policy,       &out.change) \
    X(BATCH_REPORT,     batch_report,     &out.reports, &out.count) \
    X(SEARCH,           search,           &out.search) \
    X(EXPLAIN,          explain,          &out.explain) \
    X(SCROLL,           scroll,           &out.page) \
    X(GET_ENTRY,        get_entry,        &out.entry) \
    X(IMPORT,           import,           &out.import) \
    X(RELEASE_LEASE,    release_lease,    &out.text) \
    X(GET_STREAM,       get_stream,       &out.get, &out.pace) \
    X(HEALTH_CHECK,     health,           &out.text) \
    X(REFLECTION,       reflection,       &out.reflection)
/* clang-format on */

static enum status read_request(enum codec_message type, struct text bytes, struct arena *arena,
                                struct failure *failure)
{
    static struct scratch out;
    switch (type) {
#define READER_CASE(name, verb, ...)                                                               \
    case CODEC_##name:                                                                             \
        return codec_read_##verb(bytes, &limits, arena, __VA_ARGS__, failure);
        READERS(READER_CASE)
#undef READER_CASE
    case CODEC_GET:
        compare_ways(bytes, arena);
        return codec_read_get(bytes, &limits, arena, &out.get, failure);
    case CODEC_GET_POLICY:
    case CODEC_DESCRIBE_POLICY:
    case CODEC_SHADOW_REPORT:
        return codec_read_policy_scope(type, bytes, &limits, arena, &out.scope, failure);
    case CODEC_SET_STREAM:
        return capture(bytes, arena, failure);
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
