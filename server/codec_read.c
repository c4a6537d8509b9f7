/*
 * codec_read.c - Get, Set and their batches, from wire bytes to the structs of cache/.
 *
 * A batch is cut into its items here, by the wire, and each item goes the way of a single request:
 * so a bad item fails alone, and the path in its failure is that of the item. An answer above 4 KiB
 * is never copied: protobuf-c unpacks the rest of the Set, and the answer is borrowed from the
 * request's bytes.
 *
 * What is checked: what the wire alone can say wrong (enum numbers, a threshold, a vector filled
 * twice or not at all, a missing identity). Names, lengths and the rules of identity are cache/'s,
 * for every door the same.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"

/* "tiers[2]" */
static enum status bad_choice(struct failure *failure, const char *list, size_t index,
                              const char *allowed)
{
    char field[FAILURE_FIELD_MAX];
    (void)snprintf(field, sizeof(field), "%s[%zu]", list, index);
    return failure_set(failure, STATUS_LIMIT_EXCEEDED, field, "one of %s", allowed);
}

/* ---- Identity --------------------------------------------------------------- */

static const struct key_message *read_messages(const Reprise__V1__Identity *message,
                                               struct arena *arena)
{
    struct key_message *messages = arena_calloc(arena, message->n_messages, sizeof(*messages));
    for (size_t i = 0; messages != NULL && i < message->n_messages; i++) {
        const Reprise__V1__ChatMessage *from = message->messages[i];
        messages[i] = (struct key_message){
            .role = text_of(from->role),
            .content = text_of(from->content),
            .content_json = text_of(from->content_json),
            .name = text_of(from->name),
            .tool_call_id = text_of(from->tool_call_id),
            .tool_calls_json = text_of(from->tool_calls_json),
        };
    }
    return messages;
}

enum status codec_attributes(Reprise__V1__Attribute *const *messages, size_t count,
                             struct arena *arena, const struct key_attribute **out)
{
    struct key_attribute *attributes = arena_calloc(arena, count, sizeof(*attributes));
    if (attributes == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        attributes[i] = (struct key_attribute){.name = text_of(messages[i]->name),
                                               .value = text_of(messages[i]->value)};
    *out = attributes;
    return STATUS_OK;
}

static enum status read_params(const Reprise__V1__Params *message, struct arena *arena,
                               struct key_params *out)
{
    if (message == NULL) /* as if all of it were absent */
        return STATUS_OK;
    struct key_params params = {
        .n = message->n, .stop_count = message->n_stop, .other_json = text_of(message->other_json)};
    params.temperature_given = message->temperature_given_case != 0;
    params.temperature = params.temperature_given ? message->temperature : 0;
    params.top_p_given = message->top_p_given_case != 0;
    params.top_p = params.top_p_given ? message->top_p : 0;
    params.max_tokens_given = message->max_tokens_given_case != 0;
    params.max_tokens = params.max_tokens_given ? message->max_tokens : 0;
    params.seed_given = message->seed_given_case != 0;
    params.seed = params.seed_given ? message->seed : 0;
    params.stop = codec_texts(message->stop, message->n_stop, arena);
    if (params.stop == NULL)
        return STATUS_NO_MEMORY;
    *out = params;
    return STATUS_OK;
}

enum status codec_identity(const Reprise__V1__Identity *message, struct arena *arena,
                           struct identity *out, struct failure *failure)
{
    if (message == NULL)
        return failure_set(failure, STATUS_EMPTY_PROMPT, "identity", "it is required");
    struct identity identity = {
        .namespace_ = text_of(message->namespace_),
        .model = text_of(message->model),
        .prompt = text_of(message->prompt),
        .system_prompt = text_of(message->system_prompt),
        .embedder = text_of(message->embedder),
        .messages = read_messages(message, arena),
        .messages_count = message->n_messages,
        .tools_json = text_of(message->tools_json),
        .tool_choice_json = text_of(message->tool_choice_json),
        .response_format_json = text_of(message->response_format_json),
        .attributes_count = message->n_attributes,
        .context_ids = codec_texts(message->context_ids, message->n_context_ids, arena),
        .context_ids_count = message->n_context_ids,
    };
    if (identity.messages == NULL || identity.context_ids == NULL)
        return codec_spent(failure);
    if (codec_attributes(message->attributes, message->n_attributes, arena, &identity.attributes) !=
        STATUS_OK)
        return codec_spent(failure);
    if (read_params(message->params, arena, &identity.params) != STATUS_OK)
        return codec_spent(failure);
    *out = identity;
    return STATUS_OK;
}

/* ---- Vector ----------------------------------------------------------------- */

static enum status read_halves(const ProtobufCBinaryData *halves, struct arena *arena,
                               const float **out_floats, struct failure *failure)
{
    const size_t count = halves->len / 2;
    float *floats = arena_calloc(arena, count, sizeof(*floats));
    if (floats == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < count; i++)
        floats[i] = half_to_float((uint16_t)(halves->data[2 * i] | halves->data[2 * i + 1] << 8));
    *out_floats = floats;
    return STATUS_OK;
}

/* Absent: NULL and 0. Whether the numbers are finite and not all zero is for cache/ to say. */
enum status codec_vector(const Reprise__V1__Vector *message, struct arena *arena,
                         const float **out_floats, uint32_t *out_dimension, struct failure *failure)
{
    if (message == NULL)
        return STATUS_OK;
    if (message->n_f32 > 0 && message->f16.len > 0)
        return failure_set(failure, STATUS_AMBIGUOUS_INPUT, "vector",
                           "either f32 or f16, not both");
    if (message->n_f32 == 0 && message->f16.len == 0)
        return failure_set(failure, STATUS_BAD_VECTOR, "vector", "it has no numbers");
    if (message->f16.len % 2 != 0)
        return failure_set(failure, STATUS_BAD_VECTOR, "vector.f16", "2 bytes a number");
    if (message->n_f32 > 0) {
        *out_floats = message->f32;
        *out_dimension = (uint32_t)message->n_f32;
        return STATUS_OK;
    }
    enum status status = read_halves(&message->f16, arena, out_floats, failure);
    if (status == STATUS_OK)
        *out_dimension = (uint32_t)(message->f16.len / 2);
    return status;
}

/* ---- Get -------------------------------------------------------------------- */

static enum status read_tiers(const Reprise__V1__GetRequest *message, struct cache_get_request *out,
                              struct failure *failure)
{
    bool exact = false, semantic = false;
    for (size_t i = 0; i < message->n_tiers; i++) {
        const int tier = (int)message->tiers[i];
        if (tier != CACHE_TIER_EXACT && tier != CACHE_TIER_SEMANTIC)
            return bad_choice(failure, "tiers", i, "TIER_EXACT, TIER_SEMANTIC");
        exact = exact || tier == CACHE_TIER_EXACT;
        semantic = semantic || tier == CACHE_TIER_SEMANTIC;
    }
    out->only_exact = exact && !semantic;
    out->only_semantic = semantic && !exact;
    return STATUS_OK;
}

enum status codec_include(const Reprise__V1__Include *parts, size_t count, unsigned *out_include,
                          struct failure *failure)
{
    for (size_t i = 0; i < count; i++) {
        const int part = (int)parts[i];
        if (part < REPRISE__V1__INCLUDE__INCLUDE_KEY || part > REPRISE__V1__INCLUDE__INCLUDE_ANSWER)
            return bad_choice(failure, "include", i,
                              "INCLUDE_KEY, INCLUDE_TIMING, INCLUDE_MATCHED_PROMPT, "
                              "INCLUDE_CANDIDATES, INCLUDE_ANSWER");
        *out_include |= 1U << part;
    }
    return STATUS_OK;
}

static enum status read_min_similarity(const Reprise__V1__GetRequest *message,
                                       struct cache_get_request *out, struct failure *failure)
{
    if (message->min_similarity_given_case == 0)
        return STATUS_OK;
    const float value = message->min_similarity;
    if (!(value >= 0 && value <= 1)) /* so that NaN is refused too */
        return failure_set(failure, STATUS_BAD_THRESHOLD, "min_similarity", "%s",
                           status_text(STATUS_BAD_THRESHOLD));
    out->min_similarity_given = true;
    out->min_similarity = value;
    return STATUS_OK;
}

enum status codec_general_get(struct text bytes, const struct codec_limits *limits,
                              struct arena *arena, struct cache_get_request *out,
                              struct failure *failure)
{
    ProtobufCMessage *unpacked = NULL;
    enum status status = codec_unpack(CODEC_GET, bytes, limits, arena, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    return codec_get_message((const Reprise__V1__GetRequest *)unpacked, arena, out, failure);
}

enum status codec_get_message(const Reprise__V1__GetRequest *message, struct arena *arena,
                              struct cache_get_request *out, struct failure *failure)
{
    struct cache_get_request request = {.include = 0};
    codec_control(message->cache_control, &request.control);
    enum status status = codec_identity(message->identity, arena, &request.identity, failure);
    if (status == STATUS_OK)
        status = codec_vector(message->vector, arena, &request.vector, &request.dimension, failure);
    if (status == STATUS_OK)
        status = read_tiers(message, &request, failure);
    if (status == STATUS_OK)
        status = codec_include(message->include, message->n_include, &request.include, failure);
    if (status == STATUS_OK)
        status = read_min_similarity(message, &request, failure);
    if (status == STATUS_OK)
        status = codec_lease_request(message->lease, &request, failure);
    if (status == STATUS_OK)
        *out = request;
    return status;
}

enum status codec_read_get(struct text bytes, const struct codec_limits *limits,
                           struct arena *arena, struct cache_get_request *out,
                           struct failure *failure)
{
    if (codec_plain_get(bytes, out))
        return STATUS_OK;
    return codec_general_get(bytes, limits, arena, out, failure);
}

/* ---- Set -------------------------------------------------------------------- */

enum { SET_INFO = 2, SET_CONTENT = 100, SET_BLOB = 101 };

/* Where the parts of a Set lie that are kept as bytes. Of a field that comes twice, the last. */
struct set_parts {
    struct text info, content, blob;
    size_t infos_count;
};

static void find_parts(struct text bytes, struct set_parts *out)
{
    *out = (struct set_parts){.infos_count = 0};
    const uint8_t *at = (const uint8_t *)bytes.bytes, *end = at;
    end = bytes.length > 0 ? at + bytes.length : at;
    while (at != end) {
        struct wire_field field;
        bool whole = wire_next(&at, end, &field);
        assert(whole); /* codec_check has walked here before */
        const struct text payload = {(const char *)field.payload, field.length};
        if (field.number == SET_INFO) {
            out->info = payload;
            out->infos_count++;
        } else if (field.number == SET_CONTENT) {
            out->content = payload;
        } else if (field.number == SET_BLOB) {
            out->blob = payload;
        }
    }
}

/* A copy of the request without its answer. */
static enum status without_answer(struct text bytes, struct arena *arena, struct text *out)
{
    struct wire rest;
    wire_init(&rest, arena, 1024);
    const uint8_t *at = (const uint8_t *)bytes.bytes, *end = at + bytes.length;
    while (at != end) {
        struct wire_field field;
        bool whole = wire_next(&at, end, &field);
        assert(whole);
        if (field.number != SET_CONTENT && field.number != SET_BLOB)
            wire_raw(&rest, (struct text){(const char *)field.start, (size_t)(at - field.start)});
    }
    return wire_done(&rest, out);
}

static enum status unpack_set(struct text bytes, struct arena *arena, struct set_parts *out_parts,
                              ProtobufCMessage **out_message, struct failure *failure)
{
    find_parts(bytes, out_parts);
    struct text rest = bytes;
    if (out_parts->content.length + out_parts->blob.length > CODEC_BORROW_BYTES) {
        if (without_answer(bytes, arena, &rest) != STATUS_OK)
            return codec_spent(failure);
    }
    return codec_unpack_as(codec_descriptor(CODEC_SET), rest, arena, out_message, failure);
}

/* What came in one piece is kept as it came; what came in several is the merged message, packed
 * again. */
static enum status read_info(const Reprise__V1__AnswerInfo *info, const struct set_parts *parts,
                             struct arena *arena, struct cache_set_request *out,
                             struct failure *failure)
{
    if (info == NULL)
        return STATUS_OK;
    out->info = parts->info;
    if (parts->infos_count > 1 && codec_pack(&info->base, arena, &out->info) != STATUS_OK)
        return codec_spent(failure);
    out->finish_reason = text_of(info->finish_reason);
    out->refusal = text_of(info->refusal);
    out->content_type = text_of(info->content_type);
    out->other_parts = info->reasoning[0] != '\0' || info->tool_calls_json[0] != '\0' ||
                       info->extra_choices_json[0] != '\0';
    out->further_choices = info->extra_choices_json[0] != '\0';
    return STATUS_OK;
}

enum status codec_dependencies(Reprise__V1__Dependency *const *messages, size_t count,
                               struct arena *arena, const struct key_attribute **out)
{
    struct key_attribute *depends_on = arena_calloc(arena, count, sizeof(*depends_on));
    if (depends_on == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        depends_on[i] = (struct key_attribute){.name = text_of(messages[i]->id),
                                               .value = text_of(messages[i]->version)};
    *out = depends_on;
    return STATUS_OK;
}

static enum status read_lists(const Reprise__V1__SetRequest *message, struct arena *arena,
                              struct cache_set_request *out, struct failure *failure)
{
    out->tags_count = message->n_tags;
    out->tags = codec_texts(message->tags, message->n_tags, arena);
    if (out->tags == NULL)
        return codec_spent(failure);
    out->metadata_count = message->n_metadata;
    if (codec_attributes(message->metadata, message->n_metadata, arena, &out->metadata) !=
        STATUS_OK)
        return codec_spent(failure);
    if (codec_dependencies(message->depends_on, message->n_depends_on, arena, &out->depends_on) !=
        STATUS_OK)
        return codec_spent(failure);
    out->depends_on_count = message->n_depends_on;
    return STATUS_OK;
}

static void read_life(const Reprise__V1__SetRequest *message, struct cache_set_request *out)
{
    codec_control(message->cache_control, &out->control);
    out->sliding = message->sliding != 0;
    out->sliding_max_ms = message->sliding_max_ms;
    out->stale_while_revalidate_ms = message->stale_while_revalidate_ms;
    out->stale_if_error_ms = message->stale_if_error_ms;
    out->pinned = message->pinned != 0;
    out->if_absent = message->if_absent != 0;
    out->negative = message->negative != 0;
}

static enum status read_ack(Reprise__V1__Ack ack, enum journal_ack *out, struct failure *failure)
{
    static_assert((int)REPRISE__V1__ACK__ACK_SYNCED == (int)ACK_SYNCED, "numbers as in proto");
    if ((int)ack < (int)ACK_DEFAULT || (int)ack > (int)ACK_SYNCED)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "ack",
                           "one of ACK_MEMORY, ACK_LOGGED, ACK_SYNCED, or none");
    *out = (enum journal_ack)ack;
    return STATUS_OK;
}

enum status codec_read_set(struct text bytes, const struct codec_limits *limits,
                           struct arena *arena, struct cache_set_request *out,
                           struct failure *failure)
{
    enum status status = codec_check(CODEC_SET, bytes, limits, failure);
    if (status != STATUS_OK)
        return status;
    struct set_parts parts;
    ProtobufCMessage *unpacked = NULL;
    status = unpack_set(bytes, arena, &parts, &unpacked, failure);
    if (status != STATUS_OK)
        return status;
    const Reprise__V1__SetRequest *message = (const Reprise__V1__SetRequest *)unpacked;
    struct cache_set_request request = {.content = parts.content, .blob = parts.blob};
    read_life(message, &request);
    request.ttl_given = message->ttl_ms_given_case != 0;
    request.ttl_ms = request.ttl_given ? message->ttl_ms : 0;
    request.lease_token = text_of(message->lease_token);
    status = codec_identity(message->identity, arena, &request.identity, failure);
    if (status == STATUS_OK)
        status = codec_vector(message->vector, arena, &request.vector, &request.dimension, failure);
    if (status == STATUS_OK)
        status = read_info(message->info, &parts, arena, &request, failure);
    if (status == STATUS_OK)
        status = read_ack(message->ack, &request.ack, failure);
    if (status == STATUS_OK)
        status = read_lists(message, arena, &request, failure);
    if (status == STATUS_OK)
        *out = request;
    return status;
}

/* ---- Batches ---------------------------------------------------------------- */

enum { BATCH_ITEMS = 1 };

/* The bytes of each item. Only the batch's own level is looked at: an item is checked when it is
 * read. */
static enum status split_batch(struct text bytes, const struct codec_limits *limits,
                               struct arena *arena, struct text **out_items, size_t *out_count,
                               struct failure *failure)
{
    struct text *items = arena_alloc(arena, limits->batch_max * sizeof(*items));
    if (items == NULL)
        return codec_spent(failure);
    size_t count = 0, unknown = 0;
    const uint8_t *at = (const uint8_t *)bytes.bytes;
    const uint8_t *end = bytes.length > 0 ? at + bytes.length : at;
    while (at != end) {
        struct wire_field field;
        if (!wire_next(&at, end, &field))
            return failure_set(failure, STATUS_BAD_MESSAGE, "", "the bytes are cut off");
        const bool item = field.number == BATCH_ITEMS;
        if (item && field.type != WIRE_LENGTH)
            return failure_set(failure, STATUS_BAD_MESSAGE, "items", "an item is a message");
        if (item ? count == limits->batch_max : ++unknown > CODEC_UNKNOWN_MAX)
            return failure_set(failure, STATUS_LIMIT_EXCEEDED, item ? "items" : "",
                               "at most %u items and %d unknown fields", limits->batch_max,
                               CODEC_UNKNOWN_MAX);
        if (item)
            items[count++] = (struct text){(const char *)field.payload, field.length};
    }
    if (count == 0)
        return failure_set(failure, STATUS_LIMIT_EXCEEDED, "items", "1 to %u items",
                           limits->batch_max);
    *out_items = items;
    *out_count = count;
    return STATUS_OK;
}

enum status codec_read_batch_get(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_get_item **out_items,
                                 size_t *out_count, struct failure *failure)
{
    struct text *parts = NULL;
    size_t count = 0;
    enum status status = split_batch(bytes, limits, arena, &parts, &count, failure);
    if (status != STATUS_OK)
        return status;
    /* Not zeroed: 700 bytes an item, of which most are the texts of a failure that did not happen.
     */
    struct codec_get_item *items = arena_alloc(arena, count * sizeof(*items));
    if (items == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < count; i++) {
        struct codec_get_item *item = &items[i];
        item->failure.status =
            codec_read_get(parts[i], limits, arena, &item->request, &item->failure);
        if (item->failure.status == STATUS_OK && item->request.lease != CACHE_LEASE_NONE)
            (void)failure_set(&item->failure, STATUS_LIMIT_EXCEEDED, "lease",
                              "a batch gives no leases; ask alone");
    }
    *out_items = items;
    *out_count = count;
    return STATUS_OK;
}

enum status codec_read_batch_set(struct text bytes, const struct codec_limits *limits,
                                 struct arena *arena, struct codec_set_item **out_items,
                                 size_t *out_count, struct failure *failure)
{
    struct text *parts = NULL;
    size_t count = 0;
    enum status status = split_batch(bytes, limits, arena, &parts, &count, failure);
    if (status != STATUS_OK)
        return status;
    struct codec_set_item *items = arena_calloc(arena, count, sizeof(*items));
    if (items == NULL)
        return codec_spent(failure);
    for (size_t i = 0; i < count; i++)
        items[i].failure.status =
            codec_read_set(parts[i], limits, arena, &items[i].request, &items[i].failure);
    *out_items = items;
    *out_count = count;
    return STATUS_OK;
}
