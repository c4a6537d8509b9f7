/*
 * Goal: nothing reaches protobuf-c that would overflow its stack, be cut at a NUL, or cost far more
 * memory than bytes. Method: messages written by hand with the wire writer; every string and every
 * list of every request is found by walking protobuf-c's descriptors, so that a new field is tested
 * from its first day. Covers codec_check, codec_wire.
 */
#include "codec_support.h"

#include <stdio.h>

enum { DEPTH_MAX = 8, LEVELS = 20000 };

static enum status check(enum codec_message type, const struct wire *wire, struct failure *failure)
{
    return codec_check(type, wire_text_of(wire), &small_limits, failure);
}

/* ---- Every field of a kind, found by the descriptors ---------------------------------------- */

struct place { /* a field, and the way to it from the request */
    enum codec_message type;
    const ProtobufCFieldDescriptor *fields[DEPTH_MAX];
    size_t depth;
    char path[FAILURE_FIELD_MAX];
};

typedef void visit_place(const struct place *place, struct arena *arena);

static void visit(const ProtobufCMessageDescriptor *message, struct place *place,
                  visit_place *visitor, struct arena *arena)
{
    const size_t length = strlen(place->path);
    assert_true(place->depth < DEPTH_MAX);
    for (unsigned i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->fields[i];
        place->fields[place->depth++] = field;
        (void)snprintf(place->path + length, sizeof(place->path) - length, "%s%s%s",
                       length > 0 ? "." : "", field->name,
                       field->label == PROTOBUF_C_LABEL_REPEATED ? "[0]" : "");
        visitor(place, arena);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            visit(field->descriptor, place, visitor, arena);
        place->depth--;
        place->path[length] = '\0';
    }
}

static void visit_all(visit_place *visitor, struct arena *arena)
{
    for (int type = 0; type < CODEC_MESSAGES_COUNT; type++) {
        struct place place = {.type = (enum codec_message)type};
        visit(codec_descriptor(place.type), &place, visitor, arena);
    }
}

/* The message that holds `payload` as the last field of the place, or the fields `payload` if it is
 * `inner` already. */
static struct wire wrapped(const struct place *place, struct text payload, bool inner,
                           struct arena *arena)
{
    struct wire wire;
    wire_init(&wire, arena, 0);
    size_t level = place->depth;
    if (inner) {
        wire_raw(&wire, payload);
        level--;
    }
    while (level-- > 0) {
        struct wire outer;
        wire_init(&outer, arena, 0);
        wire_open(&outer, place->fields[level]->id,
                  !inner && level == place->depth - 1 ? payload.length : wire.length);
        if (!inner && level == place->depth - 1)
            wire_raw(&outer, payload);
        else
            wire_raw(&outer, wire_text_of(&wire));
        wire = outer;
    }
    return wire;
}

static size_t strings_seen, lists_seen;

static void refuse_bad_texts(const struct place *place, struct arena *arena)
{
    static const struct text bad[] = {{"a\0b", 3},     {"\0", 1},           {"\xff", 1},
                                      {"\xc0\x80", 2}, {"\xed\xa0\x80", 3}, {"ab\xe2\x82", 4}};
    if (place->fields[place->depth - 1]->type != PROTOBUF_C_TYPE_STRING)
        return;
    strings_seen++;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct wire wire = wrapped(place, bad[i], false, arena);
        struct failure failure = {.status = STATUS_OK};
        assert_int_equal(check(place->type, &wire, &failure), STATUS_BAD_TEXT);
        assert_int_equal(failure.status, STATUS_BAD_TEXT);
        assert_string_equal(failure.field, place->path);
    }
    const struct wire good = wrapped(place, TEXT("na\xc3\xafve \xf0\x9f\x98\x80"), false, arena);
    assert_int_equal(check(place->type, &good, NULL), STATUS_OK);
}

static void every_string_of_every_request_is_checked_and_named(void **state)
{
    strings_seen = 0;
    visit_all(refuse_bad_texts, *state);
    assert_true(strings_seen > 100); /* Identity alone has 18, and it is in five requests */
}

/* Ten thousand elements of two bytes: what would cost protobuf-c a struct and a pointer each. */
static void refuse_a_flood(const struct place *place, struct arena *arena)
{
    const ProtobufCFieldDescriptor *list = place->fields[place->depth - 1];
    if (list->label != PROTOBUF_C_LABEL_REPEATED)
        return;
    lists_seen++;
    struct wire flood;
    wire_init(&flood, arena, 0);
    for (int i = 0; i < 10000; i++)
        wire_open(&flood, list->id, 0);
    const struct wire wire = wrapped(place, wire_text_of(&flood), true, arena);
    struct failure failure = {.status = STATUS_OK};
    assert_int_equal(check(place->type, &wire, &failure), STATUS_LIMIT_EXCEEDED);
    if (failure.field[0] == '\0') /* empty packed lists are told by their repetition */
        return;
    char path[FAILURE_FIELD_MAX];
    (void)snprintf(path, sizeof(path), "%s", place->path);
    path[strlen(path) - strlen("[0]")] = '\0'; /* the list is to blame, not its last element */
    assert_string_equal(failure.field, path);
}

static void every_list_of_every_request_has_a_limit(void **state)
{
    lists_seen = 0;
    visit_all(refuse_a_flood, *state);
    assert_true(lists_seen > 30);
}

/* Two million bytes of a field that stands once would cost an allocation for every two of them. */
static void refuse_repetition(const struct place *place, struct arena *arena)
{
    const ProtobufCFieldDescriptor *once = place->fields[place->depth - 1];
    if (once->label == PROTOBUF_C_LABEL_REPEATED ||
        (once->type != PROTOBUF_C_TYPE_STRING && once->type != PROTOBUF_C_TYPE_MESSAGE))
        return;
    for (int more = 0; more <= 1; more++) {
        struct wire fields;
        wire_init(&fields, arena, 0);
        for (int i = 0; i < 1 + CODEC_AGAIN_MAX + more; i++)
            wire_open(&fields, once->id, 0);
        const struct wire wire = wrapped(place, wire_text_of(&fields), true, arena);
        assert_int_equal(check(place->type, &wire, NULL),
                         more == 0 ? STATUS_OK : STATUS_LIMIT_EXCEEDED);
    }
}

static void what_stands_once_may_come_again_only_so_often(void **state)
{
    visit_all(refuse_repetition, *state);
}

/* ---- Counts ----------------------------------------------------------------- */

static struct wire repeated(struct arena *arena, uint32_t number, size_t count)
{
    struct wire wire;
    wire_init(&wire, arena, 0);
    for (size_t i = 0; i < count; i++)
        wire_open(&wire, number, 0);
    return wire;
}

static struct wire within(struct arena *arena, uint32_t number, const struct wire *inner)
{
    struct wire wire;
    wire_init(&wire, arena, 0);
    wire_message(&wire, number, inner);
    return wire;
}

static void a_list_may_have_its_limit_and_not_one_more(void **state)
{
    static const struct {
        enum codec_message type;
        uint32_t outer, inner, number; /* 0: not nested that deep */
        uint32_t limit;
        const char *path;
    } lists[] = {
        {CODEC_BATCH_GET, 0, 0, 1, 7, "items"},
        {CODEC_BATCH_SET, 0, 0, 1, 7, "items"},
        {CODEC_GET, 1, 0, 4, 5, "identity.messages"},
        {CODEC_GET, 1, 0, 10, 6, "identity.attributes"},
        {CODEC_GET, 1, 0, 11, 9, "identity.context_ids"},
        {CODEC_GET, 1, 6, 6, 2, "identity.params.stop"},
        {CODEC_SET, 0, 0, 10, 3, "tags"},
        {CODEC_SET, 0, 0, 19, 4, "metadata"},
        {CODEC_DELETE, 0, 0, 2, 7, "entry_ids"},
        {CODEC_INVALIDATE, 1, 0, 7, 3, "selector.tags"},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (uint32_t more = 0; more <= 1; more++) {
            struct wire wire = repeated(*state, lists[i].number, lists[i].limit + more);
            if (lists[i].inner > 0)
                wire = within(*state, lists[i].inner, &wire);
            if (lists[i].outer > 0)
                wire = within(*state, lists[i].outer, &wire);
            struct failure failure = {.status = STATUS_OK};
            const enum status status = check(lists[i].type, &wire, &failure);
            assert_int_equal(status, more == 0 ? STATUS_OK : STATUS_LIMIT_EXCEEDED);
            assert_string_equal(failure.field, more == 0 ? "" : lists[i].path);
        }
    }
}

static void numbers_are_counted_packed_and_one_by_one(void **state)
{
    static const char zeros[64];
    for (uint32_t more = 0; more <= 1; more++) {
        const enum status expected = more == 0 ? STATUS_OK : STATUS_LIMIT_EXCEEDED;
        struct wire packed, single, both, halves;
        wire_init(&packed, *state, 0);
        wire_text(&packed, 1, (struct text){zeros, 4 * (8 + more)});
        wire_init(&single, *state, 0);
        for (uint32_t i = 0; i < 8 + more; i++)
            wire_float(&single, 1, 0.5F);
        wire_init(&both, *state, 0);
        wire_text(&both, 1, (struct text){zeros, 4 * (4 + more)});
        for (uint32_t i = 0; i < 4; i++)
            wire_float(&both, 1, 0.5F);
        wire_init(&halves, *state, 0);
        wire_text(&halves, 2, (struct text){zeros, 2 * (8 + more)});
        const struct wire *vectors[] = {&packed, &single, &both, &halves};
        for (size_t i = 0; i < 4; i++) {
            const struct wire wire = within(*state, 2, vectors[i]);
            struct failure failure = {.status = STATUS_OK};
            assert_int_equal(check(CODEC_GET, &wire, &failure), expected);
            if (more == 1)
                assert_string_equal(failure.field, i == 3 ? "vector.f16" : "vector.f32");
        }
    }
}

static void a_choice_is_counted_by_its_varints(void **state)
{
    char choices[40];
    memset(choices, 1, sizeof(choices));
    struct wire wire;
    wire_init(&wire, *state, 0);
    wire_text(&wire, 5, (struct text){choices, CODEC_CHOICES_MAX});
    assert_int_equal(check(CODEC_GET, &wire, NULL), STATUS_OK);
    wire_uint(&wire, 5, 1);
    struct failure failure;
    assert_int_equal(check(CODEC_GET, &wire, &failure), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "tiers");
}

static void a_message_that_comes_twice_is_counted_as_the_one_it_becomes(void **state)
{
    struct wire two = repeated(*state, 4, 2), three = repeated(*state, 4, 3), wire;
    wire_init(&wire, *state, 0);
    wire_message(&wire, 1, &two);
    wire_message(&wire, 1, &three);
    assert_int_equal(check(CODEC_GET, &wire, NULL), STATUS_OK);
    struct wire one = repeated(*state, 4, 1);
    wire_message(&wire, 1, &one);
    struct failure failure;
    assert_int_equal(check(CODEC_GET, &wire, &failure), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "identity.messages");
}

static void each_item_of_a_batch_has_the_limits_to_itself(void **state)
{
    struct wire messages = repeated(*state, 4, 5), wire;
    struct wire item = within(*state, 1, &messages);
    wire_init(&wire, *state, 0);
    for (uint32_t i = 0; i < small_limits.batch_max; i++)
        wire_message(&wire, 1, &item);
    assert_int_equal(check(CODEC_BATCH_GET, &wire, NULL), STATUS_OK);
    wire_message(&wire, 1, &item);
    struct failure failure;
    assert_int_equal(check(CODEC_BATCH_GET, &wire, &failure), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "items");
}

/* Numbers of both vectors of a pair may be as many as the limit each, and no more. */
static void each_list_inside_a_list_has_the_limits_to_itself(void **state)
{
    struct wire vector, pair, wire;
    struct failure failure;
    wire_init(&vector, *state, 0);
    for (uint32_t i = 0; i < small_limits.dimension_max; i++)
        wire_float(&vector, 1, 0.5F);
    wire_init(&pair, *state, 0);
    wire_message(&pair, 3, &vector);
    wire_message(&pair, 3, &vector);
    wire_init(&wire, *state, 0);
    wire_message(&wire, 3, &pair);
    wire_message(&wire, 3, &pair);
    assert_int_equal(check(CODEC_CALIBRATE, &wire, &failure), STATUS_OK);
    wire_float(&vector, 1, 0.5F);
    wire_init(&pair, *state, 0);
    wire_message(&pair, 3, &vector);
    wire_message(&wire, 3, &pair);
    assert_int_equal(check(CODEC_CALIBRATE, &wire, &failure), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "pairs[2].vectors[0].f32");
    wire_init(&pair, *state, 0);
    for (int i = 0; i < 3; i++)
        wire_open(&pair, 3, 0);
    wire_init(&wire, *state, 0);
    wire_message(&wire, 3, &pair);
    assert_int_equal(check(CODEC_CALIBRATE, &wire, &failure), STATUS_LIMIT_EXCEEDED);
    assert_string_equal(failure.field, "pairs[0].vectors");
}

static void a_path_names_each_index_on_the_way(void **state)
{
    struct wire bad, identity = repeated(*state, 4, 2), wire;
    wire_init(&bad, *state, 0);
    wire_text(&bad, 2, TEXT("\xff"));
    wire_message(&identity, 4, &bad);
    struct wire item = within(*state, 1, &identity);
    wire_init(&wire, *state, 0);
    for (int i = 0; i < 3; i++)
        wire_open(&wire, 1, 0);
    wire_message(&wire, 1, &item);
    struct failure failure;
    assert_int_equal(check(CODEC_BATCH_GET, &wire, &failure), STATUS_BAD_TEXT);
    assert_string_equal(failure.field, "items[3].identity.messages[2].content");
}

static void unknown_fields_are_counted_over_the_whole_request(void **state)
{
    struct wire identity = repeated(*state, 99, 32), wire = repeated(*state, 98, 32);
    wire_message(&wire, 1, &identity);
    assert_int_equal(check(CODEC_GET, &wire, NULL), STATUS_OK);
    wire_uint(&wire, 5000, 1);
    assert_int_equal(check(CODEC_GET, &wire, NULL), STATUS_LIMIT_EXCEEDED);
    wire = repeated(*state, 98, 1000);
    for (int type = 0; type < CODEC_MESSAGES_COUNT; type++)
        assert_int_equal(check((enum codec_message)type, &wire, NULL), STATUS_LIMIT_EXCEEDED);
}

/* ---- Broken bytes ----------------------------------------------------------- */

static void broken_bytes_are_no_message(void **state)
{
    (void)state;
    static const struct text broken[] = {
        {"\x0a", 1}, /* a length is missing       */
        {"\x0a\x05"
         "ab",
         4},                                 /* the payload is cut off     */
        {"\x0a\x80", 2},                     /* the length is cut off      */
        {"\x0a\xff\xff\xff\xff\xff\x01", 7}, /* a length of 6 bytes        */
        {"\x0a\xff\xff\xff\xff\x0f", 6},     /* a length of 4 GiB          */
        {"\x80", 1},                         /* a tag that does not end    */
        {"\x00\x00", 2},                     /* field number 0             */
        {"\xff\xff\xff\xff\xff\x7f\x00", 7}, /* a tag over 32 bits         */
        {"\x0b\x0c", 2},                     /* a group                    */
        {"\x0c", 1},                         /* the end of none            */
        {"\x0e", 1},                         /* wire type 6                */
        {"\x35\x00\x00", 3},                 /* a float of 2 bytes         */
        {"\xf9\x07\x00\x00\x00", 5},         /* unknown, 8 bytes, 3 there  */
        {"\xf8\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13}, /* a varint of 11 bytes  */
        {"\x08\x01", 2},                     /* identity as a number       */
        {"\x32\x04\x00\x00\x00\x00", 6},     /* min_similarity as bytes    */
        {"\x12\x05\x0a\x03\x00\x00\x00", 7}, /* packed floats of 3 bytes   */
        {"\x2a\x02\x81\x81", 4},             /* packed tiers that go on    */
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct text copy = exact_copy(broken[i].bytes, broken[i].length);
        assert_int_equal(codec_check(CODEC_GET, copy, &small_limits, NULL), STATUS_BAD_MESSAGE);
        free((char *)(uintptr_t)copy.bytes);
    }
}

static void a_broken_message_inside_is_named(void **state)
{
    struct failure failure;
    struct wire wire;
    wire_init(&wire, *state, 0);
    wire_text(&wire, 1, TEXT("\x1a\x01q\x1b")); /* identity: a prompt, then a group begins */
    assert_int_equal(check(CODEC_GET, &wire, &failure), STATUS_BAD_MESSAGE);
    assert_string_equal(failure.field, "identity");
    wire_init(&wire, *state, 0);
    wire_text(&wire, 1, TEXT("\x18\x01")); /* identity.prompt as a number */
    assert_int_equal(check(CODEC_GET, &wire, &failure), STATUS_BAD_MESSAGE);
    assert_string_equal(failure.field, "identity.prompt");
}

static void an_empty_request_is_a_message(void **state)
{
    (void)state;
    for (int type = 0; type < CODEC_MESSAGES_COUNT; type++)
        assert_int_equal(
            codec_check((enum codec_message)type, (struct text){NULL, 0}, &small_limits, NULL),
            STATUS_OK);
}

/* ---- Nesting ---------------------------------------------------------------- */

/* message Recursive { Recursive self = 1; }, which our files do not have: the limit must not wait
 * for the day they do. */
static const ProtobufCFieldDescriptor recursive_field;
static const ProtobufCIntRange recursive_ranges[] = {{1, 0}, {0, 1}};
static const ProtobufCMessageDescriptor recursive = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Recursive",
    .n_fields = 1,
    .fields = &recursive_field,
    .n_field_ranges = 1,
    .field_ranges = recursive_ranges,
};
static const ProtobufCFieldDescriptor recursive_field = {
    .name = "self",
    .id = 1,
    .label = PROTOBUF_C_LABEL_OPTIONAL,
    .type = PROTOBUF_C_TYPE_MESSAGE,
    .descriptor = &recursive,
};

/* Field 1 inside field 1, that many times; written from the inside out. */
static struct text nested(size_t levels, struct arena *arena)
{
    const size_t room = levels * 4;
    uint8_t *bytes = arena_alloc(arena, room + 1);
    assert_non_null(bytes);
    size_t at = room;
    for (size_t i = 0; i < levels; i++) {
        size_t length = room - at;
        uint8_t varint[4];
        size_t digits = 0;
        do {
            varint[digits++] = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
            length >>= 7;
        } while (length > 0);
        at -= digits;
        memcpy(bytes + at, varint, digits);
        bytes[--at] = 0x0a;
    }
    return (struct text){(const char *)bytes + at, room - at};
}

static void sixteen_levels_are_read_and_no_more(void **state)
{
    assert_int_equal(codec_check_as(&recursive, nested(15, *state), &small_limits, NULL),
                     STATUS_OK);
    assert_int_equal(codec_check_as(&recursive, nested(16, *state), &small_limits, NULL),
                     STATUS_LIMIT_EXCEEDED);
    assert_int_equal(codec_check_as(&recursive, nested(LEVELS, *state), &small_limits, NULL),
                     STATUS_LIMIT_EXCEEDED);
}

static void deep_bytes_reach_no_stack_by_any_request(void **state)
{
    const struct text deep = nested(LEVELS, *state);
    for (int type = 0; type < CODEC_MESSAGES_COUNT; type++) {
        struct wire unknown;
        wire_init(&unknown, *state, 0);
        wire_text(&unknown, 900, deep);
        assert_int_equal(check((enum codec_message)type, &unknown, NULL), STATUS_OK);
        (void)codec_check((enum codec_message)type, deep, &small_limits, NULL);
    }
    char groups[LEVELS];
    memset(groups, 0x0b, sizeof(groups));
    assert_int_equal(
        codec_check(CODEC_GET, (struct text){groups, sizeof(groups)}, &small_limits, NULL),
        STATUS_BAD_MESSAGE);
}

/* ---- The wire writer -------------------------------------------------------- */

static void what_is_written_is_read_back(void **state)
{
    static const uint64_t values[] = {1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct wire wire;
        wire_init(&wire, *state, 0);
        wire_uint(&wire, (1U << 29) - 1, values[i]);
        const uint8_t *at = wire.bytes, *end = at + wire.length;
        struct wire_field field;
        assert_true(wire_next(&at, end, &field));
        assert_ptr_equal(at, end);
        assert_int_equal(field.number, (1U << 29) - 1);
        uint64_t value = 0;
        for (size_t byte = 0; byte < field.length; byte++)
            value |= (uint64_t)(field.payload[byte] & 0x7f) << (7 * byte);
        assert_true(value == values[i]);
    }
}

static void nothing_is_written_for_what_is_absent(void **state)
{
    struct wire wire;
    wire_init(&wire, *state, 0);
    wire_uint(&wire, 1, 0);
    wire_float(&wire, 2, 0);
    wire_text(&wire, 3, (struct text){NULL, 0});
    assert_int_equal(wire.length, 0);
    struct wire empty = wire;
    wire_message(&wire, 4, &empty);
    assert_int_equal(wire.length, 2);
}

static void a_wire_grows_and_keeps_what_it_had(void **state)
{
    struct wire wire;
    wire_init(&wire, *state, 0);
    for (uint32_t i = 1; i <= 1000; i++)
        wire_uint(&wire, 1, i);
    const uint8_t *at = wire.bytes, *end = at + wire.length;
    uint32_t count = 0;
    for (struct wire_field field; at != end; count++)
        assert_true(wire_next(&at, end, &field));
    assert_int_equal(count, 1000);
}

static void a_size_is_told_before_it_is_written(void **state)
{
    static const size_t lengths[] = {0, 1, 127, 128, 16383, 16384, 100000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct wire wire;
        wire_init(&wire, *state, 0);
        wire_open(&wire, 15, lengths[i]);
        assert_int_equal(wire_size(lengths[i]), wire.length + lengths[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(every_string_of_every_request_is_checked_and_named),
        ARENA_TEST(every_list_of_every_request_has_a_limit),
        ARENA_TEST(what_stands_once_may_come_again_only_so_often),
        ARENA_TEST(a_list_may_have_its_limit_and_not_one_more),
        ARENA_TEST(numbers_are_counted_packed_and_one_by_one),
        ARENA_TEST(a_choice_is_counted_by_its_varints),
        ARENA_TEST(a_message_that_comes_twice_is_counted_as_the_one_it_becomes),
        ARENA_TEST(each_item_of_a_batch_has_the_limits_to_itself),
        ARENA_TEST(each_list_inside_a_list_has_the_limits_to_itself),
        ARENA_TEST(a_path_names_each_index_on_the_way),
        ARENA_TEST(unknown_fields_are_counted_over_the_whole_request),
        ARENA_TEST(broken_bytes_are_no_message),
        ARENA_TEST(a_broken_message_inside_is_named),
        ARENA_TEST(an_empty_request_is_a_message),
        ARENA_TEST(sixteen_levels_are_read_and_no_more),
        ARENA_TEST(deep_bytes_reach_no_stack_by_any_request),
        ARENA_TEST(what_is_written_is_read_back),
        ARENA_TEST(nothing_is_written_for_what_is_absent),
        ARENA_TEST(a_wire_grows_and_keeps_what_it_had),
        ARENA_TEST(a_size_is_told_before_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
