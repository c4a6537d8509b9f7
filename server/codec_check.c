/*
 * codec_check.c - what protobuf-c does not look at, looked at before it unpacks: nesting, text,
 * counts.
 *
 * protobuf-c 1.4 recurses as deep as the bytes say (10,000 levels in 35 KB overflow an 8 MiB
 * stack), cuts strings at NUL (so that "a\0b" would be cached as "a"), does not check UTF-8, and
 * allocates a struct and a pointer for each two-byte empty element. The walk below needs no
 * recursion, no allocation and no path: frames on the stack hold where it stands, and the path of a
 * field is put together only when it is refused.
 *
 * Counts. A message that stands once but comes twice on the wire is merged, its lists appended; so
 * counts run on over such a repetition and start again only with each item of a batch (the first
 * rows, an outer list before the one inside it). Every list of a request is reached by one way
 * only, which lets one counter a row of the table serve. Repetitions of what stands once are
 * counted too: each costs protobuf-c an allocation for two bytes of ours.
 *
 * Known fields with another wire type are refused, as protobuf-c refuses them. Unknown fields are
 * skipped and at most 64; what is nested in them is never entered.
 */
#include "server/codec_internal.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* ---- How many elements a list may have -------------------------------------- */

struct rule {
    const ProtobufCMessageDescriptor *message;
    uint32_t number;     /* of the field                                     */
    uint32_t fixed;      /* the limit; 0: it is the option at limit_offset    */
    size_t limit_offset; /* in struct codec_limits                           */
};

#define LIMIT(member) 0, offsetof(struct codec_limits, member)
/* clang-format off */
static const struct rule rules[] = {
    {&reprise__v1__batch_get_request__descriptor, 1, LIMIT(batch_max)}, /* items */
    {&reprise__v1__batch_set_request__descriptor, 1, LIMIT(batch_max)}, /* items */
    {&reprise__v1__import_request__descriptor,    1, LIMIT(batch_max)}, /* entries */
    {&reprise__v1__calibrate_request__descriptor, 3, LIMIT(batch_max)}, /* pairs */
    {&reprise__v1__labelled_pair__descriptor,     3, 2, 0}, /* vectors */
    {&reprise__v1__get_request__descriptor,       5, CODEC_CHOICES_MAX, 0}, /* tiers */
    {&reprise__v1__get_request__descriptor,       8, CODEC_CHOICES_MAX, 0}, /* include */
    {&reprise__v1__identity__descriptor,          4, LIMIT(key.messages_max)}, /* messages */
    {&reprise__v1__identity__descriptor,         10, LIMIT(key.attributes_max)}, /* attributes */
    {&reprise__v1__identity__descriptor,         11, LIMIT(key.context_ids_max)}, /* context_ids */
    {&reprise__v1__params__descriptor,            6, LIMIT(key.stop_max)}, /* stop */
    {&reprise__v1__vector__descriptor,            1, LIMIT(dimension_max)}, /* f32 */
    {&reprise__v1__vector__descriptor,            2, LIMIT(dimension_max)}, /* f16 */
    {&reprise__v1__touch_request__descriptor,     2, LIMIT(batch_max)}, /* entry_ids */
    {&reprise__v1__set_request__descriptor,      11, CODEC_DEPENDS_MAX, 0}, /* depends_on */
    {&reprise__v1__set_request__descriptor,      10, LIMIT(tags_max)}, /* tags */
    {&reprise__v1__set_request__descriptor,      19, LIMIT(metadata_max)}, /* metadata */
    {&reprise__v1__entry__descriptor,             9, LIMIT(tags_max)}, /* tags */
    {&reprise__v1__entry__descriptor,            10, CODEC_DEPENDS_MAX, 0}, /* depends_on */
    {&reprise__v1__entry__descriptor,            16, LIMIT(metadata_max)}, /* metadata */
    {&reprise__v1__delete_request__descriptor,    2, LIMIT(batch_max)}, /* entry_ids */
    {&reprise__v1__search_request__descriptor,    7, CODEC_CHOICES_MAX, 0}, /* include */
    {&reprise__v1__selector__descriptor,          7, LIMIT(tags_max)}, /* tags */
    {&reprise__v1__batch_report_request__descriptor, 1, CODEC_REPORTS_MAX, 0}, /* items */
    {&reprise__v1__update_namespace_request__descriptor, 2, CODEC_CHOICES_MAX, 0}, /* fields */
    {&reprise__v1__monitor_request__descriptor,   2, CODEC_CHOICES_MAX, 0}, /* results */
    {&reprise__v1__set_config_request__descriptor, 1, CODEC_CHANGES_MAX, 0}, /* changes */
    {&reprise__v1__namespace__descriptor,         2, CODEC_CHOICES_MAX, 0}, /* tiers */
    {&reprise__v1__policy__descriptor,            7, CODEC_CHOICES_MAX, 0}, /* guards_off */
    {&reprise__v1__policy_scope__descriptor,      3, CODEC_SCOPE_ATTRIBUTES_MAX, 0}, /* attributes */
};
/* clang-format on */
#undef LIMIT
enum { RULES_COUNT = sizeof(rules) / sizeof(rules[0]), RULES_OF_BATCHES = 5 };

/* NULL: no list of a request. */
static const struct rule *rule_find(const ProtobufCMessageDescriptor *message, uint32_t number)
{
    for (size_t i = 0; i < RULES_COUNT; i++) {
        if (rules[i].message == message && rules[i].number == number)
            return &rules[i];
    }
    return NULL;
}

static uint32_t rule_limit(const struct rule *rule, const struct codec_limits *limits)
{
    if (rule->fixed > 0)
        return rule->fixed;
    uint32_t limit;
    memcpy(&limit, (const char *)limits + rule->limit_offset, sizeof(limit));
    return limit;
}

/* ---- The walk --------------------------------------------------------------- */

struct frame {
    const ProtobufCMessageDescriptor *message;
    const ProtobufCFieldDescriptor *field; /* being read, for the path; NULL: none yet  */
    uint32_t element;                      /* which one of a list                       */
    const uint8_t *end;
    uint64_t seen; /* a bit for each field that has come                                */
};

struct walk {
    const uint8_t *at;
    struct frame frames[CODEC_DEPTH_MAX];
    size_t depth;
    const struct codec_limits *limits;
    struct failure *failure;
    const ProtobufCFieldDescriptor
        *ruled_field; /* the last list, and its row: lists come in runs */
    const struct rule *rule;
    uint32_t unknown, again;
    uint32_t counts[RULES_COUNT];
};

/* "identity.messages[3].content" */
static void walk_path(const struct walk *walk, char out[FAILURE_FIELD_MAX])
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < walk->depth; i++) {
        const struct frame *frame = &walk->frames[i];
        if (frame->field == NULL || length >= FAILURE_FIELD_MAX)
            return;
        int written = snprintf(out + length, FAILURE_FIELD_MAX - length, "%s%s", i > 0 ? "." : "",
                               frame->field->name);
        length += (size_t)written;
        if (frame->field->label != PROTOBUF_C_LABEL_REPEATED || length >= FAILURE_FIELD_MAX)
            continue;
        written = snprintf(out + length, FAILURE_FIELD_MAX - length, "[%u]", frame->element);
        length += (size_t)written;
    }
}

static enum status refuse(const struct walk *walk, enum status status, const char *sentence)
{
    char path[FAILURE_FIELD_MAX];
    walk_path(walk, path);
    return failure_set(walk->failure, status, path, "%s", sentence);
}

/* The list itself is to blame, not its last element. */
static enum status refuse_count(const struct walk *walk, uint32_t limit)
{
    char path[FAILURE_FIELD_MAX];
    walk_path(walk, path);
    const size_t length = strlen(path);
    char *bracket = length > 0 && path[length - 1] == ']' ? strrchr(path, '[') : NULL;
    if (bracket != NULL)
        *bracket = '\0';
    return failure_set(walk->failure, STATUS_LIMIT_EXCEEDED, path, "at most %u are allowed", limit);
}

static enum status note_unknown(struct walk *walk)
{
    if (++walk->unknown <= CODEC_UNKNOWN_MAX)
        return STATUS_OK;
    return failure_set(walk->failure, STATUS_LIMIT_EXCEEDED, "",
                       "more than %d fields that this message does not have", CODEC_UNKNOWN_MAX);
}

static enum status note_again(struct walk *walk)
{
    if (++walk->again <= CODEC_AGAIN_MAX)
        return STATUS_OK;
    return failure_set(walk->failure, STATUS_LIMIT_EXCEEDED, "",
                       "fields that stand once come again more than %d times", CODEC_AGAIN_MAX);
}

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return WIRE_VARINT;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return WIRE_LENGTH;
}

/* Elements of a packed list; false when its bytes do not add up. */
static bool packed_count(enum wire_type element, const struct wire_field *wire, size_t *out_count)
{
    if (element == WIRE_VARINT)
        return wire_count_varints(wire->payload, wire->length, out_count);
    const size_t size_bytes = element == WIRE_32BIT ? 4 : 8;
    *out_count = wire->length / size_bytes;
    return wire->length % size_bytes == 0;
}

/* Adds to the count of the list, which is what `frame->field` says, and refuses what passes its
 * limit. */
static enum status count_elements(struct walk *walk, struct frame *frame, size_t elements)
{
    if (walk->ruled_field != frame->field) {
        walk->ruled_field = frame->field;
        walk->rule = rule_find(frame->message, frame->field->id);
    }
    if (walk->rule == NULL)
        return STATUS_OK;
    const uint32_t limit = rule_limit(walk->rule, walk->limits);
    uint32_t *count = &walk->counts[walk->rule - rules];
    frame->element = *count;
    if (elements > limit || *count > limit - elements)
        return refuse_count(walk, limit);
    *count += (uint32_t)elements;
    const size_t behind = (size_t)(walk->rule - rules) + 1;
    if (behind <= RULES_OF_BATCHES) /* an item begins: the lists inside it start at 0 */
        memset(&walk->counts[behind], 0, sizeof(walk->counts) - behind * sizeof(walk->counts[0]));
    return STATUS_OK;
}

static enum status enter_message(struct walk *walk, const struct wire_field *wire,
                                 const ProtobufCMessageDescriptor *message)
{
    if (walk->depth == CODEC_DEPTH_MAX)
        return refuse(walk, STATUS_LIMIT_EXCEEDED, "messages are nested over 16 deep");
    walk->frames[walk->depth++] =
        (struct frame){.message = message, .end = wire->payload + wire->length};
    walk->at = wire->payload;
    return STATUS_OK;
}

/* One element of a list, or the one value of a field. */
static enum status walk_value(struct walk *walk, const ProtobufCFieldDescriptor *field,
                              const struct wire_field *wire)
{
    if (wire->type != wire_type_of(field->type))
        return refuse(walk, STATUS_BAD_MESSAGE, "the bytes have another type than the field");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return enter_message(walk, wire, field->descriptor);
    if (field->type == PROTOBUF_C_TYPE_STRING &&
        !text_is_clean((const char *)wire->payload, wire->length))
        return refuse(walk, STATUS_BAD_TEXT, status_text(STATUS_BAD_TEXT));
    return STATUS_OK;
}

static enum status walk_list(struct walk *walk, struct frame *frame, const struct wire_field *wire)
{
    const enum wire_type element = wire_type_of(frame->field->type);
    if (wire->type != WIRE_LENGTH || element == WIRE_LENGTH) {
        enum status status = count_elements(walk, frame, 1);
        return status != STATUS_OK ? status : walk_value(walk, frame->field, wire);
    }
    size_t elements = 0;
    if (!packed_count(element, wire, &elements))
        return refuse(walk, STATUS_BAD_MESSAGE, "the packed list is cut off");
    if (elements == 0) {
        enum status status = note_again(walk);
        if (status != STATUS_OK)
            return status;
    }
    return count_elements(walk, frame, elements);
}

static enum status walk_once(struct walk *walk, struct frame *frame, const struct wire_field *wire)
{
    const size_t index = (size_t)(frame->field - frame->message->fields);
    assert(index < 64); /* no request has more fields: `seen` is one word */
    const uint64_t bit = UINT64_C(1) << index;
    enum status status = STATUS_OK;
    if ((frame->seen & bit) != 0)
        status = note_again(walk);
    frame->seen |= bit;
    if (status == STATUS_OK && frame->field->type == PROTOBUF_C_TYPE_BYTES)
        status = count_elements(walk, frame, (wire->length + 1) / 2); /* of f16; blob has no row */
    return status != STATUS_OK ? status : walk_value(walk, frame->field, wire);
}

static enum status walk_field(struct walk *walk)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    struct wire_field wire;
    if (!wire_next(&walk->at, frame->end, &wire)) {
        frame->field = NULL; /* the path ends with the message: no field of it is known to be bad */
        return refuse(walk, STATUS_BAD_MESSAGE, "the bytes are cut off, or hold a group");
    }
    const ProtobufCFieldDescriptor *field = frame->field;
    if (field == NULL || field->id != wire.number)
        field = protobuf_c_message_descriptor_get_field(frame->message, wire.number);
    if (field == NULL)
        return note_unknown(walk);
    frame->field = field;
    frame->element = 0;
    return field->label == PROTOBUF_C_LABEL_REPEATED ? walk_list(walk, frame, &wire)
                                                     : walk_once(walk, frame, &wire);
}

enum status codec_check_as(const ProtobufCMessageDescriptor *descriptor, struct text bytes,
                           const struct codec_limits *limits, struct failure *failure)
{
    if (bytes.length == 0)
        return STATUS_OK;
    const uint8_t *start = (const uint8_t *)bytes.bytes;
    struct walk walk = {.at = start, .depth = 1, .limits = limits, .failure = failure};
    walk.frames[0] = (struct frame){.message = descriptor, .end = start + bytes.length};
    while (walk.depth > 0) {
        if (walk.at == walk.frames[walk.depth - 1].end) {
            walk.depth--;
            continue;
        }
        enum status status = walk_field(&walk);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

const ProtobufCMessageDescriptor *codec_descriptor(enum codec_message type)
{
    static const ProtobufCMessageDescriptor *const descriptors[CODEC_MESSAGES_COUNT] = {
        [CODEC_GET] = &reprise__v1__get_request__descriptor,
        [CODEC_SET] = &reprise__v1__set_request__descriptor,
        [CODEC_BATCH_GET] = &reprise__v1__batch_get_request__descriptor,
        [CODEC_BATCH_SET] = &reprise__v1__batch_set_request__descriptor,
        [CODEC_DELETE] = &reprise__v1__delete_request__descriptor,
        [CODEC_INVALIDATE] = &reprise__v1__invalidate_request__descriptor,
        [CODEC_TOUCH] = &reprise__v1__touch_request__descriptor,
        [CODEC_REPORT] = &reprise__v1__report_request__descriptor,
        [CODEC_BATCH_REPORT] = &reprise__v1__batch_report_request__descriptor,
        [CODEC_STATS] = &reprise__v1__stats_request__descriptor,
        [CODEC_SEARCH] = &reprise__v1__search_request__descriptor,
        [CODEC_EXPLAIN] = &reprise__v1__explain_request__descriptor,
        [CODEC_SCROLL] = &reprise__v1__scroll_request__descriptor,
        [CODEC_GET_ENTRY] = &reprise__v1__get_entry_request__descriptor,
        [CODEC_IMPORT] = &reprise__v1__import_request__descriptor,
        [CODEC_CREATE_SNAPSHOT] = &reprise__v1__create_snapshot_request__descriptor,
        [CODEC_DELETE_SNAPSHOT] = &reprise__v1__delete_snapshot_request__descriptor,
        [CODEC_UPDATE_NAMESPACE] = &reprise__v1__update_namespace_request__descriptor,
        [CODEC_CREATE_NAMESPACE] = &reprise__v1__create_namespace_request__descriptor,
        [CODEC_GET_NAMESPACE] = &reprise__v1__get_namespace_request__descriptor,
        [CODEC_LIST_NAMESPACES] = &reprise__v1__list_namespaces_request__descriptor,
        [CODEC_GET_POLICY] = &reprise__v1__get_policy_request__descriptor,
        [CODEC_SET_POLICY] = &reprise__v1__set_policy_request__descriptor,
        [CODEC_DESCRIBE_POLICY] = &reprise__v1__describe_policy_request__descriptor,
        [CODEC_SHADOW_REPORT] = &reprise__v1__get_shadow_report_request__descriptor,
        [CODEC_CALIBRATE] = &reprise__v1__calibrate_request__descriptor,
        [CODEC_DROP_NAMESPACE] = &reprise__v1__drop_namespace_request__descriptor,
        [CODEC_WATCH_STATS] = &reprise__v1__watch_stats_request__descriptor,
        [CODEC_MONITOR] = &reprise__v1__monitor_request__descriptor,
        [CODEC_GET_CONFIG] = &reprise__v1__get_config_request__descriptor,
        [CODEC_SET_CONFIG] = &reprise__v1__set_config_request__descriptor,
        [CODEC_RELEASE_LEASE] = &reprise__v1__release_lease_request__descriptor,
        [CODEC_GET_STREAM] = &reprise__v1__get_stream_request__descriptor,
        [CODEC_SET_STREAM] = &reprise__v1__set_stream_request__descriptor,
        [CODEC_HEALTH_CHECK] = &grpc__health__v1__health_check_request__descriptor,
        [CODEC_REFLECTION] = &grpc__reflection__v1__server_reflection_request__descriptor,
    };
    assert(type < CODEC_MESSAGES_COUNT);
    return descriptors[type];
}

enum status codec_check(enum codec_message type, struct text bytes,
                        const struct codec_limits *limits, struct failure *failure)
{
    return codec_check_as(codec_descriptor(type), bytes, limits, failure);
}
